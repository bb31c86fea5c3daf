"""The worker's side of the engine child: starts it, talks to it, and kills it when it hangs."""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Protocol

from inference.code_folders import with_kernels_in
from inference.domain.errors import OutOfMemory
from inference.domain.report_options import DEFAULT_REPORT, ReportOptions
from inference.engine.acceleration import PLAIN, Acceleration
from orthanc_plugin.node.analysis_port import AnalysisRequest, NetworkInUse
from orthanc_plugin.node.frames import FrameReader, FrameTimeout, Message, PipeClosed, write_frame
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.settings import EngineSettings, Settings

REPOSITORY_ROOT = Path(__file__).resolve().parents[2]

# -I keeps PYTHONPATH and the user's site folder out; the tree itself is then named explicitly.
_LAUNCH = (
    "import sys, runpy; sys.path.insert(0, sys.argv.pop(1)); "
    "runpy.run_module('orthanc_plugin.node.engine_child', run_name='__main__', alter_sys=True)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Finished:
    """The analysis succeeded: role to file name in the out folder."""

    files: dict[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """One of our own errors ended the analysis."""

    is_rejection: bool
    code: str
    reason: str
    sentence: str
    is_retryable: bool
    error_type: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineLost:
    """The child died, hung or crashed."""

    reason: str
    """engine-died, engine-timeout or engine-crashed."""
    exit_code: int | None = None
    error_type: str = ""
    where: str = ""


@dataclass(frozen=True, slots=True)
class Abandoned:
    """The worker no longer wants the answer."""


Outcome = Finished | Refused | EngineLost | Abandoned

Heartbeat = Callable[[str, float], bool]
"""Called with stage and fraction now and then; False abandons the job."""


class Engine(Protocol):
    """What the worker asks of an engine."""

    @property
    def pid(self) -> int | None:
        """Of the child, where there is one."""

    @property
    def downgrades(self) -> tuple[str, ...]:
        """Of the networks as last loaded: which run elsewhere than asked for first."""

    @property
    def networks(self) -> tuple[NetworkInUse, ...]:
        """As last loaded, each with where it runs."""

    def configure(self, settings: Settings) -> bool:
        """What to load from now on; True where a child that loaded something else was ended."""

    def start(self) -> EngineIdentity | Refused | EngineLost:
        """Load the models; the identity of the engine's own profile."""

    def identity_of(self, profile: str) -> EngineIdentity | None:
        """Of a profile that was loaded; empty means the engine's own."""

    def analyse(self, request: AnalysisRequest, heartbeat: Heartbeat) -> Outcome:
        """Run one job."""

    def stop(self) -> int | None:
        """End the child."""

    def is_running(self) -> bool:
        """Whether there is a living child."""

    def retire_if_spent(self) -> str | None:
        """End a child that has served its time, between two jobs; the reason."""


@dataclass(slots=True)
class EngineProcess:
    """At most one child; started when first needed, and again after it was lost."""

    settings: EngineSettings
    report: ReportOptions = DEFAULT_REPORT
    further_profiles: tuple[str, ...] = ()
    """Loaded beside that of the settings."""
    acceleration: Acceleration = PLAIN
    kernels_folder: Path | None = None
    """Where Numba keeps what it compiles; None: where it does so by itself."""
    tick_s: float = 1.0
    """How often the heartbeat is called while the child works."""
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)
    _reader: FrameReader | None = field(default=None, init=False)
    _jobs_served: int = field(default=0, init=False)
    _first_resident_bytes: int = field(default=0, init=False)
    """After the first job, when sessions and arenas have their working size."""
    _is_ending: bool = field(default=False, init=False)

    _identities: dict[str, EngineIdentity] = field(default_factory=dict, init=False)
    downgrades: tuple[str, ...] = field(default=(), init=False)
    networks: tuple[NetworkInUse, ...] = field(default=(), init=False)

    @property
    def pid(self) -> int | None:
        """Of the child, where there is one."""
        return self._process.pid if self._process else None

    def configure(self, settings: Settings) -> bool:
        """What to load from now on; True where a child that loaded something else was ended."""
        # What of it may change while the node runs stands in settings.engine, too.
        self.acceleration = settings.acceleration
        self.kernels_folder = settings.kernels_folder
        before = (self.settings, self.report, self.further_profiles)
        self.settings, self.report = settings.engine, settings.report
        self.further_profiles = settings.further_profiles
        if before == (self.settings, self.report, self.further_profiles):
            return False
        self.stop()
        return True

    def identity_of(self, profile: str) -> EngineIdentity | None:
        """Of a profile that was loaded; empty means the engine's own."""
        return self._identities.get(profile or self.settings.profile)

    def start(self) -> EngineIdentity | Refused | EngineLost:
        """Start the child and wait until its models are loaded. Call it from one long-lived thread only."""
        self.stop()
        self._jobs_served = 0
        # PDEATHSIG, set by the child, is bound to the thread that calls this.
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", _LAUNCH, str(REPOSITORY_ROOT), str(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
            env=with_kernels_in(self.kernels_folder, os.environ),
            close_fds=True,
        )
        assert self._process.stdout is not None
        self._reader = FrameReader(self._process.stdout.fileno())
        try:
            self._send(self._start_message())
            answer = self._reader.read(self.settings.start_wall_clock_s)
        except PipeClosed:
            return self._lost("engine-died")
        except FrameTimeout:
            return self._lost("engine-timeout")
        if answer["type"] != "ready":
            self.stop()
            outcome = _outcome(answer)
            assert isinstance(outcome, Refused | EngineLost)
            return outcome
        self._identities = {
            name: EngineIdentity(
                profile_hash=told["profile_hash"],
                models=tuple(sorted((model, sha256) for model, sha256 in told["models"])),
                code_version=told["code_version"],
            )
            for name, told in answer["identities"].items()
        }
        self.downgrades = tuple(map(str, answer["downgrades"]))
        self.networks = tuple(NetworkInUse(**told) for told in answer["networks"])
        return self._identities[self.settings.profile]

    def analyse(self, request: AnalysisRequest, heartbeat: Heartbeat) -> Outcome:
        """Run one job in the child; it is killed past the wall-clock limit and when abandoned."""
        assert self._reader is not None
        deadline = time.monotonic() + self.settings.job_wall_clock_s
        stage, fraction, next_beat = "start", 0.0, 0.0
        try:
            self._send(
                {
                    "type": "analyse",
                    "series_folder": str(request.series_folder),
                    "out_folder": str(request.out_folder),
                    "job_key": request.job_key,
                    "created": request.created.isoformat(),
                    "encodings": list(request.encodings),
                    "predecessors": [asdict(one) for one in request.predecessors],
                    "entered": asdict(request.entered) if request.entered else None,
                    "level": asdict(request.level) if request.level else None,
                    "profile": request.profile or self.settings.profile,
                    "may_lack_level": request.may_lack_level,
                }
            )
            while (now := time.monotonic()) < deadline:
                if now >= next_beat:
                    next_beat = now + self.tick_s
                    if not heartbeat(stage, fraction):
                        self.stop()
                        return Abandoned()
                answer = self._next(self._reader, min(next_beat, deadline))
                if answer is None:
                    continue
                if answer["type"] != "progress":
                    return self._settled(answer)
                stage, fraction = str(answer["stage"]), float(answer["fraction"])
        except PipeClosed:
            lost = self._lost("engine-died")
            # We ended it ourselves, with the node: no fault of the job.
            return Abandoned() if self._is_ending else lost
        return self._lost("engine-timeout")

    def end(self) -> None:
        """Kill the child because the node ends, from any thread; the job it runs is interrupted, not tried."""
        self._is_ending = True
        process = self._process
        if process is not None:
            process.kill()
            process.wait()

    def retire_if_spent(self) -> str | None:
        """End a child that served its jobs or has grown; the reason, or None where it stays."""
        if self._process is None:
            return None
        resident_bytes = _resident_bytes(self._process.pid)
        if self._jobs_served <= 1:
            self._first_resident_bytes = resident_bytes
        growth_bytes = resident_bytes - self._first_resident_bytes
        if self._jobs_served >= self.settings.recycle_after_jobs:
            reason = "jobs-served"
        elif 0 < self.settings.recycle_growth_bytes <= growth_bytes:
            reason = "memory-growth"
        else:
            return None
        self.stop()
        return reason

    def stop(self) -> int | None:
        """Kill the child, if there is one; its exit code (negative: the signal)."""
        process, self._process, self._reader = self._process, None, None
        if process is None:
            return None
        process.kill()
        code = process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code

    def is_running(self) -> bool:
        """Whether there is a living child."""
        return self._process is not None and self._process.poll() is None

    def _next(self, reader: FrameReader, until: float) -> Message | None:
        """The next message, or None where there was none until then."""
        try:
            return reader.read(max(0.0, until - time.monotonic()))
        except FrameTimeout:
            return None

    def _settled(self, answer: Message) -> Outcome:
        outcome = _outcome(answer)
        is_fresh, self._jobs_served = self._jobs_served == 0, self._jobs_served + 1
        if isinstance(outcome, Refused) and outcome.code == OutOfMemory.code:
            self.stop()
            # What earlier jobs left in the child may have been too much, and not this series.
            return replace(outcome, is_retryable=not is_fresh)
        if isinstance(outcome, EngineLost):
            # A Python error that is not ours may have left the child in any state: take a fresh one.
            self.stop()
        return outcome

    def _lost(self, reason: str) -> EngineLost:
        """What became of the child: its own exit status if it had one, else that of our kill."""
        process = self._process
        if process is not None and reason == "engine-died":
            try:
                process.wait(timeout=1.0)
            except subprocess.TimeoutExpired:
                process.kill()
        return EngineLost(reason=reason, exit_code=self.stop())

    def _send(self, message: Message) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        write_frame(self._process.stdin.fileno(), message)

    def _start_message(self) -> Message:
        return {
            "type": "start",
            "analyser": self.settings.analyser,
            "models_folder": str(self.settings.models_folder),
            "profiles": list(dict.fromkeys((self.settings.profile, *self.further_profiles))),
            "providers": list(self.settings.providers),
            "acceleration": {
                "downgrade": str(self.acceleration.downgrade),
                "tensorrt_libraries": str(self.acceleration.tensorrt_libraries or ""),
                "built_folder": str(self.acceleration.built_folder or ""),
                "half_precision_error": self.acceleration.half_precision_error,
            },
            "report": asdict(self.report),
            "uncertain_level": self.settings.uncertain_level or "",
            "without_level": self.settings.without_level or "",
            "memory_limit_bytes": self.settings.memory_limit_bytes,
        }


def _resident_bytes(pid: int) -> int:
    """Memory that a process holds (Linux proc(5)); 0 where it is gone."""
    try:
        pages = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]
    except (OSError, IndexError):
        return 0
    return int(pages) * os.sysconf("SC_PAGE_SIZE")


def _outcome(answer: Message) -> Outcome:
    match answer["type"]:
        case "finished":
            return Finished(files={str(k): str(v) for k, v in answer["files"].items()})
        case "rejected" | "failed":
            advice = f" {answer['advice']}" if answer["advice"] else ""
            return Refused(
                is_rejection=answer["type"] == "rejected",
                code=answer["code"],
                reason=answer["reason"],
                sentence=f"Found {answer['found']}; wanted {answer['wanted']}.{advice}",
                is_retryable=bool(answer["retryable"]),
                error_type=answer["error_type"],
            )
        case _:
            return EngineLost(
                reason="engine-crashed",
                error_type=str(answer.get("error_type", "")),
                where=str(answer.get("where", "")),
            )

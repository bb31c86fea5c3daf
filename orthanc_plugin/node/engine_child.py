"""The engine child: keeps models loaded and analyses one series after the other, told so over a pipe."""

import faulthandler
import importlib
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path

from inference.domain.earlier_document import EarlierDocument
from inference.domain.entered_level import EnteredLevel
from inference.domain.entered_size import EnteredSize
from inference.domain.errors import HabitusError, OutOfMemory, StudyRejected
from inference.domain.report_options import report_options
from inference.domain.seg_encoding import SegEncoding
from inference.engine.acceleration import Acceleration
from inference.engine.providers import Downgrade
from orthanc_plugin.node.analysis_port import (
    Analyser,
    AnalyserModule,
    AnalysisRequest,
    LoadRequest,
)
from orthanc_plugin.node.frames import FrameReader, Message, PipeClosed, write_frame
from orthanc_plugin.node.logs import where
from orthanc_plugin.node.process_guard import die_with_parent

ON_THE_CPU = {"cpu", "openvino"}
THREAD_ADDRESS_BYTES = 160 * 1024**2
"""glibc maps two arenas of 64 MiB and a stack for a thread that allocates; hardly any of it is ever touched."""


def main() -> None:
    """Load what the first message names, then serve requests until the pipe closes."""
    die_with_parent(int(sys.argv[1]))
    # A stop of the whole unit signals every process of it; the node alone says when the child ends.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    commands, answers = _claim_pipes()
    reader = FrameReader(commands)
    try:
        start = reader.read()
        analysers = _load(start, answers)
        while analysers:
            _serve(analysers, reader.read(), answers)
    except PipeClosed:
        return


def _claim_pipes() -> tuple[int, int]:
    """Take stdin and stdout for messages; what libraries print (they quote DICOM values) goes nowhere."""
    commands, answers, crash_log = os.dup(0), os.dup(1), os.dup(2)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    # A stack of code positions, no values: the one thing worth having of a crash.
    faulthandler.enable(file=crash_log)
    return commands, answers


def _load(start: Message, answers: int) -> dict[str, Analyser]:
    """The analyser of each profile, or none after the reason was sent."""
    _limit_memory(int(start["memory_limit_bytes"]), start["providers"])
    request = LoadRequest(
        models_folder=Path(start["models_folder"]),
        profile="",
        providers=tuple(start["providers"]),
        acceleration=_acceleration(start["acceleration"]),
        report=report_options(start["report"]),
        uncertain_level=start["uncertain_level"],
        without_level=start["without_level"],
    )
    try:
        module: AnalyserModule = importlib.import_module(start["analyser"])
        analysers = {
            name: module.load(replace(request, profile=name)) for name in start["profiles"]
        }
    except HabitusError as error:
        write_frame(answers, error_message(error))
        return {}
    except Exception as error:  # noqa: BLE001 # the border of the process: type and place cross it, text does not
        write_frame(answers, crash_message(error))
        return {}
    identities = {name: asdict(analyser.identity) for name, analyser in analysers.items()}
    downgrades = sorted({text for analyser in analysers.values() for text in analyser.downgrades})
    networks = {network for analyser in analysers.values() for network in analyser.networks}
    told = [asdict(network) for network in sorted(networks, key=lambda one: one.name)]
    ready: Message = {"identities": identities, "downgrades": downgrades, "networks": told}
    write_frame(answers, {"type": "ready", **ready})
    return analysers


def _acceleration(told: Message) -> Acceleration:
    libraries, built = told["tensorrt_libraries"], told["built_folder"]
    return Acceleration(
        downgrade=Downgrade(told["downgrade"]),
        tensorrt_libraries=Path(libraries) if libraries else None,
        built_folder=Path(built) if built else None,
        half_precision_error=float(told["half_precision_error"]),
    )


def _limit_memory(limit: int, providers: Sequence[str]) -> None:
    """A decoder that takes all there is ends its job, not the machine."""
    # CUDA maps the memory of every GPU and host into the address space: no limit of ours would hold it.
    if limit and set(providers) <= ON_THE_CPU:
        limit += (os.cpu_count() or 1) * THREAD_ADDRESS_BYTES
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _serve(analysers: Mapping[str, Analyser], command: Message, answers: int) -> None:
    request = AnalysisRequest(
        series_folder=Path(command["series_folder"]),
        out_folder=Path(command["out_folder"]),
        job_key=command["job_key"],
        created=datetime.fromisoformat(command["created"]),
        encodings=tuple(SegEncoding(name) for name in command["encodings"]),
        predecessors=tuple(EarlierDocument(**one) for one in command["predecessors"]),
        entered=EnteredSize(**command["entered"]) if command["entered"] else None,
        level=EnteredLevel(**command["level"]) if command["level"] else None,
        profile=command["profile"],
        may_lack_level=command["may_lack_level"],
    )
    analyser = analysers[request.profile]

    def progress(stage: str, fraction: float) -> None:
        write_frame(answers, {"type": "progress", "stage": stage, "fraction": fraction})

    try:
        files = analyser.analyse(request, progress)
        answer: Message = {
            "type": "finished",
            "files": {role: path.name for role, path in files.items()},
        }
    except HabitusError as error:
        answer = error_message(error)
    except PipeClosed:
        raise
    except MemoryError:
        answer = error_message(OutOfMemory())
    except Exception as error:  # noqa: BLE001 # the border of the process: type and place cross it, text does not
        answer = crash_message(error)
    write_frame(answers, answer)


def error_message(error: HabitusError) -> Message:
    """One of our own errors, whose sentences hold no patient data."""
    return {
        "type": "rejected" if isinstance(error, StudyRejected) else "failed",
        "error_type": type(error).__name__,
        "code": error.code,
        "reason": error.reason if isinstance(error, StudyRejected) else error.code,
        "retryable": error.retryable,
        "found": error.found,
        "wanted": error.wanted,
        "advice": error.advice,
    }


def crash_message(error: Exception) -> Message:
    """A foreign error: its type and place only."""
    return {"type": "crashed", "error_type": type(error).__name__, "where": where(error)}


if __name__ == "__main__":
    main()

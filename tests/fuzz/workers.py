"""Each variant runs in a forked process under limits of memory and time; a process that dies is replaced."""

import json
import os
import resource
import signal
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NoReturn

from inference.pipeline import Models
from tests.fuzz.base_files import BaseSeries
from tests.fuzz.target import fake_models, outcome
from tests.fuzz.variants import Variant, Variants

CPU_LIMIT_S = 5.0
WALL_LIMIT_S = 30.0
"""For what waits instead of working; wide, because the machine may be busy with something else."""
MEMORY_LIMIT_MB = 1024
ADDRESS_SPACE_MB = 3072
"""Beyond what is mapped at the start: above the memory limit, so that going over it is seen and not hidden."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """How a variant ended."""

    outcome: str
    """"valid", a code of ours, or a fault: "foreign: …", "hang", "signal: …", "memory: …"."""
    place: str = ""
    """Of a foreign exception: file and line of its last frames."""
    cpu_s: float = 0.0
    memory_mb: float = 0.0
    """Most resident memory while the variant ran, the interpreter's own share included."""

    @property
    def is_fault(self) -> bool:
        """Whether it broke a promise."""
        return self.outcome.split(":")[0] in ("foreign", "hang", "signal", "memory")


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What became of one variant."""

    number: int
    base: str
    mutator: str
    is_whole_series: bool
    ending: Ending


def run(variants: Variants, numbers: Sequence[int]) -> Iterator[Result]:
    """The results, in order."""
    done = 0
    while done < len(numbers):
        with TemporaryDirectory(prefix="habitus-fuzz-") as folder:
            for result in _in_one_process(variants, numbers[done:], Path(folder)):
                done += 1
                yield result


def _in_one_process(variants: Variants, numbers: Sequence[int], folder: Path) -> Iterator[Result]:
    """Results until all are done or the process dies; its death is the last one's result."""
    receive, send = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(receive)
        _work(variants, numbers, folder, send)
    os.close(send)
    done = 0
    with os.fdopen(receive, encoding="utf-8") as lines:
        for line in lines:
            done += 1
            told = json.loads(line)
            yield Result(**told | {"ending": Ending(**told["ending"])})
    _, status = os.waitpid(child, 0)
    if done < len(numbers):
        yield _result(variants.make(numbers[done]), Ending(outcome=_death(status)))


def _death(status: int) -> str:
    if not os.WIFSIGNALED(status):
        return f"foreign: exit {os.WEXITSTATUS(status)}"
    number = os.WTERMSIG(status)
    is_clock = number in (signal.SIGPROF, signal.SIGALRM)
    return "hang" if is_clock else f"signal: {signal.Signals(number).name}"


def _result(variant: Variant, ending: Ending) -> Result:
    return Result(
        number=variant.number,
        base=variant.base,
        mutator=variant.mutator,
        is_whole_series=variant.is_whole_series,
        ending=ending,
    )


def _work(variants: Variants, numbers: Sequence[int], folder: Path, send: int) -> NoReturn:
    """In the child, which ends here."""
    status = 70
    try:
        _limit_memory()
        models = fake_models()
        for number in numbers:
            variant = variants.make(number)
            _lay_out(variants.bases[variants.base_of(number)], variant, folder / "series")
            result = _result(variant, _tried(variant, folder, models))
            os.write(send, (json.dumps(asdict(result)) + "\n").encode())
        status = 0
    finally:
        if status:
            traceback.print_exc()
        # Neither the parent's clean-up nor its test runner shall run a second time.
        os._exit(status)


def _lay_out(base: BaseSeries, variant: Variant, folder: Path) -> None:
    """The intact series with the variant's files in it."""
    folder.mkdir(exist_ok=True)
    for index, content in enumerate(base.files):
        (folder / f"{index:02d}.dcm").write_bytes(variant.files.get(index, content))


def _tried(variant: Variant, folder: Path, models: Models) -> Ending:
    """The outcome under the limits; past a limit of time the default action of a signal ends the process."""
    Path("/proc/self/clear_refs").write_text("5")
    signal.setitimer(signal.ITIMER_PROF, CPU_LIMIT_S)
    signal.setitimer(signal.ITIMER_REAL, WALL_LIMIT_S)
    started, place = time.process_time(), ""
    try:
        found = outcome(folder / "series", folder / "out", models, is_written=variant.is_written)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is the fault that is looked for
        found, place = f"foreign: {type(error).__name__}", _place(error)
    for timer in (signal.ITIMER_PROF, signal.ITIMER_REAL):
        signal.setitimer(timer, 0)
    memory_mb = _peak_mb()
    return Ending(
        outcome=f"memory: {memory_mb:.0f} MB" if memory_mb > MEMORY_LIMIT_MB else found,
        place=place,
        cpu_s=time.process_time() - started,
        memory_mb=memory_mb,
    )


def _peak_mb() -> float:
    """Since clear_refs was written (man 5 proc)."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024


def _place(error: BaseException) -> str:
    """The innermost frames, without values."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = [frame for frame in frames if "/inference/" in frame.filename][-2:]
    shown = [*ours, *frames[-1:]]
    return " > ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in shown)


def _limit_memory() -> None:
    mapped_pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = mapped_pages * resource.getpagesize() + (ADDRESS_SPACE_MB << 20)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

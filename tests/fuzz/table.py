"""The results of a run as text and as a table."""

from collections import Counter, defaultdict
from collections.abc import Sequence

from tests.fuzz.workers import CPU_LIMIT_S, MEMORY_LIMIT_MB, Result

ORTHANC = """## In front of the node

Orthanc parses every file before any plugin sees it, and 1.10.1 (Debian 12) is itself ended by sequences many thousand
levels deep and swallows a deflated file of any size. Only known peers may store, and only users with a password may post. A
service manager must start Orthanc again; what was taken before and after is analysed
(`tests/integration/test_fuzzed_node.py`)."""


def kind_of(outcome: str) -> str:
    """An outcome without the figures of a fault."""
    return "memory" if outcome.startswith("memory") else outcome


def summary(results: Sequence[Result]) -> str:
    """The distribution of outcomes, and the worst time and memory."""
    counts = Counter(kind_of(result.ending.outcome) for result in results)
    lines = [f"{count:6d}  {kind}" for kind, count in counts.most_common()]
    lines.append(f"{len(results):6d}  variants, {_faults(results)} faults")
    return "\n".join([*lines, _extremes(results), ""])


def markdown(results: Sequence[Result], seed: int) -> str:
    """The committed table."""
    by_mutator: defaultdict[str, list[Result]] = defaultdict(list)
    for result in results:
        by_mutator[result.mutator].append(result)
    bases = sorted({result.base for result in results})
    lines = [
        "# Damaged DICOM",
        "",
        f"`make fuzz`: {len(results)} damaged variants (seed {seed}) of {len(bases)} series of ten slices, in",
        f"{', '.join(bases)}.",
        "Each goes through `analyse_folder` (reading, grids, measuring, SEG, SR, pictures) with networks made of",
        "arithmetic, in a process of its own limits. The series are synthetic unless named real.",
        "",
        f"**{_faults(results)} faults.** A fault is a foreign exception, more than {CPU_LIMIT_S:g} s of CPU, a death by "
        f"signal, or more than {MEMORY_LIMIT_MB} MB.",
        f"{_extremes(results)}.",
        "",
        "| outcome | variants |",
        "|---|---|",
    ]
    counts = Counter(kind_of(result.ending.outcome) for result in results)
    lines += [f"| {kind} | {count} |" for kind, count in counts.most_common()]
    lines += ["", "| damage | variants | valid | typed error | fault |", "|---|---|---|---|---|"]
    for mutator, own in sorted(by_mutator.items()):
        valid = sum(result.ending.outcome.startswith("valid") for result in own)
        typed = len(own) - valid - _faults(own)
        name = mutator.replace("_", " ")
        lines.append(f"| {name} | {len(own)} | {valid} | {typed} | {_faults(own)} |")
    return "\n".join([*lines, "", ORTHANC, ""])


def _faults(results: Sequence[Result]) -> int:
    return sum(result.ending.is_fault for result in results)


def _extremes(results: Sequence[Result]) -> str:
    slowest = max(result.ending.cpu_s for result in results)
    largest = max(result.ending.memory_mb for result in results)
    return f"Slowest {slowest:.1f} s of CPU, most memory {largest:.0f} MB"

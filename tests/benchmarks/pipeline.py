"""make bench-pipeline: the whole default pipeline on a CT of 300 slices, from DICOM on disk to DICOM on disk."""

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from inference.domain.analysis_profile import load_profile
from inference.engine.model_store import SHIPPED_MODELS
from inference.engine.warm_up import warm_up
from inference.pipeline import RunIdentity, analyse_folder, load_models
from training.synthetic.case import explicit_field, make_case
from training.synthetic.demo_series import write_case

SEED = 5_900_000
SLICES, PIXELS = 300, 512
SPACING_MM = (2.0, 0.8, 0.8)
SHARE_BELOW_L3 = 0.4
"""Of the field, which reaches from the hip joints to the upper chest."""
REPEATS = 5
CORES = 2
PROFILES = ("abdomen", "l3")
LEVEL_STAGES = ("locate L3", "tissue", "measure")
TO_NUMBERS = ("choose", "read", *LEVEL_STAGES)
MOST_S = 60.0
MOST_LEVEL_S = 8.0
MOST_TO_NUMBERS_S = 5.0
MOST_MB = 30.0
ALL, LOADING = "all, files to files", "loading models (once per engine)"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """Seconds by stage of one run."""

    wall_s: Mapping[str, float]
    cpu_s: Mapping[str, float]
    """Of all threads: on a machine with nothing else to do the wall time is shorter."""
    peak_mb: float


class CpuClock:
    """CPU time by stage, from the progress that the pipeline tells."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began: dict[str, float] = {}

    def progress(self, stage: str, share: float) -> None:
        """Called at the start, now and then, and at the end of a stage."""
        now = time.process_time()
        self._began.setdefault(stage, now)
        if share >= 1.0:
            self.seconds[stage] = now - self._began[stage]


def main() -> int:
    """Print and write the table; 1 where a limit is passed."""
    parser = argparse.ArgumentParser(prog="tests.benchmarks.pipeline", description=__doc__)
    parser.add_argument("--repeats", type=int, default=REPEATS)
    parser.add_argument("--slices", type=int, default=SLICES)
    parser.add_argument("--models", type=Path, default=SHIPPED_MODELS)
    parser.add_argument("--out", type=Path, help="file for the table")
    parser.add_argument("--one", nargs=2, metavar=("SERIES", "PROFILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        series, profile = options.one
        sys.stdout.write(json.dumps(asdict(one_run(Path(series), profile, options.models))))
        return 0
    with TemporaryDirectory(prefix="habitus-pipeline-") as folder:
        series_dir = Path(folder) / "ct"
        write_ct(series_dir, options.slices)
        rows = {
            profile: [
                _in_a_process(series_dir, profile, options.models) for _ in range(options.repeats)
            ]
            for profile in PROFILES
        }
    models_mb = sizes_mb(options.models)
    text = table(rows, models_mb, options.slices)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return int(any(found > limit for _, found, limit in limits(rows, models_mb)))


def write_ct(folder: Path, slices: int) -> None:
    """A synthetic torso as a CT series."""
    lowest_mm = -SHARE_BELOW_L3 * slices * SPACING_MM[0]
    field = explicit_field(lowest_mm, lowest_mm + (slices - 0.5) * SPACING_MM[0])
    case = make_case(SEED, spacing_mm=SPACING_MM, shape_rc=(PIXELS, PIXELS), field=field)
    write_case(folder, case, seed=SEED, field="torso")


def _in_a_process(series_dir: Path, profile: str, models: Path) -> Taken:
    command = [sys.executable, "-m", "tests.benchmarks.pipeline", "--models", str(models), "--one"]
    done = subprocess.run(
        [*command, str(series_dir), profile], capture_output=True, check=True, text=True
    )
    return Taken(**json.loads(done.stdout))


def one_run(series_dir: Path, profile: str, models_folder: Path) -> Taken:
    """In a fresh process on two cores: networks loaded and warm, then one series."""
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:CORES])
    clock = CpuClock()
    began_s, began_cpu_s = time.perf_counter(), time.process_time()
    models = load_models(load_profile(profile), models_folder=models_folder)
    warm_up(models.loaded)
    loaded_s, loaded_cpu_s = time.perf_counter(), time.process_time()
    identity = RunIdentity(job_key="0" * 64, created=datetime(2024, 1, 10, tzinfo=UTC))
    with TemporaryDirectory(prefix="habitus-results-") as out:
        written = analyse_folder(series_dir, Path(out), models, identity, clock.progress)
    all_s, all_cpu_s = time.perf_counter() - loaded_s, time.process_time() - loaded_cpu_s
    return Taken(
        wall_s={LOADING: loaded_s - began_s, **written.report.seconds, ALL: all_s},
        cpu_s={LOADING: loaded_cpu_s - began_cpu_s, **clock.seconds, ALL: all_cpu_s},
        peak_mb=resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    )


def sizes_mb(folder: Path) -> dict[str, float]:
    """Of the networks of the default profile."""
    names = load_profile(PROFILES[0]).models
    return {name: (folder / name / "model.onnx").stat().st_size / 1e6 for name in names}


def limits(
    rows: Mapping[str, Sequence[Taken]], models_mb: Mapping[str, float]
) -> list[tuple[str, float, float]]:
    """What is limited, what was found, and the limit.

    Of wall and CPU time the smaller counts: other work on the machine lengthens the one, a second core the other.
    """
    whole, level = rows[PROFILES[0]], rows[PROFILES[1]]
    return [
        (
            "default profile, files to files, s",
            median(min(taken.wall_s[ALL], taken.cpu_s[ALL]) for taken in whole),
            MOST_S,
        ),
        ("L3 and tissue (locate, tissue, measure), s", _sum_s(level, LEVEL_STAGES), MOST_LEVEL_S),
        ("L3 and tissue, files to measurements, s", _sum_s(level, TO_NUMBERS), MOST_TO_NUMBERS_S),
        ("networks of the default profile, MB", sum(models_mb.values()), MOST_MB),
    ]


def _sum_s(taken: Sequence[Taken], stages: Sequence[str]) -> float:
    return median(
        min(sum(times[stage] for stage in stages) for times in (one.wall_s, one.cpu_s))
        for one in taken
    )


def table(rows: Mapping[str, Sequence[Taken]], models_mb: Mapping[str, float], slices: int) -> str:
    """Medians by stage."""
    repeats = len(rows[PROFILES[0]])
    load = os.getloadavg()[0]
    lines = [
        "`make bench-pipeline`",
        "",
        f"A synthetic CT of {slices} slices of {PIXELS} × {PIXELS} ({SPACING_MM[0]:g} × {SPACING_MM[1]:g} mm), uncompressed DICOM on disk,"
        f" page cache warm, to SEGs, SR and pictures on disk; {repeats} fresh processes on {CORES} cores, medians.",
        f"{platform.machine()}, Python {platform.python_version()}, OpenVINO {version('openvino')}, load {load:.1f}:"
        f" {'shared with other work, wall times are too long' if load > CORES + 0.5 else 'nothing else to do'}."
        " CPU time is that of all threads.",
        "",
        "| stage | " + " | ".join(f"`{p}` wall s | CPU s" for p in PROFILES) + " |",
        "|---|" + "---:|---:|" * len(PROFILES),
    ]
    for stage in rows[PROFILES[0]][0].wall_s:
        cells = [_cell(rows[profile], stage) for profile in PROFILES]
        lines.append(f"| {stage} | {' | '.join(cells)} |")
    memory = [f"{median(taken.peak_mb for taken in rows[p]):.0f} MB | " for p in PROFILES]
    lines += [
        f"| peak memory | {' | '.join(memory)}|",
        "",
        "| | found | at most |",
        "|---|---:|---:|",
    ]
    for what, found, limit in limits(rows, models_mb):
        verdict = "" if found <= limit else " **passed**"
        lines.append(f"| {what} | {found:.1f} | {limit:.0f}{verdict} |")
    lines += ["", "Networks: " + ", ".join(f"{n} {mb:.1f} MB" for n, mb in models_mb.items()) + "."]
    return "\n".join(lines) + "\n"


def _cell(taken: Sequence[Taken], stage: str) -> str:
    if stage not in taken[0].wall_s:
        return "| "
    return f"{median(t.wall_s[stage] for t in taken):.2f} | {median(t.cpu_s[stage] for t in taken):.2f}"


if __name__ == "__main__":
    sys.exit(main())

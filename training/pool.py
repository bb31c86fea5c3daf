"""A pool of synthetic examples made by many processes; a seed that fails costs one process start, never the pool."""

import multiprocessing
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

import numpy as np

from inference.domain.errors import ConfigurationInvalid, InferenceFailed
from inference.domain.volume import Volume
from training.origins import PAINTED, PAINTED_KINDS, record_templates
from training.pool_painted import write_central, write_painted
from training.pool_samples import (
    RANDOM_FIELDS_PER_SCAN,
    THICKNESS_MM,
    TISSUE_SHAPE_RC,
    TISSUE_STEP_MM,
    TORSO_SHAPE_RC,
    TORSO_STEP_MM,
    projection_sample,
    random_field,
    slice_levels_mm,
    slice_sample,
    torso_sample,
)
from training.samples import SliceSample, TorsoSample, sample_files, seed_of
from training.synthetic.anatomy import TRAINING, sample_anatomy
from training.synthetic.case import grid_for, make_case
from training.synthetic.painting import paint, sample_acquisition
from training.synthetic.torso import label_map

FIRST_UNSEEN_SEED = 1_000_000
"""Seeds from here on belong to evaluation."""
SCANS_PER_TORSO = 2
POLL_S = 0.5
REPORT_EVERY_S = 10.0
FAILURES_BEFORE_GIVING_UP = 20
"""Failed processes that are more than the examples made: the generator is broken, not a seed."""

KINDS = ("torso", "slices", *PAINTED_KINDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolOrder:
    """What to make, with how many processes, until when."""

    kind: str
    out: Path
    workers: int
    first_seed: int
    count: int
    """Anatomies; 0: as many as the time allows."""
    seconds: float | None
    templates: tuple[Path, ...] = ()
    """Files of python -m training.templates build; for the painted kinds."""

    def __post_init__(self) -> None:
        rules = {
            f"kind {self.kind!r}": self.kind in KINDS,
            f"kind {self.kind} and {len(self.templates)} templates": (self.kind in PAINTED_KINDS)
            == bool(self.templates),
            f"{self.workers} workers": self.workers >= 1,
            "neither a count nor seconds": self.count > 0 or self.seconds is not None,
            f"seeds from {self.first_seed}": 0 <= self.first_seed < FIRST_UNSEEN_SEED - self.count,
        }
        for found, holds in rules.items():
            if not holds:
                raise ConfigurationInvalid(
                    found=found,
                    wanted="--template with --kind templates or central and only there, --workers from 1, --count or --seconds, "
                    f"seeds below {FIRST_UNSEEN_SEED}: those from there on belong to evaluation",
                    advice="See python -m training pool --help.",
                )


def make_pools(orders: Sequence[PoolOrder]) -> dict[str, int]:
    """Make pools side by side; the number of anatomies of each kind now in the pool."""
    for order in orders:
        record_templates(order.out, order.templates)
    crews = [_Crew(order) for order in orders]
    reported = time.monotonic()
    while [crew for crew in crews if crew.is_working()]:
        time.sleep(POLL_S)
        if time.monotonic() - reported > REPORT_EVERY_S:
            reported = time.monotonic()
            _say("  ".join(crew.progress() for crew in crews))
    _say("  ".join(crew.progress() for crew in crews))
    for crew in crews:
        crew.require_whole_examples()
    return {crew.order.kind: crew.made() for crew in crews}


class _Crew:
    """The processes of one order; they share a counter of seeds, so a dead one leaves nothing undone but its seed."""

    def __init__(self, order: PoolOrder) -> None:
        self.order = order
        self._context = multiprocessing.get_context("spawn")
        self._deadline = time.time() + order.seconds if order.seconds is not None else None
        first = max([order.first_seed, *(seed + 1 for seed in self._seeds())])
        self._last_seed = first + order.count if order.count else FIRST_UNSEEN_SEED
        self._next_seed = self._context.Value("q", first)
        self._failures = 0
        self._before = self.made()
        # numpy's own threads would only fight with the other workers; children inherit this.
        os.environ["OMP_NUM_THREADS"] = "1"
        os.environ["OPENBLAS_NUM_THREADS"] = "1"
        self._workers = [self._start() for _ in range(order.workers)]

    def _seeds(self) -> list[int]:
        kind = SliceSample if self.order.kind == "slices" else TorsoSample
        is_painted = self.order.kind in PAINTED_KINDS
        paths = sample_files(self.order.out, kind)
        return [seed_of(path) for path in paths if (PAINTED in path.stem) is is_painted]

    def _start(self) -> SpawnProcess:
        process = self._context.Process(
            target=work,
            args=(self.order, self._next_seed, self._last_seed, self._deadline),
            daemon=True,
        )
        process.start()
        return process

    def is_working(self) -> bool:
        """Replace workers that a seed has killed; raises InferenceFailed when nothing works."""
        for index, worker in enumerate(self._workers):
            if worker.exitcode not in (None, 0):
                self._failures += 1
                _say(
                    f"{self.order.kind}: a seed was skipped, its process ended with {worker.exitcode}"
                )
                self._stop_when_hopeless()
                self._workers[index] = self._start()
        return any(worker.is_alive() for worker in self._workers)

    def _stop_when_hopeless(self) -> None:
        made = self.made() - self._before
        if self._failures > FAILURES_BEFORE_GIVING_UP + made:
            for worker in self._workers:
                worker.terminate()
            raise self._broken(made)

    def require_whole_examples(self) -> None:
        """A seed that fails may leave its first examples: where as many failed as left any, none may be whole."""
        made = self.made() - self._before
        if self._failures and self._failures >= made:
            raise self._broken(made)

    def _broken(self, made: int) -> InferenceFailed:
        return InferenceFailed(
            found=f"{self._failures} failed seeds, and {made} that left examples of {self.order.kind}",
            wanted="a generator that works",
            advice="The first traceback above names the fault.",
        )

    def made(self) -> int:
        """Anatomies in the pool."""
        return len(set(self._seeds()))

    def progress(self) -> str:
        """For one line of text."""
        wanted = f" of {self._before + self.order.count}" if self.order.count else ""
        return f"{self.order.kind} {self.made()}{wanted} (skipped {self._failures})"


def work(
    order: PoolOrder, next_seed: "Synchronized[int]", last_seed: int, deadline: float | None
) -> None:
    """One process: seeds from the counter until they or the time are used up; any error ends the process."""
    # A trainer's own process must not starve while the pool grows beside it.
    os.nice(5)
    crew = multiprocessing.parent_process()
    while deadline is None or time.time() < deadline:
        # A crew that was ended by force takes its workers with it.
        if crew is not None and not crew.is_alive():
            return
        with next_seed.get_lock():
            seed = next_seed.value
            next_seed.value += 1
        if seed >= last_seed:
            return
        match order.kind:
            case "torso":
                write_torso(seed, order.out)
            case "slices":
                write_slices(seed, order.out)
            case "central":
                write_central(seed, order.out, order.templates)
            case _:
                write_painted(seed, order.out, order.templates)


def write_torso(seed: int, out: Path) -> None:
    """One anatomy scanned several times; of each scan the torso, and projections of it whole and of random fields."""
    case = make_case(seed, spacing_mm=TORSO_STEP_MM, shape_rc=TORSO_SHAPE_RC)
    rng = np.random.default_rng([seed, 1])
    for scan in range(SCANS_PER_TORSO):
        # Shapes cost seven times what painting them costs.
        acquisition = sample_acquisition(rng, TRAINING) if scan else case.acquisition
        hu = paint(case.tissue_labels, case.anatomy, acquisition, case.grid, rng)
        volume = Volume(hu=hu, affine_lps=case.volume.affine_lps)
        fields = [volume, *(random_field(volume, rng) for _ in range(RANDOM_FIELDS_PER_SCAN))]
        for number, field in enumerate(fields):
            sample = projection_sample(field, case.anatomy.vertebrae)
            sample.write(out / "projections" / f"{seed:06d}-{scan}-{number}.npz")
        torso = torso_sample(volume, case.tissue_labels, case.anatomy.vertebrae)
        torso.write(out / "torso" / f"{seed:06d}-{scan}.npz")


def write_slices(seed: int, out: Path) -> None:
    """Single slices of one anatomy, each of its own thickness and its own scan."""
    rng = np.random.default_rng([seed, 2])
    anatomy = sample_anatomy(rng, TRAINING)
    images, labels = [], []
    for z_mm in slice_levels_mm(anatomy.vertebrae, rng):
        scan = sample_acquisition(rng, TRAINING)
        spacing_mm = (float(rng.uniform(*THICKNESS_MM)), *TISSUE_STEP_MM)
        grid = grid_for(anatomy, (z_mm, z_mm), spacing_mm, TISSUE_SHAPE_RC, rng)
        tissues = label_map(anatomy, grid, with_table=scan.has_table)
        images.append(paint(tissues, anatomy, scan, grid, rng)[0])
        labels.append(tissues[0])
    slice_sample(images, labels).write(out / "slices" / f"{seed:06d}.npz")


def _say(text: str) -> None:
    sys.stderr.write(f"pool       {text}\n")
    sys.stderr.flush()

"""Look at every case once: everything that is wrong with it, and the facts that the report shows."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from inference.domain.errors import HabitusError, OutOfMemory
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import OrganResult
from inference.stages.measure import measure_organs
from training.data.cases import LabelledCase, LabelledVolume, Loaded, labelled, unreadable
from training.data.problems import Problem, errors_of
from training.data.value_checks import grid_doubts, hu_doubts, label_doubts, side_doubts
from training.label_names import OUR_NUMBERS
from training.workers import worker_pool

HISTOGRAM_HU = (-1100, 1500, 20)
"""First edge, last edge, width; what lies outside counts in the outermost bins."""
STRUCTURES: Mapping[int, Structure] = {OUR_NUMBERS[s.value]: s for s in Structure}


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Of one case that could be read."""

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    hu_counts: tuple[int, ...]
    """Voxels per bin of HISTOGRAM_HU."""
    volumes_ml: Mapping[str, float]
    """Of what is there."""
    mean_hu: Mapping[str, float]
    cut: frozenset[str]
    """What the field of view cuts."""
    labelled: frozenset[str]
    """What the data set labels in this case, there or not."""
    image_hash: str
    """Of voxels, not of files: the same CT compressed anew is the same."""
    labels_hash: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Examination:
    """What was seen of a case."""

    name: str
    patient: str
    problems: tuple[Problem, ...]
    facts: Facts | None
    """None where it cannot be read."""


Progress = Callable[[int, int, str], None]
"""Cases done, all, the name of the last."""


def examine(case: LabelledCase) -> Examination:
    """Never raises what a case's own files can cause."""
    try:
        loaded = case.source.load()
    except HabitusError as refusal:
        return _examination(case, [Problem.of(refusal, "image or label")], None)
    except MemoryError:
        return _examination(case, [_too_large()], None)
    problems = [*loaded.remarks, *unreadable(loaded)]
    if errors_of(problems):
        return _examination(case, problems, None)
    unsound = list(hu_doubts(loaded.volume.hu))
    facts, organs = facts_of(loaded)
    # Densities of what is no HU would only say the same once more for every organ.
    means = {} if errors_of(unsound) else facts.mean_hu
    problems += [*grid_doubts(loaded.volume), *unsound]
    problems += [*label_doubts(facts.volumes_ml, means), *side_doubts(organs)]
    return _examination(case, problems, facts)


def _examination(
    case: LabelledCase, problems: Iterable[Problem], facts: Facts | None
) -> Examination:
    return Examination(
        name=case.name,
        patient=case.patient,
        problems=tuple(problem.at(case.name) for problem in problems),
        facts=facts,
    )


def _too_large() -> Problem:
    return Problem(
        where="image",
        found="more voxels than this machine's memory holds",
        wanted="a case that fits",
        advice="Crop it, or resample it to thicker slices.",
    )


def facts_of(loaded: Loaded) -> tuple[Facts, tuple[OrganResult, ...]]:
    """Sizes, densities and volumes; by the functions that the node measures with."""
    read = labelled(loaded)
    volume = read.volume
    organs = measure_organs(
        volume,
        LabelMap(
            labels=read.labels,
            affine_lps=volume.affine_lps,
            structures=STRUCTURES,
            slice_places=volume.slice_places,
        ),
    )
    volumes = {organ.structure.value: organ.volume_ml for organ in organs}
    means = {o.structure.value: o.mean_hu for o in organs if o.mean_hu is not None}
    for name, number in OUR_NUMBERS.items():
        if number not in STRUCTURES and (mask := read.labels == number).any():
            volumes[name] = volume.volume_ml(mask)
            means[name] = float(volume.hu[mask].mean())
    facts = Facts(
        shape=volume.shape,
        spacing_mm=volume.spacing_mm,
        hu_counts=tuple(histogram(volume.hu)),
        volumes_ml=volumes,
        mean_hu=means,
        cut=frozenset(_cut(read, organs)),
        labelled=read.names,
        image_hash=voxel_hash(volume.hu),
        labels_hash=voxel_hash(read.labels),
    )
    return facts, organs


def _cut(read: LabelledVolume, organs: Iterable[OrganResult]) -> Iterator[str]:
    yield from (organ.structure.value for organ in organs if organ.is_incomplete)
    for name, number in OUR_NUMBERS.items():
        if number not in STRUCTURES and (read.labels[[0, -1]] == number).any():
            yield name


def histogram(hu: npt.NDArray[np.generic]) -> list[int]:
    """Voxels per bin, a slice at a time."""
    low, high, width = HISTOGRAM_HU
    counts = np.zeros((high - low) // width, np.int64)
    for plane in hu:
        bins = (np.clip(plane.astype(np.int32), low, high - 1) - low) // width
        counts += np.bincount(bins.ravel(), minlength=counts.size)
    return [int(count) for count in counts]


def voxel_hash(voxels: npt.NDArray[np.generic]) -> str:
    """Of voxels and their arrangement."""
    digest = hashlib.blake2b(repr(voxels.shape).encode(), digest_size=16)
    digest.update(np.ascontiguousarray(voxels).data)
    return digest.hexdigest()


def examine_all(
    cases: Sequence[LabelledCase], progress: Progress | None = None, workers: int = 1
) -> list[Examination]:
    """In the order of the cases; an interrupt ends all processes."""
    done = []
    for examination in _each(cases, workers):
        done.append(examination)
        if progress is not None:
            progress(len(done), len(cases), examination.name)
    return done


def _each(cases: Sequence[LabelledCase], workers: int) -> Iterator[Examination]:
    if workers < 2:
        yield from map(examine, cases)
        return
    try:
        with worker_pool(workers) as pool:
            yield from pool.map(examine, cases)
    except BrokenProcessPool as problem:
        raise OutOfMemory(
            found="a process that was ended while it looked at a case",
            wanted="memory for every worker: about 1.5 GB for 224 slices of 512 × 512",
            advice="Call again with fewer --workers.",
        ) from problem

"""One geometry through the product's writers, then through every validator and every other reader."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from inference.domain.analysis_profile import load_profile
from inference.domain.labelmap import TISSUES
from inference.domain.measurement import Report
from inference.measure_findings import Facts
from inference.pipeline import Stopwatch, analyse_volume, load_models, silent
from tests.conformance.comparison import (
    centroid_errors,
    centroids_by_headers,
    number_errors,
    offsets_mm,
    report_numbers,
)
from tests.conformance.geometry_cases import Geometry, write_case
from tests.conformance.other_readers import (
    Centroids,
    ReaderFailed,
    dcmqi_centroids,
    dcmqi_numbers,
    highdicom_centroids,
)
from tests.conformance.truth_analysis import true_analysis, write_objects
from tests.conformance.validators import VALIDATORS, dcentvfy, is_warning, kind_of
from tests.synthetic_series import chosen_series

PROFILE = "abdomen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What every program said about one object, or about the files of one kind."""

    geometry: str
    what: str
    files: int = 1
    errors: Mapping[str, Sequence[str]]
    """By program; an empty list is a clean bill."""
    warnings: Sequence[str] = ()
    off_mm: Mapping[str, float] = field(default_factory=dict)
    """The largest distance between a reader's mask centroid and the true one, by reader."""
    numbers: int = 0
    """How many of the report's numbers a reader had to find."""


def check_geometry(geometry: Geometry, folder: Path, *, seed: int) -> list[Row]:
    """Write the CT and its results from the true masks, and check all of them."""
    truth = write_case(geometry, folder / "ct", seed=seed)
    series = chosen_series(folder / "ct")
    analysis = true_analysis(series, truth)
    files = write_objects(series, analysis, folder / "results")
    return [
        _ct_row(geometry, folder / "ct"),
        *check_results(geometry, files, analysis.report, truth.centroids_mm),
        _together(geometry, folder / "ct", files),
    ]


def check_pipeline(geometry: Geometry, folder: Path, *, seed: int) -> list[Row]:
    """The same with the shipped networks: their masks, whatever they are, must arrive unmoved."""
    write_case(geometry, folder / "ct", seed=seed)
    series = chosen_series(folder / "ct")
    facts = Facts(patient=series.patient, contrast=series.contrast, kvp=series.kvp)
    models = load_models(load_profile(PROFILE))
    analysis = analyse_volume(series.volume, facts, models, Stopwatch(silent))
    files = write_objects(series, analysis, folder / "results")
    expected = {
        structure: centroid
        for labels in (analysis.tissues, analysis.organs)
        if labels is not None
        for structure, centroid in centroids_by_headers(labels, series).items()
    }
    rows = [
        *check_results(geometry, files, analysis.report, expected),
        _together(geometry, folder / "ct", files),
    ]
    return [replace(row, geometry=f"{row.geometry}, shipped networks") for row in rows]


def check_results(
    geometry: Geometry, files: Mapping[str, Path], report: Report, expected: Centroids
) -> list[Row]:
    """One row for each DICOM object by role."""
    return [
        _result_row(geometry, role, path, report, expected)
        for role, path in files.items()
        if path.suffix == ".dcm"
    ]


def _result_row(
    geometry: Geometry, role: str, path: Path, report: Report, expected: Centroids
) -> Row:
    kind = kind_of(path)
    said = {name: check(path) for name, check in VALIDATORS[kind].items()}
    row = _row(geometry, f"{kind} ({role})", 1, said)
    if kind.startswith("SEG"):
        is_tissue = "tissues" in role
        wanted = {s: point for s, point in expected.items() if (s in TISSUES) == is_tissue}
        return _with_centroids(row, path, wanted, geometry.half_voxel_mm)
    if kind.startswith("SR"):
        return _with_numbers(row, path, report)
    return row


def _with_centroids(row: Row, path: Path, wanted: Centroids, most_mm: float) -> Row:
    errors: dict[str, Sequence[str]] = dict(row.errors)
    off_mm: dict[str, float] = {}
    readers: Mapping[str, Callable[[], Centroids]] = {
        "highdicom": partial(highdicom_centroids, path),
        "dcmqi": partial(dcmqi_centroids, path, path.with_suffix(".dcmqi")),
    }
    for name, read in readers.items():
        try:
            found = read()
        except ReaderFailed as failure:
            errors[name] = [str(failure)]
            continue
        errors[name] = centroid_errors(found, wanted, most_mm)
        off_mm[name] = max(offsets_mm(found, wanted).values(), default=float("nan"))
    return replace(row, errors=errors, off_mm=off_mm)


def _with_numbers(row: Row, path: Path, report: Report) -> Row:
    try:
        found = number_errors(dcmqi_numbers(path, path.with_suffix(".dcmqi")), report)
    except ReaderFailed as failure:
        found = [str(failure)]
    return replace(row, errors={**row.errors, "dcmqi": found}, numbers=len(report_numbers(report)))


def _ct_row(geometry: Geometry, folder: Path) -> Row:
    """The first, middle and last file stand for the series."""
    paths = sorted(folder.iterdir())
    chosen = [paths[0], paths[len(paths) // 2], paths[-1]]
    said = {
        name: [line for path in chosen for line in check(path)]
        for name, check in VALIDATORS["CT"].items()
    }
    return _row(geometry, "CT", len(chosen), said)


def _together(geometry: Geometry, ct_folder: Path, files: Mapping[str, Path]) -> Row:
    results = [path for path in files.values() if path.suffix == ".dcm"]
    every = [*sorted(ct_folder.iterdir()), *results]
    return _row(geometry, "all together", len(every), {"dcentvfy": dcentvfy(every)})


def _row(geometry: Geometry, what: str, files: int, said: Mapping[str, Sequence[str]]) -> Row:
    return Row(
        geometry=geometry.name,
        what=what,
        files=files,
        errors={
            name: [line for line in lines if not is_warning(line)] for name, lines in said.items()
        },
        warnings=[line for lines in said.values() for line in lines if is_warning(line)],
    )

"""What an analysis would hand to the writers if it had found exactly the truth of a synthetic series."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.dicom.ct_series import CtSeries
from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import Level, ModelUse, Quantity, Report
from inference.domain.outcome import Analysis
from inference.domain.seg_encoding import SegEncoding
from inference.domain.volume import axis_flips, canonical, flip
from inference.pipeline import RunIdentity, Stopwatch, silent, write_results
from inference.stages.cut_offs import cut_offs_for
from inference.stages.measure import (
    indices,
    measure_body_composition,
    measure_organs,
    slab_weights,
    value_of,
)
from tests.conformance.geometry_cases import ORGAN_LABELS, TISSUE_LABELS, Truth

CREATED = datetime(2026, 1, 2, 3, 4, 5)
MODELS = tuple(
    ModelUse(name=name, version="1.0.0", sha256=digit * 64, provider="cpu", task=name)
    for name, digit in (("l3-level", "a"), ("l3-tissue", "b"), ("organs", "c"))
)


def write_objects(
    series: CtSeries,
    analysis: Analysis,
    folder: Path,
    encodings: tuple[SegEncoding, ...] = tuple(SegEncoding),
) -> dict[str, Path]:
    """Every result of a series by role, written by the product itself."""
    identity = RunIdentity(job_key=series.series_uid, created=CREATED, encodings=encodings)
    return dict(write_results(series, analysis, identity, folder, Stopwatch(silent)).files)


def true_analysis(series: CtSeries, truth: Truth) -> Analysis:
    """The true masks on the grid of a series that was read, and the numbers the product measures on them."""
    tissues = _on_grid(series, truth.tissues_of_slice, TISSUE_LABELS)
    organs = _on_grid(series, truth.organs_of_slice, ORGAN_LABELS)
    return Analysis(report=_report(series, truth, tissues, organs), tissues=tissues, organs=organs)


def _on_grid(
    series: CtSeries,
    slices: Mapping[str, npt.NDArray[np.uint8]],
    structures: Mapping[int, Structure],
) -> LabelMap:
    """Slices told by their UID, never by a position: the reader's order is not trusted here."""
    return LabelMap(
        labels=np.stack([slices[str(header.SOPInstanceUID)] for header in series.headers]),
        affine_lps=series.volume.affine_lps,
        structures=structures,
    )


def _report(series: CtSeries, truth: Truth, tissues: LabelMap, organs: LabelMap) -> Report:
    upright, windows = canonical(series.volume), HuWindows()
    flips = axis_flips(series.volume.affine_lps)
    uids = [str(header.SOPInstanceUID) for header in series.headers]
    source_slice = uids.index(truth.l3_sop_uid)
    slice_index = len(uids) - 1 - source_slice if flips[0] else source_slice
    z_mm = float(upright.affine_lps[2, 3] + slice_index * upright.affine_lps[2, 0])
    extent_mm = (z_mm - truth.l3_half_height_mm, z_mm + truth.l3_half_height_mm)
    level = Level(slice_index=slice_index, z_mm=z_mm, confidence=0.9, extent_mm=extent_mm)
    composition = measure_body_composition(upright, _flipped(tissues, flips), level, windows)
    area_cm2 = value_of(composition, Quantity.AREA, Structure.SKELETAL_MUSCLE) or 0.0
    composition += indices(area_cm2, series.patient)
    return Report(
        patient=series.patient,
        level=Level(slice_index=source_slice, z_mm=z_mm, confidence=0.9, extent_mm=level.extent_mm),
        contrast=series.contrast,
        kvp=series.kvp,
        body_composition=composition,
        slab_height_mm=float(slab_weights(upright, extent_mm).sum()),
        cut_offs=cut_offs_for(composition, series.patient, ("kr-kim-2021",)),
        organs=measure_organs(upright, _flipped(organs, flips)),
        definitions=windows.in_words(),
        flags=("masks of a synthetic truth, no network ran", "합성 영상"),
        models=MODELS,
    )


def _flipped(labels: LabelMap, flips: tuple[bool, bool, bool]) -> LabelMap:
    return LabelMap(
        labels=np.ascontiguousarray(flip(labels.labels, flips)),
        affine_lps=labels.affine_lps,
        structures=labels.structures,
    )

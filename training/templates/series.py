"""A painted patient as a DICOM series, for `habitus synth --template`."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any

from inference.domain.volume import Volume
from training.synthetic.attenuation import Phase
from training.synthetic.demo_series import TABLE_HEIGHT_MM, SeriesTruth, counted_truth
from training.synthetic.series import SeriesHeader, write_series
from training.templates.case import FieldChoice, FieldKind, make_painted_case
from training.templates.patient import Patient
from training.templates.template import Template


def _abdomen(patient: Patient) -> tuple[float, float]:
    low, high = patient.reach_mm
    return max(low, patient.vertebrae["S1"].z_low_mm - 50), min(
        high, patient.vertebrae["T12"].z_high_mm + 70
    )


def _about_l3(patient: Patient) -> tuple[float, float]:
    low, high = patient.l3_extent_mm
    return low - 85, high + 80


FIELDS: Mapping[str, FieldKind | FieldChoice] = MappingProxyType(
    {
        "torso": FieldKind.WHOLE,
        "abdomen": _abdomen,
        "l3": _about_l3,
        "chest": FieldKind.CHEST,
        "pelvis": FieldKind.PELVIS,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateOrder:
    """Which patient, and what is scanned of him."""

    template: Path
    seed: int
    field: str
    shape_rc: tuple[int, int]
    spacing_mm: tuple[float, float, float]


def write_template_series(
    folder: Path, order: TemplateOrder, changes: Mapping[str, Any]
) -> SeriesTruth:
    """Write the series and return its truth; `changes` replace fields of the SeriesHeader."""
    case = make_painted_case(
        Template.read(order.template),
        order.seed,
        spacing_mm=order.spacing_mm,
        shape_rc=order.shape_rc,
        field=FIELDS[order.field],
    )
    affine = case.volume.affine_lps.copy()
    affine[2, 3] += TABLE_HEIGHT_MM
    has_contrast = case.scan.acquisition.phase != Phase.NONE
    header = SeriesHeader(
        seed=order.seed,
        series_description=f"Painted {order.field}",
        contrast_agent="Synthetic agent" if has_contrast else None,
    )
    write_series(Volume(hu=case.volume.hu, affine_lps=affine), replace(header, **changes), folder)
    l3_z_mm = case.vertebrae["L3"].centre_lps_mm[2] if case.has_l3 else None
    return counted_truth(case.volume, case.tissue_labels, l3_z_mm)

"""One synthetic patient as numbers, the ranges they are drawn from, and the drawing."""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from enum import StrEnum
from types import MappingProxyType

import numpy as np

from training.synthetic.spine import SpineForm, Vertebra, vertebrae

Interval = tuple[float, float]
Intervals = tuple[Interval, ...]
"""Disjoint intervals a value is drawn from, in proportion to their lengths."""

MOVABLE = (
    "liver",
    "kidney_right",
    "kidney_left",
    "spleen",
    "pancreas",
    "gallbladder",
    "stomach",
    "duodenum",
    "heart",
    "bladder",
)
"""What has a shift and a size of its own."""


class Arms(StrEnum):
    """Where the arms are."""

    UP = "up"
    DOWN = "down"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class Anatomy:
    """All shape parameters of one patient; body frame LPS mm, x = 0 midline, z = 0 middle of L3."""

    sex: str
    """"M" or "F"."""
    age_years: float
    height_m: float
    weight_kg: float
    spine: SpineForm
    width_scale: float
    depth_scale: float
    sat_mm: float
    """Mean thickness of the subcutaneous fat at L3."""
    sat_front: float
    sat_side: float
    sat_back: float
    sat_hip: float
    """Factors on `sat_mm`."""
    skin_mm: float
    vat_mm: float
    """How far visceral fat pushes the front wall forwards at L3."""
    muscle_scale: float
    myosteatosis: float
    """0..1: how much fat lies within the muscles."""
    alba_mm: float
    """Width of the linea alba at L3."""
    bowel_fill: float
    """0..1: how much of the abdomen the small bowel fills."""
    bowel_gas: float
    """0..1: how much of a bowel loop is gas."""
    warp_mm: float
    arms: Arms
    organ_shift_mm: Mapping[str, tuple[float, float, float]]
    organ_scale: Mapping[str, float]
    has_gallbladder: bool
    detail_seed: int
    vertebrae: Mapping[str, Vertebra]
    """T1 … T12, L1 … Ln, S1."""

    @property
    def l3_z_mm(self) -> float:
        """The middle of the third lumbar body."""
        return self.vertebrae["L3"].centre_lps_mm[2]

    @property
    def l3_extent_mm(self) -> Interval:
        """Lower and upper end of the third lumbar body."""
        l3 = self.vertebrae["L3"]
        return l3.z_low_mm, l3.z_high_mm

    @property
    def lumbar_count(self) -> int:
        """Lumbar bodies: 4, 5 or 6."""
        return self.spine.lumbar_count


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranges:
    """Every range a patient or an acquisition is drawn from."""

    stature_scale: Intervals = ((0.93, 1.08),)
    width_scale: Intervals = ((0.92, 1.10),)
    depth_scale: Intervals = ((0.92, 1.10),)
    lordosis: Intervals = ((0.6, 1.3),)
    kyphosis: Intervals = ((0.6, 1.3),)
    scoliosis_mm: Intervals = ((-6.0, 6.0),)
    sat_mm: Intervals = ((8.0, 34.0),)
    sat_front: Intervals = ((0.7, 1.25),)
    sat_side: Intervals = ((0.7, 1.1),)
    sat_back: Intervals = ((0.8, 1.4),)
    sat_hip: Intervals = ((1.0, 1.5),)
    skin_mm: Intervals = ((1.4, 2.4),)
    vat_mm: Intervals = ((-16.0, 40.0),)
    muscle_scale: Intervals = ((0.76, 1.18),)
    myosteatosis: Intervals = ((0.0, 0.8),)
    alba_mm: Intervals = ((3.0, 22.0),)
    bowel_fill: Intervals = ((0.25, 1.0),)
    bowel_gas: Intervals = ((0.0, 0.8),)
    warp_mm: Intervals = ((1.5, 4.0),)
    organ_shift_mm: Intervals = ((-7.0, 7.0),)
    organ_scale: Intervals = ((0.86, 1.16),)
    age_years: Intervals = ((20.0, 88.0),)
    lumbar_weights: tuple[float, float, float] = (0.04, 0.91, 0.05)
    """How often there are 4, 5 and 6 lumbar bodies."""
    phase_weights: tuple[float, float, float, float] = (0.3, 0.15, 0.42, 0.13)
    """How often a scan is without contrast, arterial, portal and late."""
    noise_hu: Intervals = ((5.0, 28.0),)
    noise_correlation_mm: Intervals = ((0.3, 1.2),)
    psf_mm: Intervals = ((0.3, 1.1),)
    scanner_offset_hu: Intervals = ((-3.0, 3.0),)


TRAINING = Ranges()
"""What networks are trained on."""

MOSTLY_PLAIN = replace(TRAINING, phase_weights=(0.55, 0.1, 0.25, 0.1))
"""For patients painted from label maps: without contrast the wall of a vessel is the hardest to see."""

UNSEEN = replace(
    TRAINING,
    stature_scale=((0.87, 0.93), (1.08, 1.14)),
    lordosis=((0.4, 0.6), (1.3, 1.6)),
    sat_mm=((4.5, 8.0), (34.0, 46.0)),
    muscle_scale=((0.64, 0.76), (1.18, 1.3)),
    organ_scale=((0.78, 0.86), (1.16, 1.26)),
    noise_hu=((28.0, 36.0),),
)
"""The same people outside the training ranges in six parameters: never train on these."""


def draw(rng: np.random.Generator, intervals: Intervals) -> float:
    """A uniform value from the intervals."""
    lengths = np.array([high - low for low, high in intervals])
    low, high = intervals[int(rng.choice(len(intervals), p=lengths / lengths.sum()))]
    return float(rng.uniform(low, high))


def sample_anatomy(rng: np.random.Generator, ranges: Ranges) -> Anatomy:
    """One patient."""
    values = {
        f.name: draw(rng, getattr(ranges, f.name))
        for f in fields(Ranges)
        if f.name in Anatomy.__dataclass_fields__
        and f.name not in ("organ_shift_mm", "organ_scale")
    }
    spine = SpineForm(
        stature_scale=draw(rng, ranges.stature_scale),
        lordosis=draw(rng, ranges.lordosis),
        kyphosis=draw(rng, ranges.kyphosis),
        scoliosis_mm=draw(rng, ranges.scoliosis_mm),
        lumbar_count=int(rng.choice([4, 5, 6], p=ranges.lumbar_weights)),
    )
    sex = str(rng.choice(["M", "F"]))
    if sex == "F":
        values["sat_hip"] *= 1.12
        values["vat_mm"] *= 0.75
        values["muscle_scale"] *= 0.9
        values["width_scale"] *= 0.98
    height_m = 1.72 * spine.stature_scale + float(rng.normal(0, 0.03)) - 0.03 * (sex == "F")
    shift = {name: _shift_mm(rng, ranges) for name in MOVABLE}
    return Anatomy(
        sex=sex,
        height_m=round(height_m, 3),
        weight_kg=round(_weight_kg(values, height_m), 1),
        spine=spine,
        arms=Arms(rng.choice(["up", "down", "outside"], p=[0.7, 0.15, 0.15])),
        organ_shift_mm=MappingProxyType(shift),
        organ_scale=MappingProxyType({n: draw(rng, ranges.organ_scale) for n in MOVABLE}),
        has_gallbladder=bool(rng.random() < 0.92),
        detail_seed=int(rng.integers(1 << 31)),
        vertebrae=MappingProxyType(vertebrae(spine)),
        **values,
    )


def _shift_mm(rng: np.random.Generator, ranges: Ranges) -> tuple[float, float, float]:
    """One organ's own displacement."""
    x, y, z = (draw(rng, ranges.organ_shift_mm) for _ in range(3))
    return x, y, z


def _weight_kg(values: Mapping[str, float], height_m: float) -> float:
    """Weight in proportion to the ellipse of the waist times the height (75 kg for 640 cm² at 1.75 m)."""
    half_width_cm = (137 * values["width_scale"] + values["sat_mm"] * values["sat_side"]) / 10
    depth_cm = (165 * values["depth_scale"] + values["vat_mm"] + 2 * values["sat_mm"]) / 10
    area_cm2 = np.pi / 2 * half_width_cm * depth_cm
    return float(np.clip(75.0 * area_cm2 / 560.0 * height_m / 1.75, 35.0, 220.0))

"""The spine grammar: which vertebrae a patient has, how high each is, what was done to them; numbers from a seed."""

from dataclasses import dataclass, replace

import numpy as np

THORACIC = tuple(f"T{n}" for n in range(1, 13))
LUMBAR_SOURCES = ("L1", "L2", "L3", "L4", "L5")
SHORTEST_DISC_MM = 1.0
LUMBARISED_DISC, SACRALISED_DISC = 0.55, 0.15
"""Share of a disc that a transitional vertebra has below it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpineRanges:
    """How often each variant is met and how far each number goes."""

    lumbar_weights: tuple[float, float, float] = (0.07, 0.82, 0.11)
    """4, 5 and 6 lumbar bodies."""
    lumbarised: float = 0.4
    """Of spines with 6: the last one is a first sacral body that has come loose."""
    sacralised: float = 0.06
    short_ribs: float = 0.16
    missing_ribs: float = 0.05
    scoliosis: float = 0.22
    scoliosis_mm: tuple[float, float] = (6.0, 32.0)
    sway_mm: float = 3.0
    """Sideways sway of a spine without scoliosis."""
    kyphosis: float = 0.25
    kyphosis_mm: tuple[float, float] = (6.0, 26.0)
    fracture: float = 0.16
    fracture_share: tuple[float, float] = (0.15, 0.6)
    """Height lost."""
    fusion: float = 0.05
    """Screws and rods."""
    cement: float = 0.3
    """Of fractured bodies."""
    height_sd: float = 0.07
    disc_factor: tuple[float, float] = (0.55, 1.35)
    narrow_disc: float = 0.12
    """Of discs."""
    lordosis_mm: float = 8.0
    """Spread of how far the lumbar spine lies before or behind the template's."""
    sacral_tilt_rad: float = 0.17
    """Spread of the sacrum's turn against the template's."""


USUAL = SpineRanges()
LEARNED = SpineRanges(
    lumbar_weights=(0.17, 0.55, 0.28),
    sacralised=0.1,
    short_ribs=0.25,
    missing_ribs=0.05,
    scoliosis=0.3,
    fracture=0.25,
    fusion=0.07,
)
"""For training: with a tenth of six a network learns that there are five, and counts from the sacrum."""
VARIANTS = SpineRanges(
    lumbar_weights=(0.3, 0.3, 0.4),
    sacralised=0.15,
    short_ribs=0.3,
    missing_ribs=0.12,
    scoliosis=0.5,
    kyphosis=0.4,
    fracture=0.4,
    fusion=0.15,
)
"""For evaluation: every patient is unusual."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VertebraPlan:
    """One vertebra of the patient."""

    name: str
    """Counted from the last rib-bearing one: L1 … L6."""
    source: str
    """The template's vertebra it is a copy of."""
    height: float
    """Factor on the usual height of such a body in the template."""
    width: float
    process_width: float
    """Factor on how far the transverse processes reach."""
    disc_below: float
    """Factor on the source's disc."""
    wedge: float
    """Share of the front's height that is lost."""
    crush: float
    """Share of the whole body's height that is lost."""
    lean_rad: tuple[float, float]
    """Own rotation, sagittal and coronal."""
    has_cement: bool
    has_screws: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SpinePlan:
    """All of one patient's spine."""

    vertebrae: tuple[VertebraPlan, ...]
    """From the lowest lumbar one up."""
    variants: tuple[str, ...]
    """What is unusual, for reports."""
    scoliosis_mm: float
    scoliosis_length_mm: float
    scoliosis_phase: float
    kyphosis_mm: float
    lordosis_mm: float
    """Backwards; negative deepens the template's curve."""
    sacral_tilt_rad: float
    """About S1's middle; positive brings the sacrum's end forwards."""
    rib12_reach: tuple[float, float]
    """Share of the right and the left 12th rib that is there."""
    calcification: float
    """0..1: how much of the aorta's wall is calcified."""

    @property
    def lumbar_count(self) -> int:
        """Lumbar bodies."""
        return sum(v.name.startswith("L") for v in self.vertebrae)


def sample_spine(
    rng: np.random.Generator, available: tuple[str, ...], ranges: SpineRanges
) -> SpinePlan:
    """A spine of copies of a template's vertebrae; `available` from the head down."""
    count = int(rng.choice([4, 5, 6], p=ranges.lumbar_weights))
    is_lumbarised = count == 6 and rng.random() < ranges.lumbarised
    is_sacralised = count == 5 and rng.random() < ranges.sacralised
    sources = _lumbar_sources(rng, count)
    names = [f"L{n}" for n in range(count, 0, -1)]
    thoracic = [name for name in reversed(available) if name in THORACIC]
    fused = _fused(rng, ranges, count)
    variants = [f"{count} lumbar"] if count != 5 else []
    variants += ["lumbarised S1"] * is_lumbarised + ["sacralised L5"] * is_sacralised
    variants += ["screws"] if fused else []
    transition = LUMBARISED_DISC if is_lumbarised else SACRALISED_DISC if is_sacralised else None
    vertebrae = []
    for place, (name, source) in enumerate(
        [*zip(names, sources, strict=True), *zip(thoracic, thoracic, strict=True)]
    ):
        loose = transition if place == 0 else None
        vertebra = _vertebra(rng, (name, source), ranges, loose)
        vertebrae.append(replace(vertebra, has_screws=place in fused))
    broken = [v.name for v in vertebrae if v.wedge > 0 or v.crush > 0]
    variants += ["fracture " + " ".join(broken)] if broken else []
    reach = _ribs(rng, ranges)
    variants += ["12th ribs missing"] if max(reach) == 0 else []
    variants += ["12th ribs short"] if max(reach) > 0 and min(reach) < 0.7 else []
    bent = rng.random() < ranges.scoliosis
    sideways = rng.uniform(*ranges.scoliosis_mm) if bent else abs(rng.normal(0, ranges.sway_mm))
    variants += ["scoliosis"] if bent else []
    stooped = rng.random() < ranges.kyphosis
    variants += ["kyphosis"] if stooped else []
    old = rng.random() < 0.45
    return SpinePlan(
        vertebrae=tuple(vertebrae),
        variants=tuple(variants),
        scoliosis_mm=float(sideways * rng.choice([-1, 1])),
        scoliosis_length_mm=float(rng.uniform(260, 520)),
        scoliosis_phase=float(rng.uniform(0, 2 * np.pi)),
        kyphosis_mm=float(rng.uniform(*ranges.kyphosis_mm)) if stooped else 0.0,
        rib12_reach=reach,
        calcification=float(rng.uniform(0.1, 1.0)) if old else 0.0,
        lordosis_mm=_spread(rng, ranges.lordosis_mm),
        sacral_tilt_rad=_spread(rng, ranges.sacral_tilt_rad),
    )


def _spread(rng: np.random.Generator, sd: float) -> float:
    """Normal about nothing, never beyond two and a bit of its spread."""
    return float(np.clip(rng.normal(0, sd), -2.2 * sd, 2.2 * sd))


def _lumbar_sources(rng: np.random.Generator, count: int) -> list[str]:
    """From the lowest up: the first and the last keep their own form, those between are drawn: looks must not count."""
    first, *between, last = LUMBAR_SOURCES
    return [last, *(str(name) for name in rng.choice(between, count - 2)), first]


def _fused(rng: np.random.Generator, ranges: SpineRanges, count: int) -> frozenset[int]:
    """Places of the vertebrae that screws and rods hold together."""
    if rng.random() >= ranges.fusion:
        return frozenset()
    first, length = int(rng.integers(0, count)), int(rng.integers(2, 5))
    return frozenset(range(first, first + length))


def _vertebra(
    rng: np.random.Generator,
    copied: tuple[str, str],
    ranges: SpineRanges,
    transition: float | None,
) -> VertebraPlan:
    """A name and its source; a transitional vertebra has a poor disc below it and broad processes."""
    name, source = copied
    is_lumbar = name.startswith("L")
    chance = ranges.fracture / (4 if is_lumbar or name in ("T12", "T11") else 12)
    lost = float(rng.uniform(*ranges.fracture_share)) if rng.random() < chance else 0.0
    is_wedge = bool(rng.random() < 0.6)
    disc = float(rng.uniform(*ranges.disc_factor))
    if rng.random() < ranges.narrow_disc:
        disc *= float(rng.uniform(0.2, 0.6))
    broad = rng.uniform(0.85, 1.1)
    if transition is not None:
        disc *= transition
        broad = rng.uniform(1.1, 1.35)
    sd = ranges.height_sd if is_lumbar else 0.03
    return VertebraPlan(
        name=name,
        source=source,
        height=float(np.clip(rng.normal(1, sd), 0.8, 1.22)),
        width=float(np.clip(rng.normal(1, 0.04), 0.9, 1.1)),
        process_width=float(broad),
        disc_below=disc,
        wedge=lost if is_wedge else 0.0,
        crush=0.0 if is_wedge else lost * 0.8,
        lean_rad=(float(rng.normal(0, 0.03)), float(rng.normal(0, 0.03))),
        has_cement=bool(lost > 0 and rng.random() < ranges.cement),
        has_screws=False,
    )


def _ribs(rng: np.random.Generator, ranges: SpineRanges) -> tuple[float, float]:
    if rng.random() < ranges.missing_ribs:
        return 0.0, 0.0
    if rng.random() < ranges.short_ribs:
        right = float(rng.uniform(0.15, 0.65))
        return right, float(np.clip(right + rng.normal(0, 0.15), 0.0, 1.0))
    return 1.0, 1.0

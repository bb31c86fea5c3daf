"""One patient round a spine: build, habitus, wall, posture, surroundings; numbers from a seed."""

from dataclasses import dataclass
from enum import StrEnum

import numpy as np


class ArmPlace(StrEnum):
    """Where the arms are."""

    UP = "up"
    DOWN = "down"
    OUTSIDE = "outside"


@dataclass(frozen=True, slots=True, kw_only=True)
class WallPlan:
    """Muscle and fat of the body wall, mm."""

    lateral_mm: float
    """The three flat muscles together at the flank."""
    rectus_mm: float
    rectus_width_mm: float
    alba_mm: float
    latissimus_mm: float
    fascia_mm: float
    """What is left of the wall behind the erector spinae."""
    front_deg: float
    back_deg: float
    """Between these angles from the front lie the flat muscles."""
    lamellae: float
    """0..1: how visible the fat between them is."""
    sat_mm: float
    sat_waves: tuple[float, ...]
    """Cosine and sine parts of the fat's thickness round the body, as shares."""
    sat_midline: float
    """Share of the fat that is left over the spinous processes."""
    flank: float
    """Extra fat at the flank, as a share."""
    skin_mm: float
    flattening: float
    """0..1: how far the couch flattens the back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyPlan:
    """Everything about one patient but the spine's own variants."""

    seed: int
    habitus: float
    """0 lean … 1 obese."""
    width: float
    depth: float
    stature: float
    pelvis_width: float
    crest_mm: float
    """How much higher than in the template the iliac crests stand against S1."""
    rib_slope: float
    """mm by which ribs rise per mm of their distance from the spine, against the template's."""
    rotation_rad: float
    shear: float
    tilt: tuple[float, float]
    """Slices lean by so much per mm along x and y."""
    warp_mm: float
    organ_warp_mm: float
    organ_shift_mm: float
    """Of the viscera along z against frame and spine."""
    organ_size: float
    vat_mm: float
    """How far visceral fat pushes the wall outwards."""
    vat_form: tuple[float, float]
    """Front against flank, and flatness of the front."""
    bowel_shrink_mm: float
    bowel_gaps: float
    """0..1: share of the map's bowel that is empty."""
    bowel_fill: float
    """0..1: further loops."""
    bowel_gas: float
    faeces: float
    mesentery: float
    """0..1: vessels and strands in the fat."""
    wall: WallPlan
    arms: ArmPlace
    couch_seed: int


def sample_body(rng: np.random.Generator) -> BodyPlan:
    """Fat under the skin and inside vary together, but not in step."""
    u, habitus = rng.uniform, float(rng.uniform(0, 1))
    fat = float(np.clip(habitus + rng.normal(0, 0.15), 0, 1))
    inside = float(np.clip(habitus + rng.normal(0, 0.3), 0, 1))
    return BodyPlan(
        seed=int(rng.integers(1 << 31)),
        habitus=habitus,
        width=float(u(0.86, 1.1) * (1 + 0.08 * inside)),
        depth=float(u(0.86, 1.1) * (1 + 0.05 * inside)),
        stature=float(u(0.87, 1.12)),
        pelvis_width=float(np.clip(rng.normal(1.02, 0.05), 0.92, 1.14)),
        rotation_rad=float(np.radians(rng.normal(0, 4))),
        shear=float(rng.normal(0, 0.03)),
        tilt=(float(rng.normal(0, 0.02)), float(rng.normal(0, 0.03))),
        warp_mm=float(u(2, 6)),
        organ_warp_mm=float(u(2, 8)),
        organ_shift_mm=float(np.clip(rng.normal(0, 14), -32, 32)),
        organ_size=float(u(0.93, 1.1)),
        vat_mm=float(-9 + 50 * inside**1.4 * u(0.5, 1.15)),
        vat_form=(float(u(-0.15, 0.35)), float(u(-0.3, 0.1))),
        bowel_shrink_mm=float(u(0, 0.8 + 2.4 * inside)),
        bowel_gaps=float(np.clip(u(-0.1, 0.4) + 0.2 * inside, 0, 1)),
        bowel_fill=float(u(0.1, 1.0) * (1.15 - inside)),
        bowel_gas=float(u(0.0, 1.0)),
        faeces=float(u(0.0, 1.0)),
        mesentery=float(u(0.25, 1.0)),
        wall=_sample_wall(rng, fat, inside),
        arms=ArmPlace(rng.choice(["up", "down", "outside"], p=[0.66, 0.2, 0.14])),
        couch_seed=int(rng.integers(1 << 31)),
        crest_mm=float(np.clip(rng.normal(0, 9), -20, 20)),
        rib_slope=float(np.clip(rng.normal(0, 0.16), -0.36, 0.36)),
    )


def _sample_wall(rng: np.random.Generator, fat: float, inside: float) -> WallPlan:
    u = rng.uniform
    weak = u(0.55, 1.2)
    return WallPlan(
        lateral_mm=float(u(13, 25) * weak),
        rectus_mm=float(u(6, 12) * weak),
        rectus_width_mm=float(u(48, 82)),
        alba_mm=float(u(2, 14) + 12 * inside * u(0, 1)),
        latissimus_mm=float(u(3, 12) * weak),
        fascia_mm=float(u(1.2, 2.6)),
        front_deg=float(u(26, 50)),
        back_deg=float(u(122, 142)),
        lamellae=float(u(0, 1)),
        sat_mm=float(3.0 + 44 * fat**1.6 * u(0.7, 1.3)),
        sat_waves=(
            float(rng.normal(-0.2, 0.22)), float(rng.normal(-0.05, 0.18)),
            *(float(rng.normal(0, 0.04)) for _ in range(4)),
        ),
        sat_midline=float(u(0.25, 0.9)),
        flank=float(u(0.0, 0.7)),
        skin_mm=float(u(1.3, 2.4)),
        flattening=float(u(0.2, 0.9)),
    )  # fmt: skip

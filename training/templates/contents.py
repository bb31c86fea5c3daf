"""What fills a body: organs with their inner structure, bowel with content and gas, vessels in the fat, bone shells."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from training.synthetic.fields import WaveField, wave_field
from training.synthetic.labels import Tissue
from training.templates.arrays import Array, Arrays
from training.templates.body_plan import BodyPlan
from training.templates.template import DEPTH_STEPS_PER_MM

BOWEL_WALL_MM = 2.2
STOMACH_WALL_MM = 3.6
CORTEX_MM = {
    Tissue.RIB_TRABECULAR: (1.3, Tissue.RIB_CORTICAL),
    Tissue.PELVIS_TRABECULAR: (1.8, Tissue.PELVIS_CORTICAL),
    Tissue.FEMUR_TRABECULAR: (3.2, Tissue.FEMUR_CORTICAL),
    Tissue.VERTEBRA_TRABECULAR: (1.6, Tissue.VERTEBRA_CORTICAL),
}
KIDNEYS = (
    (Tissue.KIDNEY_RIGHT, Tissue.KIDNEY_RIGHT_MEDULLA),
    (Tissue.KIDNEY_LEFT, Tissue.KIDNEY_LEFT_MEDULLA),
)
RENAL_CORTEX_MM = 6.5
CALCIFIED_MM = 2.6
LEAST_ROOM_MM = 5.0
BLOWN_UP = (-1.7, -0.5)
"""Of a field of spread 1: below this, without and with much gas, a length of colon holds nothing else, at any depth."""
BONY = tuple(CORTEX_MM)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Spot:
    """All that is known of a slab's voxels."""

    axes: tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], npt.NDArray[np.float64]]
    labels: Array
    frame: Array
    frame_depth: Array
    viscera: Array
    depth: Array
    in_cavity: Array
    in_wall: Array
    """Under the skin: where muscles may be."""
    room_mm: Array
    """To the cavity's wall."""
    y_mm: Array
    """Behind the centre line."""
    level: Array


@lru_cache(maxsize=64)
def _field(seed: int, key: int, waves: int, wavelength_mm: tuple[float, float]) -> WaveField:
    return wave_field((seed, key), waves=waves, wavelength_mm=wavelength_mm, rms=1.0)


def fill_contents(spot: Spot, body: BodyPlan, calcification: float, kit: Arrays) -> None:
    """Sets labels in place: viscera first, the frame over them, then what lies within each."""
    fields = [
        _field(body.seed, 51, 22, (30.0, 75.0)).on_axes(*spot.axes, kit),
        _field(body.seed, 52, 22, (30.0, 75.0)).on_axes(*spot.axes, kit),
        _field(body.seed, 53, 10, (110.0, 260.0)).on_axes(*spot.axes, kit),
        _field(body.seed, 54, 16, (38.0, 60.0)).on_axes(*spot.axes, kit),
    ]
    shown = _shown_viscera(spot, body, fields)
    labels = spot.labels
    labels[shown] = spot.viscera[shown]
    _organs(spot, shown, fields, calcification)
    _loops(spot, body, fields)
    _bowel(spot, shown, body, fields)
    _mesentery(spot, body, fields)
    _frame(spot)


def _shown_viscera(spot: Spot, body: BodyPlan, fields: list[Array]) -> Array:
    """What of the viscera is there: inside the cavity, bowel somewhat shrunk, some loops empty."""
    shown = (spot.viscera > 0) & spot.in_cavity
    shrunk = spot.depth < body.bowel_shrink_mm * DEPTH_STEPS_PER_MM
    small = spot.viscera == int(Tissue.BOWEL_CONTENT)
    bowel = small | (spot.viscera == int(Tissue.FAECES))
    empty = small & (fields[2] > 1.5 - 2.0 * body.bowel_gaps)
    return shown & ~(bowel & shrunk) & ~empty


def _organs(spot: Spot, shown: Array, fields: list[Array], calcification: float) -> None:
    labels, depth = spot.labels, spot.depth
    fine, other, slow, _ = fields
    for kidney, medulla in KIDNEYS:
        deep = (
            shown & (spot.viscera == int(kidney)) & (depth > RENAL_CORTEX_MM * DEPTH_STEPS_PER_MM)
        )
        labels[deep & (fine > -0.5)] = int(medulla)
    tube = (abs(fine) < 0.2) & (abs(other) < 0.35)
    liver = shown & (spot.viscera == int(Tissue.LIVER)) & (depth > 5 * DEPTH_STEPS_PER_MM)
    labels[liver & tube] = int(Tissue.LIVER_VESSEL)
    lung = shown & (spot.viscera == int(Tissue.LUNG)) & (depth > 4 * DEPTH_STEPS_PER_MM)
    labels[lung & (abs(fine) < 0.16) & (abs(other) < 0.4)] = int(Tissue.AIRWAY_VESSEL)
    if calcification > 0:
        rim = depth < CALCIFIED_MM * DEPTH_STEPS_PER_MM
        aorta = shown & (spot.viscera == int(Tissue.AORTA)) & rim
        labels[aorta & (fine > 2.1 - 1.9 * calcification)] = int(Tissue.AORTIC_CALCIFICATION)
    stomach = shown & (spot.viscera == int(Tissue.STOMACH_CONTENT))
    labels[stomach & (depth < STOMACH_WALL_MM * DEPTH_STEPS_PER_MM)] = int(Tissue.STOMACH_WALL)
    lumen = stomach & (depth >= STOMACH_WALL_MM * DEPTH_STEPS_PER_MM)
    labels[lumen & (spot.y_mm < -42 + 26 * slow)] = int(Tissue.STOMACH_GAS)


def _loops(spot: Spot, body: BodyPlan, fields: list[Array]) -> None:
    """Small bowel that the map has not: tubes about the ridges of a random field."""
    ridge = fields[3]
    least = 2.05 - 1.35 * body.bowel_fill
    free = (spot.labels == int(Tissue.VISCERAL_FAT)) & (spot.room_mm > LEAST_ROOM_MM)
    free = free & (spot.level < 1.8) & (spot.level > -5.2) & (spot.y_mm < 12)
    loop = free & (ridge > least)
    spot.labels[loop] = int(Tissue.BOWEL_WALL)
    spot.labels[loop & (ridge > least + 0.28)] = int(Tissue.BOWEL_CONTENT)


def _bowel(spot: Spot, shown: Array, body: BodyPlan, fields: list[Array]) -> None:
    """Walls, faeces or fluid, and gas that lies in front with a level surface."""
    labels, slow = spot.labels, fields[2]
    wall = (body.bowel_shrink_mm + BOWEL_WALL_MM) * DEPTH_STEPS_PER_MM
    colon = shown & (spot.viscera == int(Tissue.FAECES))
    small = shown & (spot.viscera == int(Tissue.BOWEL_CONTENT))
    labels[(colon | small) & (spot.depth < wall)] = int(Tissue.BOWEL_WALL)
    fluid = colon & (spot.depth >= wall) & (slow > 2.6 * body.faeces - 0.9)
    labels[fluid] = int(Tissue.BOWEL_CONTENT)
    lumen = (labels == int(Tissue.BOWEL_CONTENT)) | (labels == int(Tissue.FAECES))
    surface = -95 + 70 * body.bowel_gas + 28 * slow
    gas = lumen & (spot.y_mm < surface)
    blown_up = colon & (slow < BLOWN_UP[0] + (BLOWN_UP[1] - BLOWN_UP[0]) * body.bowel_gas)
    gas = (gas & (colon | (fields[0] > 0.9))) | (lumen & blown_up)
    labels[gas] = int(Tissue.BOWEL_GAS)


def _mesentery(spot: Spot, body: BodyPlan, fields: list[Array]) -> None:
    """Vessels where two random surfaces meet, branching through the fat."""
    free = (spot.labels == int(Tissue.VISCERAL_FAT)) & (spot.room_mm > LEAST_ROOM_MM)
    free = free & (spot.level < 2.6) & (spot.y_mm < 25)
    width = 0.2 + 0.22 * body.mesentery
    tube = (abs(fields[0] - 0.5) < width) & (abs(fields[3] + 0.3) < width)
    thin = (abs(fields[1] + 0.4) < 0.6 * width) & (abs(fields[3] - 0.2) < 0.6 * width)
    spot.labels[free & (tube | thin)] = int(Tissue.MESENTERIC_VESSEL)


def _frame(spot: Spot) -> None:
    """Muscles and bones; a bone may lie in the wall, soft parts stay within it."""
    labels, frame = spot.labels, spot.frame
    bone = frame == int(BONY[0])
    for tissue in BONY[1:]:
        bone = bone | (frame == int(tissue))
    shown = (frame > 0) & (spot.in_wall | bone)
    labels[shown] = frame[shown]
    for tissue, (shell_mm, cortex) in CORTEX_MM.items():
        shell = (frame == int(tissue)) & (spot.frame_depth < shell_mm * DEPTH_STEPS_PER_MM)
        labels[shell] = int(cortex)

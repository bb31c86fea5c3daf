"""Branches of the great vessels, which label maps leave out: mesenteric vein and artery, renal veins and arteries.

Without them a network takes the mesenteric vein of a real body, that begins where the portal vein's label ends, for pancreas.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage
from scipy.interpolate import PchipInterpolator

from training.synthetic.labels import Tissue
from training.templates.course import bed_line
from training.templates.depth import depth_of
from training.templates.template import Codes, Template

Mask = npt.NDArray[np.bool_]
Table = npt.NDArray[np.float64]

BRANCHES = (Tissue.MESENTERIC_VEIN, Tissue.RENAL_VEIN, Tissue.BRANCH_ARTERY)
CONFLUENCE = 0.65
"""Of the way from the vena cava to the aorta: there the mesenteric vein comes up to the portal one."""
CONFLUENCE_MM = 8.0
"""The portal vein's label is looked for so far to either side of it."""
BEHIND_NECK_MM = 5.0
"""The mesenteric vein's upper end lies so far within the portal vein."""
ARTERY_LEAVES_LEVEL = 2.0
"""Vertebrae above L3: the superior mesenteric artery, at L1."""
APART_MM = 13.0
"""The artery's middle left of the vein's."""
ANGLE_MM = 22.0
"""Below its origin the artery has come two thirds of the way to the vein's side after so much."""
RENAL_LEVEL = 1.5
"""Vertebrae above L3: the renal vessels, between L2 and L1."""
RENAL_VEIN_MM, RENAL_ARTERY_MM = 9.0, 5.5
BEFORE_AORTA_MM = 3.0
"""The left renal vein's middle passes its front so far beyond its own half width."""
HILUM = 0.6
"""Of the way from a kidney's middle to its inner border."""
STEP_MM = 1.0
FAT_MM = 2.0
"""About a branch, where a map has bowel."""
FREE = (Tissue.AIR, Tissue.MEDIASTINAL_FAT)
BOWEL = (Tissue.BOWEL_CONTENT, Tissue.FAECES)
GROOVED = (*FREE, *BOWEL, Tissue.PANCREAS)
"""The mesenteric vein lies in a groove of the pancreas."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Branches:
    """Of one body."""

    vein_mm: float = 11.0
    """How wide the mesenteric vein is at its upper end."""
    taper: float = 0.7
    """Width of a mesenteric vessel's lower end, of its upper one's."""
    artery_mm: float = 7.5
    length_mm: float = 90.0
    forwards_mm: float = 12.0
    """How much nearer to the front the vein's lower end lies, against the spine."""
    rightwards_mm: float = 8.0
    renal: float = 1.0
    """Factor of the renal vessels' widths; 0: none."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tube:
    """A vessel's course, x y z, and its half width there."""

    tissue: Tissue
    points_mm: Table
    radius_mm: Table


def with_branches(template: Template, branches: Branches = Branches()) -> Template:
    """The template with these, whatever branches it had (what they lay in stays fat); a map without aorta or vena cava gets none."""
    viscera, step_mm = template.viscera.copy(), float(template.step_mm)
    viscera[np.isin(viscera, BRANCHES)] = Tissue.AIR
    places = _Places(viscera, template)
    tubes = [*_mesenteric(places, branches), *_renal(places, branches)]
    for tube in tubes:
        box, inside = drawn(tube, viscera.shape, step_mm)
        near = ndimage.binary_dilation(inside, iterations=max(1, round(FAT_MM / step_mm)))
        part = viscera[box]
        part[near & np.isin(part, BOWEL)] = Tissue.AIR
        may = GROOVED if tube.tissue is Tissue.MESENTERIC_VEIN else FREE
        part[inside & np.isin(part, may) & (template.frame[box] == 0)] = tube.tissue
    return replace(template, viscera=viscera, depth=depth_of(viscera, step_mm))


class _Places:
    """Where the vessels of a map are, mm."""

    def __init__(self, viscera: Codes, template: Template) -> None:
        self.viscera, self.step_mm = viscera, float(template.step_mm)
        names = list(template.body_names)
        self._z_mm = template.body_centre_mm[::-1, 2]
        self._levels = names.index("L3") - np.arange(len(names), dtype=float)[::-1]
        self.bed = bed_line(template)

    def height_mm(self, level: float) -> float:
        return float(np.interp(level, self._levels, self._z_mm))

    def middle_mm(self, tissue: Tissue, z_mm: float) -> Table | None:
        """x, y of an organ in the slice at a height."""
        slices = self.viscera.shape[0]
        plane = self.viscera[int(np.clip(round(z_mm / self.step_mm), 0, slices - 1))]
        rows, columns = np.nonzero(plane == tissue)
        if len(rows) == 0:
            return None
        return np.array([columns.mean(), rows.mean()]) * self.step_mm

    def radius_mm(self, tissue: Tissue, z_mm: float) -> float:
        plane = self.viscera[round(z_mm / self.step_mm)]
        return float(np.sqrt((plane == tissue).sum() / np.pi)) * self.step_mm


def drawn(tube: Tube, shape: Sequence[int], step_mm: float) -> tuple[tuple[slice, ...], Mask]:
    """The voxels of a tube, and the box of the map they lie in."""
    points, radius = tube.points_mm[:, ::-1] / step_mm, tube.radius_mm / step_mm
    margin = float(radius.max()) + FAT_MM / step_mm + 1
    low = np.clip(np.floor(points.min(axis=0) - margin), 0, shape).astype(int)
    high = np.clip(np.ceil(points.max(axis=0) + margin) + 1, low, shape).astype(int)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    grid = np.stack(np.meshgrid(*(np.arange(s.start, s.stop) for s in box), indexing="ij"), -1)
    inside = np.zeros(grid.shape[:3], bool)
    for point, reach in zip(points, radius, strict=True):
        inside |= ((grid - point) ** 2).sum(axis=-1) <= reach**2
    return box, inside


def _mesenteric(places: _Places, branches: Branches) -> list[Tube]:
    start = _confluence_mm(places)
    if start is None:
        return []
    down = np.arange(-BEHIND_NECK_MM, branches.length_mm, STEP_MM)
    z_mm = start[2] - down
    share = np.clip(down / branches.length_mm, 0, 1)
    bent = places.bed(z_mm) - places.bed(start[2])
    vein = np.column_stack(
        [
            start[0] + bent[:, 0] - branches.rightwards_mm * share,
            start[1] + bent[:, 1] - branches.forwards_mm * share,
            z_mm,
        ]
    )
    vein = vein[z_mm > 0]
    taper = (1 - (1 - branches.taper) * share)[z_mm > 0]
    tubes = [
        Tube(tissue=Tissue.MESENTERIC_VEIN, points_mm=vein, radius_mm=branches.vein_mm / 2 * taper)
    ]
    leaves_mm = places.height_mm(ARTERY_LEAVES_LEVEL)
    root = places.middle_mm(Tissue.AORTA, leaves_mm)
    if root is None or len(vein) < 2 or leaves_mm <= vein[-1, 2]:
        return tubes
    z_mm = np.arange(leaves_mm, vein[-1, 2], -STEP_MM)
    come = (1 - np.exp(-(leaves_mm - z_mm) / ANGLE_MM))[:, None]
    beside = np.column_stack([np.interp(z_mm, vein[::-1, 2], vein[::-1, axis]) for axis in (0, 1)])
    beside[:, 0] += APART_MM
    artery = np.column_stack([(1 - come) * root + come * beside, z_mm])
    radius = branches.artery_mm / 2 * np.linspace(1.0, branches.taper, len(artery))
    return [*tubes, Tube(tissue=Tissue.BRANCH_ARTERY, points_mm=artery, radius_mm=radius)]


def _confluence_mm(places: _Places) -> Table | None:
    """The lowest place of the portal vein's label between vena cava and aorta, x y z."""
    portal = places.viscera == Tissue.PORTAL_SPLENIC_VEIN
    for k in np.flatnonzero(portal.any(axis=(1, 2))):
        z_mm = float(k) * places.step_mm
        cava = places.middle_mm(Tissue.INFERIOR_VENA_CAVA, z_mm)
        aorta = places.middle_mm(Tissue.AORTA, z_mm)
        if cava is None or aorta is None:
            continue
        wanted_mm = cava[0] + CONFLUENCE * (aorta[0] - cava[0])
        rows, columns = np.nonzero(portal[k])
        near = np.abs(columns * places.step_mm - wanted_mm) <= CONFLUENCE_MM
        if near.any():
            middle = np.array([columns[near].mean(), rows[near].mean()]) * places.step_mm
            return np.array([*middle, z_mm])
    return None


def _renal(places: _Places, branches: Branches) -> list[Tube]:
    """A vein from the vena cava, the left one before the aorta, and an artery from there straight to the kidney."""
    z_mm = places.height_mm(RENAL_LEVEL)
    cava = places.middle_mm(Tissue.INFERIOR_VENA_CAVA, z_mm)
    aorta = places.middle_mm(Tissue.AORTA, z_mm)
    if cava is None or aorta is None or branches.renal <= 0:
        return []
    vein_mm, artery_mm = (branches.renal * mm for mm in (RENAL_VEIN_MM, RENAL_ARTERY_MM))
    front = aorta - (0, places.radius_mm(Tissue.AORTA, z_mm) + BEFORE_AORTA_MM + vein_mm / 2)
    tubes = []
    for kidney, by_way_of in ((Tissue.KIDNEY_RIGHT, ()), (Tissue.KIDNEY_LEFT, (front,))):
        hilum = _hilum_mm(places, kidney)
        if hilum is None:
            continue
        lines = (
            (Tissue.RENAL_VEIN, vein_mm, [cava, *by_way_of]),
            (Tissue.BRANCH_ARTERY, artery_mm, [aorta]),
        )
        for tissue, width_mm, stops in lines:
            points = _smooth([*(np.array([*stop, z_mm]) for stop in stops), hilum])
            radius = np.full(len(points), width_mm / 2)
            tubes.append(Tube(tissue=tissue, points_mm=points, radius_mm=radius))
    return tubes


def _hilum_mm(places: _Places, kidney: Tissue) -> Table | None:
    """x, y, z of a place at its inner side, half way up."""
    slices = np.flatnonzero((places.viscera == kidney).any(axis=(1, 2)))
    if len(slices) == 0:
        return None
    k = int(slices[len(slices) // 2])
    rows, columns = np.nonzero(places.viscera[k] == kidney)
    inner = columns.max() if kidney is Tissue.KIDNEY_RIGHT else columns.min()
    x = columns.mean() + HILUM * (inner - columns.mean())
    return np.array([x, rows.mean(), float(k)]) * places.step_mm


def _smooth(stops: Sequence[Table]) -> Table:
    """Points of a curve through these."""
    knots = np.array(stops)
    along = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(knots, axis=0), axis=1))])
    curve = PchipInterpolator(along, knots)
    count = max(2, int(along[-1] / STEP_MM))
    points: Table = curve(np.linspace(0.0, along[-1], count))
    return points

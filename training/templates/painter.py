"""From label maps to Hounsfield units: means, texture, thickness, kernel, noise, metal; numpy or an accelerator."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from training.synthetic.fields import wave_field
from training.synthetic.labels import MUSCLES, Tissue
from training.synthetic.painting import HU_MAX, HU_MIN, texture_tables
from training.synthetic.torso import Grid
from training.templates.arrays import NUMPY, Array, Arrays
from training.templates.scan import Scan

LEAST_BLUR_VOXELS = 0.45
"""A voxel averages what it covers: the label at its middle alone would leave steps."""
OVERSHOOT_MM = 1.6
FINE_MM, COARSE_MM = (5.0, 14.0), (18.0, 60.0)
SLAB_POINTS = 1_500_000
STREAK_WAVES = 22
STREAK_REACH_MM = 55.0
FAT = (Tissue.VISCERAL_FAT, Tissue.MEDIASTINAL_FAT)
LOBULES = 0.7
"""Of the fine texture's spread: half of the fattest pancreas is fat."""
OUTSIDE_FIELD_HU = -1024.0


def paint(label_maps: Sequence[Array], scan: Scan, grid: Grid, kit: Arrays = NUMPY) -> Array:
    """HU of one or more label maps of thin slices spread over each slice's thickness, 16-bit where numpy is used."""
    clean = _clean(label_maps[0], scan, grid, kit)
    for labels in label_maps[1:]:
        clean = clean + _clean(labels, scan, grid, kit)
    hu = clean / len(label_maps)
    _add_streaks(hu, label_maps[0], scan, grid, kit)
    hu = _blurred(hu, scan, grid, kit)
    hu = hu + _noise(scan, grid, kit)
    hu = kit.xp.where(outside_field(scan, grid, kit), OUTSIDE_FIELD_HU, hu)
    hu = kit.xp.clip(kit.xp.round(hu), HU_MIN, HU_MAX)
    return hu.astype(np.int16) if kit is NUMPY else hu


def painted(label_maps: Sequence[Array], scan: Scan, grid: Grid) -> npt.NDArray[np.int16]:
    """As paint, in numpy."""
    return np.asarray(paint(label_maps, scan, grid), np.int16)


def _clean(labels: Array, scan: Scan, grid: Grid, kit: Arrays) -> Array:
    """Means, texture and the fibres that run through fat, muscle and faeces."""
    table = np.zeros(256, np.float32)
    table[: len(scan.acquisition.mean_hu)] = scan.acquisition.mean_hu
    hu = kit.picked(table, labels)
    fine_table, coarse_table = texture_tables(scan.acquisition)
    fine = wave_field((scan.seed, 81), waves=32, wavelength_mm=FINE_MM, rms=1.0)
    coarse = wave_field((scan.seed, 82), waves=16, wavelength_mm=COARSE_MM, rms=1.0)
    x, y, z = (grid.axis_mm(axis) for axis in (2, 1, 0))
    step = max(1, SLAB_POINTS // (grid.shape[1] * grid.shape[2])) if kit is NUMPY else len(z)
    for first in range(0, len(z), step):
        part = slice(first, first + step)
        some = labels[part]
        f, c = fine.on_axes(x, y, z[part], kit), coarse.on_axes(x, y, z[part], kit)
        hu[part] += kit.picked(fine_table, some) * f + kit.picked(coarse_table, some) * c
        _fibres(hu[part], some, f, c, scan)
    return hu


def _fibres(hu: Array, labels: Array, fine: Array, coarse: Array, scan: Scan) -> None:
    hu[(labels == int(Tissue.FAECES)) & (fine > 1.1)] -= 450.0
    fat = labels == int(FAT[0])
    for tissue in FAT[1:]:
        fat = fat | (labels == int(tissue))
    thin = abs(fine) < 0.05 + 0.09 * scan.strands
    hu[fat & thin & (coarse > 0.9 - 0.9 * scan.strands)] += 50.0
    under_skin = (labels == int(Tissue.SUBCUTANEOUS_FAT)) & (abs(fine + coarse) < 0.05)
    hu[under_skin & (coarse > 0.2)] += 45.0
    muscle = labels == int(MUSCLES[0])
    for tissue in MUSCLES[1:]:
        muscle = muscle | (labels == int(tissue))
    streak = (abs(fine) < 0.18 * scan.muscle_fat) & (coarse > 1.2 - 1.8 * scan.muscle_fat)
    hu[muscle & streak] -= 75.0
    between = abs(fine) < LOBULES * scan.pancreas_fat
    hu[(labels == int(Tissue.PANCREAS)) & between] -= 85.0


def _add_streaks(hu: Array, labels: Array, scan: Scan, grid: Grid, kit: Arrays) -> None:
    """Rays from the metal of a slice, bright and dark, fading with distance."""
    metal = labels == int(Tissue.METAL)
    seen = [k for k, has in enumerate(kit.get(metal.any(-1).any(-1))) if has]
    if not seen:
        return
    rng = np.random.default_rng((scan.seed, 83))
    order, phase = rng.integers(3, 30, STREAK_WAVES), rng.uniform(0, 6.28, STREAK_WAVES)
    x, y = (kit.put(grid.axis_mm(axis).astype(np.float32)) for axis in (2, 1))
    for k in seen:
        rows, columns = np.nonzero(kit.get(metal[k]))
        dx = x[None, :] - float(grid.axis_mm(2)[columns].mean())
        dy = y[:, None] - float(grid.axis_mm(1)[rows].mean())
        turn = kit.xp.arctan2(dy + 0 * dx, dx + 0 * dy)
        rays = sum(
            kit.xp.sin(int(n) * turn + float(p) + 0.3 * k)
            for n, p in zip(order, phase, strict=True)
        )
        fade = kit.xp.exp(-kit.xp.sqrt(dx**2 + dy**2) / STREAK_REACH_MM)
        hu[k] += scan.streaks_hu * (2.0 / STREAK_WAVES) ** 0.5 * rays * fade


def _blurred(hu: Array, scan: Scan, grid: Grid, kit: Arrays) -> Array:
    """The point spread, then a sharp kernel's overshoot."""
    step = grid.spacing_mm[1:]
    psf_mm = float(np.hypot(scan.acquisition.psf_mm, scan.coarse_mm))
    rows, columns = (max(psf_mm / s, LEAST_BLUR_VOXELS) for s in step)
    along = LEAST_BLUR_VOXELS if grid.shape[0] > 1 else 0.0
    hu = kit.blur(hu, (along, rows, columns))
    if scan.sharpening > 0:
        wide = kit.blur(hu, (0.0, OVERSHOOT_MM / step[0], OVERSHOOT_MM / step[1]))
        hu = hu + scan.sharpening * (hu - wide)
    return hu


def _noise(scan: Scan, grid: Grid, kit: Arrays) -> Array:
    """Grains of the kernel's size, stronger in the middle of the body."""
    noise = kit.normal(grid.shape, scan.seed)
    mm = scan.acquisition.noise_correlation_mm
    along = scan.noise_along_z if grid.shape[0] > 1 else 0.0
    noise = kit.blur(noise, (along, mm / grid.spacing_mm[1], mm / grid.spacing_mm[2]))
    noise = noise * (scan.acquisition.noise_hu / noise.std())
    x, y = (kit.put(grid.axis_mm(axis).astype(np.float32)) for axis in (2, 1))
    return noise * (
        0.8 + 0.4 * kit.xp.exp(-(x[None, None, :] ** 2 + y[None, :, None] ** 2) / 130.0**2)
    )


def outside_field(scan: Scan, grid: Grid, kit: Arrays = NUMPY) -> Array:
    """[1, row, column] what the round field of view leaves out."""
    x, y = (kit.put(grid.axis_mm(axis).astype(np.float32)) for axis in (2, 1))
    cx, cy = scan.field_centre_mm
    far2 = (x[None, None, :] - cx) ** 2 + (y[None, :, None] - cy) ** 2
    return far2 > scan.field_radius_mm**2

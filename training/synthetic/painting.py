"""From tissue labels to Hounsfield units: means, texture, slice thickness, blur, noise."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.synthetic.acquisition import Acquisition, Phase
from training.synthetic.anatomy import Anatomy
from training.synthetic.fields import wave_field
from training.synthetic.labels import MUSCLES, Labels, Tissue
from training.synthetic.torso import Grid, label_map

Array = npt.NDArray[np.float32]

HU_MIN, HU_MAX = -1024, 3071
TEXTURE_SEED = 81

FINE: dict[Tissue, float] = {
    **dict.fromkeys(MUSCLES, 5.0),
    Tissue.VISCERAL_FAT: 5.0,
    Tissue.SUBCUTANEOUS_FAT: 3.0,
    Tissue.MEDIASTINAL_FAT: 8.0,
    Tissue.INTERMUSCULAR_FAT: 14.0,
    Tissue.LUNG: 35.0,
    Tissue.FAECES: 60.0,
    Tissue.VERTEBRA_TRABECULAR: 28.0,
    Tissue.VERTEBRA_ARCH: 120.0,
    Tissue.PELVIS_TRABECULAR: 45.0,
    Tissue.FEMUR_TRABECULAR: 45.0,
    Tissue.RIB_TRABECULAR: 30.0,
    Tissue.PANCREAS: 9.0,
    Tissue.STOMACH_CONTENT: 14.0,
    Tissue.BOWEL_WALL: 6.0,
    Tissue.PELVIC_ORGAN: 8.0,
    Tissue.LIVER: 2.5,
}
"""HU of structure of 5 to 14 mm."""
COARSE: dict[Tissue, float] = {
    **dict.fromkeys(MUSCLES, 6.0),
    Tissue.BOWEL_CONTENT: 14.0,
    Tissue.FAECES: 45.0,
    Tissue.HEART: 14.0,
    Tissue.VISCERAL_FAT: 3.0,
    Tissue.LIVER: 2.5,
    Tissue.LUNG: 18.0,
    Tissue.STOMACH_CONTENT: 12.0,
    Tissue.SKIN: 8.0,
}
"""HU of structure of 18 to 60 mm."""


def paint(
    labels: Labels,
    anatomy: Anatomy | None,
    acquisition: Acquisition,
    grid: Grid,
    rng: np.random.Generator,
) -> npt.NDArray[np.int16]:
    """Hounsfield units of a label map; thick slices need the anatomy to look between the slices."""
    seed = int(rng.integers(1 << 31))
    hu = _clean(labels, acquisition, grid, seed)
    if acquisition.subslices > 1 and anatomy is not None:
        hu = _thick(hu, anatomy, acquisition, grid, seed)
    _blur_and_noise(hu, acquisition, grid, rng)
    return np.clip(np.rint(hu), HU_MIN, HU_MAX).astype(np.int16)


def _thick(hu: Array, anatomy: Anatomy, acquisition: Acquisition, grid: Grid, seed: int) -> Array:
    """The mean over thin slices spread over one slice's thickness."""
    n = acquisition.subslices
    offsets = ((np.arange(n) + 0.5) / n - 0.5) * grid.spacing_mm[0]
    total = np.zeros_like(hu)
    for offset in offsets:
        x, y, z = grid.origin_lps_mm
        shifted = replace(grid, origin_lps_mm=(x, y, z + float(offset)))
        labels = label_map(anatomy, shifted, with_table=acquisition.has_table)
        total += _clean(labels, acquisition, shifted, seed)
    return total / n


def _clean(labels: Labels, acquisition: Acquisition, grid: Grid, seed: int) -> Array:
    """Means and texture, without noise."""
    table = np.zeros(256, np.float32)
    table[: len(acquisition.mean_hu)] = acquisition.mean_hu
    hu = table[labels]
    if acquisition.texture == 0:
        return hu
    fine_table, coarse_table = _amplitudes(acquisition)
    fine = wave_field((seed, TEXTURE_SEED), waves=40, wavelength_mm=(5, 14), rms=1.0)
    coarse = wave_field((seed, TEXTURE_SEED + 1), waves=20, wavelength_mm=(18, 60), rms=1.0)
    x, y, z = (grid.axis_mm(axis).astype(np.float32) for axis in (2, 1, 0))
    for first in range(0, grid.shape[0], 8):
        part = slice(first, first + 8)
        some = labels[part]
        f, c = fine.on_grid(x, y, z[part]), coarse.on_grid(x, y, z[part])
        hu[part] += fine_table[some] * f + coarse_table[some] * c
        _details(hu[part], some, f, c)
    return hu


def _amplitudes(acquisition: Acquisition) -> tuple[Array, Array]:
    """HU of fine and coarse texture per label."""
    tables = []
    for amplitudes in (FINE, COARSE):
        table = np.zeros(256, np.float32)
        for tissue, value in amplitudes.items():
            table[tissue] = value * acquisition.texture
        tables.append(table)
    if acquisition.phase is Phase.ARTERIAL:
        tables[1][[Tissue.SPLEEN, Tissue.KIDNEY_LEFT, Tissue.KIDNEY_RIGHT]] = 16.0
    return tables[0], tables[1]


def _details(hu: Array, labels: Labels, fine: Array, coarse: Array) -> None:
    """Gas bubbles in faeces, strands in the visceral fat, fat streaks in muscle."""
    hu[(labels == Tissue.FAECES) & (fine > 1.1)] -= 450.0
    strands = (labels == Tissue.VISCERAL_FAT) & (np.abs(fine) < 0.12) & (coarse > 0.3)
    hu[strands] += 55.0
    muscle = np.isin(labels, (Tissue.ERECTOR_SPINAE, Tissue.GLUTEAL, Tissue.QUADRATUS_LUMBORUM))
    hu[muscle & (np.abs(fine) < 0.10) & (coarse > 0.4)] -= 60.0


def _blur_and_noise(
    hu: Array, acquisition: Acquisition, grid: Grid, rng: np.random.Generator
) -> None:
    """In-plane blur and noise, in place, slice by slice."""
    step = np.array(grid.spacing_mm[1:])
    blur, grain = acquisition.psf_mm / step, acquisition.noise_correlation_mm / step
    for k in range(hu.shape[0]):
        if acquisition.psf_mm > 0:
            hu[k] = ndimage.gaussian_filter(hu[k], blur, truncate=3.0)
        noise = rng.standard_normal(hu.shape[1:], dtype=np.float32)
        if acquisition.noise_correlation_mm > 0:
            noise = ndimage.gaussian_filter(noise, grain, truncate=3.0)
            noise /= max(float(noise.std()), 1e-6)
        hu[k] += noise * np.float32(acquisition.noise_hu)

"""From tissue labels to Hounsfield units: means, texture, slice thickness, blur, noise."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from training.synthetic.anatomy import Anatomy, Ranges, draw
from training.synthetic.attenuation import ENHANCEMENT_HU, PHASES, PLAIN_HU, Phase
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
    Tissue.PELVIS_TRABECULAR: 26.0,
    Tissue.FEMUR_TRABECULAR: 30.0,
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Acquisition:
    """One scan's properties."""

    phase: Phase
    mean_hu: tuple[float, ...]
    """Per fine class, by its number."""
    texture: float
    """Strength of the structure inside tissues; 0: constant HU."""
    noise_hu: float
    noise_correlation_mm: float
    """In-plane standard deviation of the noise's kernel; 0: white."""
    psf_mm: float
    """In-plane standard deviation of the blur; 0: none."""
    subslices: int
    """How many thin slices are averaged to one thick slice."""
    has_table: bool


def plain_acquisition(noise_hu: float) -> Acquisition:
    """Constant HU per tissue, white noise, no blur, no couch: what measuring is tested on."""
    return Acquisition(
        phase=Phase.NONE,
        mean_hu=tuple(float(PLAIN_HU[t]) for t in Tissue),
        texture=0.0,
        noise_hu=noise_hu,
        noise_correlation_mm=0.0,
        psf_mm=0.0,
        subslices=1,
        has_table=False,
    )


def sample_acquisition(rng: np.random.Generator, ranges: Ranges) -> Acquisition:
    """One scan: tissues of a kind vary together, contrast scales with one dose."""
    phase = PHASES[int(rng.choice(4, p=ranges.phase_weights))]
    dose = float(rng.uniform(0.75, 1.2))
    hu = {tissue: float(value) for tissue, value in PLAIN_HU.items()}
    if phase is not Phase.NONE:
        for tissue, added in ENHANCEMENT_HU.items():
            hu[tissue] += dose * added[PHASES.index(phase) - 1]
    _vary_tissues(rng, hu)
    offset = draw(rng, ranges.scanner_offset_hu)
    return Acquisition(
        phase=phase,
        mean_hu=tuple(hu[t] + (offset if hu[t] > -800 else 0.0) for t in Tissue),
        texture=float(rng.uniform(0.5, 1.3)),
        noise_hu=float(
            np.exp(draw(rng, tuple((np.log(a), np.log(b)) for a, b in ranges.noise_hu)))
        ),
        noise_correlation_mm=draw(rng, ranges.noise_correlation_mm),
        psf_mm=draw(rng, ranges.psf_mm),
        subslices=int(rng.choice([1, 2], p=[0.7, 0.3])),
        has_table=bool(rng.random() < 0.85),
    )


def _vary_tissues(rng: np.random.Generator, hu: dict[Tissue, float]) -> None:
    """Moves groups of tissues together and each a little on its own."""
    groups: list[tuple[tuple[Tissue, ...], float]] = [
        (MUSCLES, 8.0),
        ((Tissue.SUBCUTANEOUS_FAT, Tissue.VISCERAL_FAT, Tissue.MEDIASTINAL_FAT, Tissue.INTERMUSCULAR_FAT, Tissue.ARM_FAT), 4.0),
        ((Tissue.LIVER,), 12.0),
        ((Tissue.KIDNEY_LEFT, Tissue.KIDNEY_RIGHT), 8.0),
        ((Tissue.KIDNEY_LEFT_MEDULLA, Tissue.KIDNEY_RIGHT_MEDULLA), 8.0),
        ((Tissue.ADRENAL_LEFT, Tissue.ADRENAL_RIGHT), 8.0),
        ((Tissue.AORTA, Tissue.ARTERY), 10.0),
        ((Tissue.INFERIOR_VENA_CAVA, Tissue.VEIN), 10.0),
        ((Tissue.LUNG,), 40.0),
        ((Tissue.TABLE_SHELL,), 120.0),
    ]  # fmt: skip
    for tissues, spread in groups:
        step = float(np.clip(rng.normal(0, 1), -2.2, 2.2)) * spread
        for tissue in tissues:
            hu[tissue] += step + float(rng.normal(0, 0.15 * spread))
    for tissue in (Tissue.SPLEEN, Tissue.PANCREAS, Tissue.STOMACH_WALL, Tissue.DUODENUM, Tissue.BOWEL_WALL,
                   Tissue.GALLBLADDER, Tissue.ESOPHAGUS, Tissue.PORTAL_SPLENIC_VEIN, Tissue.HEART):  # fmt: skip
        hu[tissue] += float(rng.normal(0, 6))
    bone = float(rng.uniform(0.55, 1.35))
    for tissue in Tissue:
        if tissue.name.endswith("TRABECULAR"):
            hu[tissue] *= bone
        elif tissue.name.endswith(("CORTICAL", "ARCH")):
            hu[tissue] *= 0.5 + 0.5 * bone
    oral = rng.random() < 0.3
    for tissue in (Tissue.BOWEL_CONTENT, Tissue.STOMACH_CONTENT):
        hu[tissue] += float(rng.uniform(80, 300)) if oral else float(rng.uniform(-12, 25))


def paint(
    labels: Labels,
    anatomy: Anatomy | None,
    acquisition: Acquisition,
    grid: Grid,
    rng: np.random.Generator,
) -> npt.NDArray[np.int16]:
    """Hounsfield units of a label map; thick slices need the anatomy to look between the slices."""
    seed = int(rng.integers(1 << 31))
    if acquisition.subslices > 1 and anatomy is not None:
        hu = _thick(anatomy, acquisition, grid, seed)
    else:
        hu = _clean(labels, acquisition, grid, seed)
    _blur_and_noise(hu, acquisition, grid, rng)
    return np.clip(np.rint(hu), HU_MIN, HU_MAX).astype(np.int16)


def _thick(anatomy: Anatomy, acquisition: Acquisition, grid: Grid, seed: int) -> Array:
    """The mean over thin slices spread over one slice's thickness."""
    n = acquisition.subslices
    offsets = ((np.arange(n) + 0.5) / n - 0.5) * grid.spacing_mm[0]
    total = np.zeros(grid.shape, np.float32)
    for offset in offsets:
        x, y, z = grid.origin_lps_mm
        shifted = replace(grid, origin_lps_mm=(x, y, z + float(offset)))
        labels = label_map(anatomy, shifted, with_table=acquisition.has_table)
        total += _clean(labels, acquisition, shifted, seed)
    return np.asarray(total / n, np.float32)


def _clean(labels: Labels, acquisition: Acquisition, grid: Grid, seed: int) -> Array:
    """Means and texture, without noise."""
    table = np.zeros(256, np.float32)
    table[: len(acquisition.mean_hu)] = acquisition.mean_hu
    hu = table[labels]
    if acquisition.texture == 0:
        return hu
    fine_table, coarse_table = texture_tables(acquisition)
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


def texture_tables(acquisition: Acquisition) -> tuple[Array, Array]:
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

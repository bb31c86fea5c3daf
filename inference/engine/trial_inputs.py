"""What an accelerator is tried on: a body drawn by a formula, in Hounsfield units, as a network's input is prepared from any CT."""

import numpy as np
import numpy.typing as npt

from inference.domain.manifest import ModelManifest

Float = npt.NDArray[np.float32]

AIR_HU, FAT_HU, SOFT_HU, BONE_HU = -1000.0, -100.0, 50.0, 500.0
NOISE_HU = 15.0
SEED = 1_900_001
IN_PLANE = "YXW"
"""Axes across the body, by their letters in a layout; along the others it goes on."""


def slab_hu(shape: tuple[int, ...], layout: str) -> Float:
    """[batch, channel, …]: fat about soft tissue with denser and lighter parts, a spine, noise."""
    sizes = shape[2:]
    places = np.meshgrid(*(np.linspace(-1, 1, size) for size in sizes), indexing="ij")
    across = [p for p, letter in zip(places, layout[2:], strict=True) if letter in IN_PLANE]
    radius = np.sqrt(sum(p**2 for p in across))
    texture = np.prod([np.cos(9 * p + n) for n, p in enumerate(places)], axis=0)
    hu = np.full(sizes, AIR_HU)
    hu[radius < 0.9] = FAT_HU
    inside = radius < 0.75
    hu[inside] = SOFT_HU + 60 * texture[inside]
    behind = across[0] - 0.5
    spine = np.sqrt(behind**2 + sum(p**2 for p in across[1:])) < 0.15
    hu[spine] = BONE_HU + 200 * texture[spine]
    noise = np.random.default_rng(SEED).normal(0, NOISE_HU, (*shape[:2], *sizes))
    return (hu + noise).astype(np.float32)


def trial_input(manifest: ModelManifest) -> Float:
    """Normalised as the manifest says."""
    spec = manifest.input
    hu = slab_hu((1, *spec.shape[1:]), spec.layout)
    return normalised(hu, spec.hu_window, spec.mean, spec.sd)


def normalised(hu: Float, window: tuple[float, float], mean: float, sd: float) -> Float:
    """Clipped, mapped to 0..1, centred and scaled."""
    low, high = window
    return (((np.clip(hu, low, high) - low) / (high - low) - mean) / sd).astype(np.float32)

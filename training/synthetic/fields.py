"""Smooth random fields as sums of waves: exact at any point, cheap on a grid."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Axis = npt.NDArray[np.floating]


class Device(Protocol):
    """Where a product of matrices is taken."""

    def put(self, values: npt.NDArray[Any]) -> Any:
        """The same numbers there."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WaveField:
    """Σ amplitude · sin(kx·x + ky·y + kz·z + phase)."""

    wave_xyz_per_mm: npt.NDArray[np.float64]
    """[waves, 3] angular wave numbers."""
    phase: npt.NDArray[np.float64]
    amplitude: npt.NDArray[np.float64]

    def on_grid(self, x: Array, y: Array, z: Array) -> Array:
        """Values [slice, row, column] for axis coordinates in mm."""
        left, right = self._factors(x, y, z)
        return (left @ right).reshape(len(z), len(y), len(x))

    def on_axes(self, x: Axis, y: Axis, z: Axis, kit: Device) -> Any:
        """As on_grid, the product taken where the kit puts it."""
        left, right = self._factors(x, y, z)
        return (kit.put(left) @ kit.put(right)).reshape(len(z), len(y), len(x))

    def _factors(self, x: Axis, y: Axis, z: Axis) -> tuple[Array, Array]:
        """Two matrices whose product is the field."""
        k = self.wave_xyz_per_mm
        outer = (
            z[:, None, None] * k[None, None, :, 2]
            + y[None, :, None] * k[None, None, :, 1]
            + self.phase
        )
        # sin(a + b) = sin a cos b + cos a sin b turns the sum of waves into one matrix product
        left = np.concatenate([np.sin(outer), np.cos(outer)], axis=2) * np.tile(self.amplitude, 2)
        inner = x[:, None] * k[None, :, 0]
        right = np.concatenate([np.cos(inner), np.sin(inner)], axis=1)
        return (
            left.reshape(-1, left.shape[2]).astype(np.float32),
            np.ascontiguousarray(right.T, np.float32),
        )

    def at_points(
        self, x: npt.NDArray[np.float64], y: npt.NDArray[np.float64], z: npt.NDArray[np.float64]
    ) -> npt.NDArray[np.float64]:
        """Values at scattered points."""
        turn = np.stack([x, y, z], -1) @ self.wave_xyz_per_mm.T + self.phase
        return np.asarray(np.sin(turn) @ self.amplitude)

    @property
    def bound(self) -> float:
        """No value is larger than this."""
        return float(np.abs(self.amplitude).sum())


def wave_field(
    seed: tuple[int, ...], *, waves: int, wavelength_mm: tuple[float, float], rms: float
) -> WaveField:
    """Waves of random direction with lengths in a range and a given root mean square."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal((waves, 3))
    direction /= np.linalg.norm(direction, axis=1, keepdims=True)
    length = rng.uniform(*wavelength_mm, waves)
    weight = rng.uniform(0.6, 1.0, waves)
    amplitude = weight * rms / np.sqrt((weight**2).sum() / 2.0)
    return WaveField(
        wave_xyz_per_mm=direction * (2 * np.pi / length)[:, None],
        phase=rng.uniform(0, 2 * np.pi, waves),
        amplitude=amplitude,
    )

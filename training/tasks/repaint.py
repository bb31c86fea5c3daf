"""Examples painted anew where the network is trained: the same anatomy, never the same scan twice."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from training.augment import Chance
from training.synthetic.torso import Grid
from training.tasks.store import Example
from training.templates.painter import paint
from training.templates.scan import sample_scan
from training.torch_arrays import TorchArrays


class Repainter:
    """Paints a share of the examples that hold fine labels."""

    def __init__(self, share: float, device: torch.device) -> None:
        self._share = share
        self._kit = TorchArrays(device)

    def takes(self, example: Example, chance: Chance) -> bool:
        """Whether this example is painted anew this time."""
        held = self._share > 0 and example["tissues"].numel() > 0
        return held and bool(chance.host.random() < self._share)

    def hu(self, tissues: Tensor, spacing_mm: Sequence[float], chance: Chance) -> Tensor:
        """HU [slice, row, column] of fine labels on a grid of these steps, seen by a random scan."""
        slices, rows, columns = tissues.shape
        z, y, x = (float(step) for step in spacing_mm)
        offset = chance.host.uniform(-500, 500)
        grid = Grid(
            shape=(slices, rows, columns),
            spacing_mm=(z, y, x),
            origin_lps_mm=(-(columns - 1) / 2 * x, -(rows - 1) / 2 * y, float(offset)),
        )
        scan = sample_scan(np.random.default_rng(int(chance.host.integers(1 << 62))))
        painted: Tensor = paint([tissues.to(self._kit.device)], scan, grid, self._kit)
        return painted

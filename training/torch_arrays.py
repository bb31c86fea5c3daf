"""The operations of training.templates.arrays in torch: geometry and painting on an accelerator."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional


class TorchArrays:
    """See training.templates.arrays.Arrays."""

    xp: Any = torch

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def put(self, values: npt.NDArray[Any]) -> Tensor:
        return torch.as_tensor(np.ascontiguousarray(values), device=self.device)

    def get(self, values: Tensor) -> npt.NDArray[Any]:
        result: npt.NDArray[Any] = values.cpu().numpy()
        return result

    def zeros(self, shape: tuple[int, ...]) -> Tensor:
        return torch.zeros(shape, dtype=torch.uint8, device=self.device)

    def whole(self, values: Tensor) -> Tensor:
        return values.round().long()

    def real(self, values: Tensor) -> Tensor:
        return values.float()

    def picked(self, table: npt.NDArray[Any], labels: Tensor) -> Tensor:
        return self.put(table)[labels.long()]

    def blur(self, hu: Tensor, sd: tuple[float, float, float]) -> Tensor:
        blurred = hu[None, None]
        for axis, width in enumerate(sd):
            if width > 0:
                blurred = self._blur_axis(blurred, axis, width)
        return blurred[0, 0]

    def _blur_axis(self, hu: Tensor, axis: int, width: float) -> Tensor:
        # SciPy's gaussian_filter with truncate=3 has this radius and these weights.
        reach = int(3.0 * width + 0.5)
        if reach == 0:
            return hu
        place = torch.arange(-reach, reach + 1, device=self.device, dtype=torch.float32)
        weight = torch.exp(-0.5 * (place / width) ** 2)
        shape, pad = [1, 1, 1, 1, 1], [0] * 6
        shape[axis + 2] = -1
        pad[2 * (2 - axis)] = pad[2 * (2 - axis) + 1] = reach
        padded = functional.pad(hu, pad, mode="replicate")
        return functional.conv3d(padded, (weight / weight.sum()).view(shape))

    def normal(self, shape: tuple[int, ...], seed: int) -> Tensor:
        source = torch.Generator(self.device).manual_seed(seed)
        return torch.randn(shape, generator=source, device=self.device)

"""Logits of overlapping patches added up in as many planes as a patch is deep: memory does not grow with the scan."""

import numpy as np
import numpy.typing as npt

from inference.kernels.compiled import compiled
from inference.kernels.threads import in_shares

Float = npt.NDArray[np.float32]


class RollingLogits:
    """A ring of planes. Patches come in the order of their first plane; a plane that no later patch reaches is taken out."""

    def __init__(self, channels: int, plane: tuple[int, int], weight: Float) -> None:
        self._weight = weight
        self._sums = np.zeros((len(weight), channels, *plane), np.float32)
        self._weights = np.zeros((len(weight), *plane), np.float32)
        self._next = 0

    def add(self, logits: Float, start: tuple[int, int, int]) -> None:
        """Of a patch [channel, plane, row, column] at its first voxel."""
        if start[0] < self._next:
            raise ValueError(f"a patch from plane {start[0]}; {self._next} planes are taken out")

        def share(first: int, end: int) -> None:
            _add(self._sums, self._weights, logits, self._weight, *start, first, end)

        in_shares(len(self._weight), share)

    def take(self) -> Float:
        """The mean of the next plane [row, column, channel]; its place is empty again."""
        slot = self._next % len(self._sums)
        channels, rows, columns = self._sums.shape[1:]
        plane = np.empty((rows, columns, channels), np.float32)
        in_shares(
            rows,
            lambda first, end: _take(self._sums[slot], self._weights[slot], plane, first, end),
        )
        self._next += 1
        return plane


@compiled
def _add(
    sums: Float,
    weights: Float,
    logits: Float,
    weight: Float,
    z: int,
    y: int,
    x: int,
    first: int,
    end: int,
) -> None:
    depth, rows, columns = weight.shape
    for k in range(first, end):
        slot = (z + k) % depth
        # Lines cut out first: without an offset inside, the inner loops become vector instructions.
        for channel in range(logits.shape[0]):
            for i in range(rows):
                line = sums[slot, channel, y + i, x : x + columns]
                new, share = logits[channel, k, i], weight[k, i]
                for j in range(columns):
                    line[j] += new[j] * share[j]
        for i in range(rows):
            line, share = weights[slot, y + i, x : x + columns], weight[k, i]
            for j in range(columns):
                line[j] += share[j]


@compiled
def _take(sums: Float, weights: Float, plane: Float, first: int, end: int) -> None:
    for i in range(first, end):
        for channel in range(sums.shape[0]):
            for j in range(sums.shape[2]):
                plane[i, j, channel] = sums[channel, i, j] / weights[i, j]
                sums[channel, i, j] = 0
        for j in range(sums.shape[2]):
            weights[i, j] = 0

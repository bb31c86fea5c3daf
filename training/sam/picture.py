"""Slices of a kept-back case, the truth as lines, what each network said in colour."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.domain.predictor import Predictor
from training.data.cases import LabelledCase
from training.sam.answers import Masks, SliceNetwork
from training.sam.evaluate import masks_of, our_channels
from training.slices.organ_slice import channel_map

ROWS = 3
WINDOW_HU = (-160, 240)
COLOURS = "tab10"
MOST_COLOURS = 10


def draw(
    networks: Mapping[str, SliceNetwork],
    titles: Mapping[str, str],
    case: LabelledCase,
    structures: Sequence[str],
    organs: Predictor,
    path: Path,
) -> None:
    """Three slices with as many structures as there are; networks with prompts asked from our own 3D mask."""
    from matplotlib.figure import Figure

    read = case.read()
    truth = channel_map(read.labels, structures)
    ours = our_channels(read, structures, organs)
    spacing_mm = read.volume.spacing_mm[1:]
    figure = Figure(figsize=(3 * (len(networks) + 1), 2.6 * ROWS), layout="constrained")
    axes = figure.subplots(ROWS, len(networks) + 1, squeeze=False)
    for row, index in enumerate(_fullest(truth)):
        seen = masks_of(ours[index])
        shown = {"our 3D mask": seen} | {
            titles.get(name, name): network.answer(read.volume.hu[index], spacing_mm, seen)
            for name, network in networks.items()
        }
        for axis, (title, masks) in zip(axes[row], shown.items(), strict=True):
            axis.imshow(read.volume.hu[index], "gray", vmin=WINDOW_HU[0], vmax=WINDOW_HU[1])
            axis.imshow(_coloured(masks, truth[index].shape), COLOURS, vmin=0, vmax=9, alpha=0.5)
            for true in masks_of(truth[index]).values():
                axis.contour(true, [0.5], colors="white", linewidths=0.6)
            axis.set_axis_off()
            axis.set_aspect(spacing_mm[0] / spacing_mm[1])
            if row == 0:
                axis.set_title(title, fontsize=8)
    figure.suptitle("Truth as white lines; prompts from our 3D mask", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=90)


def _fullest(truth: npt.NDArray[np.uint8]) -> list[int]:
    """Slices with most structures, at least a tenth of the case apart."""
    richness = [len(np.unique(plane)) for plane in truth]
    chosen: list[int] = []
    for index in np.argsort(richness)[::-1]:
        if all(abs(int(index) - other) > len(truth) / 10 for other in chosen):
            chosen.append(int(index))
        if len(chosen) == ROWS:
            break
    return sorted(chosen, reverse=True)


def _coloured(masks: Masks, shape: Sequence[int]) -> npt.NDArray[np.float64]:
    colours = np.full(tuple(shape), np.nan)
    for channel, mask in masks.items():
        colours[mask] = (channel - 1) % MOST_COLOURS
    return colours

"""Organs of the 3D network redrawn slice by slice by a network with prompts, and what became of each."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.analysis_profile import Refinement
from inference.domain.labelmap import LabelMap
from inference.domain.measurement import OrganRefinement
from inference.domain.refiner import Refiner
from inference.domain.volume import Volume
from inference.stages.grids import Float, normalise
from inference.stages.prompts import Mask, SquareView, prompt_from, prompt_parts

LEAST_PIXELS = 12
"""Of the 3D mask in a slice: what is smaller is left as it is."""

Masks = npt.NDArray[np.bool_]


def refine_organs(
    upright: Volume,
    organs: LabelMap,
    refiner: Refiner,
    refinement: Refinement,
    progress: Callable[[float], None],
) -> tuple[LabelMap, tuple[OrganRefinement, ...]]:
    """The label map with the named organs redrawn, except where the new mask disagrees with the 3D one too much.

    No organ takes voxels of another, and none is drawn farther than the margin from where it was seen in three dimensions.
    """
    wanted = {
        label: structure
        for label, structure in organs.structures.items()
        if structure.value in refinement.organs and (organs.labels == label).any()
    }
    drawn = redrawn(upright, organs.labels, list(wanted), refiner, refinement, progress)
    labels, outcomes = organs.labels.copy(), []
    for label, structure in wanted.items():
        before = organs.labels == label
        after = drawn[label] & ((organs.labels == 0) | before)
        dice = 2 * int((before & after).sum()) / max(1, int(before.sum()) + int(after.sum()))
        outcome = OrganRefinement(
            structure=structure,
            model=refiner.manifest.name,
            version=refiner.manifest.version,
            dice=round(dice, 3),
            least_dice=refinement.least_dice,
        )
        outcomes.append(outcome)
        if outcome.is_taken:
            labels[before] = 0
            labels[after & (labels == 0)] = label
    return replace(organs, labels=labels), tuple(outcomes)


def redrawn(
    upright: Volume,
    labels: npt.NDArray[np.uint8],
    wanted: Sequence[int],
    refiner: Refiner,
    refinement: Refinement,
    progress: Callable[[float], None],
) -> dict[int, Masks]:
    """A mask of each wanted label; where a slice's share is too small to be asked about it stays."""
    masks = {label: labels == label for label in wanted}
    view = SquareView(
        shape=upright.shape[1:], spacing_mm=upright.spacing_mm[1:], side=refiner.manifest.side
    )
    for index in range(len(labels)):
        asked = [label for label in wanted if masks[label][index].sum() >= LEAST_PIXELS]
        embeddings = refiner.embed(_image(upright.hu[index], view, refiner)) if asked else ()
        for label in asked:
            seen = masks[label][index]
            answer = _answer(seen, view, embeddings, refiner)
            masks[label][index] = answer & _near(seen, view, refinement.margin_mm)
        progress((index + 1) / len(labels))
    return masks


def _image(plane: npt.NDArray[np.int16] | Float, view: SquareView, refiner: Refiner) -> Float:
    manifest = refiner.manifest
    square = view.image(plane.astype(np.float32))
    return normalise(square, manifest.hu_window, manifest.mean, manifest.sd)


def _answer(seen: Mask, view: SquareView, embeddings: tuple[Float, ...], refiner: Refiner) -> Mask:
    manifest = refiner.manifest
    prompt = prompt_from(seen, view, manifest.mask_side, prompt_parts(manifest.asked))
    logits = refiner.mask_logits(
        embeddings, prompt.points, prompt.kinds, prompt.mask, prompt.has_mask
    )
    answer: Mask = view.of_side(manifest.mask_side).back(logits) > 0
    return answer


def _near(seen: Mask, view: SquareView, margin_mm: float) -> Mask:
    near: Mask = ndimage.distance_transform_edt(~seen, sampling=view.spacing_mm) <= margin_mm
    return near

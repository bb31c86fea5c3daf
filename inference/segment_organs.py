"""Organ labels from one low-resolution 3D network, asked on one or more grids."""

from collections.abc import Callable, Sequence

import numpy as np

from inference.domain.labelmap import LabelMap
from inference.domain.nnunet_recipe import Recipe
from inference.domain.predictor import Predictor
from inference.domain.volume import Volume, flip
from inference.engine.sliding_window import sliding_logits
from inference.stages.grids import AIR_HU, at_even_steps, body_mask, normalise, resample
from inference.stages.organ_labels import SOLID, Look, labels_from_logits, organ_map

BODY_MARGIN = 4
"""Voxels kept around the body when the network's field is cropped to it."""


def segment_organs(
    upright: Volume,
    predictor: Predictor,
    grid_shifts: Sequence[float],
    progress: Callable[[str, float], None],
) -> LabelMap:
    """Organ labels on the volume's grid: by the recipe of an nnU-Net where the network has one, else by our own stages.

    At 4 mm the rim decides a small organ's Dice, and it depends on where the grid happens to lie: the answers
    on grids moved by the given parts of a voxel are added up.
    """
    if predictor.manifest.recipe is not None:
        return _as_nnunet(upright, predictor, predictor.manifest.recipe, progress)
    looks = []
    for number, shift in enumerate(grid_shifts):
        done = number / len(grid_shifts)

        def report(fraction: float, done: float = done) -> None:
            progress("organs", 0.9 * (done + fraction / len(grid_shifts)))

        looks.append(_look(upright, predictor, shift, report))
    structures = predictor.manifest.structures()
    solid = [label for label, structure in structures.items() if structure in SOLID]
    labels = labels_from_logits(looks, upright, solid)
    return organ_map(labels, upright, structures)


def _as_nnunet(
    upright: Volume,
    predictor: Predictor,
    recipe: Recipe,
    progress: Callable[[str, float], None],
) -> LabelMap:
    """What its own predictor gives; only specks and far pieces are dropped, as of any organ."""
    # Numba takes 66 MB and a third of a second, which a node of our own networks need not spend.
    from inference.nnunet.labels import labels_of

    voxels, first = upright.hu, 0.0
    if upright.slice_places is not None:
        voxels, first = at_even_steps(upright.hu.astype(np.float32), upright.slice_places)
    found = labels_of(
        np.ascontiguousarray(flip(voxels, recipe.flips)),
        upright.spacing_mm,
        recipe,
        predictor.predict,
        lambda share: progress("organs", 0.9 * share),
    )
    labels = flip(found, recipe.flips)
    if upright.slice_places is not None:
        nearest = np.rint(upright.slice_places - first).astype(int)
        labels = labels[np.clip(nearest, 0, len(labels) - 1)]
    structures = predictor.manifest.structures()
    served = np.zeros(recipe.channels, np.uint8)
    served[list(structures)] = list(structures)
    return organ_map(served[labels], upright, structures)


def _look(
    upright: Volume, predictor: Predictor, shift: float, progress: Callable[[float], None]
) -> Look:
    spec = predictor.manifest.input
    coarse = resample(upright, spec.spacing_mm, shift)
    body = body_mask(coarse.hu)
    box = tuple(
        slice(max(0, used[0] - BODY_MARGIN), used[-1] + 1 + BODY_MARGIN)
        if (used := np.flatnonzero(body.any(axis=axes))).size
        else slice(None)
        for axes in ((1, 2), (0, 2), (0, 1))
    )
    affine = coarse.affine_lps.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start or 0 for part in box]
    cropped = Volume(hu=coarse.hu[box], affine_lps=affine)
    window = (spec.hu_window, spec.mean, spec.sd)
    air = float(normalise(np.array([AIR_HU], np.float32), *window)[0])
    voxels = normalise(cropped.hu.astype(np.float32), *window)
    return Look(logits=sliding_logits(voxels, predictor, air, progress), coarse=cropped)

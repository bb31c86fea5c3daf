"""Organ labels from one low-resolution 3D network, asked on one or more grids."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from inference.domain.analysis_profile import OrganPatches
from inference.domain.errors import ModelUnusable
from inference.domain.labelmap import LabelMap
from inference.domain.manifest import ModelManifest
from inference.domain.nnunet_recipe import Recipe
from inference.domain.predictor import Predictor
from inference.domain.volume import Volume, flip
from inference.engine.sliding_window import sliding_logits
from inference.kernels.patch_plan import THREE_QUARTERS, PatchPlan
from inference.stages.fine_region import fading, of_these_alone, region_about
from inference.stages.grids import AIR_HU, at_even_steps, body_mask, normalise, resample
from inference.stages.organ_labels import SOLID, Look, labels_from_logits, organ_map

if TYPE_CHECKING:
    from inference.nnunet.labels import Asking

BODY_MARGIN = 4
"""Voxels kept around the body when the network's field is cropped to it."""
COARSE_MM = 4.0
"""Step at which a body is looked for that only crops what an nnU-Net sees."""
FINE_COUNTS = 2.0
"""Looks of the first network that one of the second, near the organs it is asked for, outweighs."""
FAST_FLAG = (
    "organs: asked within the body alone with patches overlapping by a quarter (organ_patches = fast): "
    "another answer than nnU-Net's own predictor gives"
)

Box = tuple[slice, slice, slice]


def untold(_plan: PatchPlan) -> None:
    """A plan of patches that nobody wants to know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patching:
    """How patches are laid, and who hears of each plan of them before its first patch."""

    patches: OrganPatches = OrganPatches.EXACT
    told: Callable[[PatchPlan], None] = untold


AS_TESTED = Patching()


@dataclass(frozen=True, slots=True, kw_only=True)
class FineNetwork:
    """A second network, asked on its own, finer grid."""

    predictor: Predictor
    about: Collection[str] = ()
    """Near these organs alone, where the first network finds any of them; empty: of the whole body."""


def segment_organs(
    upright: Volume,
    predictor: Predictor,
    grid_shifts: Sequence[float],
    progress: Callable[[str, float], None],
    patching: Patching = AS_TESTED,
    fine: FineNetwork | None = None,
) -> LabelMap:
    """Organ labels on the volume's grid: by the recipe of an nnU-Net where the network has one, else by our own stages.

    On a coarse grid the rim decides a small organ's Dice, and it depends on where the grid happens to lie: the answers
    on grids moved by the given parts of a voxel are added up, and with them that of a second network on its own, finer grid.
    """
    if predictor.manifest.recipe is not None:
        return _as_nnunet(upright, predictor, predictor.manifest.recipe, progress, patching)
    fine_looks = 0 if fine is None else len(grid_shifts) if fine.about else 1
    asked = len(grid_shifts) + fine_looks
    looks: list[Look] = []

    def report(fraction: float) -> None:
        progress("organs", 0.9 * (len(looks) + fraction) / asked)

    for shift in grid_shifts:
        looks.append(_look(upright, predictor, shift, report, patching.told))
    structures = predictor.manifest.structures()
    if fine is not None:
        channels = [label for label, structure in structures.items() if structure in fine.about]
        told = (report, patching.told)
        if not channels:
            looks.append(_look(upright, fine.predictor, 0.0, *told))
        first = looks[0]
        for shift in grid_shifts if channels else ():
            looks += _fine_look(upright, fine.predictor, channels, first, (shift, *told))
    solid = {label: one for label, one in structures.items() if one in SOLID}
    labels = labels_from_logits(looks, upright, solid)
    return organ_map(labels, upright, structures)


def require_same_organs(
    first: ModelManifest, fine: ModelManifest, about: Collection[str] = ()
) -> None:
    """Logits of two networks can be added up where each channel means the same, near organs that they know; raises ModelUnusable."""
    if first.recipe is not None or fine.recipe is not None:
        raise ModelUnusable(
            found=f"{first.name} and {fine.name}, one of them trained by nnU-Net",
            wanted="two networks of our own training, whose logits can be added up",
            advice="Take fine_organ_model out of the profile.",
        )
    if first.output.labels != fine.output.labels:
        raise ModelUnusable(
            found=f"{fine.name} with other organs than {first.name}, or in another order",
            wanted=f"{', '.join(first.output.labels)}",
            advice="Take fine_organ_model out of the profile, or train it on the same labels.",
        )
    if unknown := sorted(set(about) - set(fine.output.labels)):
        raise ModelUnusable(
            found=f"fine_organs_about {', '.join(unknown)}, which {fine.name} does not know",
            wanted=f"some of {', '.join(fine.output.labels[1:])}",
            advice="Mend fine_organs_about of the profile.",
        )


def asked_flags(predictor: Predictor, patches: OrganPatches) -> tuple[str, ...]:
    """What a reader must know of how the network is asked; our own are asked in one way."""
    is_fast = predictor.manifest.recipe is not None and patches == OrganPatches.FAST
    return (FAST_FLAG,) if is_fast else ()


def asking_for(
    patches: OrganPatches,
    voxels: npt.NDArray[np.int16] | npt.NDArray[np.float32],
    spacing_mm: Sequence[float],
    told: Callable[[PatchPlan], None],
) -> "Asking":
    """How much of a scan an nnU-Net is shown, and how often."""
    # Numba takes 66 MB and a third of a second, which a node of our own networks need not spend.
    from inference.nnunet.labels import Asking

    if patches == OrganPatches.FAST:
        return Asking(field=body_field(voxels, spacing_mm), step=THREE_QUARTERS, told=told)
    return Asking(told=told)


def _as_nnunet(
    upright: Volume,
    predictor: Predictor,
    recipe: Recipe,
    progress: Callable[[str, float], None],
    patching: Patching,
) -> LabelMap:
    """What its own predictor gives; only specks and far pieces are dropped, as of any organ."""
    from inference.nnunet.labels import labels_of

    voxels, first = upright.hu, 0.0
    if upright.slice_places is not None:
        voxels, first = at_even_steps(upright.hu.astype(np.float32), upright.slice_places)
    turned = np.ascontiguousarray(flip(voxels, recipe.flips))
    found = labels_of(
        turned,
        upright.spacing_mm,
        recipe,
        predictor.predict,
        lambda share: progress("organs", 0.9 * share),
        asking_for(patching.patches, turned, upright.spacing_mm, patching.told),
    )
    labels = flip(found, recipe.flips)
    if upright.slice_places is not None:
        nearest = np.rint(upright.slice_places - first).astype(int)
        labels = labels[np.clip(nearest, 0, len(labels) - 1)]
    structures = predictor.manifest.structures()
    served = np.zeros(recipe.channels, np.uint8)
    served[list(structures)] = list(structures)
    return organ_map(served[labels], upright, structures)


def body_field(
    voxels: npt.NDArray[np.int16] | npt.NDArray[np.float32], spacing_mm: Sequence[float]
) -> Box:
    """Slices, rows and columns that hold the body, of every fourth millimetre's voxels, and some air about it."""
    strides = [max(1, int(COARSE_MM / step)) for step in spacing_mm]
    first, second, third = (slice(None, None, stride) for stride in strides)
    box = _box_around(body_mask(voxels[first, second, third]))
    bounds = (
        part.indices(-(-size // stride))
        for part, size, stride in zip(box, voxels.shape, strides, strict=True)
    )
    slices, rows, columns = (
        slice(start * stride, min(stop * stride, size))
        for (start, stop, _), size, stride in zip(bounds, voxels.shape, strides, strict=True)
    )
    return slices, rows, columns


def _box_around(body: npt.NDArray[np.bool_]) -> Box:
    """The body and some voxels more; everything where there is none."""
    first, second, third = (
        slice(max(0, int(used[0]) - BODY_MARGIN), int(used[-1]) + 1 + BODY_MARGIN)
        if (used := np.flatnonzero(body.any(axis=axes))).size
        else slice(None)
        for axes in ((1, 2), (0, 2), (0, 1))
    )
    return first, second, third


def _look(
    upright: Volume,
    predictor: Predictor,
    shift: float,
    progress: Callable[[float], None],
    told: Callable[[PatchPlan], None],
) -> Look:
    coarse = resample(upright, predictor.manifest.input.spacing_mm, shift)
    return _look_at(coarse, _box_around(body_mask(coarse.hu)), predictor, progress, told)


def _fine_look(
    upright: Volume,
    predictor: Predictor,
    channels: Sequence[int],
    first: Look,
    asked: tuple[float, Callable[[float], None], Callable[[PatchPlan], None]],
) -> list[Look]:
    """Of the region about some organs alone; none where the first look found none of them."""
    shift, progress, told = asked
    spec = predictor.manifest.input
    grid = resample(upright, spec.spacing_mm, shift)
    box = region_about(first, channels, grid, spec.shape[2:])
    if box is None:
        return []
    look = _look_at(grid, box, predictor, progress, told)
    spoken = of_these_alone(look.logits, channels)
    weight = FINE_COUNTS * fading(box, grid.shape, grid.spacing_mm)
    return [replace(look, logits=spoken, weight=weight)]


def _look_at(
    grid: Volume,
    box: Box,
    predictor: Predictor,
    progress: Callable[[float], None],
    told: Callable[[PatchPlan], None],
) -> Look:
    """What a network says of a part of a volume that lies on its grid."""
    spec = predictor.manifest.input
    affine = grid.affine_lps.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start or 0 for part in box]
    cropped = Volume(hu=grid.hu[box], affine_lps=affine)
    window = (spec.hu_window, spec.mean, spec.sd)
    air = float(normalise(np.array([AIR_HU], np.float32), *window)[0])
    voxels = normalise(cropped.hu.astype(np.float32), *window)
    return Look(logits=sliding_logits(voxels, predictor, air, progress, told), coarse=cropped)

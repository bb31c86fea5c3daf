"""From organ logits on the network's grid to an organ label map on the scanner's grid."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import cast

import numpy as np
import numpy.typing as npt
from scipy import ndimage, special

from inference.domain.labelmap import LabelMap, Structure
from inference.domain.volume import Volume, index_at
from inference.stages.aorta_rules import (
    along_the_cava,
    ended_where_it_parts,
    within_its_calcified_wall,
)
from inference.stages.followed_aorta import FAT_HU, followed
from inference.stages.grids import Float, calm_plane, interpolate_axis
from inference.stages.one_tube import one_tube

Box = tuple[slice, slice, slice]

MINIMUM_ML = {Structure.ADRENAL_RIGHT: 0.3, Structure.ADRENAL_LEFT: 0.3}
"""Smaller findings are noise; other organs: DEFAULT_MINIMUM_ML."""
DEFAULT_MINIMUM_ML = 1.0
KEPT_FRACTION = 0.25
"""Pieces smaller than this share of an organ's largest piece are dropped."""
FARTHEST_MM = 30.0
"""Along the body, from an organ's largest piece: a full bladder was called liver."""
BESIDE = {
    Structure.ADRENAL_RIGHT: (Structure.LIVER, Structure.KIDNEY_RIGHT),
    Structure.ADRENAL_LEFT: (Structure.SPLEEN, Structure.KIDNEY_LEFT),
    Structure.GALLBLADDER: (Structure.LIVER,),
}
"""Where any of these is found, a piece of the small organ lies no farther along the body from it than FARTHEST_MM:
the wall of a bladder was called adrenal gland, and was the larger piece."""
JUDGED_LAST = frozenset({*BESIDE, Structure.AORTA})
"""By where others were found."""
TUBES = frozenset({Structure.INFERIOR_VENA_CAVA})
"""Not the aorta, which two holes of a slice show where it arches."""
SOLID = frozenset(
    {
        Structure.LIVER,
        Structure.SPLEEN,
        Structure.KIDNEY_RIGHT,
        Structure.KIDNEY_LEFT,
        Structure.AORTA,
        Structure.INFERIOR_VENA_CAVA,
        Structure.ADRENAL_RIGHT,
        Structure.ADRENAL_LEFT,
        Structure.GALLBLADDER,
    }
)
"""Organs without fat of their own: the pancreas has lobules in fat, the bowel gas and food."""
FAT_BORDER_HU, FAT_BLUR_HU = -25.0, 10.0
"""Between fat and soft tissue, and how gradually: fatty livers of -10 HU are soft tissue still."""
AGAINST_FAT, FOR_SOFT_TISSUE = 3.0, 0.7
"""Logits that fat and air speak against a solid organ, and soft tissue for any organ that is near."""
WATER_HU = 0.0
VESSELS = frozenset({Structure.AORTA, Structure.INFERIOR_VENA_CAVA})
"""The border of other organs lies no higher than water: a cyst at their surface is no fat."""
NEAR_VOXELS = 2
"""Of the coarse grid about an organ: so far its own brightness decides its rim."""


NONE_SOLID: Mapping[int, Structure] = MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Look:
    """What a network said of a volume on one grid."""

    logits: Float
    """[channel, slice, row, column]"""
    coarse: Volume
    """The grid, and the HU that the network saw."""
    weight: Float | None = None
    """How much it counts at each voxel of the grid, 0 at a border beyond which others know more; None: 1 everywhere."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BrightRim:
    """A solid organ so bright that it meets fat well above what is half fat and half soft tissue."""

    label: int
    border_hu: float
    """Half way between its own HU and fat's; of other organs than the great vessels no higher than water."""
    near: npt.NDArray[np.bool_]
    """Where the first look has it, and a little beyond."""
    inside: npt.NDArray[np.bool_]
    """Where it has it on all sides: thrombus, a cyst and blood that is not mixed yet are no rim."""


def labels_from_logits(
    looks: Sequence[Look], target: Volume, solid: Mapping[int, Structure] = NONE_SOLID
) -> npt.NDArray[np.uint8]:
    """Trilinear interpolation, sum and argmax, slice by slice, only where some organ is near; [slice, row, column].

    With `solid`, the solid organs by channel, a rim that the coarse grid leaves open is decided by the target's own HU.
    """
    labels = np.zeros(target.shape, np.uint8)
    near = [ndimage.binary_dilation(look.logits.argmax(axis=0) > 0, iterations=1) for look in looks]
    placed = [_placed(look, target) for look in looks]
    bright = bright_rims(looks[0], solid) if looks else []
    for k, place in enumerate(target.places):
        planes, boxes = [], []
        for look, there, (scale, offset) in zip(looks, near, placed, strict=True):
            slices = look.logits.shape[1]
            position = float(np.clip(place * scale[0] + offset[0], 0, slices - 1))
            below = min(int(position), max(slices - 2, 0))
            above = min(below + 1, slices - 1)
            weight = np.float32(position - below)
            plane = look.logits[:, below] * (1 - weight) + look.logits[:, above] * weight
            counts = np.ones_like(plane[:1])
            if look.weight is not None:
                counts[0] = look.weight[below] * (1 - weight) + look.weight[above] * weight
            planes.append(np.concatenate([plane * counts, counts]))
            used = there[below] | there[above]
            if used.any():
                boxes.append([_reach(used, a, scale, offset, labels.shape) for a in (0, 1)])
        if boxes:
            summed, box = _finer(planes, boxes, placed)
            total, counts = summed[:-1], summed[-1]
            if solid:
                calm = calm_plane(target.hu[k][box], target.spacing_mm[1:])
                soft = _denser_than(FAT_BORDER_HU, calm)
                total[list(solid)] -= counts * AGAINST_FAT * (1 - soft)
                total[0] -= counts * FOR_SOFT_TISSUE * soft
                for rim in bright:
                    part, is_rim = _part_near(rim, float(place), placed[0], box)
                    thin = soft[part] - _denser_than(rim.border_hu, calm[part])
                    total[rim.label][part] -= counts[part] * AGAINST_FAT * thin * is_rim
            labels[k][box] = total.argmax(axis=0)
    return labels


Placed = tuple[list[float], npt.NDArray[np.float64]]
"""For each axis: steps of a look's grid per step of the target, and where the target's first voxel lies on it."""


def _placed(look: Look, target: Volume) -> Placed:
    scale = [t / c for t, c in zip(target.spacing_mm, look.coarse.spacing_mm, strict=True)]
    return scale, index_at(look.coarse.affine_lps, target.affine_lps[:3, 3])


def _reach(
    used: npt.NDArray[np.bool_],
    axis: int,
    scale: list[float],
    offset: npt.NDArray[np.float64],
    shape: tuple[int, ...],
) -> tuple[int, int]:
    """First and last row (axis 0) or column (1) of the target that lies about `used`."""
    where = np.flatnonzero(used.any(axis=1 - axis))
    first = int(np.ceil((where[0] - 0.5 - offset[axis + 1]) / scale[axis + 1]))
    last = int(np.floor((where[-1] + 0.5 - offset[axis + 1]) / scale[axis + 1]))
    return max(first, 0), min(last, shape[axis + 1] - 1)


def _finer(
    planes: Sequence[Float],
    boxes: Sequence[Sequence[tuple[int, int]]],
    placed: Sequence[Placed],
) -> tuple[Float, tuple[slice, slice]]:
    """The sum of all planes on the target's voxels, in the box around all boxes, and this box."""
    box = [(min(b[a][0] for b in boxes), max(b[a][1] for b in boxes)) for a in (0, 1)]
    total: Float | None = None
    for plane, (scale, offset) in zip(planes, placed, strict=True):
        fine = plane
        for axis, (first, last) in enumerate(box, start=1):
            start = first * scale[axis] + offset[axis]
            fine = interpolate_axis(fine, axis, max(last - first + 1, 0), scale[axis], start)
        total = fine if total is None else total + fine
    assert total is not None
    (r0, r1), (c0, c1) = box
    return total, (slice(r0, r1 + 1), slice(c0, c1 + 1))


def _denser_than(border_hu: float, calm: Float) -> Float:
    """1 well above a border, 0 well below."""
    share: Float = special.expit((calm - np.float32(border_hu)) / np.float32(FAT_BLUR_HU))
    return share


def bright_rims(look: Look, solid: Mapping[int, Structure]) -> list[BrightRim]:
    """Of a pixel that is a fifth aorta and else fat the mean is soft tissue: with contrast vessels came out too wide."""
    called = look.logits.argmax(axis=0)
    rims = []
    for label, structure in solid.items():
        found = called == label
        if not found.any():
            continue
        border_hu = (float(np.median(look.coarse.hu[found])) + FAT_HU) / 2
        if structure not in VESSELS:
            border_hu = min(border_hu, WATER_HU)
        if border_hu > FAT_BORDER_HU:
            near = ndimage.binary_dilation(found, iterations=NEAR_VOXELS)
            inside = ndimage.binary_erosion(found)
            rims.append(BrightRim(label=label, border_hu=border_hu, near=near, inside=inside))
    return rims


def _part_near(
    rim: BrightRim, place: float, placed: Placed, box: tuple[slice, slice]
) -> tuple[tuple[slice, slice], npt.NDArray[np.bool_]]:
    """Rows and columns within a slice's box that lie near a rim, empty where none does; which of these are not deep inside."""
    scale, offset = placed
    position = int(np.clip(round(place * scale[0] + offset[0]), 0, len(rim.near) - 1))
    used = rim.near[position]
    if not used.any():
        return (slice(0), slice(0)), np.ones((0, 0), np.bool_)
    shape = (0, *(part.stop for part in box))
    parts, picks = [], []
    for axis, part in enumerate(box):
        first, last = _reach(used, axis, scale, offset, shape)
        first = max(first, part.start)
        stop = max(last + 1, first)
        parts.append(slice(first - part.start, stop - part.start))
        coarse = np.rint(np.arange(first, stop) * scale[axis + 1] + offset[axis + 1])
        picks.append(np.clip(coarse, 0, used.shape[axis] - 1).astype(np.intp))
    is_rim: npt.NDArray[np.bool_] = ~rim.inside[position][np.ix_(*picks)]
    return (parts[0], parts[1]), is_rim


def label_boxes(labels: npt.NDArray[np.uint8], highest: int) -> list[Box | None]:
    """The bounding box of each label 1..highest; None where it does not occur (scipy's types leave that out)."""
    return cast("list[Box | None]", ndimage.find_objects(labels, max_label=highest))


def organ_map(
    labels: npt.NDArray[np.uint8], volume: Volume, structures: dict[int, Structure]
) -> LabelMap:
    """Largest pieces of each organ kept, specks dropped; of a listed structure everything stays as the network says it.

    What is true of organs is not of the others: a rib is cut into pieces by slices, the colon by the field of view.
    """
    cleaned = np.zeros_like(labels)
    boxes = label_boxes(labels, max(structures))
    slice_mm = volume.spacing_mm[0]
    stretches: dict[Structure, slice] = {}
    cava_rc: npt.NDArray[np.float64] | None = None
    for label, structure in sorted(structures.items(), key=lambda item: item[1] in JUDGED_LAST):
        if (box := boxes[label - 1]) is None:
            continue
        found = labels[box] == label
        if structure.is_listed:
            cleaned[box][found] = label
            continue
        near = [stretches[other] for other in BESIDE.get(structure, ()) if other in stretches]
        found = _pieces_beside(found, box[0].start, near, slice_mm)
        if structure == Structure.AORTA:
            corner = np.array([part.start for part in box[1:]])
            aside = None if cava_rc is None else cava_rc - corner
            found = along_the_cava(found, aside, volume.spacing_mm[1:])
        kept = _large_pieces(found, slice_mm)
        if structure in TUBES:
            kept = one_tube(kept)
        if structure == Structure.AORTA:
            kept = ended_where_it_parts(kept, slice_mm)
            kept |= within_its_calcified_wall(kept, volume.hu[box]) & (labels[box] == 0)
        minimum = MINIMUM_ML.get(structure, DEFAULT_MINIMUM_ML)
        if volume.volume_ml(kept, box[0].start) >= minimum:
            cleaned[box][kept] = label
            slices = np.flatnonzero(kept.any(axis=(1, 2))) + box[0].start
            stretches[structure] = slice(int(slices[0]), int(slices[-1]) + 1)
            if structure == Structure.INFERIOR_VENA_CAVA:
                cava_rc = np.array(
                    [
                        places.mean() + part.start
                        for places, part in zip(np.nonzero(kept)[1:], box[1:], strict=True)
                    ]
                )
    return LabelMap(
        labels=_with_aorta_followed(cleaned, volume, structures),
        affine_lps=volume.affine_lps,
        structures=structures,
        slice_places=volume.slice_places,
    )


def _with_aorta_followed(
    labels: npt.NDArray[np.uint8], volume: Volume, structures: Mapping[int, Structure]
) -> npt.NDArray[np.uint8]:
    """Over voxels of no structure alone."""
    for label, structure in structures.items():
        if structure == Structure.AORTA:
            longer = followed(labels == label, volume.hu, labels == 0, volume.spacing_mm)
            return np.where(longer, np.uint8(label), labels)
    return labels


def _pieces_beside(
    mask: npt.NDArray[np.bool_], first: int, near: Sequence[slice], slice_mm: float
) -> npt.NDArray[np.bool_]:
    """Without pieces that lie far along the body from all of these stretches; `first` is the mask's first slice."""
    if not near:
        return mask
    pieces, count = ndimage.label(mask)
    kept = np.zeros(count + 1, np.bool_)
    for number, box in enumerate(ndimage.find_objects(pieces), start=1):
        own = slice(box[0].start + first, box[0].stop + first)
        kept[number] = any(_gap(own, stretch) * slice_mm <= FARTHEST_MM for stretch in near)
    result: npt.NDArray[np.bool_] = kept[pieces]
    return result


def _gap(one: slice, other: slice) -> int:
    """Slices between two stretches; negative where they overlap."""
    gap: int = max(one.start - other.stop, other.start - one.stop)
    return gap


def _large_pieces(mask: npt.NDArray[np.bool_], slice_mm: float) -> npt.NDArray[np.bool_]:
    pieces, _ = ndimage.label(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    if not sizes.any():
        return mask
    kept = sizes >= KEPT_FRACTION * sizes.max()
    boxes = ndimage.find_objects(pieces)
    main = boxes[int(sizes.argmax()) - 1][0]
    for number, box in enumerate(boxes, start=1):
        kept[number] &= _gap(box[0], main) * slice_mm <= FARTHEST_MM
    result: npt.NDArray[np.bool_] = kept[pieces] & mask
    return result

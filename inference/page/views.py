"""What the pictures show of a scan: the L3 slice with its tissues, a sagittal and a coronal slab with the level."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from inference.dicom.codes import rgb_of
from inference.domain.labelmap import TISSUES, LabelMap, Structure
from inference.domain.outcome import Analysis
from inference.domain.volume import Volume, axis_flips, canonical, flip, slice_bounds
from inference.stages.grids import body_mask

Rgb = npt.NDArray[np.uint8]

SOFT_TISSUE_HU = (-160.0, 240.0)
SPINE_HU = (-200.0, 500.0)
BONE_HU = 200
OPACITY = 0.55
SILHOUETTE = (44, 48, 56)
MARGIN_MM = 8.0
SPINE_REACH_MM = 60.0
"""The spine is looked for so far to either side of the body's middle."""
SLAB_HALF_MM = 8.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class View:
    """A picture of the body and the size of its pixels."""

    rgb: Rgb
    row_mm: float
    column_mm: float
    level_share: float | None = None
    """How far down the middle of L3 is: 0 top, 1 bottom."""

    def picture(self, height_px: int, width_px: int) -> Image.Image:
        """The view with square pixels, as large as fits."""
        height_mm = self.rgb.shape[0] * self.row_mm
        width_mm = self.rgb.shape[1] * self.column_mm
        px_per_mm = min(height_px / height_mm, width_px / width_mm)
        size_px = (max(1, round(width_mm * px_per_mm)), max(1, round(height_mm * px_per_mm)))
        return Image.fromarray(self.rgb).resize(size_px, Image.Resampling.BICUBIC)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scene:
    """A scan in canonical order (slices to the head, rows to the back, columns to the left) and what was found."""

    volume: Volume
    level_index: int
    """Of the slice shown: that of L3 or, where nothing was measured there, the one with the most of the organs."""
    level_row: float | None
    """The middle of L3 among the rows of a view from the side, counted from the feet; None where it was not measured."""
    slice_of_row: npt.NDArray[np.intp]
    """Which slice such a row shows; one each where slices are evenly spaced."""
    tissues: npt.NDArray[np.uint8] | None
    """Labels of the L3 slice [row, column]."""
    tissue_map: LabelMap | None
    organs: npt.NDArray[np.uint8] | None
    organ_map: LabelMap | None


def scene_of(volume: Volume, analysis: Analysis) -> Scene:
    """The scan and its masks the same way up."""
    level, tissues = analysis.report.level, analysis.tissues
    flips = axis_flips(volume.affine_lps)
    upright = canonical(volume)
    organs = analysis.organs
    index = level.slice_index if level is not None else _fullest_slice(volume, organs)
    index = volume.shape[0] - 1 - index if flips[0] else index
    slice_of_row, first_place = _even_rows(upright)
    level_row = None
    if level is not None:
        place = (level.z_mm - upright.affine_lps[2, 3]) / upright.affine_lps[2, 0]
        level_row = place - first_place
    return Scene(
        volume=upright,
        level_index=index,
        level_row=level_row,
        slice_of_row=slice_of_row,
        tissues=flip(tissues.labels, flips)[index] if tissues is not None else None,
        tissue_map=tissues,
        organs=flip(organs.labels, flips) if organs is not None else None,
        organ_map=organs,
    )


def _fullest_slice(volume: Volume, organs: LabelMap | None) -> int:
    if organs is None:
        return volume.shape[0] // 2
    return int(np.argmax((organs.labels > 0).sum(axis=(1, 2))))


def _even_rows(volume: Volume) -> tuple[npt.NDArray[np.intp], float]:
    """The slice nearest to each even step of the grid, and the place of the first."""
    bounds = slice_bounds(volume.places)
    rows = bounds[0] + 0.5 + np.arange(max(1, round(float(bounds[-1] - bounds[0]))))
    share = np.searchsorted(bounds, rows, side="right") - 1
    return np.clip(share, 0, len(volume.places) - 1), float(rows[0])


def ct_view(scene: Scene) -> View:
    """The L3 slice in a soft-tissue window."""
    return _axial(scene, grey(scene.volume.hu[scene.level_index], SOFT_TISSUE_HU))


def overlay_view(scene: Scene) -> View:
    """All tissues in colour over the L3 slice."""
    picture = grey(scene.volume.hu[scene.level_index], SOFT_TISSUE_HU)
    if scene.tissues is not None and scene.tissue_map is not None:
        picture = coloured(picture, scene.tissues, scene.tissue_map.structures)
    return _axial(scene, picture)


def organ_view(scene: Scene) -> View:
    """The organs in colour over the slice shown."""
    picture = grey(scene.volume.hu[scene.level_index], SOFT_TISSUE_HU)
    if scene.organs is not None and scene.organ_map is not None:
        labels = scene.organs[scene.level_index]
        picture = coloured(picture, labels, scene.organ_map.structures)
    return _axial(scene, picture)


def tissue_view(scene: Scene, structures: Sequence[Structure] = TISSUES) -> View:
    """The named tissues alone over the outline of the body."""
    body = body_mask(scene.volume.hu[scene.level_index][None])[0]
    picture = np.zeros((*body.shape, 3), np.uint8)
    picture[body] = SILHOUETTE
    if scene.tissues is not None and scene.tissue_map is not None:
        wanted = {
            label: structure
            for label, structure in scene.tissue_map.structures.items()
            if structure in structures
        }
        picture = coloured(picture, scene.tissues, wanted, opacity=1.0)
    return _axial(scene, picture)


def sagittal_view(scene: Scene) -> View:
    """A slab through the spine from the side, front on the left."""
    _, column = _spine(scene)
    slice_mm, row_mm, column_mm = scene.volume.spacing_mm
    slab = scene.volume.hu[:, :, _slab(column, column_mm, scene.volume.shape[2])]
    rgb = grey(slab.mean(axis=2, dtype=np.float32), SPINE_HU)
    return _upright(scene, rgb, slice_mm, row_mm)


def coronal_view(scene: Scene) -> View:
    """A slab through the spine from the front, organs over it, the patient's right on the left."""
    row, _ = _spine(scene)
    slice_mm, row_mm, column_mm = scene.volume.spacing_mm
    slab = scene.volume.hu[:, _slab(row, row_mm, scene.volume.shape[1])]
    rgb = grey(slab.mean(axis=1, dtype=np.float32), SPINE_HU)
    if scene.organs is not None and scene.organ_map is not None:
        rgb = coloured(rgb, front_label(scene.organs), scene.organ_map.structures, opacity=0.4)
    return _upright(scene, rgb, slice_mm, column_mm)


def front_label(labels: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """For each (slice, column) the label met first from the front."""
    first = (labels > 0).argmax(axis=1)
    front: npt.NDArray[np.uint8] = np.take_along_axis(labels, first[:, None], axis=1)[:, 0]
    return front


def grey(hu: npt.NDArray[np.generic], window_hu: tuple[float, float]) -> Rgb:
    """Hounsfield units as grey values."""
    low, high = window_hu
    value = np.clip((hu.astype(np.float32) - low) / (high - low), 0, 1) * 255
    return np.repeat(value.astype(np.uint8)[..., None], 3, axis=-1)


def coloured(
    picture: Rgb,
    labels: npt.NDArray[np.uint8],
    structures: Mapping[int, Structure],
    opacity: float = OPACITY,
) -> Rgb:
    """The picture with the named labels in their colours."""
    colours = np.zeros((256, 3), np.float32)
    for label, structure in structures.items():
        colours[label] = rgb_of(structure)
    inside = np.isin(labels, list(structures))
    mixed = picture[inside] * (1 - opacity) + colours[labels[inside]] * opacity
    picture[inside] = mixed.astype(np.uint8)
    return picture


def _axial(scene: Scene, rgb: Rgb) -> View:
    """The part of the slice that holds the body."""
    _, row_mm, column_mm = scene.volume.spacing_mm
    body = body_mask(scene.volume.hu[scene.level_index][None])[0]
    rows = _reach(body.any(axis=1), MARGIN_MM / row_mm)
    columns = _reach(body.any(axis=0), MARGIN_MM / column_mm)
    return View(rgb=rgb[rows, columns], row_mm=row_mm, column_mm=column_mm)


def _reach(used: npt.NDArray[np.bool_], margin: float) -> slice:
    found = np.flatnonzero(used)
    if not found.size:
        return slice(None)
    return slice(max(0, int(found[0] - margin)), int(found[-1] + margin) + 1)


def _upright(scene: Scene, rgb: Rgb, slice_mm: float, column_mm: float) -> View:
    share = None
    if scene.level_row is not None:
        share = float(np.clip(1 - (scene.level_row + 0.5) / len(scene.slice_of_row), 0, 1))
    return View(
        rgb=rgb[scene.slice_of_row[::-1]],
        row_mm=slice_mm,
        column_mm=column_mm,
        level_share=share,
    )


def _spine(scene: Scene) -> tuple[int, int]:
    """Row and column of the vertebra at L3: the middle of the bone near the body's middle."""
    hu = scene.volume.hu[scene.level_index]
    body = body_mask(hu[None])[0]
    rows, columns = np.nonzero(body)
    if not rows.size:
        return hu.shape[0] // 2, hu.shape[1] // 2
    middle = float(np.median(columns))
    reach = SPINE_REACH_MM / scene.volume.spacing_mm[2]
    bone_rows, bone_columns = np.nonzero(body & (hu > BONE_HU))
    near = np.abs(bone_columns - middle) < reach
    if not near.any():
        return int(np.median(rows)), round(middle)
    return int(np.median(bone_rows[near])), int(np.median(bone_columns[near]))


def _slab(middle: int, step_mm: float, size: int) -> slice:
    half = max(1, round(SLAB_HALF_MM / step_mm))
    return slice(max(0, middle - half), min(size, middle + half + 1))

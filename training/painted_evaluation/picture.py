"""One painted case as a picture: what is true as outlines, what the node answers in colour."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw
from scipy import ndimage

from inference.domain.labelmap import LabelMap, Structure
from inference.domain.volume import Volume
from inference.page.views import SOFT_TISSUE_HU, SPINE_HU, coloured, grey
from inference.pipeline import silent
from inference.segment_organs import segment_organs
from training.painted_evaluation.cases import EvaluatedCase
from training.painted_evaluation.run import Networks
from training.painted_evaluation.score_level import answered, slice_of
from training.painted_evaluation.score_tissue import found_tissues, true_tissues
from training.synthetic.labels import ORGAN_LUT

Rgb = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.uint8]

TRUE_LINE, ANSWER_LINE = (60, 255, 90), (255, 230, 0)
OUTLINE = (255, 255, 255)
PIXEL_MM = 0.8
GAP_PX = 8


def case_picture(case: EvaluatedCase, networks: Networks) -> Image.Image:
    """Axial at the true L3 (the field's middle without it), coronal and sagittal through it.

    Green line: the true L3; yellow: the answer. White: outlines of the truth.
    """
    painted = case.painted
    volume = painted.volume
    heights = {TRUE_LINE: painted.vertebrae["L3"].centre_lps_mm[2]}
    if networks.models is not None:
        answer = answered(volume, networks.models)
        if answer.z_mm is not None:
            heights[ANSWER_LINE] = answer.z_mm
    x, y, z = painted.vertebrae["L3"].centre_lps_mm
    k = slice_of(volume, z) if painted.has_l3 else volume.shape[0] // 2
    row, column = (
        int(np.clip(round((mm - origin) / step), 0, size - 1))
        for mm, origin, step, size in (
            (y, volume.affine_lps[1, 3], volume.spacing_mm[1], volume.shape[1]),
            (x, volume.affine_lps[0, 3], volume.spacing_mm[2], volume.shape[2]),
        )
    )
    axial = grey(volume.hu[k], SOFT_TISSUE_HU)
    if networks.tissue is not None:
        windows = networks.profile.windows
        found = found_tissues(volume, [k], networks.tissue, windows)
        true = true_tissues(painted, [k], windows)
        axial = _over(axial, found.labels[k], true.labels[k], found.structures)
    organs = _organs(volume, networks)
    truth = ORGAN_LUT[painted.tissue_labels]
    slice_mm, row_mm, column_mm = volume.spacing_mm
    views = [_resized(axial, row_mm, column_mm)]
    for at, step_mm in ((np.s_[:, row], column_mm), (np.s_[:, :, column], row_mm)):
        view = grey(volume.hu[at], SPINE_HU)
        if organs is not None:
            view = _over(view, organs.labels[at], truth[at], organs.structures)
        views.append(_with_lines(_resized(view[::-1], slice_mm, step_mm), volume, heights))
    return _beside(views)


def _organs(volume: Volume, networks: Networks) -> LabelMap | None:
    if networks.organs is None:
        return None
    shifts = networks.profile.organ_grid_shifts
    return segment_organs(volume, networks.organs, shifts, silent, fine=networks.fine_organs)


def _over(picture: Rgb, found: Labels, true: Labels, structures: Mapping[int, Structure]) -> Rgb:
    """The answer in colour under the outline of the truth."""
    shown = coloured(picture, found, structures, opacity=0.4)
    for label in structures:
        mask = true == label
        shown[mask & ~ndimage.binary_erosion(mask)] = OUTLINE
    return shown


def _with_lines(
    view: Image.Image, volume: Volume, heights: Mapping[tuple[int, int, int], float]
) -> Image.Image:
    """Across a view from the front or the side."""
    pen = ImageDraw.Draw(view)
    top_mm = volume.affine_lps[2, 3] + (volume.shape[0] - 0.5) * volume.spacing_mm[0]
    for colour, z_mm in heights.items():
        y = round((top_mm - z_mm) / PIXEL_MM)
        if 0 <= y < view.height:
            pen.line((0, y, view.width, y), fill=colour)
    return view


def _resized(picture: Rgb, row_mm: float, column_mm: float) -> Image.Image:
    size = (
        max(1, round(picture.shape[1] * column_mm / PIXEL_MM)),
        max(1, round(picture.shape[0] * row_mm / PIXEL_MM)),
    )
    return Image.fromarray(np.ascontiguousarray(picture)).resize(size, Image.Resampling.BILINEAR)


def _beside(views: list[Image.Image]) -> Image.Image:
    width = sum(view.width + GAP_PX for view in views) - GAP_PX
    whole = Image.new("RGB", (width, max(view.height for view in views)))
    x = 0
    for view in views:
        whole.paste(view, (x, 0))
        x += view.width + GAP_PX
    return whole

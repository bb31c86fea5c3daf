"""Whether grid, values and labels of one case look like a CT with organs in it."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from inference.domain.errors import ImplausibleResult
from inference.domain.measurement import OrganResult
from inference.domain.volume import Affine, Volume
from inference.stages.sides import side_flags
from training.data.plausible import limits
from training.data.problems import Problem

ROUNDING_MM = 1e-3
RECONVERT = "Convert the original images again, with RescaleSlope and RescaleIntercept applied."


def grid_doubts(volume: Volume) -> Iterable[Problem]:
    """Steps and orientation."""
    grid = limits("grid")
    least, greatest = min(volume.spacing_mm), max(volume.spacing_mm)
    if greatest > grid["greatest_step_mm"] + ROUNDING_MM or least < grid["least_step_mm"]:
        yield Problem(
            where="image",
            found=" × ".join(f"{step:.3g}" for step in volume.spacing_mm)
            + " mm (slice, row, column)",
            wanted=f"steps of {grid['least_step_mm']:g} to {grid['greatest_step_mm']:g} mm",
            advice="Check the header; a thick scan of so few slices teaches a network little.",
        )
    turned, sheared = turned_degrees(volume.affine_lps), sheared_degrees(volume.affine_lps)
    if turned > grid["turned_degrees"][0]:
        yield Problem(
            where="image",
            found=f"slices {turned:.1f}° off the axial plane",
            wanted="axial slices",
            advice="Resample the image and (by nearest neighbour) its labels to axial slices.",
            is_error=turned > grid["turned_degrees"][1],
        )
    if sheared > grid["sheared_degrees"][0]:
        yield Problem(
            where="image",
            found=f"a stack sheared by {sheared:.2f}° (gantry tilt)",
            wanted="slices that follow each other along their normal",
            advice="Resample the image and (by nearest neighbour) its labels to straight axes.",
            is_error=sheared > grid["sheared_degrees"][1],
        )


def turned_degrees(affine_lps: Affine) -> float:
    """How far the axis that is farthest off lies from its own of the patient."""
    cosines = affine_lps[:3, :3] / np.linalg.norm(affine_lps[:3, :3], axis=0)
    along = np.abs(cosines).max(axis=0).min()
    return float(np.degrees(np.arccos(min(float(along), 1.0))))


def sheared_degrees(affine_lps: Affine) -> float:
    """How far two of the grid's own axes are from a right angle."""
    cosines = affine_lps[:3, :3] / np.linalg.norm(affine_lps[:3, :3], axis=0)
    products = np.abs((cosines.T @ cosines)[np.triu_indices(3, 1)])
    return float(np.degrees(np.arcsin(min(float(products.max()), 1.0))))


def hu_doubts(hu: npt.NDArray[np.int16] | npt.NDArray[np.float32]) -> Iterable[Problem]:
    """Values that are no Hounsfield units, or no longer all of them."""
    values = limits("values")
    low, high = float(hu.min()), float(hu.max())
    why = ""
    if low == high:
        why = f"the same value everywhere ({low:g})"
    elif low >= -1.5 and high <= 1.5:
        why = f"values of {low:.3g} to {high:.3g}, as of a normalised image"
    elif low >= 0 and high <= 255:
        why = f"values of {low:g} to {high:g}, as of a picture"
    elif low >= 0:
        why = (
            f"no value below 0 (0 would be water; highest {high:.0f}): an offset of 1024 is missing"
        )
    elif high > values["highest_hu"]:
        why = f"values up to {high:.3g}"
    if why:
        yield Problem(where="image", found=why, wanted="Hounsfield units", advice=RECONVERT)
        return
    if low > values["air_hu"]:
        share = float((hu == low).mean())
        clipped = share > values["clipped_share"]
        found = f"nothing below {low:.0f} HU" + (
            f", and {share:.0%} of it there" if clipped else ""
        )
        yield Problem(
            where="image",
            found=found,
            wanted="air about the patient (−1000 HU)",
            advice="Take the CT before a window was applied to it."
            if clipped
            else "Take the whole slice, unless this is a crop on purpose.",
            is_error=clipped,
        )


def label_doubts(
    volumes_ml: Mapping[str, float], mean_hu: Mapping[str, float]
) -> Iterable[Problem]:
    """Nothing labelled, or densities that such an organ never has."""
    if not volumes_ml:
        yield Problem(
            where="label",
            found="no voxel of anything of ours",
            wanted="at least one labelled structure",
            advice="Take the case out, or name the layout whose numbers these are.",
        )
    for name, (least, most) in limits("mean_hu").items():
        if (mean := mean_hu.get(name)) is not None and not least <= mean <= most:
            yield Problem(
                where="label",
                found=f"{name.replace('_', ' ')} of {mean:.0f} HU on average",
                wanted=f"{least} to {most} HU",
                advice="Either the values are no HU, or the label is another's, or it lies elsewhere: see its picture.",
            )


def side_doubts(organs: Sequence[OrganResult]) -> Iterable[Problem]:
    """By the node's own rules."""
    try:
        flags = side_flags(organs)
    except ImplausibleResult as problem:
        yield Problem(
            where="label",
            found=problem.found,
            wanted=problem.wanted,
            advice="Right and left are exchanged, in the labels or by a lost affine.",
        )
        return
    for flag in flags:
        yield Problem(
            where="label",
            found=flag,
            wanted="the usual sides",
            advice="See its picture; a mirrored image teaches a network both sides.",
            is_error=False,
        )

"""Where the middle of L3 is by somebody's word: a file beside the CT, or a label of the vertebra."""

import json
from pathlib import Path

import numpy as np

from inference.dicom.ct_series import CtSeries
from inference.dicom.header_values import text, whole_number
from inference.domain.errors import UnreadableInput
from inference.domain.volume import SlicePlaces, Volume, position_mm
from training.real.reference import Mask
from training.templates.vertebral_bodies import body_of, canal_front

FILE_NAMES = ("l3.txt", "l3.json")
KEYS = ("z_mm", "sop_instance_uid", "slice")
STEP_MM = 1.5
"""The label's voxels are made cubes of this size: the body is measured in them."""


def stated_level(folder: Path) -> tuple[str, str] | None:
    """Key and value of l3.txt or l3.json; None where there is neither."""
    for name in FILE_NAMES:
        path = folder / name
        if path.is_file():
            return _json_statement(path) if name.endswith(".json") else _text_statement(path)
    return None


def _text_statement(path: Path) -> tuple[str, str]:
    words = path.read_text(encoding="utf-8", errors="replace").replace("=", " ").split()
    if len(words) != 2 or words[0] not in KEYS:
        raise _unreadable(path.name)
    return words[0], words[1]


def _json_statement(path: Path) -> tuple[str, str]:
    try:
        stated = json.loads(path.read_text(encoding="utf-8"))
        ((key, value),) = stated.items()
    except (ValueError, AttributeError):
        raise _unreadable(path.name) from None
    if key not in KEYS:
        raise _unreadable(path.name)
    return str(key), str(value)


def _unreadable(name: str) -> UnreadableInput:
    return UnreadableInput(
        found=f"an {name} that states no level",
        wanted="one of z_mm, sop_instance_uid or slice, and its value",
        advice="Write for example: z_mm -512.5",
    )


def stated_z_mm(statement: tuple[str, str], volume: Volume, series: CtSeries | None) -> float:
    """Patient z of the stated place; `volume` is as stored, before it is put the right way up."""
    key, value = statement
    try:
        if key == "z_mm":
            return _within(float(value), volume)
        if key == "sop_instance_uid":
            wanted: int | str = value
        else:
            wanted = int(value)
    except ValueError:
        raise _unreadable("l3 file") from None
    names = _slice_names(volume, series, key)
    if wanted not in names:
        raise UnreadableInput(
            found=f"a level whose {key} no slice of the series has",
            wanted="a slice of the series that is evaluated",
            advice="Check that the file belongs to this series; z_mm says it without doubt.",
        )
    return float(position_mm(volume.affine_lps, (volume.places[names.index(wanted)], 0, 0))[2])


def _within(z_mm: float, volume: Volume) -> float:
    """The same, where the slices are; half a step beyond the outermost is still theirs."""
    edges = (volume.places[0] - 0.5, volume.places[-1] + 0.5)
    low, high = sorted(position_mm(volume.affine_lps, (edge, 0, 0))[2] for edge in edges)
    if not low <= z_mm <= high:
        raise UnreadableInput(
            found="a level whose z_mm lies beyond the slices of the series",
            wanted=f"patient z of {low:.1f} to {high:.1f} mm",
            advice="Take it from a viewer that shows this series in patient coordinates.",
        )
    return z_mm


def _slice_names(volume: Volume, series: CtSeries | None, key: str) -> list[int | str]:
    """What each slice is called: UID, instance or frame number, or place in a NIfTI file counted from 0."""
    if series is None:
        return [] if key == "sop_instance_uid" else list(range(volume.shape[0]))
    if key == "sop_instance_uid":
        return [text(header, "SOPInstanceUID") for header in series.headers]
    return [
        series.frame_number(k) or whole_number(header, "InstanceNumber") or -1
        for k, header in enumerate(series.headers)
    ]


def labelled_z_mm(vertebra: Mask, canal: Mask | None, volume: Volume) -> float | None:
    """Patient z of the middle of the *body*: what lies in front of the canal, between the end plates over its core.

    The whole label's middle lies lower, because the spinous process hangs down.
    """
    used = np.flatnonzero(vertebra.any(axis=(1, 2)))
    if not used.size:
        return None
    pad = 1
    box = slice(max(0, used[0] - pad), used[-1] + 1 + pad)
    cubes = _as_cubes(vertebra, box, volume)
    front = canal_front(_as_cubes(canal, box, volume)) if canal is not None else None
    rows = front if front is not None else np.full(len(cubes), np.nan)
    body = body_of("L3", np.argwhere(cubes), rows, STEP_MM)
    if body is None:
        return None
    steps = body.centre_mm[2] / STEP_MM
    place = np.interp(steps, np.arange(len(cubes)), _places(box, volume))
    return float(volume.affine_lps[2, 3] + place * volume.affine_lps[2, 0])


def _places(box: slice, volume: Volume) -> SlicePlaces:
    """The place on the slice axis of every step of STEP_MM in the box."""
    inside = volume.places[box]
    step = STEP_MM / volume.spacing_mm[0]
    count = max(1, round((inside[-1] - inside[0] + 1) / step))
    # From the lower face of the first slice, or nearest neighbours would shift the whole by part of a slice.
    return inside[0] - 0.5 + step * (np.arange(count) + 0.5)


def _as_cubes(mask: Mask, box: slice, volume: Volume) -> Mask:
    """A mask on cubes, by nearest neighbour."""
    places = _places(box, volume)
    slices = np.abs(volume.places[box][:, None] - places).argmin(axis=0)
    picked = []
    for axis in (1, 2):
        step = STEP_MM / volume.spacing_mm[axis]
        at = np.rint(np.arange(int((mask.shape[axis] - 1) / step) + 1) * step).astype(np.intp)
        picked.append(at)
    cubes: Mask = mask[box][np.ix_(slices, *picked)]
    return cubes

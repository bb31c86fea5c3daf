"""Whether a slice that an operator names for L3 is one of a series, as far as Orthanc tells without pixels."""

from collections.abc import Callable, Mapping, Sequence

from inference.domain.entered_level import EnteredLevel
from inference.domain.errors import LevelNotInSeries

_ADVICE = "Name a slice of the series that was measured, as a viewer shows it."

Texts = Mapping[str, str]
"""Of one image, by keyword."""


def require_slice(images: Sequence[Texts], named: EnteredLevel) -> None:
    """Raise LevelNotInSeries unless exactly one slice is meant; places within multi-frame images only the analysis knows."""
    frames = [count for image in images if (count := _number(image, "NumberOfFrames"))]
    if named.sop_instance_uid is not None:
        _require_one(
            images,
            lambda image: image.get("SOPInstanceUID", "") == named.sop_instance_uid,
            "of that SOP Instance UID",
        )
        if any(count > 1 for count in frames):
            raise _not_in_series(
                "an image of many slices", "one of its frames, by instance_number, or z_mm"
            )
    elif named.instance_number is not None:
        if max(frames, default=0) > 1:
            _require_frame(named.instance_number, int(max(frames)))
        else:
            _require_one(
                images,
                lambda image: _number(image, "InstanceNumber") == named.instance_number,
                "of that Instance Number",
            )
    elif named.z_mm is not None:
        _require_within(images, named.z_mm)


def _require_one(images: Sequence[Texts], is_meant: Callable[[Texts], bool], what: str) -> None:
    count = sum(map(is_meant, images))
    if count != 1:
        raise _not_in_series(
            f"{count or 'no'} slices {what} among {len(images)}", "exactly one, or z_mm"
        )


def _require_frame(number: int, frames: int) -> None:
    if not 1 <= number <= frames:
        raise _not_in_series("no frame of that number", f"1 to {frames}")


def _require_within(images: Sequence[Texts], z_mm: float) -> None:
    """Half a step beyond the outermost slices is still theirs; a multi-frame image states no place here."""
    places = sorted(place for image in images if (place := _place(image)) is not None)
    if len(places) < 2 or len(places) < len(images):
        return
    below, above = (places[1] - places[0]) / 2, (places[-1] - places[-2]) / 2
    if not places[0] - below <= z_mm <= places[-1] + above:
        raise _not_in_series(f"patient z {z_mm:.1f} mm", f"{places[0]:.1f} to {places[-1]:.1f} mm")


def _place(image: Texts) -> float | None:
    """Patient z of Image Position (Patient), PS3.3 C.7.6.2.1.1."""
    _, _, z = (*image.get("ImagePositionPatient", "").split("\\"), "", "", "")[:3]
    return _as_number(z)


def _number(image: Texts, keyword: str) -> float | None:
    return _as_number(image.get(keyword, ""))


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _not_in_series(found: str, wanted: str) -> LevelNotInSeries:
    return LevelNotInSeries(found=found, wanted=wanted, advice=_ADVICE)

"""Height and weight that a person entered at the node, where the images lack them or are wrong."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from inference.domain.measurement import Patient

_ABOUT_HEIGHT, _ABOUT_WEIGHT = "height", "weight"


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredSize:
    """What was entered, by whom and when; None is what the images say."""

    height_m: float | None = None
    weight_kg: float | None = None
    entered_by: str
    entered_at: float
    """Seconds since 1970."""


def with_entered_size(patient: Patient, entered: EnteredSize | None) -> Patient:
    """The patient with what was entered in place of what the images say, and the source of each value."""
    if entered is None:
        return patient
    replaced = {
        _ABOUT_HEIGHT: entered.height_m is not None,
        _ABOUT_WEIGHT: entered.weight_kg is not None,
    }

    def kept(texts: tuple[str, ...]) -> Iterator[str]:
        return (text for text in texts if not replaced.get(text.partition(" ")[0].rstrip(":")))

    at = datetime.fromtimestamp(entered.entered_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
    sources = (
        f"{name}: entered at the node by {entered.entered_by}, {at}"
        for name, is_replaced in replaced.items()
        if is_replaced
    )
    return replace(
        patient,
        height_m=patient.height_m if entered.height_m is None else entered.height_m,
        weight_kg=patient.weight_kg if entered.weight_kg is None else entered.weight_kg,
        notes=tuple(kept(patient.notes)),
        sources=(*kept(patient.sources), *sources),
    )

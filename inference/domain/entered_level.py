"""The level of L3 as a person set it, where the networks found none, doubted theirs or were wrong."""

from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class EnteredLevel:
    """The slice through the middle of L3, named in one of three ways, by whom and when."""

    sop_instance_uid: str | None = None
    instance_number: int | None = None
    """As viewers number slices: Instance Number, or the frame of a multi-frame image."""
    z_mm: float | None = None
    """Patient z; the slice nearest to it is meant."""
    entered_by: str
    entered_at: float
    """Seconds since 1970."""

    @property
    def source(self) -> str:
        """What the result says of it."""
        at = datetime.fromtimestamp(self.entered_at, UTC).strftime("%Y-%m-%d %H:%M UTC")
        return f"L3 set by hand by {self.entered_by} at {at}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelByHand:
    """The slice that a person named, found among those of a series."""

    slice_index: int
    """In the source volume's own order."""
    source: str
    """By whom and when."""

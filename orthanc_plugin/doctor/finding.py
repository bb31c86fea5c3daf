"""One line of the doctor's report, and how each kind of it is made."""

from dataclasses import dataclass
from enum import StrEnum

from inference.domain.errors import HabitusError


class Level(StrEnum):
    """How bad it is."""

    OK = "ok"
    NOTE = "note"
    """Works, and whoever runs the node should know of it."""
    FAIL = "fail"
    """The node does not work, loses something, or is open to others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, how it is, and what to do."""

    subject: str
    level: Level
    text: str
    advice: str = ""

    @property
    def is_well(self) -> bool:
        """Whether nothing has to be done."""
        return self.level is not Level.FAIL


def well(subject: str, text: str) -> Finding:
    """As it should be."""
    return Finding(subject=subject, level=Level.OK, text=text)


def noted(subject: str, text: str, advice: str) -> Finding:
    """Works."""
    return Finding(subject=subject, level=Level.NOTE, text=text, advice=advice)


def ill(subject: str, *, found: str, wanted: str, advice: str) -> Finding:
    """Does not work."""
    text = f"found {found}; wanted {wanted}"
    return Finding(subject=subject, level=Level.FAIL, text=text, advice=advice)


def ill_by(subject: str, error: HabitusError) -> Finding:
    """Does not work, as one of our errors says."""
    return ill(subject, found=error.found, wanted=error.wanted, advice=error.advice)

"""What became of the search for L3."""

from enum import StrEnum


class LevelOutcome(StrEnum):
    """A level that is not sure is said to be so: wrong by a vertebra in silence is the worst there is."""

    FOUND = "found"
    UNCERTAIN = "uncertain"
    """Found, with a reason to doubt it."""
    NOT_IN_FIELD = "not-in-field"

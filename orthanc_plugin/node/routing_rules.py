"""Routing rules as habitus.toml has them: which study goes which way."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache
from typing import Annotated, Any

import re2
from pydantic import AfterValidator, BeforeValidator, Field

from orthanc_plugin.node.settings_types import FROM_FILE, AeTitles, Name, Names, TextOrTexts
from orthanc_plugin.node.site_time import Window

LONGEST_PATTERN = 500
PATTERN_MEMORY_BYTES = 8 * 1024**2
"""RE2 takes no more for one pattern, however it is written."""


class Priority(StrEnum):
    """Which job is taken first."""

    STAT = "stat"
    NORMAL = "normal"
    OFF_PEAK = "off-peak"

    @property
    def rank(self) -> int:
        """Higher goes first."""
        return {Priority.STAT: 10, Priority.NORMAL: 0, Priority.OFF_PEAK: -10}[self]


class Mode(StrEnum):
    """What becomes of results."""

    SEND = "send"
    """They go to the destinations."""
    SHADOW = "shadow"
    """They are computed and kept here; nothing is sent."""


class Output(StrEnum):
    """Kinds of DICOM results."""

    SEG = "seg"
    SR = "sr"
    PAGE = "page"


ALL_OUTPUTS = tuple(Output)


@cache
def compiled(pattern: str) -> Any:
    """A pattern in RE2's syntax: its time grows with the length of the text alone; raises ValueError."""
    options = re2.Options()
    options.max_mem = PATTERN_MEMORY_BYTES
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as exc:
        reason = exc.args[0].decode(errors="replace") if exc.args else "not readable"
        raise ValueError(
            f"a regular expression in RE2's syntax, without look-around or back-references ({reason})"
        ) from exc


def _compiles(pattern: str) -> str:
    compiled(pattern)
    return pattern


Pattern = Annotated[str, Field(max_length=LONGEST_PATTERN, min_length=1), AfterValidator(_compiles)]


@dataclass(frozen=True, slots=True, kw_only=True)
class TagTest:
    """What is wanted of one tag. Of a tag with several values one has to fit; a tag that is absent never fits."""

    __pydantic_config__ = FROM_FILE

    equals: TextOrTexts | None = None
    """Exactly this text, or one of these."""
    matches: Pattern | None = None
    """A regular expression (RE2) that is found somewhere in the value; (?i) at its start ignores case."""
    at_least: float | None = None
    """The value is a number, this or more."""
    at_most: float | None = None
    """The value is a number, this or less."""


def _in_full(value: Any) -> Any:
    """A text alone, or a list, means `equals`."""
    return {"equals": value} if isinstance(value, str | list) else value


Tag = Annotated[
    TagTest, BeforeValidator(_in_full, json_schema_input_type=str | list[str] | TagTest)
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One way that studies go. All its conditions must hold; the first rule that fits is the one."""

    __pydantic_config__ = FROM_FILE

    name: Name
    """How logs, page and jobs call it."""
    calling: AeTitles | None = None
    """AE title of the sender, one of these. What came by HTTP has none and does not fit."""
    called: AeTitles | None = None
    """AE title by which the sender called us, one of these."""
    tags: Mapping[str, Tag] = field(default_factory=dict)
    """DICOM keyword → what is wanted: a text, several, or a table with equals, matches, at_least or at_most. A rule fits a
    study when one CT series of it meets every condition."""
    hours: Window | None = None
    """Time of day at which the study came to rest, such as 22:00-06:00."""
    profile: str | None = None
    """What is analysed; engine.profile where it is not given."""
    outputs: tuple[Output, ...] = ALL_OUTPUTS
    """Which results are sent: seg, sr, page."""
    destinations: Names | None = None
    """Names of destinations; all of them where it is not given."""
    priority: Priority = Priority.NORMAL
    """stat overtakes everything that waits; off-peak waits for its window and for everything else."""
    window: Window | None = None
    """Of priority off-peak: the time of day in which its jobs may start."""
    mode: Mode = Mode.SEND
    """shadow computes and keeps the results here, and sends nothing."""

    @property
    def takes_everything(self) -> bool:
        """Whether it has no condition."""
        return not (self.calling or self.called or self.tags or self.hours)

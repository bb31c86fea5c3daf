"""The site's clock on the wall: its time zone, and windows of the day such as 22:00-06:00."""

import re
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, PlainSerializer, PlainValidator, WithJsonSchema

_WINDOW = re.compile(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d)")


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeWindow:
    """From the beginning (included) to the end (not included); an end before the beginning is the next day's."""

    begin: time
    end: time

    def __str__(self) -> str:
        return f"{self.begin:%H:%M}-{self.end:%H:%M}"

    def holds(self, at: time) -> bool:
        """Whether that time of the day lies within."""
        if self.begin < self.end:
            return self.begin <= at < self.end
        return at >= self.begin or at < self.end


def window_of(text: Any) -> TimeWindow:
    """The window that HH:MM-HH:MM names; raises ValueError."""
    match = _WINDOW.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError("HH:MM-HH:MM, such as 22:00-06:00")
    hour, minute, end_hour, end_minute = (int(group) for group in match.groups())
    window = TimeWindow(begin=time(hour, minute), end=time(end_hour, end_minute))
    if window.begin == window.end:
        raise ValueError("a window that is not empty; for the whole day leave it out")
    return window


Window = Annotated[
    TimeWindow,
    PlainValidator(window_of),
    PlainSerializer(str),
    WithJsonSchema({"type": "string", "pattern": f"^{_WINDOW.pattern}$"}),
]


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name or "UTC")
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise ValueError(
            "a name such as Europe/Paris or Asia/Seoul that this machine knows"
        ) from None
    return name


TimeZoneName = Annotated[str, AfterValidator(_known_zone)]


@dataclass(frozen=True, slots=True, kw_only=True)
class SiteClock:
    """Tells wall time from the seconds that machines count."""

    zone_name: str = ""
    """Empty: the machine's own zone."""

    def local(self, timestamp_s: float) -> datetime:
        """Wall time, with its offset."""
        if self.zone_name:
            return datetime.fromtimestamp(timestamp_s, ZoneInfo(self.zone_name))
        return datetime.fromtimestamp(timestamp_s).astimezone()

    def timestamp_s(self, wall: datetime) -> float:
        """Of a wall time without offset."""
        return (
            wall.replace(tzinfo=ZoneInfo(self.zone_name)) if self.zone_name else wall
        ).timestamp()

    def opening_s(self, window: TimeWindow, now_s: float) -> float:
        """When the window is open next: now, where it is."""
        wall = self.local(now_s).replace(tzinfo=None)
        if window.holds(wall.time()):
            return now_s
        begin = datetime.combine(wall.date(), window.begin)
        if begin <= wall:
            begin += timedelta(days=1)
        return self.timestamp_s(begin)

    def described(self, now_s: float) -> str:
        """Which zone is meant, for people."""
        return f"{self.zone_name or 'the time zone of this machine'} (UTC{self.local(now_s):%z})"

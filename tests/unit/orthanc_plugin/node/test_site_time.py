"""Windows of the day and the site's time zone."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orthanc_plugin.node.site_time import SiteClock, window_of

SEOUL = SiteClock(zone_name="Asia/Seoul")
PARIS = SiteClock(zone_name="Europe/Paris")
NIGHT = window_of("22:00-06:00")


def seconds(text: str) -> float:
    """Of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "opening"),
    [
        ("2026-06-01T12:00", "2026-06-01T13:00"),  # 21:00 in Seoul, opens at 22:00
        ("2026-06-01T13:00", "2026-06-01T13:00"),  # 22:00
        ("2026-06-01T20:59", "2026-06-01T20:59"),  # 05:59
        ("2026-06-01T21:00", "2026-06-02T13:00"),  # 06:00
    ],
)
def test_a_window_over_midnight_opens_in_the_sites_evening(now: str, opening: str) -> None:
    assert SEOUL.opening_s(NIGHT, seconds(now)) == seconds(opening)


def test_the_hour_that_summer_time_skips_opens_at_once_afterwards() -> None:
    # 2026-03-29: 02:00 to 03:00 do not exist in Paris.
    window = window_of("02:30-02:45")

    opening = PARIS.opening_s(window, seconds("2026-03-29T00:30"))

    assert opening == seconds("2026-03-29T01:30")


@given(
    st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)),
    st.integers(0, 23),
    st.integers(0, 23).filter(lambda hour: hour > 0),
    st.sampled_from(["Asia/Seoul", "Europe/Paris", "America/New_York", "UTC", ""]),
)
def test_a_window_opens_within_a_day_and_is_open_then(
    now: datetime, begin: int, length: int, zone: str
) -> None:
    clock = SiteClock(zone_name=zone)
    window = window_of(f"{begin:02}:00-{(begin + length) % 24:02}:00")
    now_s = now.replace(tzinfo=UTC).timestamp()

    opening_s = clock.opening_s(window, now_s)

    assert now_s <= opening_s <= now_s + 25 * 3600
    # A clock that jumps over the beginning may land behind a window of one hour.
    assert length == 1 or window.holds(clock.local(opening_s).time())


@pytest.mark.parametrize("text", ["22-06", "24:00-06:00", "22:00-22:00", "", "22:00 - 06:00", 7])
def test_what_is_no_window_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r"HH:MM|not empty"):
        window_of(text)


def test_the_zone_is_said() -> None:
    assert SEOUL.described(seconds("2026-06-01T12:00")) == "Asia/Seoul (UTC+0900)"
    assert SiteClock().described(0.0).startswith("the time zone of this machine (UTC")

"""When a training ends: the time box of a call, with what saving takes kept back so that it holds to the end."""

import time

FIRST_CLOSING_S = 5.0
FIRST_CLOSING_SHARE = 0.05
CLOSING_MARGIN = 1.2


class TimeBox:
    """Seconds of this call and of the calls before it."""

    def __init__(
        self, seconds: float, planned_s: float | None, elapsed_before_s: float, started: float
    ) -> None:
        self.seconds = seconds
        self._started = started
        self._before_s = elapsed_before_s
        self._loop_started = time.monotonic()
        self._closing_s = min(FIRST_CLOSING_S, FIRST_CLOSING_SHARE * seconds)
        self._step_s = 0.0
        reading_s = self._loop_started - started
        self._planned_s = planned_s or elapsed_before_s + seconds - reading_s

    @property
    def elapsed_s(self) -> float:
        """Of training, all calls together."""
        return self._before_s + self.in_loop_s

    @property
    def in_loop_s(self) -> float:
        """Of training, in this call."""
        return time.monotonic() - self._loop_started

    @property
    def in_call_s(self) -> float:
        """Of this call, reading included."""
        return time.monotonic() - self._started

    @property
    def progress(self) -> float:
        """Share of the planned training time."""
        return self.elapsed_s / max(self._planned_s, 1e-6)

    def is_over(self) -> bool:
        """Whether another step would leave too little time to validate and save."""
        return self.in_call_s + self._closing_s + self._step_s >= self.seconds

    def stepped(self, seconds: float) -> None:
        """What the last step took."""
        self._step_s = seconds

    def closed(self, seconds: float) -> None:
        """What validating and saving took."""
        self._closing_s = CLOSING_MARGIN * seconds

"""How long to leave alone what was refused: doubling waits up to a longest one, and a count for whoever gives up."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refused:
    tries: int
    until_s: float


class Patience:
    """In memory only: after a restart everything is asked for once more."""

    def __init__(self, first_s: float, longest_s: float, clock: Callable[[], float]) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self.clock = clock
        self._refused: dict[str, _Refused] = {}

    def is_waiting(self, name: str) -> bool:
        """Whether it is too early to ask again."""
        refused = self._refused.get(name)
        return refused is not None and self.clock() < refused.until_s

    def refused(self, name: str) -> int:
        """Wait twice as long as the last time; how often it has been refused in a row."""
        before = self._refused.get(name)
        tries = before.tries + 1 if before else 1
        wait_s = min(self._longest_s, self._first_s * 2.0 ** min(tries - 1, 20))
        self._refused[name] = _Refused(tries=tries, until_s=self.clock() + wait_s)
        return tries

    def forget(self, name: str) -> None:
        """It was answered, or is no longer asked for."""
        self._refused.pop(name, None)

"""Time by stage; a stage inside another is taken off that one."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any


class StageClock:
    """Of CPU time of all threads, unless another way to tell the time is given."""

    def __init__(self, now_s: Callable[[], float] = time.process_time) -> None:
        self.spent_s: dict[str, float] = {}
        self.calls: dict[str, int] = {}
        self.now_s = now_s
        self._open: list[str] = []
        self._last_s = now_s()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Added to what the stage took before."""
        self._count()
        self._open.append(name)
        self.calls[name] = self.calls.get(name, 0) + 1
        yield
        self._count()
        self._open.pop()

    def wrap(self, owner: Any, name: str, stage: str) -> None:
        """Count every call of a function or method where it is looked up."""
        inner = getattr(owner, name)

        def counted(*args: Any, **kwargs: Any) -> Any:
            with self.stage(stage):
                return inner(*args, **kwargs)

        setattr(owner, name, counted)

    def restart(self) -> None:
        """Forget what was counted."""
        self.spent_s, self.calls = {}, {}

    def _count(self) -> None:
        now_s = self.now_s()
        if self._open:
            name = self._open[-1]
            self.spent_s[name] = self.spent_s.get(name, 0.0) + now_s - self._last_s
        self._last_s = now_s

"""An interrupt ends work spread over processes at once: hundreds of cases that wait are not made any more."""

import signal
import time
from collections.abc import Iterator

import pytest

from training.workers import worker_pool


def test_an_interrupt_between_two_results_drops_what_waits() -> None:
    began = time.monotonic()
    held: list[Iterator[None]] = []

    def interrupted() -> None:
        with worker_pool(2) as pool:
            # Held on to, as a traceback does: the iterator itself would cancel its work when it is dropped.
            held.append(pool.map(time.sleep, [0.2] * 1000))
            next(held[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert time.monotonic() - began < 20


def test_workers_leave_an_interrupt_to_their_parent() -> None:
    with worker_pool(1) as pool:
        assert pool.submit(signal.getsignal, signal.SIGINT).result() is signal.SIG_IGN

"""Kernels give up the interpreter's lock, so that plain threads share the work; results do not depend on how many."""

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from itertools import pairwise

LEAST = 16
"""Rows or planes per share: below, a thread's start costs more than it saves."""


@cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(cores(), thread_name_prefix="kernel")


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0))


def in_shares(count: int, work: Callable[[int, int], object]) -> None:
    """work(first, end) over all of 0..count, in as many shares as there are cores."""
    shares = max(1, min(cores(), count // LEAST))
    bounds = [count * k // shares for k in range(shares + 1)]
    if shares == 1:
        work(0, count)
        return
    for done in [_pool().submit(work, first, end) for first, end in pairwise(bounds)]:
        done.result()

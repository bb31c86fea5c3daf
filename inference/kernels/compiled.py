"""How kernels are compiled: without the interpreter's lock, kept on disk where there is a place for it."""

import logging
from collections.abc import Callable
from typing import ParamSpec, TypeVar, cast

from numba import njit

# Numba tells each of its compiler's passes at level DEBUG.
logging.getLogger("numba").setLevel(logging.WARNING)

P = ParamSpec("P")
R = TypeVar("R")


def compiled(kernel: Callable[P, R]) -> Callable[P, R]:
    """A kernel of loops over arrays and numbers, compiled at its first call.

    What is compiled is kept beside the source, in NUMBA_CACHE_DIR, or in the user's cache. Where none of them can be written to, every
    process compiles anew, which takes a second or two each.
    """
    try:
        made = njit(nogil=True, cache=True)(kernel)
    except RuntimeError:
        made = njit(nogil=True)(kernel)
    return cast("Callable[P, R]", made)

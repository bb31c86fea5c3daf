"""What a layout is: how a folder of it is known again, and how its cases are found."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from training.data.cases import FoundCases


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    """One way in which labelled CT lies in folders."""

    name: str
    title: str
    looks_like: str
    """Its files, in a line."""
    source: str
    """Where names and numbers are known from."""
    matches: Callable[[Path], bool]
    """Whether a folder looks like it; reads no voxel."""
    find: Callable[[Path], FoundCases]

"""What a site says of its accelerators, besides their order."""

from dataclasses import dataclass
from pathlib import Path

from inference.engine.providers import Downgrade


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceleration:
    """How networks come to run where they are asked to run."""

    downgrade: Downgrade = Downgrade.WARN
    tensorrt_libraries: Path | None = None
    """The folder that holds them; None: the loader finds them by itself, or not at all."""
    built_folder: Path | None = None
    """Where `habitus warm` leaves what it built and proved; None: nothing was."""
    half_precision_error: float = 0.01
    """How far logits in reduced precision may lie from those of the CPU, as a share of what these span."""


PLAIN = Acceleration()

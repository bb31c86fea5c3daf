"""What a configuration of slices says beyond the loop: the [options] table."""

from dataclasses import dataclass

from inference.domain.errors import ConfigurationInvalid
from inference.stages.prompts import prompt_parts


@dataclass(frozen=True, slots=True, kw_only=True)
class SliceOptions:
    """Defaults are those of the published settings where these say anything."""

    least_pixels: int = 20
    """Of a structure in a slice of the grid: a smaller remnant is no example of it."""
    step_mm: float = 0.0
    """Between slices that are taken; 0: every slice."""
    prompts: tuple[str, ...] = ("box", "point", "box+point", "box+mask")
    """Kinds of prompts that are drawn in training, evenly."""
    prompts_per_slice: int = 4
    """Structures of a slice that are asked about at once, at most."""
    box_jitter_px: float = 3.0
    """Standard deviation by which each side of a box is moved in training."""
    cross_entropy: float = 0.0
    """How much of it is added to the Dice loss; without any, a decoder that begins with random weights saturates."""
    asked: str = "box"
    """The prompt of evaluation and of the node."""

    def __post_init__(self) -> None:
        for text in (*self.prompts, self.asked):
            prompt_parts(text)
        rules = {
            f"least_pixels {self.least_pixels}": self.least_pixels >= 1,
            f"step_mm {self.step_mm}": self.step_mm >= 0,
            f"prompts {list(self.prompts)}": len(self.prompts) > 0,
            f"prompts_per_slice {self.prompts_per_slice}": self.prompts_per_slice >= 1,
            f"cross_entropy {self.cross_entropy}": self.cross_entropy >= 0,
            f"box_jitter_px {self.box_jitter_px}": self.box_jitter_px >= 0,
        }
        for found, holds in rules.items():
            if not holds:
                raise _invalid(found, "a usable value")


def _invalid(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        found=found, wanted=wanted, advice="See training/slices/slice_options.py."
    )

"""Every variant has a number: the same number and seed give the same bytes on every machine."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from random import Random

from tests.fuzz import byte_mutators, pixel_mutators, value_mutators
from tests.fuzz.anatomy import Anatomy, take_apart
from tests.fuzz.base_files import BaseSeries

Mutator = Callable[[Anatomy, Random], bytes]

MUTATORS: tuple[Mutator, ...] = (
    byte_mutators.flip_header_bits,
    byte_mutators.flip_meta_bits,
    byte_mutators.flip_pixel_bits,
    byte_mutators.flip_coded_bits,
    byte_mutators.truncate_anywhere,
    byte_mutators.truncate_at_border,
    byte_mutators.splice,
    byte_mutators.swap_vr,
    byte_mutators.rewrite_vr,
    byte_mutators.set_length,
    byte_mutators.odd_length,
    byte_mutators.duplicate_element,
    byte_mutators.remove_elements,
    byte_mutators.shuffle_elements,
    value_mutators.absurd_decimals,
    value_mutators.absurd_integers,
    value_mutators.absurd_pixel_module,
    value_mutators.foreign_texts,
    value_mutators.foreign_character_sets,
    value_mutators.foreign_uids,
    value_mutators.deep_sequences,
    value_mutators.many_items,
    pixel_mutators.wrong_syntax,
    pixel_mutators.broken_meta,
    pixel_mutators.broken_fragments,
    pixel_mutators.poisoned_codec_header,
    pixel_mutators.bomb,
)
DAMAGED_SLICE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Variant:
    """One damaged series: which slices are replaced by what."""

    number: int
    base: str
    mutator: str
    is_whole_series: bool
    """Every slice was damaged alike, so that the slices still agree with each other; else one was."""
    is_written: bool
    """Whether results are written where the analysis succeeds."""
    files: dict[int, bytes]


@dataclass(frozen=True)
class Variants:
    """All variants of a seed."""

    bases: tuple[BaseSeries, ...]
    seed: int = 1
    written_share: float = 0.1
    """Of the valid ones, how many also write their results: writing takes forty times as long as reading."""

    @cache  # noqa: B019 - lives as long as the process
    def _anatomies(self, base: int) -> list[Anatomy]:
        return [take_apart(content) for content in self.bases[base].files]

    def base_of(self, number: int) -> int:
        """Index of the series that a variant is made from; neighbours differ in base, then in mutator."""
        return number % len(self.bases)

    def make(self, number: int) -> Variant:
        """The variant of that number."""
        base = self.base_of(number)
        mutate = MUTATORS[number // len(self.bases) % len(MUTATORS)]
        rng = Random(f"{self.seed}/{number}")
        is_whole_series = rng.random() < 0.5
        is_written = rng.random() < self.written_share
        own_seed = rng.random()
        slices = range(len(self.bases[base].files)) if is_whole_series else [DAMAGED_SLICE]
        return Variant(
            number=number,
            base=self.bases[base].name,
            mutator=mutate.__name__,
            is_whole_series=is_whole_series,
            is_written=is_written,
            files={
                index: mutate(self._anatomies(base)[index], Random(own_seed)) for index in slices
            },
        )

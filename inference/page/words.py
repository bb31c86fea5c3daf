"""The words of the picture page in each language; a sentence without a translation stays English."""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from inference.domain.labelmap import Structure
from inference.domain.measurement import Quantity
from inference.domain.report_options import Language

LANGUAGE_FOLDER = Path(__file__).parent / "languages"
_PLACE = re.compile(r"\\{(\w+)\\}")
_NAMES = "names"
"""A place in a sentence that holds structures, which are translated too."""
_WHY = "why"
"""A place that holds sentences of their own."""
BETWEEN_REASONS = "; "


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """One language."""

    words: Mapping[str, str]
    structures: Mapping[Structure, str]
    quantities: Mapping[Quantity, str]
    sentences: tuple[tuple[re.Pattern[str], str], ...]
    """English sentence → the language's; {x} stands for a number or a name."""

    def __getitem__(self, key: str) -> str:
        return self.words[key]

    def sentence(self, english: str) -> str:
        """A note of the report in this language, or as it is where no translation is known."""
        for pattern, translated in self.sentences:
            if found := pattern.fullmatch(english):
                places = found.groupdict()
                if _WHY in places:
                    reasons = places[_WHY].split(BETWEEN_REASONS)
                    places[_WHY] = BETWEEN_REASONS.join(map(self.sentence, reasons))
                if _NAMES in places:
                    places[_NAMES] = self._named(places[_NAMES])
                return translated.format(**places)
        return english

    def _named(self, listed: str) -> str:
        known = {s.value.replace("_", " "): name for s, name in self.structures.items()}
        return ", ".join(known.get(name, name) for name in listed.split(", "))


@cache
def words_of(language: Language) -> Words:
    """The words of a language."""
    raw = tomllib.loads((LANGUAGE_FOLDER / f"{language}.toml").read_text(encoding="utf-8"))
    return Words(
        words=raw["words"],
        structures={Structure(name): text for name, text in raw["structures"].items()},
        quantities={Quantity(name): text for name, text in raw["quantities"].items()},
        sentences=tuple((_pattern(row["english"]), row["text"]) for row in raw["sentences"]),
    )


def _pattern(english: str) -> re.Pattern[str]:
    return re.compile(_PLACE.sub(r"(?P<\1>.+?)", re.escape(english)), re.DOTALL)

"""What labels mean: our names and numbers, other people's names, the numbers of public data sets (label_names.toml)."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.domain.errors import ConfigurationInvalid
from inference.domain.labelmap import LISTED, Structure

TABLE = Path(__file__).with_suffix(".toml")
KIDNEY = "kidney"
"""Both kidneys under one number, as some data sets label them."""
L3 = "vertebra_l3"
OUR_NUMBERS: Mapping[str, int] = MappingProxyType(
    {name: number for number, name in enumerate([*(s.value for s in Structure), KIDNEY, L3], 1)}
)
"""Labels that training reads: a structure's place among Structure, from 1 (so 1 to 13 are FLARE22's), then what only training has."""
NOT_OURS = ""
"""The meaning of a label that is known, and nothing that we segment: it reads as background."""
LARGEST_NUMBER = 65_535
BACKGROUND_NAMES = frozenset({"background", "bg"})


def plain(name: str) -> str:
    """A name as it is compared: small letters, one underscore between words."""
    return "_".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


def our_name(name: str) -> str:
    """Our name of anyone's; empty where it is nothing of ours."""
    compared = plain(name)
    return compared if compared in OUR_NUMBERS else _others().get(compared, NOT_OURS)


def structure_named(name: str) -> Structure | None:
    """The structure of a plain name."""
    ours = our_name(name)
    return Structure(ours) if ours in set(Structure) else None


def reported_as(name: str) -> Structure | None:
    """The structure of a plain name that the node reports, one that training reads or one of the listed ones."""
    return structure_named(name) or _listed().get(plain(name))


@cache
def _listed() -> Mapping[str, Structure]:
    return {plain(listed.value): listed for listed in LISTED}


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """What the numbers of a label map mean."""

    meanings: Mapping[int, str]
    """Of every number that may occur but 0; NOT_OURS where it is nothing of ours."""

    @property
    def names(self) -> frozenset[str]:
        """What of ours is labelled; of anything else "not labelled here" does not mean "not there"."""
        return frozenset(self.meanings.values()) - {NOT_OURS}

    def ours(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
        """The same map in OUR_NUMBERS; every number must be in the table."""
        lookup = np.zeros(max(self.meanings, default=0) + 1, np.uint8)
        for number, name in self.meanings.items():
            lookup[number] = OUR_NUMBERS[name] if name else 0
        translated: npt.NDArray[np.uint8] = lookup[numbers.astype(np.int64, copy=False)]
        return translated


def ours_as_table() -> LabelTable:
    """For maps that are in our numbers already."""
    return LabelTable(meanings={number: name for name, number in OUR_NUMBERS.items()})


def table_of(named: Mapping[int, str]) -> LabelTable:
    """From a data set's own names; a lesion counts to the organ it grows in where that is labelled too.

    Raises ConfigurationInvalid for numbers that no label map has.
    """
    if any(not 0 <= number <= LARGEST_NUMBER for number in named):
        raise ConfigurationInvalid(
            found="a table with numbers out of range",
            wanted=f"0 to {LARGEST_NUMBER}",
            advice="Mend the table of names beside the labels.",
        )
    ours = {
        number: our_name(name)
        for number, name in named.items()
        if number != 0 and plain(name) not in BACKGROUND_NAMES
    }
    organs = set(ours.values())
    for number, name in ours.items():
        if name == NOT_OURS:
            ours[number] = _organ_of(plain(named[number]), organs)
    return LabelTable(meanings=ours)


def _organ_of(lesion: str, organs: set[str]) -> str:
    """The one organ in which such a lesion may be; none where several are labelled."""
    entries: list[dict[str, Any]] = list(_table()["lesions"].values())
    fitting = [e["organ"] for e in entries if lesion in e["names"] and e["organ"] in organs]
    return fitting[0] if len(fitting) == 1 else NOT_OURS


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSetNames:
    """One public data set's labels."""

    title: str
    source: str
    """Where its folders and numbers are known from."""
    table: LabelTable


@cache
def data_set(name: str) -> DataSetNames:
    """Of a data set that the table has."""
    entry = _table()["data_sets"][name]
    named = {int(number): str(text) for number, text in entry["labels"].items()}
    return DataSetNames(title=entry["title"], source=entry["source"], table=table_of(named))


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(TABLE.read_text(encoding="utf-8"))


@cache
def _others() -> Mapping[str, str]:
    names: dict[str, str] = _table()["names"]
    return names

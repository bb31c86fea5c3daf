"""Anyone's NIfTI pairs: a labels.toml (or .json) beside them says where they lie and what the numbers mean."""

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

from inference.domain.errors import ConfigurationInvalid
from training.data.cases import FoundCases
from training.data.layouts.layout import Layout
from training.data.layouts.pairing import is_meant, paired, read_table
from training.label_names import LARGEST_NUMBER, NOT_OURS, OUR_NUMBERS, LabelTable, our_name

TITLE = "NIfTI pairs with a table of your own"
TABLE_NAMES = ("labels.toml", "labels.json")
KEYS = {"images", "labels", "numbers", "patient", "title"}
OPTIONAL = {"patient", "title"}
LONGEST_TITLE = 200
CASE = "{case}"
SEE = "See training/README.md, Your own data."


def _table_path(folder: Path) -> Path | None:
    return next((folder / n for n in TABLE_NAMES if (folder / n).is_file()), None)


def _matches(folder: Path) -> bool:
    path = _table_path(folder)
    return path is not None and read_table(path).keys() >= KEYS - OPTIONAL


def _find(folder: Path) -> FoundCases:
    path = _table_path(folder)
    if path is None:
        raise _unusable(f"no {TABLE_NAMES[0]}", f"{TABLE_NAMES[0]} in the folder")
    content = read_table(path)
    if unknown := sorted(content.keys() - KEYS):
        raise _unusable(
            f"{path.name} with {', '.join(map(repr, unknown))}", ", ".join(sorted(KEYS))
        )
    images, labels = (_files(folder, content.get(key), key) for key in ("images", "labels"))
    title = content.get("title", TITLE)
    if not isinstance(title, str) or not 0 < len(title) <= LONGEST_TITLE:
        raise _unusable("a title that is none", f"a text of at most {LONGEST_TITLE} letters")
    found = paired("plain", title, images, labels, _numbers(content.get("numbers")))
    return _with_patients(found, content.get("patient"))


def _files(folder: Path, stated: object, key: str) -> dict[str, Path]:
    """Files by what stands in the place of {case}."""
    text = stated if isinstance(stated, str) else ""
    pure = PurePosixPath(text)
    if text.count(CASE) != 1 or pure.is_absolute() or ".." in pure.parts:
        raise _unusable(
            f"{key} = {text!r}",
            f'a path below the folder with {CASE} in it, such as "ct/{CASE}.nii.gz"',
        )
    before, after = (re.escape(part) for part in text.split(CASE))
    pattern = re.compile(f"{before}([^/]+){after}")
    places = (path for path in sorted(folder.glob(text.replace(CASE, "*"))) if is_meant(path))
    named = ((pattern.fullmatch(path.relative_to(folder).as_posix()), path) for path in places)
    return {match[1]: path for match, path in named if match is not None}


def _numbers(stated: object) -> LabelTable:
    """Names must be known here: a misspelt one would silently become background."""
    if not isinstance(stated, Mapping) or not stated:
        raise _unusable("no numbers", '[numbers] with lines such as 1 = "liver"')
    meanings = {}
    for number, name in stated.items():
        ours = our_name(str(name))
        if not str(number).isdecimal() or not 0 < int(number) <= LARGEST_NUMBER:
            raise _unusable(f"the number {number!r}", "whole numbers from 1 on")
        if name != NOT_OURS and ours == NOT_OURS:
            known = ", ".join(OUR_NUMBERS)
            raise _unusable(f"the name {name!r}", f'one of {known}; "" for what is nothing of ours')
        meanings[int(number)] = ours
    return LabelTable(meanings=meanings)


def _with_patients(found: FoundCases, stated: Any) -> FoundCases:
    if stated is None:
        return found
    try:
        pattern = re.compile(stated)
    except (re.error, TypeError) as problem:
        raise _unusable("a pattern for patients that is none", "a regular expression") from problem
    cases = []
    for case in found.cases:
        match = pattern.search(case.name)
        if match is None or pattern.groups != 1:
            raise _unusable(
                f"a case whose name has no patient ({case.name})",
                "a pattern with one group that every case's name holds",
            )
        cases.append(replace(case, patient=match[1]))
    return replace(found, cases=tuple(cases))


def _unusable(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(found=found, wanted=wanted, advice=SEE)


LAYOUT = Layout(
    name="plain",
    title=TITLE,
    looks_like=f"{TABLE_NAMES[0]} or {TABLE_NAMES[1]}, and the files it names",
    source="your own table",
    matches=_matches,
    find=_find,
)

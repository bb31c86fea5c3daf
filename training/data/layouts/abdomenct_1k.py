"""AbdomenCT-1K: AbdomenCT-1K-ImagePart1/Case_00001_0000.nii.gz (three parts) and Mask/Case_00001.nii.gz."""

import re
from pathlib import Path

from training.data.cases import FoundCases
from training.data.layouts.layout import Layout
from training.data.layouts.pairing import is_meant, paired, stem
from training.label_names import data_set

NAMES = data_set("abdomenct-1k")
IMAGE, LABEL = r"(Case_\d{5})_0000", r"(Case_\d{5})"
DEEPEST = 3
"""Unpacked archives often lie in a folder of their own name."""


def _files(folder: Path, pattern: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for depth in range(DEEPEST + 1):
        for path in sorted(folder.glob("*/" * depth + "Case_*.nii.gz")):
            match = re.fullmatch(pattern, stem(path))
            if match is not None and is_meant(path):
                found.setdefault(match[1], path)
    return found


def _matches(folder: Path) -> bool:
    return bool(_files(folder, IMAGE)) and bool(_files(folder, LABEL))


def _find(folder: Path) -> FoundCases:
    images, labels = _files(folder, IMAGE), _files(folder, LABEL)
    return paired("abdomenct-1k", NAMES.title, images, labels, NAMES.table)


LAYOUT = Layout(
    name="abdomenct-1k",
    title=NAMES.title,
    looks_like="AbdomenCT-1K-ImagePart1/Case_00001_0000.nii.gz, Mask/Case_00001.nii.gz",
    source=NAMES.source,
    matches=_matches,
    find=_find,
)

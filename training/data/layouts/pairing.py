"""Images and labels by name: which belong together, and which stand alone."""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from training.data.cases import FoundCases, LabelledCase
from training.data.nifti_sources import NiftiPair
from training.data.problems import Problem
from training.label_names import LabelTable
from training.nifti import IMAGE_NAMES

LARGEST_TABLE_BYTES = 20_000_000
CHANNEL = "_0000"
"""Of nnU-Net's image names: the first channel."""


def nifti_files(folder: Path) -> Iterator[Path]:
    """NIfTI files directly in a folder; not the "._" files that macOS leaves beside them."""
    for pattern in IMAGE_NAMES:
        yield from (path for path in sorted(folder.glob(pattern)) if is_meant(path))


def is_meant(path: Path) -> bool:
    """Hidden files belong to systems, not to people."""
    return not path.name.startswith(".")


def stem(path: Path) -> str:
    """A file's name without its endings."""
    return path.name.removesuffix(".gz").removesuffix(".nii")


def by_pattern(folder: Path, pattern: str) -> dict[str, Path]:
    """Files by the first group of a pattern for their stems."""
    matches = ((re.fullmatch(pattern, stem(path)), path) for path in nifti_files(folder))
    return {match[1]: path for match, path in matches if match is not None}


def first_folder(folder: Path, wanted: str, *candidates: str) -> Path | None:
    """The folder itself or one below it (by those names) that holds a folder."""
    for place in (folder, *(folder / candidate for candidate in candidates)):
        if (place / wanted).is_dir():
            return place
    return None


def paired(
    layout: str,
    title: str,
    images: Mapping[str, Path],
    labels: Mapping[str, Path],
    table: LabelTable,
) -> FoundCases:
    """One case per image that has a label; the others are problems. Every case is a patient of its own."""
    names = sorted(images.keys() & labels.keys())
    return FoundCases(
        layout=layout,
        title=title,
        cases=tuple(
            LabelledCase(
                name=name,
                patient=name,
                source=NiftiPair(image=images[name], label=labels[name], table=table),
            )
            for name in names
        ),
        problems=tuple(unpaired(images, labels)),
    )


def unpaired(images: Mapping[str, Path], labels: Mapping[str, Path]) -> Iterator[Problem]:
    """What stands alone."""
    for name in sorted(images.keys() - labels.keys()):
        yield Problem(
            case=name,
            where="label",
            found="an image without a label",
            wanted="one label per image",
            advice="Bring its label, or take the image out of this folder.",
        )
    for name in sorted(labels.keys() - images.keys()):
        yield Problem(
            case=name,
            where="image",
            found="a label without an image",
            wanted="one image per label",
            advice="Bring its image, or take the label out of this folder.",
        )


def path_inside(folder: Path, stated: object) -> Path:
    """A path that a file names, relative to its folder; raises UnreadableInput where it leads out of it."""
    text = stated if isinstance(stated, str) else ""
    relative = PurePosixPath(text.replace("\\", "/"))
    path = folder / relative
    is_inside = bool(text) and not relative.is_absolute() and ".." not in relative.parts
    if not is_inside or not path.resolve().is_relative_to(folder.resolve()):
        raise UnreadableInput(
            found="a path that leads out of the data set's folder",
            wanted="paths below it, such as ./imagesTr/spleen_2.nii.gz",
            advice="Mend dataset.json, or download the data set again.",
        )
    return path


def read_table(path: Path) -> dict[str, Any]:
    """A TOML or JSON file; raises ConfigurationInvalid."""
    try:
        if path.stat().st_size > LARGEST_TABLE_BYTES:
            raise ValueError("too large")
        text = path.read_text(encoding="utf-8-sig")
        content = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError, RecursionError) as problem:
        raise ConfigurationInvalid(
            found=f"{path.name}, which cannot be read",
            wanted="a JSON object, or TOML where it ends in .toml",
            advice="Check the path and the file's syntax.",
        ) from problem
    if not isinstance(content, dict):
        raise ConfigurationInvalid(
            found=f"{path.name} without names in it",
            wanted="a JSON object or TOML table",
            advice="See training/README.md, Your own data.",
        )
    return content

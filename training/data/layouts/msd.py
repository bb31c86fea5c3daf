"""Medical Segmentation Decathlon: Task09_Spleen/dataset.json names imagesTr and labelsTr, and what the numbers mean."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid
from training.data.cases import FoundCases
from training.data.layouts.layout import Layout
from training.data.layouts.pairing import (
    is_meant,
    nifti_files,
    paired,
    path_inside,
    read_table,
    stem,
)
from training.label_names import table_of

TABLE_NAME = "dataset.json"
TITLE = "Medical Segmentation Decathlon (Task03 Liver, Task07 Pancreas, Task09 Spleen …)"


def _matches(folder: Path) -> bool:
    path = folder / TABLE_NAME
    return path.is_file() and isinstance(read_table(path).get("training"), list)


def _find(folder: Path) -> FoundCases:
    content = read_table(folder / TABLE_NAME)
    table = table_of(_labels(content))
    if not table.names:
        raise ConfigurationInvalid(
            found="a task that labels nothing of ours",
            wanted="an organ or a tissue (python -m training data layouts lists them)",
            advice="Task03 Liver, Task07 Pancreas and Task09 Spleen are of use here.",
        )
    images: dict[str, Path] = {}
    labels: dict[str, Path] = {}
    missing = 0
    for entry in _entries(content):
        image, label = (
            path_inside(folder, entry.get("image")),
            path_inside(folder, entry.get("label")),
        )
        if not is_meant(image):
            # The Decathlon's own lists hold the "._" files of macOS now and then.
            continue
        images |= {stem(image): image} if image.is_file() else {}
        labels |= {stem(image): label} if label.is_file() else {}
        missing += not image.is_file() and not label.is_file()
    for part, known in (("imagesTr", images), ("labelsTr", labels)):
        known |= {stem(path): path for path in nifti_files(folder / part)}
    found = paired("msd", f"{TITLE}: {folder.name}", images, labels, table)
    note = f"{missing} cases of dataset.json are not in the folder"
    return replace(found, notes=(note,)) if missing else found


def _entries(content: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    listed = content.get("training")
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise ConfigurationInvalid(
            found="dataset.json without a list of training cases",
            wanted='"training": [{"image": "./imagesTr/x.nii.gz", "label": "./labelsTr/x.nii.gz"}]',
            advice="Download the task again, or use the layout nnunet for nnU-Net's own form.",
        )
    return listed


def _labels(content: Mapping[str, Any]) -> dict[int, str]:
    stated = content.get("labels")
    try:
        return {int(number): str(name) for number, name in dict(stated or {}).items()}
    except (TypeError, ValueError) as problem:
        raise ConfigurationInvalid(
            found="dataset.json without numbers of labels",
            wanted='"labels": {"0": "background", "1": "spleen"}',
            advice="Download the task again, or use the layout nnunet for nnU-Net's own form.",
        ) from problem


LAYOUT = Layout(
    name="msd",
    title=TITLE,
    looks_like="dataset.json, imagesTr/spleen_2.nii.gz, labelsTr/spleen_2.nii.gz",
    source="dataset.json itself; its form from MMSegmentation's reader of the Decathlon",
    matches=_matches,
    find=_find,
)

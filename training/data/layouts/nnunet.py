"""nnU-Net, version 2: Dataset701_AbdomenCT/dataset.json, imagesTr/NAME_0000.nii.gz, labelsTr/NAME.nii.gz."""

from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid
from training.data.cases import FoundCases
from training.data.layouts.layout import Layout
from training.data.layouts.pairing import CHANNEL, nifti_files, paired, read_table, stem
from training.label_names import NOT_OURS, our_name, table_of

TABLE_NAME = "dataset.json"
TITLE = "nnU-Net raw data, version 2"


def _matches(folder: Path) -> bool:
    path = folder / TABLE_NAME
    return path.is_file() and "channel_names" in read_table(path)


def _find(folder: Path) -> FoundCases:
    content = read_table(folder / TABLE_NAME)
    images = {
        stem(path).removesuffix(CHANNEL): path
        for path in nifti_files(folder / "imagesTr")
        if stem(path).endswith(CHANNEL)
    }
    labels = {stem(path): path for path in nifti_files(folder / "labelsTr")}
    return paired("nnunet", f"{TITLE}: {folder.name}", images, labels, table_of(_labels(content)))


def _labels(content: dict[str, Any]) -> dict[int, str]:
    """Name → number here, or → numbers of a region ("kidney": [1, 2, 3], "tumor": 2)."""
    try:
        stated = {str(name): numbers for name, numbers in dict(content["labels"]).items()}
        single = {int(n): name for name, n in stated.items() if not isinstance(n, list)}
        regions = [(n, name) for name, ns in stated.items() if isinstance(ns, list) for n in ns]
        for number, name in regions:
            if our_name(single.get(int(number), "")) == NOT_OURS:
                ours = our_name(name) != NOT_OURS
                single[int(number)] = name if ours else single.get(int(number), name)
    except (KeyError, TypeError, ValueError) as problem:
        raise ConfigurationInvalid(
            found="dataset.json without numbers of labels",
            wanted='"labels": {"background": 0, "liver": 1}',
            advice="See documentation/dataset_format.md of nnU-Net.",
        ) from problem
    return single


LAYOUT = Layout(
    name="nnunet",
    title=TITLE,
    looks_like='dataset.json with "channel_names", imagesTr/NAME_0000.nii.gz, labelsTr/NAME.nii.gz',
    source="dataset.json itself; its form from nnU-Net's documentation/dataset_format.md",
    matches=_matches,
    find=_find,
)

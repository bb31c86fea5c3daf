"""FLARE22: images/FLARE22_Tr_0001_0000.nii.gz and labels/FLARE22_Tr_0001.nii.gz."""

from pathlib import Path

from training.data.cases import FoundCases
from training.data.layouts.layout import Layout
from training.data.layouts.pairing import by_pattern, first_folder, paired
from training.label_names import data_set

NAMES = data_set("flare22")
IMAGE, LABEL = r"(FLARE22_Tr_\d{4})_0000", r"(FLARE22_Tr_\d{4})"


def _place(folder: Path) -> Path | None:
    return first_folder(folder, "images", "FLARE22_LabeledCase50", "Training/FLARE22_LabeledCase50")


def _matches(folder: Path) -> bool:
    place = _place(folder)
    return place is not None and bool(by_pattern(place / "images", IMAGE))


def _find(folder: Path) -> FoundCases:
    place = _place(folder) or folder
    images, labels = by_pattern(place / "images", IMAGE), by_pattern(place / "labels", LABEL)
    return paired("flare22", NAMES.title, images, labels, NAMES.table)


LAYOUT = Layout(
    name="flare22",
    title=NAMES.title,
    looks_like="FLARE22_LabeledCase50/images/FLARE22_Tr_0001_0000.nii.gz, labels/FLARE22_Tr_0001.nii.gz",
    source=NAMES.source,
    matches=_matches,
    find=_find,
)

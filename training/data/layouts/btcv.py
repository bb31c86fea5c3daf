"""BTCV: RawData/Training/img/img0001.nii.gz and label/label0001.nii.gz."""

from pathlib import Path

from training.data.cases import FoundCases
from training.data.layouts.layout import Layout
from training.data.layouts.pairing import by_pattern, first_folder, paired
from training.label_names import data_set

NAMES = data_set("btcv")
IMAGE, LABEL = r"img(\d{4})(?:-avg)?", r"label(\d{4})(?:-avg)?"


def _place(folder: Path) -> Path | None:
    return first_folder(folder, "img", "RawData/Training", "Training", "Abdomen/RawData/Training")


def _matches(folder: Path) -> bool:
    place = _place(folder)
    return place is not None and bool(by_pattern(place / "img", IMAGE))


def _find(folder: Path) -> FoundCases:
    place = _place(folder) or folder
    images, labels = by_pattern(place / "img", IMAGE), by_pattern(place / "label", LABEL)
    return paired(
        "btcv",
        NAMES.title,
        {f"img{number}": path for number, path in images.items()},
        {f"img{number}": path for number, path in labels.items()},
        NAMES.table,
    )


LAYOUT = Layout(
    name="btcv",
    title=NAMES.title,
    looks_like="RawData/Training/img/img0001.nii.gz, label/label0001.nii.gz",
    source=NAMES.source,
    matches=_matches,
    find=_find,
)

"""All layouts, and which of them a folder has."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

from inference.domain.errors import ConfigurationInvalid
from training.data.cases import FoundCases
from training.data.layouts import (
    abdomenct_1k,
    btcv,
    dicom_seg,
    flare22,
    msd,
    nnunet,
    plain,
    synthetic,
    totalsegmentator,
)
from training.data.layouts.layout import Layout

LAYOUTS: Mapping[str, Layout] = MappingProxyType(
    {
        module.LAYOUT.name: module.LAYOUT
        for module in (
            btcv, flare22, abdomenct_1k, msd, nnunet, totalsegmentator, plain, dicom_seg, synthetic,
        )
    }
)  # fmt: skip


def layout_named(name: str) -> Layout:
    """Raises ConfigurationInvalid."""
    if name not in LAYOUTS:
        raise ConfigurationInvalid(
            found=f"the layout {name!r}",
            wanted=f"one of {', '.join(LAYOUTS)}",
            advice="python -m training data layouts says what each looks like.",
        )
    return LAYOUTS[name]


def guessed_layout(folder: Path) -> Layout:
    """The only one that fits; raises ConfigurationInvalid where none or several do."""
    _require(folder)
    fitting = [layout for layout in LAYOUTS.values() if layout.matches(folder)]
    if len(fitting) != 1:
        found = " and of ".join(layout.name for layout in fitting)
        raise ConfigurationInvalid(
            found=f"a folder of the layouts {found}" if fitting else "a folder of no known layout",
            wanted="one layout",
            advice=f"Name it with --layout: {', '.join(LAYOUTS)} (python -m training data layouts).",
        )
    return fitting[0]


def find_cases(folder: Path, layout: Layout) -> FoundCases:
    """All cases of a folder; raises HabitusError where it is not of the layout at all."""
    _require(folder)
    return layout.find(folder)


def _require(folder: Path) -> None:
    if not folder.exists():
        raise ConfigurationInvalid(
            found="a folder that is not there",
            wanted="the folder of a data set",
            advice="Check the path.",
        )

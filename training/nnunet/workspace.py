"""One working folder: nnU-Net's raw, preprocessed and results folders for one data set, and our notes on it."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid

RAW, PREPROCESSED, RESULTS = "nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"
SPLITS_NAME, DATASET_NAME, SPLIT_NAME = "splits_final.json", "dataset.json", "split.json"
SETTINGS_NAME = "settings.json"
PLANS = "nnUNetPlans"
TRAINER = "HabitusTrainer"
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,39}")
RUN_PATTERN = re.compile(r"[a-z0-9][a-z0-9.-]{0,39}")
NOTES = "habitus"
"""Key in dataset.json for what nnU-Net does not ask: where the data came from."""
FILE_ENDING = ".nii.gz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """Paths of one data set."""

    work: Path
    dataset: str
    """As nnU-Net names it, such as Dataset701_AbdomenCT."""

    @property
    def raw(self) -> Path:
        """Images and labels as nnU-Net reads them."""
        return self.work / RAW / self.dataset

    @property
    def preprocessed(self) -> Path:
        """Plans and prepared cases."""
        return self.work / PREPROCESSED / self.dataset

    @property
    def number(self) -> int:
        """Of the data set."""
        return int(self.dataset[len("Dataset") :].partition("_")[0])

    def plans_file(self, plans: str = PLANS) -> Path:
        """Of a plans' name."""
        return self.preprocessed / f"{plans}.json"

    def model(self, run: str, configuration: str) -> Path:
        """Where nnU-Net leaves the folds of a run."""
        name = f"{TRAINER}__{plans_of(run)}__{configuration}"
        return self.work / RESULTS / self.dataset / name

    def description(self) -> dict[str, Any]:
        """dataset.json."""
        content: dict[str, Any] = read_json(self.raw / DATASET_NAME)
        return content

    def environment(self, processes: int) -> dict[str, str]:
        """What a child that imports nnunetv2 needs; 0 processes: augmentation in the training's own."""
        return dict(os.environ) | {
            **{name: str((self.work / name).resolve()) for name in (RAW, PREPROCESSED, RESULTS)},
            "nnUNet_def_n_proc": str(max(processes, 1)),
            "nnUNet_n_proc_DA": str(processes),
        }


def plans_of(run: str) -> str:
    """The name of the plans that belong to a run."""
    return f"{PLANS}_{run}"


def new_workspace(work: Path, number: int, name: str) -> Workspace:
    """For a data set that is not there yet; raises ConfigurationInvalid."""
    if not 1 <= number <= 999 or not NAME_PATTERN.fullmatch(name):
        raise ConfigurationInvalid(
            found=f"data set {number} {name!r:.60}",
            wanted="1 to 999 and a name of letters, digits and hyphens",
            advice="Choose another --number or --name.",
        )
    if there := _datasets(work):
        raise ConfigurationInvalid(
            found=f"{there[0]} in {work.name}",
            wanted="a working folder without a data set",
            advice="Give another --work, or remove that folder: one holds one data set.",
        )
    return Workspace(work=work, dataset=f"Dataset{number:03d}_{name}")


def open_workspace(work: Path) -> Workspace:
    """Of a converted data set; raises ConfigurationInvalid."""
    there = _datasets(work)
    if len(there) != 1:
        raise ConfigurationInvalid(
            found=f"{len(there)} converted data sets in {work.name}",
            wanted="one",
            advice="Run python -m training nnunet convert with this --work first.",
        )
    return Workspace(work=work, dataset=there[0])


def _datasets(work: Path) -> list[str]:
    # dataset.json is written last: a conversion that was stopped leaves none.
    return sorted(path.parent.name for path in (work / RAW).glob(f"Dataset*/{DATASET_NAME}"))


def checked_run(run: str) -> str:
    """A name that nnU-Net's own file names can carry; raises ConfigurationInvalid."""
    if not RUN_PATTERN.fullmatch(run):
        raise ConfigurationInvalid(
            found=f"the run {run!r:.60}",
            wanted="small letters, digits, '.' and '-'",
            advice="Choose another --run.",
        )
    return run


def read_json(path: Path) -> Any:
    """Of a file that an earlier step wrote; raises ConfigurationInvalid."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise ConfigurationInvalid(
            found=f"no readable {path.name}",
            wanted="the file that an earlier step of python -m training nnunet writes",
            advice="Run convert, plan and train in this order.",
        ) from problem
    return content


def write_json(content: Mapping[str, Any] | list[Any], path: Path) -> None:
    """Put in place at once: a reader sees the former or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)

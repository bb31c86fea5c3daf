"""Labelled cases of any layout → a data set as nnU-Net reads it; wrong data stops before a file is written."""

import re
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from inference.domain.volume import Volume
from training.data.cases import FoundCases, LabelledCase
from training.data.checks import check_before_training
from training.data.problems import Problem, stop_at_errors
from training.data.splits import Split, write_split
from training.nifti import write_nifti
from training.nnunet.label_choice import LabelChoice
from training.nnunet.workspace import (
    DATASET_NAME,
    FILE_ENDING,
    NOTES,
    SPLIT_NAME,
    SPLITS_NAME,
    Workspace,
    write_json,
)

CASE_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
CHANNEL = "_0000"
"""nnU-Net's mark of the first and only channel."""

Progress = Callable[[int, int, str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """What was written."""

    training: int
    test: int
    data_hash: str


def convert(
    found: FoundCases,
    choice: LabelChoice,
    split: Split,
    space: Workspace,
    progress: Progress,
    *,
    workers: int = 1,
) -> Converted:
    """Images and labels in canonical order, the split by patient, dataset.json last; raises TrainingDataUnfit."""
    checked = check_before_training(found, split=split, progress=progress, workers=workers)
    stop_at_errors(_name_problems(found.cases))
    if space.raw.exists():
        # Without dataset.json, or this workspace would not be new: left by a conversion that was stopped.
        shutil.rmtree(space.raw)
    in_split = [case for case in found.cases if case.name in _all_of(split)]
    problems = []
    for done, case in enumerate(in_split, 1):
        if (problem := _write(case, choice, space, is_test=case.name in split.test)) is not None:
            problems.append(problem)
        progress(done, len(in_split), case.name)
    stop_at_errors(problems)
    write_split(split, found.cases, space.work / SPLIT_NAME)
    write_json(folds_of(split), space.raw / SPLITS_NAME)
    training = len(in_split) - len(split.test)
    notes = {
        "converted_by": "python -m training nnunet convert",
        "layout": found.layout,
        "title": found.title,
        "is_synthetic": found.layout == "synthetic",
        "data_hash": checked.data_hash,
        "axes": "slices to the head, rows to the back, columns to the left",
    }
    write_json(description_of(choice, training, notes), space.raw / DATASET_NAME)
    return Converted(training=training, test=len(split.test), data_hash=checked.data_hash)


def description_of(choice: LabelChoice, training: int, notes: dict[str, Any]) -> dict[str, Any]:
    """dataset.json: one CT channel, so that nnU-Net normalises by the CT values of the foreground."""
    return {
        "channel_names": {"0": "CT"},
        "labels": choice.numbers(),
        "numTraining": training,
        "file_ending": FILE_ENDING,
        "overwrite_image_reader_writer": "SimpleITKIO",
        NOTES: notes,
    }


def folds_of(split: Split) -> list[dict[str, list[str]]]:
    """splits_final.json: nnU-Net takes it as it is and makes none of its own; a hold-out is fold 0."""
    folds = range(split.folds) if split.folds else (None,)
    return [
        {"train": sorted(split.training(fold)), "val": sorted(split.validation(fold))}
        for fold in folds
    ]


def _all_of(split: Split) -> set[str]:
    return {name for names in split.parts.values() for name in names}


def _write(
    case: LabelledCase, choice: LabelChoice, space: Workspace, *, is_test: bool
) -> Problem | None:
    read = case.read()
    problem = choice.unfit(read) or _uneven(read.volume)
    if problem is not None:
        return problem.at(case.name)
    part = "Ts" if is_test else "Tr"
    image = space.raw / f"images{part}" / f"{case.name}{CHANNEL}{FILE_ENDING}"
    write_nifti(read.volume.hu, read.volume.affine_lps, image)
    label = space.raw / f"labels{part}" / f"{case.name}{FILE_ENDING}"
    write_nifti(choice.chosen(read), read.volume.affine_lps, label)
    return None


def _uneven(volume: Volume) -> Problem | None:
    if volume.slice_places is None:
        return None
    return Problem(
        where="image",
        found="slices at uneven steps",
        wanted="even ones, which a NIfTI file can hold",
        advice="Resample the series to even steps, or take it out.",
    )


def _name_problems(cases: Sequence[LabelledCase]) -> list[Problem]:
    return [
        Problem(
            case=case.name,
            where="name",
            found="a name that nnU-Net's files cannot carry",
            wanted="letters, digits, '.', '_' and '-'",
            advice="Rename the case's files.",
        )
        for case in cases
        if not CASE_PATTERN.fullmatch(case.name)
    ]

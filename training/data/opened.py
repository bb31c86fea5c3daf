"""Labelled cases as a training takes them: found, checked, split by patient, or nothing at all."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from inference.domain.errors import ConfigurationInvalid
from training.data.cases import FoundCases, LabelledCase
from training.data.checks import check_before_training
from training.data.layouts.registry import find_cases, guessed_layout, layout_named
from training.data.splits import Split, hold_out, read_split
from training.source import Source


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedData:
    """Cases by what they are for."""

    title: str
    training: tuple[LabelledCase, ...]
    validation: tuple[LabelledCase, ...]
    test: tuple[LabelledCase, ...]
    """Nothing is chosen by these; a training never reads them."""
    data_hash: str

    def described(self) -> str:
        """In a sentence, for cards and checkpoints."""
        patients = len({case.patient for case in self.training})
        kept = len({case.patient for case in self.validation})
        return (
            f"{self.title}: {len(self.training)} scans of {patients} patients, {kept} others kept back to choose by "
            f"(data hash {self.data_hash[:16]})."
        )


def open_data(
    source: Source, *, seed: int, validation_share: float, wanted: Iterable[str]
) -> OpenedData:
    """Raises TrainingDataUnfit with a table of what is wrong, ConfigurationInvalid where something wanted is not labelled."""
    found = _found(source)
    split = _split(source, found, seed, validation_share)
    _require_labelled(found, frozenset(wanted))
    checked = check_before_training(found, split=split, progress=_told, workers=source.workers)
    warnings = len(checked.problems)
    if warnings:
        sys.stderr.write(f"{warnings} warnings: python -m training data check shows them\n")
    by_name = {case.name: case for case in found.cases}

    def named(names: Iterable[str]) -> tuple[LabelledCase, ...]:
        return tuple(by_name[name] for name in names)

    return OpenedData(
        title=found.title,
        training=named(split.training(source.fold)),
        validation=named(split.validation(source.fold)),
        test=named(split.test),
        data_hash=checked.data_hash,
    )


def kept_back_cases(
    source: Source, *, seed: int, validation_share: float
) -> tuple[LabelledCase, ...]:
    """The cases that a training with this seed chose by, unchecked: it has checked them."""
    found = _found(source)
    split = _split(source, found, seed, validation_share)
    names = set(split.validation(source.fold))
    return tuple(case for case in found.cases if case.name in names)


def _found(source: Source) -> FoundCases:
    layout = layout_named(source.layout) if source.layout else guessed_layout(source.folder)
    if not source.layout:
        sys.stderr.write(f"layout {layout.name} (guessed): {layout.title}\n")
    return find_cases(source.folder, layout)


def _split(source: Source, found: FoundCases, seed: int, validation_share: float) -> Split:
    if source.split is None:
        return hold_out(found.cases, seed=seed, validation_share=validation_share)
    split = read_split(source.split)
    folds = range(split.folds)
    if split.folds and source.fold not in folds:
        raise ConfigurationInvalid(
            found=f"fold {source.fold}",
            wanted=f"one of {', '.join(map(str, folds))}, as {source.split.name} has",
            advice="Name it with --fold.",
        )
    if not split.folds and source.fold is not None:
        raise ConfigurationInvalid(
            found=f"fold {source.fold} of a hold-out",
            wanted="a split into folds",
            advice="Leave --fold out, or make one: python -m training data split --folds 5.",
        )
    return split


def _require_labelled(found: FoundCases, wanted: frozenset[str]) -> None:
    """What is not labelled reads as background: a network would learn to leave it out."""
    for case in found.cases:
        if missing := sorted(wanted - case.source.names):
            raise ConfigurationInvalid(
                found=f"{case.name} without labels of {', '.join(missing)}",
                wanted="every case with all labels that this training learns",
                advice="Take such cases out, or name only labels that all of them have.",
            )


def _told(done: int, count: int, name: str) -> None:
    del name
    if done == count or done % 50 == 0:
        sys.stderr.write(f"looked at {done} of {count} cases\n")

"""Who is trained on and who is kept back: by patient, from a seed, written down and checked when read."""

import json
import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from training.data.cases import LabelledCase
from training.data.problems import Problem

FORM = 1
"""Of the file; another one is refused."""
TEST, VALIDATION, TRAIN = "test", "validation", "train"
FOLD = "fold-{}"
LARGEST_FILE_BYTES = 50_000_000
ADVICE = "Make it anew: python -m training data split."


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """Cases by part: "train", "validation" and "test", or "fold-0" … and perhaps "test"."""

    seed: int
    parts: Mapping[str, tuple[str, ...]]

    @property
    def folds(self) -> int:
        """0 for a hold-out."""
        return sum(name.startswith("fold-") for name in self.parts)

    def training(self, fold: int | None = None) -> tuple[str, ...]:
        """Cases to train on: all folds but one, or the part "train"."""
        if fold is None:
            return self.parts[TRAIN]
        kept = FOLD.format(fold)
        return tuple(
            case
            for name, cases in self.parts.items()
            if name.startswith("fold-") and name != kept
            for case in cases
        )

    def validation(self, fold: int | None = None) -> tuple[str, ...]:
        """Cases to choose by: one fold, or the part "validation"."""
        return self.parts[VALIDATION] if fold is None else self.parts[FOLD.format(fold)]

    @property
    def test(self) -> tuple[str, ...]:
        """Cases that nothing is chosen by."""
        return self.parts.get(TEST, ())


def k_fold(
    cases: Iterable[LabelledCase], folds: int, *, seed: int, test_share: float = 0.0
) -> Split:
    """All scans of a patient in one fold; folds as even as patients allow."""
    patients = _shuffled(cases, seed)
    test, others = _taken(patients, test_share)
    if folds < 2 or len(others) < folds:
        raise ConfigurationInvalid(
            found=f"{folds} folds of {len(others)} patients",
            wanted="at least two folds, and a patient for each",
            advice="Ask for fewer folds, or bring more patients.",
        )
    parts: list[list[str]] = [[] for _ in range(folds)]
    # Those with most scans first, each into the smallest fold: the shuffled order decides among equals.
    for names in sorted(others, key=len, reverse=True):
        min(parts, key=len).extend(names)
    named = {FOLD.format(n): tuple(sorted(part)) for n, part in enumerate(parts)}
    return Split(seed=seed, parts=named | ({TEST: _flat(test)} if test else {}))


def hold_out(
    cases: Iterable[LabelledCase], *, seed: int, validation_share: float, test_share: float = 0.0
) -> Split:
    """All scans of a patient in one part."""
    patients = _shuffled(cases, seed)
    test, others = _taken(patients, test_share)
    validation, train = _taken(others, validation_share * len(patients) / max(len(others), 1))
    if not validation or not train:
        raise ConfigurationInvalid(
            found=f"{len(patients)} patients for shares of {validation_share:g} and {test_share:g}",
            wanted="patients to train on and others to choose by",
            advice="Give smaller shares, or bring more patients.",
        )
    parts = {TRAIN: _flat(train), VALIDATION: _flat(validation)}
    return Split(seed=seed, parts=parts | ({TEST: _flat(test)} if test else {}))


def _shuffled(cases: Iterable[LabelledCase], seed: int) -> list[list[str]]:
    """The scans of every patient; the order depends on case names and seed alone."""
    by_patient: defaultdict[str, list[str]] = defaultdict(list)
    for case in cases:
        by_patient[case.patient].append(case.name)
    patients = sorted(sorted(names) for names in by_patient.values())
    random.Random(seed).shuffle(patients)  # noqa: S311 - nothing secret
    return patients


def _taken(patients: list[list[str]], share: float) -> tuple[list[list[str]], list[list[str]]]:
    if not 0 <= share < 1:
        raise ConfigurationInvalid(
            found=f"a share of {share:g}", wanted="0 or more and less than 1", advice="Say 0.2."
        )
    count = round(share * len(patients)) if share else 0
    count = max(count, 1) if share and len(patients) > 1 else count
    return patients[:count], patients[count:]


def _flat(patients: Iterable[Sequence[str]]) -> tuple[str, ...]:
    return tuple(sorted(name for names in patients for name in names))


def split_problems(split: Split, cases: Iterable[LabelledCase]) -> Iterator[Problem]:
    """A patient in two parts, a case in none, a name that nothing has."""
    part_of = {name: part for part, names in split.parts.items() for name in names}
    by_patient: defaultdict[str, list[str]] = defaultdict(list)
    known = set()
    for case in cases:
        known.add(case.name)
        if case.name in part_of:
            by_patient[case.patient].append(case.name)
        else:
            yield _split_problem(
                case.name, "a case in no part", "every case in one part", is_error=False
            )
    for names in by_patient.values():
        parts = sorted({part_of[name] for name in names})
        if len(parts) > 1:
            placed = ", ".join(f"{name} in {part_of[name]}" for name in sorted(names))
            yield _split_problem(
                sorted(names)[0],
                f"one patient in {len(parts)} parts ({placed})",
                "all scans of a patient in one part",
            )
    for name in sorted(set(part_of) - known):
        yield _split_problem(name, "a case that is not in the data", "the data it was made for")


def _split_problem(case: str, found: str, wanted: str, *, is_error: bool = True) -> Problem:
    return Problem(
        case=case, where="split", found=found, wanted=wanted, advice=ADVICE, is_error=is_error
    )


def write_split(split: Split, cases: Iterable[LabelledCase], path: Path) -> None:
    """With the patients' groups, so that leakage shows without the data; a group is named by its first case."""
    groups: defaultdict[str, list[str]] = defaultdict(list)
    for case in cases:
        groups[case.patient].append(case.name)
    several = sorted(sorted(names) for names in groups.values() if len(names) > 1)
    content = {
        "form": FORM,
        "seed": split.seed,
        "parts": {part: list(names) for part, names in split.parts.items()},
        "patients_with_several_scans": several,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_split(path: Path) -> Split:
    """Raises UnreadableInput, also where a case or a patient is in two parts."""
    try:
        if path.stat().st_size > LARGEST_FILE_BYTES:
            raise ValueError("too large")
        raw = json.loads(path.read_text(encoding="utf-8"))
        split, groups = _parsed(raw)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as problem:
        raise UnreadableInput(
            found=f"no split in {path.name}",
            wanted="a file that python -m training data split wrote",
            advice=ADVICE,
        ) from problem
    _refuse_leaks(split, groups, path)
    return split


def _parsed(raw: dict[str, Any]) -> tuple[Split, list[list[str]]]:
    if raw["form"] != FORM:
        raise ValueError("form")
    parts = {str(part): tuple(str(n) for n in names) for part, names in raw["parts"].items()}
    groups = [[str(name) for name in group] for group in raw["patients_with_several_scans"]]
    return Split(seed=int(raw["seed"]), parts=parts), groups


def _refuse_leaks(split: Split, groups: Iterable[Sequence[str]], path: Path) -> None:
    places: defaultdict[str, list[str]] = defaultdict(list)
    for part, names in split.parts.items():
        for name in names:
            places[name].append(part)
    doubled = [
        f"{name} in {' and '.join(parts)}" for name, parts in places.items() if len(parts) > 1
    ]
    for group in groups:
        parts = {part for name in group for part in places.get(name, ())}
        if len(parts) > 1:
            doubled.append(" with ".join(f"{n} in {places[n][0]}" for n in group if n in places))
    if doubled:
        raise UnreadableInput(
            found=f"a patient in two parts of {path.name}: {'; '.join(doubled[:5])}",
            wanted="all scans of a patient in one part",
            advice=ADVICE,
        )

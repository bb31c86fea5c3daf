"""Splits go by patient, repeat by their seed, and no leak gets past reading."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from training.data.cases import LabelledCase
from training.data.made_sources import MadeGrid, MadeTorso
from training.data.splits import Split, hold_out, k_fold, read_split, split_problems, write_split

GRID = MadeGrid(spacing_mm=(9.0, 9.0, 9.0), shape_rc=(64, 64))


def cases(scans: Sequence[int]) -> list[LabelledCase]:
    """So many scans of each patient."""
    return [
        LabelledCase(
            name=f"scan-{patient:03d}-{number}",
            patient=f"secret-{patient}",
            source=MadeTorso(seed=0, grid=GRID),
        )
        for patient, count in enumerate(scans)
        for number in range(count)
    ]


def patients_by_part(split: Split) -> list[set[str]]:
    return [{name[:8] for name in names} for names in split.parts.values()]


@settings(max_examples=60, deadline=None)
@given(
    scans=st.lists(st.integers(1, 4), min_size=5, max_size=40),
    folds=st.integers(2, 4),
    seed=st.integers(0, 10_000),
)
def test_no_patient_is_in_two_folds_and_every_case_is_in_one(
    scans: list[int], folds: int, seed: int
) -> None:
    everyone = cases(scans)

    split = k_fold(everyone, folds, seed=seed, test_share=0.2)
    parts = patients_by_part(split)

    assert sorted(n for names in split.parts.values() for n in names) == [c.name for c in everyone]
    assert sum(map(len, parts)) == len(scans)
    assert not list(split_problems(split, everyone))


def test_folds_are_even_where_patients_allow() -> None:
    sizes = [len(names) for names in k_fold(cases([1] * 23), 5, seed=1).parts.values()]

    assert sorted(sizes) == [4, 4, 5, 5, 5]


def test_every_fold_is_kept_back_once() -> None:
    everyone = cases([1, 2, 3, 1, 1, 2])
    split = k_fold(everyone, 3, seed=4)

    kept = [name for fold in range(split.folds) for name in split.validation(fold)]

    assert sorted(kept) == [case.name for case in everyone]
    for fold in range(3):
        assert not set(split.training(fold)) & set(split.validation(fold))
        assert len(split.training(fold)) + len(split.validation(fold)) == len(everyone)


def test_the_same_seed_gives_the_same_split_whatever_the_order() -> None:
    everyone = cases([2] * 10)

    assert k_fold(everyone, 5, seed=7) == k_fold(everyone[::-1], 5, seed=7)
    assert k_fold(everyone, 5, seed=7).parts != k_fold(everyone, 5, seed=8).parts


def test_a_hold_out_has_the_shares_asked_for() -> None:
    split = hold_out(cases([1] * 50), seed=1, validation_share=0.2, test_share=0.1)

    assert [len(split.parts[p]) for p in ("train", "validation", "test")] == [35, 10, 5]


@pytest.mark.parametrize("folds", [0, 1, 4])
def test_folds_without_patients_are_refused(folds: int) -> None:
    with pytest.raises(ConfigurationInvalid, match="folds of 3 patients"):
        k_fold(cases([2, 2, 2]), folds, seed=1)


def test_a_split_comes_back_from_its_file_without_any_patients_identity(tmp_path: Path) -> None:
    everyone = cases([1, 3, 2, 1, 1])
    split = k_fold(everyone, 2, seed=3, test_share=0.2)
    path = tmp_path / "sub/split.json"

    write_split(split, everyone, path)

    assert read_split(path) == split
    assert "secret" not in path.read_text()


def leaked(path: Path, into: str) -> str:
    """Move one of several scans of a patient to another part; gives its name."""
    content = json.loads(path.read_text())
    moved: str = content["patients_with_several_scans"][0][0]
    for names in content["parts"].values():
        if moved in names:
            names.remove(moved)
    content["parts"][into].append(moved)
    path.write_text(json.dumps(content))
    return moved


def test_a_patient_in_two_parts_is_refused_by_the_names_of_his_cases(tmp_path: Path) -> None:
    everyone = cases([2, 1, 1, 1])
    split = hold_out(everyone, seed=1, validation_share=0.25)
    path = tmp_path / "split.json"
    write_split(split, everyone, path)
    where = next(part for part, names in split.parts.items() if "scan-000-0" in names)

    moved = leaked(path, "validation" if where == "train" else "train")

    with pytest.raises(UnreadableInput, match="a patient in two parts") as refused:
        read_split(path)
    assert moved in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_case_in_two_parts_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "split.json"
    content = {
        "form": 1,
        "seed": 0,
        "parts": {"train": ["a", "b"], "validation": ["b"]},
        "patients_with_several_scans": [],
    }
    path.write_text(json.dumps(content))

    with pytest.raises(UnreadableInput, match="b in train and validation"):
        read_split(path)


def test_a_leak_that_only_the_data_shows_is_found() -> None:
    everyone = cases([2, 1])
    split = Split(seed=0, parts={"train": ("scan-000-0", "scan-001-0"), "test": ("scan-000-1",)})

    (problem,) = split_problems(split, everyone)

    assert problem.is_error
    assert "scan-000-0 in train, scan-000-1 in test" in problem.found
    assert "secret" not in str(problem)


def test_cases_of_other_data_are_named() -> None:
    split = Split(seed=0, parts={"train": ("scan-000-0", "gone"), "validation": ()})

    found = {p.case: p.is_error for p in split_problems(split, cases([1, 1]))}

    assert found == {"gone": True, "scan-001-0": False}


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"form": 2}', '{"form": 1, "seed": 1, "parts": 3}', "\x00"]
)
def test_a_file_that_is_no_split_is_refused(content: str, tmp_path: Path) -> None:
    (tmp_path / "split.json").write_text(content)

    with pytest.raises(UnreadableInput, match="no split"):
        read_split(tmp_path / "split.json")

"""What a training is given: checked cases, split by patient, or a sentence that says why not."""

from pathlib import Path

import numpy as np
import pytest

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.domain.labelmap import Structure
from tests.unit.training.data.tiny import write_btcv, write_flare22
from training.data.layouts.registry import find_cases, layout_named
from training.data.opened import OpenedData, open_data
from training.data.splits import k_fold, write_split
from training.label_names import L3, OUR_NUMBERS
from training.source import Source

TORSO = "cases = 1\nspacing_mm = [10.0, 10.0, 10.0]\nrows_columns = [44, 52]\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_flare22(tmp_path, cases=5)


def opened(source: Source, wanted: tuple[str, ...] = ("liver",)) -> OpenedData:
    return open_data(source, seed=1, validation_share=0.2, wanted=wanted)


def test_a_fifth_of_the_patients_is_kept_back_where_no_split_is_named(folder: Path) -> None:
    data = opened(Source(folder=folder))

    names = [case.name for case in (*data.training, *data.validation)]
    assert (len(data.training), len(data.validation), data.test) == (4, 1, ())
    assert len(set(names)) == 5
    assert "4 scans of 4 patients, 1 others" in data.described()


def test_a_fold_is_kept_back_and_one_that_is_none_is_refused(folder: Path) -> None:
    cases = find_cases(folder, layout_named("flare22")).cases
    path = folder / "split.json"
    split = k_fold(cases, 2, seed=3)
    write_split(split, cases, path)

    data = opened(Source(folder=folder, split=path, fold=1))
    assert {case.name for case in data.validation} == set(split.parts["fold-1"])
    with pytest.raises(ConfigurationInvalid, match="found fold None; wanted one of 0, 1"):
        opened(Source(folder=folder, split=path))


def test_labels_that_the_data_lack_are_named(tmp_path: Path) -> None:
    folder = write_btcv(tmp_path)
    with pytest.raises(ConfigurationInvalid, match="without labels of duodenum"):
        opened(Source(folder=folder), (Structure.DUODENUM.value,))


def test_a_patient_in_two_parts_stops_it(folder: Path) -> None:
    cases = find_cases(folder, layout_named("flare22")).cases
    path = folder / "split.json"
    write_split(k_fold(cases, 2, seed=3), cases, path)
    first = cases[0].name
    text = path.read_text()
    path.write_text(
        text.replace('"fold-1": [', f'"fold-1": ["{first}", ', 1).replace(
            '"fold-0": [', f'"fold-0": ["{first}", ', 1
        )
    )

    with pytest.raises(UnreadableInput, match="in two parts"):
        opened(Source(folder=folder, split=path, fold=0))


def test_made_torsos_say_where_l3_is(tmp_path: Path) -> None:
    (tmp_path / "synthetic.toml").write_text(TORSO, encoding="utf-8")
    case = find_cases(tmp_path, layout_named("synthetic")).cases[0]

    labels = case.read().labels

    shown = np.flatnonzero((labels == OUR_NUMBERS[L3]).any(axis=(1, 2)))
    assert 2 <= len(shown) <= 4
    assert list(shown) == list(range(shown[0], shown[-1] + 1))

"""What habitus warm built is found again by all it depends on, and by nothing else."""

import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from inference.engine.answers_compared import Difference
from inference.engine.built import (
    PROOF_NAME,
    Built,
    Precision,
    Surroundings,
    built_in,
    fresh_folder,
    key_of,
    write_proof,
)
from inference.engine.provider_options import CUDA, TENSORRT

HERE = Surroundings(onnxruntime="1.31.1", tensorrt="10.16.1", gpu="NVIDIA H200", driver="580.65.06")
MODEL = "a" * 64
CLOSE = Difference(precision="reduced", max_abs_error=0.05, span=10.0, agreement=0.9999)
MOST = 0.01


def kept(root: Path, precision: Precision = Precision.REDUCED, told: Difference = CLOSE) -> Path:
    folder = fresh_folder(root, key_of(TENSORRT, MODEL, HERE))
    (folder / "habitus_1.engine").write_bytes(b"engine")
    (folder / "sm90.timing").write_bytes(b"times")
    write_proof(folder, precision, [told])
    return folder


@pytest.mark.parametrize(
    "other",
    [
        key_of("CUDAExecutionProvider", MODEL, HERE),
        key_of(TENSORRT, "b" * 64, HERE),
        *(
            key_of(TENSORRT, MODEL, replace(HERE, **{field: "other"}))
            for field in ("onnxruntime", "tensorrt", "gpu", "driver")
        ),
    ],
)
def test_another_of_anything_is_another_folder(other: str) -> None:
    assert other != key_of(TENSORRT, MODEL, HERE)


def test_what_was_proven_of_cuda_does_not_depend_on_tensorrt() -> None:
    bare = replace(HERE, tensorrt="")

    assert key_of(CUDA, MODEL, bare) == key_of(CUDA, MODEL, HERE)


def test_no_name_of_a_device_becomes_part_of_a_path() -> None:
    key = key_of(TENSORRT, "../../x", replace(HERE, gpu="../../etc", driver="/"))

    assert set(key) <= set("0123456789abcdef")
    assert len(key) == 32


def test_what_was_built_is_found_with_its_precision(tmp_path: Path) -> None:
    folder = kept(tmp_path / "data" / "built")

    assert built_in(folder, MOST) == Built(folder=folder, precision=Precision.REDUCED)


def test_folders_are_closed_to_everybody_else(tmp_path: Path) -> None:
    (tmp_path / "built").mkdir(mode=0o755)
    kept(tmp_path / "built")
    kept(tmp_path / "data" / "built")

    made = [path for path in tmp_path.rglob("*") if path.is_dir()]
    assert len(made) == 5
    assert {stat.S_IMODE(path.stat().st_mode) for path in made} == {0o700}


@pytest.mark.parametrize("mode", [0o770, 0o707])
def test_an_engine_from_where_others_may_put_one_is_none(mode: int, tmp_path: Path) -> None:
    folder = kept(tmp_path)
    folder.chmod(mode)

    assert built_in(folder, MOST) is None


def _changed(folder: Path) -> None:
    (folder / "habitus_1.engine").write_bytes(b"Engine")


def _gone(folder: Path) -> None:
    (folder / "habitus_1.engine").unlink()


def _another(folder: Path) -> None:
    (folder / "habitus_2.engine").write_bytes(b"engine")


def _half(folder: Path) -> None:
    (folder / PROOF_NAME).write_text((folder / PROOF_NAME).read_text()[:40])


def _empty(folder: Path) -> None:
    told = json.loads((folder / PROOF_NAME).read_text())
    (folder / PROOF_NAME).write_text(json.dumps(told | {"differences": []}))


def _newer(folder: Path) -> None:
    told = json.loads((folder / PROOF_NAME).read_text())
    (folder / PROOF_NAME).write_text(json.dumps(told | {"schema": 2}))


def _list(folder: Path) -> None:
    (folder / PROOF_NAME).write_text("[]")


@pytest.mark.parametrize("damage", [_changed, _gone, _another, _half, _empty, _newer, _list])
def test_what_is_not_as_it_was_left_is_not_there(damage: "object", tmp_path: Path) -> None:
    folder = kept(tmp_path)
    assert callable(damage)
    damage(folder)

    assert built_in(folder, MOST) is None


def test_a_new_try_takes_the_proof_away_first_and_keeps_the_times(tmp_path: Path) -> None:
    folder = kept(tmp_path)

    assert fresh_folder(tmp_path, folder.name) == folder
    assert built_in(folder, MOST) is None
    assert [path.name for path in folder.iterdir()] == ["sm90.timing"]


def test_a_site_that_wants_it_more_exactly_than_it_was_proven_has_nothing(tmp_path: Path) -> None:
    assert built_in(kept(tmp_path), 0.004) is None


@pytest.mark.parametrize("error", [float("nan"), float("inf"), 0.2])
def test_an_answer_that_is_too_far_off_or_no_number_is_not_within(error: float) -> None:
    assert not replace(CLOSE, max_abs_error=error).is_within(MOST)


def test_decisions_that_turn_are_not_within() -> None:
    assert CLOSE.is_within(MOST)
    assert not replace(CLOSE, agreement=0.998).is_within(MOST)


def test_what_was_found_unfit_stays_known(tmp_path: Path) -> None:
    folder = kept(tmp_path, Precision.UNFIT, replace(CLOSE, max_abs_error=9.0))

    assert built_in(folder, MOST) == Built(folder=folder, precision=Precision.UNFIT)

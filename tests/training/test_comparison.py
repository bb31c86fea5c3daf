"""Configurations compared, tried until a gate holds, and what came out shown."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

from PIL import Image

from tests.unit.training.data import tiny
from training.__main__ import main
from training.checkpoint_header import read_history
from training.comparison.organ_chart import organ_scores
from training.comparison.tissue_pictures import NAMES
from training.specification import CHECKPOINT_NAME

pytestmark = pytest.mark.torch
CONFIGS = Path(__file__).parents[2] / "training" / "configs" / "small"


def written(folder: Path, recipe: str, name: str, changes: dict[str, str]) -> Path:
    """A small configuration with other values."""
    lines = []
    for line in (CONFIGS / f"{recipe}.toml").read_text().splitlines():
        key = line.partition(" = ")[0]
        lines.append(f"{key} = {changes[key]}" if key in changes else line)
    path = folder / f"{name}.toml"
    path.write_text("\n".join(lines))
    return path


@pytest.fixture
def configs(tmp_path: Path) -> list[Path]:
    """Two residual networks that train in a second."""
    tiny_values = {
        "input_shape": "[8, 16, 24]",
        "spacing_mm": "[8.0, 10.0, 10.0]",
        "network": "{ classes = 14, widths = [4, 8] }",
        "validation_share": "0.34",
        "epochs": "1",
        "patches_per_scan": "1",
    }
    return [
        written(tmp_path, "residual_organs", name, tiny_values | {"name": f'"{name}"'})
        for name in ("first", "second")
    ]


@pytest.fixture
def cases(tmp_path: Path) -> Path:
    return tiny.write_flare22(tmp_path / "data")


def asked(command: str, configs: Sequence[Path], cases: Path, out: Path, *more: str) -> int:
    return main([command, *map(str, configs), "--data", str(cases), "--out", str(out), *more])


def test_a_comparison_leaves_a_row_per_configuration_and_trains_none_twice(
    configs: list[Path], cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, page = tmp_path / "out", tmp_path / "page.md"
    assert asked("compare", configs, cases, out, "--page", str(page), "--note", "Boxes.") == 0
    first = [path.stat().st_mtime_ns for path in sorted((out / "first").glob("*.safetensors"))]
    capsys.readouterr()

    assert asked("compare", configs, cases, out, "--gate", "dice_mean=2") == 1

    rows = json.loads((out / "table.json").read_text())
    assert [row["name"] for row in rows] == ["first", "second"]
    assert [row["gate_holds"] for row in rows] == [False, False]
    kept = [path.stat().st_mtime_ns for path in sorted((out / "first").glob("*.safetensors"))]
    assert kept == first
    assert "| second |" in capsys.readouterr().out
    assert "Boxes." in page.read_text()
    assert str(tmp_path / "out") not in page.read_text()


def test_until_ends_with_the_first_configuration_that_passes(
    configs: list[Path], cases: Path, tmp_path: Path
) -> None:
    assert asked("until", configs, cases, tmp_path / "low", "--gate", "dice_mean=0") == 0
    assert not (tmp_path / "low" / "second").exists()

    assert asked("until", configs, cases, tmp_path / "high", "--gate", "dice_mean=2") == 1
    assert (tmp_path / "high" / "second" / CHECKPOINT_NAME).is_file()


def test_two_configurations_of_one_name_are_refused(
    configs: list[Path], cases: Path, tmp_path: Path
) -> None:
    assert asked("compare", [configs[0], configs[0]], cases, tmp_path / "out") == 2


def test_a_chart_names_the_weak_organs(
    configs: list[Path], cases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked("compare", configs[:1], cases, tmp_path / "out")
    checkpoint = tmp_path / "out" / "first" / CHECKPOINT_NAME
    capsys.readouterr()

    assert main(["chart", str(checkpoint), "--out", str(tmp_path / "chart.png")]) == 0

    scores = organ_scores(checkpoint)
    assert scores.mean == pytest.approx(read_history(checkpoint).metrics["dice_mean"])
    weak = scores.weak(0.8)
    assert weak == sorted(weak, key=lambda organ: scores.dice[organ])
    said = capsys.readouterr().out
    assert all(organ in said for organ in weak)
    with Image.open(tmp_path / "chart.png") as image:
        assert min(image.size) > 300


def test_five_pictures_of_a_slice_are_written(
    tissue_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    values = {
        "input_shape": "[32, 32]",
        "spacing_mm": "[10.0, 10.0]",
        "epochs": "1",
        "network": '{ encoder = "plain", first_width = 4, decoder_widths = [16, 12, 8, 8] }',
    }
    config = written(tmp_path, "tissue_windows_plain", "tissue", values)
    assert asked("compare", [config], tissue_folder, tmp_path / "out") == 0
    checkpoint = tmp_path / "out" / "tissue-plain" / CHECKPOINT_NAME

    order = ["pictures", str(checkpoint), "--data", str(tissue_folder)]
    assert main([*order, "--out", str(tmp_path / "pictures"), "--note", "Boxes."]) == 0
    assert main([*order, "--out", str(tmp_path / "pictures"), "--case", "nobody"]) == 2

    made = {path.name for path in (tmp_path / "pictures").iterdir()}
    assert made == {f"{name}.png" for name in (*NAMES, "five")}

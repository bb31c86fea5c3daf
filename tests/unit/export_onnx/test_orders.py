"""What may be exported; no torch is needed to refuse."""

import subprocess
import sys
from pathlib import Path

import pytest

from export_onnx.__main__ import main
from export_onnx.orders import known_export, new_export, replacing_export
from inference.domain.errors import ConfigurationInvalid

CHECKPOINT = Path("runs/organs/checkpoint.safetensors")


def test_a_folder_without_a_manifest_says_how_to_restore_it(tmp_path: Path) -> None:
    (tmp_path / "organs").mkdir()

    with pytest.raises(ConfigurationInvalid, match="git checkout -- models/organs"):
        known_export(tmp_path / "organs")


@pytest.mark.parametrize("name", ["", "Organs", "../organs", ".organs", "a/b", "x" * 65])
def test_a_name_that_is_no_folder_name_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="model name"):
        new_export(name, "0.1.0", CHECKPOINT, tmp_path)


def test_a_taken_name_is_refused_unless_replaced_on_purpose(tmp_path: Path) -> None:
    (tmp_path / "organs").mkdir()

    with pytest.raises(ConfigurationInvalid, match="--replace"):
        new_export("organs", "0.1.0", CHECKPOINT, tmp_path)
    assert replacing_export("organs", "0.1.0", CHECKPOINT, tmp_path).folder == tmp_path / "organs"


@pytest.mark.parametrize(
    "arguments",
    [
        ["--model", "organs"],
        ["--checkpoint", "x.safetensors"],
        ["organs", "--model", "organs", "--checkpoint", "x.safetensors"],
    ],
)
def test_half_an_order_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    status = main(arguments)

    assert status == ConfigurationInvalid.exit_status
    assert "half an order" in capsys.readouterr().err


def test_an_empty_models_folder_says_how_to_fill_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status = main(["--models-folder", str(tmp_path)])

    assert status == ConfigurationInvalid.exit_status
    assert "python -m training all" in capsys.readouterr().err


def test_help_shows_examples_without_torch() -> None:
    asked = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "export_onnx", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert "python -m export_onnx --model my-organs" in asked.stdout
    assert " torch\n" not in asked.stderr

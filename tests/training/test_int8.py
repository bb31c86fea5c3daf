"""Eight bits: the right convolutions, close answers, and nothing offered without the gate."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from export_onnx.export import export_network
from export_onnx.int8 import main, quantise
from export_onnx.int8_gate import LARGEST_DROP, LEAST_CASES, GateOutcome, gate_table
from inference.domain.manifest import load_manifest, manifest_to_json
from inference.engine.model_store import SHIPPED_MODELS
from tests.unit.inference.nnunet.test_recipe_in_manifest import RECIPE

SHAPE = (1, 1, 8, 8, 8)


def outcome(drop: float, cases: int = LEAST_CASES) -> GateOutcome:
    pairs = [(0.9, 0.9 - drop), (0.7, 0.7 - drop)]
    return GateOutcome(
        dice={"liver": [(0.9, 0.95)], "spleen": pairs}, patch_s=(2.0, 1.0), cases=cases
    )


def test_all_convolutions_but_the_first_and_the_last_are_in_eight_bits(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv3d(1, 6, 3, padding=1),
        nn.LeakyReLU(),
        nn.Conv3d(6, 6, 3, padding=1),
        nn.LeakyReLU(),
        nn.Conv3d(6, 3, 1),
    ).eval()
    export_network(network, SHAPE, tmp_path / "full.onnx")
    rng = np.random.default_rng(0)
    patches = [rng.normal(size=SHAPE).astype(np.float32) for _ in range(4)]

    quantise(tmp_path / "full.onnx", tmp_path / "small.onnx", iter(patches[:3]))

    small = onnx.load(str(tmp_path / "small.onnx"))
    made_by = {output: node.op_type for node in small.graph.node for output in node.output}
    sources = [made_by.get(n.input[0]) for n in small.graph.node if n.op_type == "Conv"]
    assert [source == "DequantizeLinear" for source in sources] == [False, True, False]
    full_answer, small_answer = (
        onnxruntime.InferenceSession(str(tmp_path / name)).run(None, {"image": patches[3]})[0]
        for name in ("full.onnx", "small.onnx")
    )
    error = np.abs(full_answer - small_answer).max()
    assert 0 < error < 0.05 * np.ptp(full_answer)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["full.onnx", "small.onnx"]


def test_the_gate_is_about_the_organ_that_loses_most() -> None:
    assert outcome(LARGEST_DROP - 1e-9).holds
    assert not outcome(LARGEST_DROP + 1e-6).holds
    assert outcome(0.02).worst == pytest.approx(0.02)
    assert not outcome(0.0, cases=LEAST_CASES - 1).holds
    assert "| spleen | 2 | 0.8000 | 0.7800 | +0.0200 **too much** |" in gate_table(outcome(0.02))
    assert "| liver | 1 | 0.9000 | 0.9500 | -0.0500 |" in gate_table(outcome(0.02))


def test_without_enough_cases_a_table_is_printed_and_nothing_offered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(SHIPPED_MODELS / "organs", tmp_path / "organs")
    page = tmp_path / "int8.md"

    command = ["organs", "--models", str(tmp_path), "--cases", "1", "--calibration", "1"]
    status = main([*command, "--out", str(page)])

    assert status == 1
    assert not (tmp_path / "organs-int8").exists()
    assert "| liver | 1 |" in page.read_text(encoding="utf-8")
    assert "The gate is missed: nothing is offered" in capsys.readouterr().out


def test_a_name_that_is_taken_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "organs-int8").mkdir()

    assert main(["organs", "--models", str(tmp_path)]) == 2
    assert "--replace" in capsys.readouterr().err


def test_networks_of_others_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = shutil.copytree(SHIPPED_MODELS / "organs", tmp_path / "organs")
    manifest = load_manifest(folder)
    shape = manifest.input.shape
    recipe = replace(RECIPE, patch=shape[2:], channels=len(manifest.output.labels))
    (folder / "manifest.json").write_text(manifest_to_json(replace(manifest, recipe=recipe)))

    assert main(["organs", "--models", str(tmp_path)]) == 2
    assert "nnU-Net trained" in capsys.readouterr().err

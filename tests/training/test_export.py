"""Export: parity is proven before anything stands in models/, and a failure leaves nothing."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import onnxruntime
import torch

from export_onnx import package, parity
from export_onnx.__main__ import main
from export_onnx.export import export as real_export
from export_onnx.orders import known_export, new_export, replacing_export
from export_onnx.package import make_model
from export_onnx.wrappers import exportable
from inference.domain.errors import InferenceFailed, ModelUnusable
from inference.domain.manifest import load_manifest, sha256_of
from inference.domain.volume import Volume, affine_from_axes
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.checkpoint_header import History
from training.config import TrainConfig
from training.networks.registry import build_network
from training.specification import CHECKPOINT_NAME, specification

pytestmark = pytest.mark.torch
TASKS = ("l3-level", "l3-spine", "l3-tissue", "organs")
FILES = {"README.md", CHECKPOINT_NAME, "manifest.json", "model.onnx"}
HISTORY = History(
    step=7,
    elapsed_s=1.5,
    code_revision="abc",
    training_data="boxes",
    metrics={"dice_mean": 0.5},
)


@pytest.fixture(scope="session")
def slab() -> Volume:
    """A dense block in air, 3 mm."""
    hu = np.full((60, 70, 80), -1000, np.int16)
    hu[:, 15:55, 12:70] = 40
    hu[:, 40:50, 36:46] = 600
    affine = affine_from_axes((-120.0, -105.0, -90.0), np.eye(3)[::-1], (3.0, 3.0, 3.0))
    return Volume(hu=hu, affine_lps=affine)


@pytest.fixture(scope="session")
def checkpoints(
    tiny_configs: dict[str, TrainConfig], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Path]:
    """One untrained checkpoint per task."""
    folder = tmp_path_factory.mktemp("checkpoints")
    torch.manual_seed(0)
    for task, config in tiny_configs.items():
        network = build_network(specification(task).network, config.network)
        save_checkpoint(network.state_dict(), config, HISTORY, folder / f"{task}.safetensors")
    return {task: folder / f"{task}.safetensors" for task in tiny_configs}


@pytest.fixture(scope="session")
def exported(
    checkpoints: dict[str, Path], slab: Volume, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A models folder with all three, made once; tests that change it take a copy."""
    models = tmp_path_factory.mktemp("models")
    for task, checkpoint in checkpoints.items():
        make_model(new_export(task, "0.1.0", checkpoint, models), slab)
    return models


@pytest.fixture
def models(exported: Path, tmp_path: Path) -> Path:
    """A copy of the exported models."""
    return shutil.copytree(exported, tmp_path / "models")


@pytest.mark.parametrize("task", TASKS)
def test_an_export_is_whole_and_agrees_with_its_network(
    task: str, checkpoints: dict[str, Path], exported: Path
) -> None:
    manifest = load_manifest(exported / task)

    assert {path.name for path in (exported / task).iterdir()} == FILES
    assert set(manifest.parity.max_abs_error) == {"slab", "noise", "air"}
    assert max(manifest.parity.max_abs_error.values()) < 1e-4
    assert manifest.checkpoint_sha256 == sha256_of(checkpoints[task])
    assert {path.name for path in exported.iterdir()} == set(TASKS)


@pytest.mark.parametrize("task", TASKS)
def test_several_examples_at_once_give_what_each_gives_alone(task: str, exported: Path) -> None:
    manifest = load_manifest(exported / task)
    session = onnxruntime.InferenceSession(
        str(exported / task / "model.onnx"), providers=["CPUExecutionProvider"]
    )
    shape = (3, *manifest.input.shape[1:])
    batch = np.random.default_rng(0).normal(size=shape).astype(np.float32)

    together = session.run(None, {manifest.input.name: batch})[0]

    alone = [session.run(None, {manifest.input.name: one[None]})[0][0] for one in batch]
    np.testing.assert_allclose(together, np.stack(alone), atol=1e-4)


def test_exporting_again_gives_the_same_bytes(models: Path, slab: Volume) -> None:
    first = load_manifest(models / "organs")

    second = make_model(known_export(models / "organs"), slab)

    assert second == first


@pytest.mark.parametrize("task", TASKS)
def test_an_onnx_file_names_no_folder_of_the_machine(task: str, exported: Path) -> None:
    content = (exported / task / "model.onnx").read_bytes()

    assert b"networks.py" not in content


def test_another_checkpoint_gets_a_card_of_its_own(
    checkpoints: dict[str, Path], models: Path, slab: Volume
) -> None:
    make_model(replacing_export("organs", "0.2.0", checkpoints["l3-tissue"], models), slab)

    assert "# organs 0.2.0" in (models / "organs" / "README.md").read_text()


def wrong_by(amount: float) -> Callable[[Checkpoint, Path], None]:
    """An exporter that changes the last bias."""

    def export(checkpoint: Checkpoint, path: Path) -> None:
        network = copy.deepcopy(checkpoint.network)
        with torch.no_grad():
            list(network.parameters())[-1].add_(amount)
        real_export(replace(checkpoint, network=network), path)

    return export


@pytest.mark.parametrize("task", TASKS)
def test_without_parity_a_standing_model_is_untouched_and_nothing_else_stays(
    task: str, models: Path, slab: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    manifest = load_manifest(models / task)
    monkeypatch.setattr(package, "export", wrong_by(0.002))

    with pytest.raises(InferenceFailed, match="Nothing was written"):
        make_model(known_export(models / task), slab)

    assert load_manifest(models / task) == manifest
    assert {path.name for path in models.iterdir()} == set(TASKS)


@pytest.mark.parametrize("amount", [0.002, float("nan")])
def test_without_parity_a_new_model_does_not_appear(
    amount: float,
    checkpoints: dict[str, Path],
    tmp_path: Path,
    slab: Volume,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(package, "export", wrong_by(amount))

    with pytest.raises(InferenceFailed):
        make_model(new_export("organs", "0.1.0", checkpoints["organs"], tmp_path), slab)

    assert list(tmp_path.iterdir()) == []


def scaled(checkpoint: Path, factor: float, folder: Path) -> Path:
    """A checkpoint whose logits are so many times larger."""
    loaded = load_checkpoint(checkpoint)
    state = loaded.network.state_dict()
    for name in list(state)[-2:]:
        state[name] = state[name] * factor
    save_checkpoint(state, loaded.config, HISTORY, folder / "scaled.safetensors")
    return folder / "scaled.safetensors"


def test_larger_logits_may_differ_by_more(
    checkpoints: dict[str, Path],
    exported: Path,
    tmp_path: Path,
    slab: Volume,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(package, "export", wrong_by(0.002))
    checkpoint = scaled(checkpoints["organs"], 1000.0, tmp_path)

    manifest = make_model(new_export("organs", "0.1.0", checkpoint, tmp_path / "models"), slab)

    plain = load_manifest(exported / "organs").parity.tolerance_max_abs
    assert manifest.parity.tolerance_max_abs == pytest.approx(1000 * plain, rel=1e-3)
    assert manifest.parity.max_abs_error["slab"] > 0.0015


def test_the_tolerance_is_a_share_of_what_the_logits_span_on_the_ct(
    checkpoints: dict[str, Path], exported: Path, slab: Volume
) -> None:
    checkpoint = load_checkpoint(checkpoints["l3-tissue"])
    image = parity.parity_inputs(checkpoint.config, slab)["slab"]

    with torch.inference_mode():
        logits = checkpoint.network(torch.from_numpy(image))

    span = float(logits.max() - logits.min())
    tolerance = load_manifest(exported / "l3-tissue").parity.tolerance_max_abs
    assert tolerance == pytest.approx(1e-4 * span, rel=1e-3)


def test_logits_that_are_no_numbers_are_refused(
    checkpoints: dict[str, Path], tmp_path: Path, slab: Volume, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = load_checkpoint(checkpoints["organs"])
    with torch.no_grad():
        list(loaded.network.parameters())[-1][0] = float("inf")
    monkeypatch.setattr(package, "load_checkpoint", lambda path: loaded)

    with pytest.raises(InferenceFailed, match="not finite"):
        make_model(new_export("organs", "0.1.0", checkpoints["organs"], tmp_path / "m"), slab)


def test_a_swapped_class_is_no_agreement() -> None:
    logits = np.zeros((1, 3, 2, 2), np.float32)
    logits[:, 1] = 1.0
    other = logits.copy()
    other[0, :, 0, 0] = [2.0, 0.0, 0.0]

    assert parity.agreement(logits, logits, 1) == 1.0
    assert parity.agreement(other, logits, 1) == 0.75


@pytest.mark.parametrize("position", [0, 200, -1])
def test_every_byte_of_a_checkpoint_counts(
    position: int, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = models / "organs" / CHECKPOINT_NAME
    content = bytearray(path.read_bytes())
    content[position] ^= 1
    path.write_bytes(content)

    status = main(["--models-folder", str(models)])

    assert status == ModelUnusable.exit_status
    assert "git checkout -- models/organs" in capsys.readouterr().err


def test_staged_norms_leave_the_network_and_its_output_alone(checkpoints: dict[str, Path]) -> None:
    network = load_checkpoint(checkpoints["organs"]).network
    image = torch.randn(1, 1, 32, 32, 32)

    with torch.inference_mode():
        before, staged, after = network(image), exportable(network)(image), network(image)

    assert torch.allclose(before, staged, atol=1e-4)
    assert torch.equal(before, after)
    assert "InstanceNorm3d" not in {type(m).__name__ for m in exportable(network).modules()}

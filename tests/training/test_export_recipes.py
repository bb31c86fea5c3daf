"""What new recipes leave is a model of a task that the node has, and the node's own stages run it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from export_onnx.card import CARD_NAME
from export_onnx.orders import new_export
from export_onnx.package import make_model
from inference.domain.errors import ModelUnusable
from inference.domain.labelmap import Structure
from inference.domain.manifest import load_manifest
from inference.domain.volume import Volume, affine_from_axes
from inference.engine.model_store import load_predictor
from inference.segment_organs import segment_organs
from inference.stages.segment_tissue import raw_compartments
from training.checkpoint import save_checkpoint
from training.checkpoint_header import History
from training.config import load_config
from training.networks.registry import build_network
from training.specification import LABEL_SETS

pytestmark = pytest.mark.torch
CONFIGS = Path(__file__).parents[2] / "training" / "configs" / "small"
HISTORY = History(
    step=1, elapsed_s=1.0, code_revision="abc", training_data="boxes", metrics={"dice_mean": 0.5}
)


@pytest.fixture(scope="module")
def block() -> Volume:
    """A dense block in air, 5 mm."""
    hu = np.full((24, 40, 44), -1000, np.int16)
    hu[:, 8:32, 8:36] = 40
    affine = affine_from_axes((-110.0, -100.0, -60.0), np.eye(3)[::-1], (5.0, 5.0, 5.0))
    return Volume(hu=hu, affine_lps=affine)


def exported(
    recipe: str, folder: Path, slab: Volume, *, waived: bool = True, **changes: Any
) -> Path:
    """An untrained network of a recipe as a model folder; returns the folder of models."""
    config = replace(load_config(CONFIGS / f"{recipe}.toml"), name="mine", **changes)
    torch.manual_seed(0)
    network = build_network(config.specification.network, config.network)
    save_checkpoint(network.state_dict(), config, HISTORY, folder / "checkpoint.safetensors")
    checkpoint, models = folder / "checkpoint.safetensors", folder / "models"
    make_model(new_export("mine", "0.1.0", checkpoint, models, may_miss_gate=waived), slab)
    return folder / "models"


def test_a_residual_network_of_slices_is_served_as_organs_in_its_label_set(
    block: Volume, tmp_path: Path
) -> None:
    models = exported(
        "residual_organ_slices",
        tmp_path,
        block,
        label_set="btcv",
        input_shape=(8, 32, 40),
        network={"classes": 14, "widths": [4, 8]},
    )

    predictor = load_predictor("mine", "organs", models)
    labels = segment_organs(block, predictor, (0.0,), lambda *_: None)

    assert tuple(labels.structures[n].value for n in range(1, 14)) == LABEL_SETS["btcv"]
    assert Structure.PORTAL_SPLENIC_VEIN in labels.structures.values()
    assert Structure.DUODENUM not in labels.structures.values()
    assert labels.labels.shape == block.shape


def test_a_tissue_network_of_any_encoder_is_served_as_the_nodes_own(
    block: Volume, tmp_path: Path
) -> None:
    models = exported(
        "tissue_windows_resnet50",
        tmp_path,
        block,
        input_shape=(64, 64),
        network={
            "encoder": "resnet50",
            "first_width": 4,
            "decoder_widths": [16, 12, 8, 8, 8],
        },
    )

    predictor = load_predictor("mine", "l3-tissue", models)

    assert predictor.manifest.input.hu_window == (-400.0, 400.0)
    assert raw_compartments(block, [5, 6], predictor).shape == block.shape


def test_a_network_below_its_release_gate_is_exported_only_on_request_and_is_known_by_it(
    block: Volume, tmp_path: Path
) -> None:
    with pytest.raises(
        ModelUnusable, match=r"no iou among its scores \(dice_mean\); wanted iou ≥ 0\.9"
    ):
        exported("tissue_windows_plain", tmp_path, block, waived=False)
    assert not (tmp_path / "models" / "mine").exists()

    folder = exported("tissue_windows_plain", tmp_path, block) / "mine"

    said = "BELOW ITS RELEASE GATE: no iou among its scores (dice_mean), wanted iou ≥ 0.9."
    assert said in load_manifest(folder).intended_use
    assert said in (folder / CARD_NAME).read_text(encoding="utf-8")


def test_a_network_at_its_gate_is_exported(block: Volume, tmp_path: Path) -> None:
    folder = exported(
        "tissue_windows_plain", tmp_path, block, waived=False, release_gate="dice_mean=0.5"
    )

    assert "GATE" not in load_manifest(folder / "mine").intended_use

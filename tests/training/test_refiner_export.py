"""A network with prompts on its way into the node: exported, proven, loaded, asked to redraw organs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from export_onnx.orders import Export
from export_onnx.package import make_model
from export_onnx.parity import synthetic_slab
from export_onnx.refiner_package import make_refiner, prove_refiner
from inference.domain.analysis_profile import Refinement, load_profile
from inference.domain.errors import ChecksumMismatch, ConfigurationInvalid, InferenceFailed
from inference.domain.labelmap import Structure
from inference.domain.refiner import DECODER_NAME
from inference.domain.volume import Volume
from inference.engine.acceleration import Acceleration
from inference.engine.model_store import SHIPPED_MODELS, load_refiner, verified_refiner
from inference.engine.onnx_refiner import OnnxRefiner
from inference.engine.onnx_session import session_of
from inference.engine.providers import CPU, Downgrade
from inference.engine.trial_networks import trial_networks
from inference.refine_organs import refine_organs
from tests.training.tiny_prompted import tiny_config
from tests.unit.inference.test_refine_organs import scene
from training.checkpoint import load_checkpoint, save_checkpoint
from training.checkpoint_header import History
from training.networks.registry import build_network

pytestmark = pytest.mark.torch
NAME = "tiny-refiner"


@pytest.fixture(scope="module")
def slab() -> Volume:
    """As the export takes it."""
    return synthetic_slab()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """HQ-SAM's shape, which gives two embeddings; weights large enough that masks differ."""
    config = tiny_config("sam_hq")
    torch.manual_seed(2)
    network = build_network("PromptedNet", config.network)
    with torch.no_grad():
        for weight in network.sam.mask_decoder.parameters():
            weight.normal_(0, 0.2)
    history = History(
        step=1, elapsed_s=0.0, code_revision="none", training_data="Nothing.", metrics={}
    )
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint.safetensors"
    save_checkpoint(network.state_dict(), config, history, path)
    return path


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory, checkpoint: Path, slab: Volume) -> Path:
    """A models folder with the exported network."""
    folder = tmp_path_factory.mktemp("models")
    order = Export(name=NAME, version="0.1.0", checkpoint=checkpoint, folder=folder / NAME)
    make_refiner(order, slab)
    return folder


def test_the_contract_is_written_and_parity_proven(models: Path) -> None:
    manifest = verified_refiner(NAME, models)
    assert manifest.embeddings == ("embedding_0", "embedding_1")
    assert manifest.structures == ("liver", "spleen")
    assert len(manifest.parity.max_abs_error) == 15
    assert max(manifest.parity.max_abs_error.values()) <= manifest.parity.tolerance_max_abs
    card = (models / NAME / "README.md").read_text(encoding="utf-8")
    assert all(line in card for line in manifest.contract)


def test_a_decoder_of_other_weights_is_no_parity(
    models: Path, checkpoint: Path, slab: Volume
) -> None:
    refiner = OnnxRefiner(models / NAME, verified_refiner(NAME, models))
    changed = load_checkpoint(checkpoint)
    with torch.no_grad():
        changed.network.sam.mask_decoder.iou_token.weight.add_(1.0)
        changed.network.sam.mask_decoder.mask_tokens.weight.add_(1.0)
    with pytest.raises(InferenceFailed, match="error"):
        prove_refiner(changed, refiner, slab)


def test_the_node_redraws_with_it_and_doubts_it(models: Path) -> None:
    refinement = Refinement(model=NAME, organs=("liver", "spleen"), least_dice=0.0)
    # No downgrade from OpenVINO: ONNX Runtime alone runs it.
    strict_about_engines = Acceleration(downgrade=Downgrade.FAIL)
    refiner = load_refiner(refinement, models, acceleration=strict_about_engines)
    upright, organs = scene()
    refined, outcomes = refine_organs(upright, organs, refiner, refinement, lambda _share: None)
    assert {outcome.structure for outcome in outcomes} == {Structure.LIVER, Structure.SPLEEN}
    assert (refined.labels != organs.labels).any()
    strict = replace(refinement, least_dice=1.0)
    kept, outcomes = refine_organs(upright, organs, refiner, strict, lambda _share: None)
    assert not any(outcome.is_taken for outcome in outcomes)
    assert (kept.labels == organs.labels).all()


def test_the_same_prompt_asked_of_torch_gives_the_same_mask(models: Path, checkpoint: Path) -> None:
    """Through the functions of training's evaluation and through the node's."""
    from training.sam.answers import slice_network

    refinement = Refinement(model=NAME, organs=("liver",), least_dice=0.0, margin_mm=1000.0)
    upright, organs = scene()
    liver = organs.mask(Structure.LIVER)
    alone = replace(organs, labels=np.where(liver, organs.labels, 0).astype(np.uint8))
    refiner = load_refiner(refinement, models)
    refined, _ = refine_organs(upright, alone, refiner, refinement, lambda _share: None)
    network = slice_network(load_checkpoint(checkpoint))
    answer = network.answer(upright.hu[3].astype(np.int16), (1.0, 1.0), {1: liver[3]})
    assert (answer[1] == refined.mask(Structure.LIVER)[3]).mean() > 0.999


def test_a_changed_byte_is_refused_and_a_baseline_is_not_exported(
    models: Path, tmp_path: Path, slab: Volume
) -> None:
    decoder = models / NAME / DECODER_NAME
    whole = decoder.read_bytes()
    decoder.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    with pytest.raises(ChecksumMismatch):
        verified_refiner(NAME, models)
    decoder.write_bytes(whole)
    config = tiny_config("slices_unet")
    network = build_network("PlaneUNet", config.network)
    history = History(step=1, elapsed_s=0.0, code_revision="", training_data="", metrics={})
    baseline = tmp_path / "baseline.safetensors"
    save_checkpoint(network.state_dict(), config, history, baseline)
    order = Export(name="mine", version="1", checkpoint=baseline, folder=tmp_path / "mine")
    with pytest.raises(ConfigurationInvalid, match="trained to be compared with"):
        make_model(order, slab)
    assert not order.folder.exists()


def test_both_networks_can_be_tried_on_an_accelerator(models: Path, tmp_path: Path) -> None:
    profile = load_profile("abdomen")
    for folder in (models / NAME, *(SHIPPED_MODELS / name for name in profile.models)):
        (tmp_path / folder.name).symlink_to(folder)
    refining = replace(profile, refine=Refinement(model=NAME, organs=("liver",)))

    *_, encoder, decoder = trial_networks(refining, tmp_path)

    for network, outputs in ((encoder, 2), (decoder, 1)):
        session = session_of(network.path, network.name, ((CPU, {}),))
        answers = session.run(list(network.outputs), dict(network.inputs))
        assert len(answers) == outputs
        assert all(np.ptp(one) > 0 for one in answers)
    assert encoder.sha256 != decoder.sha256

"""OpenVINO gives ONNX Runtime's answers, and refuses what it refuses."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from inference.domain.errors import InferenceFailed, ModelUnusable
from inference.engine.model_store import (
    SHIPPED_MODELS,
    load_predictor,
    model_names,
    verified_manifest,
)
from inference.engine.openvino_predictor import OpenVinoPredictor
from inference.engine.provider_trial import provider_in_use

pytest.importorskip("openvino", reason="OpenVINO is not installed (make setup)")


@pytest.mark.parametrize("name", model_names())
def test_answers_are_those_of_onnx_runtime(name: str) -> None:
    task = verified_manifest(name).task
    theirs, ours = (load_predictor(name, task, providers=(p,)) for p in ("cpu", "openvino"))
    shape = theirs.manifest.input.shape[1:]
    batch = np.random.default_rng(1).normal(size=(2, *shape)).astype(np.float32)

    wanted, found = theirs.predict(batch), ours.predict(batch)

    assert (theirs.provider, ours.provider) == ("cpu", "openvino")
    # Its convolutions add up in another order: a ten-thousandth of what the logits span.
    assert np.abs(found - wanted).max() <= 1e-4 * np.ptp(wanted)
    np.testing.assert_array_equal(ours.predict(batch[1:])[0], found[1])


def test_a_broken_network_is_unusable(tmp_path: Path) -> None:
    manifest = verified_manifest("l3-level")
    (tmp_path / "model.onnx").write_bytes(b"no network")

    with pytest.raises(ModelUnusable, match="OpenVINO cannot load it"):
        OpenVinoPredictor(tmp_path / "model.onnx", manifest)


def test_a_network_of_another_shape_than_its_manifest_is_unusable(tmp_path: Path) -> None:
    shutil.copy(SHIPPED_MODELS / "organs" / "model.onnx", tmp_path)

    with pytest.raises(ModelUnusable, match="as the manifest says"):
        OpenVinoPredictor(tmp_path / "model.onnx", verified_manifest("l3-spine"))


def test_another_input_is_refused() -> None:
    predictor = load_predictor("l3-level", "l3-level", providers=("openvino",))

    with pytest.raises(InferenceFailed, match="input"):
        predictor.predict(np.zeros((1, 2, 8, 8), np.float32))


def test_what_is_not_a_number_is_no_answer() -> None:
    predictor = load_predictor("l3-level", "l3-level", providers=("openvino",))
    batch = np.full((1, *predictor.manifest.input.shape[1:]), np.nan, np.float32)

    with pytest.raises(InferenceFailed, match="not finite"):
        predictor.predict(batch)


def test_it_is_tried_alone_before_anybody_relies_on_it() -> None:
    assert provider_in_use("openvino") == "openvino"

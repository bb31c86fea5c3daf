"""OpenVINO gives ONNX Runtime's answers, and refuses what it refuses."""

import shutil
import sys
from collections.abc import Callable
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from inference.domain.errors import InferenceFailed, ModelUnusable, ProviderUnavailable
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


def _broken(reason: Callable[[], object]) -> ModuleType:
    """A package that can be found, whose Core does not start."""
    module = ModuleType("openvino")
    module.__spec__ = ModuleSpec("openvino", None)
    module.Core = reason  # type: ignore[attr-defined]
    return module


def _without_plugin() -> object:
    class Core:
        def get_property(self, device: str, _name: str) -> str:
            raise RuntimeError(f"no plugin for {device}")

    return Core()


def _without_library() -> object:
    raise OSError("libtbb.so.12: cannot open shared object file")


@pytest.mark.parametrize("reason", [_without_plugin, _without_library])
def test_an_openvino_that_does_not_start_is_gone_over(
    reason: Callable[[], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "openvino", _broken(reason))

    assert load_predictor("l3-level", "l3-level").provider == "cpu"
    with pytest.raises(ProviderUnavailable, match=r"OpenVINO, which does not start.*make setup"):
        load_predictor("l3-level", "l3-level", providers=("openvino",))
    with pytest.raises(ProviderUnavailable, match=r"OpenVINO, which does not start.*make setup"):
        provider_in_use("openvino")


def test_an_empty_package_of_its_name_is_no_openvino(monkeypatch: pytest.MonkeyPatch) -> None:
    module = _broken(_without_plugin)
    del module.Core
    monkeypatch.setitem(sys.modules, "openvino", module)

    assert load_predictor("l3-level", "l3-level").provider == "cpu"


def test_a_network_that_openvino_cannot_load_runs_on_what_is_asked_for_next(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def refused(_path: Path, _manifest: object) -> object:
        raise ModelUnusable(found="an operator", wanted="another", advice="")

    monkeypatch.setattr("inference.engine.model_store.OpenVinoPredictor", refused)

    assert load_predictor("l3-level", "l3-level").provider == "cpu"
    with pytest.raises(ModelUnusable, match="an operator"):
        load_predictor("l3-level", "l3-level", providers=("openvino",))

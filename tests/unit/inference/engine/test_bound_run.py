"""Bound memory gives the answers of a plain run; on the CPU here, by the same calls as on a GPU."""

from typing import Any

import numpy as np
import pytest

from inference.engine import onnx_predictor
from inference.engine.bound_run import BoundRun
from inference.engine.model_store import SHIPPED_MODELS, verified_manifest
from inference.engine.onnx_predictor import OnnxPredictor
from inference.engine.onnx_session import session_of
from inference.engine.provider_options import CUDA, Plan, options_of
from inference.engine.providers import CPU


@pytest.mark.parametrize("name", ["l3-level", "l3-spine", "l3-tissue", "organs"])
def test_answers_are_those_of_a_plain_run(name: str) -> None:
    manifest = verified_manifest(name)
    session = session_of(SHIPPED_MODELS / name / "model.onnx", name, ((CPU, {}),))
    shape = manifest.input.shape[1:]
    batch = np.random.default_rng(2).normal(size=(3, *shape)).astype(np.float32)
    wanted = [session.run(None, {"image": one[None]})[0][0] for one in batch]

    bound = BoundRun(session, manifest, "cpu")
    first = bound.answers(batch[:1])
    found = bound.answers(batch)

    np.testing.assert_array_equal(found, np.stack(wanted))
    # An earlier answer is not written over by a later one.
    np.testing.assert_array_equal(first, wanted[0][None])


def test_a_part_of_a_larger_array_is_read_in_its_own_order() -> None:
    manifest = verified_manifest("l3-level")
    session = session_of(SHIPPED_MODELS / "l3-level" / "model.onnx", "l3-level", ((CPU, {}),))
    shape = manifest.input.shape[1:]
    turned = np.random.default_rng(3).normal(size=shape[::-1]).astype(np.float32).T[None]

    found = BoundRun(session, manifest, "cpu").answers(turned)

    plain = session.run(None, {"image": np.ascontiguousarray(turned)})[0]
    np.testing.assert_array_equal(found, plain)


def test_an_accelerators_session_has_a_static_batch() -> None:
    plan: Plan = ((CUDA, options_of(CUDA, None)), (CPU, {}))
    with pytest.warns(UserWarning, match="not in available provider"):
        session = session_of(SHIPPED_MODELS / "organs" / "model.onnx", "organs", plan)

    assert session.get_inputs()[0].shape == [1, 1, 80, 96, 128]
    assert session.get_outputs()[0].shape == [1, 15, 80, 96, 128]


class OnCuda:
    """A session of the CPU that says that it is one of CUDA, and cannot be run otherwise than bound."""

    def __init__(self, session: Any) -> None:
        self._session = session
        self.bound_runs = 0

    def get_providers(self) -> list[str]:
        return [CUDA, CPU]

    def run(self, *_: object) -> None:
        raise AssertionError("not bound")

    def run_with_iobinding(self, binding: Any) -> None:
        self.bound_runs += 1
        self._session.run_with_iobinding(binding)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._session, name)


def test_a_predictor_on_an_accelerator_binds_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    path, manifest = SHIPPED_MODELS / "l3-level" / "model.onnx", verified_manifest("l3-level")
    session = OnCuda(session_of(path, "l3-level", ((CPU, {}),)))
    monkeypatch.setattr(onnx_predictor, "open_session", lambda *_: session)
    monkeypatch.setattr(onnx_predictor, "DEVICE", "cpu")
    batch = np.random.default_rng(4).normal(size=(2, *manifest.input.shape[1:]))

    predictor = OnnxPredictor(path, manifest, ("cuda", "cpu"))
    found = predictor.predict(batch.astype(np.float32))

    monkeypatch.undo()
    plain = OnnxPredictor(path, manifest).predict(batch.astype(np.float32))
    assert (predictor.provider, session.bound_runs) == ("cuda", 2)
    np.testing.assert_allclose(found, plain, atol=1e-4)

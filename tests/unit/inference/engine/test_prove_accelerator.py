"""An accelerator is held against the CPU before it is used: reduced precision, else full, else none."""

from pathlib import Path

import numpy as np
import pytest

from inference.domain.errors import InferenceFailed, ProviderUnavailable
from inference.engine.answers_compared import Decision, difference
from inference.engine.built import Built, Precision, built_in, key_of
from inference.engine.prove_accelerator import Proof, TrialNetwork, prove
from inference.engine.provider_options import CUDA, TENSORRT
from tests.unit.inference.engine.fake_accelerator import (
    HERE,
    OFF_IN_FULL,
    OFF_IN_HALF,
    FakeAccelerator,
)

MOST = 0.01
NETWORK = TrialNetwork(
    name="organs",
    path=Path("model.onnx"),
    sha256="a" * 64,
    inputs={"image": np.zeros((1, 1, 40, 50), np.float32)},
    outputs={"logits": Decision.CHANNEL},
)


def proven(root: Path, gpu: FakeAccelerator, provider: str = TENSORRT) -> Proof:
    return prove(NETWORK, provider, HERE, root, MOST, gpu.open)


def found(root: Path, provider: str = TENSORRT) -> Built | None:
    return built_in(root / key_of(provider, NETWORK.sha256, HERE), MOST)


def engines(root: Path) -> list[str]:
    return sorted(path.name for path in root.rglob("*.engine"))


@pytest.mark.parametrize(
    ("off_in_half", "off_in_full", "precision", "left"),
    [
        (1e-5, 0.0, Precision.REDUCED, ["fp16.engine"]),
        # Within the error, but one voxel in two thousand more than may turn.
        (4e-3, 1e-5, Precision.FULL, ["fp32.engine"]),
        (0.5, 1e-5, Precision.FULL, ["fp32.engine"]),
        (float("nan"), 1e-5, Precision.FULL, ["fp32.engine"]),
        (0.5, 0.5, Precision.UNFIT, []),
    ],
)
def test_the_fastest_precision_that_gives_the_cpus_answers_is_kept(
    off_in_half: float,
    off_in_full: float,
    precision: Precision,
    left: list[str],
    tmp_path: Path,
) -> None:
    gpu = FakeAccelerator({OFF_IN_HALF: off_in_half, OFF_IN_FULL: off_in_full})

    proof = proven(tmp_path, gpu)

    known = found(tmp_path)
    assert proof.precision is precision
    assert known is not None
    assert known.precision is precision
    assert engines(tmp_path) == left


def test_cuda_is_proven_without_an_engine(tmp_path: Path) -> None:
    proof = proven(tmp_path, FakeAccelerator(), CUDA)

    assert proof.precision is Precision.REDUCED
    assert found(tmp_path, CUDA) is not None
    assert found(tmp_path, TENSORRT) is None


def test_one_that_falls_back_to_the_cpu_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="organs on cpu; wanted it on tensorrt"):
        proven(tmp_path, FakeAccelerator(starts=False))
    assert found(tmp_path) is None


def test_a_run_that_stops_leaves_no_proof_and_says_nothing_foreign(tmp_path: Path) -> None:
    class Stops(FakeAccelerator):
        def open(self, path: Path, name: str, plan: object) -> object:  # type: ignore[override]
            raise_at_run = super().open(path, name, plan)  # type: ignore[arg-type]
            if raise_at_run.provider == TENSORRT:
                raise_at_run.run = None  # type: ignore[assignment,method-assign]
            return raise_at_run

    with pytest.raises(InferenceFailed, match="organs stopped"):
        prove(NETWORK, TENSORRT, HERE, tmp_path, MOST, Stops().open)  # type: ignore[arg-type]
    assert found(tmp_path) is None


def test_of_several_outputs_the_worst_decides(tmp_path: Path) -> None:
    two = TrialNetwork(
        name="encoder",
        path=Path("e.onnx"),
        sha256="b" * 64,
        inputs=NETWORK.inputs,
        outputs={"embedding": Decision.NONE, "logits": Decision.CHANNEL},
    )
    proof = prove(two, TENSORRT, HERE, tmp_path, MOST, FakeAccelerator({OFF_IN_HALF: 4e-3}).open)

    assert [each.precision for each in proof.differences] == ["reduced", "full"]
    assert proof.differences[0].agreement < 0.999


def test_a_curve_that_is_level_has_no_wrong_place() -> None:
    level = CURVES.copy()
    level[0, 1] = 0.0
    level[0, 1, 3] = 5e-4
    moved = level.copy()
    moved[0, 1, 3], moved[0, 1, 0] = 0.0, 5e-4

    assert difference(moved, level, Decision.PLACE, "full").agreement == 1.0


CURVES = np.zeros((1, 2, 5), np.float32)
CURVES[0, 0, 2] = CURVES[0, 1, 3] = 1.0


@pytest.mark.parametrize(
    ("decision", "agreement"),
    [(Decision.PLACE, 0.5), (Decision.CHANNEL, 0.8), (Decision.SIGN, 0.8), (Decision.NONE, 1.0)],
)
def test_what_counts_as_a_decision_depends_on_the_network(
    decision: Decision, agreement: float
) -> None:
    moved = CURVES.copy()
    moved[0, 0, 2], moved[0, 0, 4] = -1.0, 0.1

    assert difference(moved, CURVES, decision, "full").agreement == pytest.approx(agreement)

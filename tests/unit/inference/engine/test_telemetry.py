"""Neither ONNX Runtime nor OpenVINO tells anybody that it runs here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from inference.engine.model_store import SHIPPED_MODELS

ROOT = Path(__file__).parents[4]
LOAD = """
import sys
import {module}
import onnxruntime
onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
"""
OPENVINO = """
import sys
import inference.engine.openvino_predictor
import openvino
openvino.Core().read_model(sys.argv[1])
assert sys.modules["openvino_telemetry"] is None
"""


def left_in_home(home: Path, program: str) -> list[str]:
    """As seen from the home folder: where engines keep a number of the machine and events to be sent."""
    model = SHIPPED_MODELS / "l3-level" / "model.onnx"
    environment = {name: value for name, value in os.environ.items() if "TELEMETRY" not in name}
    subprocess.run(
        [sys.executable, "-c", program, str(model)],
        cwd=ROOT,
        env={**environment, "HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")},
        check=True,
        capture_output=True,
    )
    return sorted(str(path.relative_to(home)) for path in home.rglob("*"))


@pytest.mark.parametrize("module", ["inference.engine.onnx_predictor", "export_onnx"])
def test_a_session_leaves_no_number_of_the_machine_and_no_events(
    module: str, tmp_path: Path
) -> None:
    assert left_in_home(tmp_path, LOAD.format(module=module)) == []


def test_openvino_is_imported_without_its_telemetry(tmp_path: Path) -> None:
    assert left_in_home(tmp_path, OPENVINO) == []

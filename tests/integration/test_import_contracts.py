"""Each import contract is broken once and must say so: a contract that cannot fail guards nothing."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "commands",
    "docker",
    "installation",
    "orthanc_plugin",
    "inference",
    "export_onnx",
    "training",
    "viewer",
)

BREAKS = [
    ("Trees depend one way", "training/config.py", "import export_onnx"),
    ("Inside inference", "inference/stages/measure.py", "import inference.engine.providers"),
    ("The node never loads training code or torch", "inference/pipeline.py", "import torch"),
    ("domain and stages are pure", "inference/domain/volume.py", "import pydicom"),
    ("The picture page is drawn without DICOM", "inference/page/views.py", "import pydicom"),
    (
        "What runs inside Orthanc uses the standard library only",
        "orthanc_plugin/inside/__init__.py",
        "import numpy",
    ),
    (
        "The embedded orthanc module is passed in",
        "orthanc_plugin/inside/__init__.py",
        "import orthanc",
    ),
    (
        "The installer runs before any environment is made",
        "installation/places.py",
        "import orthanc_plugin.node.settings",
    ),
    ("inference opens no socket", "inference/engine/providers.py", "import socket"),
    (
        "ONNX Runtime and OpenVINO are known to",
        "inference/dicom/codes.py",
        "import onnxruntime",
    ),
    (
        "Synthetic CT and labelled data are importable without torch",
        "training/data/cases.py",
        "import torch",
    ),
    ("No cycles", "inference/domain/volume.py", "import inference.domain.labelmap"),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages and of the contracts."""
    copy = tmp_path_factory.mktemp("tree")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, copy / package, ignore=shutil.ignore_patterns("*.onnx"))
    shutil.copy(ROOT / "pyproject.toml", copy)
    return copy


def _lint(tree: Path) -> tuple[int, str]:
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    result = subprocess.run(command, cwd=tree, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout


def test_the_contracts_hold(tree: Path) -> None:
    status, output = _lint(tree)

    assert status == 0, output


@pytest.mark.parametrize(
    ("contract", "module", "illegal"), BREAKS, ids=lambda value: str(value)[:30]
)
def test_a_broken_contract_is_noticed(tree: Path, contract: str, module: str, illegal: str) -> None:
    path = tree / module
    before = path.read_text(encoding="utf-8")
    path.write_text(f"{before}\n{illegal}\n", encoding="utf-8")

    status, output = _lint(tree)
    path.write_text(before, encoding="utf-8")

    assert status == 1
    broken = [line for line in output.splitlines() if line.strip().endswith("BROKEN")]
    assert any(line.startswith(contract) for line in broken), output

"""habitus import-nnunet: done by the training environment, for weights are read and exported with torch."""

import argparse
import os
import subprocess
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid

NAME = "import-nnunet"
ROOT = Path(__file__).parent.parent
TRAINING_PYTHON = ROOT / ".venv-train" / "bin" / "python"


def add_options(command: argparse.ArgumentParser) -> None:
    """None here: its own parser, in the training environment, has them."""


def run(options: argparse.Namespace) -> int:
    """habitus import-nnunet"""
    if not TRAINING_PYTHON.is_file():
        raise ConfigurationInvalid(
            found="a machine without the training environment",
            wanted="torch and nnunetv2, which the node itself never needs",
            advice="Run make setup-training here, or import on another machine and copy the folder of models/.",
        )
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [TRAINING_PYTHON, "-m", "export_onnx.nnunet", *options.arguments]
    return subprocess.run(command, env=environment, check=False).returncode

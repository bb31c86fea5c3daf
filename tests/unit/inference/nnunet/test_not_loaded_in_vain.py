"""What only imported networks need is not loaded by a node that has none."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[4]
PROGRAM = """
import sys
import inference.pipeline
import inference.segment_organs
print([name for name in ("numba", "openvino") if name in sys.modules])
"""


def test_the_pipeline_loads_neither_numba_nor_openvino() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert done.stdout.strip() == "[]"

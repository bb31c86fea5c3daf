"""What of the benchmark on a GPU can be held without one."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.benchmarks.nnunet_gpu.__main__ import _figures
from tests.benchmarks.nnunet_gpu.floor import REACHED, floor_ms, tflops_of
from tests.benchmarks.nnunet_gpu.page import MEASURED, RacedOnGpu, assumption, section

ROOT = Path(__file__).parents[3]


def test_without_a_gpu_it_says_so_in_one_line(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.benchmarks.nnunet_gpu", "--work", str(tmp_path / "w")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "no device: no GPU that CUDA finds; nothing was measured\n"
    assert not (tmp_path / "w").exists()


@pytest.mark.parametrize(
    ("name", "tflops"),
    [
        ("NVIDIA H100 PCIe", 756.0),
        ("NVIDIA H100 80GB HBM3", 989.0),
        ("NVIDIA L40S", 362.0),
        ("NVIDIA L4", 121.0),
        ("NVIDIA A100-SXM4-80GB", 312.0),
        ("NVIDIA A10", 125.0),
        ("Quadro P400", None),
    ],
)
def test_a_gpu_is_known_by_its_whole_name(name: str, tflops: float | None) -> None:
    assert tflops_of(name) == tflops
    assert ("no floor is told" in assumption(name)) is (tflops is None)


def test_the_floor_is_two_operations_a_multiplication() -> None:
    # 54 patches of 237 GMAC: 25.6 TFLOP.
    assert floor_ms(237_000_000_000, 54, 100.0) == pytest.approx(255.96 / REACHED, rel=1e-3)


def run(network_s: float, wall_s: float = 2.0, proof: str = "") -> dict[str, Any]:
    return {
        "wall_s": wall_s,
        "first_labels_s": 9.0,
        "stages_s": {"read": 0.1, "network": network_s},
        "network_calls": 54,
        "proof": proof,
    }


RACED = RacedOnGpu(
    kind="17M",
    multiplications=237_000_000_000,
    runs={
        "nnunetv2": [run(0.6), run(0.4), run(0.5)],
        "ours-cuda": [run(0.3, 1.0, "not compared")] * 3,
    },
    refused={"ours-tensorrt": "no libnvinfer.so.10"},
    gates={"nnunetv2": (1.0, 1.0), "ours-cuda": (0.99991, 0.9991)},
)


def cells(text: str, name: str) -> dict[str, str]:
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("|")]
    titles, (found,) = rows[0], [row for row in rows if row[0].strip() == name]
    return {title.strip(): value.strip() for title, value in zip(titles, found, strict=True)}


def test_a_row_has_medians_in_milliseconds_and_the_distance_to_the_floor() -> None:
    row = cells(section(RACED, "NVIDIA H200"), "nnunetv2")

    assert (row["all"], row["network"], row["read"], row["first time"]) == (
        "2000",
        "500.0",
        "100.0",
        "9000",
    )
    assert float(row["floor"]) == pytest.approx(25596 / (989 * REACHED), abs=0.06)
    assert float(row["network of floor"]) == pytest.approx(500 / float(row["floor"]), abs=0.06)
    assert set(MEASURED) <= set(row)


def test_what_did_not_run_or_was_not_compared_is_said() -> None:
    text = section(RACED, "Quadro P400")

    assert "- ours-tensorrt did not run: no libnvinfer.so.10" in text
    assert "- ours-cuda: not compared" in text
    assert cells(text, "ours-cuda")["floor"] == "unknown"


def test_calls_of_nnunetv2_are_counted_once_for_all_folds(tmp_path: Path) -> None:
    for fold in range(2):
        (tmp_path / "trained" / f"fold_{fold}").mkdir(parents=True)
    for name in ("nnunetv2", "ours-cuda"):
        (tmp_path / f"{name}-0.json").write_text(json.dumps(run(1.0)))

    theirs, ours = (
        _figures(name, tmp_path, tmp_path / "trained", 1) for name in ("nnunetv2", "ours-cuda")
    )

    assert (theirs[0]["network_calls"], ours[0]["network_calls"]) == (27, 54)

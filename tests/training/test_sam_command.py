"""python -m training sam, from labelled CT to the table: a step of each network."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.unit.training.data.tiny import write_flare22
from training.__main__ import main
from training.checkpoint import load_checkpoint
from training.sam.answers import Masks, SliceNetwork
from training.sam.evaluate import FROM_OURS, FROM_TRUTH, OURS_ALONE, Tally, evaluate, masks_of
from training.sam.run import PROMPTED, UNPROMPTED

pytestmark = pytest.mark.torch


def test_four_networks_and_one_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data, out = write_flare22(tmp_path / "ct", 3), tmp_path / "run"
    page, picture = tmp_path / "docs/results/sam.md", tmp_path / "docs/pictures/sam.png"
    page.parent.mkdir(parents=True)
    asked = ["sam", "run", "--data", str(data), "--layout", "flare22", "--out", str(out)]
    asked += ["--max-steps", "1", "--device", "cpu", "--revision", "none"]
    assert main([*asked, "--page", str(page), "--picture", str(picture)]) == 0
    told = capsys.readouterr().out
    assert "**No real weights: mechanism only.**" in told
    assert "| HQ-SAM, decoder fine-tuned | 0.79 M (0.23 M) | 1 |" in told
    assert told in page.read_text(encoding="utf-8")
    assert "](../pictures/sam.png)" in page.read_text(encoding="utf-8")
    assert picture.stat().st_size > 10_000
    rows = json.loads((out / "table.json").read_text(encoding="utf-8"))["rows"]
    keys = {(row["name"], row["asked"]) for row in rows}
    names = (*PROMPTED, *UNPROMPTED)
    assert keys == {(n, a) for n in names for a in (FROM_TRUTH, FROM_OURS)} | {
        (OURS_ALONE, FROM_OURS)
    }
    seeds = {load_checkpoint(out / n / "checkpoint.safetensors").config.seed for n in names}
    assert seeds == {1}
    # Other data than they were trained on.
    other = write_flare22(tmp_path / "other", 4)
    assert main(["sam", "table", str(out), "--data", str(other), "--layout", "flare22"]) != 0
    assert "trained on other cases" in capsys.readouterr().err


def test_pixels_are_counted_over_all_slices_of_a_case() -> None:
    tally = Tally(shared=np.zeros(3, np.int64), both=np.zeros(3, np.int64))
    truth = np.array([[1, 1, 0, 2]], np.uint8)
    tally.add({1: np.array([[True, False, True, False]])}, truth)
    tally.add({}, np.array([[1, 0, 0, 0]], np.uint8))
    tally.add({2: np.array([[False, False, False, True]])}, np.zeros((1, 4), np.uint8))
    # Of the first: one shared, three true, two found. Of the second: none shared, one true, one invented.
    assert list(tally.shared) == [0, 1, 0]
    assert list(tally.both) == [0, 5, 2]


class Echo:
    """Gives back what it is asked about."""

    takes_prompts = True

    def answer(self, hu: object, spacing_mm: object, asked: Masks) -> Masks:
        """The prompt."""
        return asked


class Everywhere:
    """Sees everything in every pixel."""

    takes_prompts = False

    def answer(self, hu: np.ndarray[Any, Any], spacing_mm: object, asked: Masks) -> Masks:
        """Three channels."""
        return {channel: np.ones(hu.shape, np.bool_) for channel in (1, 2, 3)}


def test_prompts_from_the_truth_flatter_and_ours_do_not(tmp_path: Path) -> None:
    from inference.engine.model_store import load_predictor
    from training.data.layouts.registry import find_cases, layout_named

    cases = find_cases(write_flare22(tmp_path, 1), layout_named("flare22")).cases
    networks: dict[str, SliceNetwork] = {"echo": Echo(), "everywhere": Everywhere()}
    names = ("liver", "kidney_left", "portal_splenic_vein")
    rows = {
        (row.name, row.asked): row
        for row in evaluate(networks, cases, names, load_predictor("organs", "organs"))
    }
    # FLARE22 has no labels of the portal vein: whatever is seen of it does not count.
    assert set(rows["everywhere", FROM_TRUTH].dice) == {"liver", "kidney_left"}
    assert rows["echo", FROM_TRUTH].dice == {"liver": 1.0, "kidney_left": 1.0}
    assert rows["echo", FROM_OURS].dice == rows[OURS_ALONE, FROM_OURS].dice
    assert rows["echo", FROM_OURS].mean < 1.0


def test_masks_are_of_what_is_there() -> None:
    found = masks_of(np.array([[0, 2], [2, 5]], np.uint8))
    assert {channel: int(mask.sum()) for channel, mask in found.items()} == {2: 2, 5: 1}

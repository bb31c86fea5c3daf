"""Model cards: what they say comes from files, and stays what the files say."""

from dataclasses import replace
from pathlib import Path

import pytest

from export_onnx.card import CARD_NAME, card_of, model_card, section
from export_onnx.orders import MANIFEST_NAME, is_shipped
from inference.domain.errors import UnreadableInput
from inference.domain.manifest import ModelManifest, manifest_from_json
from inference.engine.model_store import SHIPPED_MODELS, model_names
from training.checkpoint_header import History, read_history

HISTORY = History(
    step=12, elapsed_s=3.0, code_revision="c0ffee", training_data="boxes.", metrics={"dice": 0.5}
)


def organs_manifest() -> ModelManifest:
    return manifest_from_json((SHIPPED_MODELS / "organs" / MANIFEST_NAME).read_text())


@pytest.mark.parametrize("name", model_names())
def test_the_card_of_a_shipped_model_says_what_its_files_say(name: str) -> None:
    """`python -m export_onnx --cards` mends it."""
    folder = SHIPPED_MODELS / name

    assert (folder / CARD_NAME).read_text(encoding="utf-8") == card_of(folder)


def test_a_model_of_a_user_gets_no_figures_and_no_failures_of_ours() -> None:
    card = model_card(organs_manifest(), HISTORY, is_shipped=False)

    assert not any(ours in card for ours in ("## Figures", "## Failures", "![", "s0327"))
    assert "boxes.\n12 steps in 3 s, code c0ffee" in card
    assert "요약" in card


def test_a_mean_says_the_time_of_all_its_runs_and_shows_no_empty_table() -> None:
    card = model_card(organs_manifest(), replace(HISTORY, metrics={}), is_shipped=False)

    assert "12 steps in the last run, 3 s in all of them together, code c0ffee" in card
    assert "| score | value |" not in card


def test_only_folders_of_the_repository_are_shipped(tmp_path: Path) -> None:
    assert is_shipped(SHIPPED_MODELS / "organs")
    assert is_shipped(SHIPPED_MODELS / "organs-vessels")
    assert not is_shipped(SHIPPED_MODELS / "my-organs")
    assert not is_shipped(tmp_path / "organs")


def test_of_two_networks_of_one_task_each_has_its_own_text() -> None:
    vessels = replace(organs_manifest(), name="organs-vessels")

    assert "Aorta and inferior vena cava" in model_card(vessels, HISTORY, is_shipped=True)
    assert "Aorta and inferior vena cava" not in model_card(vessels, HISTORY, is_shipped=False)
    assert "Thirteen abdominal organs" in model_card(organs_manifest(), HISTORY, is_shipped=True)


def test_a_section_ends_at_the_next_heading() -> None:
    text = "# A\n\n## L3\n\n| a |\n\n### deeper\n\nb\n\n## Organs\n\nc\n"

    assert section(text, "L3") == "| a |\n\n### deeper\n\nb"
    assert section(text, "Organs") == "c"
    assert section(text, "Tissue") is None


@pytest.mark.parametrize(
    "content", [b"", b"\xff" * 9, b"\x02\0\0\0\0\0\0\0{}", b"\x02\0\0\0\0\0\0\0[]"]
)
def test_a_file_without_history_is_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "checkpoint.safetensors"
    path.write_bytes(content)

    with pytest.raises(UnreadableInput, match=r"no history in checkpoint\.safetensors"):
        read_history(path)


def test_what_averaged_runs_began_with_stands_once() -> None:
    chain = "40 scans. Started from the weights of 9 earlier steps. Before: 7 boxes."
    told = f"Mean of the weights of 2 runs. (1) 30 steps: {chain} (2) 20 steps: 50 scans. Before: {chain}"

    card = model_card(organs_manifest(), replace(HISTORY, training_data=told), is_shipped=False)

    assert (
        "1. 30 steps: 40 scans. Started from the weights of 9 earlier steps.\n   - before: 7 boxes.\n"
        "2. 20 steps: 50 scans.\n"
        "   - before: 40 scans. Started from the weights of 9 earlier steps.\n"
        "   - before: as run 1 from here on\n"
    ) in card


def test_what_one_run_began_with_stands_below_it() -> None:
    mean = "Mean of the weights of 2 runs. (1) 30 steps: 3 balls. (2) 20 steps: 4 balls."
    told = f"40 scans. Before: 7 boxes. Before: {mean}"

    card = model_card(organs_manifest(), replace(HISTORY, training_data=told), is_shipped=False)

    assert (
        "40 scans.\n\nBefore, the last first:\n\n- 7 boxes.\n- Mean of the weights of 2 runs.\n"
        in card
    )
    assert "\n1. 30 steps: 3 balls.\n2. 20 steps: 4 balls.\n" in card

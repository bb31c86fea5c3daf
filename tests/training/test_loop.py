"""The training loop: it learns, it ends in time, it goes on where it stopped."""

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from inference.domain.errors import ConfigurationInvalid, InferenceFailed, UnreadableInput
from tests.training.conftest import ANATOMIES
from training.augment import chance_for
from training.checkpoint import load_checkpoint, read_tensors
from training.config import TrainConfig
from training.loop import Run, train
from training.ranks import choose_device
from training.source import Source
from training.specification import CHECKPOINT_NAME
from training.training_log import EVENTS_NAME, METRICS_NAME, TABLE_NAME, read_metrics

pytestmark = pytest.mark.torch
TASKS = ("l3-level", "l3-spine", "l3-tissue", "organs")


def losses(out: Path) -> list[float]:
    rows = [json.loads(line) for line in (out / METRICS_NAME).read_text().splitlines()]
    return [row["loss"] for row in rows if "loss" in row]


@pytest.mark.parametrize("task", TASKS)
def test_the_loss_falls_within_twenty_steps(
    task: str, tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    run = Run(source=Source(folder=box_pool), out=tmp_path, seconds=60, max_steps=20)

    history = train(tiny_configs[task], run)

    found = losses(tmp_path)
    assert history.step == 20
    assert sum(found[-4:]) < 0.97 * sum(found[:4])


def test_a_resumed_run_goes_on_at_its_step_with_its_moments(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = tiny_configs["l3-tissue"]
    train(config, Run(source=Source(folder=box_pool), out=tmp_path, seconds=60, max_steps=5))
    before, _ = read_tensors(tmp_path / "resume.safetensors")

    history = train(
        config,
        Run(source=Source(folder=box_pool), out=tmp_path, seconds=60, max_steps=3, resume=True),
    )

    after, progress = read_tensors(tmp_path / "resume.safetensors")
    assert history.step == 8
    assert json.loads(progress["progress"])["step"] == 8
    assert float(before["optimiser.0.step"]) == 5
    assert float(after["optimiser.0.step"]) == 8


def test_a_resume_without_steps_keeps_weights_and_their_average(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = tiny_configs["l3-tissue"]
    train(config, Run(source=Source(folder=box_pool), out=tmp_path, seconds=60, max_steps=5))
    raw_before, _ = read_tensors(tmp_path / "resume.safetensors")
    mean_before, _ = read_tensors(tmp_path / CHECKPOINT_NAME)

    train(
        config,
        Run(source=Source(folder=box_pool), out=tmp_path, seconds=60, max_steps=0, resume=True),
    )

    raw_after, _ = read_tensors(tmp_path / "resume.safetensors")
    mean_after, _ = read_tensors(tmp_path / CHECKPOINT_NAME)
    assert all(torch.equal(raw_before[name], raw_after[name]) for name in raw_before)
    assert all(torch.equal(mean_before[name], mean_after[name]) for name in mean_before)


def test_a_run_may_begin_with_the_weights_of_a_checkpoint_and_says_so(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = tiny_configs["l3-tissue"]
    train(
        config, Run(source=Source(folder=box_pool), out=tmp_path / "first", seconds=60, max_steps=5)
    )
    first = tmp_path / "first" / CHECKPOINT_NAME

    order = Run(
        source=Source(folder=box_pool),
        out=tmp_path / "next",
        seconds=60,
        max_steps=0,
        start_from=first,
    )
    history = train(config, order)

    before, _ = read_tensors(first)
    after, _ = read_tensors(tmp_path / "next" / CHECKPOINT_NAME)
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert history.step == 0
    assert "Started from the weights of 5 earlier steps" in history.training_data


def test_weights_of_another_network_are_refused(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    train(
        tiny_configs["organs"],
        Run(source=Source(folder=box_pool), out=tmp_path / "a", seconds=60, max_steps=1),
    )
    order = Run(
        source=Source(folder=box_pool),
        out=tmp_path / "b",
        seconds=60,
        max_steps=1,
        start_from=tmp_path / "a" / CHECKPOINT_NAME,
    )

    with pytest.raises(UnreadableInput, match="another shape"):
        train(tiny_configs["l3-tissue"], order)


def test_a_second_call_without_resume_does_not_overwrite_what_was_trained(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = tiny_configs["l3-tissue"]
    train(config, Run(source=Source(folder=box_pool), out=tmp_path, seconds=60, max_steps=5))
    before = (tmp_path / CHECKPOINT_NAME).read_bytes()

    with pytest.raises(ConfigurationInvalid, match="that this call would overwrite"):
        train(config, Run(source=Source(folder=box_pool), out=tmp_path, seconds=60, max_steps=2))
    (tmp_path / "resume.safetensors").unlink()
    with pytest.raises(ConfigurationInvalid, match="--start-from"):
        train(
            config,
            Run(source=Source(folder=box_pool), out=tmp_path, seconds=60, max_steps=2, resume=True),
        )

    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == before


@pytest.mark.parametrize("seconds", [0, -5])
def test_no_time_trains_nothing(
    seconds: float, tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationInvalid, match="more than 0"):
        train(
            tiny_configs["l3-tissue"],
            Run(source=Source(folder=box_pool), out=tmp_path, seconds=seconds),
        )

    assert not (tmp_path / CHECKPOINT_NAME).exists()


def test_a_device_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationInvalid, match="'abacus'"):
        choose_device("abacus")
    assert choose_device("cpu").type == "cpu"


def test_the_time_box_ends_a_run_and_leaves_a_checkpoint(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    history = train(
        tiny_configs["l3-tissue"],
        Run(source=Source(folder=box_pool), out=tmp_path, seconds=2.0, code_revision="abc"),
    )

    stored = load_checkpoint(tmp_path / CHECKPOINT_NAME).history
    assert history.elapsed_s < 2.5
    assert stored.step == history.step > 0
    assert stored.code_revision == "abc"
    assert "Synthetic CT only" in stored.training_data


def test_another_anatomy_is_scored_and_not_trained_on(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = tiny_configs["l3-level"]
    alone = Run(source=Source(folder=box_pool), out=tmp_path / "alone", seconds=60, max_steps=3)
    beside = replace(alone, out=tmp_path / "beside", other=Source(folder=box_pool))

    without, scored = train(config, alone), train(config, beside)

    own = {name for name in without.metrics if name != "loss"}
    assert {f"other_{name}" for name in own} == set(scored.metrics) - set(without.metrics)
    assert scored.metrics["other_l3_present"] > scored.metrics["l3_present"]
    assert scored.training_data == without.training_data
    assert scored.metrics["loss"] == pytest.approx(without.metrics["loss"], rel=0.01)


def test_a_killed_run_ends_with_the_very_weights_of_one_that_was_not(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = replace(tiny_configs["organs"], epochs=3, checkpoint_every_s=0.0)
    whole = Run(source=Source(folder=box_pool), out=tmp_path / "whole")
    steps = train(config, whole).step
    out = tmp_path / "killed"
    # Two steps of an epoch of two batches: the second one begins and is never told.
    train(config, replace(whole, out=out, max_steps=3))

    history = train(config, replace(whole, out=out, resume=True))

    weights, _ = read_tensors(tmp_path / "whole" / CHECKPOINT_NAME)
    again, _ = read_tensors(out / CHECKPOINT_NAME)
    assert history.step == steps > 3
    assert all(torch.equal(weights[name], again[name]) for name in weights)


def test_a_run_goes_on_with_the_configuration_it_was_begun_with(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = tiny_configs["l3-tissue"]
    order = Run(source=Source(folder=box_pool), out=tmp_path, max_steps=1)
    train(config, order)
    before = (tmp_path / CHECKPOINT_NAME).read_bytes()

    other = replace(config, learning_rate=0.5, batch_size=2)
    with pytest.raises(ConfigurationInvalid) as refused:
        train(other, replace(order, resume=True))
    assert refused.value.found == "batch_size = 2; learning_rate = 0.5"
    assert refused.value.wanted.startswith("batch_size = 3; learning_rate = 0.0")
    assert (tmp_path / CHECKPOINT_NAME).read_bytes() == before

    longer = replace(config, checkpoint_every_s=7.0, report_every_s=1.0, patience_epochs=0)
    assert train(longer, replace(order, resume=True)).step == 2


def test_an_epoch_shows_every_example_once_and_ends_with_scores(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = replace(tiny_configs["l3-tissue"], epochs=2, batch_size=1)

    history = train(config, Run(source=Source(folder=box_pool), out=tmp_path))

    rows = read_metrics(tmp_path / METRICS_NAME)
    scored = [row for row in rows if "validation" in row]
    examples = ANATOMIES - 1
    assert history.step == 2 * examples
    assert [row["epoch"] for row in scored] == [1.0, 2.0]
    assert sorted(
        chance_for(torch.device("cpu"), 0, place=place).in_turn(5, 1)[0] for place in range(5)
    ) == list(range(5))
    with (tmp_path / TABLE_NAME).open(newline="") as file:
        table = list(csv.DictReader(file))
    assert [row["step"] for row in table if row["dice_skeletal_muscle"]] == ["3", "6"]
    assert list((tmp_path / EVENTS_NAME).iterdir())


def test_a_step_over_two_batches_counts_once_and_follows_more_than_the_first(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = replace(tiny_configs["organs"], batch_size=1)
    order = Run(source=Source(folder=box_pool), out=tmp_path, max_steps=4)

    train(replace(config, accumulate=2), replace(order, out=tmp_path / "a"))
    train(config, replace(order, out=tmp_path / "b"))

    one, _ = read_tensors(tmp_path / "a" / "resume.safetensors")
    assert float(one["optimiser.0.step"]) == 4
    assert len(read_metrics(tmp_path / "a" / METRICS_NAME)) == 5
    assert not all(
        torch.equal(tensor, read_tensors(tmp_path / "b" / "resume.safetensors")[0][name])
        for name, tensor in one.items()
        if name.startswith("network")
    )


def test_a_run_that_gets_no_better_ends_early_and_keeps_its_best(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    # A rate of next to nothing: no score can rise after the first.
    config = replace(
        tiny_configs["l3-tissue"],
        epochs=50,
        patience_epochs=3,
        watch="dice_skeletal_muscle",
        learning_rate=1e-12,
        average_decay=0.0,
    )

    history = train(config, Run(source=Source(folder=box_pool), out=tmp_path))

    rows = read_metrics(tmp_path / METRICS_NAME)
    assert len([row for row in rows if "validation" in row]) == 4
    assert history.step == load_checkpoint(tmp_path / CHECKPOINT_NAME).history.step == 1


def test_a_watched_score_that_is_none_is_named(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = replace(tiny_configs["l3-tissue"], epochs=1, watch="beauty")

    with pytest.raises(ConfigurationInvalid, match="'beauty', which is no score"):
        train(config, Run(source=Source(folder=box_pool), out=tmp_path))


def test_a_run_without_an_end_is_refused(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationInvalid, match="without an end"):
        train(tiny_configs["organs"], Run(source=Source(folder=box_pool), out=tmp_path))


def test_a_loss_that_is_no_number_ends_the_run(
    tiny_configs: dict[str, TrainConfig], box_pool: Path, tmp_path: Path
) -> None:
    config = replace(
        tiny_configs["l3-tissue"], learning_rate=1e25, warmup_steps=1, clip_norm=1e38, epochs=20
    )

    with pytest.raises(InferenceFailed, match="wanted a number"):
        train(config, Run(source=Source(folder=box_pool), out=tmp_path))

"""The one training loop: data, network, optimiser, steps, reports, checkpoints, in the order they happen."""

import copy
import json
import math
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import nn

from inference.domain.errors import ConfigurationInvalid
from training.augment import chance_for
from training.checkpoint import (
    RESUME_NAME,
    load_checkpoint,
    load_resume,
    save_checkpoint,
    save_resume,
    start_weights,
)
from training.checkpoint_header import History
from training.config import TrainConfig
from training.networks import build_network, count_parameters
from training.specification import CHECKPOINT_NAME, specification
from training.tasks.registry import open_task
from training.tasks.task import Task

METRICS_NAME = "metrics.jsonl"
OTHER_SHARE = 0.5
"""Of another anatomy's pool: enough for its scores, whatever its size."""
FINAL_SHARE = 0.02
"""Of the learning rate: where the cosine ends."""
BAR_WIDTH = 24


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where a training reads and writes, and when it ends."""

    pool: Path
    out: Path
    seconds: float
    """From the call to the saved checkpoint, reading of the pool included."""
    planned_s: float | None = None
    """Length of the whole training over all resumed calls, which the learning rate follows; None: this call."""
    resume: bool = False
    max_steps: int | None = None
    start_from: Path | None = None
    """A checkpoint whose weights a run begins with; None, or a run that resumes: random ones, or its own."""
    other_pool: Path | None = None
    """Of another anatomy, never trained on: its scores tell what is learned from what is learned by heart."""
    device: str = "auto"
    code_revision: str = "unknown"


def train(config: TrainConfig, run: Run) -> History:
    """Train until the time is over; leaves checkpoint, resume file and metrics in run.out."""
    _require_startable(run)
    started = time.monotonic()
    device = choose_device(run.device)
    torch.manual_seed(config.seed)
    torch.backends.cudnn.benchmark = True

    task = open_task(config, run.pool, device)
    task.grow()
    other = _other_task(config, run, device)

    # Channels last is what 2D convolutions are fastest in; in 3D it gains nothing.
    layout = torch.channels_last if len(config.input_shape) == 2 else torch.contiguous_format
    network = build_network(specification(config.task).network, config.network)
    network = network.to(device, memory_format=layout)
    average = copy.deepcopy(network)
    optimiser = torch.optim.AdamW(
        network.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay
    )
    step, elapsed_before, origin = 0, 0.0, ""
    if run.start_from is not None:
        origin = start_weights(network, run.start_from)
        average.load_state_dict(network.state_dict())
    if run.resume and (run.out / RESUME_NAME).is_file():
        progress = load_resume(network, optimiser, run.out / RESUME_NAME)
        step, elapsed_before = int(progress["step"]), float(progress["elapsed_s"])
        origin = progress.get("origin", "")
        average.load_state_dict(load_checkpoint(run.out / CHECKPOINT_NAME).network.state_dict())

    log = _Log(config, run, network, device)
    chance = chance_for(device, config.seed + step)
    first_step, running_loss, metrics = step, math.nan, {}
    # What saving and validating once takes is kept back, so that the box holds to the end.
    closing_s, step_s = min(5.0, 0.05 * run.seconds), 0.0
    next_report, next_checkpoint = config.report_every_s, config.checkpoint_every_s
    loop_started = time.monotonic()
    planned_s = run.planned_s or elapsed_before + run.seconds - (loop_started - started)

    while True:
        now = time.monotonic()
        elapsed_s = elapsed_before + now - loop_started
        out_of_time = now - started + closing_s + step_s >= run.seconds
        finished = out_of_time or step - first_step == run.max_steps
        if finished or now - loop_started >= next_checkpoint:
            metrics = _validate(task, average, device)
            if other is not None:
                scores = _validate(other, average, device)
                metrics |= {f"other_{name}": value for name, value in scores.items()}
            history = History(
                step=step,
                elapsed_s=elapsed_s,
                code_revision=run.code_revision,
                training_data=f"{task.describe()}{origin}",
                metrics=metrics | {"loss": running_loss},
            )
            save_checkpoint(average.state_dict(), config, history, run.out / CHECKPOINT_NAME)
            saved = {"step": str(step), "elapsed_s": str(elapsed_s), "origin": origin}
            save_resume(network, optimiser, saved, run.out / RESUME_NAME)
            log.validated(history)
            if finished:
                return history
            task.grow()
            closing_s = 1.2 * (time.monotonic() - now)
            next_checkpoint = time.monotonic() - loop_started + config.checkpoint_every_s

        rate = learning_rate(config, step, elapsed_s / max(planned_s, 1e-6))
        for group in optimiser.param_groups:
            group["lr"] = rate
        network.train()
        inputs, targets = task.batch(chance)
        with _half_precision(device):
            logits = network(inputs.contiguous(memory_format=layout))
        loss = task.loss(logits, targets)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), config.clip_norm)
        optimiser.step()
        step += 1
        average_into(average, network, min(config.average_decay, step / (step + 9)))

        if time.monotonic() - loop_started >= next_report or step == first_step + 1:
            running_loss = float(loss.detach())
            log.trained(step, time.monotonic() - started, running_loss, rate)
            next_report = time.monotonic() - loop_started + config.report_every_s
        step_s = time.monotonic() - now


def _require_startable(run: Run) -> None:
    """Hours of training must not be lost to a second call."""
    if run.seconds <= 0:
        raise ConfigurationInvalid(
            found=f"{run.seconds:g} seconds", wanted="more than 0", advice="See --seconds."
        )
    if (run.out / CHECKPOINT_NAME).is_file() and not (
        run.resume and (run.out / RESUME_NAME).is_file()
    ):
        raise ConfigurationInvalid(
            found=f"a {CHECKPOINT_NAME} in {run.out.name} that this call would overwrite",
            wanted=f"a folder without one, or {RESUME_NAME} beside it and --resume",
            advice="Go on with --resume, name another --out, or move the checkpoint and begin with it by --start-from.",
        )


def _other_task(config: TrainConfig, run: Run, device: torch.device) -> Task | None:
    """The pool of another anatomy, for its scores alone."""
    if run.other_pool is None:
        return None
    task = open_task(replace(config, validation_share=OTHER_SHARE), run.other_pool, device)
    task.grow()
    return task


def choose_device(wanted: str) -> torch.device:
    """The accelerator when there is one, unless told otherwise."""
    has_gpu = torch.cuda.is_available()
    if wanted == "auto":
        return torch.device("cuda" if has_gpu else "cpu")
    if wanted.partition(":")[0] not in ("cpu", "cuda") or (wanted != "cpu" and not has_gpu):
        raise ConfigurationInvalid(
            found=f"--device {wanted!r:.40}"
            + ("" if has_gpu else ", and no GPU that torch can use"),
            wanted="auto, cpu or cuda",
            advice="Leave --device out; for a GPU install torch with CUDA (make setup-training TORCH_INDEX=URL).",
        )
    return torch.device(wanted)


def learning_rate(config: TrainConfig, step: int, progress: float) -> float:
    """Warm-up by steps, then a cosine over the planned time, which a time box knows and a step count does not."""
    warm = min(1.0, (step + 1) / max(1, config.warmup_steps))
    cosine = 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))
    return config.learning_rate * warm * (FINAL_SHARE + (1 - FINAL_SHARE) * cosine)


def _half_precision(device: torch.device) -> torch.autocast:
    """bfloat16 where the hardware multiplies it: on a CPU with AVX512-BF16 a step costs 0.4 to 0.6 of the time."""
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)
    worthwhile = device.type == "cuda" or (device.type == "cpu" and supported())
    return torch.autocast(device.type, torch.bfloat16, enabled=worthwhile)


@torch.no_grad()
def average_into(average: nn.Module, network: nn.Module, decay: float) -> None:
    """One step of a running mean over weights and batch statistics; counters are copied."""
    latest = network.state_dict()
    for name, mean in average.state_dict().items():
        if mean.is_floating_point():
            mean.lerp_(latest[name], 1 - decay)
        else:
            mean.copy_(latest[name])


def _validate(task: Task, network: nn.Module, device: torch.device) -> dict[str, float]:
    with _evaluating(network), _half_precision(device):
        return task.validate(network)


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    network.eval()
    with torch.inference_mode():
        yield


class _Log:
    """metrics.jsonl and one line a person can follow, for a terminal and for three runs in one log alike."""

    def __init__(
        self, config: TrainConfig, run: Run, network: nn.Module, device: torch.device
    ) -> None:
        run.out.mkdir(parents=True, exist_ok=True)
        self._path = run.out / METRICS_NAME
        self._name = config.name
        self._seconds = run.seconds
        self._line(f"{count_parameters(network)} parameters on {device.type}, {run.seconds:.0f} s")

    def trained(self, step: int, elapsed_s: float, loss: float, rate: float) -> None:
        self._append({"step": step, "elapsed_s": round(elapsed_s, 1), "loss": loss, "rate": rate})
        share = min(1.0, elapsed_s / self._seconds)
        bar = "█" * round(share * BAR_WIDTH)
        self._line(f"{bar:·<{BAR_WIDTH}} {share:4.0%}  step {step}  loss {loss:.4f}")

    def validated(self, history: History) -> None:
        self._append({"step": history.step, "validation": dict(history.metrics)})
        scores = "  ".join(f"{name} {value:.3f}" for name, value in history.metrics.items())
        self._line(f"step {history.step}  {scores}")

    def _append(self, row: dict[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _line(self, text: str) -> None:
        sys.stderr.write(f"{self._name:<10} {text}\n")
        sys.stderr.flush()

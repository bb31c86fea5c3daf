"""The one training loop: data, network, optimiser, steps, reports, checkpoints, in the order they happen."""

import copy
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from inference.domain.errors import ConfigurationInvalid, InferenceFailed
from training.augment import Chance, chance_for
from training.checkpoint import Progress, load_resume, save_checkpoint, save_resume
from training.checkpoint import start_weights as begin_with
from training.checkpoint_header import History
from training.config import TrainConfig
from training.networks.registry import build_network, count_parameters
from training.optimiser import bound_gradients, learning_rate, make_optimiser
from training.ranks import Ranks, joined
from training.source import Source
from training.specification import CHECKPOINT_NAME, RESUME_NAME
from training.tasks.registry import open_task
from training.tasks.task import Task
from training.time_box import TimeBox
from training.training_log import TrainingLog

OTHER_SHARE = 0.5
"""Of another anatomy's pool: enough for its scores, whatever its size."""
ENDLESS_S = 10 * 365 * 86_400.0
"""Of a run that ends by its epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """Where a training reads and writes, and when it ends."""

    source: Source
    out: Path
    seconds: float = ENDLESS_S
    """From the call to the saved checkpoint, reading included."""
    planned_s: float | None = None
    """Length of the whole training over all resumed calls, which the learning rate follows; None: this call."""
    resume: bool = False
    max_steps: int | None = None
    """Of this call."""
    start_from: Path | None = None
    """A checkpoint whose weights a run begins with; None, or a run that resumes: random ones, or its own."""
    other: Source | None = None
    """Of another anatomy, never trained on: its scores tell what is learned from what is learned by heart."""
    device: str = "auto"
    code_revision: str = "unknown"


Opener = Callable[[TrainConfig, Source, torch.device], Task]
"""Many short runs on the same cases need not read them every time."""


class Turn(IntEnum):
    """What comes before the next step."""

    NOTHING = 0
    SAVE = 1
    VALIDATE = 2
    FINISH = 3


def train(config: TrainConfig, run: Run, opened: Opener = open_task) -> History:
    """Train until the time is over, the epochs are done or nothing gets better; leaves checkpoint, resume file and metrics in run.out."""
    _require_startable(config, run)
    started = time.monotonic()
    with joined(run.device) as ranks:
        torch.manual_seed(config.seed)
        torch.backends.cudnn.benchmark = True
        task = opened(config, run.source, ranks.device)
        task.grow()
        return _Training(config, run, ranks, task, started).run()


class _Training:
    """The state of one call; `run` reads from top to bottom."""

    def __init__(
        self, config: TrainConfig, run: Run, ranks: Ranks, task: Task, started: float
    ) -> None:
        self.config, self.order, self.ranks, self.task = config, run, ranks, task
        self.other = _other_task(config, run, ranks) if ranks.is_first else None
        # Channels last is what 2D convolutions are fastest in; in 3D it gains nothing.
        flat = len(config.input_shape) == 2
        self.layout = torch.channels_last if flat else torch.contiguous_format
        network = build_network(config.specification.network, config.network)
        self.network = network.to(ranks.device, memory_format=self.layout)
        self.average = copy.deepcopy(self.network)
        self.optimiser = make_optimiser(config, self.network)
        self.progress = self._begin()
        self.first_step = self.progress.step
        self.stepping = ranks.together(self.network)
        batches = config.accumulate * ranks.count
        self.epoch_steps = math.ceil(task.examples() / (config.batch_size * batches))
        self.box = TimeBox(run.seconds, run.planned_s, self.progress.elapsed_s, started)
        self.unreported: list[float] = []
        self.unscored: list[float] = []

    def run(self) -> History:
        config, box, progress = self.config, self.box, self.progress
        log = self._log() if self.ranks.is_first else None
        next_report, next_save = config.report_every_s, config.checkpoint_every_s
        while True:
            turn = Turn(self.ranks.agreed(self._turn(next_save)))
            if turn is not Turn.NOTHING:
                began = time.monotonic()
                history = self._close(turn, log)
                if turn is Turn.FINISH:
                    return history
                self.task.grow()
                box.closed(time.monotonic() - began)
                next_save = box.in_loop_s + config.checkpoint_every_s
                if config.epochs > 0 and turn is Turn.VALIDATE:
                    # What the scores say may end the run before another step.
                    continue

            began = time.monotonic()
            rate = learning_rate(config, progress.step, self._share_done())
            for group in self.optimiser.param_groups:
                group["lr"] = rate
            loss = self._step()
            self.unreported.append(loss)
            self.unscored.append(loss)
            progress.step += 1
            decay = min(config.average_decay, progress.step / (progress.step + 9))
            average_into(self.average, self.network, decay)

            if log and (box.in_loop_s >= next_report or progress.step == self.first_step + 1):
                self._report(log, rate)
                next_report = box.in_loop_s + config.report_every_s
            box.stepped(time.monotonic() - began)

    def _turn(self, next_save: float) -> Turn:
        """Seen from this process; what the first one sees is done."""
        config, step = self.config, self.progress.step
        is_scored = step == self.progress.scored_step
        epoch_done = step > 0 and step % self.epoch_steps == 0 and not is_scored
        all_epochs = config.epochs > 0 and step >= config.epochs * self.epoch_steps
        enough_steps = step - self.first_step == self.order.max_steps
        stale = 0 < config.patience_epochs <= self.progress.epochs_since_best
        if self.box.is_over() or all_epochs or enough_steps or stale:
            return Turn.FINISH
        if config.epochs > 0 and epoch_done:
            return Turn.VALIDATE
        if self.box.in_loop_s >= next_save:
            return Turn.SAVE if config.epochs > 0 else Turn.VALIDATE
        return Turn.NOTHING

    def _step(self) -> float:
        """Gradients of all batches of a step added up, bounded, followed."""
        config, total = self.config, 0.0
        self.network.train()
        self.optimiser.zero_grad(set_to_none=True)
        for number in range(config.accumulate):
            inputs, targets = self.task.batch(self._chance(number))
            placed = [_in_layout(one, self.layout) for one in inputs]
            is_last = number == config.accumulate - 1
            with self.ranks.alone(self.stepping, is_last=is_last):
                with half_precision(self.ranks.device):
                    logits = self.stepping(*placed)
                loss = self.task.loss(logits, targets) / config.accumulate
                loss.backward()
            total += float(loss.detach())
        if not math.isfinite(total):
            raise _diverged(total, self.progress.step)
        bound_gradients(config, self.network)
        self.optimiser.step()
        return total

    def _chance(self, number: int) -> Chance:
        """Of a batch alone: a run that was killed draws the same ones when it goes on."""
        config, ranks = self.config, self.ranks
        batch = (self.progress.step * config.accumulate + number) * ranks.count + ranks.rank
        seed = np.random.SeedSequence((config.seed, batch)).generate_state(1)[0]
        place = batch * config.batch_size
        return chance_for(ranks.device, int(seed), order_seed=config.seed, place=place)

    def _close(self, turn: Turn, log: TrainingLog | None) -> History:
        """Validate where it is time to, and save."""
        config, progress, out = self.config, self.progress, self.order.out
        progress.elapsed_s = self.box.elapsed_s
        if log is None:
            return self._history({})
        if turn is not Turn.SAVE and (progress.step != progress.scored_step):
            scores = self._scores()
            if progress.takes(scores, config.watch):
                progress.best = self._history(scores)
                save_checkpoint(
                    self.average.state_dict(), config, progress.best, out / CHECKPOINT_NAME
                )
            log.validated(step=progress.step, epoch=self._epoch(), scores=scores)
        save_resume(self.network, self.average, self.optimiser, progress, config, out / RESUME_NAME)
        if turn is Turn.FINISH:
            log.close()
        return progress.best or self._history({})

    def _scores(self) -> dict[str, float]:
        scores = _validate(self.task, self.average, self.ranks.device)
        if self.other is not None:
            others = _validate(self.other, self.average, self.ranks.device)
            scores |= {f"other_{name}": value for name, value in others.items()}
        if self.unscored:
            scores["loss"] = float(np.mean(self.unscored))
            self.unscored.clear()
        return scores

    def _history(self, scores: dict[str, float]) -> History:
        return History(
            step=self.progress.step,
            elapsed_s=self.progress.elapsed_s,
            code_revision=self.order.code_revision,
            training_data=f"{self.task.describe()}{self.progress.origin}",
            metrics=scores,
            data_hash=self.task.data_hash(),
        )

    def _begin(self) -> Progress:
        """Random weights, those of another run, or this run's own with all that belongs to them."""
        progress = Progress()
        if self.order.start_from is not None:
            progress.origin = begin_with(self.network, self.order.start_from)
            self.average.load_state_dict(self.network.state_dict())
        if self.order.resume and (self.order.out / RESUME_NAME).is_file():
            path = self.order.out / RESUME_NAME
            progress = load_resume(self.network, self.average, self.optimiser, self.config, path)
        return progress

    def _log(self) -> TrainingLog:
        run, ranks = self.order, self.ranks
        log = TrainingLog(run.out, self.config.name, self.first_step)
        processes = f" in {ranks.count} processes" if ranks.count > 1 else ""
        length = f"{self.config.epochs} epochs of {self.epoch_steps} steps"
        if not self.config.epochs:
            length = f"{run.seconds:.0f} s"
        size = count_parameters(self.network)
        log.said(f"{size} parameters on {ranks.device.type}{processes}, {length}")
        return log

    def _report(self, log: TrainingLog, rate: float) -> None:
        log.trained(
            step=self.progress.step,
            epoch=self._epoch(),
            elapsed_s=self.box.in_call_s,
            share=min(1.0, self._share_done()),
            loss=float(np.mean(self.unreported)),
            rate=rate,
        )
        self.unreported.clear()

    def _share_done(self) -> float:
        if self.config.epochs:
            return self.progress.step / (self.config.epochs * self.epoch_steps)
        return self.box.progress

    def _epoch(self) -> float:
        return self.progress.step / self.epoch_steps


def _require_startable(config: TrainConfig, run: Run) -> None:
    """Hours of training must not be lost to a second call."""
    if run.seconds <= 0:
        raise ConfigurationInvalid(
            found=f"{run.seconds:g} seconds", wanted="more than 0", advice="See --seconds."
        )
    if run.seconds == ENDLESS_S and not config.epochs and run.max_steps is None:
        raise ConfigurationInvalid(
            found=f"{config.name} without an end",
            wanted="epochs in the configuration, or a time box",
            advice="Give --seconds.",
        )
    if (run.out / CHECKPOINT_NAME).is_file() and not (
        run.resume and (run.out / RESUME_NAME).is_file()
    ):
        raise ConfigurationInvalid(
            found=f"a {CHECKPOINT_NAME} in {run.out.name} that this call would overwrite",
            wanted=f"a folder without one, or {RESUME_NAME} beside it and --resume",
            advice="Go on with --resume, name another --out, or move the checkpoint and begin with it by --start-from.",
        )


def _diverged(loss: float, step: int) -> InferenceFailed:
    return InferenceFailed(
        found=f"a loss of {loss} at step {step}",
        wanted="a number",
        advice="Lower learning_rate or clip_norm; --resume goes on from what was saved before.",
    )


def _other_task(config: TrainConfig, run: Run, ranks: Ranks) -> Task | None:
    """The pool of another anatomy, for its scores alone."""
    if run.other is None:
        return None
    task = open_task(replace(config, validation_share=OTHER_SHARE), run.other, ranks.device)
    task.grow()
    return task


def _in_layout(inputs: Tensor, layout: torch.memory_format) -> Tensor:
    return inputs.contiguous(memory_format=layout) if inputs.ndim == 4 else inputs.contiguous()


def half_precision(device: torch.device) -> torch.autocast:
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
    with _evaluating(network), half_precision(device):
        return task.validate(network)


@contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    network.eval()
    with torch.inference_mode():
        yield

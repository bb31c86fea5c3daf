"""All networks of one table, one after the other: an encoder where there are no real weights, then the four that are compared."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from training.config import TrainConfig, load_config
from training.loop import ENDLESS_S, Run, train
from training.sam.start import Start, start_from_encoder, start_from_folder
from training.source import Source
from training.specification import CHECKPOINT_NAME

ENCODER = "sam_encoder"
PROMPTED = ("sam_hq", "sam")
UNPROMPTED = ("slices_deeplab", "slices_unet")
START_NAME = "start.safetensors"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What is trained on what."""

    source: Source
    out: Path
    configs: Path
    """A folder with a configuration of each network."""
    weights: Mapping[str, Path]
    """Folders of real weights by configuration; none: an encoder is taught first."""
    code_revision: str
    seed: int = 1
    held_out: float = 0.2
    """Of the patients, where no split is named."""
    epochs: int | None = None
    """Of each network, in place of the configurations'."""
    max_steps: int | None = None
    seconds: float = ENDLESS_S
    """Of each network, at most."""
    device: str = "auto"


def train_all(order: Comparison) -> dict[str, Path]:
    """Checkpoints by configuration; a call that was stopped goes on where it was."""
    checkpoints = {}
    for name in PROMPTED:
        start = _start(name, order)
        checkpoints[name] = _trained(name, start.config, order, start.checkpoint)
    for name in UNPROMPTED:
        checkpoints[name] = _trained(name, _config(name, order), order, None)
    return checkpoints


def _start(name: str, order: Comparison) -> Start:
    config = _config(name, order)
    out = order.out / name / START_NAME
    if name in order.weights:
        return start_from_folder(config, order.weights[name], out, order.code_revision)
    encoder = _trained(ENCODER, _config(ENCODER, order), order, None)
    return start_from_encoder(config, encoder, out, order.code_revision)


def _config(name: str, order: Comparison) -> TrainConfig:
    """With the split of all others, or the comparison would be none."""
    config = load_config(order.configs / f"{name}.toml")
    config = replace(config, seed=order.seed, validation_share=order.held_out)
    return config if order.epochs is None else replace(config, epochs=order.epochs)


def _trained(name: str, config: TrainConfig, order: Comparison, start: Path | None) -> Path:
    out = order.out / name
    done, checkpoint = out / "done", out / CHECKPOINT_NAME
    if done.is_file():
        return checkpoint
    sys.stderr.write(f"training {name}\n")
    run = Run(
        source=order.source,
        out=out,
        seconds=order.seconds,
        max_steps=order.max_steps,
        resume=True,
        start_from=start,
        device=order.device,
        code_revision=order.code_revision,
    )
    train(config, run)
    done.touch()
    return checkpoint

"""The mean of several checkpoints' weights: of runs that began with the same ones, it is often better than each.

Wortsman et al., Model soups, ICML 2022 (arXiv 2203.05482).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor

from inference.domain.errors import ConfigurationInvalid
from training.checkpoint import Checkpoint, load_checkpoint, save_checkpoint
from training.checkpoint_header import History

SAME_START = "Name checkpoints of runs that began with the same weights (--start-from)."


def average_checkpoints(paths: Sequence[Path], out: Path, code_revision: str) -> History:
    """Written with the last one's configuration and without scores: what it can do is not known before it is measured."""
    loaded = [load_checkpoint(path) for path in paths]
    if len(loaded) < 2:
        raise _unfit(f"{len(loaded)} checkpoint", "two checkpoints or more")
    if len({path.resolve() for path in paths}) < len(paths):
        raise _unfit("a checkpoint that is named twice", "different checkpoints")
    if out.exists():
        raise _unfit(f"a file at {out.name} already", "a new file to write", "Name another --out.")
    first, last = loaded[0].config, loaded[-1].config
    for path, one in zip(paths, loaded, strict=True):
        if (one.config.task, one.config.network) != (first.task, first.network):
            raise _unfit(f"another network in {path.name} of {path.parent.name}", "one network")
    history = History(
        step=loaded[-1].history.step,
        elapsed_s=sum(one.history.elapsed_s for one in loaded),
        code_revision=code_revision,
        training_data=_told(loaded),
        metrics={},
    )
    save_checkpoint(_mean([one.network.state_dict() for one in loaded]), last, history, out)
    return history


def _mean(all_weights: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Counters, which have no mean, are the last one's."""
    return {
        name: torch.stack([weights[name] for weights in all_weights]).mean(0)
        if latest.is_floating_point()
        else latest
        for name, latest in all_weights[-1].items()
    }


def _told(loaded: Sequence[Checkpoint]) -> str:
    parts = [
        f"({number}) {one.history.step} steps: {one.history.training_data}"
        for number, one in enumerate(loaded, start=1)
    ]
    return f"Mean of the weights of {len(loaded)} runs. " + " ".join(parts)


def _unfit(found: str, wanted: str, advice: str = SAME_START) -> ConfigurationInvalid:
    return ConfigurationInvalid(found=found, wanted=wanted, advice=advice)

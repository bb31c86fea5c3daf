"""A trained folder as nnU-Net reads it for prediction, a few megabytes: checkpoints without what only a training needs."""

import pickle
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from inference.domain.errors import UnreadableInput
from training.nnunet.predict import FINAL
from training.nnunet.workspace import DATASET_NAME

THEIR_TRAINER = "nnUNetTrainer"
"""It builds the same network as ours, and any nnU-Net has it."""


def slim(model: Path, folds: Sequence[int], out: Path) -> dict[Path, int]:
    """Files written and their sizes."""
    import torch

    written = []
    out.mkdir(parents=True, exist_ok=True)
    for name in ("plans.json", DATASET_NAME):
        (out / name).write_bytes((model / name).read_bytes())
        written.append(out / name)
    for fold in folds:
        full = read_checkpoint(model / f"fold_{fold}" / FINAL)
        target = out / f"fold_{fold}" / FINAL
        target.parent.mkdir(exist_ok=True)
        kept = {
            "network_weights": dict(full["network_weights"]),
            "init_args": {"configuration": full["init_args"]["configuration"]},
            "inference_allowed_mirroring_axes": full["inference_allowed_mirroring_axes"],
            "trainer_name": THEIR_TRAINER,
        }
        torch.save(kept, target)
        written.append(target)
    return {path: path.stat().st_size for path in written}


def read_checkpoint(path: Path) -> dict[str, Any]:
    """nnU-Net's checkpoint without running what a pickle may ask for; raises UnreadableInput."""
    import numpy as np
    import torch

    scalar = np._core.multiarray.scalar  # type: ignore[attr-defined]
    # Scalars in nnU-Net's own log; the rest are tensors, texts and numbers.
    harmless = [
        np.dtype,
        scalar,
        # As NumPy 1 called it, under which many networks of others were trained.
        (scalar, "numpy.core.multiarray.scalar"),
        *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.bool_)),
    ]
    try:
        with torch.serialization.safe_globals(harmless):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as problem:
        refused = re.search(r"Unsupported global: GLOBAL ([\w.]{1,80})", str(problem))
        more = f" ({refused[1]})" if refused else ""
        raise _no_checkpoint(path, f"more than weights and numbers{more}") from problem
    weights = content.get("network_weights") if isinstance(content, dict) else None
    if not isinstance(weights, dict) or not all(map(torch.is_tensor, weights.values())):
        raise _no_checkpoint(path, "no weights by name")
    whole: dict[str, Any] = content
    return whole


def _no_checkpoint(path: Path, holds: str) -> UnreadableInput:
    return UnreadableInput(
        found=f"{path.name} that is no checkpoint of nnU-Net, or holds {holds}",
        wanted=f"the {FINAL} of a finished training",
        advice="Copy the trained folder again, whole; nothing in a checkpoint is run, so one that asks for it stays out.",
    )

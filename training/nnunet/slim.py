"""A trained folder as nnU-Net reads it for prediction, a few megabytes: checkpoints without what only a training needs."""

import pickle
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

    # Scalars in nnU-Net's own log; the rest are tensors, texts and numbers.
    harmless = [
        np.dtype,
        np._core.multiarray.scalar,  # type: ignore[attr-defined]
        *(type(np.dtype(kind)) for kind in (np.float64, np.float32, np.int64, np.bool_)),
    ]
    try:
        with torch.serialization.safe_globals(harmless):
            content: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as problem:
        raise UnreadableInput(
            found=f"{path.name} that is no checkpoint of nnU-Net, or holds more than weights and numbers",
            wanted=f"the {FINAL} of a finished training",
            advice="Train the fold again.",
        ) from problem
    return content

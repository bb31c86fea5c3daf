"""What a checkpoint says of itself, read without torch: safetensors keeps it in front of the weights."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.domain.errors import UnreadableInput

LONGEST_HEADER = 4 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Where a checkpoint comes from."""

    step: int
    elapsed_s: float
    code_revision: str
    training_data: str
    """What the network saw, in a sentence."""
    metrics: Mapping[str, float]
    data_hash: str = ""
    """Of all voxels and labels of a folder of labelled cases; empty for a pool, which its seeds describe."""


def history_from(metadata: Mapping[str, str]) -> History:
    """The history in a checkpoint's metadata; raises KeyError or ValueError."""
    return History(
        step=int(metadata["step"]),
        elapsed_s=float(metadata["elapsed_s"]),
        code_revision=metadata["code_revision"],
        training_data=metadata["training_data"],
        metrics=json.loads(metadata["metrics"]),
        data_hash=metadata.get("data_hash", ""),
    )


def read_history(path: Path) -> History:
    """The history of a checkpoint file; raises UnreadableInput."""
    return history_from(read_metadata(path))


def read_metadata(path: Path) -> Mapping[str, str]:
    """All that a checkpoint file says of itself; raises UnreadableInput."""
    try:
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 0 < length <= LONGEST_HEADER:
                raise ValueError("length")
            metadata: Mapping[str, str] = json.loads(file.read(length))["__metadata__"]
        history_from(metadata)
    except (OSError, KeyError, TypeError, ValueError) as problem:
        raise UnreadableInput(
            found=f"no history in {path.name}",
            wanted="a checkpoint of python -m training",
            advice="Restore the file, or train again.",
        ) from problem
    return metadata

"""What `habitus warm` leaves for a network on an accelerator: TensorRT's engine, and the proof of how precisely it computes.

A folder each, named by a hash of all that the engine depends on. The proof is written last and names every engine file with its hash:
without it, nothing was built.
"""

import hashlib
import json
import stat
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from inference.code_folders import closed_folder
from inference.domain.manifest import sha256_of
from inference.engine.answers_compared import Difference
from inference.engine.providers import PROVIDERS

PROOF_NAME = "proof.json"
ENGINES = "*.engine"
TIMING = "*.timing"
SCHEMA = 1


class Precision(StrEnum):
    """In which a network computes."""

    REDUCED = "reduced"
    """float16 by TensorRT, TF32 by CUDA."""
    FULL = "full"
    """float32; TensorRT takes TF32 there, too, which is why that is proven as well."""
    UNFIT = "unfit"
    """Neither gives the answers of the CPU: the provider is passed over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """All that a built engine depends on, besides its network."""

    onnxruntime: str
    tensorrt: str
    gpu: str
    driver: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Built:
    """What was built and proven for one network on one provider."""

    folder: Path
    precision: Precision


def key_of(provider: str, model_sha256: str, surroundings: Surroundings) -> str:
    """The folder's name, 32 hex digits: nothing that a file or a driver says becomes part of a path."""
    if provider != PROVIDERS["tensorrt"]:
        surroundings = replace(surroundings, tensorrt="")
    parts = [provider, model_sha256, asdict(surroundings)]
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


def fresh_folder(root: Path, key: str) -> Path:
    """An empty one for this key, closed to everybody else; what was known of how long kernels take stays."""
    folder = closed_folder(closed_folder(root) / key)
    (folder / PROOF_NAME).unlink(missing_ok=True)
    clear_engines(folder)
    return folder


def clear_engines(folder: Path) -> None:
    """Those of an earlier try."""
    for engine in folder.glob(ENGINES):
        engine.unlink()


def write_proof(folder: Path, precision: Precision, differences: Sequence[Difference]) -> None:
    """Last of all."""
    told = {
        "schema": SCHEMA,
        "precision": precision,
        "differences": [asdict(each) for each in differences],
        "engines": {path.name: sha256_of(path) for path in sorted(folder.glob(ENGINES))},
    }
    partial = folder / f"{PROOF_NAME}.part"
    partial.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    partial.replace(folder / PROOF_NAME)


def built_in(folder: Path, most_error: float) -> Built | None:
    """What is there, whole, and precise enough for the site as it is set now; None: nothing that may be used."""
    try:
        if stat.S_IMODE(folder.stat().st_mode) & 0o022:
            # An engine is code: not from where others may put one.
            return None
        told: Any = json.loads((folder / PROOF_NAME).read_text(encoding="utf-8"))
        precision = Precision(told["precision"])
        last = Difference(**told["differences"][-1])
        engines = {str(name): str(sha256) for name, sha256 in told["engines"].items()}
        is_whole = told["schema"] == SCHEMA and engines == {
            path.name: sha256_of(path) for path in folder.glob(ENGINES)
        }
    except (OSError, ValueError, KeyError, TypeError, IndexError, AttributeError):
        return None
    if not is_whole:
        return None
    if precision is not Precision.UNFIT and not last.is_within(most_error):
        return None
    return Built(folder=folder, precision=precision)

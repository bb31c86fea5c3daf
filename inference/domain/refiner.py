"""A network that redraws an organ of a slice from prompts: the port to it, and its manifest with the prompt contract."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import numpy.typing as npt

from inference.domain.errors import ChecksumMismatch
from inference.domain.labelmap import Structure
from inference.domain.manifest import (
    NAME_PATTERN,
    VERSION_PATTERN,
    Parity,
    built,
    manifest_invalid,
    sha256_of,
)

REFINER_SCHEMA_VERSION = 1
REFINER_TASK = "refine-organs"
REFINER_NAME = "refiner.json"
ENCODER_NAME, DECODER_NAME = "image_encoder.onnx", "mask_decoder.onnx"

Float = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class RefinerManifest:
    """Everything the node must know of an image encoder and a mask decoder; written last, after parity was proven."""

    schema_version: int
    name: str
    version: str
    task: str
    encoder_sha256: str
    decoder_sha256: str
    checkpoint_sha256: str
    side: int
    """Rows and columns of the image."""
    mask_side: int
    """Rows and columns of a mask, asked and answered."""
    hu_window: tuple[float, float]
    """Hounsfield units mapped to 0 and 1; values outside are clipped."""
    mean: float
    """Subtracted after the window."""
    sd: float
    """Divided by after the mean."""
    prompt_tokens: int
    mask_logit: float
    """Of a mask prompt inside; outside it is the negative."""
    asked: str
    """The prompt it was evaluated with and that the node gives: "box", "box+mask" …"""
    embeddings: tuple[str, ...]
    """What the encoder gives and the decoder takes, in order."""
    contract: tuple[str, ...]
    """The same in sentences, for whoever uses the files without this node."""
    structures: tuple[str, ...]
    """What it was taught to redraw."""
    opset: int
    parity: Parity
    """Of both files together, image to mask, on the named inputs."""
    parameters: int
    training_data: str
    code_revision: str
    intended_use: str
    licence: str

    @property
    def sha256(self) -> str:
        """Of both files, for results to name."""
        return self.encoder_sha256[:32] + self.decoder_sha256[:32]


class Refiner(Protocol):
    """Both networks, loaded."""

    @property
    def manifest(self) -> RefinerManifest:
        """What goes in and what comes out."""
        ...

    @property
    def provider(self) -> str:
        """The execution provider really in use."""
        ...

    def embed(self, image: Float) -> tuple[Float, ...]:
        """Of one normalised image [side, side]; raises InferenceFailed."""
        ...

    def mask_logits(
        self, embeddings: tuple[Float, ...], points: Float, kinds: Ints, mask: Float, has_mask: bool
    ) -> Float:
        """The answer [mask_side, mask_side] to one prompt (inference.stages.prompts.Prompt); raises InferenceFailed."""
        ...


def refiner_to_json(manifest: RefinerManifest) -> str:
    """As stored: sorted, indented JSON."""
    return json.dumps(asdict(manifest), indent=2, sort_keys=True) + "\n"


def refiner_from_json(text: str) -> RefinerManifest:
    """Parse and check; raises ManifestInvalid."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise manifest_invalid(f"a {REFINER_NAME} that is not JSON", "one JSON object") from exc
    manifest: RefinerManifest = built(RefinerManifest, raw, "refiner")
    _check(manifest)
    return manifest


def load_refiner_manifest(folder: Path) -> RefinerManifest:
    """Of a model folder, both files verified against their hashes; raises ModelUnusable."""
    path = folder / REFINER_NAME
    if not path.is_file():
        raise manifest_invalid(f"no {REFINER_NAME} in {folder.name}", "a complete model folder")
    manifest = refiner_from_json(path.read_text(encoding="utf-8", errors="replace"))
    for name, wanted in (
        (ENCODER_NAME, manifest.encoder_sha256),
        (DECODER_NAME, manifest.decoder_sha256),
    ):
        found = sha256_of(folder / name) if (folder / name).is_file() else "no file"
        if found != wanted:
            raise ChecksumMismatch(
                found=f"{name} {found[:16]} in {folder.name}",
                wanted=f"sha256 {wanted[:16]}… as its manifest says",
                advice="Restore the folder, or export the model again.",
            )
    return manifest


def _check(manifest: RefinerManifest) -> None:
    """The rules between fields."""
    rules = {
        f"schema_version {manifest.schema_version}": manifest.schema_version
        == REFINER_SCHEMA_VERSION,
        f"task {manifest.task!r:.40}": manifest.task == REFINER_TASK,
        f"name {manifest.name!r:.80}": bool(NAME_PATTERN.fullmatch(manifest.name)),
        f"version {manifest.version!r:.40}": bool(VERSION_PATTERN.fullmatch(manifest.version)),
        f"sides {manifest.side} and {manifest.mask_side}": 16 <= manifest.side <= 4096
        and 16 <= manifest.mask_side <= 4096,
        f"hu_window {manifest.hu_window}": manifest.hu_window[0] < manifest.hu_window[1],
        f"sd {manifest.sd}": manifest.sd > 0,
        f"prompt_tokens {manifest.prompt_tokens}": manifest.prompt_tokens == 4,
        f"embeddings {manifest.embeddings}": len(manifest.embeddings) in (1, 2),
        "structures that are none of ours": bool(manifest.structures)
        and set(manifest.structures) <= set(Structure),
        "a parity error above its own tolerance": all(
            error <= manifest.parity.tolerance_max_abs
            for error in manifest.parity.max_abs_error.values()
        ),
    }
    for found, holds in rules.items():
        if not holds:
            raise manifest_invalid(f"{manifest.name[:64]}: {found}", "a consistent manifest")

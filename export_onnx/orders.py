"""What to export from where to where, and whether the checkpoint is the one it claims to be; importable without torch."""

from dataclasses import dataclass
from pathlib import Path

from inference.domain.errors import ChecksumMismatch, ConfigurationInvalid
from inference.domain.manifest import NAME_PATTERN, manifest_from_json, sha256_of
from inference.engine.model_store import SHIPPED_MODELS
from training.specification import CHECKPOINT_NAME, SPECIFICATIONS

MANIFEST_NAME = "manifest.json"
SHIPPED_NAMES = frozenset({*SPECIFICATIONS, "organs-vessels"})
"""One network of each of our tasks, and a second one of the organs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One model to make."""

    name: str
    version: str
    checkpoint: Path
    folder: Path
    """Where it goes; replaced as a whole."""
    may_miss_gate: bool = False
    """Of its configuration: exported all the same, and manifest and card say so."""


def is_shipped(folder: Path) -> bool:
    """Whether a model folder is one of this repository, whose figures are known."""
    return folder.resolve().parent == SHIPPED_MODELS.resolve() and folder.name in SHIPPED_NAMES


def known_export(folder: Path) -> Export:
    """The order to make a shipped model again; raises ModelUnusable unless its checkpoint is the recorded one."""
    manifest_path, checkpoint = folder / MANIFEST_NAME, folder / CHECKPOINT_NAME
    if not manifest_path.is_file() or not checkpoint.is_file():
        raise ConfigurationInvalid(
            found=f"models/{folder.name} without {CHECKPOINT_NAME} and {MANIFEST_NAME}",
            wanted="a model folder of this repository",
            advice=f"Restore it with git checkout -- models/{folder.name}, or export your own "
            f"checkpoint: make onnx MODEL={folder.name} CHECKPOINT=path.",
        )
    manifest = manifest_from_json(manifest_path.read_text(encoding="utf-8"))
    found = sha256_of(checkpoint)
    if found != manifest.checkpoint_sha256:
        raise ChecksumMismatch(
            found=f"{CHECKPOINT_NAME} {found[:16]}… in models/{folder.name}",
            wanted=f"sha256 {manifest.checkpoint_sha256[:16]}…, the checkpoint of its manifest",
            advice=f"The file has changed. Restore it with git checkout -- models/{folder.name}, or, "
            f"if you trained it, export it under a name: make onnx MODEL=name CHECKPOINT=path.",
        )
    return Export(name=folder.name, version=manifest.version, checkpoint=checkpoint, folder=folder)


def new_export(
    name: str, version: str, checkpoint: Path, models: Path, *, may_miss_gate: bool = False
) -> Export:
    """The order to export a checkpoint under a name that is free; raises ConfigurationInvalid."""
    if not NAME_PATTERN.fullmatch(name):
        raise ConfigurationInvalid(
            found=f"model name {name!r:.80}",
            wanted="lower case letters, digits, '.', '_', '-'",
            advice="Choose another name.",
        )
    if (models / name).exists():
        raise ConfigurationInvalid(
            found=f"{models.name}/{name}, which exists",
            wanted="a free name",
            advice="Choose another name, or replace it on purpose with --replace.",
        )
    return replacing_export(name, version, checkpoint, models, may_miss_gate=may_miss_gate)


def replacing_export(
    name: str, version: str, checkpoint: Path, models: Path, *, may_miss_gate: bool = False
) -> Export:
    """The order to export a checkpoint whatever stands under that name."""
    return Export(
        name=name,
        version=version,
        checkpoint=checkpoint,
        folder=models / name,
        may_miss_gate=may_miss_gate,
    )

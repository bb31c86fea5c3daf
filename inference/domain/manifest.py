"""ModelManifest: the contract between training and the node, typed and checked when loaded."""

import hashlib
import json
import math
import re
from dataclasses import MISSING, asdict, dataclass, fields
from pathlib import Path
from types import UnionType
from typing import Any, get_args

from inference.domain.errors import ChecksumMismatch, ManifestInvalid
from inference.domain.labelmap import LISTED, Structure
from inference.domain.nnunet_recipe import Recipe, Resampling

SCHEMA_VERSION = 1
LAYOUTS = {
    "l3-level": "NCZW",
    "l3-spine": "NCZYX",
    "l3-slice": "NCYX",
    "l3-tissue": "NCYX",
    "organs": "NCZYX",
}
TASKS = tuple(LAYOUTS)
UNREPORTED = "~"
"""Before the name of a label that a network of others has and the node does not know."""
VERSION_PATTERN = re.compile(r"[0-9A-Za-z.+_-]{1,40}")
NAME_PATTERN = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSpec:
    """What goes into the network, and how it is made from Hounsfield units."""

    name: str
    dtype: str
    """float32 only, today."""
    layout: str
    """Axis letters of the tensor, e.g. "NCZYX", "NCYX", "NCZW"."""
    shape: tuple[int, ...]
    """Static shape; the batch axis is 1 here and may be larger at run time where batch_is_dynamic."""
    spacing_mm: tuple[float, ...]
    """Voxel step along the spatial axes of the layout."""
    hu_window: tuple[float, float]
    """Hounsfield units mapped to 0 and 1 before normalisation; values outside are clipped."""
    mean: float
    """Subtracted after the window."""
    sd: float
    """Divided by after the mean."""
    batch_is_dynamic: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class OutputSpec:
    """What comes out: one channel per label (argmax), or one curve per landmark."""

    name: str
    shape: tuple[int, ...]
    labels: tuple[str, ...]
    """Channel names in order; for segmentation the first is "background"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parity:
    """How far ONNX Runtime is from the network it was exported from, on the named inputs."""

    tolerance_max_abs: float
    """What the export allowed, in units of the logits; made from their range."""
    max_abs_error: dict[str, float]
    """Per input: slab, noise, air."""
    argmax_agreement: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelManifest:
    """Everything the node must know of one model; written last, after parity was proven."""

    schema_version: int
    name: str
    version: str
    task: str
    onnx_sha256: str
    checkpoint_sha256: str
    input: InputSpec
    output: OutputSpec
    opset: int
    parity: Parity
    parameters: int
    training_data: str
    """What the network saw, in a sentence; says synthetic where it was."""
    code_revision: str
    intended_use: str
    licence: str
    recipe: Recipe | None = None
    """Of an nnU-Net, which is run as its plans say; None: by our own stages."""

    def structures(self) -> dict[int, Structure]:
        """Output channel to structure (segmentation tasks); background and what the node does not report are left out."""
        return {
            channel: Structure(label)
            for channel, label in enumerate(self.output.labels)
            if label != "background" and not label.startswith(UNREPORTED)
        }


def manifest_to_json(manifest: ModelManifest) -> str:
    """The manifest as stored: sorted, indented JSON."""
    stored = {name: value for name, value in asdict(manifest).items() if value is not None}
    return json.dumps(stored, indent=2, sort_keys=True) + "\n"


def manifest_from_json(text: str) -> ModelManifest:
    """Parse and check a manifest; raises ManifestInvalid."""
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as exc:
        raise manifest_invalid("a manifest that is not JSON", "one JSON object") from exc
    manifest: ModelManifest = built(ModelManifest, raw, "manifest")
    _check(manifest)
    return manifest


def load_manifest(folder: Path) -> ModelManifest:
    """The manifest of a model folder, its model.onnx verified against the hash; raises ModelUnusable."""
    path = folder / "manifest.json"
    if not path.is_file():
        raise manifest_invalid(f"no manifest.json in {folder.name}", "a complete model folder")
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError as exc:
        raise manifest_invalid(
            f"a manifest in {folder.name} that is not UTF-8", "JSON text"
        ) from exc
    manifest = manifest_from_json(text)
    onnx_path = folder / "model.onnx"
    found = sha256_of(onnx_path) if onnx_path.is_file() else "no file"
    if found != manifest.onnx_sha256:
        raise ChecksumMismatch(
            found=f"model.onnx {found[:16]} in {folder.name}",
            wanted=f"sha256 {manifest.onnx_sha256[:16]}… as its manifest says",
            advice="Restore the folder from the release, or run make onnx again.",
        )
    return manifest


def sha256_of(path: Path) -> str:
    """Hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def manifest_invalid(found: str, wanted: str) -> ManifestInvalid:
    return ManifestInvalid(
        found=found, wanted=wanted, advice="Export the model again with make onnx."
    )


def built(kind: type, raw: Any, where: str) -> Any:
    """An instance of a manifest's dataclass from parsed JSON; unknown and missing fields are errors."""
    if not isinstance(raw, dict):
        raise manifest_invalid(f"{where}: {type(raw).__name__}", "an object")
    known = {f.name: f for f in fields(kind)}
    if unknown := sorted(set(raw) - set(known)):
        raise manifest_invalid(f"{where}: unknown field {unknown[0]!r}", f"only {sorted(known)}")
    wanted = {f.name for f in fields(kind) if f.default is MISSING}
    if missing := sorted(wanted - set(raw)):
        raise manifest_invalid(f"{where}: no field {missing[0]!r}", "every field of the schema")
    return kind(
        **{
            name: _value(known[name].type, raw[name], f"{where}.{name}")
            for name in known
            if name in raw
        }
    )


def _value(kind: Any, raw: Any, where: str) -> Any:
    """A checked value of the given type annotation."""
    if isinstance(kind, UnionType):
        one, _none = get_args(kind)
        return None if raw is None else _value(one, raw, where)
    if kind in (InputSpec, OutputSpec, Parity, Recipe, Resampling):
        return built(kind, raw, where)
    text = str(kind)
    if text.startswith("tuple["):
        item = str if "str" in text else int if "int" in text else float
        if not isinstance(raw, list):
            raise manifest_invalid(f"{where}: {type(raw).__name__}", "a list")
        parts = get_args(kind)
        if Ellipsis not in parts and len(raw) != len(parts):
            raise manifest_invalid(f"{where}: {len(raw)} numbers", f"{len(parts)} numbers")
        return tuple(_value(item, value, where) for value in raw)
    if text.startswith("dict["):
        if not isinstance(raw, dict):
            raise manifest_invalid(f"{where}: {type(raw).__name__}", "an object")
        return {str(key): _value(float, value, where) for key, value in raw.items()}
    if kind is float and isinstance(raw, int) and not isinstance(raw, bool):
        raw = float(raw)
    if type(raw) is not kind or (kind is float and not math.isfinite(raw)):
        raise manifest_invalid(f"{where}: {raw!r:.40}", kind.__name__)
    return raw


def _check(manifest: ModelManifest) -> None:
    """The rules between fields."""
    if manifest.schema_version > SCHEMA_VERSION:
        raise ManifestInvalid(
            found=f"{manifest.name[:64]}: schema_version {manifest.schema_version}",
            wanted=f"{SCHEMA_VERSION} or less",
            advice="This model was made by a newer Habitus: update this one.",
        )
    spec, out = manifest.input, manifest.output
    segmentation = manifest.task in ("l3-tissue", "organs")
    rules = {
        f"schema_version {manifest.schema_version}": manifest.schema_version == SCHEMA_VERSION,
        f"task {manifest.task!r}": manifest.task in TASKS,
        f"name {manifest.name!r:.80}": bool(NAME_PATTERN.fullmatch(manifest.name)),
        f"dtype {spec.dtype!r}": spec.dtype == "float32",
        f"layout {spec.layout!r} for shape {spec.shape}": len(spec.layout) == len(spec.shape),
        f"spacing {spec.spacing_mm}": len(spec.spacing_mm) == len(spec.shape) - 2
        and all(step > 0 for step in spec.spacing_mm),
        f"shape {spec.shape}": all(0 < size <= 1024 for size in spec.shape),
        f"sd {spec.sd}": spec.sd > 0,
        f"hu_window {spec.hu_window}": spec.hu_window[0] < spec.hu_window[-1],
        f"{len(out.labels)} labels for output {out.shape}": len(out.shape) > 1
        and len(out.labels) == out.shape[1],
        "a parity error above its own tolerance": all(
            error <= manifest.parity.tolerance_max_abs
            for error in manifest.parity.max_abs_error.values()
        ),
        f"labels {out.labels[:1]}": not segmentation
        or (
            out.labels[:1] == ("background",)
            and all(
                label in (*Structure, *LISTED) or label.startswith(UNREPORTED)
                for label in out.labels[1:]
            )
            and len(set(out.labels)) == len(out.labels)
        ),
        f"labels {out.labels[:2]} of a slice network": manifest.task != "l3-slice"
        or out.labels == ("L3",),
        f"layout {spec.layout!r:.20}": spec.layout == _layout(manifest),
        **dict.fromkeys(_recipe_faults(manifest), False),
        f"version {manifest.version!r:.40}": bool(VERSION_PATTERN.fullmatch(manifest.version)),
    }
    for found, holds in rules.items():
        if not holds:
            raise manifest_invalid(f"{manifest.name[:64]}: {found}", "a consistent manifest")


def _layout(manifest: ModelManifest) -> str | None:
    """A network of nnU-Net may look at slices where ours looks at volumes."""
    if manifest.recipe is not None and manifest.recipe.is_flat and manifest.task == "organs":
        return "NCYX"
    return LAYOUTS.get(manifest.task)


def _recipe_faults(manifest: ModelManifest) -> tuple[str, ...]:
    recipe = manifest.recipe
    if recipe is None:
        return ()
    if recipe.patch != manifest.input.shape[2:] or recipe.channels != len(manifest.output.labels):
        return (f"a recipe for patches {recipe.patch} and {recipe.channels} labels",)
    return (*recipe.faults(), *(() if manifest.task == "organs" else ("a recipe of another task",)))

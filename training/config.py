"""TrainConfig: everything that decides what a training run does, read once from TOML; an unknown key is an error."""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from inference.domain.errors import ConfigurationInvalid
from training.gate import Gate, gate_from
from training.specification import LABEL_SETS, TaskSpecification, specification

OPTIMISERS = ("adamw", "adam", "sgd")
RATE_COURSES = ("cosine", "poly", "constant")
CLIP_METHODS = ("global", "per-layer", "none")
Options = TypeVar("Options")
ADVICE = "See training/config.py for every key and training/configs for examples."


@dataclass(frozen=True, slots=True, kw_only=True)
class Augmentation:
    """How far a batch is varied; every amount is a largest value unless it says otherwise."""

    hu_shift: float = 0.0
    """Offset of all Hounsfield units."""
    contrast: float = 0.0
    """Relative change of contrast about 50 HU."""
    gamma: float = 0.0
    """Logarithm of the exponent applied inside the window."""
    noise_hu: float = 0.0
    """Standard deviation of added noise."""
    blur: float = 0.0
    """Weight of the two neighbours along each axis."""
    rotate_deg: float = 0.0
    scale: float = 0.0
    """Relative change of size."""
    shift_mm: float = 0.0
    mirror_probability: float = 0.0
    """Left and right exchanged; 0 where they are told apart."""
    crop_probability: float = 0.0
    """How often the field ends inside the patch, as in a short scan."""
    elastic_mm: float = 0.0
    """Standard deviation of smooth displacements: with few anatomies shapes would be learnt by heart."""
    flank_slope: float = 0.0
    """Tangent by which the flanks hang lower or higher at most: the ends of ribs tell no level, only where ribs begin."""
    swell_mm: float = 0.0
    """How far the border of a label moves outwards or inwards at most: organs of few anatomies have few sizes."""
    drift_mm: float = 0.0
    """How far each organ moves along each axis at most, on its own, small ones less: organs of few anatomies have few places."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainConfig:
    """One network's training."""

    name: str
    """Name of the model folder."""
    task: str
    input_shape: tuple[int, ...]
    """Spatial shape of one training example."""
    network: Mapping[str, Any]
    """Keyword arguments of the network."""
    hu_window: tuple[float, ...]
    mean: float
    sd: float
    batch_size: int
    learning_rate: float
    weight_decay: float
    warmup_steps: int
    clip_norm: float
    average_decay: float
    """Of the running mean of the weights, which is what is evaluated and saved."""
    seed: int
    report_every_s: float
    checkpoint_every_s: float
    validation_share: float
    """Part of the pool kept back, chosen by seed."""
    validation_examples: int
    """At most so many kept-back files are scored: torsos, projected fields, or anatomies with eight slices each."""
    augmentation: Augmentation = Augmentation()
    heaviest_label: float = 1.0
    """Most that a voxel of a rare label weighs in the cross entropy of the organs; 1: all weigh the same."""

    repainted_share: float = 0.0
    """Of the examples of tissue and organs: those that are painted anew from their fine labels at every step."""
    network_name: str = ""
    """Of training.networks.registry; empty: the task's usual one."""
    labels: tuple[str, ...] = ()
    """Output channels, the background first; empty: the task's usual ones."""
    label_set: str = ""
    """Output channels by a data set's name (btcv, flare22), in place of labels."""
    spacing_mm: tuple[float, ...] = ()
    """Of the task's grid; empty: its usual one."""
    epochs: int = 0
    """Passes over the training examples; 0: until the time is over."""
    patience_epochs: int = 0
    """Ends a run whose watched score did not rise for so many epochs; 0: never."""
    watch: str = ""
    """The score whose best checkpoint is kept; empty: the last one is."""
    release_gate: str = ""
    """Such as iou=0.9: a checkpoint whose validation scores are lower is not exported unless that is asked for; empty: none."""
    accumulate: int = 1
    """Batches whose gradients are added up before a step."""
    optimiser: str = "adamw"
    momentum: float = 0.9
    """Of sgd."""
    rate_course: str = "cosine"
    """How the learning rate falls over the planned time or epochs; poly is nnU-Net's."""
    clip_method: str = "global"
    """clip_norm bounds the gradient of all weights together, or of each layer's alone."""
    options: Mapping[str, Any] = field(default_factory=dict)
    """What only this task knows; it refuses what it does not."""

    @property
    def specification(self) -> TaskSpecification:
        """The task's, with this configuration's network, labels and grid."""
        base = specification(self.task)
        return replace(
            base,
            network=self.network_name or base.network,
            labels=self.labels or _label_set(self.label_set) or base.labels,
            spacing_mm=self.spacing_mm or base.spacing_mm,
        )

    @property
    def gate(self) -> Gate | None:
        """What validation scores have to be before a node may have the network; None: nothing is asked."""
        return gate_from(self.release_gate) if self.release_gate else None

    def __post_init__(self) -> None:
        expected = specification(self.task).spatial_shape
        rules = {
            f"hu_window {self.hu_window}": len(self.hu_window) == 2
            and self.hu_window[0] < self.hu_window[1],
            f"input_shape {self.input_shape}": len(self.input_shape) == len(expected),
            f"batch_size {self.batch_size}": self.batch_size >= 1,
            f"sd {self.sd}": self.sd > 0,
            f"heaviest_label {self.heaviest_label}": self.heaviest_label >= 1,
            f"label_set {self.label_set!r}": not self.label_set or self.label_set in LABEL_SETS,
            f"labels beside label_set {self.label_set!r}": not (self.labels and self.label_set),
            f"average_decay {self.average_decay}": 0 <= self.average_decay < 1,
            f"repainted_share {self.repainted_share}": 0 <= self.repainted_share <= 1,
            f"validation_share {self.validation_share}": 0 < self.validation_share < 1,
            f"epochs {self.epochs}": self.epochs >= 0,
            f"accumulate {self.accumulate}": self.accumulate >= 1,
            f"optimiser {self.optimiser!r}": self.optimiser in OPTIMISERS,
            f"rate_course {self.rate_course!r}": self.rate_course in RATE_COURSES,
            f"clip_method {self.clip_method!r}": self.clip_method in CLIP_METHODS,
            f"patience_epochs {self.patience_epochs} without watch": self.patience_epochs == 0
            or bool(self.watch),
        }
        for found, holds in rules.items():
            if not holds:
                raise ConfigurationInvalid(found=found, wanted="a usable value", advice=ADVICE)
        if self.release_gate:
            gate_from(self.release_gate)


def _label_set(name: str) -> tuple[str, ...]:
    return ("background", *LABEL_SETS[name]) if name else ()


def load_config(path: Path) -> TrainConfig:
    """The configuration in a TOML file; raises ConfigurationInvalid."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as exc:
        raise ConfigurationInvalid(
            found=f"no file {path.name}", wanted="a training configuration", advice=ADVICE
        ) from exc
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationInvalid(
            found=f"{path.name}, which is not TOML",
            wanted="a training configuration",
            advice=ADVICE,
        ) from exc
    return config_from_mapping(raw)


def config_from_mapping(raw: Mapping[str, Any]) -> TrainConfig:
    """The configuration in parsed TOML or JSON; raises ConfigurationInvalid."""
    values = _typed(TrainConfig, raw, "configuration")
    values["augmentation"] = Augmentation(
        **_typed(Augmentation, raw.get("augmentation", {}), "augmentation")
    )
    return TrainConfig(**values)


def config_to_mapping(config: TrainConfig) -> dict[str, Any]:
    """The inverse of config_from_mapping."""
    return asdict(config) | {"network": dict(config.network), "options": dict(config.options)}


def options_of(kind: type[Options], config: TrainConfig) -> Options:
    """The configuration's options as a task's own dataclass; raises ConfigurationInvalid."""
    return kind(**_typed(kind, config.options, f"options of {config.task}"))


def _typed(kind: type, raw: Any, where: str) -> dict[str, Any]:
    if not isinstance(raw, Mapping):
        raise _invalid(f"{where} that is a {type(raw).__name__}", "a table")
    known = {one.name: one.type for one in fields(kind)}
    wanted = {
        one.name
        for one in fields(kind)
        if one.default is MISSING and one.default_factory is MISSING
    }
    if unknown := sorted(set(raw) - set(known)):
        raise _invalid(f"unknown key {unknown[0]!r} in {where}", f"only {sorted(known)}")
    if missing := sorted(wanted - set(raw)):
        raise _invalid(f"no key {missing[0]!r} in {where}", "every key without a default")
    return {
        name: _value(known[name], raw[name], f"{where}.{name}") for name in known if name in raw
    }


def _value(kind: Any, raw: Any, where: str) -> Any:
    if str(kind).startswith("tuple[") and isinstance(raw, (list, tuple)):
        item = next((one for one in (int, str) if one.__name__ in str(kind)), float)
        return tuple(_value(item, value, where) for value in raw)
    if kind is float and type(raw) in (int, float):
        return float(raw)
    if isinstance(raw, Mapping):
        return raw
    if type(raw) is not kind:
        raise _invalid(f"{where} = {raw!r:.40}", getattr(kind, "__name__", str(kind)))
    return raw


def _invalid(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(found=found, wanted=wanted, advice=ADVICE)

"""What the node tells of itself through the journal: that it lives, the settings in force, the models it has loaded."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, is_dataclass
from enum import Enum
from pathlib import Path
from typing import Any

from inference.domain.errors import ModelUnusable
from inference.domain.manifest import ModelManifest
from inference.domain.refiner import RefinerManifest
from inference.engine.model_store import refiner_names, verified_manifest, verified_refiner
from orthanc_plugin.inside.disk_space import level_of
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.settings import Settings

ALIVE_FACT = "alive_at"
CONFIGURATION_FACT = "configuration"
DISK_FACT = "disk"
MODELS_FACT = "models"
ALIVE_EVERY_S = 5.0
MASK = "(set)"
_SECRET = re.compile(r"password|secret|token|credential|api_?key", re.IGNORECASE)


class SelfReport:
    """Writes the facts that the plugin's routes show."""

    def __init__(
        self,
        journal: Journal,
        in_force: Callable[[], Settings],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._journal = journal
        self._in_force = in_force
        self._told: Settings | None = None
        self._clock = clock
        self._next_sign_s = 0.0
        self._engine: EngineIdentity | None = None
        self._tell_settings()

    def step(self, engine: EngineIdentity | None) -> None:
        """A sign of life now and then; the models whenever others were loaded."""
        if self._clock() >= self._next_sign_s:
            self._next_sign_s = self._clock() + ALIVE_EVERY_S
            self._journal.set_fact(ALIVE_FACT, json.dumps(self._journal.clock()))
            settings = self._in_force()
            level = level_of(settings.data_folder, settings.disk.marks)
            self._journal.set_fact(DISK_FACT, json.dumps(level.name.lower()))
        self._tell_settings()
        if engine is not None and engine != self._engine:
            self._engine = engine
            told = loaded_models(engine, self._in_force().engine.models_folder)
            self._journal.set_fact(MODELS_FACT, json.dumps(told))

    def _tell_settings(self) -> None:
        settings = self._in_force()
        if settings is not self._told:
            self._told = settings
            told = json.dumps(masked(settings), sort_keys=True)
            self._journal.set_fact(CONFIGURATION_FACT, told)


def masked(value: Any) -> Any:
    """As JSON can hold it; of whatever may be a secret only that it is there."""
    if is_dataclass(value) and not isinstance(value, type):
        return masked({name: getattr(value, name) for name in value.__dataclass_fields__})
    if isinstance(value, Mapping):
        return {
            str(name): MASK if _SECRET.search(str(name)) and each else masked(each)
            for name, each in value.items()
        }
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Sequence | frozenset | set) and not isinstance(value, str | bytes):
        return [masked(each) for each in value]
    if value is None or isinstance(value, bool | int | float | str):
        return value
    return str(value)


def loaded_models(engine: EngineIdentity, folder: Path) -> list[dict[str, Any]]:
    """Name and hash as the engine loaded them, and what their manifests say."""
    return [
        {"name": name, "sha256": sha256, **_manifest(name, sha256, folder)}
        for name, sha256 in engine.models
    ]


def _manifest(name: str, sha256: str, folder: Path) -> dict[str, Any]:
    try:
        manifest, found = _verified(name, folder)
    except ModelUnusable:
        # Replaced since it was loaded; the hash still says what runs.
        return {}
    if found != sha256:
        return {}
    told = asdict(manifest)
    shown = ("version", "task", "parameters", "training_data", "intended_use", "licence")
    return {field: told[field] for field in shown}


def _verified(name: str, folder: Path) -> tuple[ModelManifest | RefinerManifest, str]:
    """The manifest, and the hash that results name."""
    if name in refiner_names(folder):
        refiner = verified_refiner(name, folder)
        return refiner, refiner.sha256
    manifest = verified_manifest(name, folder)
    return manifest, manifest.onnx_sha256

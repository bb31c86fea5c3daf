"""Checks what this machine can do: Python, ONNX Runtime, models, Orthanc, network isolation."""

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from inference.domain.analysis_profile import load_profile, profile_names
from inference.domain.errors import ModelUnusable
from inference.engine.model_store import model_names, verified_manifest
from inference.engine.onnx_predictor import available_providers
from orthanc_plugin.node.private_network import private_network_is_allowed

PYTHON_RANGE = ((3, 11), (3, 13))
ORTHANC_PATHS = (Path("/usr/sbin/Orthanc"), Path("/usr/local/sbin/Orthanc"))
PLUGIN_PATH = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
FREE_GB_WANTED = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the doctor's report."""

    subject: str
    is_well: bool
    text: str


def findings(models_folder: Path) -> Iterator[Finding]:
    """Everything checked, one after the other."""
    yield _python()
    yield from _onnxruntime()
    yield from _models(models_folder)
    yield _orthanc()
    yield _isolation()
    yield _tools()
    yield _disk()


def _python() -> Finding:
    low, high = PYTHON_RANGE
    return Finding(
        subject="python",
        is_well=low <= sys.version_info[:2] <= high,
        text=f"{platform.python_version()} (wanted 3.11 to 3.13)",
    )


def _onnxruntime() -> Iterator[Finding]:
    installed = [
        f"{d.metadata['Name']} {d.version}"
        for d in importlib.metadata.distributions()
        if str(d.metadata["Name"]).lower() in ("onnxruntime", "onnxruntime-gpu")
    ]
    yield Finding(
        subject="onnxruntime",
        is_well=len(installed) == 1,
        text=f"{', '.join(installed) or 'not installed'}; offers {', '.join(available_providers())}",
    )
    yield Finding(
        subject="no torch in the node",
        is_well=importlib.util.find_spec("torch") is None,
        text="training belongs in its own environment",
    )


def _models(folder: Path) -> Iterator[Finding]:
    # A model that a profile names and that is not there is missing, not absent.
    wanted = {name for profile in profile_names() for name in load_profile(profile).models}
    for name in sorted(wanted | set(model_names(folder))):
        try:
            manifest = verified_manifest(name, folder)
        except ModelUnusable as error:
            yield Finding(subject=f"model {name}", is_well=False, text=str(error))
        else:
            text = f"{manifest.version}, {manifest.task}, file intact"
            yield Finding(subject=f"model {name}", is_well=True, text=text)


def _orthanc() -> Finding:
    found = next((path for path in ORTHANC_PATHS if path.exists()), None)
    has_plugin = PLUGIN_PATH.exists()
    return Finding(
        subject="orthanc",
        is_well=found is not None and has_plugin,
        text=f"{found or 'not installed'}, Python plugin {'there' if has_plugin else 'missing'}"
        + ("" if found and has_plugin else "; apt-get install orthanc orthanc-python"),
    )


def _isolation() -> Finding:
    able = private_network_is_allowed()
    return Finding(
        subject="network namespace",
        is_well=True,
        text="available: the demo keeps Orthanc off your network"
        if able
        else "not available: in the demo Orthanc is guarded by password and allow-list only; "
        "root and iproute2 make it available",
    )


def _tools() -> Finding:
    missing = [tool for tool in ("dciodvfy", "dsrdump", "storescp") if shutil.which(tool) is None]
    return Finding(
        subject="validators",
        is_well=not missing,
        text=f"missing: {', '.join(missing)} (apt-get install dicom3tools dcmtk)"
        if missing
        else "dciodvfy, dsrdump, storescp",
    )


def _disk() -> Finding:
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    return Finding(
        subject="disk",
        is_well=free_gb >= FREE_GB_WANTED,
        text=f"{free_gb:.1f} GB free here (wanted {FREE_GB_WANTED:.0f} GB)",
    )

"""What this machine can do, whatever the settings are: Python, ONNX Runtime, Orthanc, network isolation, disk."""

import importlib.metadata
import importlib.util
import platform
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from inference.engine.onnx_session import available_providers
from orthanc_plugin.doctor.finding import Finding, ill, noted, well
from orthanc_plugin.node.private_network import private_network_is_allowed

PYTHON_RANGE = ((3, 11), (3, 13))
ORTHANC_PATHS = (Path("/usr/sbin/Orthanc"), Path("/usr/local/sbin/Orthanc"))
PLUGIN_PATH = Path("/usr/share/orthanc/plugins/libOrthancPython.so")
FREE_GB_WANTED = 2.0
RUNTIME = "onnxruntime"


def python() -> Finding:
    """The interpreter that runs this."""
    low, high = PYTHON_RANGE
    if low <= sys.version_info[:2] <= high:
        return well("python", platform.python_version())
    return ill(
        "python",
        found=platform.python_version(),
        wanted="3.11 to 3.13",
        advice="Make the environment anew with one of these: make setup PY=python3.12.",
    )


def runtime() -> Iterator[Finding]:
    """Exactly one ONNX Runtime, and no torch."""
    installed = [
        f"{d.metadata['Name']} {d.version}"
        for d in importlib.metadata.distributions()
        if str(d.metadata["Name"]).lower().startswith(RUNTIME)
    ]
    if len(installed) == 1:
        yield well(RUNTIME, f"{installed[0]}; built for {', '.join(available_providers())}")
    else:
        yield ill(
            RUNTIME,
            found=" and ".join(installed) or "none",
            wanted="exactly one: two overwrite each other's files",
            advice="Remove .venv and run make setup (EXTRA=gpu for NVIDIA).",
        )
    if importlib.util.find_spec("torch") is None:
        yield well("no torch in the node", "training has an environment of its own")
    else:
        yield ill(
            "no torch in the node",
            found="torch beside the node",
            wanted="training in an environment of its own",
            advice="Remove .venv and run make setup; make setup-training makes the other one.",
        )


def orthanc_here(*, is_needed: bool) -> Finding:
    """Whether Orthanc and its Python plugin are installed on this machine."""
    found = next((path for path in ORTHANC_PATHS if path.exists()), None)
    if found and PLUGIN_PATH.exists():
        return well("orthanc installed", f"{found}, with the Python plugin")
    text = (
        f"{found or 'no Orthanc'}, Python plugin {'there' if PLUGIN_PATH.exists() else 'missing'}"
    )
    advice = "apt-get install orthanc orthanc-python"
    if is_needed:
        return ill(
            "orthanc installed", found=text, wanted="Orthanc with its Python plugin", advice=advice
        )
    return noted("orthanc installed", text, f"Fine where Orthanc runs elsewhere; else {advice}.")


def isolation() -> Finding:
    """For the demo."""
    if private_network_is_allowed():
        return well("network namespace", "available: the demo keeps Orthanc off your network")
    return noted(
        "network namespace",
        "not available: in the demo Orthanc is guarded by password and allow-list only",
        "root and iproute2 make it available",
    )


def validators() -> Finding:
    """For the tests."""
    tools = ("dciodvfy", "dsrdump", "storescp")
    if missing := [tool for tool in tools if shutil.which(tool) is None]:
        return noted(
            "validators",
            f"missing: {', '.join(missing)}; the node does without, the tests do not",
            "apt-get install dicom3tools dcmtk",
        )
    return well("validators", ", ".join(tools))


def disk_here() -> Finding:
    """Room for an environment and a demo."""
    free_gb = shutil.disk_usage(Path.cwd()).free / 1e9
    if free_gb >= FREE_GB_WANTED:
        return well("disk", f"{free_gb:.1f} GB free here")
    return ill(
        "disk",
        found=f"{free_gb:.1f} GB free here",
        wanted=f"{FREE_GB_WANTED:.0f} GB",
        advice="Make room on this disk, or work on another.",
    )

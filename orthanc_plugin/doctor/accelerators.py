"""GPU, driver, TensorRT's libraries and what was built for them: why a network would not run where it is asked to run."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from inference.domain.analysis_profile import load_profile
from inference.domain.errors import HabitusError
from inference.engine.acceleration import Acceleration
from inference.engine.built import Precision, Surroundings, built_in, key_of
from inference.engine.gpu import Gpu, gpu_here
from inference.engine.model_store import verified_manifest
from inference.engine.onnx_session import cuda_major, surroundings_here
from inference.engine.provider_options import TENSORRT
from inference.engine.providers import Downgrade
from inference.engine.tensorrt_libraries import listing, missing_libraries
from orthanc_plugin.doctor.finding import Finding, ill, noted, well
from orthanc_plugin.node.settings import EngineSettings

DRIVER_FLOORS = {12: 525, 13: 580}
"""Oldest driver for each CUDA (NVIDIA's CUDA release notes, table of minimum driver versions for minor-version compatibility)."""
NEEDING_A_GPU = frozenset({"tensorrt", "cuda"})


def accelerators(
    settings: EngineSettings, profiles: Sequence[str], acceleration: Acceleration
) -> Iterator[Finding]:
    """Nothing where the CPU alone is asked for."""
    if not NEEDING_A_GPU & set(settings.providers):
        return
    yield gpu(gpu_here(), cuda_major())
    if "tensorrt" not in settings.providers:
        return
    if settings.tensorrt_libraries is not None:
        yield libraries(settings.tensorrt_libraries)
    here = surroundings_here(settings.tensorrt_libraries, with_tensorrt=True)
    if here is not None:
        yield from engines(settings, profiles, acceleration, lambda: here)


def gpu(found: Gpu | None, cuda: int | None) -> Finding:
    """The one that would compute, and whether its driver is new enough for this ONNX Runtime's CUDA."""
    if found is None:
        return ill(
            "gpu",
            found="no GPU that CUDA finds",
            wanted="one, as [engine] providers asks for",
            advice="Install NVIDIA's driver (nvidia-smi shows it), hand the GPU to this machine or container, or ask for cpu.",
        )
    told = f"{found.name}, driver {found.driver or 'of unknown version'}"
    floor = DRIVER_FLOORS.get(cuda or 0)
    if floor and found.driver and int(found.driver.split(".")[0]) < floor:
        return ill(
            "gpu",
            found=told,
            wanted=f"driver {floor} or newer for CUDA {cuda}",
            advice="Update the driver, or install the older lock: make setup EXTRA=gpu-cuda12.",
        )
    return well("gpu", told)


def libraries(folder: Path) -> Finding:
    """TensorRT's, in the folder that the site names."""
    if missing := missing_libraries(listing(folder)):
        return ill(
            "tensorrt libraries",
            found=f"no {'; no '.join(missing)} in {folder}",
            wanted="TensorRT 10, whole",
            advice="Name the folder of TensorRT 10's libraries in [engine] tensorrt_libraries.",
        )
    return well("tensorrt libraries", f"all in {folder}")


def engines(
    settings: EngineSettings,
    profiles: Sequence[str],
    acceleration: Acceleration,
    surroundings: Callable[[], Surroundings],
) -> Iterator[Finding]:
    """Whether habitus warm built each network for what is here now."""
    root, here = acceleration.built_folder, surroundings()
    for name in sorted(
        {
            name
            for profile in profiles
            for name in load_profile(profile, settings.models_folder).models
        }
    ):
        try:
            sha256 = verified_manifest(name, settings.models_folder).onnx_sha256
        except HabitusError:
            # Told where models are looked at.
            continue
        folder = root / key_of(TENSORRT, sha256, here) if root else None
        built = built_in(folder, acceleration.half_precision_error) if folder else None
        yield _engine(f"engine of {name}", built.precision if built else None, settings.downgrade)


def _engine(subject: str, precision: Precision | None, downgrade: Downgrade) -> Finding:
    if precision in (Precision.REDUCED, Precision.FULL):
        return well(subject, f"built, {precision} precision")
    found = "none for this GPU, driver, ONNX Runtime and TensorRT"
    advice = "habitus warm --settings habitus.toml, as the node's user."
    if precision is Precision.UNFIT:
        found = "one whose answers were not those of the CPU"
        advice = "Take tensorrt out of [engine] providers, or report the model and the GPU."
    if downgrade is Downgrade.WARN:
        return noted(subject, f"{found}: TensorRT is passed over", advice)
    return ill(subject, found=found, wanted="one that is built and proven", advice=advice)

"""habitus warm"""

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from commands import accelerators

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from inference.domain.analysis_profile import Profile
    from inference.engine.acceleration import Acceleration


def add_options(warm: argparse.ArgumentParser) -> None:
    """Arguments and help."""
    warm.add_argument(
        "--settings", type=Path, help="habitus.toml: its profiles, providers and data folder"
    )
    warm.add_argument(
        "--profile", help="another one than the settings name; without them abdomen (default)"
    )
    warm.add_argument("--models", type=Path, help="another models folder; without --settings")
    accelerators.add_options(warm, providers=None)
    warm.set_defaults(downgrade="warn")
    warm.formatter_class = argparse.RawDescriptionHelpFormatter
    warm.epilog = """\
Builds TensorRT's engines (minutes a network), holds every accelerator against the CPU on a body drawn by a formula, loads and runs each
network once, and compiles the kernels. Run it as the node's user on the node's machine: after the installation, and after a new model,
driver, GPU, ONNX Runtime or TensorRT. The node itself never builds an engine: without one TensorRT is passed over, and results say so.

examples:
  habitus warm --settings /etc/habitus/habitus.toml
  habitus warm --profile l3 --providers tensorrt,cuda,cpu --built /var/lib/habitus/built --tensorrt-libraries /opt/tensorrt/lib

exit status: 0 all runs as asked · 1 something asked for is not ready · 2 wrong arguments or settings · 5 a model is unusable ·
6 a network does not run on the first provider, and downgrade = "fail"
"""


def make_ready(options: argparse.Namespace) -> int:
    """habitus warm"""
    from inference.domain.analysis_profile import profile_for
    from inference.engine.model_store import SHIPPED_MODELS

    if options.settings is None:
        acceleration = accelerators.acceleration_of(options)
        if options.providers is None:
            options.providers = accelerators.USUAL
        providers = accelerators.providers_of(options)
        models: Path = options.models or SHIPPED_MODELS
        names: tuple[str, ...] = (options.profile or "abdomen",)
        kernels = None
    else:
        from orthanc_plugin.node.settings_file import load_settings

        _only_from_settings(options)
        settings = load_settings(options.settings)
        acceleration, providers = settings.acceleration, settings.engine.providers
        kernels = settings.kernels_folder
        models = settings.engine.models_folder
        named = (settings.engine.profile, *settings.further_profiles)
        names = (options.profile,) if options.profile else named
    is_ready = True
    for profile in (profile_for(name, models) for name in names):
        is_ready = _warm(profile, providers, models, acceleration) and is_ready
    is_ready = _compile(kernels) and is_ready
    return 0 if is_ready else 1


def _only_from_settings(options: argparse.Namespace) -> None:
    from inference.domain.errors import ConfigurationInvalid

    for name in ("providers", "tensorrt_libraries", "built", "models"):
        if getattr(options, name) is not None:
            raise ConfigurationInvalid(
                found=f"--{name.replace('_', '-')} beside --settings",
                wanted="one of them: the node reads habitus.toml alone",
                advice="Write it into habitus.toml, or leave --settings out.",
            )


def _warm(
    profile: "Profile", providers: "Sequence[str]", models: Path, acceleration: "Acceleration"
) -> bool:
    from inference.engine.onnx_session import available_providers, surroundings_here
    from inference.engine.prepare_accelerators import prepare
    from inference.engine.providers import choose_providers
    from inference.engine.trial_networks import trial_networks
    from inference.engine.warm_up import warm_up, warm_up_refiner
    from inference.pipeline import load_models

    choose_providers(providers, available_providers())
    is_ready = True
    for one in prepare(
        trial_networks(profile, models),
        providers,
        available_providers(),
        lambda: surroundings_here(
            acceleration.tensorrt_libraries, with_tensorrt="tensorrt" in providers
        ),
        acceleration,
    ):
        is_ready = is_ready and one.is_ready
        _say("ok" if one.is_ready else "NOT", one.subject, one.seconds, one.text)
    started = time.perf_counter()
    loaded = load_models(profile, providers, models, acceleration)
    warm_up(loaded.loaded)
    if loaded.refiner is not None:
        warm_up_refiner(loaded.refiner)
    used = ", ".join(f"{use.name} on {use.provider}" for use in loaded.uses)
    _say("ok", f"profile {profile.name}", time.perf_counter() - started, used)
    for downgrade in loaded.asked.downgrades:
        _say("note", f"profile {profile.name}", 0.0, downgrade)
    return is_ready


def _compile(folder: Path | None) -> bool:
    """In a process of its own, which Numba asks for its folder; whether they are kept for later ones."""
    import os
    import subprocess

    from inference.code_folders import KERNELS_VARIABLE, with_kernels_in

    started, environment = time.perf_counter(), with_kernels_in(folder, os.environ)
    done = subprocess.run(
        [sys.executable, "-m", "inference.warm_kernels"],
        cwd=Path(__file__).parent.parent,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    is_wanted = folder is None or KERNELS_VARIABLE in environment
    is_kept, text = kernels_told(done.stdout.split("\n") if is_wanted else (), folder)
    _say("ok" if is_kept else "NOT", "kernels", time.perf_counter() - started, text)
    return is_kept


def kernels_told(folders: "Iterable[str]", wanted: Path | None) -> tuple[bool, str]:
    """Whether Numba keeps what it compiled, of the folders that it says of each kernel, and what to say."""
    if known := [folder for folder in folders if folder not in ("", "None")]:
        return True, f"kept in {', '.join(known)}"
    place = wanted or "the folder of the code"
    return False, (
        f"compiled by every process anew: {place} is not this user's to write to; "
        "give it to the node's user, or name its data folder by --settings"
    )


def _say(mark: str, subject: str, seconds: float, text: str) -> None:
    sys.stdout.write(f"{mark:4} {subject:28} {seconds:8.1f} s  {text}\n")
    sys.stdout.flush()

"""Models and accelerators: whether what profiles name is there and intact, and whether what is asked for really computes."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from inference.domain.analysis_profile import Profile, load_profile
from inference.domain.errors import ChecksumMismatch, HabitusError, ManifestInvalid, ModelUnusable
from inference.domain.level_calibration import UNCALIBRATED
from inference.engine.acceleration import PLAIN, Acceleration
from inference.engine.model_store import (
    model_names,
    refiner_names,
    verified_calibration,
    verified_manifest,
    verified_refiner,
)
from inference.engine.onnx_session import available_providers
from inference.engine.provider_trial import provider_in_use
from inference.engine.providers import DEFAULT_PROVIDERS, PROVIDERS, Downgrade, downgrade_flag
from orthanc_plugin.doctor.accelerators import accelerators
from orthanc_plugin.doctor.finding import Finding, ill, ill_by, noted, well
from orthanc_plugin.node.settings import EngineSettings

OUR_ANALYSER = EngineSettings(models_folder=Path()).analyser


def models(folder: Path, profiles: Sequence[str]) -> Iterator[Finding]:
    """Those that the profiles name, and whatever else lies in the folder."""
    # A model that a profile names and that is not there is missing, not absent.
    wanted = {name for profile in profiles for name in load_profile(profile, folder).models}
    for name in sorted(wanted | set(model_names(folder))):
        try:
            manifest = verified_manifest(name, folder)
        except ModelUnusable as error:
            yield ill_by(f"model {name}", error)
        else:
            yield well(f"model {name}", f"{manifest.version}, {manifest.task}, file intact")
    yield from refiners(folder, profiles)
    yield from calibrations(folder, profiles)


def refiners(folder: Path, profiles: Sequence[str]) -> Iterator[Finding]:
    """Networks that redraw organs: those that the profiles name, and whatever else lies in the folder."""
    loaded = [load_profile(profile, folder) for profile in profiles]
    named = {profile.refine.model for profile in loaded if profile.refine is not None}
    for name in sorted(named | set(refiner_names(folder))):
        try:
            manifest = verified_refiner(name, folder)
        except ModelUnusable as error:
            yield ill_by(f"model {name}", error)
        else:
            yield well(f"model {name}", f"{manifest.version}, {manifest.task}, files intact")


def calibrations(folder: Path, profiles: Sequence[str]) -> Iterator[Finding]:
    """How sure a level is, by the networks that are there: the node refuses numbers of others."""
    loaded = [load_profile(profile, folder) for profile in profiles]
    by_networks = {_level_networks(profile): profile for profile in loaded}
    for networks, profile in by_networks.items():
        if not set(networks) <= set(model_names(folder)):
            continue
        subject = f"calibration of {' and '.join(networks)}"
        try:
            calibration = verified_calibration(profile, folder)
        except (ManifestInvalid, ChecksumMismatch):
            continue
        except HabitusError as error:
            yield ill_by(subject, error)
            continue
        if calibration is UNCALIBRATED:
            advice = "python -m training.calibrate_level writes them; see training/README.md."
            yield noted(subject, "none: round numbers are taken, and results say so", advice)
        else:
            yield well(subject, calibration.statement)


def _level_networks(profile: Profile) -> tuple[str, ...]:
    return (profile.level_model, *filter(None, [profile.spine_model]))


def providers(
    asked: Sequence[str],
    downgrade: Downgrade = Downgrade.WARN,
    in_use: Callable[[str], str] = provider_in_use,
) -> Iterator[Finding]:
    """Each provider that is asked for, tried alone (ONNX Runtime falls back to the CPU without a word), and what is left of the order."""
    computing = []
    for name in asked:
        finding = _tried(name, in_use)
        if finding.is_well:
            computing.append(name)
        yield finding
    yield from _in_use(asked, computing[0] if computing else "cpu", downgrade)


def usual_providers(in_use: Callable[[str], str] = provider_in_use) -> Iterator[Finding]:
    """Where no settings name others: what of the default is installed, and what that leaves."""
    available = available_providers()
    installed = [name for name in DEFAULT_PROVIDERS if PROVIDERS[name] in available]
    tried = [_tried(name, in_use) for name in installed]
    yield from tried
    computing = [name for name, found in zip(installed, tried, strict=True) if found.is_well]
    yield from _in_use(DEFAULT_PROVIDERS, computing[0] if computing else "none", Downgrade.WARN)


def _tried(name: str, in_use: Callable[[str], str]) -> Finding:
    try:
        used = in_use(name)
    except HabitusError as error:
        return ill_by(f"provider {name}", error)
    if used == name:
        return well(f"provider {name}", "computes")
    return ill(
        f"provider {name}",
        found=f"that {used} computes when {name} is asked for",
        wanted=f"{name}, as [engine] providers says",
        advice="Install driver and libraries of the accelerator (make setup EXTRA=gpu), or ask for cpu alone.",
    )


def _in_use(asked: Sequence[str], used: str, downgrade: Downgrade) -> Iterator[Finding]:
    if downgrade_flag(asked, used) is None:
        return
    text = f"asked for {asked[0]}, in use {used}"
    if downgrade is Downgrade.WARN:
        yield noted("downgrade", text, 'Results say so; downgrade = "fail" would start no engine.')
    else:
        yield ill(
            "downgrade",
            found=text,
            wanted=f'{asked[0]}, as downgrade = "fail" says: the engine does not start',
            advice="Mend what the findings above name, or change [engine] providers.",
        )


def engine(
    settings: EngineSettings, profiles: Sequence[str], acceleration: Acceleration = PLAIN
) -> Iterator[Finding]:
    """What the settings name."""
    if settings.analyser != OUR_ANALYSER:
        yield well("analyser", f"{settings.analyser}, not ours: its models are not looked at")
        return
    yield from models(settings.models_folder, profiles)
    yield from accelerators(settings, profiles, acceleration)
    yield from providers(
        settings.providers,
        settings.downgrade,
        lambda name: provider_in_use(name, settings.tensorrt_libraries),
    )

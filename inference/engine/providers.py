"""Which execution provider runs the networks: a pure choice over what is available, and a check of what is in use."""

from collections.abc import Sequence
from enum import StrEnum

from inference.domain.errors import ConfigurationInvalid, ProviderUnavailable

OPENVINO = "OpenVINO"
"""An engine of its own, not a provider of ONNX Runtime."""
CPU = "CPUExecutionProvider"
PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": OPENVINO,
    "cpu": CPU,
}
"""Short names, in the order they are preferred, and ONNX Runtime's names."""
DEFAULT_PROVIDERS = ("openvino", "cpu")
"""OpenVINO gives the same answers but for rounding, for about half the processor time; where it is not there, results say so."""


TENSORRT_ADVICE = "habitus warm builds its engines"


class Downgrade(StrEnum):
    """What becomes of a network that runs elsewhere than where it was asked to run first."""

    WARN = "warn"
    """It runs there; results, page and doctor say so."""
    FAIL = "fail"
    """It is not used: the engine does not start."""


def choose_providers(asked: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """ONNX Runtime's names for the asked providers that are available, in the order asked."""
    if unknown := [name for name in asked if name not in PROVIDERS]:
        raise ConfigurationInvalid(
            found=f"provider {unknown[0]!r:.40}",
            wanted=f"one of {', '.join(PROVIDERS)}",
            advice="Name known providers in --providers or in habitus.toml.",
        )
    # ONNX Runtime does not load a network for a provider named twice.
    wanted = dict.fromkeys(PROVIDERS[name] for name in asked)
    chosen = tuple(name for name in wanted if name in available)
    if not chosen:
        raise ProviderUnavailable(
            found=f"only {', '.join(available) or 'nothing'} installed",
            wanted=f"one of {', '.join(asked)}",
            advice="Install what it needs (make setup EXTRA=cpu brings OpenVINO, EXTRA=gpu CUDA), or allow cpu.",
        )
    return chosen


def of_onnx_runtime(chosen: Sequence[str]) -> tuple[str, ...]:
    """Those that ONNX Runtime has; its CPU where only OpenVINO is chosen, for what OpenVINO is not asked to run."""
    return tuple(name for name in chosen if name != OPENVINO) or (CPU,)


def prefers_openvino(chosen: Sequence[str], used: str | None = None) -> bool:
    """Whether OpenVINO comes first, or comes before the CPU on which ONNX Runtime ended up."""
    if OPENVINO not in chosen:
        return False
    return chosen[0] == OPENVINO or (
        used == "cpu" and (CPU not in chosen or chosen.index(OPENVINO) < chosen.index(CPU))
    )


def without_openvino(asked: Sequence[str]) -> tuple[str, ...]:
    """What is asked of a network that ONNX Runtime alone runs."""
    return tuple(name for name in asked if name != "openvino") or ("cpu",)


def short_name(provider: str) -> str:
    """Our name for ONNX Runtime's provider name."""
    return next((short for short, name in PROVIDERS.items() if name == provider), provider)


def downgrade_flag(asked: Sequence[str], used: str) -> str | None:
    """What the result must say when not the first provider asked for is in use, or None."""
    if not asked or used == asked[0]:
        return None
    flag = f"computed on {used} although {asked[0]} was asked for"
    return f"{flag} ({TENSORRT_ADVICE})" if asked[0] == "tensorrt" else flag


def require_first(network: str, asked: Sequence[str], used: str, downgrade: Downgrade) -> None:
    """Raises ProviderUnavailable where the site wants no other provider than the first."""
    if downgrade is Downgrade.FAIL and downgrade_flag(asked, used):
        builds = f"; {TENSORRT_ADVICE}" if asked[0] == "tensorrt" else ""
        raise ProviderUnavailable(
            found=f"{network} on {used}",
            wanted=f'it on {asked[0]}, as downgrade = "fail" says',
            advice=f"habitus doctor says what is missing{builds}.",
        )

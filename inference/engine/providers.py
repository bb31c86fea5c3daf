"""Which execution provider runs the networks: a pure choice over what is available, and a check of what is in use."""

from collections.abc import Sequence

from inference.domain.errors import ConfigurationInvalid, ProviderUnavailable

PROVIDERS = {
    "tensorrt": "TensorrtExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "cpu": "CPUExecutionProvider",
}
"""Short names, in the order they are preferred, and ONNX Runtime's names."""


def choose_providers(asked: Sequence[str], available: Sequence[str]) -> tuple[str, ...]:
    """ONNX Runtime's names for the asked providers that are available, in the order asked."""
    if unknown := [name for name in asked if name not in PROVIDERS]:
        raise ConfigurationInvalid(
            found=f"provider {unknown[0]!r:.40}",
            wanted=f"one of {', '.join(PROVIDERS)}",
            advice="Name known providers in --providers or in habitus.toml.",
        )
    chosen = tuple(PROVIDERS[name] for name in asked if PROVIDERS[name] in available)
    if not chosen:
        raise ProviderUnavailable(
            found=f"this ONNX Runtime offers {', '.join(available) or 'nothing'}",
            wanted=f"one of {', '.join(asked)}",
            advice="Install the matching onnxruntime package, or allow cpu.",
        )
    return chosen


def short_name(provider: str) -> str:
    """Our name for ONNX Runtime's provider name."""
    return next((short for short, name in PROVIDERS.items() if name == provider), provider)


def downgrade_flag(asked: Sequence[str], used: str) -> str | None:
    """What the result must say when not the first provider asked for is in use, or None."""
    if not asked or used == asked[0]:
        return None
    return f"computed on {used} although {asked[0]} was asked for"

"""A network built for an accelerator and held against the CPU, before any patient: reduced precision where it gives the same answers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from inference.domain.errors import InferenceFailed, ProviderUnavailable
from inference.engine.answers_compared import Decision, Difference, difference
from inference.engine.built import (
    Built,
    Precision,
    Surroundings,
    clear_engines,
    fresh_folder,
    key_of,
    write_proof,
)
from inference.engine.onnx_session import session_of
from inference.engine.provider_options import Plan, options_of
from inference.engine.providers import CPU, short_name

Float = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialNetwork:
    """A file of a network, what it is tried on, and what the node takes from each of its outputs."""

    name: str
    path: Path
    sha256: str
    inputs: Mapping[str, Any]
    outputs: Mapping[str, Decision]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What came of it."""

    precision: Precision
    differences: tuple[Difference, ...]
    """Of each precision that was tried, the worst output's."""


class Session(Protocol):
    """As ONNX Runtime has it."""

    def get_providers(self) -> list[str]:
        """Those in use, best first."""
        ...

    def run(self, names: list[str], inputs: dict[str, Any]) -> list[Float]:
        """Outputs of these names."""
        ...


Open = Callable[[Path, str, Plan], Session]


def prove(
    network: TrialNetwork,
    provider: str,
    surroundings: Surroundings,
    root: Path,
    most_error: float,
    open_session: Open = session_of,
) -> Proof:
    """Build and compare, reduced precision first; leaves the proof in its folder. Raises ProviderUnavailable or InferenceFailed."""
    folder = fresh_folder(root, key_of(provider, network.sha256, surroundings))
    cpu: tuple[str, dict[str, str]] = (CPU, {})
    wanted = _answers(open_session(network.path, network.name, (cpu,)), network)
    differences: list[Difference] = []
    for precision in (Precision.REDUCED, Precision.FULL):
        clear_engines(folder)
        options = options_of(provider, Built(folder=folder, precision=precision))
        session = open_session(network.path, network.name, ((provider, options), cpu))
        if session.get_providers()[0] != provider:
            raise ProviderUnavailable(
                found=f"{network.name} on {short_name(session.get_providers()[0])}",
                wanted=f"it on {short_name(provider)}",
                advice="habitus doctor --settings habitus.toml says what is missing.",
            )
        differences.append(_worst(_answers(session, network), wanted, network, precision))
        if differences[-1].is_within(most_error):
            break
    else:
        precision = Precision.UNFIT
        clear_engines(folder)
    write_proof(folder, precision, differences)
    return Proof(precision=precision, differences=tuple(differences))


def _answers(session: Session, network: TrialNetwork) -> list[Float]:
    try:
        return session.run(list(network.outputs), dict(network.inputs))
    except Exception as exc:
        raise InferenceFailed(
            found=f"{network.name} stopped ({type(exc).__name__})",
            wanted="a finished run",
            advice="Memory of the GPU may be short: end what else runs there.",
        ) from exc


def _worst(
    found: Sequence[Float], wanted: Sequence[Float], network: TrialNetwork, precision: Precision
) -> Difference:
    """The output that is furthest off, or turns most decisions."""
    all_of_them = [
        difference(own, other, decision, precision)
        for own, other, decision in zip(found, wanted, network.outputs.values(), strict=True)
    ]
    return max(all_of_them, key=_badness)


def _badness(one: Difference) -> tuple[bool, float, float]:
    share = one.max_abs_error / one.span if one.span else one.max_abs_error
    return not np.isfinite(share), -one.agreement, share

"""Every network of a profile made ready on every accelerator that is asked for: what habitus warm does before the node starts."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from inference.domain.errors import ConfigurationInvalid, HabitusError
from inference.engine.acceleration import Acceleration
from inference.engine.answers_compared import Difference
from inference.engine.built import Precision, Surroundings, built_in, key_of
from inference.engine.prove_accelerator import Proof, TrialNetwork, prove
from inference.engine.provider_options import ACCELERATORS, TENSORRT
from inference.engine.providers import PROVIDERS, short_name


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """One network on one accelerator, or why there is none."""

    subject: str
    text: str
    is_ready: bool
    seconds: float = 0.0


def prepare(
    networks: Iterable[TrialNetwork],
    asked: Sequence[str],
    available: Sequence[str],
    surroundings: Callable[[], Surroundings | None],
    acceleration: Acceleration,
    prove_one: Callable[..., Proof] = prove,
) -> Iterator[Prepared]:
    """What is there already stays; raises ConfigurationInvalid where nothing can be kept."""
    wanted = [PROVIDERS[name] for name in asked if PROVIDERS[name] in ACCELERATORS]
    if not wanted:
        return
    if acceleration.built_folder is None:
        raise ConfigurationInvalid(
            found="no folder for what is built",
            wanted="one that the node finds again",
            advice="Name habitus.toml with --settings, or a folder with --built.",
        )
    if missing := [provider for provider in wanted if provider not in available]:
        yield from (
            Prepared(
                subject=short_name(provider),
                text="this ONNX Runtime was built without it (make setup EXTRA=gpu)",
                is_ready=False,
            )
            for provider in missing
        )
    present = [provider for provider in wanted if provider in available]
    here = surroundings() if present else None
    if here is None:
        if present:
            yield Prepared(subject="gpu", text="no device: no GPU that CUDA finds", is_ready=False)
        return
    if TENSORRT in present and not here.tensorrt:
        present.remove(TENSORRT)
        yield Prepared(
            subject="tensorrt",
            text="its libraries are not there; habitus doctor --settings habitus.toml says which",
            is_ready=False,
        )
    for network in networks:
        for provider in present:
            yield _prepared(network, provider, here, acceleration, prove_one)


def _prepared(
    network: TrialNetwork,
    provider: str,
    here: Surroundings,
    acceleration: Acceleration,
    prove_one: Callable[..., Proof],
) -> Prepared:
    root = acceleration.built_folder
    assert root is not None
    subject = f"{network.name} on {short_name(provider)}"
    most_error = acceleration.half_precision_error
    known = built_in(root / key_of(provider, network.sha256, here), most_error)
    if known is not None:
        is_ready = known.precision is not Precision.UNFIT
        return Prepared(subject=subject, text=f"{known.precision}, before", is_ready=is_ready)
    started = time.perf_counter()
    try:
        proof = prove_one(network, provider, here, root, most_error)
    except HabitusError as error:
        return Prepared(subject=subject, text=str(error), is_ready=False)
    told = "; ".join(_told(each) for each in proof.differences)
    return Prepared(
        subject=subject,
        text=f"{proof.precision} ({told})",
        is_ready=proof.precision is not Precision.UNFIT,
        seconds=time.perf_counter() - started,
    )


def _told(one: Difference) -> str:
    share = one.max_abs_error / one.span if one.span else one.max_abs_error
    return f"{one.precision}: error {share:.2e} of the span, agreement {one.agreement:.5f}"

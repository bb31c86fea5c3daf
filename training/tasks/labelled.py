"""Examples that a task makes of labelled cases: made once, kept in memory, trained on or kept back by patient."""

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Generic, TypeVar

from inference.domain.errors import ConfigurationInvalid
from training.config import TrainConfig
from training.data.cases import LabelledCase, LabelledVolume
from training.data.opened import OpenedData, open_data
from training.source import Source

Example = TypeVar("Example")


class LabelledExamples(Generic[Example]):
    """Of one source; read at the first grow()."""

    def __init__(
        self,
        source: Source,
        config: TrainConfig,
        *,
        wanted: Iterable[str],
        examples_of: Callable[[LabelledVolume], Iterable[Example]],
    ) -> None:
        self.training: list[Example] = []
        self.validation: list[list[Example]] = []
        """By case: a case's examples are scored together."""
        self._source, self._config = source, config
        self._wanted, self._examples_of = frozenset(wanted), examples_of
        self._data: OpenedData | None = None

    def grow(self) -> None:
        """Read everything at the first call; raises TrainingDataUnfit, or ConfigurationInvalid where a part holds no example."""
        if self._data is not None:
            return
        config = self._config
        self._data = _opened(self._source, config.seed, config.validation_share, self._wanted)
        kept = self._data.validation[: config.validation_examples]
        self.training = [one for case in self._data.training for one in self._made(case)]
        self.validation = [made for case in kept if (made := list(self._made(case)))]
        if not self.training or not self.validation:
            raise ConfigurationInvalid(
                found=f"{len(self.training)} examples to train on and {len(self.validation)} cases to choose by",
                wanted="some of both",
                advice="Bring cases that show what is learned, or another split.",
            )

    @property
    def data(self) -> OpenedData:
        """After grow()."""
        if self._data is None:
            raise RuntimeError("grow() comes first")
        return self._data

    def _made(self, case: LabelledCase) -> Iterable[Example]:
        return self._examples_of(case.read())


@lru_cache(maxsize=1)
def _opened(
    source: Source, seed: int, validation_share: float, wanted: frozenset[str]
) -> OpenedData:
    """Kept for the next one: configurations that are compared ask the same, and checking all cases takes minutes."""
    return open_data(source, seed=seed, validation_share=validation_share, wanted=wanted)

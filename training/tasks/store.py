"""A pool's examples as tensors, kept on the accelerator while they fit; takes in what the pool gains during training."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from inference.domain.errors import ConfigurationInvalid
from training.config import TrainConfig
from training.origins import anatomies_in_words
from training.samples import Sample, is_kept_back, sample_files

ACCELERATOR_RESERVE_BYTES = 24 * 2**30
"""Left free for the networks of three trainings at the same time."""
READERS = 4
IMAGE_NDIM = 3

Example = dict[str, Tensor]


def as_it_is(sample: Sample) -> Sample:
    """A pool's example that a task takes unchanged."""
    return sample


class ExampleStore:
    """Training and validation examples of one kind; one file may hold several."""

    def __init__(
        self,
        pool: Path,
        kind: type[Sample],
        config: TrainConfig,
        device: torch.device,
        prepare: Callable[[Any], Sample] = as_it_is,
    ) -> None:
        self.training: list[Example] = []
        self.validation: list[Example] = []
        self._pool = pool
        self._kind = kind
        self._config = config
        self._device = device
        self._prepare = prepare
        self._seen: set[Path] = set()

    def grow(self) -> None:
        """Read the files that came since the last call; raises ConfigurationInvalid while a part is empty."""
        fresh = [path for path in sample_files(self._pool, self._kind) if path not in self._seen]
        self._seen.update(fresh)
        with ThreadPoolExecutor(READERS) as readers:
            for path, sample in zip(fresh, readers.map(self._read, fresh), strict=True):
                self._add(path, sample)
        for part, examples in (("training", self.training), ("validation", self.validation)):
            if not examples:
                raise ConfigurationInvalid(
                    found=f"no {part} examples in {self._pool.name}",
                    wanted=f"a pool of {self._kind.__name__} files with both parts",
                    advice="Make a larger pool: python -m training pool --help.",
                )

    def _read(self, path: Path) -> Sample:
        return self._prepare(self._kind.read(path))

    def origin(self) -> str:
        """What the training examples were made from, in a sentence."""
        paths = [
            path for path in self._seen if not is_kept_back(path, self._config.validation_share)
        ]
        return anatomies_in_words(self._pool, paths)

    def _add(self, path: Path, sample: Sample) -> None:
        kept_back = is_kept_back(path, self._config.validation_share)
        part = self.validation if kept_back else self.training
        if kept_back and len(part) >= self._config.validation_examples:
            return
        place = self._place()
        arrays = {f.name: torch.from_numpy(getattr(sample, f.name)) for f in fields(sample)}
        # Small arrays steer the sampling on the host: there, nobody waits for them.
        part.append({n: a.to(place) if a.ndim >= IMAGE_NDIM else a for n, a in arrays.items()})

    def _place(self) -> torch.device:
        if self._device.type == "cuda":
            free_bytes, _ = torch.cuda.mem_get_info()
            if free_bytes > ACCELERATOR_RESERVE_BYTES:
                return self._device
        return torch.device("cpu")

    def drawn(self, indices: list[int]) -> Iterator[Example]:
        """Training examples by index, on the device they train on."""
        for index in indices:
            yield self.training[index]

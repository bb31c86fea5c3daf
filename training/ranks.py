"""One process or several (torchrun): who this one is, what all agree on, whose gradients are averaged."""

import contextlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
from torch import distributed, nn
from torch.nn.parallel import DistributedDataParallel

from inference.domain.errors import ConfigurationInvalid

VALIDATION_LIMIT = timedelta(hours=6)
"""The others wait while the first one validates."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ranks:
    """The processes of a training, seen from one of them."""

    rank: int
    count: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """The one that validates, saves and tells."""
        return self.rank == 0

    def agreed(self, number: int) -> int:
        """The first one's number, in all of them."""
        if self.count == 1:
            return number
        shared = torch.tensor([number], device=self.device)
        distributed.broadcast(shared, 0)
        return int(shared.item())

    def together(self, network: nn.Module) -> nn.Module:
        """The same network, its gradients averaged over all processes."""
        if self.count == 1:
            return network
        devices = [self.device] if self.device.type == "cuda" else None
        return DistributedDataParallel(network, device_ids=devices)

    def alone(self, network: nn.Module, *, is_last: bool) -> AbstractContextManager[None]:
        """Of several batches before a step only the last one's gradients travel."""
        if is_last or not isinstance(network, DistributedDataParallel):
            return contextlib.nullcontext()
        return network.no_sync()


def is_first_process() -> bool:
    """Before and after a training, too: only one speaks to the user."""
    return os.environ.get("RANK", "0") == "0"


@contextmanager
def joined(device: str) -> Iterator[Ranks]:
    """The processes that torchrun started, or this one alone."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        yield Ranks(rank=0, count=1, device=choose_device(device))
        return
    chosen = choose_device(device)
    if chosen.type == "cuda":
        chosen = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(chosen)
    backend = "nccl" if chosen.type == "cuda" else "gloo"
    distributed.init_process_group(backend, timeout=VALIDATION_LIMIT)
    try:
        yield Ranks(rank=distributed.get_rank(), count=count, device=chosen)
    finally:
        distributed.destroy_process_group()


def choose_device(wanted: str) -> torch.device:
    """The accelerator when there is one, unless told otherwise."""
    has_gpu = torch.cuda.is_available()
    if wanted == "auto":
        return torch.device("cuda" if has_gpu else "cpu")
    if wanted.partition(":")[0] not in ("cpu", "cuda") or (wanted != "cpu" and not has_gpu):
        raise ConfigurationInvalid(
            found=f"--device {wanted!r:.40}"
            + ("" if has_gpu else ", and no GPU that torch can use"),
            wanted="auto, cpu or cuda",
            advice="Leave --device out; for a GPU install torch with CUDA (make setup-training TORCH_INDEX=URL).",
        )
    return torch.device(wanted)

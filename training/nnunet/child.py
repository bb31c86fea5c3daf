"""Steps that import nnunetv2 run in children, whose environment names nnU-Net's folders; one child per device."""

import json
import queue
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from inference.domain.errors import ConfigurationInvalid, HabitusError
from training.nnunet.workspace import Workspace, read_json

ENGINE = "training.nnunet.engine"
ROOT = Path(__file__).parents[2]


@dataclass(kw_only=True)
class NnunetFailed(HabitusError):
    """nnU-Net ended with an error; its own words stand above."""

    code: ClassVar[str] = "nnunet-failed"
    exit_status: ClassVar[int] = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One step for a child."""

    step: str
    """A function of training.nnunet.engine."""
    arguments: Mapping[str, Any]


def run_child(
    order: Order, space: Workspace, *, processes: int, device: str = "auto"
) -> dict[str, Any]:
    """What the step answers; raises NnunetFailed."""
    environment = space.environment(processes)
    kind, _, index = device.partition(":")
    if index:
        environment["CUDA_VISIBLE_DEVICES"] = index
    with tempfile.TemporaryDirectory(prefix="nnunet-") as folder:
        answer = Path(folder) / "answer.json"
        arguments = json.dumps({**order.arguments, "device": kind})
        ended = subprocess.run(
            [sys.executable, "-m", ENGINE, order.step, arguments, str(answer)],
            cwd=ROOT,
            env=environment,
            check=False,
        )
        if ended.returncode:
            raise NnunetFailed(
                found=f"nnU-Net's {order.step} with status {ended.returncode}",
                wanted="0",
                advice="Its own words stand above. A training that was stopped goes on with --resume.",
            )
        return read_json(answer)


def run_children(
    orders: Sequence[Order], space: Workspace, *, processes: int, devices: Sequence[str]
) -> list[dict[str, Any]]:
    """All orders, each on the next device that is free; the first error is raised when all have ended."""
    free: queue.SimpleQueue[str] = queue.SimpleQueue()
    for device in devices:
        free.put(device)

    def one(order: Order) -> dict[str, Any]:
        device = free.get()
        try:
            return run_child(order, space, processes=processes, device=device)
        finally:
            free.put(device)

    with ThreadPoolExecutor(max_workers=len(devices)) as pool:
        return list(pool.map(one, orders))


def devices_of(text: str) -> tuple[str, ...]:
    """auto, cpu, cuda, or cuda:0,cuda:1 …; raises ConfigurationInvalid."""
    devices = tuple(text.split(","))
    known = {"auto", "cpu", "cuda"}
    if len(set(devices)) != len(devices) or not all(
        device in known or (device.startswith("cuda:") and device[5:].isdigit())
        for device in devices
    ):
        raise ConfigurationInvalid(
            found=f"devices {text!r:.60}",
            wanted="auto, cpu, cuda, or some such as cuda:0,cuda:1",
            advice="Mend --devices.",
        )
    return devices

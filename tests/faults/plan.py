"""What goes wrong and when: a list drawn from a seed, its moments counted in events of the node and not in seconds."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random


class FaultKind(StrEnum):
    """One way to disturb a site."""

    KILL_ORTHANC = "Orthanc killed"
    KILL_NODE = "node killed"
    KILL_ENGINE = "engine child killed"
    KILL_RECEIVER = "receiver killed"
    KILL_ALL = "everything killed at once"
    RESTART_ORTHANC = "Orthanc restarted politely"
    RESTART_NODE = "node ended politely"
    REFUSE = "receiver refuses"
    SLOW = "receiver slow"
    HALF_STORE = "receiver says success and keeps nothing"
    ABORT = "receiver aborts"
    DISK_FULL = "disk of the node full"
    CLOCK_JUMP = "clock of the node jumps"
    CUT_WAL = "killed, journal's WAL tail cut"
    FLIP_WAL = "killed, bit in the journal's WAL tail flipped"


KILLS = (
    FaultKind.KILL_ORTHANC,
    FaultKind.KILL_NODE,
    FaultKind.KILL_ENGINE,
    FaultKind.KILL_RECEIVER,
    FaultKind.KILL_ALL,
)
KILL_WEIGHTS = (5, 5, 4, 4, 2)
OTHERS = tuple(kind for kind in FaultKind if kind not in KILLS)
OTHER_SHARE = 0.4
"""Faults that are no bare kill, as a share of the kills."""
EVENTS_BETWEEN = (1, 9)
LONGEST_DELAY_S = 1.2
"""After the event: so that a fault meets any moment of a stage, not its beginning only."""
CLOCK_OFFSETS_S = (3600, -3600, 86400, -86400, 45, -45, 0)
AT_DESTINATION = frozenset(
    {
        FaultKind.KILL_RECEIVER,
        FaultKind.REFUSE,
        FaultKind.SLOW,
        FaultKind.HALF_STORE,
        FaultKind.ABORT,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One disturbance."""

    kind: FaultKind
    after_events: int
    """Counted from the fault before it."""
    delay_s: float
    study: int
    """So many studies have been handed to the sender by then."""
    destination: int = 0
    """Which receiver, where it is one's."""
    times: int = 1
    """How many C-STOREs a receiver misbehaves at."""
    offset_s: int = 0
    """Of the node's clock from now on."""
    share: float = 0.0
    """Where in the tail of the WAL."""


def plan_of(seed: int, *, studies: int, kills: int, destinations: int) -> tuple[Fault, ...]:
    """The faults of a seed: equal arguments, equal faults."""
    random = Random(seed)
    kinds = [*_kills(random, kills), *_others(random, kills)]
    random.shuffle(kinds)
    faults = []
    for number, kind in enumerate(kinds):
        faults.append(
            Fault(
                kind=kind,
                after_events=random.randint(*EVENTS_BETWEEN),
                delay_s=round(random.uniform(0.0, LONGEST_DELAY_S), 3),
                study=1 + number * studies // max(1, len(kinds)),
                destination=random.randrange(destinations) if kind in AT_DESTINATION else 0,
                times=random.randint(1, 4),
                offset_s=random.choice(CLOCK_OFFSETS_S) if kind is FaultKind.CLOCK_JUMP else 0,
                share=random.random(),
            )
        )
    return tuple(faults)


def counted(faults: Sequence[Fault]) -> Counter[FaultKind]:
    """How often each kind occurs."""
    return Counter(fault.kind for fault in faults)


def _kills(random: Random, kills: int) -> list[FaultKind]:
    """Each kind at least once where there are enough of them."""
    sure = list(KILLS[:kills])
    return sure + random.choices(KILLS, KILL_WEIGHTS, k=kills - len(sure))


def _others(random: Random, kills: int) -> list[FaultKind]:
    wanted = round(kills * OTHER_SHARE)
    rounds, rest = divmod(wanted, len(OTHERS))
    return [*OTHERS * rounds, *random.sample(OTHERS, rest)]

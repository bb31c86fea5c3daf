"""What is still arriving: follows Orthanc's log of changes, and knows of each series when something last came."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from orthanc_plugin.node.journal import Journal
from orthanc_plugin.node.logs import Logger
from orthanc_plugin.node.pacs import Change, Pacs, RequestRefused, ResourceGone
from orthanc_plugin.node.patience import Patience
from orthanc_plugin.node.study_choice import skip_reason

CURSOR = "cursor"
PAGE = 500
"""Changes asked for at once."""
PLACE_EVERY_S = 5.0
"""Between two questions where new slices belong, as long as nothing depends on it."""


@dataclass(slots=True)
class Arrival:
    """A series that is still moving."""

    first_sequence: int
    last_seen_s: float
    """Monotonic."""
    members: frozenset[str]
    """Instances known to be in it: to ask Orthanc for each of 300 is a tenth of what taking them in costs it."""
    study: str | None = None
    """None where Orthanc refused to say."""
    is_image: bool = False
    """Whether it may be analysed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Newcomer:
    """An instance that nobody has asked about yet."""

    sequence: int
    seen_s: float


class Arrivals:
    """A cursor into /changes, and what came since it was saved.

    A new slice is only noted with its time. Which series it belongs to is asked when that could matter: nothing else is
    moving, or some quiet time may have run out, or the last question is long ago. The cursor is saved behind the oldest
    slice that is still moving, so that a crash anywhere repeats work and loses none.
    """

    def __init__(
        self, pacs: Pacs, journal: Journal, quiet_s: float, patience: Patience, log: Logger
    ) -> None:
        self._pacs = pacs
        self._journal = journal
        self._quiet_s = quiet_s
        self._patience = patience
        self._clock: Callable[[], float] = patience.clock
        self._log = log
        self._moving: dict[str, Arrival] = {}
        self._newcomers: dict[str, _Newcomer] = {}
        self._position: int | None = None
        self._next_place_s = 0.0

    def __len__(self) -> int:
        return len(self._moving)

    @property
    def image_studies(self) -> frozenset[str]:
        """Studies of which something is arriving that may be analysed."""
        return frozenset(
            one.study for one in self._moving.values() if one.is_image and one.study is not None
        )

    def follow(self) -> None:
        """Read what is new; raises PacsUnavailable."""
        self._read_changes()
        if self._newcomers and self._must_place():
            self._next_place_s = self._clock() + PLACE_EVERY_S
            self._place()

    def by_study(self) -> Mapping[str, list[str]]:
        """The series that are moving; of one that Orthanc refuses to show nothing is said."""
        studies: defaultdict[str, list[str]] = defaultdict(list)
        for series, arrival in list(self._moving.items()):
            if self._patience.is_waiting(series):
                continue
            try:
                if arrival.study is None:
                    self._look_at(series, arrival)
            except ResourceGone:
                del self._moving[series]
                continue
            except RequestRefused as error:
                if self.is_quiet([series]):
                    self._refused(series, error)
                continue
            assert arrival.study is not None
            studies[arrival.study].append(series)
        return studies

    def newest_s(self, series: Iterable[str]) -> float:
        """When the last slice of these came."""
        return max(self._moving[one].last_seen_s for one in series)

    def is_quiet(self, series: Iterable[str]) -> bool:
        """Whether nothing of these has come for the quiet time."""
        return self._clock() - self.newest_s(series) >= self._quiet_s

    def next_quiet_s(self) -> float | None:
        """Seconds until some series may be quiet, 0 where one is and still waits for something; None where none moves."""
        seen = [one.last_seen_s for one in self._moving.values()]
        seen += [one.seen_s for one in self._newcomers.values()]
        return max(0.0, min(seen) + self._quiet_s - self._clock()) if seen else None

    def let_go(self, series: Iterable[str]) -> None:
        """These were decided on."""
        for one in series:
            del self._moving[one]
            self._patience.forget(one)

    def save_cursor(self) -> None:
        """Call it once the journal holds what was decided."""
        assert self._position is not None
        behind = [arrival.first_sequence - 1 for arrival in self._moving.values()]
        behind += [one.sequence - 1 for one in self._newcomers.values()]
        cursor = min([self._position, *behind])
        if self._journal.fact(CURSOR) != str(cursor):
            self._journal.set_fact(CURSOR, str(cursor))

    def _start(self) -> int:
        cursor = int(self._journal.fact(CURSOR) or 0)
        if self._pacs.last_change() < cursor:
            # Orthanc's index was replaced: its sequence began anew.
            self._log.warning("cursor-reset", cursor=cursor)
            return 0
        return cursor

    def _read_changes(self) -> None:
        position = self._start() if self._position is None else self._position
        while True:
            page = self._pacs.changes(position, PAGE)
            for change in page.changes:
                self._note(change)
            position = page.last
            self._position = position
            if page.is_done:
                return

    def _note(self, change: Change) -> None:
        if change.kind == "NewInstance":
            first = self._newcomers.get(change.orthanc_id)
            self._newcomers[change.orthanc_id] = _Newcomer(
                sequence=first.sequence if first else change.sequence, seen_s=self._clock()
            )

    def _must_place(self) -> bool:
        return not self._moving or self._clock() >= self._next_place_s or self.next_quiet_s() == 0.0

    def _place(self) -> None:
        known = {name: one for one in self._moving.values() for name in one.members}
        for instance, newcomer in list(self._newcomers.items()):
            if self._patience.is_waiting(instance):
                continue
            try:
                if (arrival := known.get(instance)) is None:
                    arrival = self._asked(instance, newcomer)
                    known |= dict.fromkeys(arrival.members, arrival)
            except ResourceGone:
                del self._newcomers[instance]
                continue
            except RequestRefused as error:
                self._refused(instance, error)
                continue
            arrival.last_seen_s = max(arrival.last_seen_s, newcomer.seen_s)
            del self._newcomers[instance]
            self._patience.forget(instance)

    def _asked(self, instance: str, newcomer: _Newcomer) -> Arrival:
        series = self._pacs.series_of_instance(instance)
        arrival = self._moving.get(series) or Arrival(
            newcomer.sequence, newcomer.seen_s, frozenset({instance})
        )
        try:
            self._look_at(series, arrival)
        except RequestRefused:
            # Of its other slices each is asked for, then.
            arrival.members |= {instance}
        self._moving[series] = arrival
        return arrival

    def _look_at(self, series: str, arrival: Arrival) -> None:
        glance = self._pacs.glance(series)
        arrival.study, arrival.members = glance.study_orthanc_id, glance.instances
        arrival.is_image = skip_reason(glance) is None

    def _refused(self, name: str, error: RequestRefused) -> None:
        self._patience.refused(name)
        self._log.warning("series-not-read", reason=error.code)

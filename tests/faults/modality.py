"""The scanner: sends study after study, each slice until it has been answered with success."""

import threading
import time
from dataclasses import dataclass, field
from queue import SimpleQueue

from tests.dicom_peers import SUCCESS, send
from tests.faults.analyses import Analysis

SLICES_PER_EVENT = 8
PAUSE_S = 0.2
"""Before slices without an answer are sent again."""


@dataclass(slots=True)
class Scanner:
    """A thread that works off a queue of studies."""

    analysis: Analysis
    accepted: list[str] = field(default_factory=list)
    """Study Instance UIDs of which every slice was answered with success."""
    events: int = 0
    repeats: int = 0
    """Slices that had to be sent again."""
    _orders: SimpleQueue[int | None] = field(default_factory=SimpleQueue)
    _thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to wait for orders."""
        self._thread = threading.Thread(target=self._work, name="scanner", daemon=True)
        self._thread.start()

    def order(self, number: int) -> None:
        """Send this study after those ordered before."""
        self._orders.put(number)

    def finish(self) -> None:
        """Return once everything ordered has been accepted."""
        self._orders.put(None)
        assert self._thread is not None
        self._thread.join()

    def _work(self) -> None:
        while (number := self._orders.get()) is not None:
            waiting = self.analysis.study(number)
            study_uid = str(waiting[0].StudyInstanceUID)
            while waiting:
                statuses = send(waiting)
                answers = statuses + [None] * (len(waiting) - len(statuses))
                left = [
                    image
                    for image, status in zip(waiting, answers, strict=True)
                    if status != SUCCESS
                ]
                self.events += (len(waiting) - len(left)) // SLICES_PER_EVENT
                self.repeats += len(left)
                waiting = left
                if waiting:
                    time.sleep(PAUSE_S)
            self.accepted.append(study_uid)

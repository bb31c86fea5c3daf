"""The settings in force: read again when the file changes; a new file with a mistake leaves the old one in force."""

import hashlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.node.logs import Logger
from orthanc_plugin.node.settings import Settings
from orthanc_plugin.node.settings_file import load_settings, settings_of
from orthanc_plugin.node.site_time import SiteClock

SETTINGS_FACT = "settings"
"""What the page shows of them: {"state": "in-force" | "refused", "problem": …, "since": …, …}."""
IN_FORCE, REFUSED, UNCHANGED = "in-force", "refused", "unchanged"
ONLY_AT_START = ("data_folder", "orthanc", "intake", "metrics")
"""A change of these waits for the node's next start."""

_Signature = tuple[int, int, int]


class SettingsInForce:
    """Call it for the settings of this moment; any thread may."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigurationInvalid: a node does not start with a mistake."""
        self._path = path
        self._signature = self._seen = _signature(path)
        self._settings = load_settings(path)
        self._digest = _digest(path)
        self._since_s = time.time()
        self._is_asked = threading.Event()
        self._problem = ""
        self._waiting: tuple[str, ...] = ()

    def __call__(self) -> Settings:
        return self._settings

    @property
    def is_asked(self) -> bool:
        """Whether somebody waits for the next look."""
        return self._is_asked.is_set()

    def ask(self) -> None:
        """Read the file at the next look, whatever its time says."""
        self._is_asked.set()

    def reload(self, log: Logger, note: Callable[[str, str], None]) -> tuple[str, str]:
        """Read the file now; what came of it as a code, and in a sentence where there is more to say."""
        self.ask()
        if self.look(log, note):
            waiting = ", ".join(self._waiting)
            return IN_FORCE, f"{waiting}: in force after a restart of the node" if waiting else ""
        return (REFUSED, self._problem) if self._problem else (UNCHANGED, "")

    def look(self, log: Logger, note: Callable[[str, str], None]) -> bool:
        """Take over a file that has changed and then rested for one look; True where another one came into force."""
        signature = _signature(self._path)
        is_asked = self._is_asked.is_set()
        self._is_asked.clear()
        if not is_asked and signature == self._signature:
            return False
        if not is_asked and signature != self._seen:
            # It may still be being written, and half a file can be a valid one.
            self._seen = signature
            return False
        self._signature = self._seen = signature
        is_new = self._take_over(log)
        note(SETTINGS_FACT, self.fact())
        return is_new

    def fact(self) -> str:
        """For the page."""
        clock = SiteClock(zone_name=self._settings.time_zone)
        return json.dumps(
            {
                "state": REFUSED if self._problem else IN_FORCE,
                "problem": self._problem,
                "since": self._since_s,
                "digest": self._digest[:12],
                "rules": len(self._settings.rules),
                "needs_restart": self._waiting,
                "time_zone": clock.described(time.time()),
            }
        )

    def _take_over(self, log: Logger) -> bool:
        try:
            content = self._path.read_bytes()
            digest = hashlib.sha256(content).hexdigest()
            if digest == self._digest:
                self._problem = ""
                return False
            new = settings_of(content.decode("utf-8-sig"), self._path)
        except (OSError, UnicodeDecodeError):
            self._problem = (
                f"found no readable {self._path.name}; the settings read before stay in force."
            )
        except ConfigurationInvalid as error:
            self._problem = str(error)
        else:
            self._waiting = tuple(_needing_restart(self._settings, new))
            kept = {name: getattr(self._settings, name) for name in ONLY_AT_START}
            engine = replace(new.engine, workers=self._settings.engine.workers)
            self._settings = replace(new, **kept, engine=engine)
            self._digest, self._since_s, self._problem = digest, time.time(), ""
            log.info("settings-in-force", count=len(new.rules), version=digest[:12])
            return True
        # The sentence quotes the file, which is not for the log.
        log.error("settings-refused", reason=ConfigurationInvalid.code)
        return False


def _needing_restart(old: Settings, new: Settings) -> Iterator[str]:
    yield from (name for name in ONLY_AT_START if getattr(new, name) != getattr(old, name))
    if new.engine.workers != old.engine.workers:
        yield "engine.workers"


def _signature(path: Path) -> _Signature:
    """Changes whenever the file does."""
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_mtime_ns, found.st_size, found.st_ino)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()

"""What a check saw, printed as it goes and written as a page."""

import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

Result = TypeVar("Result")


@dataclass(slots=True, kw_only=True)
class Table:
    """Rows of what was looked at, what was found and whether it is as wanted."""

    release: str
    rows: list[tuple[str, str, str]] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Everything was as wanted."""
        return all(verdict != "NO" for *_, verdict in self.rows)

    def see(self, what: str, found: str, is_as_wanted: bool) -> None:
        """One thing."""
        self._add(what, found, "yes" if is_as_wanted else "NO")

    def timed(self, what: str, act: Callable[[], Result]) -> Result:
        """What took so long; it raises where it fails."""
        started = time.monotonic()
        result = act()
        self._add(what, f"{time.monotonic() - started:.1f} s", "")
        return result

    def page(self) -> str:
        """In Markdown."""
        rows = "\n".join(f"| {what} | {found} | {verdict} |" for what, found, verdict in self.rows)
        return (
            f"`make container-check RELEASE={self.release}`: images built by buildah, the compose file run by podman-compose "
            f"(no Docker engine, a network and processes of their own), on {os.cpu_count()} cores; layers of an earlier build are used again. Synthetic CT.\n\n"
            f"| looked at | found | as wanted |\n|---|---|---|\n{rows}\n\n"
            f"{'Everything is as wanted.' if self.holds else 'NOT everything is as wanted.'}\n"
        )

    def _add(self, what: str, found: str, verdict: str) -> None:
        self.rows.append((what, found, verdict))
        sys.stdout.write(f"{what}: {found} {verdict}\n".rstrip() + "\n")
        sys.stdout.flush()

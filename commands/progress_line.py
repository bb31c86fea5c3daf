"""Progress of one analysis on a terminal."""

import sys
from collections.abc import Callable


class ProgressLine:
    """One line of progress on standard error; silent when that is not a terminal."""

    def __enter__(self) -> Callable[[str, float], None]:
        """The function that stages call."""
        self._shown = sys.stderr.isatty()
        return self.announce

    def announce(self, stage: str, share: float) -> None:
        """Show the stage and the share of it that is done."""
        if self._shown:
            filled = round(20 * share)
            sys.stderr.write(f"\r\033[K{stage:10} [{'█' * filled}{'·' * (20 - filled)}]")
            sys.stderr.flush()

    def __exit__(self, *exc: object) -> None:
        """Clear the line."""
        if self._shown:
            sys.stderr.write("\r\033[K")

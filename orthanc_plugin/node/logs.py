"""Logs: JSON lines that hold allowed keys with harmless values only, so that no patient data can get into them."""

import hashlib
import hmac
import os
import re
import secrets
import sys
import threading
import traceback
from collections.abc import MutableMapping
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

import structlog

ALLOWED_KEYS = frozenset(
    {
        "attempt",
        "count",
        "cursor",
        "destination",
        "error_type",
        "event",
        "exit_code",
        "job",
        "level",
        "outcome",
        "pid",
        "priority",
        "reason",
        "role",
        "rule",
        "seconds",
        "state",
        "study",
        "timestamp",
        "version",
        "where",
    }
)

# One word of codes, ids and file positions: a patient's name or a sentence does not fit.
_HARMLESS_TEXT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+<>-]{0,119}")
_UID = re.compile(r"\d+(\.\d+){3,}")

_FRAMES_LOGGED = 4

Logger = Any
"""structlog's bound logger (its methods are made at run time)."""


def keep_allowed(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Drop every key that is not allowed or whose value is not harmless, and count what was dropped."""
    kept = {key: value for key, value in event.items() if _is_harmless(key, value)}
    kept.setdefault("event", "unnamed")
    if dropped := len(event) - len([key for key in kept if key in event]):
        kept["dropped"] = dropped
    return kept


def configure_logs(stream: TextIO | None = None) -> None:
    """Log JSON lines to the stream (stderr by default); uncaught errors are logged without their text."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            keep_allowed,
            structlog.processors.JSONRenderer(sort_keys=True),
        ],
        logger_factory=structlog.WriteLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    sys.excepthook = _log_uncaught
    threading.excepthook = lambda args: _log_uncaught(
        args.exc_type, args.exc_value, args.exc_traceback
    )


def logger() -> Logger:
    """The node's logger: fixed event names, values by key."""
    return structlog.get_logger()


def where(error: BaseException) -> str:
    """File and line of the innermost frames, newest first; no text of the error, which may quote its data."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES_LOGGED:]
    return "<".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in reversed(frames))


class StudyPseudonyms:
    """Names for studies in logs: a keyed hash, so that who has the logs alone cannot look a UID up."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def of(self, uid: str) -> str:
        """16 hex digits, always the same for one UID at one site."""
        return hmac.new(self._secret, uid.encode(), hashlib.sha256).hexdigest()[:16]


def site_secret(path: Path) -> bytes:
    """The site's secret, made at the first start and readable by its owner only."""
    if not path.exists() or not path.stat().st_size:
        # Whole or not at all: a crash here must not leave an empty key, with which anybody could look a UID up.
        draft = path.with_suffix(".draft")
        draft.unlink(missing_ok=True)
        draft.touch(mode=0o600)
        with draft.open("r+b") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    return path.read_bytes()


def _is_harmless(key: str, value: object) -> bool:
    if key not in ALLOWED_KEYS:
        return False
    if isinstance(value, str):
        return bool(_HARMLESS_TEXT.fullmatch(value)) and not _UID.fullmatch(value)
    return isinstance(value, bool | int | float)


def _log_uncaught(
    kind: type[BaseException], error: BaseException | None, _: TracebackType | None
) -> None:
    logger().critical(
        "uncaught-error",
        error_type=kind.__name__,
        where=where(error) if error is not None else "unknown",
    )

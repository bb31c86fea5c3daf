"""What makes a job this job and no other: the key every result UID is derived from."""

import hashlib
import json
import re
from collections.abc import Iterable
from dataclasses import dataclass

KEY_PATTERN = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineIdentity:
    """What the engine child has really loaded; a change of any part is a new job."""

    profile_hash: str
    """Of the content, not the name, of the profile and of the report options."""
    models: tuple[tuple[str, str], ...]
    """Name and sha256 of each model, sorted by name."""
    code_version: str


def instance_set_hash(sop_uids: Iterable[str]) -> str:
    """Order-free hash of the set of SOP Instance UIDs of a series."""
    return hashlib.sha256("\n".join(sorted(set(sop_uids))).encode()).hexdigest()


def job_key(
    series_uid: str, set_hash: str, engine: EngineIdentity, run: int, demographics: str = ""
) -> str:
    """The key, 32 hex digits; `run` counts deliberate repeats from 1, `demographics` is a seal on them."""
    parts = [
        series_uid,
        set_hash,
        engine.profile_hash,
        sorted(engine.models),
        engine.code_version,
        run,
        # Jobs of journals that knew no seal keep their keys.
        *([demographics] if demographics else []),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]

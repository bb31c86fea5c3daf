"""What a destination holds, and how that differs from what an undisturbed node delivered."""

import hashlib
from collections import defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

TIMES = frozenset({"DA", "TM", "DT"})
"""When a result was made is the one thing in which two runs may differ."""

Inventory = Mapping[str, Mapping[str, str]]
"""Study Instance UID to SOP Instance UID to the hash of the content."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One way in which a disturbed run did not end as the undisturbed one."""

    kind: str
    """lost, missing, extra, changed or stuck."""
    where: str
    """Which destination, or the node."""
    what: str


def content_hash(content: bytes) -> str:
    """Of every element but dates and times, pixels included."""
    digest = hashlib.sha256()
    _feed(digest.update, dcmread(BytesIO(content)))
    return digest.hexdigest()


def inventory_of(folder: Path) -> dict[str, dict[str, str]]:
    """Of the files that a receiver kept."""
    held: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for path in sorted(folder.glob("*.dcm")):
        content = path.read_bytes()
        header = dcmread(BytesIO(content), stop_before_pixels=True)
        held[str(header.StudyInstanceUID)][str(header.SOPInstanceUID)] = content_hash(content)
    return dict(held)


def compare(
    where: str,
    expected: Inventory,
    found: Inventory,
    accepted: Collection[str],
    explained: Collection[str] = (),
) -> list[Finding]:
    """Findings at one destination; `explained` are objects of jobs that a later job has superseded."""
    findings = []
    for study in sorted(accepted):
        wanted, held = expected.get(study, {}), found.get(study, {})
        if not wanted or not set(wanted) & set(held):
            findings.append(Finding(kind="lost", where=where, what=study))
            continue
        for uid in sorted(set(wanted) | set(held)):
            if uid not in held:
                findings.append(Finding(kind="missing", where=where, what=uid))
            elif uid not in wanted:
                if uid not in explained:
                    findings.append(Finding(kind="extra", where=where, what=uid))
            elif wanted[uid] != held[uid]:
                findings.append(Finding(kind="changed", where=where, what=uid))
    findings += [
        Finding(kind="extra", where=where, what=uid)
        for study in sorted(set(found) - set(accepted))
        for uid in sorted(found[study])
    ]
    return findings


def _feed(update: object, dataset: Dataset) -> None:
    assert callable(update)
    for element in dataset:
        if element.VR in TIMES:
            continue
        update(f"{element.tag}{element.VR}".encode())
        if element.VR == "SQ":
            for item in element.value:
                update(b"item")
                _feed(update, item)
        else:
            value = element.value
            update(value if isinstance(value, bytes) else str(value).encode())

"""Who a result object is: unique identifiers derived from outside, never made up here."""

import hashlib
from dataclasses import dataclass, field
from datetime import datetime

from inference.domain.measurement import ModelUse


def derive_uid(*parts: str) -> str:
    """The same UID for the same parts on every machine: the UUID-derived form of PS3.5 B.2.

    Parts are length-prefixed before hashing, so ("a", "bc") and ("ab", "c") differ.
    """
    if not parts:
        raise ValueError("a UID must be derived from something")
    digest = hashlib.sha256()
    for part in parts:
        # A path may hold bytes that are no text.
        encoded = part.encode(errors="surrogateescape")
        digest.update(len(encoded).to_bytes(8, "big") + encoded)
    number = int.from_bytes(digest.digest()[:16], "big")
    # RFC 9562: version 8 (vendor-specific) and the standard variant, so that it is a UUID indeed.
    number = (number & ~(0xF << 76)) | (8 << 76)
    number = (number & ~(0x3 << 62)) | (2 << 62)
    return f"2.25.{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultIdentity:
    """The identity of one result object; derived from the job, so a repeated run gives the same."""

    series_instance_uid: str
    sop_instance_uid: str
    series_number: int
    code_version: str
    """Version of this software, e.g. "0.1.0+5978862"."""
    created: datetime
    """When the job ran; local time of the node, no wall clock is read while writing."""
    models: tuple[ModelUse, ...] = field(default=())
    """The models behind the object."""

    def uid(self, *parts: str) -> str:
        """A further UID inside the object (tracking, dimension, contributing item)."""
        return derive_uid(self.sop_instance_uid, *parts)

"""In which form a segmentation is written, and which results a destination that takes one form receives."""

from collections.abc import Collection
from enum import StrEnum


class SegEncoding(StrEnum):
    """The value is what settings, the command line and result roles say."""

    BINARY = "binary"
    """One bit per voxel, one frame per segment and slice, uncompressed: what every receiver understands."""
    BINARY_DEFLATED = "binary-deflated"
    """The same in Deflated Explicit VR Little Endian: about 1 % of the bytes."""
    LABELMAP = "labelmap"
    """One frame per slice, its values are segment numbers (DICOM Supplement 243): for viewers that choke on many frames."""


def role_in(role: str, encoding: SegEncoding) -> str:
    """The role of the same result in another encoding: an object of its own, with UIDs of its own."""
    return role if encoding is SegEncoding.BINARY else f"{role}@{encoding.value}"


def receives(encoding: SegEncoding, role: str, roles: Collection[str]) -> bool:
    """Whether a destination of this encoding gets the result, where a job has results of these roles."""
    plain = role.partition("@")[0]
    wanted = role_in(plain, encoding)
    return role == (wanted if wanted in roles else plain)

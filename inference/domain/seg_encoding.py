"""In which form a segmentation is written; each destination takes one."""

from enum import StrEnum


class SegEncoding(StrEnum):
    """The value is what settings, the command line and result roles say."""

    BINARY = "binary"
    """One bit per voxel, one frame per segment and slice, uncompressed: what every receiver understands."""
    BINARY_DEFLATED = "binary-deflated"
    """The same in Deflated Explicit VR Little Endian: about 1 % of the bytes."""
    LABELMAP = "labelmap"
    """One frame per slice, its values are segment numbers (DICOM Supplement 243): for viewers that choke on many frames."""

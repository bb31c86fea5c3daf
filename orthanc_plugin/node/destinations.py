"""Where results go: a destination's kind, its name and its terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.settings_types import FROM_FILE, FilePath, Name, Text


class DestinationKind(StrEnum):
    """How results get there."""

    MODALITY = "modality"
    """C-STORE to one of Orthanc's DicomModalities."""
    DICOMWEB = "dicomweb"
    """STOW-RS to one of Orthanc's DicomWeb.Servers."""
    PEER = "peer"
    """Orthanc's own way, to one of its OrthancPeers."""
    FOLDER = "folder"
    """DICOM files in a folder that this machine sees."""


class Verification(StrEnum):
    """When a delivery counts as made."""

    AUTO = "auto"
    """The receiver commits itself where it offers that, else it is asked for the very object."""
    COMMITMENT = "commitment"
    """It must commit itself: DICOM storage commitment."""
    FIND = "find"
    """It is asked for the very object: C-FIND, QIDO-RS, a peer's lookup, or the bytes in a folder."""
    NONE = "none"
    """Its answer of success is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One receiver of DICOM results."""

    __pydantic_config__ = FROM_FILE

    name: Name
    """How rules, deliveries and the page call it."""
    kind: DestinationKind = DestinationKind.MODALITY
    """C-STORE to a modality, STOW-RS to a DICOMweb server, an Orthanc peer, or files in a folder."""
    target: Text | None = None
    """Orthanc's name of the modality, server or peer, or the folder's path; the same as `name` where it is not given."""
    required: bool = True
    """A job is done only when every required destination has confirmed; the others never block."""
    verify: Verification = Verification.AUTO
    """"auto": by storage commitment where the receiver offers it, else by a query. "commitment": of a modality alone.
    "find": by C-FIND, QIDO-RS, a peer's lookup, or the bytes in a folder. "none": its success answer is believed."""
    seg: SegEncoding = SegEncoding.BINARY
    """In which form it gets segmentations, and the report that refers to them."""
    password_file: FilePath | None = None
    """Of a peer alone: a file with its password, so that the node can ask it for what was sent; Orthanc keeps its own copy
    to itself. Without it a peer that wants a password stays unverified unless verify is "none"."""

    @property
    def address(self) -> str:
        """What Orthanc, or the file system, knows it by."""
        return self.target or self.name


def encodings_for(destinations: Sequence[Destination]) -> tuple[SegEncoding, ...]:
    """What a job must write: BINARY for our own Orthanc's viewers, then what destinations want besides."""
    return tuple(dict.fromkeys((SegEncoding.BINARY, *(each.seg for each in destinations))))

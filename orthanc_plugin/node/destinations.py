"""Where results go: a destination's kind, its name and its terms."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.settings_types import FROM_FILE, Name


class Confirmation(StrEnum):
    """When a delivery counts as made."""

    QUERY = "query"
    """The receiver is asked for the very object."""
    STORE_STATUS = "store-status"
    """Its answer of success is believed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Destination:
    """One receiver of DICOM results."""

    __pydantic_config__ = FROM_FILE

    name: Name
    """How deliveries and the page call it; Orthanc's name of the modality."""
    required: bool = True
    """A job is done only when every required destination has confirmed; the others never block."""
    confirm: Confirmation = Confirmation.QUERY
    """"query": the receiver is asked for the object. "store-status": its success answer is believed."""
    seg: SegEncoding = SegEncoding.BINARY
    """In which form it gets segmentations, and the report that refers to them."""


def encodings_for(destinations: Sequence[Destination]) -> tuple[SegEncoding, ...]:
    """What a job must write: BINARY for our own Orthanc's viewers, then what destinations want besides."""
    return tuple(dict.fromkeys((SegEncoding.BINARY, *(each.seg for each in destinations))))

"""Pacs: the port through which the node sees Orthanc and the PACS behind it, and its errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, Protocol

from inference.domain.errors import HabitusError
from orthanc_plugin.node.delivery_journal import ObjectUids
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.routing import SeriesOrigin


@dataclass(kw_only=True)
class PacsUnavailable(HabitusError):
    """Orthanc does not answer at all, or does not let us in; everything waits."""

    code: ClassVar[str] = "pacs-unavailable"
    retryable: ClassVar[bool] = True


@dataclass(kw_only=True)
class RequestRefused(HabitusError):
    """Orthanc answers this one request with an error; other requests may well succeed."""

    code: ClassVar[str] = "request-refused"
    retryable: ClassVar[bool] = True


@dataclass(kw_only=True)
class DestinationUnknown(RequestRefused):
    """Orthanc has no modality, server or peer of that name."""

    code: ClassVar[str] = "destination-unknown-to-orthanc"


@dataclass(kw_only=True)
class ResourceGone(HabitusError):
    """What was asked for has been deleted meanwhile."""

    code: ClassVar[str] = "resource-gone"


@dataclass(kw_only=True)
class QueryRefused(HabitusError):
    """The peer cannot be asked what it holds."""

    code: ClassVar[str] = "query-refused"
    retryable: ClassVar[bool] = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One row of Orthanc's log of changes."""

    sequence: int
    kind: str
    """As Orthanc spells it, e.g. "NewInstance"."""
    orthanc_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangePage:
    """Some changes in order."""

    changes: tuple[Change, ...]
    last: int
    """Ask on from here."""
    is_done: bool
    """Nothing newer was there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesFacts:
    """What Orthanc knows of a series without reading pixels."""

    series_orthanc_id: str
    study_orthanc_id: str
    series_uid: str
    modality: str
    manufacturer: str
    sop_uids: Mapping[str, str]
    """Orthanc instance id to SOP Instance UID."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyFacts:
    """What Orthanc knows of a study as a whole."""

    patient_orthanc_id: str
    series: tuple[str, ...]
    changed_at: float
    """Seconds since 1970 by Orthanc's clock: when its newest image came."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesGlance:
    """What a single request tells of a series that may still be growing."""

    study_orthanc_id: str
    modality: str
    manufacturer: str
    instances: frozenset[str]
    """Orthanc's ids of all that is of it by now."""


class SendState(StrEnum):
    """Where an asynchronous send stands."""

    RUNNING = "running"
    SUCCESS = "success"
    FAILURE = "failure"
    UNKNOWN = "unknown"
    """Orthanc does not remember the job."""


class CommitmentState(StrEnum):
    """Where a request for storage commitment stands."""

    PENDING = "pending"
    MADE = "made"
    REFUSED = "refused"
    """The receiver says that it does not have the object."""
    UNKNOWN = "unknown"
    """Orthanc does not remember the request."""


class Pacs(Protocol):
    """Everything the node asks of Orthanc. Each method may raise PacsUnavailable or RequestRefused."""

    def last_change(self) -> int:
        """Sequence number of the newest change."""

    def changes(self, since: int, limit: int) -> ChangePage:
        """Changes after a sequence number."""

    def series_of_instance(self, instance_orthanc_id: str) -> str:
        """The series an instance belongs to; raises ResourceGone."""

    def glance(self, series_orthanc_id: str) -> SeriesGlance:
        """A series as it is by now; raises ResourceGone."""

    def series_of_study(self, study_orthanc_id: str) -> tuple[str, ...]:
        """All series of a study; raises ResourceGone."""

    def series_facts(self, series_orthanc_id: str) -> SeriesFacts:
        """What is known of a series; raises ResourceGone."""

    def image_texts(self, series_orthanc_id: str) -> tuple[Mapping[str, str], ...]:
        """Of each image of a series its header's texts by keyword, without pixels; raises ResourceGone."""

    def origin(self, instance_orthanc_id: str) -> SeriesOrigin:
        """Who sent an instance, and its header's texts; raises ResourceGone."""

    def fetch_instance_file(self, instance_orthanc_id: str) -> bytes:
        """The DICOM file as received; raises ResourceGone."""

    def store_instance(self, content: bytes) -> str:
        """Store a DICOM file; its Orthanc id, also when it was there already."""

    def delete_instance(self, instance_orthanc_id: str) -> None:
        """Delete one instance from our own Orthanc; raises ResourceGone."""

    def send(self, to: Destination, instance_orthanc_id: str) -> str:
        """Start an asynchronous send of one instance; the id of the job. Raises ResourceGone."""

    def job_state(self, orthanc_job_id: str) -> SendState:
        """How a send is doing."""

    def found_at(self, at: Destination, uids: ObjectUids) -> bool:
        """Whether the receiver, asked for the very object, has it; raises QueryRefused."""

    def request_commitment(self, at: Destination, uids: ObjectUids) -> str:
        """Ask a modality to commit itself to an object; the id of the request. Raises QueryRefused."""

    def commitment_state(self, commitment_id: str) -> CommitmentState:
        """What became of a request for commitment."""

    def patient_of_study(self, study_orthanc_id: str) -> str:
        """Orthanc's identifier of the patient; raises ResourceGone."""

    def is_protected(self, patient_orthanc_id: str) -> bool:
        """Whether Orthanc may not recycle a patient; raises ResourceGone."""

    def protect(self, patient_orthanc_id: str, *, is_protected: bool) -> None:
        """Have Orthanc recycle a patient or not; raises ResourceGone."""

    def studies(self) -> tuple[str, ...]:
        """Every study there is."""

    def study_facts(self, study_orthanc_id: str) -> StudyFacts:
        """What is known of a study; raises ResourceGone."""

    def delete_study(self, study_orthanc_id: str) -> None:
        """Delete a study from our own Orthanc; raises ResourceGone."""

    def set_marker(self, series_orthanc_id: str, text: str) -> None:
        """Write our visible marker on a series; raises ResourceGone."""

"""Fakes of the node's ports: in memory, honest to the same contract tests as the real ones."""

import hashlib
import io
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pydicom
from pydicom.multival import MultiValue

from orthanc_plugin.node.analysis_port import AnalysisRequest, NetworkInUse
from orthanc_plugin.node.delivery_journal import ObjectUids
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.engine_process import (
    EngineLost,
    Finished,
    Heartbeat,
    Outcome,
    Refused,
)
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.pacs import (
    Change,
    ChangePage,
    CommitmentState,
    DestinationUnknown,
    PacsUnavailable,
    QueryRefused,
    RequestRefused,
    ResourceGone,
    SendState,
    SeriesFacts,
    SeriesGlance,
    StudyFacts,
)
from orthanc_plugin.node.routing import SeriesOrigin
from orthanc_plugin.node.settings import Settings

ENGINE = EngineIdentity(profile_hash="p", models=(("m", "0" * 64),), code_version="1")


class Clock:
    """Time that passes only when told to."""

    def __init__(self, now_s: float = 1000.0) -> None:
        self.now_s = now_s

    def __call__(self) -> float:
        return self.now_s

    def pass_s(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds


@dataclass(slots=True)
class Remote:
    """A PACS behind the fake Orthanc."""

    received: list[str] = field(default_factory=list)
    """SOP Instance UIDs, repeats included."""
    is_away: bool = False
    answers_queries: bool = True
    forgets: bool = False
    """Answers success, keeps nothing."""
    commits: bool = False
    """Takes requests for storage commitment."""
    reports: bool = True
    """And reports on them."""
    is_slow: bool = False
    """Sends to it stay under way for ever."""


@dataclass(frozen=True, slots=True)
class _Stored:
    content: bytes
    series_id: str
    study_id: str
    sop_uid: str
    series_uid: str
    modality: str
    manufacturer: str


class FakePacs:
    """Orthanc as a dict."""

    def __init__(self, **remotes: Remote) -> None:
        self.remotes = remotes
        self.instances: dict[str, _Stored] = {}
        self.markers: dict[str, str] = {}
        self.is_away = False
        self.calling = self.called = ""
        """AE titles of what comes; empty as of what comes by HTTP."""
        self.refuses: set[str] = set()
        """Ids (or "store") whose requests are answered with an error."""
        self.overwrites = False
        """Whether what is sent again takes the place of the first copy (OverwriteInstances)."""
        self.texts_asked = 0
        self.instances_asked = self.series_asked = 0
        """How often the headers of a series were asked for: the one costly question."""
        self.clock: Callable[[], float] = time.time
        self.changed_at: dict[str, float] = {}
        """When the newest image of each study came."""
        self._log: list[Change] = []
        self._jobs: dict[str, SendState] = {}
        self.protected: set[str] = set()
        """Patients that are not recycled."""
        self.commitments: dict[str, tuple[str, str]] = {}
        """Modality and SOP Instance UID of each request."""

    def forget(self, instance_orthanc_id: str) -> None:
        """Somebody deletes an instance."""
        del self.instances[instance_orthanc_id]
        self._log = [row for row in self._log if row.orthanc_id != instance_orthanc_id]

    def begin_anew(self) -> None:
        """Somebody replaces the index."""
        self.instances.clear()
        self._log.clear()

    def last_change(self) -> int:
        self._answer()
        return self._log[-1].sequence if self._log else 0

    def changes(self, since: int, limit: int) -> ChangePage:
        self._answer()
        newer = [row for row in self._log if row.sequence > since]
        page = tuple(newer[:limit])
        return ChangePage(
            changes=page,
            last=page[-1].sequence if page else self.last_change(),
            is_done=len(newer) <= limit,
        )

    def series_of_instance(self, instance_orthanc_id: str) -> str:
        self.instances_asked += 1
        return self._stored(instance_orthanc_id).series_id

    def glance(self, series_orthanc_id: str) -> SeriesGlance:
        facts = self.series_facts(series_orthanc_id)
        self.series_asked += 1
        return SeriesGlance(
            study_orthanc_id=facts.study_orthanc_id,
            modality=facts.modality,
            manufacturer=facts.manufacturer,
            instances=frozenset(facts.sop_uids),
        )

    def series_of_study(self, study_orthanc_id: str) -> tuple[str, ...]:
        self._answer(study_orthanc_id)
        own = [s.series_id for s in self.instances.values() if s.study_id == study_orthanc_id]
        if not own:
            raise ResourceGone(found="no such study", wanted="the study")
        return tuple(dict.fromkeys(own))

    def image_texts(self, series_orthanc_id: str) -> tuple[Mapping[str, str], ...]:
        facts = self.series_facts(series_orthanc_id)
        self.texts_asked += 1
        return tuple(_texts(self.instances[key].content) for key in facts.sop_uids)

    def series_facts(self, series_orthanc_id: str) -> SeriesFacts:
        self._answer(series_orthanc_id)
        own = {k: v for k, v in self.instances.items() if v.series_id == series_orthanc_id}
        if not own:
            raise ResourceGone(found="no such series", wanted="the series")
        one = next(iter(own.values()))
        return SeriesFacts(
            series_orthanc_id=series_orthanc_id,
            study_orthanc_id=one.study_id,
            series_uid=one.series_uid,
            modality=one.modality,
            manufacturer=one.manufacturer,
            sop_uids={key: stored.sop_uid for key, stored in own.items()},
        )

    def origin(self, instance_orthanc_id: str) -> SeriesOrigin:
        stored = self._stored(instance_orthanc_id)
        return SeriesOrigin(calling=self.calling, called=self.called, texts=_texts(stored.content))

    def fetch_instance_file(self, instance_orthanc_id: str) -> bytes:
        return self._stored(instance_orthanc_id).content

    def store_instance(self, content: bytes) -> str:
        self._answer("store")
        header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
        # As in Orthanc, an id depends on the patient's.
        patient = hashlib.sha256(str(header.get("PatientID", "")).encode()).hexdigest()[:8]
        orthanc_id = f"instance-{patient}-{header.SOPInstanceUID}"
        if orthanc_id not in self.instances or self.overwrites:
            self.instances[orthanc_id] = _Stored(
                content=content,
                series_id=f"series-{patient}-{header.SeriesInstanceUID}",
                study_id=f"study-{patient}-{header.StudyInstanceUID}",
                sop_uid=str(header.SOPInstanceUID),
                series_uid=str(header.SeriesInstanceUID),
                modality=header.Modality,
                manufacturer=header.get("Manufacturer", ""),
            )
            self.changed_at[self.instances[orthanc_id].study_id] = self.clock()
            self._note("NewInstance", orthanc_id)
        return orthanc_id

    def delete_instance(self, instance_orthanc_id: str) -> None:
        self._stored(instance_orthanc_id)
        self.forget(instance_orthanc_id)

    def send(self, to: Destination, instance_orthanc_id: str) -> str:
        stored = self._stored(instance_orthanc_id)
        if to.address not in self.remotes:
            raise DestinationUnknown(found="no such modality", wanted="a modality")
        remote = self.remotes[to.address]
        job_id = f"job-{len(self._jobs)}"
        if remote.is_slow:
            self._jobs[job_id] = SendState.RUNNING
            return job_id
        self._jobs[job_id] = SendState.FAILURE if remote.is_away else SendState.SUCCESS
        if not remote.is_away and not remote.forgets:
            remote.received.append(stored.sop_uid)
        return job_id

    def job_state(self, orthanc_job_id: str) -> SendState:
        self._answer()
        return self._jobs.get(orthanc_job_id, SendState.UNKNOWN)

    def found_at(self, at: Destination, uids: ObjectUids) -> bool:
        self._answer()
        remote = self.remotes[at.address]
        if remote.is_away or not remote.answers_queries:
            raise QueryRefused(found="no answer", wanted="an answer")
        return uids.sop_uid in remote.received

    def request_commitment(self, at: Destination, uids: ObjectUids) -> str:
        self._answer()
        if at.address not in self.remotes:
            raise ResourceGone(found="no such modality", wanted="a modality")
        remote = self.remotes[at.address]
        if remote.is_away or not remote.commits:
            raise QueryRefused(found="no answer", wanted="an answer")
        commitment_id = f"commitment-{len(self.commitments)}"
        self.commitments[commitment_id] = (at.address, uids.sop_uid)
        return commitment_id

    def commitment_state(self, commitment_id: str) -> CommitmentState:
        self._answer()
        if commitment_id not in self.commitments:
            return CommitmentState.UNKNOWN
        name, sop_uid = self.commitments[commitment_id]
        if not self.remotes[name].reports:
            return CommitmentState.PENDING
        is_there = sop_uid in self.remotes[name].received
        return CommitmentState.MADE if is_there else CommitmentState.REFUSED

    def patient_of_study(self, study_orthanc_id: str) -> str:
        (series, *_) = self.series_of_study(study_orthanc_id)
        ids = [key for key, one in self.instances.items() if one.series_id == series]
        return self._patient_of(self._stored(ids[0]))

    def is_protected(self, patient_orthanc_id: str) -> bool:
        self._require_patient(patient_orthanc_id)
        return patient_orthanc_id in self.protected

    def protect(self, patient_orthanc_id: str, *, is_protected: bool) -> None:
        self._require_patient(patient_orthanc_id)
        if is_protected:
            self.protected.add(patient_orthanc_id)
        else:
            self.protected.discard(patient_orthanc_id)

    def studies(self) -> tuple[str, ...]:
        self._answer()
        return tuple(dict.fromkeys(one.study_id for one in self.instances.values()))

    def study_facts(self, study_orthanc_id: str) -> StudyFacts:
        series = self.series_of_study(study_orthanc_id)
        return StudyFacts(
            patient_orthanc_id=self.patient_of_study(study_orthanc_id),
            series=series,
            changed_at=self.changed_at[study_orthanc_id],
        )

    def delete_study(self, study_orthanc_id: str) -> None:
        self.series_of_study(study_orthanc_id)
        own = [key for key, one in self.instances.items() if one.study_id == study_orthanc_id]
        for key in own:
            self.forget(key)

    def _require_patient(self, patient_orthanc_id: str) -> None:
        self._answer(patient_orthanc_id)
        if patient_orthanc_id not in map(self._patient_of, self.instances.values()):
            raise ResourceGone(found="no such patient", wanted="the patient")

    @staticmethod
    def _patient_of(stored: _Stored) -> str:
        return f"patient-{_texts(stored.content)['PatientID']}"

    def set_marker(self, series_orthanc_id: str, text: str) -> None:
        self.series_facts(series_orthanc_id)
        self.markers[series_orthanc_id] = text
        self._note("UpdatedMetadata", series_orthanc_id)

    def _note(self, kind: str, orthanc_id: str) -> None:
        sequence = self._log[-1].sequence + 1 if self._log else 1
        self._log.append(Change(sequence=sequence, kind=kind, orthanc_id=orthanc_id))

    def _stored(self, orthanc_id: str) -> _Stored:
        self._answer(orthanc_id)
        if orthanc_id not in self.instances:
            raise ResourceGone(found="no such instance", wanted="the instance")
        return self.instances[orthanc_id]

    def _answer(self, asked_for: str = "") -> None:
        if self.is_away:
            raise PacsUnavailable(found="no answer", wanted="an answer")
        if asked_for in self.refuses:
            raise RequestRefused(found="HTTP 500", wanted="HTTP 200")


def _texts(content: bytes) -> dict[str, str]:
    """Header values as Orthanc's simplified JSON has them."""
    header = pydicom.dcmread(io.BytesIO(content), stop_before_pixels=True)
    return {
        element.keyword: "\\".join(map(str, element.value))
        if isinstance(element.value, MultiValue)
        else str(element.value)
        for element in header
        if element.VR != "SQ"
    }


class FakeEngine:
    """An engine whose outcomes are written down beforehand; without any it writes a report."""

    def __init__(
        self,
        outcomes: Sequence[Outcome] = (),
        identity: EngineIdentity | Refused | EngineLost = ENGINE,
        report: str = "{}",
    ) -> None:
        self.report = report
        self.outcomes = list(outcomes)
        self.identity = identity
        self.further: dict[str, EngineIdentity] = {}
        """Of profiles beside the engine's own."""
        self.requests: list[AnalysisRequest] = []
        self.while_running: Callable[[], None] = lambda: None
        self.is_spent = False
        self.downgrades: tuple[str, ...] = ()
        self.networks: tuple[NetworkInUse, ...] = ()
        self._runs = False

    @property
    def pid(self) -> int | None:
        return 1 if self._runs else None

    def configure(self, settings: Settings) -> bool:
        return False

    def identity_of(self, profile: str) -> EngineIdentity | None:
        known = {"": self.identity, **self.further}
        found = known.get(profile)
        return found if isinstance(found, EngineIdentity) else None

    def start(self) -> EngineIdentity | Refused | EngineLost:
        self._runs = isinstance(self.identity, EngineIdentity)
        return self.identity

    def analyse(self, request: AnalysisRequest, heartbeat: Heartbeat) -> Outcome:
        self.requests.append(request)
        heartbeat("start", 0.0)
        self.while_running()
        if not self.outcomes:
            (request.out_folder / "report.json").write_text(self.report)
            return Finished(files={"report": "report.json"})
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, EngineLost):
            self._runs = False
        return outcome

    def stop(self) -> int | None:
        self._runs = False
        return None

    def is_running(self) -> bool:
        return self._runs

    def retire_if_spent(self) -> str | None:
        if not self.is_spent:
            return None
        self.is_spent = self._runs = False
        return "jobs-served"


class SilentLog:
    """A logger that keeps the event names."""

    def __init__(self) -> None:
        self.events: list[str] = []

    def info(self, event: str, **_: object) -> None:
        self.events.append(event)

    warning = error = critical = info


def dicom_bytes(dataset: pydicom.Dataset) -> bytes:
    """A data set as a DICOM file."""
    buffer = io.BytesIO()
    dataset.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def fill(pacs: FakePacs, series: Sequence[pydicom.Dataset]) -> list[str]:
    """Store a series; the Orthanc ids."""
    return [pacs.store_instance(dicom_bytes(image)) for image in series]


def write(path: Path, text: str) -> Path:
    """A text file, its folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path

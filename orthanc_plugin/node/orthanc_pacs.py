"""OrthancPacs: the Pacs port over Orthanc's REST API, on one kept-alive loopback connection."""

import json
from collections.abc import Mapping
from types import TracebackType
from typing import Any
from urllib.parse import quote

import requests

from orthanc_plugin.node.delivery_journal import ObjectUids
from orthanc_plugin.node.destinations import Destination, DestinationKind
from orthanc_plugin.node.login import basic
from orthanc_plugin.node.orthanc_answers import (
    Record,
    moment_in,
    number_in,
    record,
    records,
    text_in,
    texts_in,
)
from orthanc_plugin.node.orthanc_peer import PeerAddress, has_instance
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
from orthanc_plugin.node.pinned_certificate import pin
from orthanc_plugin.node.routing import SeriesOrigin

MARKER = "4096"
"""User metadata number; UserMetadata in Orthanc's configuration names it "habitus"."""

_SEND_STATES = {
    "Success": SendState.SUCCESS,
    "Failure": SendState.FAILURE,
    "Pending": SendState.RUNNING,
    "Running": SendState.RUNNING,
    "Retry": SendState.RUNNING,
    "Paused": SendState.RUNNING,
}


_STORE_PATHS = {
    DestinationKind.MODALITY: "/modalities/{}/store",
    DestinationKind.DICOMWEB: "/dicom-web/servers/{}/stow",
    DestinationKind.PEER: "/peers/{}/store",
}
SOP_INSTANCE_UID = "00080018"

_COMMITMENT_STATES = {
    "Success": CommitmentState.MADE,
    "Failure": CommitmentState.REFUSED,
    "Pending": CommitmentState.PENDING,
}


class OrthancPacs:
    """One thread's connection to Orthanc; closes it when used as a context."""

    def __init__(
        self,
        url: str,
        authorization: str | tuple[str, str] | None,
        timeout_s: float,
        fingerprint: str = "",
    ) -> None:
        self._url = url
        self._timeout_s = timeout_s
        self._session = requests.Session()
        # Neither a proxy nor ~/.netrc of the machine has a say on a loopback connection.
        self._session.trust_env = False
        if fingerprint:
            pin(self._session, fingerprint)
        if isinstance(authorization, str):
            self._session.headers["Authorization"] = authorization
        elif authorization is not None:
            self._session.auth = basic(*authorization)

    def __enter__(self) -> "OrthancPacs":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._session.close()

    def last_change(self) -> int:
        """Sequence number of the newest change."""
        return number_in(self._record("GET", "/changes?last"), "Last")

    def changes(self, since: int, limit: int) -> ChangePage:
        """Changes after a sequence number."""
        page = self._record("GET", f"/changes?since={since}&limit={limit}")
        return ChangePage(
            changes=tuple(
                Change(
                    sequence=number_in(row, "Seq"),
                    kind=text_in(row, "ChangeType"),
                    orthanc_id=text_in(row, "ID"),
                )
                for row in records(page.get("Changes"))
            ),
            last=number_in(page, "Last"),
            is_done=bool(page.get("Done")),
        )

    def series_of_instance(self, instance_orthanc_id: str) -> str:
        """The series an instance belongs to; raises ResourceGone."""
        return text_in(self._record("GET", f"/instances/{instance_orthanc_id}"), "ParentSeries")

    def glance(self, series_orthanc_id: str) -> SeriesGlance:
        """A series as it is by now; raises ResourceGone."""
        series = self._record("GET", f"/series/{series_orthanc_id}")
        tags = record(series.get("MainDicomTags"))
        return SeriesGlance(
            study_orthanc_id=text_in(series, "ParentStudy"),
            modality=text_in(tags, "Modality", "").strip(),
            manufacturer=text_in(tags, "Manufacturer", "").strip(),
            instances=frozenset(texts_in(series, "Instances")),
        )

    def series_of_study(self, study_orthanc_id: str) -> tuple[str, ...]:
        """All series of a study; raises ResourceGone."""
        study = self._record("GET", f"/studies/{study_orthanc_id}")
        return tuple(texts_in(study, "Series"))

    def image_texts(self, series_orthanc_id: str) -> tuple[Mapping[str, str], ...]:
        """Of each image of a series its header's texts by keyword, without pixels; raises ResourceGone."""
        told = self._record("GET", f"/series/{series_orthanc_id}/instances-tags?simplify")
        return tuple(
            {name: value for name, value in record(tags).items() if isinstance(value, str)}
            for tags in told.values()
        )

    def series_facts(self, series_orthanc_id: str) -> SeriesFacts:
        """What is known of a series; raises ResourceGone."""
        series = self._record("GET", f"/series/{series_orthanc_id}")
        instances = records(self._json("GET", f"/series/{series_orthanc_id}/instances"))
        tags = record(series.get("MainDicomTags"))
        return SeriesFacts(
            series_orthanc_id=series_orthanc_id,
            study_orthanc_id=text_in(series, "ParentStudy"),
            series_uid=text_in(tags, "SeriesInstanceUID", ""),
            modality=text_in(tags, "Modality", "").strip(),
            manufacturer=text_in(tags, "Manufacturer", "").strip(),
            sop_uids={
                text_in(instance, "ID"): text_in(
                    record(instance.get("MainDicomTags")), "SOPInstanceUID", ""
                )
                for instance in instances
            },
        )

    def origin(self, instance_orthanc_id: str) -> SeriesOrigin:
        """Who sent an instance, and its header's texts; raises ResourceGone."""
        known = self._record("GET", f"/instances/{instance_orthanc_id}/metadata?expand")
        tags = self._record("GET", f"/instances/{instance_orthanc_id}/simplified-tags")
        return SeriesOrigin(
            calling=text_in(known, "RemoteAET", "").strip(),
            called=text_in(known, "CalledAET", "").strip(),
            texts={name: value for name, value in tags.items() if isinstance(value, str)},
        )

    def fetch_instance_file(self, instance_orthanc_id: str) -> bytes:
        """The DICOM file as received; raises ResourceGone."""
        return self._request("GET", f"/instances/{instance_orthanc_id}/file").content

    def store_instance(self, content: bytes) -> str:
        """Store a DICOM file; its Orthanc id, also when it was there already."""
        return text_in(self._record("POST", "/instances", content), "ID")

    def delete_instance(self, instance_orthanc_id: str) -> None:
        """Delete one instance from our own Orthanc; raises ResourceGone."""
        self._request("DELETE", f"/instances/{instance_orthanc_id}")

    def send(self, to: Destination, instance_orthanc_id: str) -> str:
        """Start an asynchronous send of one instance; the id of the job."""
        path = _STORE_PATHS[to.kind].format(quote(to.address, safe=""))
        # Permissive hid a lost instance (reported Success with 1 of 2 delivered).
        order = {"Resources": [instance_orthanc_id], "Synchronous": False, "Permissive": False}
        try:
            return text_in(self._record("POST", path, order), "ID")
        except RequestRefused:
            # A deleted instance is answered by 400 here, not by 404: ask for it to tell the two apart.
            self._json("GET", f"/instances/{instance_orthanc_id}")
            raise
        except ResourceGone as exc:
            self._json("GET", f"/instances/{instance_orthanc_id}")
            raise DestinationUnknown(
                found=f"a {to.kind} that Orthanc does not know",
                wanted="the name that Orthanc's configuration gives it",
                advice="habitus doctor lists the names there are.",
            ) from exc

    def job_state(self, orthanc_job_id: str) -> SendState:
        """How a send is doing; UNKNOWN when Orthanc has forgotten it."""
        try:
            state = text_in(self._record("GET", f"/jobs/{orthanc_job_id}"), "State")
        except ResourceGone:
            return SendState.UNKNOWN
        return _SEND_STATES.get(state, SendState.UNKNOWN)

    def found_at(self, at: Destination, uids: ObjectUids) -> bool:
        """Whether the receiver, asked for the very object, has it."""
        ask = {
            DestinationKind.MODALITY: self._found_by_c_find,
            DestinationKind.DICOMWEB: self._found_by_qido,
            DestinationKind.PEER: self._found_by_lookup,
        }
        try:
            return ask[at.kind](at, uids)
        except RequestRefused as exc:
            raise QueryRefused(
                found=f"no answer to a question of kind {at.kind}",
                wanted="a receiver that says what it has",
                advice='Let the receiver answer queries, or set verify = "none".',
            ) from exc

    def request_commitment(self, at: Destination, uids: ObjectUids) -> str:
        """Ask a modality to commit itself to an object; the id of the request. Raises QueryRefused where it does not."""
        wanted = {"SOPClassUID": uids.sop_class_uid, "SOPInstanceUID": uids.sop_uid}
        path = f"/modalities/{quote(at.address, safe='')}/storage-commitment"
        try:
            return text_in(self._record("POST", path, {"DicomInstances": [wanted]}), "ID")
        except RequestRefused as exc:
            raise QueryRefused(
                found="no answer to a request for storage commitment",
                wanted="a receiver that offers it",
                advice='Let the receiver offer it, or set verify = "auto".',
            ) from exc

    def commitment_state(self, commitment_id: str) -> CommitmentState:
        """What became of a request for one object; UNKNOWN when Orthanc has forgotten it."""
        try:
            report = self._record("GET", f"/storage-commitment/{commitment_id}")
        except ResourceGone:
            return CommitmentState.UNKNOWN
        return _COMMITMENT_STATES.get(text_in(report, "Status"), CommitmentState.UNKNOWN)

    def _found_by_c_find(self, at: Destination, uids: ObjectUids) -> bool:
        """At the instance level."""
        query = {
            "Level": "Instance",
            "Query": {
                "StudyInstanceUID": uids.study_uid,
                "SeriesInstanceUID": uids.series_uid,
                "SOPInstanceUID": uids.sop_uid,
            },
        }
        answer = self._record("POST", f"/modalities/{quote(at.address, safe='')}/query", query)
        path = text_in(answer, "Path")
        rows = records(self._json("GET", f"{path}/answers?expand&simplify"))
        self._request("DELETE", path)
        # A peer that ignores a key answers with other instances: only the exact one counts.
        return any(row.get("SOPInstanceUID") == uids.sop_uid for row in rows)

    def _found_by_qido(self, at: Destination, uids: ObjectUids) -> bool:
        """Below its series: not every server searches all instances it has."""
        query = {
            "Uri": f"/studies/{uids.study_uid}/series/{uids.series_uid}/instances",
            "Arguments": {"SOPInstanceUID": uids.sop_uid},
        }
        path = f"/dicom-web/servers/{quote(at.address, safe='')}/get"
        response = self._request("POST", path, query)
        # QIDO-RS answers "nothing found" with 204 and no body (PS3.18 8.3.4.4).
        rows = records(_json_of(response)) if response.content else []
        return any(
            uids.sop_uid in record(row.get(SOP_INSTANCE_UID)).get("Value", ()) for row in rows
        )

    def _found_by_lookup(self, at: Destination, uids: ObjectUids) -> bool:
        """Asked by ourselves: Orthanc has no route that asks a peer."""
        peer = self._record("GET", f"/peers/{quote(at.address, safe='')}/configuration")
        address = PeerAddress(
            url=text_in(peer, "Url").rstrip("/"),
            user=text_in(peer, "Username", ""),
            password_file=at.password_file,
        )
        return has_instance(address, uids.sop_uid, self._timeout_s)

    def patient_of_study(self, study_orthanc_id: str) -> str:
        """Orthanc's identifier of the patient; raises ResourceGone."""
        return text_in(self._record("GET", f"/studies/{study_orthanc_id}"), "ParentPatient")

    def is_protected(self, patient_orthanc_id: str) -> bool:
        """Whether Orthanc may not recycle a patient; raises ResourceGone."""
        path = f"/patients/{patient_orthanc_id}/protected"
        return self._request("GET", path).text.strip() == "1"

    def protect(self, patient_orthanc_id: str, *, is_protected: bool) -> None:
        """Have Orthanc recycle a patient or not; raises ResourceGone."""
        wish = b"1" if is_protected else b"0"
        try:
            self._request("PUT", f"/patients/{patient_orthanc_id}/protected", wish)
        except RequestRefused:
            # Orthanc 1.10 answers 400, not 404, for a patient it does not have.
            self._request("GET", f"/patients/{patient_orthanc_id}")
            raise

    def studies(self) -> tuple[str, ...]:
        """Every study there is."""
        told = self._json("GET", "/studies")
        return tuple(texts_in({"studies": told}, "studies"))

    def study_facts(self, study_orthanc_id: str) -> StudyFacts:
        """What is known of a study; raises ResourceGone."""
        study = self._record("GET", f"/studies/{study_orthanc_id}")
        return StudyFacts(
            patient_orthanc_id=text_in(study, "ParentPatient"),
            series=tuple(texts_in(study, "Series")),
            changed_at=moment_in(study, "LastUpdate"),
        )

    def delete_study(self, study_orthanc_id: str) -> None:
        """Delete a study from our own Orthanc; raises ResourceGone."""
        self._request("DELETE", f"/studies/{study_orthanc_id}")

    def set_marker(self, series_orthanc_id: str, text: str) -> None:
        """Write our visible marker on a series; raises ResourceGone."""
        self._request("PUT", f"/series/{series_orthanc_id}/metadata/{MARKER}", text.encode())

    def _record(self, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> Record:
        return record(self._json(method, path, body))

    def _json(self, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> Any:
        return _json_of(self._request(method, path, body))

    def _request(
        self, method: str, path: str, body: bytes | dict[str, Any] | None = None
    ) -> requests.Response:
        """One exchange; foreign errors become ours, without their text (it quotes addresses and UIDs)."""
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        try:
            response = self._session.request(
                method, self._url + path, data=data, timeout=self._timeout_s
            )
        except requests.RequestException as exc:
            raise PacsUnavailable(
                found=f"{type(exc).__name__} from Orthanc's REST API",
                wanted="an answer",
                advice="Is Orthanc running, and is its address right in habitus.toml?",
            ) from exc
        if response.status_code == requests.codes.not_found:
            raise ResourceGone(
                found="HTTP 404 from Orthanc",
                wanted="the resource",
                advice="It was deleted meanwhile; send the series again if it is wanted.",
            )
        if response.status_code in (requests.codes.unauthorized, requests.codes.forbidden):
            raise PacsUnavailable(
                found=f"HTTP {response.status_code} from Orthanc",
                wanted="to be let in",
                advice="Check user and password_file in habitus.toml.",
            )
        if not response.ok:
            raise RequestRefused(
                found=f"HTTP {response.status_code} from Orthanc",
                wanted="HTTP 200",
                advice="It is tried again; Orthanc's own log says why.",
            )
        return response


def _json_of(response: requests.Response) -> Any:
    try:
        return response.json()
    except (ValueError, RecursionError) as exc:
        raise RequestRefused(
            found="an answer that is not JSON",
            wanted="JSON",
            advice="Is the address in habitus.toml really Orthanc's?",
        ) from exc

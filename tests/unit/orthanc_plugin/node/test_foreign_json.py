"""Whatever JSON Orthanc answers with, the node's port gives a value of its own kind or a typed error."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inference.domain.errors import HabitusError
from orthanc_plugin.node.delivery_journal import ObjectUids
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.orthanc_pacs import OrthancPacs
from orthanc_plugin.node.pacs import (
    ChangePage,
    RequestRefused,
    SendState,
    SeriesFacts,
    SeriesGlance,
)

UIDS = ObjectUids(study_uid="1.2", series_uid="1.3", sop_uid="1.4")
CALLS: dict[str, tuple[Callable[[OrthancPacs], object], type]] = {
    "last_change": (lambda pacs: pacs.last_change(), int),
    "changes": (lambda pacs: pacs.changes(0, 10), ChangePage),
    "series_of_instance": (lambda pacs: pacs.series_of_instance("a"), str),
    "glance": (lambda pacs: pacs.glance("a"), SeriesGlance),
    "series_of_study": (lambda pacs: pacs.series_of_study("a"), tuple),
    "series_facts": (lambda pacs: pacs.series_facts("a"), SeriesFacts),
    "store_instance": (lambda pacs: pacs.store_instance(b""), str),
    "send": (lambda pacs: pacs.send(Destination(name="pacs"), "a"), str),
    "job_state": (lambda pacs: pacs.job_state("a"), SendState),
    "found_at": (lambda pacs: pacs.found_at(Destination(name="pacs"), UIDS), bool),
}
KEYS = (
    *("Last", "Changes", "Done", "Seq", "ChangeType", "ID", "ParentSeries", "ParentStudy", "State"),
    *("MainDicomTags", "SeriesInstanceUID", "Modality", "Manufacturer", "SOPInstanceUID", "Path"),
    *("Instances", "Series"),
)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
ANSWERS = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(KEYS) | st.text(max_size=5), inner, max_size=8)
    ),
    max_leaves=12,
)


class AnsweringSession(requests.Session):
    """Answers every request with the next of some bodies, over and over."""

    def __init__(self, bodies: list[bytes]) -> None:
        super().__init__()
        self.bodies = bodies
        self.asked = 0

    def request(self, *_: Any, **__: Any) -> requests.Response:
        """The next body, as Orthanc's web server would send it."""
        response = requests.Response()
        response.status_code = 200
        response._content = self.bodies[self.asked % len(self.bodies)]
        self.asked += 1
        return response


def pacs_answering(*bodies: bytes) -> OrthancPacs:
    """The port with a session that answers so."""
    pacs = OrthancPacs("http://orthanc.invalid", None, 1.0)
    pacs._session = AnsweringSession(list(bodies))
    return pacs


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(answers=st.lists(ANSWERS, min_size=1, max_size=3))
def test_any_json_ends_in_a_value_or_a_typed_error(name: str, answers: list[object]) -> None:
    call, kind = CALLS[name]
    bodies = [json.dumps(answer).encode() for answer in answers]

    try:
        value = call(pacs_answering(*bodies))
    except HabitusError:
        return

    assert isinstance(value, kind)


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=20, deadline=None)
@given(body=st.binary(max_size=40))
def test_any_bytes_end_in_a_value_or_a_typed_error(name: str, body: bytes) -> None:
    call, kind = CALLS[name]

    try:
        value = call(pacs_answering(body))
    except HabitusError:
        return

    assert isinstance(value, kind)


@pytest.mark.parametrize(
    "body", [b"{}", b'{"MainDicomTags": null}', b"[" * 100_000, b"\xff\xfe", b'"x"', b"9" * 5000]
)
def test_a_series_of_another_shape_is_refused_and_not_a_crash_of_the_node(body: bytes) -> None:
    with pytest.raises(RequestRefused):
        pacs_answering(body).series_facts("a")


def test_a_text_that_no_file_can_hold_is_refused() -> None:
    # JSON may spell half a surrogate pair; neither SQLite nor a hash takes it.
    series = {"ParentStudy": "s", "MainDicomTags": {"SeriesInstanceUID": "1.2\ud800"}}

    with pytest.raises(RequestRefused):
        pacs_answering(json.dumps(series).encode(), b"[]").series_facts("a")

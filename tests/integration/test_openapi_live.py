"""The live routes against their description: schemathesis calls each as described and as not, and compares the answers."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from orthanc_plugin.inside import routes
from tests.dicom_peers import ct_series, receiver, send
from tests.orthanc_process import OrthancProcess, orthanc, private_network, why_not

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

DESCRIPTION = schemathesis.openapi.from_path(Path(routes.__file__).parents[1] / "openapi.json")
OPERATIONS = {
    each.ok().label: each.ok() for each in DESCRIPTION.get_all_operations() if isinstance(each, Ok)
}
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
EXAMPLES = 20


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    """With a job that is done, one that was rejected, and a study that was not taken."""
    folder = tmp_path_factory.mktemp("node")
    with private_network(), orthanc(folder) as running, receiver():
        send(ct_series(3))
        running.wait_for_jobs(["done"])
        running.behaviour.write_text("reject")
        send(ct_series(3, seed="two"))
        send(ct_series(3, seed="three", modality="MR"))
        running.wait_for_jobs(["done", "rejected"])
        yield running


@pytest.mark.parametrize("label", OPERATIONS)
def test_a_route_answers_as_it_is_described(node: OrthancProcess, label: str) -> None:
    operation = OPERATIONS[label]
    keys = st.sampled_from([None, *(job["key"] for job in node.jobs())])

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(), key=keys)
    def as_described(case: Any, key: str | None) -> None:
        if key is not None and "key" in (case.path_parameters or {}):
            case.path_parameters["key"] = key
        response = case.call(base_url=node.url, auth=node.session.auth, timeout=10)
        case.validate_response(response, checks=CHECKS)

    as_described()

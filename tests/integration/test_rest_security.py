"""Who gets in and who does not, at a real Orthanc: roles, other sites' pages, bodies, paths, texts of headers."""

import base64
import http.client
import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import requests

from orthanc_plugin.inside.guard import LONGEST_BODY, Role
from tests.dicom_peers import ct_series, receiver, send
from tests.orthanc_process import (
    HTTP_PORT,
    STAFF,
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)
from tests.rest_routes import RestCall, rest_calls

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

NO_JOB = "/habitus/jobs/" + "0" * 32
CALLS = rest_calls()
CHANGING = [call for call in CALLS if call.method != "GET"]
ROLES = {"nils": Role.NONE, "vera": Role.VIEWER, "otto": Role.OPERATOR}
HTML = "<script>alert(1)</script>"
SQL = "x'); DROP TABLE jobs; --"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    """One for all tests here: none of them breaks it."""
    with private_network(), orthanc(tmp_path_factory.mktemp("node")) as running:
        wait_for(lambda: bool(running.get("/habitus/status")["engine"]), 60.0, "the engine")
        with receiver():
            send(ct_series(3))
            running.wait_for_jobs(["done"])
        yield running


@pytest.fixture(scope="module")
def key(node: OrthancProcess) -> str:
    """Of a job with a report and a picture: a refusal is worth more where there is something to get."""
    return str(node.jobs()[0]["key"])


def untouched(node: OrthancProcess, key: str) -> None:
    """Nobody has done anything to the job."""
    actors = {event["actor"] for event in node.get(f"/habitus/jobs/{key}")["history"]}
    assert actors == {"node"}
    assert node.jobs()[0]["state"] == "done"


def code(answer: requests.Response) -> str:
    """Why it was refused; every refusal has its four parts."""
    fault = json.loads(answer.headers["X-Habitus-Fault"])
    assert all(fault[part] for part in ("error", "found", "wanted", "advice"))
    return str(fault["error"])


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_nobody_enters_without_a_password_or_with_a_wrong_one(
    node: OrthancProcess, key: str, call: RestCall
) -> None:
    url = node.url + call.path.format(key=key)
    for auth in (None, ("otto", "guess"), ("nobody", "guess"), ("habitus", "")):
        answer = requests.request(call.method, url, auth=auth, timeout=5, allow_redirects=False)
        assert (answer.status_code, answer.content) == (401, b"")


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_each_route_is_for_its_role_and_those_above(
    node: OrthancProcess, key: str, call: RestCall
) -> None:
    url = node.url + call.path.format(key=key)
    for user, role in ROLES.items():
        answer = requests.request(
            call.method,
            url,
            auth=node.login(user),
            headers={"X-Requested-With": "test"},
            data="no JSON",
            timeout=5,
            allow_redirects=False,
        )
        if role < call.role:
            assert (answer.status_code, code(answer)) == (403, "role-missing"), user
            assert answer.content == b""
        else:
            assert answer.status_code != 403, user
    untouched(node, key)


@pytest.mark.parametrize("call", CALLS, ids=str)
def test_a_method_that_a_route_does_not_have_is_refused(
    node: OrthancProcess, key: str, call: RestCall
) -> None:
    known = {each.method for each in CALLS if each.path == call.path}
    for method in {"GET", "POST", "PUT", "DELETE"} - known:
        url = node.url + call.path.format(key=key)
        assert requests.request(method, url, timeout=5).status_code == 401
        # Orthanc itself takes no body apart that nobody wants.
        answer = node.session.request(method, url, timeout=5)
        assert answer.status_code == 405, method
    untouched(node, key)


@pytest.mark.parametrize(
    ("user", "look", "operate", "administer"),
    [("nils", 403, 403, 403), ("vera", 200, 403, 403), ("otto", 200, 404, 403)],
)
def test_each_role_may_do_what_is_its_own(
    node: OrthancProcess, user: str, look: int, operate: int, administer: int
) -> None:
    auth = node.login(user)
    statuses = (
        requests.get(f"{node.url}/habitus/jobs", auth=auth, timeout=5),
        node.ask(f"{NO_JOB}/requeue", user=user),
        requests.get(f"{node.url}/habitus/audit", auth=auth, timeout=5),
    )

    assert tuple(answer.status_code for answer in statuses) == (look, operate, administer)
    assert {code(a) for a in statuses if a.status_code == 403} == {"role-missing"}
    assert node.session.get(f"{node.url}/habitus/audit", timeout=5).status_code == 200


@pytest.mark.parametrize("call", CHANGING, ids=str)
@pytest.mark.parametrize(
    ("changed", "status", "why"),
    [
        ({"X-Requested-With": None}, 403, "cross-site"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "cross-site"),
        ({"Sec-Fetch-Site": "same-site"}, 403, "cross-site"),
        ({"Origin": "http://evil.example"}, 403, "cross-site"),
        ({"Origin": "null"}, 403, "cross-site"),
        ({"Content-Type": "text/plain"}, 415, "not-json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "not-json"),
        ({"Content-Type": None}, 415, "not-json"),
    ],
)
def test_a_page_of_another_site_asks_for_nothing_by_any_route(
    node: OrthancProcess,
    key: str,
    call: RestCall,
    changed: dict[str, str | None],
    status: int,
    why: str,
) -> None:
    headers = {"X-Requested-With": "x", "Content-Type": "application/json"} | changed
    answer = requests.request(
        call.method,
        node.url + call.path.format(key=key),
        data=b"{}",
        headers={name: value for name, value in headers.items() if value is not None},
        auth=node.session.auth,
        timeout=5,
    )

    assert (answer.status_code, code(answer)) == (status, why)
    untouched(node, key)


@pytest.mark.parametrize(
    ("changed", "status", "why"),
    [
        ({}, 404, "unknown-job"),
        ({"X-Requested-With": None}, 403, "cross-site"),
        ({"Sec-Fetch-Site": "cross-site"}, 403, "cross-site"),
        ({"Origin": "http://evil.example"}, 403, "cross-site"),
        ({"Origin": f"http://127.0.0.1:{HTTP_PORT}"}, 404, "unknown-job"),
        ({"Content-Type": "text/plain"}, 415, "not-json"),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415, "not-json"),
    ],
)
def test_a_page_of_another_site_changes_nothing(
    node: OrthancProcess, changed: dict[str, str | None], status: int, why: str
) -> None:
    headers = {"X-Requested-With": "x", "Content-Type": "application/json"} | changed
    answer = requests.post(
        f"{node.url}{NO_JOB}/requeue",
        data="{}",
        headers={name: value for name, value in headers.items() if value is not None},
        auth=node.login("otto"),
        timeout=5,
    )

    assert (answer.status_code, code(answer)) == (status, why)


@pytest.mark.parametrize("call", CHANGING, ids=str)
def test_a_form_of_several_parts_is_refused(node: OrthancProcess, key: str, call: RestCall) -> None:
    # By Orthanc itself (1.10.1 says 500), which takes such a body apart before a plugin sees it; browsers send it without asking.
    answer = requests.request(
        call.method,
        node.url + call.path.format(key=key),
        files={"study": "{}"},
        headers={"X-Requested-With": "x"},
        auth=node.session.auth,
        timeout=5,
    )

    assert answer.status_code >= 400
    untouched(node, key)


def test_another_site_is_not_told_that_it_may_ask(node: OrthancProcess) -> None:
    answer = requests.options(
        f"{node.url}{NO_JOB}/requeue",
        headers={
            "Origin": "http://evil.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-requested-with",
        },
        timeout=5,
    )

    assert not any(name.lower().startswith("access-control") for name in answer.headers)


@pytest.mark.parametrize("call", CHANGING, ids=str)
@pytest.mark.parametrize("length", [LONGEST_BODY + 1, 20_000_000])
def test_a_body_that_is_too_long_is_refused(
    node: OrthancProcess, key: str, call: RestCall, length: int
) -> None:
    answer = requests.request(
        call.method,
        node.url + call.path.format(key=key),
        data=b" " * length,
        headers={"X-Requested-With": "x", "Content-Type": "application/json"},
        auth=node.session.auth,
        timeout=30,
    )

    assert (answer.status_code, code(answer)) == (413, "body-too-long")
    untouched(node, key)


@pytest.mark.parametrize("call", CHANGING, ids=str)
@pytest.mark.parametrize("name", ["study", "series", "profile", "destination", "height_m", "other"])
def test_a_field_is_neither_sql_nor_html_nor_a_path(
    node: OrthancProcess, key: str, call: RestCall, name: str
) -> None:
    for value in (SQL, HTML, "../../etc/passwd", "1 OR 1=1", {"$ne": ""}, ["x"]):
        answer = requests.request(
            call.method,
            node.url + call.path.format(key=key),
            json={name: value},
            headers={"X-Requested-With": "x"},
            auth=node.session.auth,
            timeout=5,
        )
        assert (answer.status_code, code(answer)) == (400, "body-invalid")
        assert str(value) not in answer.headers["X-Habitus-Fault"]
    untouched(node, key)


@pytest.mark.parametrize(
    "path",
    [
        "/habitus/../../etc/passwd",
        "/habitus/..%2f..%2fetc%2fpasswd",
        "/habitus/%2e%2e/%2e%2e/etc/passwd",
        "/habitus/page.js/../../node/settings.py",
        "/habitus/page/page.js",
        "/habitus/explorer_link.js",
        "/habitus/jobs/../../node/journal.db",
        f"{NO_JOB}/pictures/..%2f..%2f..%2fsite.secret.png",
        f"{NO_JOB}/pictures/l3.png/../../../journal.db",
        "/habitus/report/..%2f..%2fjournal.db",
        "/habitus/jobs/{key}/pictures/../../../journal.db",
        "/habitus/jobs/{key}/pictures/../report.json",
        "/habitus/jobs/{key}/pictures/..%2freport.png",
        "/habitus/jobs/{key}/pictures/%2e%2e%2f%2e%2e%2f%2e%2e%2fjournal.db.png",
        "/habitus/jobs/{key}/pictures//etc/passwd",
        "/habitus/jobs/{key}/pictures/report.png",
        "/habitus/report/{key}/../../../journal.db",
        "/habitus/report/{key}%2fsr.dcm",
        "/habitus/openapi.json/../../node/settings.py",
    ],
)
def test_a_path_leads_nowhere_else(node: OrthancProcess, key: str, path: str) -> None:
    path = path.format(key=key)
    user, password = node.login("otto")
    basic = base64.b64encode(f"{user}:{password}".encode()).decode()
    # requests would tidy the path up before it is sent.
    connection = http.client.HTTPConnection("127.0.0.1", HTTP_PORT, timeout=5)
    with closing(connection):
        connection.request("GET", path, headers={"Authorization": f"Basic {basic}"})
        answer = connection.getresponse()
        content = answer.read()

    assert answer.status in (400, 404), content[:200]
    assert b"root:" not in content
    assert b"SQLite" not in content


@pytest.mark.parametrize("value", ["done' OR '1'='1", "x;DROP TABLE jobs", HTML, "../..", "\x00"])
@pytest.mark.parametrize("name", ["state", "study", "reason", "before", "limit", "other"])
def test_a_filter_is_no_sql(node: OrthancProcess, name: str, value: str) -> None:
    answer = node.session.get(f"{node.url}/habitus/jobs", params={name: value}, timeout=5)

    assert (answer.status_code, code(answer)) == (400, "query-invalid")
    assert value not in answer.headers["X-Habitus-Fault"]
    assert node.get("/habitus/jobs")["jobs"] is not None


def test_html_and_sql_in_headers_of_images_reach_nobody(tmp_path: Path) -> None:
    series = ct_series(3)
    for image in series:
        image.PatientName = f"{HTML}^{SQL[:20]}"
        image.PatientID = SQL
        image.StudyDescription = HTML
        image.SeriesDescription = SQL
        image.AccessionNumber = "'\"--"
        image.InstitutionName = HTML
    with private_network(), orthanc(tmp_path) as running, receiver() as pacs:
        assert send(series) == [0] * 3
        (job,) = running.wait_for_jobs(["done"], 90.0)
        answers = [
            running.session.get(running.url + path, timeout=5).text
            for path in (
                "/habitus/jobs",
                f"/habitus/jobs/{job['key']}",
                f"/habitus/report/{job['key']}",
                "/habitus/not-taken",
                "/habitus/audit",
                "/habitus/status",
            )
        ]
        with closing(sqlite3.connect(running.folder / "node" / "journal.db")) as journal:
            tables = "\n".join(journal.iterdump())
        log = running.log_path.read_text()

    assert len(pacs.received) == 2
    for text in (*answers, tables, log):
        assert "<script" not in text
        assert "DROP TABLE" not in text


def test_every_answer_tells_the_browser_to_trust_nothing_else(node: OrthancProcess) -> None:
    for path in ("/habitus/index.html", "/habitus/jobs", NO_JOB, "/habitus/jobs?limit=x"):
        headers = node.session.get(node.url + path, timeout=5).headers
        policy = headers["Content-Security-Policy"]
        assert policy.startswith("default-src 'none'; script-src 'self'")
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


def test_passwords_and_the_nodes_token_are_in_no_answer_log_or_process_list(
    node: OrthancProcess,
) -> None:
    secrets = [node.files.password.read_text().strip()]
    secrets += [node.login(each.user)[1] for each in STAFF]
    told = [
        node.session.get(node.url + path, timeout=5).text
        for path in ("/habitus/configuration", "/habitus/status", "/habitus/models")
    ]
    told.append(node.log_path.read_text())
    pids = [path for path in Path("/proc").iterdir() if path.name.isdigit()]
    for pid in pids:
        for name in ("cmdline", "environ"):
            try:
                told.append((pid / name).read_bytes().decode(errors="replace"))
            except OSError:
                continue

    for secret in secrets:
        assert not any(secret in text for text in told)
    # The token that Orthanc made for the node: in its memory and in the pipe, nowhere else.
    assert not any("Bearer " in text for text in told)
    kept = [p for p in node.folder.rglob("*") if p.is_file() and p.parent.name != "etc"]
    assert not any(b"Bearer " in path.read_bytes() for path in kept)

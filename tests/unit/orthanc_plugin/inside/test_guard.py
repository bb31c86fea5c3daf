"""Who gets in: roles, pages of other sites, bodies."""

import json
from base64 import b64encode
from pathlib import Path

import pytest

from orthanc_plugin.inside.configuration import PluginMisconfigured, read_configuration
from orthanc_plugin.inside.exchange import Request
from orthanc_plugin.inside.guard import LONGEST_BODY, Admission, Role, actor_of
from tests.fakes import write
from tests.unit.orthanc_plugin.inside.route_scene import (
    POST,
    Control,
    Scene,
    as_user,
    fault,
    routes_of,
    scene_in,
)

CANCEL = r"/habitus/jobs/([0-9a-f]{32})/cancel"


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return scene_in(tmp_path)


@pytest.mark.parametrize(
    ("user", "statuses"),
    [
        ("nils", (403, 403, 403)),
        ("vera", (200, 403, 403)),
        ("stranger-without-role", (200, 403, 403)),
        ("otto", (200, 200, 403)),
        ("ada", (200, 200, 200)),
    ],
)
def test_each_role_may_do_what_is_its_own(
    scene: Scene, user: str, statuses: tuple[int, ...]
) -> None:
    key = scene.computed()
    headers = POST | as_user(user)

    answers = (
        scene.ask("/habitus/jobs", headers=headers),
        scene.ask(f"/habitus/jobs/{key}/cancel", "POST", headers),
        scene.ask("/habitus/audit", headers=headers),
    )

    assert tuple(answer.status for answer in answers) == statuses
    assert len(scene.wishes()) == statuses.count(200) - (statuses[0] == 200) - (user == "ada")


def test_every_route_that_changes_something_needs_an_operator(scene: Scene) -> None:
    for path, methods in routes_of(scene.folder, Control()).table().items():
        for method, (role, _) in methods.items():
            assert method in ("GET", "POST"), path
            assert role >= (Role.VIEWER if method == "GET" else Role.OPERATOR), path


def test_a_name_that_nobody_has_checked_gives_no_role(tmp_path: Path) -> None:
    scene = scene_in(tmp_path)
    key = scene.computed()
    open_here = Admission(roles={"ada": Role.ADMIN}, is_authenticated=False, anonymous=Role.VIEWER)
    routes = routes_of(tmp_path, Control(), open_here)
    claim = POST | as_user("ada")

    look = routes.answer("/habitus/jobs", Request(method="GET", headers=claim))
    change = routes.answer(CANCEL, Request(method="POST", headers=claim, groups=(key,)))

    assert (look.status, change.status) == (200, 403)
    assert scene.wishes() == []


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({}, 200),
        ({"x-requested-with": ""}, 403),
        ({"sec-fetch-site": "same-origin", "origin": "https://pacs.example"}, 200),
        ({"sec-fetch-site": "none"}, 200),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"sec-fetch-site": "same-site"}, 403),
        ({"sec-fetch-site": "cross-site", "origin": "http://node:8042", "host": "node:8042"}, 403),
        ({"origin": "http://node:8042", "host": "node:8042"}, 200),
        ({"origin": "http://evil.example", "host": "node:8042"}, 403),
        ({"origin": "http://node:8042.evil.example", "host": "node:8042"}, 403),
        ({"origin": "null", "host": "node:8042"}, 403),
        ({"content-type": "application/json; charset=utf-8"}, 200),
        ({"content-type": "text/plain"}, 415),
        ({"content-type": "application/x-www-form-urlencoded"}, 415),
        ({"content-type": ""}, 415),
    ],
)
def test_a_page_of_another_site_changes_nothing(
    scene: Scene, changed: dict[str, str], status: int
) -> None:
    key = scene.computed()

    answer = scene.ask(f"/habitus/jobs/{key}/cancel", "POST", POST | changed)

    assert answer.status == status
    assert len(scene.wishes()) == (status == 200)


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 200),
        (b"{}", 200),
        (b"[]", 400),
        (b"{", 400),
        (b'"text"', 400),
        (b"\xff", 400),
        (b"[" * 16000, 400),
        (b'{"x": NaN}', 400),
        (b'{"x": 1}', 400),
        (b" " * LONGEST_BODY, 400),
        (b" " * (LONGEST_BODY + 1), 413),
    ],
)
def test_a_body_is_a_small_json_object(scene: Scene, content: bytes, status: int) -> None:
    key = scene.computed()

    answer = scene.ask(f"/habitus/jobs/{key}/cancel", "POST", POST, content)

    assert answer.status == status
    assert len(scene.wishes()) == (status == 200)


def test_a_refusal_can_stand_in_a_header_whatever_was_sent(scene: Scene) -> None:
    key = scene.computed()
    body = json.dumps({"destination": "a\r\nSet-Cookie: x=1\r\n"}).encode()

    answer = scene.ask(f"/habitus/jobs/{key}/resend", "POST", POST, body)

    assert answer.status == 400
    assert answer.fault.isascii()
    assert answer.fault.isprintable()
    assert "Set-Cookie" not in answer.fault
    assert all(fault(answer)[part] for part in ("error", "found", "wanted", "advice"))


@pytest.mark.parametrize(
    ("header", "actor"),
    [
        ("", "anonymous"),
        ("Bearer x", "anonymous"),
        ("Basic !!!", "unknown"),
        ("Basic " + b64encode(b"\xff\xfe").decode(), "unknown"),
        ("Basic " + b64encode(b"a b:pw").decode(), "unknown"),
        ("Basic " + b64encode(b"ward.7:pw").decode(), "ward.7"),
    ],
)
def test_the_actor_is_the_authenticated_user_or_nothing(header: str, actor: str) -> None:
    assert actor_of({"authorization": header}) == actor


@pytest.mark.parametrize(
    ("orthanc", "section", "is_authenticated", "anonymous"),
    [
        ({}, {}, False, Role.VIEWER),
        ({"RemoteAccessAllowed": True}, {}, True, Role.NONE),
        ({"AuthenticationEnabled": True}, {}, True, Role.NONE),
        ({"AuthenticationEnabled": False}, {}, False, Role.VIEWER),
        ({"AuthenticationEnabled": False, "RemoteAccessAllowed": True}, {}, False, Role.NONE),
        ({}, {"Anonymous": "operator"}, False, Role.OPERATOR),
        ({}, {"Anonymous": "none"}, False, Role.NONE),
    ],
)
def test_without_passwords_this_host_may_look_and_others_may_nothing(
    tmp_path: Path,
    orthanc: dict[str, object],
    section: dict[str, object],
    is_authenticated: bool,
    anonymous: Role,
) -> None:
    admission = _admission(tmp_path, orthanc, section)

    assert (admission.is_authenticated, admission.anonymous) == (is_authenticated, anonymous)


def test_roles_are_those_of_the_configuration(tmp_path: Path) -> None:
    admission = _admission(tmp_path, {}, {"Roles": {"ada": "admin", "nils": "none"}})

    assert {user: admission.role_of(user) for user in ("ada", "nils", "vera")} == {
        "ada": Role.ADMIN,
        "nils": Role.NONE,
        "vera": Role.VIEWER,
    }


@pytest.mark.parametrize(
    "section",
    [
        {"Roles": {"ada": "root"}},
        {"Roles": {"ada": 3}},
        {"Roles": ["ada"]},
        {"Roles": {"unknown": "admin"}},
        {"Roles": {"anonymous": "admin"}},
        {"Anonymous": "everybody"},
    ],
)
def test_a_role_that_is_none_is_named(tmp_path: Path, section: dict[str, object]) -> None:
    with pytest.raises(PluginMisconfigured, match=f"Habitus.{next(iter(section))}"):
        _admission(tmp_path, {}, section)


def _admission(folder: Path, orthanc: dict[str, object], section: dict[str, object]) -> Admission:
    settings = write(folder / "habitus.toml", 'data_folder = "data"')
    files = {"Python": str(settings), "Settings": str(settings)}
    whole = {**orthanc, "Habitus": {**files, **section}}
    return read_configuration(json.dumps(whole), folder).admission

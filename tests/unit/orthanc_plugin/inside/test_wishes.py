"""What operators can ask for, and how it reaches the node."""

from pathlib import Path

import pytest

from inference.dicom.patient import HEIGHT_LIMITS_M, WEIGHT_LIMITS_KG
from orthanc_plugin.inside import command_box, wishes
from tests.unit.orthanc_plugin.inside.route_scene import (
    POST,
    SERIES,
    STUDY,
    Scene,
    as_user,
    body,
    fault,
    scene_in,
)

NO_SLICE = {"kind": "level", **dict.fromkeys(("sop_instance_uid", "instance_number", "z_mm"))}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return scene_in(tmp_path)


@pytest.mark.parametrize(
    ("what", "fields", "wish"),
    [
        ("requeue", {}, {"kind": "requeue"}),
        ("cancel", {}, {"kind": "cancel"}),
        ("resend", {}, {"kind": "resend", "destination": None}),
        ("resend", {"destination": "pacs"}, {"kind": "resend", "destination": "pacs"}),
        ("body-size", {"height_m": 1.7}, {"kind": "body-size", "height_m": 1.7, "weight_kg": None}),
        ("body-size", {"weight_kg": 70}, {"kind": "body-size", "height_m": None, "weight_kg": 70}),
        ("level", {"sop_instance_uid": "1.2.840.5"}, NO_SLICE | {"sop_instance_uid": "1.2.840.5"}),
        ("level", {"instance_number": 57}, NO_SLICE | {"instance_number": 57}),
        ("level", {"z_mm": -123.5}, NO_SLICE | {"z_mm": -123.5}),
        ("level/remove", {}, {"kind": "level-remove"}),
    ],
)
def test_a_wish_for_a_job_waits_for_the_node_with_its_user(
    scene: Scene, what: str, fields: dict[str, object], wish: dict[str, object]
) -> None:
    key = scene.computed()

    answer = scene.ask(f"/habitus/jobs/{key}/{what}", "POST", POST, fields)

    assert body(answer)["accepted"] is True
    assert scene.wishes() == [{**wish, "job": key, "actor": "otto"}]
    assert scene.control.woken == 1


@pytest.mark.parametrize("fields", [{"study": STUDY}, {"series": SERIES, "profile": "l3"}])
def test_an_analysis_is_asked_for_by_study_or_series(scene: Scene, fields: dict[str, str]) -> None:
    answer = scene.ask("/habitus/analyses", "POST", POST, fields)

    assert answer.status == 200
    empty = dict.fromkeys(("study", "series", "profile"))
    assert scene.wishes() == [{**empty, **fields, "kind": "analyse", "actor": "otto"}]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("analyses", {}),
        ("analyses", {"study": STUDY, "series": SERIES}),
        ("analyses", {"study": "../../etc/passwd"}),
        ("analyses", {"study": STUDY + "\n"}),
        ("analyses", {"series": 7}),
        ("analyses", {"series": None}),
        ("analyses", {"study": STUDY, "profile": "../l3"}),
        ("jobs/KEY/body-size", {}),
        ("jobs/KEY/body-size", {"height_m": 170}),
        ("jobs/KEY/body-size", {"height_m": "1.7"}),
        ("jobs/KEY/body-size", {"height_m": True}),
        ("jobs/KEY/body-size", {"weight_kg": 9.9}),
        ("jobs/KEY/body-size", {"weight_kg": None}),
        ("jobs/KEY/body-size", {"height_m": 1.7, "shoe": 43}),
        ("jobs/KEY/level", {}),
        ("jobs/KEY/level", {"z_mm": 1.0, "instance_number": 3}),
        ("jobs/KEY/level", {"z_mm": "12"}),
        ("jobs/KEY/level", {"z_mm": 1e7}),
        ("jobs/KEY/level", {"z_mm": None}),
        ("jobs/KEY/level", {"instance_number": 3.5}),
        ("jobs/KEY/level", {"instance_number": 2**31}),
        ("jobs/KEY/level", {"instance_number": True}),
        ("jobs/KEY/level", {"sop_instance_uid": "../1.2"}),
        ("jobs/KEY/level", {"sop_instance_uid": "1" * 65}),
        ("jobs/KEY/level", {"slice": 3}),
        ("jobs/KEY/level/remove", {"z_mm": 1.0}),
        ("jobs/KEY/resend", {"destination": "a b"}),
        ("jobs/KEY/resend", {"destination": ""}),
        ("jobs/KEY/requeue", {"key": "x"}),
    ],
)
def test_fields_that_cannot_be_are_refused(
    scene: Scene, path: str, fields: dict[str, object]
) -> None:
    key = scene.computed()

    answer = scene.ask(f"/habitus/{path.replace('KEY', key)}", "POST", POST, fields)

    assert (answer.status, fault(answer)["error"]) == (400, "body-invalid")
    assert scene.wishes() == []


def test_a_wish_for_a_job_that_is_not_there_is_refused(scene: Scene) -> None:
    answer = scene.ask(f"/habitus/jobs/{'0' * 32}/requeue", "POST", POST)

    assert (answer.status, fault(answer)["error"]) == (404, "unknown-job")


def test_a_wish_is_kept_for_a_node_that_is_away(scene: Scene) -> None:
    key = scene.computed()
    scene.control.is_away = True

    assert scene.ask(f"/habitus/jobs/{key}/requeue", "POST", POST).status == 200
    assert len(scene.wishes()) == 1


def test_wishes_do_not_pile_up_without_end(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(command_box, "MOST_WAITING", 2)
    key = scene.computed()

    statuses = [scene.ask(f"/habitus/jobs/{key}/requeue", "POST", POST).status for _ in range(3)]

    assert statuses == [200, 200, 503]


def test_a_wish_that_cannot_be_kept_is_refused(scene: Scene) -> None:
    key = scene.computed()
    (scene.folder / "commands").write_text("a file where the folder should be")

    answer = scene.ask(f"/habitus/jobs/{key}/requeue", "POST", POST)

    assert (answer.status, fault(answer)["error"]) == (503, "node-away")


def test_a_wish_is_whole_and_private(scene: Scene) -> None:
    key = scene.computed()
    scene.ask(f"/habitus/jobs/{key}/requeue", "POST", POST)

    folder = scene.folder / "commands"
    (path,) = folder.iterdir()

    assert path.stat().st_mode & 0o077 == 0
    assert folder.stat().st_mode & 0o077 == 0


def test_what_became_of_a_wish_is_unknown_until_the_node_has_come_to_it(scene: Scene) -> None:
    key = scene.computed()
    number = body(scene.ask(f"/habitus/jobs/{key}/cancel", "POST", POST))["command"]

    waiting = body(scene.ask(f"/habitus/commands/{number}"))
    scene.journal.connection.execute(
        "INSERT INTO commands VALUES (?, 'cancel', 'otto', 5.0, 'cancelled', ?, '')", (number, key)
    )
    done = body(scene.ask(f"/habitus/commands/{number}"))

    assert waiting["outcome"] is None
    assert (done["outcome"], done["job"], done["actor"]) == ("cancelled", key, "otto")


def test_height_and_weight_have_the_limits_of_those_in_images() -> None:
    assert (wishes.HEIGHT_LIMITS_M, wishes.WEIGHT_LIMITS_KG) == (HEIGHT_LIMITS_M, WEIGHT_LIMITS_KG)


def test_an_administrator_has_the_settings_read_again(scene: Scene) -> None:
    path = "/habitus/settings/reload"

    refused = scene.ask(path, "POST", POST)
    accepted = scene.ask(path, "POST", POST | as_user("ada"))
    odd = scene.ask(path, "POST", POST | as_user("ada"), {"path": "/etc/passwd"})

    assert [each.status for each in (refused, accepted, odd)] == [403, 200, 400]
    assert [wish["kind"] for wish in scene.wishes()] == ["reload-settings"]

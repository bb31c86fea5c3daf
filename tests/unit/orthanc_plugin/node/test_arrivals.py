"""What the intake asks of Orthanc while slices come, how long it may sleep, and what it expects."""

from dataclasses import replace
from pathlib import Path

import pytest

from orthanc_plugin.node.arrivals import CURSOR, PLACE_EVERY_S
from orthanc_plugin.node.intake import WOKEN_POLL_S
from orthanc_plugin.node.journal import Journal
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakePacs, fill
from tests.intake_scene import QUIET_S, SETTINGS, WAIT_S, Scene, settle
from tests.synthetic_study import plain_series


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    clock = Clock()
    return Scene(FakePacs(), Journal(tmp_path / "journal.db", clock), clock)


SHORT_QUIET_S = 1.5
"""Shorter than WOKEN_POLL_S, so that it decides."""


def arriving(scene: Scene) -> list[str]:
    rows = scene.journal.connection.execute("SELECT study_orthanc_id FROM arriving")
    return [row["study_orthanc_id"] for row in rows]


def test_orthanc_is_asked_twice_for_the_series_of_many_slices(scene: Scene) -> None:
    intake = scene.intake()
    slices = ct_series(40)
    for place in range(0, 40, 10):
        fill(scene.pacs, slices[place : place + 10])
        intake.step(ENGINE)
        scene.clock.pass_s(1.0)
    meanwhile = (scene.pacs.instances_asked, scene.pacs.series_asked)
    scene.clock.pass_s(QUIET_S - 1.0)

    assert meanwhile == (1, 1)
    assert intake.step(ENGINE) == 1
    assert scene.pacs.instances_asked == 2


def test_the_quiet_time_begins_with_the_last_slice_and_not_with_the_question(scene: Scene) -> None:
    scene.settings = replace(SETTINGS, quiet_s=SHORT_QUIET_S)
    intake = scene.intake()
    slices = ct_series(3)
    fill(scene.pacs, slices[:1])
    intake.step(ENGINE)
    scene.clock.pass_s(SHORT_QUIET_S - 1.0)
    fill(scene.pacs, slices[1:])
    intake.step(ENGINE)
    scene.clock.pass_s(1.0)
    asked = intake.step(ENGINE)
    left_s = intake.pause_s(is_woken=True)
    scene.clock.pass_s(left_s)

    assert asked == 0
    assert left_s == SHORT_QUIET_S - 1.0
    assert intake.step(ENGINE) == 1


def test_where_new_slices_belong_is_asked_before_a_study_is_decided_on(scene: Scene) -> None:
    scene.settings = replace(SETTINGS, quiet_s=2.0)
    intake = scene.intake()
    slices = ct_series(2)
    for one in slices:
        fill(scene.pacs, [one])
        intake.step(ENGINE)
        scene.clock.pass_s(1.0)
    early = intake.step(ENGINE)
    scene.clock.pass_s(1.0)

    assert (early, intake.step(ENGINE)) == (0, 1)


def test_a_second_study_is_noticed_while_the_first_still_comes(scene: Scene) -> None:
    scene.settings = replace(SETTINGS, quiet_s=60.0)
    intake = scene.intake()
    fill(scene.pacs, ct_series(1, seed="first"))
    intake.step(ENGINE)
    fill(scene.pacs, ct_series(1, seed="second"))
    for number in range(int(PLACE_EVERY_S) + 1):
        fill(scene.pacs, ct_series(number + 2, seed="first")[-1:])
        intake.step(ENGINE)
        scene.clock.pass_s(1.0)

    assert len(arriving(scene)) == 2


def test_how_long_the_next_look_may_wait(scene: Scene) -> None:
    scene.settings = replace(SETTINGS, quiet_s=SHORT_QUIET_S)
    intake = scene.intake()
    nothing = [intake.pause_s(is_woken=told) for told in (False, True)]
    slices = plain_series(1, "Abdomen")
    fill(scene.pacs, [one for one in slices if one.InstanceNumber != 9])
    intake.step(ENGINE)
    arrived = [intake.pause_s(is_woken=told) for told in (False, True)]
    scene.clock.pass_s(SHORT_QUIET_S)
    intake.step(ENGINE)
    waits_for_a_slice = intake.pause_s(is_woken=True)
    scene.clock.pass_s(WAIT_S)
    intake.step(ENGINE)

    assert nothing == [SETTINGS.poll_s, WOKEN_POLL_S]
    assert arrived == [SETTINGS.poll_s, SHORT_QUIET_S]
    assert waits_for_a_slice == SETTINGS.poll_s
    assert intake.pause_s(is_woken=True) == WOKEN_POLL_S


def test_a_study_arrives_until_it_was_decided_on(scene: Scene) -> None:
    intake = scene.intake()
    fill(scene.pacs, ct_series(3))
    intake.step(ENGINE)
    seen = [(len(arriving(scene)), intake.is_expecting)]
    scene.clock.pass_s(QUIET_S)
    intake.step(ENGINE)
    seen.append((len(arriving(scene)), intake.is_expecting))

    assert seen == [(1, True), (0, False)]


@pytest.mark.parametrize("tags", [{"Modality": "MR"}, {"Manufacturer": "Habitus"}])
def test_what_will_not_be_analysed_is_not_expected(scene: Scene, tags: dict[str, object]) -> None:
    intake = scene.intake()
    fill(scene.pacs, plain_series(1, "no part", slices=1, tags=tags))
    intake.step(ENGINE)

    assert (intake.moving, intake.is_expecting, arriving(scene)) == (1, False, [])


def test_what_a_dead_node_left_as_arriving_is_forgotten_once_the_next_has_looked(
    scene: Scene,
) -> None:
    first = scene.intake()
    ids = fill(scene.pacs, ct_series(1, seed="one"))
    fill(scene.pacs, ct_series(1, seed="two"))
    first.step(ENGINE)
    kept = arriving(scene)
    for orthanc_id in ids:
        scene.pacs.forget(orthanc_id)

    scene.intake().step(ENGINE)

    assert len(kept) == 2
    assert len(arriving(scene)) == 1


def test_an_instance_that_orthanc_cannot_show_holds_up_no_other(scene: Scene) -> None:
    intake = scene.intake()
    (broken,) = fill(scene.pacs, ct_series(1, seed="broken"))
    fill(scene.pacs, ct_series(1, seed="whole"))
    scene.pacs.refuses.add(broken)
    others = settle(scene, intake)
    cursor = scene.journal.fact(CURSOR)
    scene.pacs.refuses.clear()
    scene.clock.pass_s(10 * QUIET_S)

    assert (others, cursor) == (1, "0")
    assert intake.step(ENGINE) == 1
    assert scene.journal.fact(CURSOR) != "0"

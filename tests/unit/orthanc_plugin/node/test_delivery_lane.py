"""A lane: how a delivery is verified, what another lane cannot do to it, and how it is sent once more by hand."""

import pytest

from orthanc_plugin.node import delivery_lane
from orthanc_plugin.node.delivery_lane import SENDS_AT_ONCE
from orthanc_plugin.node.destinations import Destination, Verification
from orthanc_plugin.node.job_states import DeliveryState, JobState
from orthanc_plugin.node.operator_journal import OperatorJournal
from orthanc_plugin.node.verification import COMMITMENT_SILENCE_S, Verifier
from tests.unit.orthanc_plugin.node.test_outbox import PACS, OneThread, Scene, scene

__all__ = ["scene"]

COMMITTED = Destination(name="pacs", verify=Verification.COMMITMENT)


def verified_by(one: Scene) -> dict[str, str]:
    rows = one.journal.connection.execute("SELECT destination, verified_by FROM deliveries")
    return {row["destination"]: row["verified_by"] for row in rows}


def reason(one: Scene) -> str:
    (row,) = one.journal.connection.execute("SELECT reason FROM deliveries").fetchall()
    return str(row["reason"])


def on_wall_clock(one: Scene, outbox: OneThread) -> None:
    """The verifier's monotonic clock follows the scene's."""
    outbox.step()
    for lane in outbox.lanes.values():
        lane._verifier = Verifier(one.pacs, one.clock)


def test_a_receiver_that_commits_itself_is_asked_for_that(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].commits = True
    scene.pacs.remotes["pacs"].answers_queries = False

    scene.run(scene.computed([PACS]), 6, pause_s=1.0)

    assert scene.job_state == JobState.DONE
    assert verified_by(scene) == {"pacs": "commitment"}


def test_one_that_does_not_is_asked_by_query(scene: Scene) -> None:
    scene.run(scene.computed([PACS]), 4)

    assert verified_by(scene) == {"pacs": "c-find"}
    assert scene.pacs.commitments == {}


def test_a_receiver_that_never_reports_is_asked_by_query_in_the_end(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].commits = True
    scene.pacs.remotes["pacs"].reports = False
    outbox = scene.computed([PACS])
    on_wall_clock(scene, outbox)
    scene.run(outbox, 20, pause_s=2.0)
    while_waiting = scene.deliveries()["pacs"][0]
    scene.run(outbox, 20, pause_s=2.0)

    assert while_waiting == DeliveryState.SENT
    assert scene.job_state == JobState.DONE
    assert verified_by(scene) == {"pacs": "c-find"}
    assert len(scene.pacs.commitments) == 1


def test_a_silent_receiver_is_not_waited_for_with_each_object(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].commits = True
    scene.pacs.remotes["pacs"].reports = False
    outbox = scene.computed([PACS], ["seg-tissues", "sr", "page"])
    on_wall_clock(scene, outbox)
    scene.run(outbox, 80, pause_s=2.0)

    assert scene.job_state == JobState.DONE
    assert len(scene.pacs.commitments) <= 3
    scene.run(scene.computed([PACS], seed="two"), 4, pause_s=1.0)
    assert len(scene.pacs.commitments) <= 4


def test_after_its_silence_a_receiver_is_asked_for_commitment_again(scene: Scene) -> None:
    remote = scene.pacs.remotes["pacs"]
    remote.answers_queries = False
    outbox = scene.computed([PACS])
    on_wall_clock(scene, outbox)
    scene.run(outbox, 4)
    before = scene.deliveries()["pacs"][0]
    remote.commits = True
    scene.clock.pass_s(COMMITMENT_SILENCE_S)
    scene.run(outbox, 6, pause_s=1.0)

    assert before == DeliveryState.UNVERIFIED
    assert verified_by(scene) == {"pacs": "commitment"}


def test_where_commitment_is_demanded_a_query_does_not_do(scene: Scene) -> None:
    scene.run(scene.computed([COMMITTED]), 4)

    assert scene.deliveries()["pacs"][0] == DeliveryState.UNVERIFIED
    assert scene.job_state == JobState.COMPUTED


def test_a_request_that_orthanc_forgot_is_made_again(scene: Scene) -> None:
    remote = scene.pacs.remotes["pacs"]
    remote.commits, remote.reports = True, False
    outbox = scene.computed([COMMITTED])
    scene.run(outbox, 4, pause_s=1.0)
    scene.pacs.commitments.clear()
    remote.reports = True
    scene.run(outbox, 5, pause_s=1.0)

    assert scene.job_state == JobState.DONE


@pytest.mark.parametrize("commits", [True, False])
def test_an_object_taken_and_not_kept_is_asked_for_a_while_and_then_sent_again(
    scene: Scene, commits: bool
) -> None:
    remote = scene.pacs.remotes["pacs"]
    remote.commits, remote.forgets = commits, True
    outbox = scene.computed([PACS])
    scene.run(outbox, 20, pause_s=1.0)
    soon = scene.deliveries()["pacs"]
    scene.run(outbox, 20, pause_s=1.0)
    late = (*scene.deliveries()["pacs"], reason(scene))
    remote.forgets = False
    scene.run(outbox, 10, pause_s=4.0)

    assert soon == (DeliveryState.SENT, 0)
    assert late[1:] == (1, "not-found-at-destination")
    assert scene.job_state == JobState.DONE


def test_a_receiver_that_keeps_losing_an_object_is_sent_it_ever_more_rarely(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].forgets = True
    outbox = scene.computed([PACS])
    waits = []
    for _ in range(4000):
        scene.run(outbox, 1, pause_s=5.0)
        (row,) = scene.journal.connection.execute(
            "SELECT next_try_at - updated_at AS wait_s FROM deliveries WHERE state = 'pending'"
        ).fetchall() or [None]
        if row is not None and row["wait_s"] not in waits:
            waits.append(row["wait_s"])

    assert waits[:5] == [10.0, 20.0, 40.0, 80.0, 160.0]
    assert waits[-1] == 3600.0


def test_a_slow_receiver_has_few_sends_under_way_and_delays_no_other(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].is_slow = True
    outbox = scene.computed([PACS, Destination(name="research")], ["seg-tissues", "sr", "page"])
    scene.run(outbox, 8, pause_s=1.0)

    rows = scene.journal.connection.execute("SELECT destination, state FROM deliveries").fetchall()
    states = [(row["destination"], row["state"]) for row in rows]
    assert states.count(("pacs", DeliveryState.SENDING)) == SENDS_AT_ONCE
    assert states.count(("research", DeliveryState.CONFIRMED)) == 3


def test_what_is_under_way_is_looked_at_before_a_long_queue(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivery_lane, "BATCH", 1)
    outbox = scene.computed([PACS], ["seg-tissues", "sr", "page"])

    scene.run(outbox, 12)

    assert scene.job_state == JobState.DONE


def test_a_lane_says_when_to_come_again(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].is_slow = True
    outbox = scene.computed([PACS])
    outbox.outbox.step()
    lane = outbox.lanes["pacs"]

    pauses = [lane.step(), lane.step()]

    assert pauses == [0.0, delivery_lane.UNDER_WAY_POLL_S]


def test_results_can_be_sent_once_more_by_hand(scene: Scene) -> None:
    outbox = scene.computed([PACS, Destination(name="research")])
    scene.run(outbox, 4)
    assert scene.job_state == JobState.DONE

    outcome = OperatorJournal(scene.journal).resend(scene.key, "pacs", "operator")
    reopened = scene.job_state
    scene.run(outbox, 4)

    assert (outcome, reopened) == ("resending", JobState.COMPUTED)
    assert scene.job_state == JobState.DONE
    assert [len(scene.pacs.remotes[name].received) for name in ("pacs", "research")] == [2, 1]
    (row,) = scene.journal.connection.execute(
        "SELECT actor, detail FROM audit WHERE event = 'resent'"
    )
    assert tuple(row) == ("operator", "pacs")


def test_sending_by_hand_does_not_wait_for_the_next_try(scene: Scene) -> None:
    remote = scene.pacs.remotes["pacs"]
    remote.is_away = True
    outbox = scene.computed([PACS])
    scene.run(outbox, 40, pause_s=60.0)
    remote.is_away = False
    scene.run(outbox, 2)
    before = scene.job_state
    OperatorJournal(scene.journal).resend(scene.key, None, "operator")
    scene.run(outbox, 4)

    assert (before, scene.job_state) == (JobState.COMPUTED, JobState.DONE)


def test_a_destination_that_orthanc_does_not_know_is_named_so_and_nothing_is_stored_again(
    scene: Scene,
) -> None:
    del scene.pacs.remotes["pacs"]

    scene.run(scene.computed([PACS]), 4, pause_s=100.0)

    assert reason(scene) == "destination-unknown-to-orthanc"
    (row,) = scene.journal.connection.execute("SELECT orthanc_id FROM results WHERE role = 'sr'")
    assert row["orthanc_id"] is not None

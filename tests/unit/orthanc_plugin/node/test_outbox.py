"""The outbox: what counts as delivered, what is tried again, and what holds a job back from done."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.delivery_journal import DeliveryJournal
from orthanc_plugin.node.delivery_lane import Lane
from orthanc_plugin.node.destinations import Destination, DestinationKind, Verification
from orthanc_plugin.node.job_states import DeliveryState, JobState
from orthanc_plugin.node.journal import Journal, Submission
from orthanc_plugin.node.outbox import STORE_PAUSE_S, Outbox
from orthanc_plugin.node.pacs import PacsUnavailable
from orthanc_plugin.node.settings import (
    EngineSettings,
    OutboxSettings,
    ResultsSettings,
    Settings,
    SupersededPolicy,
)
from orthanc_plugin.node.spool import Spool
from tests.dicom_peers import ct_series
from tests.fakes import ENGINE, Clock, FakePacs, Remote, SilentLog, dicom_bytes


def settings(
    destinations: Sequence[Destination],
    superseded: SupersededPolicy = SupersededPolicy.KEEP,
) -> Callable[[], Settings]:
    """In force for a whole test."""
    chosen = Settings(
        data_folder=Path(),
        engine=EngineSettings(models_folder=Path()),
        outbox=OutboxSettings(poll_s=1.0, first_retry_s=10.0, longest_retry_s=3600.0),
        results=ResultsSettings(superseded=superseded),
        destinations=tuple(destinations),
    )
    return lambda: chosen


PACS = Destination(name="pacs")


@dataclass
class OneThread:
    """The outbox and its lanes, taking turns."""

    pacs: FakePacs
    journal: Journal
    spool: Spool
    in_force: Callable[[], Settings]
    log: SilentLog = field(default_factory=SilentLog)
    lanes: dict[str, Lane] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.deliveries = DeliveryJournal(self.journal)
        self.outbox = Outbox(
            self.pacs, self.deliveries, self.spool, self.in_force, self._open_lane, self.log
        )

    def step(self) -> None:
        self.outbox.step()
        for lane in self.lanes.values():
            lane.step()

    def _open_lane(self, name: str) -> None:
        assert name not in self.lanes
        self.lanes[name] = Lane(
            name, self.pacs, self.deliveries, self.spool, self.in_force, self.log
        )


@dataclass
class Scene:
    pacs: FakePacs
    journal: Journal
    spool: Spool
    clock: Clock
    key: str = ""

    def computed(
        self,
        destinations: Sequence[Destination],
        roles: Sequence[str] = ("sr",),
        *,
        seed: str = "one",
        superseded: SupersededPolicy = SupersededPolicy.KEEP,
    ) -> OneThread:
        """A job with DICOM results and a report, ready to go out; another seed is another state of the series."""
        submission = Submission(
            series_uid="1.2",
            series_orthanc_id="s",
            study_orthanc_id="t",
            set_hash=seed,
            instance_count=1,
            engine=ENGINE,
        )
        self.journal.submit(submission)
        job = self.journal.take(60.0)
        assert job is not None
        self.key = job.key
        work = self.spool.open_work(job.key, job.fence)
        files = {"report": "report.json"} | {role: f"{role}.dcm" for role in roles}
        for role, image in zip(roles, ct_series(len(roles), seed=seed), strict=True):
            (work.out_folder / files[role]).write_bytes(dicom_bytes(image))
        (work.out_folder / "report.json").write_text("{}")
        results = self.spool.publish(work, job.key, files)
        deliveries = DeliveryJournal(self.journal)
        assert deliveries.record_results(job, results, destinations)
        return OneThread(self.pacs, self.journal, self.spool, settings(destinations, superseded))

    def run(self, outbox: OneThread, steps: int, pause_s: float = 0.0) -> None:
        for _ in range(steps):
            outbox.step()
            self.clock.pass_s(pause_s)

    @property
    def job_state(self) -> str:
        job = self.journal.job(self.key)
        assert job is not None
        return job.state

    def deliveries(self) -> dict[str, tuple[str, int]]:
        rows = self.journal.connection.execute("SELECT destination, state, tries FROM deliveries")
        return {row["destination"]: (row["state"], row["tries"]) for row in rows}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    clock = Clock()
    remotes = {"pacs": Remote(), "research": Remote()}
    return Scene(
        FakePacs(**remotes), Journal(tmp_path / "journal.db", clock), Spool(tmp_path / "s"), clock
    )


def test_a_confirmed_delivery_makes_the_job_done(scene: Scene) -> None:
    scene.run(scene.computed([PACS]), 4)

    assert scene.job_state == JobState.DONE
    assert scene.deliveries() == {"pacs": (DeliveryState.CONFIRMED, 0)}
    assert len(scene.pacs.remotes["pacs"].received) == 1


def test_each_destination_gets_the_form_it_takes_and_what_has_one_form_only(scene: Scene) -> None:
    wanted = {SegEncoding.LABELMAP: "research", SegEncoding.BINARY: "pacs"}
    destinations = [Destination(name=name, seg=seg) for seg, name in wanted.items()]
    roles = ["seg-tissues", "seg-tissues@labelmap", "sr", "sr@labelmap", "page"]

    outbox = scene.computed(destinations, roles)
    rows = scene.journal.connection.execute("SELECT role, destination FROM deliveries")
    planned = {(row["destination"], row["role"]) for row in rows}

    assert planned == {
        ("research", "seg-tissues@labelmap"),
        ("research", "sr@labelmap"),
        ("research", "page"),
        ("pacs", "seg-tissues"),
        ("pacs", "sr"),
        ("pacs", "page"),
    }
    scene.run(outbox, 10)
    assert scene.job_state == JobState.DONE


def test_without_destinations_a_stored_result_is_done(scene: Scene) -> None:
    scene.run(scene.computed([]), 1)

    assert scene.job_state == JobState.DONE
    assert len(scene.pacs.instances) == 1


def test_lanes_are_woken_for_what_was_just_stored_and_for_nothing_else(scene: Scene) -> None:
    outbox = scene.computed([PACS]).outbox

    assert [outbox.step(), outbox.step()] == [True, False]


def test_a_pacs_that_is_away_is_tried_again_ever_later(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].is_away = True
    outbox = scene.computed([PACS])
    scene.run(outbox, 3)
    scene.run(outbox, 10, pause_s=0.5)
    tries_soon = scene.deliveries()["pacs"]
    scene.run(outbox, 3, pause_s=10.0)

    assert tries_soon == (DeliveryState.PENDING, 1)
    assert scene.deliveries()["pacs"][1] == 2
    assert scene.job_state == JobState.COMPUTED


def test_a_pacs_that_comes_back_gets_the_object(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].is_away = True
    outbox = scene.computed([PACS])
    scene.run(outbox, 3)
    scene.pacs.remotes["pacs"].is_away = False
    scene.run(outbox, 5, pause_s=10.0)

    assert scene.job_state == JobState.DONE


def test_the_longest_wait_is_an_hour(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].is_away = True
    outbox = scene.computed([PACS])
    scene.run(outbox, 60, pause_s=3600.0)

    (row,) = scene.journal.connection.execute("SELECT next_try_at FROM deliveries").fetchall()
    assert row["next_try_at"] - scene.clock.now_s <= 3600.0


def test_a_delivery_tried_before_the_clock_was_set_back_is_tried_again(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].is_away = True
    scene.clock.pass_s(86400.0)
    outbox = scene.computed([PACS])
    scene.run(outbox, 3)
    scene.pacs.remotes["pacs"].is_away = False
    scene.clock.pass_s(-86400.0)
    scene.run(outbox, 5, pause_s=10.0)

    assert scene.job_state == JobState.DONE


def test_an_object_lost_before_the_clock_was_set_back_is_sent_again(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].forgets = True
    scene.clock.pass_s(86400.0)
    outbox = scene.computed([PACS])
    scene.run(outbox, 3)
    scene.pacs.remotes["pacs"].forgets = False
    scene.clock.pass_s(-86400.0)
    scene.run(outbox, 10, pause_s=10.0)

    assert scene.job_state == JobState.DONE


def test_a_best_effort_destination_never_blocks(scene: Scene) -> None:
    scene.pacs.remotes["research"].is_away = True
    scene.run(scene.computed([PACS, Destination(name="research", required=False)]), 4)

    assert scene.job_state == JobState.DONE
    assert scene.deliveries()["research"][0] == DeliveryState.PENDING


def test_a_best_effort_delivery_goes_on_after_the_job_is_done(scene: Scene) -> None:
    scene.pacs.remotes["research"].is_away = True
    outbox = scene.computed([PACS, Destination(name="research", required=False)])
    scene.run(outbox, 4)
    scene.pacs.remotes["research"].is_away = False
    scene.run(outbox, 5, pause_s=10.0)

    assert scene.deliveries()["research"][0] == DeliveryState.CONFIRMED


def test_an_object_that_a_pacs_took_and_lost_is_sent_again(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].forgets = True
    outbox = scene.computed([PACS])
    scene.run(outbox, 8, pause_s=40.0)
    assert scene.job_state == JobState.COMPUTED
    scene.pacs.remotes["pacs"].forgets = False
    scene.run(outbox, 8, pause_s=400.0)

    assert scene.job_state == JobState.DONE


def test_a_pacs_that_cannot_be_asked_leaves_the_job_visibly_unverified(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].answers_queries = False
    scene.run(scene.computed([PACS]), 4)

    assert scene.deliveries()["pacs"][0] == DeliveryState.UNVERIFIED
    assert scene.job_state == JobState.COMPUTED


def test_an_unverified_delivery_is_asked_for_again_and_not_sent_again(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].answers_queries = False
    outbox = scene.computed([PACS])
    scene.run(outbox, 4)
    scene.pacs.remotes["pacs"].answers_queries = True
    scene.run(outbox, 3, pause_s=20.0)

    assert scene.job_state == JobState.DONE
    assert len(scene.pacs.remotes["pacs"].received) == 1


def test_the_operator_may_take_a_success_answer_as_confirmation(scene: Scene) -> None:
    scene.pacs.remotes["pacs"].answers_queries = False
    scene.run(scene.computed([Destination(name="pacs", verify=Verification.NONE)]), 4)

    assert scene.job_state == JobState.DONE


def test_a_result_deleted_from_our_orthanc_is_stored_again_from_the_spool(scene: Scene) -> None:
    outbox = scene.computed([PACS])
    scene.pacs.remotes["pacs"].is_away = True
    scene.run(outbox, 3)
    for orthanc_id in list(scene.pacs.instances):
        scene.pacs.forget(orthanc_id)
    scene.pacs.remotes["pacs"].is_away = False
    scene.run(outbox, 8, pause_s=40.0)

    assert scene.job_state == JobState.DONE


def test_bytes_that_are_not_the_published_ones_are_never_sent(scene: Scene) -> None:
    outbox = scene.computed([PACS])
    (scene.spool.result_folder(scene.key) / "sr.dcm").write_bytes(b"other")
    scene.run(outbox, 3)

    assert scene.pacs.instances == {}
    assert scene.job_state == JobState.COMPUTED


def test_results_of_a_superseded_job_are_not_sent(scene: Scene) -> None:
    outbox = scene.computed([PACS])
    newer = Submission(
        series_uid="1.2",
        series_orthanc_id="s",
        study_orthanc_id="t",
        set_hash="more",
        instance_count=2,
        engine=ENGINE,
    )
    scene.journal.submit(newer)
    scene.run(outbox, 3)

    assert scene.pacs.remotes["pacs"].received == []
    assert scene.pacs.instances == {}
    assert scene.deliveries()["pacs"][0] == DeliveryState.CANCELLED


def test_an_orthanc_that_is_away_changes_nothing(scene: Scene) -> None:
    outbox = scene.computed([PACS])
    scene.pacs.is_away = True
    with pytest.raises(PacsUnavailable):
        outbox.step()
    scene.pacs.is_away = False
    scene.run(outbox, 4)

    assert scene.job_state == JobState.DONE


def test_one_refused_object_holds_up_no_other(scene: Scene) -> None:
    outbox = scene.computed([PACS, Destination(name="research")])
    scene.pacs.remotes["pacs"].is_away = True
    scene.pacs.remotes["research"].is_away = True
    scene.run(outbox, 3)
    (orthanc_id,) = scene.pacs.instances
    scene.pacs.refuses.add(orthanc_id)
    scene.clock.pass_s(10.0)
    scene.run(outbox, 1)

    assert scene.deliveries() == {
        "pacs": (DeliveryState.PENDING, 2),
        "research": (DeliveryState.PENDING, 2),
    }


def test_a_result_that_our_orthanc_refuses_is_not_offered_every_second(scene: Scene) -> None:
    outbox = scene.computed([PACS])
    scene.pacs.refuses.add("store")
    scene.run(outbox, 1)
    scene.pacs.refuses.clear()
    scene.run(outbox, 3)

    assert scene.pacs.instances == {}


def stored_here(scene: Scene) -> set[str]:
    """SOP Instance UIDs in our own Orthanc."""
    return {stored.sop_uid for stored in scene.pacs.instances.values()}


def sop_uid(seed: str) -> str:
    return str(ct_series(1, seed=seed)[0].SOPInstanceUID)


@pytest.mark.parametrize(
    ("policy", "kept"),
    [(SupersededPolicy.KEEP, {"old", "new"}), (SupersededPolicy.DELETE_HERE, {"new"})],
)
def test_superseded_results_are_deleted_here_where_the_site_says_so_and_never_at_the_pacs(
    scene: Scene, policy: SupersededPolicy, kept: set[str]
) -> None:
    scene.run(scene.computed([PACS], seed="old", superseded=policy), 4)
    scene.run(scene.computed([PACS], seed="new", superseded=policy), 6)

    assert stored_here(scene) == {sop_uid(seed) for seed in kept}
    assert scene.pacs.remotes["pacs"].received == [sop_uid("old"), sop_uid("new")]


def test_a_superseded_result_stays_here_until_the_newer_one_is_delivered(scene: Scene) -> None:
    policy = SupersededPolicy.DELETE_HERE
    scene.run(scene.computed([PACS], seed="old", superseded=policy), 4)
    scene.pacs.remotes["pacs"].is_away = True
    outbox = scene.computed([PACS], seed="new", superseded=policy)
    scene.run(outbox, 6)
    while_away = stored_here(scene)
    scene.pacs.remotes["pacs"].is_away = False
    scene.run(outbox, 6, pause_s=3600.0)

    assert while_away == {sop_uid("old"), sop_uid("new")}
    assert stored_here(scene) == {sop_uid("new")}


def test_a_superseded_result_that_was_deleted_by_hand_is_no_matter(scene: Scene) -> None:
    policy = SupersededPolicy.DELETE_HERE
    scene.run(scene.computed([PACS], seed="old", superseded=policy), 4)
    outbox = scene.computed([PACS], seed="new", superseded=policy)
    (old,) = [key for key, one in scene.pacs.instances.items() if one.sop_uid == sop_uid("old")]
    scene.pacs.forget(old)
    scene.run(outbox, 6)

    assert stored_here(scene) == {sop_uid("new")}


def test_a_restart_deletes_what_was_left_and_a_refusal_is_asked_again_later(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.run(scene.computed([PACS], seed="old"), 4)
    scene.run(scene.computed([PACS], seed="new"), 6)
    (old,) = [key for key, one in scene.pacs.instances.items() if one.sop_uid == sop_uid("old")]
    scene.pacs.refuses.add(old)
    in_force = settings([PACS], SupersededPolicy.DELETE_HERE)
    restarted = OneThread(scene.pacs, scene.journal, scene.spool, in_force)
    scene.run(restarted, 5)
    refused = list(restarted.log.events)
    scene.pacs.refuses.clear()
    later_s = time.monotonic() + STORE_PAUSE_S
    monkeypatch.setattr(time, "monotonic", lambda: later_s)
    scene.run(restarted, 1)

    assert refused == ["result-not-deleted"]
    assert stored_here(scene) == {sop_uid("new")}


def test_a_folder_gets_the_very_bytes_of_the_spool(scene: Scene, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    folder = Destination(name="export", kind=DestinationKind.FOLDER, target=str(export))

    scene.run(scene.computed([folder]), 4)

    (written,) = export.rglob("*.dcm")
    assert scene.job_state == JobState.DONE
    assert written.read_bytes() == (scene.spool.result_folder(scene.key) / "sr.dcm").read_bytes()


def test_a_folder_that_is_away_is_tried_again(scene: Scene, tmp_path: Path) -> None:
    export = tmp_path / "export"
    folder = Destination(name="export", kind=DestinationKind.FOLDER, target=str(export))
    outbox = scene.computed([folder])
    scene.run(outbox, 1)
    before = scene.deliveries()
    export.mkdir()

    scene.run(outbox, 5, pause_s=20.0)

    assert before == {"export": (DeliveryState.PENDING, 1)}
    assert scene.job_state == JobState.DONE


def test_a_file_that_vanishes_from_a_folder_is_written_again(scene: Scene, tmp_path: Path) -> None:
    export = tmp_path / "export"
    export.mkdir()
    folder = Destination(name="export", kind=DestinationKind.FOLDER, target=str(export))
    outbox = scene.computed([folder])
    scene.run(outbox, 2)
    next(export.rglob("*.dcm")).unlink()

    scene.run(outbox, 12, pause_s=40.0)

    assert scene.job_state == JobState.DONE
    assert len(list(export.rglob("*.dcm"))) == 1


def test_a_delivery_waits_as_it_is_while_its_destination_is_not_configured(scene: Scene) -> None:
    known = scene.computed([PACS])
    unknown = OneThread(scene.pacs, scene.journal, scene.spool, settings([]))
    scene.run(known, 2)

    scene.run(unknown, 3, pause_s=100.0)
    meanwhile = scene.deliveries()
    scene.run(known, 3, pause_s=1000.0)

    assert meanwhile["pacs"][0] == DeliveryState.SENT
    assert scene.job_state == JobState.DONE
    assert len(scene.pacs.remotes["pacs"].received) == 1

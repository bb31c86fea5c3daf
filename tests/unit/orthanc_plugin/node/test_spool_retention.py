"""What the spool lets go of, and what it keeps whatever its age."""

from pathlib import Path

import pytest

from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.operator_journal import OperatorJournal
from orthanc_plugin.node.spool import MANIFEST
from orthanc_plugin.node.spool_retention import DAY_S, SpoolRetention
from tests.unit.orthanc_plugin.node.test_outbox import PACS, Scene, scene

__all__ = ["scene"]

KEEP_DAYS = 10.0
RESEARCH = Destination(name="research", required=False)


def retained(one: Scene) -> int:
    return SpoolRetention(one.journal, one.spool).step(KEEP_DAYS)


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_objects_go_after_their_days_and_numbers_stay(scene: Scene) -> None:
    scene.run(scene.computed([PACS]), 4)
    before = names(scene.spool.result_folder(scene.key))
    young = retained(scene)
    scene.clock.pass_s(KEEP_DAYS * DAY_S + 1)
    old, again = retained(scene), retained(scene)
    left = names(scene.spool.result_folder(scene.key))

    assert scene.job_state == JobState.DONE
    assert (young, old, again) == (0, 1, 0)
    assert before - left >= {MANIFEST}
    assert not [name for name in left if name.endswith(".dcm")]
    assert "report.json" in left


def test_zero_days_keep_everything(scene: Scene) -> None:
    scene.run(scene.computed([PACS]), 4)
    scene.clock.pass_s(1000 * DAY_S)

    assert SpoolRetention(scene.journal, scene.spool).step(0.0) == 0


@pytest.mark.parametrize("away", ["pacs", "research"])
def test_what_is_still_to_be_delivered_stays_also_where_that_is_best_effort(
    scene: Scene, away: str
) -> None:
    scene.pacs.remotes[away].is_away = True
    outbox = scene.computed([PACS, RESEARCH])
    scene.run(outbox, 6)
    scene.clock.pass_s(KEEP_DAYS * DAY_S + 1)

    assert retained(scene) == 0


def test_what_our_own_orthanc_does_not_have_stays(scene: Scene) -> None:
    scene.run(scene.computed([PACS]), 4)
    scene.journal.connection.execute("UPDATE results SET orthanc_id = NULL")
    scene.clock.pass_s(KEEP_DAYS * DAY_S + 1)

    assert retained(scene) == 0


def test_what_was_removed_is_not_sent_again(scene: Scene) -> None:
    scene.run(scene.computed([PACS]), 4)
    scene.clock.pass_s(KEEP_DAYS * DAY_S + 1)
    retained(scene)

    assert OperatorJournal(scene.journal).resend(scene.key, None, "otto") == "results-removed"
    assert scene.job_state == JobState.DONE

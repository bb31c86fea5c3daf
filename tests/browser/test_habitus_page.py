"""The Habitus page in a browser: what it says in each plight of the node, and its buttons, clicked."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

pytest.importorskip("playwright", reason="needs playwright: make test-page brings it")

from playwright.sync_api import expect

from tests.browser.conftest import DISK_MB, NIGHT, needs, store
from tests.browser.watched_page import WatchedPage
from tests.dicom_peers import ct_series
from tests.orthanc_process import OrthancProcess, child_pids, wait_for

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(needs()), reason=needs())]

PAGE = "/habitus/index.html"


def sent(node: OrthancProcess, seed: str, description: str | None = None) -> dict[str, Any]:
    """The job that a series of a study of its own becomes."""
    before = {job["key"] for job in node.jobs()}
    images = ct_series(3, seed=seed)
    for image in images:
        image.StudyDescription = description or image.StudyDescription
    store(node, images)

    def new() -> list[dict[str, Any]]:
        return [job for job in node.jobs() if job["key"] not in before]

    wait_for(lambda: bool(new()), 20.0, "the job")
    return new()[0]


def done(node: OrthancProcess, seed: str) -> str:
    """Key of a job that is done."""
    key = str(sent(node, seed)["key"])
    wait_for(lambda: node.get(f"/habitus/jobs/{key}")["state"] == "done", 30.0, "its end")
    return key


def events(node: OrthancProcess, key: str) -> list[tuple[str, str]]:
    history = node.get(f"/habitus/jobs/{key}")["history"]
    return [(event["actor"], event["event"]) for event in history]


def test_a_job_is_shown_with_rule_numbers_picture_and_deliveries(
    node: OrthancProcess, viewer: WatchedPage
) -> None:
    key = done(node, "shown")
    viewer.open(PAGE)

    for text in ("Done", "rule most", "liver", "1,534", "sr to pacs: confirmed", "3 slices"):
        viewer.job_shows(key, text)
    doubt = viewer.job(key).get_by_role("alert")
    expect(doubt).to_have_text(
        "L3 uncertain: the two networks place it 34 mm apart. "
        "Look at the slice; if it is another vertebra, set L3 by hand below."
    )
    picture = viewer.job(key).get_by_alt_text("Picture of l3")
    picture.scroll_into_view_if_needed()
    wait_for(lambda: picture.evaluate("e => e.naturalWidth") == 1, 10.0, "the picture")
    for name in ("Run again", "Send again", "Cancel"):
        expect(viewer.job(key).get_by_role("button", name=name)).to_have_count(0)


def test_a_job_waits_for_its_window_and_is_cancelled(
    node: OrthancProcess, operator: WatchedPage, window: str
) -> None:
    key = str(sent(node, "night", NIGHT)["key"])
    operator.open(PAGE)
    operator.job_shows(key, f"waits for {window}")
    operator.job_shows(key, "rule late, off-peak")
    operator.job(key).get_by_role("button", name="Cancel").click()

    operator.job_shows(key, "Cancelled")
    operator.job_shows(key, "cancelled-by-operator")
    assert ("otto", "cancelled") in events(node, key)


def test_a_job_is_sent_again_and_run_again(node: OrthancProcess, operator: WatchedPage) -> None:
    key = done(node, "again")
    operator.open(PAGE)
    operator.job(key).get_by_role("button", name="Send again").click()
    wait_for(lambda: ("otto", "resent") in events(node, key), 20.0, "the second sending")
    operator.job(key).get_by_role("button", name="Run again").click()

    operator.job_shows(key, "Superseded")
    newer = node.get(f"/habitus/jobs/{key}")["superseded_by"]
    operator.job_shows(newer, "run 2")
    operator.job_shows(newer, "Done")


def test_height_and_weight_are_entered(node: OrthancProcess, operator: WatchedPage) -> None:
    key = done(node, "entered")
    operator.open(PAGE)
    card = operator.job(key)
    card.get_by_text("Enter height and weight").click()
    card.get_by_label("Height in m").fill("1.72")
    card.get_by_label("Weight in kg").fill("81.5")
    card.get_by_role("button", name="Compute again with these").click()

    operator.job_shows(key, "Superseded")
    newer = node.get(f"/habitus/jobs/{key}")["superseded_by"]
    operator.job_shows(newer, "Done")
    entered = node.get(f"/habitus/report/{newer}")["entered"]
    assert (entered["height_m"], entered["weight_kg"], entered["entered_by"]) == (
        1.72,
        81.5,
        "otto",
    )


def newest(node: OrthancProcess, key: str) -> str:
    """The job that took the place of another."""
    wait_for(lambda: bool(node.get(f"/habitus/jobs/{key}")["superseded_by"]), 20.0, "a new run")
    return str(node.get(f"/habitus/jobs/{key}")["superseded_by"])


def test_l3_is_set_by_hand_slice_by_slice_and_given_back(
    node: OrthancProcess, operator: WatchedPage
) -> None:
    key = done(node, "l3 by hand")
    operator.open(PAGE)
    operator.job_shows(key, "z 5.00 mm, confidence 0.90")
    card = operator.job(key)
    card.locator("summary", has_text="Set L3 by hand").click()
    expect(card.get_by_label("Image number")).to_have_value("1")
    expect(card.get_by_text("Slice 1 of 3 from the feet, z 5.00 mm")).to_be_visible()
    card.get_by_role("button", name="Towards the head").click()
    card.get_by_role("button", name="Towards the head").click()
    card.get_by_role("button", name="Towards the feet").click()
    expect(card.get_by_label("Image number")).to_have_value("2")
    picture = card.get_by_alt_text("Image 2")
    wait_for(lambda: picture.evaluate("e => e.naturalWidth") > 0, 10.0, "the picture of the slice")
    card.get_by_role("button", name="Measure at this slice").click()
    second = newest(node, key)
    operator.job_shows(second, "z 10.0 mm, set by hand")
    operator.job_shows(second, "L3 was set by hand by otto")
    operator.job_shows(second, "Done")
    card = operator.job(second)
    card.get_by_text("L3 was set by hand by otto").click()
    card.get_by_role("button", name="Back to the network’s level").click()

    third = newest(node, second)
    operator.job_shows(third, "z 5.00 mm, confidence 0.90")
    assert ("otto", "level-set") in events(node, key)
    assert ("otto", "level-removed") in events(node, second)


def test_with_keys_alone_l3_is_set_where_none_was_found(
    node: OrthancProcess, operator: WatchedPage
) -> None:
    node.behaviour.write_text("no-l3")
    key = str(sent(node, "no l3")["key"])
    operator.open(PAGE)
    operator.job_shows(key, "no-l3")
    card = operator.job(key)
    summary = card.locator("summary", has_text="Set L3 by hand")
    summary.focus()
    operator.page.keyboard.press("Enter")
    number = card.get_by_label("Image number")
    expect(number).to_have_value("2")
    operator.page.keyboard.press("Tab")
    expect(number).to_be_focused()
    operator.page.keyboard.type("7")
    expect(card.get_by_text("There is no slice of that number.")).to_be_visible()
    operator.page.keyboard.press("Backspace")
    operator.page.keyboard.type("2")
    operator.page.keyboard.press("ArrowUp")
    expect(card.get_by_text("Slice 3 of 3 from the feet, z 15.0 mm")).to_be_visible()
    operator.page.keyboard.press("Enter")

    newer = newest(node, key)
    operator.job_shows(newer, "z 15.0 mm, set by hand")
    node.behaviour.write_text("good")


def test_what_is_being_filled_in_is_not_drawn_away(
    node: OrthancProcess, operator: WatchedPage
) -> None:
    key = done(node, "filled in")
    operator.open(PAGE)
    card = operator.job(key)
    card.locator("summary", has_text="Set L3 by hand").click()
    card.get_by_role("button", name="Towards the head").click()
    node.outcome(node.ask(f"/habitus/jobs/{key}/resend"))
    again = done(node, "another meanwhile")
    operator.job_shows(again, "Done")

    expect(card.get_by_label("Image number")).to_have_value("2")


def test_a_viewer_may_not_set_l3(node: OrthancProcess, viewer: WatchedPage) -> None:
    key = done(node, "l3 of a viewer")
    viewer.open(PAGE)
    viewer.job_shows(key, "Done")

    expect(viewer.job(key).locator("details.level")).to_be_hidden()


@contextmanager
def full_disk(node: OrthancProcess) -> Iterator[None]:
    ballast = node.folder / "node" / "ballast"
    free_kb = int(
        subprocess.run(
            ["df", "--output=avail", "-k", str(ballast.parent)],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[1]
    )
    ballast.write_bytes(bytes((free_kb << 10) - (15 << 20)))
    assert ballast.stat().st_size < DISK_MB << 20
    try:
        yield
    finally:
        ballast.unlink()


def test_a_full_disk_is_told(node: OrthancProcess, viewer: WatchedPage) -> None:
    with full_disk(node):
        wait_for(lambda: node.get("/habitus/status")["disk"] == "high", 20.0, "the mark")
        viewer.open(PAGE)
        viewer.summary_has("the disk is all but full, jobs wait")
    wait_for(lambda: node.get("/habitus/status")["disk"] == "ok", 20.0, "room")


def test_refused_settings_are_told_with_the_mistake(
    node: OrthancProcess, viewer: WatchedPage
) -> None:
    path = node.folder / "habitus.toml"
    good = path.read_text()

    def is_in(state: str) -> bool:
        return bool(node.get("/habitus/status")["settings"]["state"] == state)

    path.write_text(good + "\n[[rules]]\nname = 'x'\nprioriti = 'stat'\n")
    wait_for(lambda: is_in("refused"), 20.0, "the refusal")
    viewer.open(PAGE)
    viewer.summary_has("settings refused, the former are in force")
    viewer.summary_has("prioriti; wanted 'priority'")
    path.write_text(good)
    wait_for(lambda: is_in("in-force"), 20.0, "the former settings")


def test_an_engine_that_rests_is_told(node: OrthancProcess, viewer: WatchedPage) -> None:
    path = node.folder / "habitus.toml"
    good = path.read_text()
    path.write_text(good.replace("[engine]", "[engine]\nidle_unload_s = 0.5"))
    viewer.open(PAGE)
    viewer.summary_has("engine resting")
    path.write_text(good)
    done(node, "wakes it")

    viewer.summary_has("engine ready")


def test_an_engine_that_cannot_load_is_told_with_what_to_do(
    node: OrthancProcess, viewer: WatchedPage
) -> None:
    viewer.open(PAGE)
    viewer.summary_has("engine ready")
    broken = node.folder / "models" / "broken"
    broken.touch()
    for child in child_pids(node.node_pid() or 0):
        os.kill(child, signal.SIGKILL)

    viewer.summary_has("engine unusable (Found a broken model; wanted a whole one. Mend it.)")
    broken.unlink()


def test_a_node_that_is_gone_is_told(node: OrthancProcess, viewer: WatchedPage) -> None:
    viewer.open(PAGE)
    viewer.summary_has("Node running")
    settings = node.folder / "habitus.toml"
    good = settings.read_text()
    victim = node.node_pid()
    assert victim is not None
    settings.unlink()
    os.kill(victim, signal.SIGKILL)

    viewer.summary_has("Node not running")
    expect(viewer.page.locator("#notice")).to_be_hidden()
    # The next start of the node, up to half a minute later, finds it: no test comes after this one.
    settings.write_text(good)

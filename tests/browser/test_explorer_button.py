"""The button "Analyse with Habitus" in Orthanc Explorer, clicked."""

import pytest

pytest.importorskip("playwright", reason="needs playwright: make test-page brings it")

from playwright.sync_api import expect

from tests.browser.conftest import BY_HAND, needs, store
from tests.browser.watched_page import WAIT_MS, WatchedPage
from tests.dicom_peers import ct_series
from tests.orthanc_process import OrthancProcess, wait_for

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(needs()), reason=needs())]


def untaken(node: OrthancProcess, seed: str) -> str:
    """Orthanc's id of a series that no rule takes."""
    images = ct_series(3, seed=seed)
    for image in images:
        image.StudyDescription = BY_HAND
    store(node, images)
    uid = str(images[0].SeriesInstanceUID)
    (found,) = node.session.post(f"{node.url}/tools/lookup", data=uid, timeout=10).json()
    return str(found["ID"])


def study_of(node: OrthancProcess, series: str) -> str:
    return str(node.get(f"/series/{series}")["ParentStudy"])


def click(tab: WatchedPage, level: str, identifier: str, says: str) -> None:
    """On the page of a study or series, and read what it says then."""
    tab.open(f"/app/explorer.html#{level}?uuid={identifier}")
    shown = tab.page.locator(f"#{level}")
    button = shown.get_by_role("button", name="Analyse with Habitus")
    expect(button).to_have_count(1, timeout=WAIT_MS)
    button.click()
    expect(shown.locator(".habitus-said")).to_contain_text(says, timeout=WAIT_MS)


def is_shown(tab: WatchedPage, level: str) -> None:
    """Until jQuery Mobile has changed to that page and is at rest."""
    expect(tab.page.locator(f"#{level}.ui-page-active")).to_be_visible(timeout=WAIT_MS)
    expect(tab.page.locator("html.ui-mobile-rendering, .ui-page.in, .ui-page.out")).to_have_count(0)


def analysed(node: OrthancProcess, series: str) -> list[str]:
    """Ends of its jobs."""
    return [job["state"] for job in node.jobs() if job["series_orthanc_id"] == series]


@pytest.mark.parametrize("level", ["study", "series"])
def test_an_operator_has_it_analysed(
    node: OrthancProcess, operator: WatchedPage, level: str
) -> None:
    series = untaken(node, f"clicked-{level}")
    identifier = series if level == "series" else study_of(node, series)
    click(operator, level, identifier, "Asked for. See the Habitus page.")

    wait_for(lambda: analysed(node, series) == ["done"], 30.0, "the job")
    (job,) = [each for each in node.jobs() if each["series_orthanc_id"] == series]
    history = node.get(f"/habitus/jobs/{job['key']}")["history"]
    assert ("otto", "queued") in [(event["actor"], event["event"]) for event in history]


@pytest.mark.parametrize("level", ["study", "series"])
def test_a_viewer_is_told_why_not(node: OrthancProcess, viewer: WatchedPage, level: str) -> None:
    series = untaken(node, f"refused-{level}")
    identifier = series if level == "series" else study_of(node, series)
    click(viewer, level, identifier, "found the role viewer; wanted the role operator")

    assert analysed(node, series) == []


def test_the_button_is_there_once_however_often_the_page_is_shown(
    node: OrthancProcess, operator: WatchedPage
) -> None:
    series = untaken(node, "shown-twice")
    study = study_of(node, series)
    operator.open(f"/app/explorer.html#study?uuid={study}")
    buttons = operator.page.locator("#study .habitus-analyse")
    is_shown(operator, "study")
    expect(buttons).to_have_count(1, timeout=WAIT_MS)
    operator.page.goto(f"{node.url}/app/explorer.html#series?uuid={series}")
    is_shown(operator, "series")
    expect(operator.page.locator("#series .habitus-analyse")).to_have_count(1, timeout=WAIT_MS)
    operator.page.go_back()
    is_shown(operator, "study")

    expect(buttons).to_have_count(1, timeout=WAIT_MS)
    link = operator.page.locator("#study .habitus-link a")
    expect(link).to_have_attribute("href", "../habitus/index.html")

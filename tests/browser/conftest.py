"""One node and one browser for all tests here; tests that hinder the node put it right again."""

import subprocess
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO

from tests.dicom_peers import receiver
from tests.orthanc_process import (
    SETTINGS,
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)
from tests.viewer.conftest import CHROMIUM

if TYPE_CHECKING:
    from playwright.sync_api import Browser

    from tests.browser.watched_page import WatchedPage

DISK_MB = 200
NIGHT = "night"
"""Study description of what waits for its window."""
BY_HAND = "by hand"
"""Of what no rule takes."""


def needs() -> str:
    """Why nothing can be clicked here; empty where it can."""
    return why_not() or ("" if CHROMIUM.exists() else "needs chromium: make test-page brings it")


def store(node: OrthancProcess, images: Sequence[Dataset]) -> None:
    """By REST: pynetdicom's sender now and then loses an answer to its own other thread, most of all beside a browser."""
    for image in images:
        with DicomBytesIO() as file:
            image.save_as(file, enforce_file_format=True)
            node.session.post(
                f"{node.url}/instances", data=file.getvalue(), timeout=10
            ).raise_for_status()


def night_window() -> str:
    """One that is closed while the tests run."""
    begin = datetime.now() + timedelta(hours=3)
    return f"{begin:%H:%M}-{begin + timedelta(hours=2):%H:%M}"


RULES = f"""
[[rules]]
name = "late"
priority = "off-peak"
window = "{{window}}"
[rules.tags]
StudyDescription = {{{{ equals = "{NIGHT}" }}}}

[[rules]]
name = "most"
[rules.tags]
StudyDescription = {{{{ matches = "^study" }}}}
"""


@pytest.fixture(scope="session")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the node, with a small disk for its data."""
    folder = tmp_path_factory.mktemp("node")
    (folder / "node").mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK_MB}m", "tmpfs", str(folder / "node")]
    if subprocess.run(mount, check=False).returncode:
        pytest.skip("needs a machine that lets root mount a tmpfs")
    yield folder
    subprocess.run(["umount", "-l", str(folder / "node")], check=True)


@pytest.fixture(scope="session")
def window() -> str:
    """Of the rule `late`."""
    return night_window()


@pytest.fixture(scope="session")
def node(disk: Path, window: str) -> Iterator[OrthancProcess]:
    """With rules, the fake analyser and a PACS that takes everything."""
    rules = RULES.format(window=window).replace("{{", "{").replace("}}", "}")
    settings = SETTINGS + rules.replace("{", "{{").replace("}", "}}")
    with private_network(), orthanc(disk, settings=settings) as running, receiver():
        wait_for(lambda: bool(running.get("/habitus/status")["engine"]), 60.0, "the engine")
        yield running


@pytest.fixture(scope="session")
def chromium(node: OrthancProcess) -> Iterator["Browser"]:
    """In the network of the node, and in no other."""
    from playwright.sync_api import sync_playwright

    from tests.viewer.ohif_page import ARGUMENTS

    assert node.process is not None
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture
def operator(chromium: "Browser", node: OrthancProcess) -> Iterator["WatchedPage"]:
    """A tab of otto's, which goes without any error."""
    from tests.browser.watched_page import watched_page

    with watched_page(chromium, node.url, node.login("otto")) as tab:
        yield tab
        assert (tab.errors, tab.foreign) == ([], [])


@pytest.fixture
def viewer(chromium: "Browser", node: OrthancProcess) -> Iterator["WatchedPage"]:
    """A tab of vera's; what she is refused shows in the console, and nothing else does."""
    from tests.browser.watched_page import watched_page

    with watched_page(chromium, node.url, node.login("vera")) as tab:
        yield tab
        assert [error for error in tab.errors if "403 (Forbidden)" not in error] == []
        assert tab.foreign == []

"""One demo and one browser for all tests: both take longer to start than a test to run."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.orthanc_process import ORTHANC
from tests.viewer.kept_demo import KeptDemo, kept_demo
from viewer.install import is_installed

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext

    from tests.viewer.ohif_page import OhifPage

CHROMIUM = Path(os.environ.get("CHROMIUM", "/usr/bin/chromium"))
NEEDS_OHIF = pytest.mark.skipif(
    not (is_installed() and CHROMIUM.exists() and ORTHANC.exists()),
    reason="needs OHIF, chromium and Orthanc: make test-ohif brings them",
)
TAKES_MINUTES = pytest.mark.timeout(900)
"""The demo itself takes one, a page on a busy machine half of one."""


@pytest.fixture(scope="session")
def demo() -> Iterator[KeptDemo]:
    """The demo of the README."""
    with kept_demo() as running:
        yield running


@pytest.fixture(scope="session")
def chromium() -> Iterator["BrowserContext"]:
    """Shared, for its cache."""
    from tests.viewer.ohif_page import browser

    with browser(CHROMIUM) as context:
        yield context


@pytest.fixture
def ohif(chromium: "BrowserContext") -> Iterator["OhifPage"]:
    """A tab; no test may leave it with a refused request or one to another host."""
    from tests.viewer.ohif_page import OhifPage

    tab = OhifPage(page=chromium.new_page())
    yield tab
    tab.page.close()
    assert tab.refused == []
    assert tab.foreign == []

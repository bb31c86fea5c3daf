"""A tab that notes what no page of ours may do: errors, requests to others, breaches of its own policy."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from playwright.sync_api import Browser, Locator, Page, expect

WAIT_MS = 45_000
REPORT_BREACHES = """
document.addEventListener('securitypolicyviolation', (event) => {
  console.error('Content Security Policy: ' + event.violatedDirective + ' ' + event.blockedURI);
});
"""

IMPATIENT = """
const patient = window.setTimeout;
window.setTimeout = (what, wait, ...more) => patient(what, Math.min(wait ?? 0, 300), ...more);
"""
"""The Habitus page looks every three seconds; nobody waits here."""


@dataclass(slots=True)
class WatchedPage:
    """One tab of one user."""

    page: Page
    home: str
    """Address of Orthanc."""
    errors: list[str] = field(default_factory=list)
    """What the console says, and exceptions."""
    foreign: list[str] = field(default_factory=list)
    """Requests to another host."""

    def open(self, path: str) -> None:
        """Load a page of Orthanc anew."""
        # The same address with another fragment would not be loaded again.
        self.page.goto("about:blank")
        self.page.goto(self.home + path)

    def sees(self, text: str) -> None:
        """Until it is visible somewhere."""
        expect(self.page.get_by_text(text).first).to_be_visible(timeout=WAIT_MS)

    def job(self, key: str) -> Locator:
        """The card of a job."""
        return self.page.locator("li.job").filter(has_text=key)

    def job_shows(self, key: str, text: str) -> None:
        """Until the card of a job has it."""
        expect(self.job(key)).to_contain_text(text, timeout=WAIT_MS)

    def summary_has(self, text: str) -> None:
        """Until the line at the top says it."""
        expect(self.page.locator("#summary")).to_contain_text(text, timeout=WAIT_MS)


@contextmanager
def watched_page(browser: Browser, home: str, login: tuple[str, str]) -> Iterator[WatchedPage]:
    """A tab of a browser profile of its own, with a user's password."""
    user, password = login
    context = browser.new_context(http_credentials={"username": user, "password": password})
    context.add_init_script(REPORT_BREACHES)
    context.add_init_script(IMPATIENT)
    tab = WatchedPage(page=context.new_page(), home=home)
    tab.page.on(
        "console", lambda told: tab.errors.append(told.text) if told.type == "error" else None
    )
    tab.page.on("pageerror", lambda error: tab.errors.append(str(error)))

    def note_request(url: str) -> None:
        if urlsplit(url).netloc != urlsplit(home).netloc:
            tab.foreign.append(url)

    tab.page.on("request", lambda request: note_request(request.url))
    try:
        yield tab
    finally:
        context.close()

"""A result in OHIF through nginx and a password: python -m tests.containers.in_browser LINK USER < password."""

import sys

from tests.viewer.conftest import CHROMIUM
from tests.viewer.ohif_page import OhifPage, browser

LAST_ORGAN = "Portal and splenic vein"
COLOURED_PIXELS = 2_000


def main() -> int:
    """Open, wait, say what is seen."""
    link, user = sys.argv[1:]
    known = {"username": user, "password": sys.stdin.readline().strip()}
    with browser(CHROMIUM, http_credentials=known, ignore_https_errors=True) as context:
        tab = OhifPage(page=context.new_page())
        tab.open(link)
        tab.wait_for_text(LAST_ORGAN)
        segments = len(tab.segment_names())
        tab.wait_until(lambda: tab.coloured_pixels() > COLOURED_PIXELS, "colours over the CT")
    refused = [each for each in tab.refused if not each.startswith("401")]
    sys.stdout.write(
        f"{segments} segments in colour; refused {refused[:3]}, elsewhere {tab.foreign[:3]}\n"
    )
    return 0 if segments > 10 and not refused and not tab.foreign else 1


if __name__ == "__main__":
    sys.exit(main())

"""OHIF in a headless browser: what is written, what is painted, and what went wrong meanwhile."""

import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, Page, sync_playwright

WAIT_MS = 120_000
ARGUMENTS = [
    # Chromium's own sandbox refuses root; the only page that is opened is ours.
    "--no-sandbox",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # WebGL without a graphics card.
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--ignore-gpu-blocklist",
]
PIXELS = """
([test]) => {
  const wanted = { coloured: (high, low) => high - low > 25, bright: (high) => high > 40 }[test];
  let count = 0;
  for (const canvas of document.querySelectorAll('canvas')) {
    if (canvas.width < 300) continue;
    const copy = document.createElement('canvas');
    [copy.width, copy.height] = [canvas.width, canvas.height];
    const context = copy.getContext('2d');
    context.drawImage(canvas, 0, 0);
    const data = context.getImageData(0, 0, copy.width, copy.height).data;
    for (let i = 0; i < data.length; i += 4) {
      const rgb = [data[i], data[i + 1], data[i + 2]];
      if (wanted(Math.max(...rgb), Math.min(...rgb))) count++;
    }
  }
  return count;
}
"""
SHOWN = re.compile(r"I:(\d+) \((\d+)/(\d+)\)")

CENTROIDS = """
() => {
  const { cache, metaData } = window.cornerstone;
  const sums = {};
  for (const segmentation of window.services.segmentationService.getSegmentations()) {
    for (const id of segmentation.representationData.Labelmap.imageIds) {
      const image = cache.getImage(id);
      const plane = metaData.get('imagePlaneModule', image.referencedImageId);
      image.voxelManager.getScalarData().forEach((label, index) => {
        if (label === 0) return;
        const right = (index % image.columns) * plane.columnPixelSpacing;
        const down = Math.floor(index / image.columns) * plane.rowPixelSpacing;
        const sum = (sums[label] ??= [0, 0, 0, 0]);
        for (const axis of [0, 1, 2]) {
          sum[axis] += plane.imagePositionPatient[axis]
            + right * plane.rowCosines[axis] + down * plane.columnCosines[axis];
        }
        sum[3]++;
      });
    }
  }
  return Object.entries(sums).map(([label, [x, y, z, n]]) => [Number(label), [x / n, y / n, z / n]]);
}
"""


@dataclass(slots=True)
class OhifPage:
    """One tab."""

    page: Page
    refused: list[str] = field(default_factory=list)
    """Answers with an HTTP error."""
    foreign: list[str] = field(default_factory=list)
    """Requests to, or attempts to reach, another host."""

    def open(self, url: str) -> None:
        """Follow a link; from now on every request is noted."""
        home = urlsplit(url).netloc
        self.page.on("response", lambda answer: self._note_answer(answer.status, answer.url))
        self.page.on("request", lambda request: self._note_request(request.url, home))
        self.page.on("console", lambda message: self._note_message(message.text))
        self.page.goto(url, timeout=WAIT_MS)

    def wait_for_text(self, text: str) -> None:
        """Until it is visible somewhere."""
        self.page.get_by_text(text, exact=True).first.wait_for(timeout=WAIT_MS)

    def segment_names(self) -> list[str]:
        """The rows of the segmentation panel, in its order."""
        lines = self.text().split("Segmentations", 1)[-1].splitlines()
        return [name for number, name in itertools.pairwise(lines) if number.strip().isdigit()]

    def click(self, text: str) -> None:
        """On the first element with exactly this text."""
        self.page.get_by_text(text, exact=True).first.click(timeout=WAIT_MS)

    def text(self) -> str:
        """All that is written."""
        return str(self.page.evaluate("document.body.innerText"))

    def shown_instance_number(self) -> int:
        """InstanceNumber of the image in the viewport; 0 while none is shown."""
        found = SHOWN.search(self.text())
        return int(found[1]) if found else 0

    def pixels(self, test: str) -> int:
        """How many of the viewport's pixels are "coloured", or "bright"."""
        return int(self.page.evaluate(PIXELS, [test]))

    def centroids_mm(self) -> dict[int, tuple[float, float, float]]:
        """Of each segment number in patient space, from the voxels that OHIF holds and its own geometry."""
        found = self.page.evaluate(CENTROIDS)
        return {int(label): (x, y, z) for label, (x, y, z) in found}

    def wait_until(self, condition: Any, what: str) -> None:
        """Polled, since a canvas tells nobody that it was painted."""
        for _ in range(WAIT_MS // 500):
            if condition():
                return
            self.page.wait_for_timeout(500)
        raise AssertionError(
            f"not within {WAIT_MS / 1000:.0f} s: {what}; on the page: {self.text()}"
        )

    def _note_answer(self, status: int, url: str) -> None:
        if status >= 400:
            self.refused.append(f"{status} {url}")

    def _note_request(self, url: str, home: str) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("blob", "data") and parts.netloc != home:
            self.foreign.append(url)

    def _note_message(self, text: str) -> None:
        # What the policy stops never becomes a request.
        if "Content Security Policy" in text:
            self.foreign.append(text)


@contextmanager
def browser(executable: Path) -> Iterator[BrowserContext]:
    """One browser whose tabs share a cache, since OHIF's script has 17 MB."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield chromium.new_context(viewport={"width": 1600, "height": 950})
        finally:
            chromium.close()

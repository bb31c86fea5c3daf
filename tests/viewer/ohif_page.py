"""OHIF in a headless browser: what is written, what is painted, and what went wrong meanwhile."""

import base64
import itertools
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from PIL import Image
from playwright.sync_api import BrowserContext, Page, sync_playwright

WAIT_MS = 120_000
COLOURED = 25
"""Between a pixel's highest and lowest channel."""
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
PICTURE = """
() => {
  const shown = [...document.querySelectorAll('canvas')].find((canvas) => canvas.width >= 300);
  if (!shown) return '';
  const copy = document.createElement('canvas');
  [copy.width, copy.height] = [shown.width, shown.height];
  copy.getContext('2d').drawImage(shown, 0, 0);
  return copy.toDataURL('image/png').split(',')[1];
}
"""
SHOWN = re.compile(r"I:(\d+) \((\d+)/(\d+)\)")

SEGMENTS = """
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
  return Object.entries(sums).map(([label, [x, y, z, n]]) => [Number(label), x / n, y / n, z / n, n]);
}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HeldSegment:
    """One segment as OHIF keeps it."""

    centroid_mm: tuple[float, float, float]
    """In patient space."""
    voxels: int


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

    def scroll(self) -> None:
        """To the next image, by the mouse wheel."""
        number = self.shown_instance_number()
        self.page.locator("canvas.cornerstone-canvas").first.hover()
        self.page.mouse.wheel(0, 100)
        self.wait_until(lambda: self.shown_instance_number() != number, "the next image")

    def text(self) -> str:
        """All that is written."""
        return str(self.page.evaluate("document.body.innerText"))

    def shown_instance_number(self) -> int:
        """InstanceNumber of the image in the viewport; 0 while none is shown."""
        found = SHOWN.search(self.text())
        return int(found[1]) if found else 0

    def picture(self) -> npt.NDArray[np.uint8]:
        """The viewport as [row, column, channel], without the texts over it; of no size while there is none."""
        png = str(self.page.evaluate(PICTURE))
        if not png:
            return np.zeros((0, 0, 3), np.uint8)
        return np.asarray(Image.open(BytesIO(base64.b64decode(png))).convert("RGB"))

    def coloured_pixels(self) -> int:
        """How many of the viewport's pixels are not grey."""
        picture = self.picture().astype(int)
        return int((np.ptp(picture, axis=2) > COLOURED).sum())

    def segments(self) -> dict[int, HeldSegment]:
        """By number: what OHIF itself holds of them, placed by its own geometry."""
        return {
            int(number): HeldSegment(centroid_mm=(x, y, z), voxels=int(voxels))
            for number, x, y, z, voxels in self.page.evaluate(SEGMENTS)
        }

    def listed_name(self, patient_id: str) -> str:
        """The patient's name in the row of the study list with that identifier."""
        row = self.page.locator("tr").filter(has=self.page.get_by_text(patient_id, exact=True))
        row.last.wait_for(timeout=WAIT_MS)
        return str(row.last.inner_text()).strip().splitlines()[0].strip()

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
def browser(executable: Path, **context: Any) -> Iterator[BrowserContext]:
    """One browser whose tabs share a cache, since OHIF's script has 17 MB; `context` as playwright's new_context takes it."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=executable, args=ARGUMENTS)
        try:
            yield chromium.new_context(viewport={"width": 1600, "height": 950}, **context)
        finally:
            chromium.close()

"""The picture page as OHIF paints it, beside the object at the PACS."""

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

pytest.importorskip("playwright", reason="needs playwright: make test-ohif brings it")

from tests.viewer.conftest import NEEDS_OHIF, TAKES_MINUTES
from tests.viewer.kept_demo import KeptDemo
from tests.viewer.ohif_page import OhifPage

pytestmark = [NEEDS_OHIF, TAKES_MINUTES]
BRIGHT = 180
"""The lowest channel of a pixel of white text."""
HUE_STEPS = 24
SHARE_OF_A_HUE = 0.0005
"""Of all pixels: less than that may be the seam between two colours; intermuscular fat has 0.0006."""
MOST_APART = 5.0
"""Grey levels, on average over the page: what two ways of sampling it may differ by (3.97 seen; a shift by one pixel makes 10)."""

Picture = npt.NDArray[np.uint8]


def fitted(page: Picture, viewport: tuple[int, int]) -> Picture:
    """The page as large as the viewport's rows and columns allow, sampled as WebGL samples: without smoothing."""
    scale = min(viewport[0] / page.shape[0], viewport[1] / page.shape[1])
    size = (round(page.shape[1] * scale), round(page.shape[0] * scale))
    back = (1 / scale, 0.0, 0.0, 0.0, 1 / scale, 0.0)
    picture = Image.fromarray(page)
    sampling = Image.Resampling.BILINEAR
    return np.asarray(picture.transform(size, Image.Transform.AFFINE, back, sampling))


def middle(picture: Picture, shape: tuple[int, int]) -> Picture:
    """Of that many rows and columns."""
    top, left = ((have - want) // 2 for have, want in zip(picture.shape, shape, strict=False))
    return picture[top : top + shape[0], left : left + shape[1]]


def apart(painted: Picture, page: Picture) -> float:
    """Mean difference in grey levels; 255 while nothing is painted."""
    if not painted.any():
        return 255.0
    wanted = fitted(page, painted.shape[:2])
    return float(np.abs(middle(painted, wanted.shape[:2]).astype(int) - wanted).mean())


def bright_share(picture: Picture) -> float:
    return float((picture.min(axis=2) > BRIGHT).mean())


def hues(picture: Picture, least: float) -> set[int]:
    """Steps of the colour circle that more than this share of all pixels is painted in."""
    hsv = np.asarray(Image.fromarray(picture).convert("HSV")).astype(int)
    vivid = (hsv[..., 1] > 100) & (hsv[..., 2] > 100)
    counts = np.bincount(hsv[..., 0][vivid] * HUE_STEPS // 256, minlength=HUE_STEPS)
    return {int(hue) for hue in np.flatnonzero(counts > least * vivid.size)}


def test_the_link_shows_the_picture_page_with_its_text_and_colours(
    demo: KeptDemo, ohif: OhifPage
) -> None:
    link = demo.link("OT", "picture page")
    page = demo.object_behind(link).pixel_array

    ohif.open(link)
    ohif.wait_until(lambda: apart(ohif.picture(), page) < MOST_APART, "the page as it was drawn")
    painted = ohif.picture()
    wanted = fitted(page, painted.shape[:2])
    found = middle(painted, wanted.shape[:2])

    assert bright_share(found) > 0.01
    assert bright_share(found) == pytest.approx(bright_share(wanted), rel=0.2)
    assert len(hues(wanted, SHARE_OF_A_HUE)) >= 6
    assert hues(wanted, SHARE_OF_A_HUE) <= hues(found, SHARE_OF_A_HUE / 2)

"""Where OHIF itself holds each segment: its own voxels and geometry against the truth, for CTs of odd geometry.

Two of the twelve geometries of tests/conformance, in CI time; `make ohif-geometries` tries all.
"""

from pathlib import Path

import pytest

pytest.importorskip("playwright", reason="needs playwright: make test-ohif brings it")

from tests.conformance.geometry_cases import Geometry, load_geometries
from tests.viewer.conftest import NEEDS_OHIF, TAKES_MINUTES
from tests.viewer.held_by_ohif import errors, held, store
from tests.viewer.kept_demo import KeptDemo
from tests.viewer.ohif_page import OhifPage
from tests.viewer.painted_image import ct_images, wait_for_the_numbered_image

pytestmark = [NEEDS_OHIF, TAKES_MINUTES]
NAMES = ("feet-first-prone", "oblique")
GEOMETRIES = [geometry for geometry in load_geometries() if geometry.name in NAMES]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: geometry.name)
def test_every_organ_is_where_it_is_in_the_patient(
    geometry: Geometry, demo: KeptDemo, ohif: OhifPage, tmp_path: Path
) -> None:
    stored = store(geometry, demo, tmp_path)

    found = held(stored, demo, ohif)

    assert len(stored.voxels) == 14
    assert errors(found, stored) == []

    images = ct_images(tmp_path / "ct")
    ohif.scroll()
    wait_for_the_numbered_image(ohif, images)

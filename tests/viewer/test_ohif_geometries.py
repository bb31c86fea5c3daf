"""Where OHIF itself holds each segment: its own voxels and geometry against the truth, for CTs of odd geometry.

One of the twelve geometries of tests/conformance, in CI time; the environment variable OHIF_GEOMETRIES names others.
"""

import os
from pathlib import Path

import numpy as np
import pytest
from pydicom import dcmread

pytest.importorskip("playwright", reason="needs playwright: make test-ohif brings it")

from inference.domain.labelmap import TISSUES, Structure
from inference.domain.seg_encoding import SegEncoding
from tests.conformance.comparison import centroid_errors
from tests.conformance.geometry_cases import Geometry, load_geometries, write_case
from tests.conformance.truth_analysis import true_analysis, write_objects
from tests.synthetic_series import chosen_series
from tests.viewer.conftest import NEEDS_OHIF, TAKES_MINUTES
from tests.viewer.kept_demo import KeptDemo
from tests.viewer.ohif_page import OhifPage
from viewer.links import deep_link

pytestmark = [NEEDS_OHIF, TAKES_MINUTES]
NAMES = os.environ.get("OHIF_GEOMETRIES", "feet-first-prone").split()
GEOMETRIES = [geometry for geometry in load_geometries() if geometry.name in NAMES]


@pytest.mark.parametrize("geometry", GEOMETRIES, ids=lambda geometry: geometry.name)
def test_every_organ_is_where_it_is_in_the_patient(
    geometry: Geometry, demo: KeptDemo, ohif: OhifPage, tmp_path: Path
) -> None:
    seed = 500 + GEOMETRIES.index(geometry)
    truth = write_case(geometry, tmp_path / "ct", seed=seed)
    series = chosen_series(tmp_path / "ct")
    analysis = true_analysis(series, truth)
    files = write_objects(series, analysis, tmp_path / "results", (SegEncoding.BINARY,))
    organs = dcmread(next(path for role, path in files.items() if "organs" in role))
    for path in [*(tmp_path / "ct").iterdir(), *files.values()]:
        if path.suffix == ".dcm":
            demo.give(path)

    ohif.open(deep_link(demo.ohif, organs.StudyInstanceUID, organs.SeriesInstanceUID))
    numbers = {int(s.SegmentNumber): Structure(s.TrackingID) for s in organs.SegmentSequence}
    ohif.wait_for_text(str(organs.SegmentSequence[-1].SegmentLabel))
    wanted = {s: point for s, point in truth.centroids_mm.items() if s not in TISSUES}
    ohif.wait_until(lambda: len(ohif.centroids_mm()) == len(wanted), f"{len(wanted)} segments")
    found = {numbers[n]: np.asarray(point) for n, point in ohif.centroids_mm().items()}

    assert centroid_errors(found, wanted, geometry.half_voxel_mm) == []

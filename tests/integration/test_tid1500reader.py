"""dcmqi's tid1500reader, made by others, gives the numbers of our structured report."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from inference.dicom import codes
from inference.dicom.read_series import load_series
from inference.dicom.sr_groups import cut_off_tracking_id
from inference.dicom.write_seg import build_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.labelmap import FLARE22_ORGANS, TISSUES
from inference.domain.measurement import Quantity
from inference.domain.report_options import ReportOptions, SrTitle
from tests.synthetic_series import result_identity, save_all, small_datasets, small_labels
from tests.unit.inference.dicom.full_report import full_report

pytestmark = pytest.mark.validators


@pytest.fixture(scope="module", params=list(SrTitle))
def read(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    """What the reader says, for either title."""
    reader = shutil.which("tid1500reader", path=str(Path(sys.executable).parent))
    if reader is None:
        pytest.skip("tid1500reader is not installed (pip install dcmqi)")
    folder = tmp_path_factory.mktemp("sr")
    series = load_series(save_all(small_datasets(), folder / "ct"))
    grid = (series.volume.affine_lps, series.volume.shape)
    segmentations = [
        build_seg(small_labels(*grid, structures), series, result_identity(name))
        for name, structures in (("tissues", TISSUES), ("organs", FLARE22_ORGANS))
    ]
    options = ReportOptions(title=request.param)
    identity = result_identity("sr")
    (folder / "sr.dcm").write_bytes(
        encode_sr(full_report(), series, segmentations, identity, options)
    )
    run = subprocess.run(
        [reader, "--inputDICOM", folder / "sr.dcm", "--outputMetadata", folder / "sr.json"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    said: dict[str, Any] = json.loads((folder / "sr.json").read_text())
    return said


def numbers(read: dict[str, Any]) -> Counter[tuple[str, str, str, str]]:
    """Group, concept, unit and value rounded as it is shown."""
    return Counter(
        (
            group["TrackingIdentifier"],
            item["quantity"]["CodeValue"],
            item["units"]["CodeValue"],
            f"{float(item['value']):.6g}",
        )
        for group in read["Measurements"]
        for item in group["measurementItems"]
    )


def test_it_finds_every_number_of_tissues_organs_and_cut_offs(read: dict[str, Any]) -> None:
    report = full_report()
    expected = [
        (item.structure.value if item.structure else "body", item.quantity, item.unit, item.value)
        for item in report.body_composition
    ]
    expected += [
        (cut_off_tracking_id(row), row.quantity, row.unit, row.value) for row in report.cut_offs
    ]
    named = Counter(
        (group, codes.QUANTITY_CODES[quantity].value, unit.value, f"{value:.6g}")
        for group, quantity, unit, value in expected
    )
    volume = codes.QUANTITY_CODES[Quantity.VOLUME].value
    named += Counter(
        (organ.structure.value, volume, "ml", f"{organ.volume_ml:.6g}") for organ in report.organs
    )

    assert named - numbers(read) == Counter()
    assert len(named) > 60


def test_it_finds_the_segment_of_every_structure(read: dict[str, Any]) -> None:
    segments = {
        group["TrackingIdentifier"]: group["ReferencedSegment"]
        for group in read["Measurements"]
        if "ReferencedSegment" in group
    }

    assert set(segments) == {s.value for s in (*TISSUES, *FLARE22_ORGANS)}
    assert segments["kidney_right"] != segments["kidney_left"]


def test_it_sees_a_device_and_a_document_nobody_verified(read: dict[str, Any]) -> None:
    assert read["observerContext"]["ObserverType"] == "DEVICE"
    assert (read["CompletionFlag"], read["VerificationFlag"]) == ("COMPLETE", "UNVERIFIED")

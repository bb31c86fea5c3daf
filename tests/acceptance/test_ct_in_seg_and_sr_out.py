"""The main job with nothing replaced: a CT by C-STORE into a real Orthanc, the shipped models, SEG and SR at a receiver."""

import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from pydicom import Dataset, dcmread

from inference.dicom.read_sr import measurements_from_sr
from inference.domain.labelmap import Structure
from inference.engine.model_store import SHIPPED_MODELS
from tests.dicom_peers import receiver, send
from tests.orthanc_process import OrthancProcess, orthanc, private_network, why_not
from training.synthetic.demo_series import SeriesTruth, write_demo_series

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

SETTINGS = """
data_folder = "node"
[orthanc]
url = "http://127.0.0.1:{{http_port}}"
[intake]
quiet_s = 0.6
poll_s = 0.2
[engine]
models_folder = "{models}"
profile = "{profile}"
job_wall_clock_s = {{job_wall_clock_s}}
[outbox]
poll_s = 0.1
first_retry_s = 0.3
[[destinations]]
name = "pacs"
"""
JOB_LIMIT_S = 240.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """What came of one series."""

    truth: SeriesTruth
    job: dict[str, Any]
    report: dict[str, Any] | None
    received: tuple[Dataset, ...]
    sent_uids: frozenset[str]


def travel(folder: Path, *, profile: str, field: str, pixels: int, slice_mm: float) -> Journey:
    """Send a synthetic series to a fresh node and wait for the end of its job."""
    pixel_mm = 410.0 / pixels
    truth = write_demo_series(
        folder / "ct",
        seed=11,
        field=field,
        shape_rc=(pixels, pixels),
        spacing_mm=(slice_mm, pixel_mm, pixel_mm),
    )
    images = [dcmread(path) for path in sorted((folder / "ct").iterdir())]
    settings = SETTINGS.format(models=SHIPPED_MODELS, profile=profile)
    with (
        private_network(),
        orthanc(folder / "node", job_wall_clock_s=JOB_LIMIT_S, settings=settings) as node,
        receiver() as pacs,
    ):
        assert set(send(images)) == {0}
        job = wait_for_end(node)
        report = node.get(f"/habitus/report/{job['key']}") if job["state"] == "done" else None
    return Journey(
        truth=truth,
        job=job,
        report=report,
        received=tuple(pacs.received),
        sent_uids=frozenset(str(image.SOPInstanceUID) for image in images),
    )


def wait_for_end(node: OrthancProcess) -> dict[str, Any]:
    """The only job, once it has ended."""
    from tests.orthanc_process import wait_for

    ended = ("done", "rejected", "dead")
    wait_for(
        lambda: bool(node.jobs()) and node.jobs()[0]["state"] in ended,
        JOB_LIMIT_S,
        lambda: f"an ended job: {node.jobs()}\n{node.log_path.read_text()[-1500:]}",
    )
    return node.jobs()[0]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """The profile for tests: 128 × 128, 40 slices."""
    folder = tmp_path_factory.mktemp("small")
    return travel(folder, profile="l3-small", field="l3", pixels=128, slice_mm=5.0)


@pytest.fixture(scope="module")
def abdomen(tmp_path_factory: pytest.TempPathFactory) -> Journey:
    """Tissues and organs."""
    folder = tmp_path_factory.mktemp("abdomen")
    return travel(folder, profile="abdomen", field="abdomen", pixels=192, slice_mm=5.0)


def test_the_pacs_gets_one_seg_one_sr_and_the_picture_page(small: Journey) -> None:
    assert small.job["state"] == "done", small.job
    assert sorted(str(ds.Modality) for ds in small.received) == ["OT", "SEG", "SR"]


def test_every_delivery_was_confirmed_by_the_pacs(small: Journey) -> None:
    assert {d["state"] for d in small.job["deliveries"]} == {"confirmed"}


def test_level_and_areas_are_near_the_truth(small: Journey) -> None:
    assert small.report is not None
    assert small.truth.l3_z_mm is not None
    areas = {
        m["structure"]: m["value"]
        for m in small.report["body_composition"]
        if m["quantity"] == "area"
    }

    assert abs(small.report["level"]["z_mm"] - small.truth.l3_z_mm) <= 10
    for structure in (
        Structure.SUBCUTANEOUS_FAT,
        Structure.VISCERAL_FAT,
        Structure.SKELETAL_MUSCLE,
    ):
        assert areas[structure.value] == pytest.approx(small.truth.area_cm2[structure], rel=0.15)


def test_the_sr_carries_the_reports_numbers(small: Journey) -> None:
    assert small.report is not None
    (sr,) = [ds for ds in small.received if ds.Modality == "SR"]
    in_sr = [number.value for number in measurements_from_sr(sr)]

    for m in small.report["body_composition"]:
        assert any(value == pytest.approx(m["value"], rel=1e-4, abs=1e-6) for value in in_sr), m


def test_results_refer_to_the_sent_images(small: Journey) -> None:
    (seg,) = [ds for ds in small.received if ds.Modality == "SEG"]

    referenced = {
        str(item.ReferencedSOPInstanceUID)
        for item in seg.ReferencedSeriesSequence[0].ReferencedInstanceSequence
    }

    assert referenced <= small.sent_uids
    assert referenced


def test_organs_come_as_a_second_seg(abdomen: Journey) -> None:
    assert abdomen.job["state"] == "done", abdomen.job
    assert sorted(str(ds.Modality) for ds in abdomen.received) == ["OT", "SEG", "SEG", "SR"]
    assert abdomen.report is not None
    found = {organ["structure"]: organ["volume_ml"] for organ in abdomen.report["organs"]}
    for structure in (Structure.LIVER, Structure.KIDNEY_LEFT, Structure.KIDNEY_RIGHT):
        assert found[structure.value] == pytest.approx(abdomen.truth.organ_ml[structure], rel=0.25)


@pytest.mark.validators
def test_what_arrived_is_valid_dicom(abdomen: Journey, tmp_path: Path) -> None:
    if shutil.which("dciodvfy") is None or shutil.which("dsrdump") is None:
        pytest.skip("needs dciodvfy (dicom3tools) and dsrdump (dcmtk)")
    for number, ds in enumerate(abdomen.received):
        path = tmp_path / f"{number}.dcm"
        ds.save_as(path, enforce_file_format=True)
        checked = subprocess.run(
            ["dciodvfy", "-new", str(path)], capture_output=True, text=True, check=False
        )
        assert [line for line in checked.stderr.splitlines() if line.startswith("Error")] == []
        if ds.Modality == "SR":
            dumped = subprocess.run(
                ["dsrdump", str(path)], capture_output=True, text=True, check=False
            )
            assert "Habitus" in dumped.stdout
            assert [line for line in dumped.stderr.splitlines() if line.startswith("E:")] == []


def test_a_chest_is_rejected_with_its_reason_and_nothing_is_sent(tmp_path: Path) -> None:
    journey = travel(tmp_path, profile="l3-small", field="chest", pixels=128, slice_mm=5.0)

    assert (journey.job["state"], journey.job["reason"]) == ("rejected", "no-l3")
    assert journey.received == ()

"""What we write passes validators that others wrote: dciodvfy (dicom3tools) and dsrdump (DCMTK)."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.dicom.read_series import load_series
from inference.dicom.write_page import build_page
from inference.dicom.write_seg import build_seg
from inference.dicom.write_sr import build_sr
from inference.domain.labelmap import FLARE22_ORGANS, LISTED, TISSUES, LabelMap, Structure
from inference.stages.measure import measure_organs
from tests.named_series import DECODABLE, UNDECODABLE, results, series_named
from tests.synthetic_series import (
    enhanced_dataset,
    result_identity,
    save_all,
    small_datasets,
    small_labels,
    small_volume,
)
from tests.unit.inference.dicom.full_report import full_report
from training.synthetic.series import SeriesHeader, SliceOrder, write_series

pytestmark = pytest.mark.validators


def validator(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed (apt install dicom3tools dcmtk)")
    return path


def dciodvfy_errors(path: Path) -> list[str]:
    """Its exit status says nothing; only lines that begin with Error count."""
    run = subprocess.run(
        [validator("dciodvfy"), "-new", str(path)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert run.stderr
    return [line for line in run.stderr.splitlines() if line.startswith("Error")]


def dsrdump_errors(path: Path) -> list[str]:
    run = subprocess.run(
        [validator("dsrdump"), str(path)],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    assert "Comprehensive 3D SR" in run.stdout
    return [line for line in run.stderr.splitlines() if line.startswith(("E:", "F:"))]


@pytest.mark.parametrize("order", ["ascending", "descending", "shuffled"])
def test_synthetic_ct_is_valid(order: SliceOrder, tmp_path: Path) -> None:
    header = SeriesHeader(order=order, slice_thickness_mm=5.0, contrast_agent="Iohexol")

    paths = write_series(small_volume(spacing_mm=(1.25, 0.7031250001, 2 / 3)), header, tmp_path)

    assert [error for path in paths for error in dciodvfy_errors(path)] == []


def test_synthetic_ct_of_an_unknown_patient_is_valid(tmp_path: Path) -> None:
    header = SeriesHeader(sex="", age_years=None, height_m=None, weight_kg=None)

    paths = write_series(small_volume(), header, tmp_path)

    assert dciodvfy_errors(paths[0]) == []


@pytest.mark.parametrize("structures", [FLARE22_ORGANS, TISSUES, tuple(Structure)[13:14]])
def test_a_segmentation_is_valid(structures: tuple[Structure, ...], tmp_path: Path) -> None:
    series = load_series(save_all(small_datasets(), tmp_path / "ct"))
    labels = small_labels(series.volume.affine_lps, series.volume.shape, structures)

    build_seg(labels, series, result_identity()).save_as(tmp_path / "seg.dcm")

    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


def test_segments_and_a_report_of_what_networks_of_others_label_are_valid(tmp_path: Path) -> None:
    series = load_series(save_all(small_datasets(), tmp_path / "ct"))
    labels = np.zeros(series.volume.shape, np.uint8)
    labels[4, 2:5, 4:44].flat[: len(LISTED)] = np.arange(1, len(LISTED) + 1)
    organs = LabelMap(
        labels=labels,
        affine_lps=series.volume.affine_lps,
        structures=dict(enumerate(LISTED, start=1)),
    )
    report = replace(
        full_report(), body_composition=(), organs=measure_organs(series.volume, organs)
    )
    segmentation = build_seg(organs, series, result_identity())
    assert len(segmentation.SegmentSequence) == len(report.organs) == len(LISTED)
    segmentation.save_as(tmp_path / "seg.dcm")

    build_sr(report, series, [segmentation], result_identity("sr")).save_as(tmp_path / "sr.dcm")

    for name in ("seg.dcm", "sr.dcm"):
        assert dciodvfy_errors(tmp_path / name) == []
    assert dsrdump_errors(tmp_path / "sr.dcm") == []


def test_a_segmentation_of_one_slice_is_valid(tmp_path: Path) -> None:
    series = load_series(save_all(small_datasets(), tmp_path / "ct"))
    labels = small_labels(series.volume.affine_lps, series.volume.shape, TISSUES)
    labels.labels[:5] = 0
    labels.labels[6:] = 0

    build_seg(labels, series, result_identity()).save_as(tmp_path / "seg.dcm")

    assert dciodvfy_errors(tmp_path / "seg.dcm") == []


def test_a_full_report_is_valid_and_readable(tmp_path: Path) -> None:
    series = load_series(save_all(small_datasets(), tmp_path / "ct"))
    grid = (series.volume.affine_lps, series.volume.shape)
    segmentations = [
        build_seg(small_labels(*grid, structures), series, result_identity(name))
        for name, structures in (("tissues", TISSUES), ("organs", FLARE22_ORGANS))
    ]

    document = build_sr(full_report(), series, segmentations, result_identity("sr"))
    document.save_as(tmp_path / "sr.dcm")

    assert dciodvfy_errors(tmp_path / "sr.dcm") == []
    assert dsrdump_errors(tmp_path / "sr.dcm") == []


def test_results_that_refer_to_frames_are_valid(tmp_path: Path) -> None:
    series = load_series(save_all([enhanced_dataset(small_datasets())], tmp_path / "ct"))
    labels = small_labels(series.volume.affine_lps, series.volume.shape, TISSUES)
    segmentation = build_seg(labels, series, result_identity())
    segmentation.save_as(tmp_path / "seg.dcm")

    document = build_sr(full_report(), series, [segmentation], result_identity("sr"))
    document.save_as(tmp_path / "sr.dcm")

    assert dciodvfy_errors(tmp_path / "seg.dcm") == []
    assert dciodvfy_errors(tmp_path / "sr.dcm") == []


def test_a_picture_page_is_valid(tmp_path: Path) -> None:
    series = load_series(save_all(small_datasets(), tmp_path / "ct"))
    picture = np.full((60, 80, 3), 90, np.uint8)

    build_page(picture, series, 5, result_identity("page")).save_as(tmp_path / "page.dcm")

    assert dciodvfy_errors(tmp_path / "page.dcm") == []


def test_results_of_a_damaged_study_header_are_still_valid(tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.PatientSex = "U"
        dataset.add_new("StudyDate", "LO", "10.01.2024")
        dataset.add_new("PatientAge", "LO", "old")
        dataset.StudyDescription = "한글 설명"
        dataset.SpecificCharacterSet = "ISO_IR 192"
    series = load_series(save_all(datasets, tmp_path / "ct"))
    labels: LabelMap = small_labels(series.volume.affine_lps, series.volume.shape, TISSUES)
    segmentation = build_seg(labels, series, result_identity())
    segmentation.save_as(tmp_path / "seg.dcm")

    document = build_sr(full_report(), series, [segmentation], result_identity("sr"))
    document.save_as(tmp_path / "sr.dcm")

    assert dciodvfy_errors(tmp_path / "seg.dcm") == []
    assert dciodvfy_errors(tmp_path / "sr.dcm") == []
    assert dsrdump_errors(tmp_path / "sr.dcm") == []


def dcmdump_errors(path: Path, *convert: str) -> list[str]:
    """DCMTK's reader over every element, asked to convert the texts as well."""
    run = subprocess.run(
        [validator("dcmdump"), "-q", *convert, str(path)], capture_output=True, check=False
    )
    lines = run.stderr.decode(errors="replace").splitlines()
    return lines or ([] if run.returncode == 0 else [f"dcmdump ended with {run.returncode}"])


@pytest.mark.parametrize("case", DECODABLE)
def test_results_with_names_of_every_script_are_valid(case: str, tmp_path: Path) -> None:
    characters, name, _ = DECODABLE[case]
    series = series_named(characters, name, tmp_path / "ct")

    for kind, encoded in results(series).items():
        (tmp_path / kind).write_bytes(encoded)
        assert dciodvfy_errors(tmp_path / kind) == [], kind
        assert dcmdump_errors(tmp_path / kind, "--convert-to-utf8") == [], kind
    assert dsrdump_errors(tmp_path / "sr") == []


@pytest.mark.parametrize("case", UNDECODABLE)
def test_results_with_names_kept_byte_for_byte_have_no_error_that_their_ct_has_not(
    case: str, tmp_path: Path
) -> None:
    characters, name = UNDECODABLE[case]
    series = series_named(characters, name, tmp_path / "ct")
    of_the_ct = dciodvfy_errors(min((tmp_path / "ct").iterdir()))

    for kind, encoded in results(series).items():
        (tmp_path / kind).write_bytes(encoded)
        assert set(dciodvfy_errors(tmp_path / kind)) <= set(of_the_ct), kind
        assert dcmdump_errors(tmp_path / kind) == [], kind
    assert all("invalid for character repertoire" in error for error in of_the_ct)
    assert dsrdump_errors(tmp_path / "sr") == []

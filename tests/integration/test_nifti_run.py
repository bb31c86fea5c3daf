"""`habitus run` on a NIfTI file gives the numbers that the same CT gives as DICOM."""

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

import habitus
from inference.dicom.ct_series import CtSeries
from inference.dicom.read_series import load_series
from inference.domain.analysis_profile import LossyPolicy
from training.nifti import write_nifti
from training.synthetic.demo_series import write_demo_series


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One CT as DICOM, and as NIfTI in the other index order."""
    folder = tmp_path_factory.mktemp("ct")
    write_demo_series(
        folder / "dicom", seed=11, field="l3", shape_rc=(128, 128), spacing_mm=(5.0, 3.2, 3.2)
    )
    series = read(folder)
    write_nifti(series.volume.hu, series.volume.affine_lps, folder / "ct.nii.gz")
    return folder


def read(folder: Path) -> CtSeries:
    return load_series(sorted((folder / "dicom").glob("*.dcm")), LossyPolicy.FLAG)


def run(source: Path, out: Path, *more: str) -> int:
    return habitus.main(["run", str(source), "--out", str(out), "--profile", "l3-small", *more])


def test_a_nifti_file_gives_the_numbers_of_its_dicom_series(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    reports = []
    for name in ("dicom", "ct.nii.gz"):
        assert run(folder / name, tmp_path / name, "--json") == 0
        reports.append(json.loads(capsys.readouterr().out))

    of_dicom, of_nifti = reports
    out = tmp_path / "ct.nii.gz"
    assert {path.name for path in out.iterdir()} == {"tissues.nii.gz", "labels.json", "report.json"}
    # NIfTI holds places in 32 bits.
    assert of_nifti["level"]["slice_index"] == of_dicom["level"]["slice_index"]
    assert of_nifti["level"]["z_mm"] == pytest.approx(of_dicom["level"]["z_mm"], abs=1e-3)
    # Indices need the patient's height, which NIfTI does not hold.
    measured = {(m["structure"], m["quantity"]): m["value"] for m in of_dicom["body_composition"]}
    assert of_nifti["body_composition"]
    for row in of_nifti["body_composition"]:
        stated = measured[row["structure"], row["quantity"]]
        assert row["value"] == pytest.approx(stated, rel=1e-4)
    assert any("NIfTI" in flag for flag in of_nifti["flags"])
    assert of_nifti["cut_offs"] == []


def test_the_label_map_lies_on_the_file_and_its_area_is_the_reported_one(
    folder: Path, tmp_path: Path
) -> None:
    assert run(folder / "ct.nii.gz", tmp_path / "out") == 0

    image = nibabel.load(folder / "ct.nii.gz")
    labels = nibabel.load(tmp_path / "out" / "tissues.nii.gz")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    names = json.loads((tmp_path / "out" / "labels.json").read_text())["tissues.nii.gz"]
    assert (labels.affine == image.affine).all()
    muscle = next(int(number) for number, name in names.items() if name == "skeletal_muscle")
    areas = (np.asarray(labels.dataobj) == muscle).sum(axis=(0, 1)) * 3.2**2 / 100
    stated = next(
        row["value"]
        for row in report["body_composition"]
        if row["structure"] == "skeletal_muscle" and row["quantity"] == "area"
    )
    assert np.abs(areas - stated).min() < 0.2


def test_a_dicom_series_gives_the_same_label_map_where_it_is_asked_for(
    folder: Path, tmp_path: Path
) -> None:
    assert run(folder / "dicom", tmp_path / "dicom", "--nifti") == 0
    assert run(folder / "ct.nii.gz", tmp_path / "nifti") == 0

    maps = [nibabel.load(tmp_path / name / "tissues.nii.gz") for name in ("dicom", "nifti")]
    assert np.allclose(maps[0].affine, maps[1].affine, atol=1e-3)
    assert (np.asarray(maps[0].dataobj) == np.asarray(maps[1].dataobj)).all()
    names = [(tmp_path / name / "labels.json").read_text() for name in ("dicom", "nifti")]
    assert names[0] == names[1]
    assert run(folder / "dicom", tmp_path / "dicom") == 0
    assert not (tmp_path / "dicom" / "tissues.nii.gz").exists()


def test_l3_by_hand_and_values_that_are_no_hounsfield_units_are_refused(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = read(folder).volume
    shifted = tmp_path / "shifted.nii.gz"
    write_nifti((volume.hu + 1024).astype(np.int16), volume.affine_lps, shifted)

    assert run(folder / "ct.nii.gz", tmp_path / "out", "--l3-slice", "3") == 2
    assert run(shifted, tmp_path / "out") == 4

    assert "Hounsfield units" in capsys.readouterr().err
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())

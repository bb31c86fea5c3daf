"""A network whose labels are TotalSegmentator's is imported, and `habitus run` writes what it labels: segments, numbers, names."""

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (make test-training)")

import highdicom as hd
import nibabel

import habitus
from export_onnx.nnunet import main as import_nnunet
from inference.dicom.codes import STRUCTURE_CODES
from inference.domain.labelmap import Structure
from inference.domain.manifest import load_manifest
from inference.engine.model_store import SHIPPED_MODELS
from tests.training.trained_nnunet import write_trained
from training.synthetic.demo_series import write_demo_series

pytestmark = pytest.mark.torch
RENAMED = {"liver": "colon", "kidney_right": "Vertebrae_l5", "kidney_left": "lung_nodule"}
"""What a really trained network calls its labels here; its spleen stays one."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped networks for L3 beside the imported one."""
    folder = tmp_path_factory.mktemp("imported")
    trained, models = write_trained(folder / "trained"), folder / "models"
    description = json.loads((trained / "dataset.json").read_text())
    labels = description["labels"]
    description["labels"] = {RENAMED.get(name, name): number for name, number in labels.items()}
    (trained / "dataset.json").write_text(json.dumps(description))
    models.mkdir()
    for name in ("l3-level", "l3-tissue"):
        (models / name).symlink_to(SHIPPED_MODELS / name)
    assert import_nnunet([str(trained), "--name", "ours", "--models", str(models)]) == 0
    return models


def test_names_are_found_and_what_nobody_lists_is_said(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = load_manifest(models / "ours")

    assert manifest.output.labels == (
        "background",
        "colon",
        "vertebrae_L5",
        "~lung_nodule",
        "spleen",
    )
    card = (models / "ours" / "README.md").read_text()
    assert "not reported by the node: lung_nodule" in card
    assert "stay whole, as the network labels them" in card


def test_a_run_writes_segments_volumes_and_names_of_what_it_labels(
    models: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "total.toml"
    profile.write_text(
        'description = "bowel and spine of others"\nlevel_model = "l3-level"\ntissue_model = "l3-tissue"\n'
        'organ_model = "ours"\ntables = []\n'
    )
    write_demo_series(
        tmp_path / "ct", seed=11, field="abdomen", shape_rc=(128, 128), spacing_mm=(5.0, 3.2, 3.2)
    )
    asked = ["--profile", str(profile), "--models", str(models), "--nifti", "--json"]
    assert habitus.main(["run", str(tmp_path / "ct"), "--out", str(tmp_path / "out"), *asked]) == 0

    report = json.loads(capsys.readouterr().out)
    volumes = {organ["structure"]: organ["volume_ml"] for organ in report["organs"]}
    assert set(volumes) == {"colon", "vertebrae_L5", "spleen"}
    segmentation = hd.seg.segread(next((tmp_path / "out").glob("*organs*.dcm")))
    read = segmentation.get_volume(combine_segments=True, allow_missing_positions=True)
    voxel_ml = float(np.prod(read.spacing)) / 1000
    for segment in segmentation.SegmentSequence:
        structure = Structure(segment.TrackingID)
        assert segment.segmented_property_type == STRUCTURE_CODES[structure].kind
        found_ml = (read.array == segment.SegmentNumber).sum() * voxel_ml
        assert found_ml == pytest.approx(volumes[structure.value], rel=1e-6)
    # Ours comes first.
    assert [s.SegmentLabel for s in segmentation.SegmentSequence] == [
        "Spleen",
        "Colon",
        "L5 vertebra",
    ]
    names = json.loads((tmp_path / "out" / "labels.json").read_text())["organs.nii.gz"]
    labels = np.asarray(nibabel.load(tmp_path / "out" / "organs.nii.gz").dataobj)
    counted = {name: int((labels == int(number)).sum()) for number, name in names.items()}
    assert {name: count * voxel_ml for name, count in counted.items()} == pytest.approx(volumes)

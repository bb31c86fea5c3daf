"""The node's own way through an nnU-Net gives the labels of nnunetv2's predictor, whatever its plans say."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("nnunetv2", reason="nnU-Net is not installed (make test-training)")

import torch
from scipy import ndimage
from torch import Tensor, nn

from export_onnx.nnunet import AS_NNUNET
from export_onnx.nnunet import main as import_nnunet
from export_onnx.nnunet_recipe import recipe_from
from inference.domain.errors import ConfigurationInvalid
from inference.domain.manifest import load_manifest
from inference.domain.nnunet_recipe import Recipe
from inference.nnunet.labels import labels_of
from tests.training.trained_nnunet import save_fold, write_trained

pytestmark = pytest.mark.torch
LABELS = {"background": 0, "liver": 1, "spleen": 2, "aorta": 3}
DATASET = {
    "labels": LABELS,
    "channel_names": {"0": "CT"},
    "file_ending": ".nii.gz",
    "numTraining": 2,
}
INTENSITY = {
    "max": 300.0,
    "min": -200.0,
    "mean": 40.0,
    "median": 40.0,
    "std": 80.0,
    "percentile_00_5": -150.0,
    "percentile_99_5": 220.0,
}
KWARGS = {"is_seg": False, "order_z": 0, "force_separate_z": None}


class Thresholds(nn.Module):
    """Labels by the blurred intensity: smooth logits, as those of a trained network are, and not the same in mirrored views or at
    another place of the patch."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        kind = nn.Conv2d if dimensions == 2 else nn.Conv3d
        self.blur = kind(1, 1, 3, padding=1, bias=False)
        weight = torch.linspace(0.5, 1.5, 3**dimensions)
        self.blur.weight.data = (weight / weight.sum()).reshape(1, 1, *[3] * dimensions)
        self.centres = nn.Parameter(torch.tensor([-2.0, -0.4, 0.5, 1.6]))

    def forward(self, image: Tensor) -> Tensor:
        shape = (1, -1, *[1] * (image.ndim - 2))
        for axis in range(2, image.ndim):
            size = image.shape[axis]
            ramp = [1] * image.ndim
            ramp[axis] = size
            image = image + torch.linspace(-0.4, 0.4, size).reshape(ramp)
        return -4 * (self.blur(image) - self.centres.reshape(shape)).abs()


def plans(**changes: Any) -> dict[str, Any]:
    """Of nnU-Net's planner, what prediction reads."""
    part = {
        "data_identifier": "x",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [16, 24, 32],
        "median_image_size_in_voxels": [40.0, 50.0, 60.0],
        "spacing": [3.0, 2.0, 2.0],
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": KWARGS | {"order": 3},
        "resampling_fn_seg_kwargs": KWARGS | {"order": 1, "is_seg": True},
        "resampling_fn_probabilities_kwargs": KWARGS | {"order": 1},
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {},
            "_kw_requires_import": [],
        },
        "batch_dice": False,
    }
    transpose = changes.pop("transpose", [0, 1, 2])
    return {
        "dataset_name": "Dataset001_X",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": transpose,
        "transpose_backward": np.argsort(transpose).tolist(),
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": INTENSITY},
        "configurations": {"c": part | changes},
    }


def scan(shape: tuple[int, int, int], seed: int = 0) -> npt.NDArray[np.int16]:
    noise = np.random.default_rng(seed).normal(size=shape)
    blurred = ndimage.gaussian_filter(noise, [max(1, size / 14) for size in shape])
    return (40 + 100 * blurred / blurred.std()).astype(np.int16)


def of_nnunet(
    voxels: npt.NDArray[np.int16],
    spacing_mm: tuple[float, ...],
    of: dict[str, Any],
    axes: tuple[int, ...],
) -> npt.NDArray[np.uint8]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        manager = PlansManager(of)
        configuration = manager.get_configuration("c")
        network = Thresholds(len(configuration.patch_size))
        predictor = nnUNetPredictor(
            use_mirroring=bool(axes),
            device=torch.device("cpu"),
            perform_everything_on_device=False,
            allow_tqdm=False,
        )
        predictor.manual_initialization(
            network, manager, configuration, [network.state_dict()], DATASET, "x", axes or None
        )
        found: npt.NDArray[np.uint8] = predictor.predict_single_npy_array(
            voxels[None].astype(np.float32), {"spacing": list(spacing_mm)}
        )
    return found


def ours(
    voxels: npt.NDArray[np.int16], spacing_mm: tuple[float, float, float], recipe: Recipe
) -> npt.NDArray[np.uint8]:
    network = Thresholds(len(recipe.patch))

    def run(batch: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        with torch.inference_mode():
            logits: npt.NDArray[np.float32] = network(torch.from_numpy(batch)).numpy()
        return logits

    shares: list[float] = []
    found = labels_of(voxels, spacing_mm, recipe, run, shares.append)
    assert shares == sorted(shares)
    assert shares[-1] == 1
    return found


CASES: dict[str, tuple[dict[str, Any], tuple[int, int, int], tuple[float, float, float]]] = {
    "finer scan": ({}, (50, 61, 73), (2.0, 1.1, 1.1)),
    "coarser scan": ({}, (22, 40, 47), (5.0, 3.1, 3.1)),
    "same steps": ({}, (40, 50, 60), (3.0, 2.0, 2.0)),
    "smaller than a patch": ({}, (9, 15, 60), (3.3, 2.2, 2.2)),
    "thick slices": ({}, (14, 61, 73), (8.0, 1.1, 1.1)),
    "thick slices of the network": ({"spacing": [9.0, 2.0, 2.0]}, (40, 61, 73), (3.0, 1.5, 1.5)),
    "columns first": ({"transpose": [2, 0, 1]}, (50, 61, 73), (2.0, 1.1, 1.4)),
    "two dimensions": (
        {"patch_size": [24, 32], "spacing": [2.0, 2.0]},
        (12, 61, 73),
        (5.0, 1.1, 1.1),
    ),
    "z-score": ({"normalization_schemes": ["ZScoreNormalization"]}, (50, 61, 73), (2.0, 1.1, 1.1)),
}


@pytest.mark.parametrize("name", CASES)
def test_labels_are_those_of_nnunet(name: str) -> None:
    changes, shape, spacing_mm = CASES[name]
    of = plans(**changes)
    voxels = scan(shape)

    found = ours(voxels, spacing_mm, recipe_from(of, DATASET, "c", "LPS"))

    wanted = of_nnunet(voxels, spacing_mm, of, ())
    assert len(np.unique(wanted)) == len(LABELS)
    assert found.shape == voxels.shape
    # nnU-Net adds logits up in half precision; what is left lies where two labels are as likely.
    assert (found == wanted).mean() >= 0.9995


def test_zeros_about_a_scan_are_no_part_of_it() -> None:
    of, spacing_mm = plans(), (2.0, 1.1, 1.1)
    voxels = np.zeros((60, 80, 90), np.int16)
    inside = scan((50, 61, 73))
    voxels[4:54, 10:71, 8:81] = np.where(inside == 0, 1, inside)

    found = ours(voxels, spacing_mm, recipe_from(of, DATASET, "c", "LPS"))

    assert (found == of_nnunet(voxels, spacing_mm, of, ())).mean() >= 0.9995


def test_views_are_mirrored_as_nnunet_mirrors_them() -> None:
    of, spacing_mm, voxels = plans(), (2.0, 1.1, 1.1), scan((50, 61, 73))

    mirrored = ours(voxels, spacing_mm, recipe_from(of, DATASET, "c", "LPS", (0, 2)))

    wanted = of_nnunet(voxels, spacing_mm, of, (0, 2))
    assert (mirrored == wanted).mean() >= 0.9995
    plain = ours(voxels, spacing_mm, recipe_from(of, DATASET, "c", "LPS"))
    assert (plain == wanted).mean() < 0.9995


@pytest.mark.parametrize(
    ("changes", "description", "said"),
    [
        ({"previous_stage": "3d_lowres"}, {}, "a cascade"),
        ({"normalization_schemes": ["NoNormalization"]}, {}, "normalised by NoNormalization"),
        ({"resampling_fn_probabilities_kwargs": KWARGS | {"order": 3}}, {}, "of order 3"),
        ({"resampling_fn_data": "resample_torch_fornnunet"}, {}, "resample_torch_fornnunet"),
        ({"use_mask_for_norm": [True]}, {}, "within a mask"),
        ({}, {"labels": {"background": 0, "kidney": [1, 2], "tumour": 2}}, "regions"),
        ({}, {"labels": LABELS | {"ignore": 4}}, "an ignore label"),
        ({}, {"labels": {"background": 0, "liver": 2}}, "not numbered"),
        ({}, {"channel_names": {"0": "CT", "1": "PET"}}, "2 channels"),
    ],
)
def test_plans_that_the_node_cannot_follow_are_refused_by_name(
    changes: dict[str, Any], description: dict[str, Any], said: str
) -> None:
    with pytest.raises(ConfigurationInvalid, match=said):
        recipe_from(plans(**changes), DATASET | description, "c", "LPS")


def test_a_configuration_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigurationInvalid, match=r"'d'.*one of c"):
        recipe_from(plans(), DATASET, "d", "LPS")


def test_a_really_trained_network_of_two_folds_is_imported_and_agrees_organ_by_organ(
    tmp_path: Path,
) -> None:
    trained = write_trained(tmp_path / "trained")

    assert import_nnunet([str(trained), "--name", "ours", "--models", str(tmp_path / "m")]) == 0

    manifest = load_manifest(tmp_path / "m" / "ours")
    assert [s.value for s in manifest.structures().values()] == [
        "liver",
        "kidney_right",
        "kidney_left",
        "spleen",
    ]
    assert manifest.parity.argmax_agreement[AS_NNUNET] >= 0.9995
    card = (tmp_path / "m" / "ours" / "README.md").read_text()
    dice = {row[0]: float(row[1]) for row in re.findall(r"\| (\w+) \| (\d\.\d{5}) \|", card)}
    for organ in ("liver", "kidney_right", "kidney_left", "spleen"):
        assert dice[organ] >= 0.999


def residual_folder(folder: Path) -> Path:
    """A residual encoder with strides that leave thick slices alone at first, random weights, mirrored along every axis."""
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    name = "dynamic_network_architectures.architectures.unet.ResidualEncoderUNet"
    needs = ["conv_op", "norm_op", "dropout_op", "nonlin"]
    kwargs = {
        "n_stages": 3,
        "features_per_stage": [8, 16, 32],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[1, 3, 3], [3, 3, 3], [3, 3, 3]],
        "strides": [[1, 1, 1], [1, 2, 2], [2, 2, 2]],
        "n_blocks_per_stage": [1, 2, 2],
        "n_conv_per_stage_decoder": [1, 1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    architecture = {
        "network_class_name": name,
        "arch_kwargs": kwargs,
        "_kw_requires_import": needs,
    }
    content = plans(patch_size=[16, 64, 64], spacing=[16.0, 5.0, 5.0], architecture=architecture)
    content["configurations"] = {"3d_fullres": content["configurations"]["c"]}
    trained = folder / "nnUNetTrainer__nnUNetResEncUNetMPlans__3d_fullres"
    trained.mkdir(parents=True)
    (trained / "plans.json").write_text(json.dumps(content))
    (trained / "dataset.json").write_text(json.dumps(DATASET))
    torch.manual_seed(0)
    network = get_network_from_plans(name, kwargs, needs, 1, len(LABELS), True, False)
    # Random weights leave half the voxels between two labels, where half precision decides; what is held here is the architecture.
    with torch.no_grad():
        network.decoder.seg_layers[-1].bias.copy_(torch.tensor([0.0, 1.0, -3.0, -3.0]))
    save_fold(network, trained, 0, (0, 1, 2))
    return trained


def test_a_residual_encoder_of_others_is_imported_once_its_orientation_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = residual_folder(tmp_path / "trained")
    asked = [str(trained), "--name", "theirs", "--models", str(tmp_path / "m")]

    assert import_nnunet(asked) == 2
    assert "the orientation of its training images" in capsys.readouterr().err
    assert import_nnunet([*asked, "--orientation", "RAS"]) == 0

    recipe = load_manifest(tmp_path / "m" / "theirs").recipe
    assert recipe is not None
    assert recipe.orientation == "RAS"
    assert recipe.mirror_axes == (0, 1, 2)
    assert recipe.flips == (False, True, True)

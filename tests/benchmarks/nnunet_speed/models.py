"""Folders as nnU-Net leaves them: the small trained one of the tests, and random weights of any width for speed alone."""

import json
from pathlib import Path
from typing import Any

import torch

from tests.training.test_nnunet_agreement import DATASET, plans
from tests.training.trained_nnunet import save_fold, write_trained
from training.nnunet.slim import THEIR_TRAINER

LABELS = 14
WIDTHS = {"1M": (8, 16, 32, 64, 80), "17M": (32, 64, 128, 256, 320)}
"""Features per stage; perf's two networks."""
PATCH = (64, 128, 128)
STEP_MM = 1.5


def write_model(kind: str, folder: Path) -> Path:
    """trained, 1M or 17M."""
    return write_trained(folder) if kind == "trained" else _random(WIDTHS[kind], folder)


def _random(widths: tuple[int, ...], folder: Path) -> Path:
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    stages = len(widths)
    kwargs = {
        "n_stages": stages,
        "features_per_stage": list(widths),
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        "n_conv_per_stage": [2] * stages,
        "n_conv_per_stage_decoder": [2] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    needs = ["conv_op", "norm_op", "dropout_op", "nonlin"]
    name = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
    architecture = {
        "network_class_name": name,
        "arch_kwargs": kwargs,
        "_kw_requires_import": needs,
    }
    content: dict[str, Any] = plans(
        patch_size=list(PATCH), spacing=[STEP_MM] * 3, architecture=architecture
    )
    content["configurations"] = {"3d_fullres": content["configurations"]["c"]}
    labels = {"background": 0, "liver": 1, "spleen": 2, "aorta": 3}
    labels |= {f"other_{n}": n for n in range(len(labels), LABELS)}
    trained = folder / f"{THEIR_TRAINER}__nnUNetPlans__3d_fullres"
    trained.mkdir(parents=True)
    (trained / "plans.json").write_text(json.dumps(content))
    (trained / "dataset.json").write_text(json.dumps(DATASET | {"labels": labels}))
    torch.manual_seed(0)
    network = get_network_from_plans(name, kwargs, needs, 1, LABELS, True, False)
    save_fold(network, trained, 0)
    return trained

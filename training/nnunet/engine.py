"""The child: each step drives nnunetv2 itself. Started by training.nnunet.child, which sets the environment first."""

from __future__ import annotations

import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from training.as_command import exit_status
from training.nnunet.workspace import DATASET_NAME, PLANS, TRAINER, write_json

if TYPE_CHECKING:
    import torch

LOOK_EVERY_S = 1.0
ORPHANED = 9


def plan(order: dict[str, Any]) -> dict[str, Any]:
    """Fingerprint, plans, our replaced networks, preprocessing; gives the parameters of every configuration."""
    from nnunetv2.experiment_planning import plan_and_preprocess_api as api

    from training.nnunet.plans import parameters_of, replaced_plans
    from training.nnunet.settings import Settings
    from training.nnunet.workspace import read_json

    settings = Settings.model_validate(order["settings"])
    number, processes = order["number"], order["processes"]
    # Nothing of nnU-Net's integrity check is left to find: every case was checked before it was converted.
    api.extract_fingerprint_dataset(number, num_processes=processes, verbose=False)
    api.plan_experiment_dataset(
        number,
        gpu_memory_target_in_gb=settings.planning.gpu_memory_gb,
        overwrite_target_spacing=settings.planning.spacing_mm,
    )
    plans_file = Path(order["plans_file"])
    plans = replaced_plans(read_json(plans_file), settings)
    write_json(plans, plans_file)
    api.preprocess_dataset(
        number, PLANS, configurations=settings.planning.configurations, num_processes=[processes]
    )
    labels = len(read_json(plans_file.with_name(DATASET_NAME))["labels"])
    return {
        name: {"parameters": parameters_of(plans, name, labels), "patch_size": part["patch_size"]}
        for name, part in plans["configurations"].items()
        if name in settings.planning.configurations
    }


def train(order: dict[str, Any]) -> dict[str, Any]:
    """One fold, with nnU-Net's own validation after it."""
    from nnunetv2.run.run_training import run_training

    from training.nnunet.trainer import register

    register()
    run_training(
        order["dataset"],
        order["configuration"],
        order["fold"],
        TRAINER,
        order["plans"],
        export_validation_probabilities=order["probabilities"],
        continue_training=order["resume"],
        device=_device(order["device"]),
    )
    return {}


def best(order: dict[str, Any]) -> dict[str, Any]:
    """nnU-Net's choice among configurations and pairs of them, by all validation cases."""
    from nnunetv2.evaluation.find_best_configuration import find_best_configuration

    found = find_best_configuration(
        order["dataset"],
        [
            {"plans": order["plans"], "configuration": name, "trainer": TRAINER}
            for name in order["configurations"]
        ],
        allow_ensembling=order["ensembles"],
        num_processes=order["processes"],
        folds=order["folds"],
    )
    return {"all_results": found["all_results"], "best": found["best_model_or_ensemble"]}


def predict(order: dict[str, Any]) -> dict[str, Any]:
    """Every image by nnU-Net's predictor, one after the other."""
    from training.nnunet.predict import predict_images
    from training.nnunet.trainer import register

    register()
    return {"predicted": predict_images(order, _device(order["device"]))}


def ensemble(order: dict[str, Any]) -> dict[str, Any]:
    """The mean of stored probabilities; built aside, so that no half an ensemble stands there."""
    from nnunetv2.ensembling.ensemble import ensemble_folders

    out = Path(order["out"])
    aside = out.with_name(f".{out.name}.part")
    shutil.rmtree(aside, ignore_errors=True)
    ensemble_folders(order["folders"], str(aside), num_processes=order["processes"])
    aside.rename(out)
    return {"cases": len(list(out.glob("*.nii.gz")))}


def _device(name: str) -> torch.device:
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


STEPS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "plan": plan,
    "train": train,
    "best": best,
    "predict": predict,
    "ensemble": ensemble,
}


def main(arguments: list[str]) -> int:
    """A step, its order as JSON, and the file for its answer."""
    step, order, answer = arguments
    _end_with(os.getppid())

    def command() -> int:
        write_json(STEPS[step](json.loads(order)), Path(answer))
        return 0

    return exit_status(f"training nnunet {step}", command)


def _end_with(parent: int) -> None:
    """A killed command must not leave a training that writes on beside the resumed one."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_S)
        os._exit(ORPHANED)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

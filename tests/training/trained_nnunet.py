"""The small nnU-Net that make papers trained on synthetic CT, two folds, as nnU-Net leaves it; kept here as weights of 16 bits.

Command line: python -m tests.training.trained_nnunet FOLDER writes it; … --from TRAINED takes other weights into tests/trained_nnunet.
"""

import argparse
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from training.nnunet.plans import planned_network
from training.nnunet.predict import FINAL
from training.nnunet.slim import THEIR_TRAINER, read_checkpoint
from training.nnunet.workspace import read_json

KEPT = Path(__file__).parents[1] / "trained_nnunet"
WEIGHTS_NAME = "weights.safetensors"
CONFIGURATION = "3d_fullres"
FOLDS = (0, 1)
TEXTS = ("plans.json", "dataset.json")


def write_trained(folder: Path) -> Path:
    """A folder as nnU-Net's trainer names and fills it, for its own predictor and for the node's import."""
    trained = folder / f"{THEIR_TRAINER}__nnUNetPlans__{CONFIGURATION}"
    trained.mkdir(parents=True)
    for name in TEXTS:
        shutil.copyfile(KEPT / name, trained / name)
    weights = load_file(KEPT / WEIGHTS_NAME)
    plans, labels = read_json(KEPT / TEXTS[0]), read_json(KEPT / TEXTS[1])["labels"]
    for fold in FOLDS:
        network = planned_network(plans, CONFIGURATION, len(labels))
        own = dict(network.named_parameters())
        with torch.no_grad():
            for name, weight in own.items():
                weight.copy_(weights[f"fold_{fold}.{name}"])
        save_fold(network, trained, fold)
    return trained


def save_fold(
    network: Any, trained: Path, fold: int, mirror_axes: tuple[int, ...] | None = None
) -> None:
    """What of nnU-Net's checkpoint prediction reads."""
    content = {
        "network_weights": network.state_dict(),
        "init_args": {"configuration": CONFIGURATION},
        "inference_allowed_mirroring_axes": mirror_axes,
        "trainer_name": THEIR_TRAINER,
    }
    (trained / f"fold_{fold}").mkdir(parents=True)
    torch.save(content, trained / f"fold_{fold}" / FINAL)


def keep(trained: Path) -> None:
    """Of another training by the same settings: every weight once, rounded to 16 bits."""
    plans, labels = read_json(trained / TEXTS[0]), read_json(trained / TEXTS[1])["labels"]
    weights: dict[str, torch.Tensor] = {}
    for fold in FOLDS:
        network = planned_network(plans, CONFIGURATION, len(labels))
        network.load_state_dict(
            read_checkpoint(trained / f"fold_{fold}" / FINAL)["network_weights"]
        )
        weights |= {
            f"fold_{fold}.{name}": weight.detach().half().contiguous()
            for name, weight in network.named_parameters()
        }
    for name in TEXTS:
        shutil.copyfile(trained / name, KEPT / name)
    save_file(weights, KEPT / WEIGHTS_NAME)
    (KEPT / WEIGHTS_NAME).chmod(0o644)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--from", type=Path, dest="source", metavar="TRAINED")
    options = parser.parse_args()
    if options.source:
        keep(options.source)
    if options.folder:
        write_trained(options.folder)

"""Images through nnU-Net's own predictor: any NIfTI orientation, in parts, each result put in place at once."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from inference.domain.errors import ConfigurationInvalid
from inference.domain.volume import Volume, spacing_mm
from training.nifti import nifti_volume, read_nifti
from training.nnunet.convert import CHANNEL
from training.nnunet.workspace import DATASET_NAME, FILE_ENDING

if TYPE_CHECKING:
    import torch

FINAL = "checkpoint_final.pth"
ENDINGS = (".npz", ".pkl", FILE_ENDING)
"""The segmentation last: where it stands, the others do."""


def images_in(folder: Path) -> dict[str, Path]:
    """Case names and their files, nnU-Net's mark of the channel left out; raises ConfigurationInvalid."""
    found = {
        path.name.removesuffix(FILE_ENDING).removesuffix(CHANNEL): path
        for path in sorted(folder.glob(f"[!.]*{FILE_ENDING}"))
    }
    if not found:
        raise ConfigurationInvalid(
            found=f"no {FILE_ENDING} in {folder.name}",
            wanted="a folder of CT images",
            advice="Check the path; python -m training nnunet convert writes such folders.",
        )
    return found


def part_of(names: Sequence[str], parts: int, part: int) -> list[str]:
    """Every parts-th name from the part-th on, counted from 1; raises ConfigurationInvalid."""
    if not 1 <= part <= parts:
        raise ConfigurationInvalid(
            found=f"part {part} of {parts}",
            wanted=f"1 to {parts}",
            advice="Mend --part or --parts.",
        )
    return sorted(names)[part - 1 :: parts]


def waiting(names: Sequence[str], out: Path, *, probabilities: bool) -> list[str]:
    """Those without a result."""
    endings = ENDINGS if probabilities else (FILE_ENDING,)
    return [
        name for name in names if not all((out / f"{name}{ending}").is_file() for ending in endings)
    ]


def predict_images(order: dict[str, Any], device: torch.device) -> int:
    """As the order says; gives how many were predicted."""
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

    out = Path(order["out"])
    images = images_in(Path(order["images"]))
    names = order["names"]
    predictor = nnUNetPredictor(
        perform_everything_on_device=device.type == "cuda", device=device, allow_tqdm=False
    )
    predictor.initialize_from_trained_model_folder(order["model"], order["folds"], FINAL)
    out.mkdir(parents=True, exist_ok=True)
    for done, name in enumerate(names, 1):
        volume = nifti_volume(images[name])
        previous = _previous(order["previous"], name)
        _predict_one(predictor, volume, previous, out / name, order["probabilities"])
        sys.stderr.write(f"{done}/{len(names)} {name}\n")
    # Last: python -m training nnunet ensemble reads them, and must not meet half a prediction.
    for name in ("plans.json", DATASET_NAME):
        (out / name).write_bytes((Path(order["model"]) / name).read_bytes())
    return len(names)


def _previous(folder: str | None, name: str) -> Any:
    """The answer of the cascade's first network, as the second wants it."""
    if folder is None:
        return None
    return read_nifti(Path(folder) / f"{name}{FILE_ENDING}").hu[None]


def _predict_one(
    predictor: Any, volume: Volume, previous: Any, target: Path, probabilities: bool
) -> None:
    aside = target.with_name(f".{target.name}.part")
    predictor.predict_single_npy_array(
        volume.hu[None].astype(np.float32),
        properties_of(volume),
        previous,
        str(aside),
        probabilities,
    )
    for ending in ENDINGS if probabilities else (FILE_ENDING,):
        Path(f"{aside}{ending}").replace(f"{target}{ending}")


def properties_of(volume: Volume) -> dict[str, Any]:
    """What nnU-Net's SimpleITK reader says of a file that holds this grid."""
    steps = spacing_mm(volume.affine_lps)
    axes = volume.affine_lps[:3, :3] / steps
    return {
        "spacing": list(steps),
        "sitk_stuff": {
            "spacing": tuple(reversed(steps)),
            "origin": tuple(float(at) for at in volume.affine_lps[:3, 3]),
            "direction": tuple(float(cosine) for cosine in axes[:, ::-1].ravel()),
        },
    }

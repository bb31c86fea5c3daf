"""An exported nnU-Net held against nnunetv2's own predictor: the same scan, the same labels."""

import io
import os
import warnings
from collections.abc import Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch

from export_onnx.export import INPUT_NAME, OUTPUT_NAME
from inference.domain.errors import InferenceFailed
from inference.domain.manifest import UNREPORTED
from inference.domain.nnunet_recipe import Recipe
from inference.domain.volume import Volume, flip
from inference.nnunet.grids import scan_grid
from inference.nnunet.labels import labels_of
from inference.nnunet.planes import Float, seen_planes
from training.nnunet.workspace import DATASET_NAME, read_json

if TYPE_CHECKING:
    from export_onnx.nnunet_network import ServedNetwork, TrainedFolder

LEAST_AGREEMENT = 0.999
"""Of voxels, those left out between whose two labels nnunetv2 itself hardly decides."""
AS_LIKELY = 0.99
"""Of its own label's probability: nearer than that, the half precision in which it adds logits up decides, and a network that was hardly
trained has many such voxels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Of two label maps."""

    voxels: float
    """With the same label."""
    settled: float
    """With the same label, or with one that nnunetv2 holds to be as likely."""
    dice: Mapping[str, float]
    """Of labels that either has."""


def normalised_patches(slab: Volume, recipe: Recipe) -> dict[str, Float]:
    """What the network may be shown [1, 1, …]: the middle of a CT, noise, and nothing."""
    voxels = flip(slab.hu, recipe.flips).transpose(recipe.transpose)
    first, second, third = (slab.spacing_mm[axis] for axis in recipe.transpose)
    grid = scan_grid(voxels, (first, second, third), recipe)
    seen = np.stack(list(seen_planes(voxels, grid, recipe)))
    shape = recipe.patch_3d
    middle = [max(0, (size - part) // 2) for size, part in zip(seen.shape, shape, strict=True)]
    cut = seen[tuple(slice(m, m + part) for m, part in zip(middle, shape, strict=True))]
    padding = [(0, part - size) for size, part in zip(cut.shape, shape, strict=True)]
    patch = np.pad(cut, padding).reshape(1, 1, *recipe.patch)
    noise = np.random.default_rng(0).normal(size=patch.shape).astype(np.float32)
    return {"slab": patch, "noise": noise, "nothing": np.zeros_like(patch)}


def prove_labels(
    trained: "TrainedFolder", served: "ServedNetwork", onnx_path: Path, slab: Volume
) -> Agreement:
    """Both label the synthetic CT; raises InferenceFailed where they do not agree."""
    voxels = np.ascontiguousarray(flip(slab.hu, served.recipe.flips))
    session = onnxruntime.InferenceSession(str(onnx_path), providers=["CPUExecutionProvider"])

    def network(batch: Float) -> Float:
        logits: Float = session.run([OUTPUT_NAME], {INPUT_NAME: batch})[0]
        return logits

    found = labels_of(voxels, slab.spacing_mm, served.recipe, network, lambda _share: None)
    wanted, likely = labels_of_nnunet(trained, served, voxels, slab.spacing_mm)
    agreement = agreement_of(found, wanted, likely, served.labels)
    if not agreement.settled >= LEAST_AGREEMENT:
        raise InferenceFailed(
            found=f"{agreement.settled:.5f} of a CT's voxels labelled as nnunetv2 labels them, or as likely in its own view",
            wanted=f"at least {LEAST_AGREEMENT}",
            advice="Nothing was written. Try the locked versions of nnunetv2, torch and onnxruntime.",
        )
    return agreement


def labels_of_nnunet(
    trained: "TrainedFolder",
    served: "ServedNetwork",
    voxels: npt.NDArray[np.int16],
    spacing_mm: tuple[float, float, float],
) -> tuple[npt.NDArray[np.uint8], Float]:
    """By its own predictor, with each label's probability, of a scan [slice, row, column] as the network's images lie."""
    for name in ("nnUNet_raw", "nnUNet_preprocessed", "nnUNet_results"):
        # Asked for at import; nothing is read there.
        os.environ.setdefault(name, str(trained.folder))
    # It prints what it does about devices that nobody asked for.
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
        from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

        plans = PlansManager(read_json(trained.folder / "plans.json"))
        axes = served.recipe.mirror_axes
        predictor: Any = nnUNetPredictor(
            use_mirroring=bool(axes),
            device=torch.device("cpu"),
            perform_everything_on_device=False,
            allow_tqdm=False,
        )
        # One network that is the mean of all folds, as logits are averaged there, too.
        predictor.manual_initialization(
            served.network,
            plans,
            plans.get_configuration(trained.configuration),
            [served.network.state_dict()],
            read_json(trained.folder / DATASET_NAME),
            "",
            axes or None,
        )
        image = voxels[None].astype(np.float32)
        found: tuple[npt.NDArray[np.uint8], Float] = predictor.predict_single_npy_array(
            image, {"spacing": list(spacing_mm)}, save_or_return_probabilities=True
        )
    return found


def agreement_of(
    found: npt.NDArray[np.uint8],
    wanted: npt.NDArray[np.uint8],
    likely: Float,
    labels: tuple[str, ...],
) -> Agreement:
    """Of two label maps of a scan; `likely` [label, slice, row, column] are the probabilities behind the wanted one."""
    dice = {}
    for number, label in enumerate(labels[1:], start=1):
        one, other = found == number, wanted == number
        both = int(one.sum()) + int(other.sum())
        if both:
            dice[label.removeprefix(UNREPORTED)] = 2 * int((one & other).sum()) / both
    apart = np.nonzero(found != wanted)
    own, other = likely[(wanted[apart], *apart)], likely[(found[apart], *apart)]
    decided = int((other < AS_LIKELY * own).sum())
    return Agreement(
        voxels=1 - apart[0].size / found.size, settled=1 - decided / found.size, dice=dice
    )

"""What the node needs to run an nnU-Net as nnU-Net does, out of its plans; what it cannot do is refused by name."""

import math
import re
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

from inference.domain.errors import ConfigurationInvalid
from inference.domain.nnunet_recipe import Recipe, Resampling

RESAMPLING = "resample_data_or_seg_to_shape"
CT, Z_SCORE = "CTNormalization", "ZScoreNormalization"
MOST_LABELS = 255
"""Label maps hold a byte a voxel."""
CT_WORD = re.compile(r"(?<![a-z])cta?(?![a-z])", re.IGNORECASE)
"""A channel of "CT", "ct_venous" or "CTA", not one of "Fractional anisotropy"."""


def recipe_from(
    plans: Mapping[str, Any],
    description: Mapping[str, Any],
    configuration: str,
    orientation: str,
    mirror_axes: Sequence[int] = (),
) -> Recipe:
    """Of a configuration of plans.json and dataset.json; raises ConfigurationInvalid."""
    if configuration not in plans.get("configurations", {}):
        raise _refused(
            f"no configuration {configuration!r:.60}",
            f"one of {', '.join(plans.get('configurations', {}))}",
            "Name it by --configuration.",
        )
    manager = planned(plans, configuration)
    part = manager.configuration
    _require_usable(part, description)
    _require_divisible(part["patch_size"], manager.network_arch_init_kwargs.get("strides", ()))
    recipe = Recipe(
        spacing_mm=tuple(float(step) for step in part["spacing"]),
        patch=tuple(int(size) for size in part["patch_size"]),
        transpose=tuple(int(axis) for axis in plans["transpose_forward"]),  # type: ignore[arg-type]
        image=_resampling(part, "resampling_fn_data", orders=(0, 1, 3)),
        logits=_resampling(part, "resampling_fn_probabilities", orders=(1,)),
        mirror_axes=tuple(mirror_axes),
        channels=len(description["labels"]),
        orientation=orientation,
        **_intensities(plans, part),
    )
    if faults := recipe.faults():
        raise _refused("; ".join(faults), "usable plans", "Plan with nnU-Net's own planners.")
    return recipe


def _require_divisible(patch: Sequence[int], strides: Sequence[Any]) -> None:
    """The decoder adds up what the encoder halved: a patch that leaves a rest fits nowhere."""
    for axis, size in enumerate(patch):
        factor = math.prod(step if isinstance(step, int) else int(step[axis]) for step in strides)
        if size % factor:
            raise _refused(
                f"a patch of {size} voxels along axis {axis} for strides of {factor} in all",
                f"a multiple of {factor}",
                "Copy plans.json again, as nnU-Net planned it.",
            )


def planned(plans: Mapping[str, Any], configuration: str) -> Any:
    """nnU-Net's own view of a configuration: what it inherits is filled in, and plans of older versions are read."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    with warnings.catch_warnings():
        # It says of older plans that it reconstructs the architecture; weights that do not fit are refused here.
        warnings.simplefilter("ignore")
        return PlansManager(dict(plans)).get_configuration(configuration)


def _require_usable(part: Mapping[str, Any], description: Mapping[str, Any]) -> None:
    labels = description.get("labels", {})
    channels = description.get("channel_names", description.get("modality", {}))
    problems = {
        "a cascade, whose second network wants the first one's answer": part.get("previous_stage"),
        "regions, several labels in one head": any(
            isinstance(number, (list, tuple)) for number in labels.values()
        ),
        "an ignore label among the labels": "ignore" in labels,
        f"{len(labels)} labels": not 1 < len(labels) <= MOST_LABELS,
        "labels that are not numbered 0, 1, 2 …": "ignore" not in labels
        and [n for n in labels.values() if not isinstance(n, (list, tuple))]
        and sorted(map(str, labels.values())) != sorted(map(str, range(len(labels)))),
        f"{len(channels)} channels of input": len(channels) != 1,
        f"images called {', '.join(map(str, channels.values()))[:60]}": len(channels) == 1
        and not CT_WORD.search(str(*channels.values())),
        "normalisation within a mask": any(part["use_mask_for_norm"]),
    }
    for found, is_so in problems.items():
        if is_so:
            raise _refused(
                found,
                "one network of one CT channel and plain labels",
                "Predict with nnU-Net itself, or train a 2d, 3d_fullres or 3d_lowres network of plain labels on CT. Of a network that was "
                'trained on CT under another name, call the channel "CT" in a copy of dataset.json.',
            )


def _resampling(part: Mapping[str, Any], name: str, orders: Sequence[int]) -> Resampling:
    kwargs = part[f"{name}_kwargs"]
    order, order_z = int(kwargs["order"]), int(kwargs["order_z"])
    if part[name] != RESAMPLING or order not in orders or order_z != 0:
        raise _refused(
            f"{name} = {part[name]:.60} of order {order}, {order_z} along the coarse axis",
            f"{RESAMPLING} of order {' or '.join(map(str, orders))}, 0 along the coarse axis",
            "Plan with nnU-Net's own planners.",
        )
    return Resampling(order=order, order_z=order_z, separate_z=kwargs["force_separate_z"])


def _intensities(plans: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    schemes = part["normalization_schemes"]
    if schemes == [Z_SCORE]:
        return {"clip": None, "mean": 0.0, "sd": 1.0}
    if schemes != [CT]:
        raise _refused(
            f"images normalised by {', '.join(map(str, schemes))[:80]}",
            f"{CT} or {Z_SCORE}",
            'Name the channel "CT" in dataset.json and plan again.',
        )
    found = plans["foreground_intensity_properties_per_channel"]["0"]
    return {
        "clip": (float(found["percentile_00_5"]), float(found["percentile_99_5"])),
        "mean": float(found["mean"]),
        "sd": float(found["std"]),
    }


def _refused(found: str, wanted: str, advice: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(found=found, wanted=wanted, advice=advice)

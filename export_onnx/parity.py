"""ONNX Runtime held against the network it was exported from, on a CT, on noise and on air."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch import nn

from export_onnx.export import INPUT_NAME, OUTPUT_NAME, network_shapes
from inference.domain.errors import InferenceFailed
from inference.domain.manifest import Parity
from inference.domain.volume import Volume, index_at
from inference.stages.grids import (
    AIR_HU,
    Float,
    PlaneGrid,
    body_centre_mm,
    body_mask,
    centred_plane,
    normalise,
)
from inference.stages.projections import padded_window, project
from training.checkpoint import Checkpoint
from training.config import TrainConfig
from training.synthetic.case import explicit_field, make_case

TOLERANCE_OF_RANGE = 1e-4
"""Of what the logits span on the CT; docs/decisions/0013-parity-by-range.md has the figures behind it."""
LEAST_AGREEMENT = 0.999
LEAST_RANGE = 1.0
"""Of a network that gives one logit per image, which spans nothing: its size is taken, this at least."""
SLAB_SEED = 1_900_001
SLAB_SHAPE_RC = (128, 160)
SLAB_FIELD_MM = (-150.0, 150.0)
SLAB_SPACING_MM = (3.0, 3.0, 3.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One input's outcome."""

    max_abs_error: float
    argmax_agreement: float
    logit_range: float
    """Of the network itself, highest less lowest."""


def synthetic_slab() -> Volume:
    """Abdomen of a synthetic patient at 3 mm, never trained on; made in seconds."""
    return make_case(
        SLAB_SEED,
        spacing_mm=SLAB_SPACING_MM,
        shape_rc=SLAB_SHAPE_RC,
        field=explicit_field(*SLAB_FIELD_MM),
    ).volume


def prove_parity(checkpoint: Checkpoint, onnx_path: Path, slab: Volume) -> Parity:
    """Run both on every input; raises InferenceFailed when they differ by more than a share of the logits' range."""
    session = _session(onnx_path)
    return _proven(
        checkpoint.config.name,
        {
            name: _difference(checkpoint, session, image)
            for name, image in parity_inputs(checkpoint.config, slab).items()
        },
    )


def prove_network_parity(
    name: str, network: nn.Module, onnx_path: Path, images: Mapping[str, Float], channels: int
) -> Parity:
    """The same of a network that is no checkpoint of ours; of its images one is called "slab"."""
    session = _session(onnx_path)
    return _proven(
        name,
        {
            place: _difference_of(network, session, image, (1, channels, *image.shape[2:]), 1)
            for place, image in images.items()
        },
    )


def _session(onnx_path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(str(onnx_path), providers=["CPUExecutionProvider"])


def _proven(network_name: str, differences: Mapping[str, Difference]) -> Parity:
    tolerance = TOLERANCE_OF_RANGE * differences["slab"].logit_range
    for name, difference in differences.items():
        # Written so that a NaN fails too.
        if not (
            difference.max_abs_error <= tolerance and difference.argmax_agreement >= LEAST_AGREEMENT
        ):
            raise InferenceFailed(
                found=f"{network_name} on {name}: error {difference.max_abs_error:.2e}, "
                f"argmax agreement {difference.argmax_agreement:.5f}",
                wanted=f"at most {tolerance:.2e} and at least {LEAST_AGREEMENT}",
                advice="Nothing was written. Try the locked versions of torch and onnxruntime.",
            )
    return Parity(
        tolerance_max_abs=tolerance,
        max_abs_error={name: d.max_abs_error for name, d in differences.items()},
        argmax_agreement={name: d.argmax_agreement for name, d in differences.items()},
    )


def parity_inputs(config: TrainConfig, slab: Volume) -> dict[str, Float]:
    """Normalised inputs [1, channel, ...]: a CT as the node would prepare it, noise, and nothing but air."""
    spec = config.specification
    shape = (1, spec.channels, *config.input_shape)
    prepare = {
        "l3-level": _projections,
        "l3-spine": _patch,
        "l3-tissue": _plane,
        "l3-slice": _plane,
        "organs": _patch,
    }[spec.task]
    low, high = config.hu_window
    prepared = prepare(slab, config).reshape(shape)
    return normalised_inputs(prepared, (low, high), config.mean, config.sd)


def normalised_inputs(
    slab_hu: Float, hu_window: tuple[float, float], mean: float, sd: float
) -> dict[str, Float]:
    """A CT [1, channel, ...], noise and air of the same shape."""
    shape = slab_hu.shape
    rng = np.random.default_rng(0)
    images = {
        "slab": slab_hu,
        "noise": rng.normal(0, 300, shape).astype(np.float32),
        "air": np.full(shape, AIR_HU, np.float32),
    }
    return {name: normalise(hu, hu_window, mean, sd) for name, hu in images.items()}


def _projections(slab: Volume, config: TrainConfig) -> Float:
    del config
    return padded_window(project(slab).hu, 0)


def _plane(slab: Volume, config: TrainConfig) -> Float:
    rows, columns = config.input_shape
    step_mm = config.specification.spacing_mm
    grid = PlaneGrid((rows, columns), (step_mm[0], step_mm[1]))
    hu = slab.hu.astype(np.float32)
    _, row, column = _body_centre(slab)
    return centred_plane(hu[len(hu) // 2], slab.spacing_mm[1:], (row, column), grid)


def _patch(slab: Volume, config: TrainConfig) -> Float:
    return patch_of(slab, config.input_shape)


def patch_of(slab: Volume, shape: tuple[int, ...]) -> Float:
    """The patch about the body's middle, air beyond the slab."""
    patch = np.full(shape, AIR_HU, np.float32)
    middle = (slab.shape[0] / 2, *_body_centre(slab)[1:])
    source, target = [], []
    for centre, size, n in zip(middle, shape, slab.shape, strict=True):
        start = round(centre - size / 2)
        low, high = max(start, 0), min(start + size, n)
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    patch[tuple(target)] = slab.hu[tuple(source)]
    return patch


def _body_centre(slab: Volume) -> npt.NDArray[np.float64]:
    centre_mm = body_centre_mm(body_mask(slab.hu.astype(np.float32)), slab.affine_lps)
    return index_at(slab.affine_lps, centre_mm)


def _difference(
    checkpoint: Checkpoint, session: onnxruntime.InferenceSession, image: Float
) -> Difference:
    axis = 2 if checkpoint.config.specification.gives_curves else 1
    return _difference_of(
        checkpoint.network, session, image, network_shapes(checkpoint).output, axis
    )


def _difference_of(
    network: nn.Module,
    session: onnxruntime.InferenceSession,
    image: Float,
    output_shape: tuple[int, ...],
    axis: int,
) -> Difference:
    with torch.inference_mode():
        wanted: Float = network(torch.from_numpy(image)).numpy()
    if not np.isfinite(wanted).all():
        # A share of an endless range would allow everything.
        raise InferenceFailed(
            found="logits of the network that are not finite",
            wanted="numbers",
            advice="Nothing was written. Train again: this checkpoint is of no use.",
        )
    found: Float = session.run([OUTPUT_NAME], {INPUT_NAME: image})[0]
    if found.shape != output_shape:
        raise InferenceFailed(
            found=f"an ONNX output of {found.shape}",
            wanted=f"{output_shape}",
            advice="Nothing was written. Try the locked versions of torch and onnxruntime.",
        )
    return Difference(
        max_abs_error=float(np.abs(found - wanted).max()),
        argmax_agreement=agreement(found, wanted, axis),
        logit_range=max(LEAST_RANGE, abs(float(wanted.max())))
        if wanted.size == 1
        else float(np.ptp(wanted)),
    )


def agreement(found: Float, wanted: Float, axis: int) -> float:
    """Share of argmax decisions that agree; a choice between values the tolerance cannot tell apart is no disagreement."""
    chosen = found.argmax(axis)
    value = np.take_along_axis(wanted, np.expand_dims(chosen, axis), axis).squeeze(axis)
    ties = value >= wanted.max(axis) - 2 * np.abs(found - wanted).max()
    return float(np.mean((chosen == wanted.argmax(axis)) | (ties if axis == 2 else False)))

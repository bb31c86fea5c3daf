"""A network with prompts as a model folder: image encoder and mask decoder in two files, a prompt contract, parity proven."""

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from export_onnx.card import CARD_NAME
from export_onnx.export import OPSET, write_onnx
from export_onnx.orders import Export
from export_onnx.package import LICENCE, built_aside, intended_use, require_gate
from export_onnx.parity import LEAST_AGREEMENT, TOLERANCE_OF_RANGE
from inference.domain.errors import InferenceFailed
from inference.domain.manifest import Parity, sha256_of
from inference.domain.refiner import (
    DECODER_NAME,
    ENCODER_NAME,
    REFINER_NAME,
    REFINER_SCHEMA_VERSION,
    REFINER_TASK,
    RefinerManifest,
    load_refiner_manifest,
    refiner_to_json,
)
from inference.domain.volume import Volume
from inference.engine.onnx_refiner import HAS_MASK, IMAGE, KINDS, LOGITS, MASK, POINTS, OnnxRefiner
from inference.stages.grids import AIR_HU, Float, normalise
from inference.stages.prompts import (
    MASK_LOGIT,
    PROMPT_TOKENS,
    Prompt,
    SquareView,
    prompt_from,
    prompt_parts,
    stacked,
)
from training.checkpoint import Checkpoint, load_checkpoint
from training.config import TrainConfig, options_of
from training.networks.prompted import PromptedNet
from training.networks.registry import count_parameters
from training.slices.slice_options import SliceOptions
from training.specification import CHECKPOINT_NAME
from training.tasks.prompted_slices import as_tensors

PROMPTED_TASK = "prompted-slices"
CARD = Path(__file__).with_name("refiner_card.md")
ORGAN_HU = (0.0, 300.0)
"""What is asked about in the parity's slice: organs and muscle together, a shape with holes."""
KINDS_PROVEN = ("box", "point", "box+point", "box+mask", "box+point+mask")
UNPROVEN = Parity(tolerance_max_abs=0.0, max_abs_error={}, argmax_agreement={})


def is_refiner(order: Export) -> bool:
    """Whether the checkpoint is of a network with prompts."""
    return load_checkpoint(order.checkpoint).config.task == PROMPTED_TASK


def make_refiner(order: Export, slab: Volume) -> RefinerManifest:
    """Export, prove parity, put the folder in place; whatever fails, nothing half-written stays."""
    checkpoint = load_checkpoint(order.checkpoint)
    require_gate(order, checkpoint)
    with built_aside(order.folder) as building:
        names = _write_both(checkpoint.network, checkpoint.config, building)
        shutil.copyfile(order.checkpoint, building / CHECKPOINT_NAME)
        unproven = _manifest(order, checkpoint, building, names)
        parity = prove_refiner(checkpoint, OnnxRefiner(building, unproven), slab)
        manifest = replace(unproven, parity=parity)
        (building / CARD_NAME).write_text(_card(manifest), encoding="utf-8")
        (building / REFINER_NAME).write_text(refiner_to_json(manifest), encoding="utf-8")
        return load_refiner_manifest(building)


class _Encoder(nn.Module):
    def __init__(self, network: PromptedNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        return self.network.encode(image)


class _Decoder(nn.Module):
    def __init__(self, network: PromptedNet) -> None:
        super().__init__()
        self.network = network

    def forward(self, *given: Tensor) -> Tensor:
        *embeddings, points, kinds, mask, has_mask = given
        return self.network.decode(embeddings, points, kinds, mask, has_mask)


def _write_both(network: PromptedNet, config: TrainConfig, folder: Path) -> tuple[str, ...]:
    """One slice and one prompt at a time: static shapes run everywhere. Gives the embeddings' names."""
    image = torch.zeros((1, 1, *config.input_shape))
    with torch.inference_mode():
        embeddings = network.encode(image)
    named = {f"embedding_{n}": one.clone() for n, one in enumerate(embeddings)}
    write_onnx(_Encoder(network).eval(), {IMAGE: image}, list(named), folder / ENCODER_NAME)
    side = config.input_shape[0]
    view = SquareView(shape=(side, side), spacing_mm=(1.0, 1.0), side=side)
    whole = np.ones(view.shape, np.bool_)
    prompt = prompt_from(whole, view, network.mask_side, prompt_parts("box+point+mask"))
    inputs: Mapping[str, Tensor] = named | dict(
        zip((POINTS, KINDS, MASK, HAS_MASK), as_tensors(stacked([prompt])), strict=True)
    )
    write_onnx(_Decoder(network).eval(), inputs, [LOGITS], folder / DECODER_NAME)
    return tuple(named)


def prove_refiner(checkpoint: Checkpoint, refiner: OnnxRefiner, slab: Volume) -> Parity:
    """Every kind of prompt on a CT, on noise and on air; raises InferenceFailed where both differ too much."""
    config, network = checkpoint.config, checkpoint.network
    errors: dict[str, float] = {}
    agreements: dict[str, float] = {}
    tolerance = 0.0
    for name, image in _images(config, slab).items():
        for asked, prompt in _prompts(config, network.mask_side, slab).items():
            found, wanted = _both(network, refiner, image, prompt)
            if name == "slab":
                tolerance = max(tolerance, TOLERANCE_OF_RANGE * float(np.ptp(wanted)))
            key = f"{name}, {asked}"
            errors[key] = float(np.abs(found - wanted).max())
            sure = np.abs(wanted) > errors[key]
            agreements[key] = float(np.mean(((found > 0) == (wanted > 0)) | ~sure))
    for key, error in errors.items():
        # Written so that a NaN fails too.
        if not (error <= tolerance and agreements[key] >= LEAST_AGREEMENT):
            raise InferenceFailed(
                found=f"{config.name} on {key}: error {error:.2e}, agreement {agreements[key]:.5f}",
                wanted=f"at most {tolerance:.2e} and at least {LEAST_AGREEMENT}",
                advice="Nothing was written. Try the locked versions of torch and onnxruntime.",
            )
    return Parity(tolerance_max_abs=tolerance, max_abs_error=errors, argmax_agreement=agreements)


def _both(
    network: PromptedNet, refiner: OnnxRefiner, image: Float, prompt: Prompt
) -> tuple[Float, Float]:
    embeddings = refiner.embed(image)
    found = refiner.mask_logits(
        embeddings, prompt.points, prompt.kinds, prompt.mask, prompt.has_mask
    )
    with torch.inference_mode():
        seen = network.encode(torch.from_numpy(image)[None, None])
        wanted: Float = network.decode(seen, *as_tensors(stacked([prompt])))[0, 0].numpy()
    return found, wanted


def _images(config: TrainConfig, slab: Volume) -> dict[str, Float]:
    low, high = config.hu_window
    shape = config.input_shape
    plane = _view(config, slab).image(slab.hu[len(slab.hu) // 2].astype(np.float32))
    images = {
        "slab": plane,
        "noise": np.random.default_rng(0).normal(0, 300, shape).astype(np.float32),
        "air": np.full(shape, AIR_HU, np.float32),
    }
    return {name: normalise(hu, (low, high), config.mean, config.sd) for name, hu in images.items()}


def _prompts(config: TrainConfig, mask_side: int, slab: Volume) -> dict[str, Prompt]:
    plane, (low, high) = slab.hu[len(slab.hu) // 2], ORGAN_HU
    mask = (plane > low) & (plane < high)
    view = _view(config, slab)
    return {text: prompt_from(mask, view, mask_side, prompt_parts(text)) for text in KINDS_PROVEN}


def _view(config: TrainConfig, slab: Volume) -> SquareView:
    _, rows, columns = slab.shape
    _, row_mm, column_mm = slab.spacing_mm
    return SquareView(
        shape=(rows, columns), spacing_mm=(row_mm, column_mm), side=config.input_shape[0]
    )


def _manifest(
    order: Export, checkpoint: Checkpoint, building: Path, embeddings: tuple[str, ...]
) -> RefinerManifest:
    config, history = checkpoint.config, checkpoint.history
    low, high = config.hu_window
    return RefinerManifest(
        schema_version=REFINER_SCHEMA_VERSION,
        name=order.name,
        version=order.version,
        task=REFINER_TASK,
        encoder_sha256=sha256_of(building / ENCODER_NAME),
        decoder_sha256=sha256_of(building / DECODER_NAME),
        checkpoint_sha256=sha256_of(building / CHECKPOINT_NAME),
        side=config.input_shape[0],
        mask_side=checkpoint.network.mask_side,
        hu_window=(low, high),
        mean=config.mean,
        sd=config.sd,
        prompt_tokens=PROMPT_TOKENS,
        mask_logit=MASK_LOGIT,
        asked=options_of(SliceOptions, config).asked,
        embeddings=embeddings,
        contract=_contract(config, checkpoint.network.mask_side),
        structures=tuple(config.specification.labels[1:]),
        opset=OPSET,
        parity=UNPROVEN,
        parameters=count_parameters(checkpoint.network),
        training_data=history.training_data,
        code_revision=history.code_revision,
        intended_use=intended_use(checkpoint),
        licence=LICENCE,
    )


def _contract(config: TrainConfig, mask_side: int) -> tuple[str, ...]:
    """What goes in and comes out, in sentences; inference.stages.prompts does it."""
    side, (low, high) = config.input_shape[0], config.hu_window
    return (
        f"{IMAGE}: float32 [1, 1, {side}, {side}], an axial slice, row to the back, column to the patient's left; HU clipped to "
        f"{low:g} to {high:g}, mapped to 0 to 1, less {config.mean:g}, divided by {config.sd:g}. The slice's longer side in mm fills "
        "the square from its upper left; pixels are square; the rest is air.",
        f"{POINTS}: float32 [1, {PROMPT_TOKENS}, 2], x (column) and y (row) of pixels of the image, 0 is the middle of the first.",
        f"{KINDS}: int64 [1, {PROMPT_TOKENS}], -1 nothing, 0 outside, 1 inside, 2 first and 3 last corner of a box.",
        f"{MASK}: float32 [1, 1, {mask_side}, {mask_side}] over the same square, {MASK_LOGIT:g} inside and {-MASK_LOGIT:g} outside, "
        f"in between where a pixel is partly covered; {HAS_MASK}: float32 [1], 1 where it is given and 0 where not.",
        f"{LOGITS}: float32 [1, 1, {mask_side}, {mask_side}] over the same square; the structure is where it is over 0 after "
        "linear interpolation to the slice's pixels.",
    )


def _card(manifest: RefinerManifest) -> str:
    """README.md of the folder."""
    worst = max(manifest.parity.max_abs_error.values())
    return CARD.read_text(encoding="utf-8").format(
        name=manifest.name,
        version=manifest.version,
        use=manifest.intended_use,
        structures=", ".join(manifest.structures),
        contract="\n".join(f"- {line}" for line in manifest.contract),
        asked=manifest.asked,
        parameters=manifest.parameters,
        training=manifest.training_data,
        worst=f"{worst:.1e}",
        tolerance=f"{manifest.parity.tolerance_max_abs:.1e}",
        proven=len(manifest.parity.max_abs_error),
    )

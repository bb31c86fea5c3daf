"""The networks of a profile as files to try on an accelerator, each with an input and what the node takes from its answers."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from inference.domain.analysis_profile import Profile
from inference.domain.manifest import ModelManifest
from inference.domain.refiner import DECODER_NAME, ENCODER_NAME, RefinerManifest
from inference.engine.answers_compared import Decision
from inference.engine.model_store import SHIPPED_MODELS, verified_manifest, verified_refiner
from inference.engine.onnx_refiner import HAS_MASK, IMAGE, KINDS, LOGITS, MASK, POINTS
from inference.engine.onnx_session import session_of
from inference.engine.prove_accelerator import TrialNetwork
from inference.engine.providers import CPU
from inference.engine.trial_inputs import normalised, slab_hu, trial_input

DECISIONS = {
    "l3-level": Decision.PLACE,
    "l3-spine": Decision.PLACE,
    "l3-slice": Decision.NONE,
    "l3-tissue": Decision.CHANNEL,
    "organs": Decision.CHANNEL,
}
CORNERS = (2, 3)
"""Kinds of points in Segment Anything's ONNX export: first and last corner of a box; -1 is nothing."""


def trial_networks(profile: Profile, folder: Path = SHIPPED_MODELS) -> Iterator[TrialNetwork]:
    """Each file once; raises ModelUnusable."""
    for name in dict.fromkeys(profile.models):
        yield trial_network(verified_manifest(name, folder), folder / name)
    if profile.refine is not None:
        name = profile.refine.model
        yield from _of_refiner(verified_refiner(name, folder), folder / name)


def trial_network(manifest: ModelManifest, folder: Path) -> TrialNetwork:
    """Of one model that is loaded by its manifest."""
    return TrialNetwork(
        name=manifest.name,
        path=folder / "model.onnx",
        sha256=manifest.onnx_sha256,
        inputs={manifest.input.name: trial_input(manifest)},
        outputs={manifest.output.name: DECISIONS[manifest.task]},
    )


def _of_refiner(manifest: RefinerManifest, folder: Path) -> Iterator[TrialNetwork]:
    """The decoder is asked for what a box in the middle holds."""
    side = manifest.side
    hu = slab_hu((1, 1, side, side), "NCYX")
    image = normalised(hu, manifest.hu_window, manifest.mean, manifest.sd)
    encoder = TrialNetwork(
        name=f"{manifest.name} encoder",
        path=folder / ENCODER_NAME,
        sha256=manifest.encoder_sha256,
        inputs={IMAGE: image},
        outputs=dict.fromkeys(manifest.embeddings, Decision.NONE),
    )
    yield encoder
    session = session_of(encoder.path, encoder.name, ((CPU, {}),))
    embeddings = session.run(list(manifest.embeddings), {IMAGE: image})
    points = np.zeros((1, manifest.prompt_tokens, 2), np.float32)
    points[0, :2] = [[side / 4] * 2, [3 * side / 4] * 2]
    kinds = np.full((1, manifest.prompt_tokens), -1, np.int64)
    kinds[0, :2] = CORNERS
    mask_side = manifest.mask_side
    yield TrialNetwork(
        name=f"{manifest.name} decoder",
        path=folder / DECODER_NAME,
        sha256=manifest.decoder_sha256,
        inputs=dict(zip(manifest.embeddings, embeddings, strict=True))
        | {
            POINTS: points,
            KINDS: kinds,
            MASK: np.zeros((1, 1, mask_side, mask_side), np.float32),
            HAS_MASK: np.zeros(1, np.float32),
        },
        outputs={LOGITS: Decision.SIGN},
    )

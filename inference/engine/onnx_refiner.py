"""An image encoder and a mask decoder in ONNX Runtime sessions."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from inference.domain.errors import InferenceFailed, ModelUnusable
from inference.domain.refiner import DECODER_NAME, ENCODER_NAME, Float, Ints, RefinerManifest
from inference.engine.onnx_predictor import available_providers
from inference.engine.providers import choose_providers, of_onnx_runtime, short_name

IMAGE, LOGITS = "image", "logits"
POINTS, KINDS, MASK, HAS_MASK = "points", "point_kinds", "mask", "has_mask"


class OnnxRefiner:
    """Runs both; sessions are costly to make and safe to keep."""

    def __init__(
        self, folder: Path, manifest: RefinerManifest, providers: Sequence[str] = ("cpu",)
    ) -> None:
        self._manifest = manifest
        chosen = of_onnx_runtime(choose_providers(providers, available_providers()))
        self._encoder = _session(folder / ENCODER_NAME, manifest.name, chosen)
        self._decoder = _session(folder / DECODER_NAME, manifest.name, chosen)
        self._check_contract()
        self._provider = short_name(self._encoder.get_providers()[0])

    @property
    def manifest(self) -> RefinerManifest:
        """What goes in and what comes out."""
        return self._manifest

    @property
    def provider(self) -> str:
        """The execution provider really in use."""
        return self._provider

    def embed(self, image: Float) -> tuple[Float, ...]:
        """Of one normalised image [side, side]; raises InferenceFailed."""
        found = self._run(self._encoder, self._manifest.embeddings, {IMAGE: image[None, None]})
        return tuple(found)

    def mask_logits(
        self, embeddings: tuple[Float, ...], points: Float, kinds: Ints, mask: Float, has_mask: bool
    ) -> Float:
        """The answer [mask_side, mask_side] to one prompt; raises InferenceFailed."""
        asked: dict[str, Any] = dict(zip(self._manifest.embeddings, embeddings, strict=True))
        asked |= {
            POINTS: points[None],
            KINDS: kinds[None],
            MASK: mask[None, None],
            HAS_MASK: np.array([has_mask], np.float32),
        }
        (logits,) = self._run(self._decoder, (LOGITS,), asked)
        mask_logits: Float = logits[0, 0]
        return mask_logits

    def _run(
        self, session: ort.InferenceSession, wanted: Sequence[str], inputs: Mapping[str, Any]
    ) -> list[Float]:
        try:
            found: list[Float] = session.run(list(wanted), dict(inputs))
        except Exception as exc:
            raise InferenceFailed(
                found=f"{self._manifest.name} stopped ({type(exc).__name__})",
                wanted="a finished run",
                advice="Memory may be short; try again or use another provider.",
            ) from exc
        if not all(np.isfinite(one).all() for one in found):
            raise InferenceFailed(
                found=f"values that are not finite from {self._manifest.name}",
                wanted="numbers",
                advice="Nothing is sent. Try the cpu provider, and report the series' scanner.",
            )
        return found

    def _check_contract(self) -> None:
        """The graphs' own inputs and outputs must be what the manifest says."""
        m = self._manifest
        image, mask = [1, 1, m.side, m.side], [1, 1, m.mask_side, m.mask_side]
        given = {o.name: o.shape for o in self._encoder.get_outputs()}
        taken = {i.name: i.shape for i in self._decoder.get_inputs()}
        rules = (
            {i.name: i.shape for i in self._encoder.get_inputs()} == {IMAGE: image},
            tuple(given) == m.embeddings,
            {name: taken.get(name) for name in given} == given,
            taken.get(POINTS) == [1, m.prompt_tokens, 2],
            taken.get(KINDS) == [1, m.prompt_tokens],
            taken.get(MASK) == mask and taken.get(HAS_MASK) == [1],
            {o.name: o.shape for o in self._decoder.get_outputs()} == {LOGITS: mask},
        )
        if not all(rules):
            raise ModelUnusable(
                found=f"{m.name}: networks with other inputs or outputs than their contract",
                wanted="what its manifest says",
                advice="Restore the model folder or export it again.",
            )


def _session(path: Path, name: str, providers: Sequence[str]) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = len(os.sched_getaffinity(0))
    try:
        return ort.InferenceSession(str(path), options, providers=list(providers))
    except Exception as exc:
        raise ModelUnusable(
            found=f"{name}: ONNX Runtime cannot load {path.name} ({type(exc).__name__})",
            wanted="a model this ONNX Runtime can run",
            advice="Update onnxruntime, or export the model again.",
        ) from exc

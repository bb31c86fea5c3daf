"""An image encoder and a mask decoder in ONNX Runtime sessions."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime as ort

from inference.domain.errors import InferenceFailed, ModelUnusable
from inference.domain.refiner import DECODER_NAME, ENCODER_NAME, Float, Ints, RefinerManifest
from inference.engine.acceleration import PLAIN, Acceleration
from inference.engine.onnx_session import open_session
from inference.engine.providers import PROVIDERS, short_name

IMAGE, LOGITS = "image", "logits"
POINTS, KINDS, MASK, HAS_MASK = "points", "point_kinds", "mask", "has_mask"


class OnnxRefiner:
    """Runs both; sessions are costly to make and safe to keep."""

    def __init__(
        self,
        folder: Path,
        manifest: RefinerManifest,
        providers: Sequence[str] = ("cpu",),
        acceleration: Acceleration = PLAIN,
    ) -> None:
        self._manifest = manifest
        self._encoder, self._decoder = (
            open_session(folder / file, manifest.name, sha256, providers, acceleration)
            for file, sha256 in (
                (ENCODER_NAME, manifest.encoder_sha256),
                (DECODER_NAME, manifest.decoder_sha256),
            )
        )
        self._check_contract()
        used = [short_name(one.get_providers()[0]) for one in (self._encoder, self._decoder)]
        # Of two, the one that less was asked for.
        self._provider = max(used, key=list(PROVIDERS).index)

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

"""A refiner made of arithmetic: what is bright inside the box, or whatever a function says."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from inference.domain.manifest import Parity
from inference.domain.refiner import (
    REFINER_SCHEMA_VERSION,
    REFINER_TASK,
    Float,
    Ints,
    RefinerManifest,
)

SIDE = 48
EXACT = Parity(tolerance_max_abs=1e-3, max_abs_error={}, argmax_agreement={})


def make_refiner_manifest(name: str = "fake-refiner", asked: str = "box") -> RefinerManifest:
    """Window 0..1000 HU mapped to 0..1."""
    return RefinerManifest(
        schema_version=REFINER_SCHEMA_VERSION,
        name=name,
        version="0.0.1",
        task=REFINER_TASK,
        encoder_sha256="1" * 64,
        decoder_sha256="2" * 64,
        checkpoint_sha256="3" * 64,
        side=SIDE,
        mask_side=SIDE,
        hu_window=(0.0, 1000.0),
        mean=0.0,
        sd=1.0,
        prompt_tokens=4,
        mask_logit=8.0,
        asked=asked,
        embeddings=("embedding_0",),
        contract=("none",),
        structures=("liver", "spleen"),
        opset=20,
        parity=EXACT,
        parameters=0,
        training_data="none",
        code_revision="none",
        intended_use="tests",
        licence="Apache-2.0",
    )


def bright_in_box(image: Float, points: Float) -> Float:
    """1 where the image is over half of its window and inside the box, −1 elsewhere."""
    (x0, y0), (x1, y1) = np.round(points[:2]).astype(int)
    inside = np.zeros(image.shape, np.bool_)
    inside[max(y0, 0) : y1 + 1, max(x0, 0) : x1 + 1] = True
    return np.where(inside & (image > 0.5), 1, -1).astype(np.float32)


class FakeRefiner:
    """Applies a function to image and points; counts how often an image was encoded."""

    provider = "cpu"

    def __init__(
        self,
        function: Callable[[Float, Float], Float] = bright_in_box,
        manifest: RefinerManifest | None = None,
    ) -> None:
        self.manifest = manifest or make_refiner_manifest()
        self.function = function
        self.embedded = 0
        self.kinds: list[npt.NDArray[np.int64]] = []

    def embed(self, image: Float) -> tuple[Float, ...]:
        """The image itself."""
        self.embedded += 1
        return (image,)

    def mask_logits(
        self, embeddings: tuple[Float, ...], points: Float, kinds: Ints, mask: Float, has_mask: bool
    ) -> Float:
        """What the function says."""
        self.kinds.append(kinds)
        return self.function(embeddings[0], points)

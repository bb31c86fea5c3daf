"""What every engine checks: the graph is that of the manifest, the input is that of the graph, the output is numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.domain.errors import InferenceFailed, ModelUnusable
from inference.domain.manifest import ModelManifest

Float = npt.NDArray[np.float32]


def require_shapes(
    manifest: ModelManifest,
    inputs: Mapping[str, Sequence[Any]],
    outputs: Mapping[str, Sequence[Any]],
) -> None:
    """The graph's own input and output must be what the manifest says, batch axis aside; raises ModelUnusable."""
    for found, (name, wanted) in (
        (inputs, (manifest.input.name, manifest.input.shape)),
        (outputs, (manifest.output.name, manifest.output.shape)),
    ):
        shape = found.get(name)
        if shape is None or tuple(shape[1:]) != tuple(wanted[1:]):
            raise ModelUnusable(
                found=f"{manifest.name}: {dict(found)}",
                wanted=f"{name} of shape {wanted} as the manifest says",
                advice="Restore the model folder or export it again.",
            )


def require_input(manifest: ModelManifest, batch: Float) -> None:
    """Raises InferenceFailed."""
    if batch.shape[1:] != manifest.input.shape[1:]:
        raise InferenceFailed(
            found=f"input {batch.shape} for {manifest.name}",
            wanted=str(manifest.input.shape),
            advice="Restore the model folder or export it again.",
        )
    if not _is_finite(batch):
        # OpenVINO takes what is no number for nothing, and answers.
        raise InferenceFailed(
            found=f"an input of {manifest.name} with values that are not finite",
            wanted="numbers",
            advice="Nothing is sent. Report the series' scanner and its transfer syntax.",
        )


def finite(manifest: ModelManifest, result: Any) -> Float:
    """The result itself; raises InferenceFailed."""
    if not _is_finite(result):
        raise InferenceFailed(
            found=f"values that are not finite from {manifest.name}",
            wanted="numbers",
            advice="Nothing is sent. Try the cpu provider, and report the series' scanner.",
        )
    output: Float = np.asarray(result, np.float32)
    return output


def _is_finite(values: Any) -> bool:
    """Of a sum first, which is a fifth of the work: whatever is no number stays in it."""
    with np.errstate(over="ignore", invalid="ignore"):
        is_sure = bool(np.isfinite(np.sum(values, dtype=np.float32)))
    return is_sure or bool(np.isfinite(values).all())

"""A session that reads and writes memory of its own device, bound once: an example goes up and its answer comes down, nothing else."""

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from inference.domain.manifest import ModelManifest

Float = npt.NDArray[np.float32]


class BoundRun:
    """One example at a time, always of the manifest's shape."""

    def __init__(self, session: ort.InferenceSession, manifest: ModelManifest, device: str) -> None:
        self._session = session
        given, answer = ([1, *spec.shape[1:]] for spec in (manifest.input, manifest.output))
        self._given = ort.OrtValue.ortvalue_from_shape_and_type(given, np.float32, device, 0)
        self._answer = ort.OrtValue.ortvalue_from_shape_and_type(answer, np.float32, device, 0)
        self._binding = session.io_binding()
        self._binding.bind_ortvalue_input(manifest.input.name, self._given)
        self._binding.bind_ortvalue_output(manifest.output.name, self._answer)

    def answers(self, batch: Float) -> Float:
        """Of each example in turn."""
        return np.stack([self._answer_to(example) for example in batch])

    def _answer_to(self, example: Float) -> Float:
        # To a GPU bytes go as they lie.
        self._given.update_inplace(np.ascontiguousarray(example[None]))
        self._binding.synchronize_inputs()
        self._session.run_with_iobinding(self._binding)
        self._binding.synchronize_outputs()
        # The memory is written again by the next example.
        return np.array(self._answer.numpy()[0])

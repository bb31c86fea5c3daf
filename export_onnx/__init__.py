"""Checkpoint → ONNX, proven equal."""

# First of all: it silences ONNX Runtime before that is imported.
import inference.engine  # noqa: F401

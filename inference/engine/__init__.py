"""Runs the networks; the only place that knows ONNX Runtime."""

import os

# ONNX Runtime 1.31 numbers the machine and collects events in the user's home, for upload to Microsoft, unless told before
# its import; disable_telemetry_events() comes too late for the number.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

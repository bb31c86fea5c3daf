"""Runs the networks; the only place that knows ONNX Runtime and OpenVINO."""

import os
import sys

# ONNX Runtime 1.31 numbers the machine and collects events in the user's home, for upload to Microsoft, unless told before
# its import; disable_telemetry_events() comes too late for the number.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"
# OpenVINO 2026 writes a number for the machine into the user's home and sends an event to Google at its very import, where its
# telemetry package is installed; None makes that package one that cannot be imported.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]

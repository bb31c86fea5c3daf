"""Sessions of a GPU that is not there: the CPU's answers, off by as much as the precision they are asked in."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.engine.built import Surroundings
from inference.engine.provider_options import TENSORRT, Plan
from inference.engine.providers import CPU

HERE = Surroundings(onnxruntime="1.31.1", tensorrt="10.16.1", gpu="NVIDIA H200", driver="580.65.06")
OFF_IN_HALF, OFF_IN_FULL = "reduced", "full"
Float = npt.NDArray[np.float32]


@dataclass
class FakeSession:
    """Of one network."""

    provider: str
    off: float

    def get_providers(self) -> list[str]:
        """As ONNX Runtime lists them."""
        return [self.provider] if self.provider == CPU else [self.provider, CPU]

    def run(self, names: list[str], inputs: dict[str, Any]) -> list[Float]:
        """Two channels of a slope, the second off."""
        (image,) = inputs.values()
        one = np.linspace(-1, 1, image[0, 0].size, dtype=np.float32).reshape(image[0, 0].shape)
        return [np.stack([np.zeros_like(one), one + np.float32(self.off)])[None] for _ in names]


@dataclass
class FakeAccelerator:
    """Opens sessions; writes an engine where TensorRT is told to keep one."""

    off: Mapping[str, float] = field(default_factory=dict)
    starts: bool = True
    opened: list[Plan] = field(default_factory=list)

    def open(self, path: Path, name: str, plan: Plan) -> FakeSession:
        """By its first provider."""
        self.opened.append(plan)
        provider, options = plan[0]
        if provider == CPU or not self.starts:
            return FakeSession(CPU, 0.0)
        is_half = "True" in options.get("trt_fp16_enable", "") or options.get("use_tf32") == "1"
        if provider == TENSORRT:
            kind = "fp16" if is_half else "fp32"
            (Path(options["trt_engine_cache_path"]) / f"{kind}.engine").write_text(kind)
        return FakeSession(provider, self.off.get(OFF_IN_HALF if is_half else OFF_IN_FULL, 0.0))

"""One contender, one scan, one process on the GPU: python -m tests.benchmarks.nnunet_gpu.one_run NAME …; figures on the last line.

The scan is labelled twice: the first time pays for kernels that are chosen and memory that is claimed, the second is what counts.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Any

from tests.benchmarks.nnunet_speed.one_run import Ours, Theirs
from tests.benchmarks.stage_clock import StageClock

UNPROVEN = "not compared: random weights leave most voxels between two labels"


def _settled_s() -> float:
    """Wall time, when the GPU has done what it was told before."""
    import torch

    torch.cuda.synchronize()
    return time.perf_counter()


class TheirsOnGpu(Theirs):
    """nnunetv2's predictor as it is on a GPU: autocast to float16, everything on the device."""

    def __init__(self, clock: Any) -> None:
        import torch

        super().__init__(clock)
        from nnunetv2.inference import predict_from_raw_data as way

        clock.now_s = _settled_s
        self.predictor = way.nnUNetPredictor(
            device=torch.device("cuda"), perform_everything_on_device=True, allow_tqdm=False
        )
        clock.wrap(self.predictor, "predict_logits_from_preprocessed_data", "accumulation")


class OursOnGpu(Ours):
    """The node's way on an accelerator; anything else ends the run."""

    def __init__(self, clock: Any, options: argparse.Namespace) -> None:
        from inference.engine.acceleration import Acceleration
        from inference.engine.providers import Downgrade

        super().__init__(clock, (OURS[options.contender],))
        self.is_proven = not options.unproven
        self.acceleration = Acceleration(
            downgrade=Downgrade.FAIL,
            tensorrt_libraries=options.tensorrt_libraries,
            built_folder=options.built,
        )
        self.proof = "" if self.is_proven else UNPROVEN

    def load(self, model: Path) -> None:
        """With what was built for this machine; unproven, an engine is built when the session is made, and kept."""
        if self.is_proven:
            self._prove(model)
        else:
            self._claim(model, is_built=False)
        self.predictor = self.store.load_predictor(
            model.name, "organs", model.parent, self.providers, self.acceleration
        )
        if not self.is_proven:
            self._claim(model, is_built=True)
        self.clock.wrap(self.predictor, "predict", "network")

    def _prove(self, model: Path) -> None:
        """As habitus warm does it."""
        from inference.engine.onnx_session import available_providers, surroundings_here
        from inference.engine.prepare_accelerators import prepare
        from inference.engine.trial_networks import trial_network

        network = trial_network(self.store.verified_manifest(model.name, model.parent), model)
        for one in prepare(
            [network],
            self.providers,
            available_providers(),
            lambda: surroundings_here(
                self.acceleration.tensorrt_libraries, with_tensorrt="tensorrt" in self.providers
            ),
            self.acceleration,
        ):
            self.proof = one.text
            if not one.is_ready:
                raise SystemExit(f"{one.subject}: {one.text}")

    def _claim(self, model: Path, *, is_built: bool) -> None:
        """Reduced precision for the sake of its speed."""
        from inference.engine.answers_compared import Difference
        from inference.engine.built import Precision, built_in, fresh_folder, key_of, write_proof
        from inference.engine.onnx_session import surroundings_here
        from inference.engine.providers import PROVIDERS

        here, root = (
            surroundings_here(
                self.acceleration.tensorrt_libraries, with_tensorrt="tensorrt" in self.providers
            ),
            self.acceleration.built_folder,
        )
        if here is None or root is None:
            raise SystemExit("no GPU that CUDA finds")
        sha256 = self.store.verified_manifest(model.name, model.parent).onnx_sha256
        key = key_of(PROVIDERS[self.providers[0]], sha256, here)
        if built_in(root / key, self.acceleration.half_precision_error) is None:
            folder = root / key if is_built else fresh_folder(root, key)
            claimed = Difference(precision="claimed", max_abs_error=0.0, span=1.0, agreement=1.0)
            write_proof(folder, Precision.REDUCED, [claimed])


OURS = {"ours-cuda": "cuda", "ours-tensorrt": "tensorrt"}
CONTENDERS = ("nnunetv2", *OURS)


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--scan", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--built", type=Path, required=True)
    parser.add_argument("--tensorrt-libraries", type=Path)
    parser.add_argument(
        "--unproven", action="store_true", help="reduced precision without a comparison"
    )
    options = parser.parse_args()
    name, clock = options.contender, StageClock(time.perf_counter)
    contender: Any = OursOnGpu(clock, options) if name in OURS else TheirsOnGpu(clock)
    started = time.perf_counter()
    contender.load(options.model)
    load_s = time.perf_counter() - started
    scan = contender.read(options.scan)
    started = time.perf_counter()
    contender.labels(scan)
    first_s = time.perf_counter() - started
    clock.restart()
    started = time.perf_counter()
    with clock.stage("read"):
        scan = contender.read(options.scan)
    with clock.stage(contender.between):
        labels = contender.labels(scan)
    with clock.stage("write"):
        contender.write(labels, scan, options.out)
    figures = {
        "wall_s": time.perf_counter() - started,
        "load_s": load_s,
        "first_labels_s": first_s,
        "stages_s": clock.spent_s,
        "network_calls": clock.calls.get("network", 0),
        "proof": getattr(contender, "proof", ""),
    }
    print(json.dumps(figures))  # noqa: T201 (what the caller reads)


if __name__ == "__main__":
    main()

"""One contender, one scan, one process: python -m tests.benchmarks.nnunet_speed.one_run NAME …; figures as JSON on the last line."""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from tests.benchmarks.stage_clock import StageClock

EXPORT = "convert_predicted_logits_to_segmentation_with_correct_shape"
"""What nnunetv2 calls interpolation and argmax."""
STAGES = (
    *("load", "read", "resampling", "network", "accumulation", "upsampling"),
    *("write", "other"),
)
"""Of a contender, the rest of `labels` as "other"; nnunetv2 crops, normalises and resamples in one."""


def peak_mb() -> float:
    """Of resident memory so far; getrusage would count the parent's, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


class Theirs:
    """nnunetv2's predictor on the CPU, network calls counted apart."""

    between = "resampling"

    def __init__(self, clock: StageClock) -> None:
        import torch
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
        from nnunetv2.inference import predict_from_raw_data as way

        self.clock, self.torch, self.io = clock, torch, SimpleITKIO()
        self.predictor = way.nnUNetPredictor(
            device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False
        )
        clock.wrap(way, EXPORT, "upsampling")
        clock.wrap(self.predictor, "predict_logits_from_preprocessed_data", "accumulation")

    def load(self, trained: Path) -> None:
        """The folder that nnU-Net left."""
        self.predictor.initialize_from_trained_model_folder(str(trained), None)
        self.clock.wrap(self.predictor.network, "forward", "network")

    def read(self, scan: Path) -> tuple[Any, Any]:
        """Voxels and what the reader knows of them."""
        read: tuple[Any, Any] = self.io.read_images([str(scan)])
        return read

    def labels(self, scan: tuple[Any, Any]) -> Any:
        """As predict_from_files has them, in this process; what is no other stage prepares the image."""
        return self.predictor.predict_single_npy_array(*scan)

    def write(self, labels: Any, scan: tuple[Any, Any], out: Path) -> None:
        """With the reader's own writer."""
        self.io.write_seg(labels, str(out), scan[1])


class Monai(Theirs):
    """nnU-Net's preparation and export about MONAI's sliding window."""

    def labels(self, scan: tuple[Any, Any]) -> Any:
        """Folds averaged, as the predictor does."""
        from monai.inferers.utils import sliding_window_inference
        from nnunetv2.inference import export_prediction

        exported = getattr(export_prediction, EXPORT)
        p = self.predictor
        configuration = p.configuration_manager
        prepared, _, properties = configuration.preprocessor_class().run_case_npy(
            scan[0], None, scan[1], p.plans_manager, configuration, p.dataset_json
        )
        image: Any = self.torch.from_numpy(prepared)[None]
        total: Any = 0
        with self.torch.inference_mode(), self.clock.stage("accumulation"):
            for weights in p.list_of_parameters:
                p.network.load_state_dict(weights)
                logits = sliding_window_inference(
                    image, configuration.patch_size, 1, p.network, 0.5, mode="gaussian"
                )[0]
                total = total + logits
        total = total / len(p.list_of_parameters)
        with self.clock.stage("upsampling"):
            return exported(total, p.plans_manager, configuration, p.label_manager, properties)


class Ours:
    """The node's way: no torch in the process."""

    between = "other"

    def __init__(
        self, clock: StageClock, providers: tuple[str, ...], patches: str = "exact"
    ) -> None:
        import inference.nnunet.labels as way
        import inference.nnunet.planes as planes
        import inference.segment_organs as organs
        from inference.domain.analysis_profile import OrganPatches
        from inference.engine import model_store
        from inference.kernels.rolling_logits import RollingLogits
        from inference.nifti import ct_image

        self.clock, self.providers, self.patches = clock, providers, OrganPatches(patches)
        self.store, self.nifti, self.way, self.organs = model_store, ct_image, way, organs
        self.predictor: Any = None
        self.plans: list[Any] = []
        for name in ("winners", "label_slice"):
            clock.wrap(way, name, "upsampling")
        for name in ("add", "take"):
            clock.wrap(RollingLogits, name, "accumulation")
        for name in ("resampled_slice", "weighted_sum"):
            clock.wrap(planes, name, "resampling")

    def load(self, model: Path) -> None:
        """The folder that habitus import-nnunet made."""
        self.predictor = self.store.load_predictor(
            model.name, "organs", model.parent, self.providers
        )
        self.clock.wrap(self.predictor, "predict", "network")

    def read(self, scan: Path) -> Any:
        """In canonical order, checked to be a CT."""
        return self.nifti.read_ct(scan)

    def labels(self, scan: Any) -> Any:
        """All that the network says, nothing dropped."""
        recipe, volume = self.predictor.manifest.recipe, scan.volume
        asking = self.organs.asking_for(
            self.patches, volume.hu, volume.spacing_mm, self.plans.append
        )
        return self.way.labels_of(
            volume.hu, volume.spacing_mm, recipe, self.predictor.predict, lambda _: None, asking
        )

    def write(self, labels: Any, scan: Any, out: Path) -> None:
        """On the file's own grid."""
        self.nifti.write_labels(labels, scan, out)


CONTENDERS: dict[str, Callable[[StageClock], Any]] = {
    "nnunetv2": Theirs,
    "monai": Monai,
    "ours-ort": lambda clock: Ours(clock, ("cpu",)),
    "ours-openvino": lambda clock: Ours(clock, ("openvino",)),
    "ours-fast": lambda clock: Ours(clock, ("openvino",), "fast"),
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--scan", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    clock = StageClock()
    contender = CONTENDERS[options.contender](clock)
    base_mb, started, wall = peak_mb(), time.process_time(), time.perf_counter()
    with clock.stage("load"):
        contender.load(options.model)
    with clock.stage("read"):
        scan = contender.read(options.scan)
    with clock.stage(contender.between):
        labels = contender.labels(scan)
    with clock.stage("write"):
        contender.write(labels, scan, options.out)
    figures = {
        "cpu_s": time.process_time() - started,
        "wall_s": time.perf_counter() - wall,
        "base_mb": base_mb,
        "peak_mb": peak_mb(),
        "stages_cpu_s": clock.spent_s,
        "voxels": int(np.prod(np.shape(labels))),
        "plan": [plan.in_words() for plan in getattr(contender, "plans", [])],
    }
    print(json.dumps(figures))  # noqa: T201 (what the caller reads)


if __name__ == "__main__":
    main()

"""One contender, one scan, one process: python -m tests.benchmarks.nnunet_speed.one_run NAME …; figures as JSON on the last line."""

import argparse
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np


class Clock:
    """CPU time of all threads and wall time, by stage."""

    def __init__(self) -> None:
        self.cpu_s: dict[str, float] = {}
        self.wall_s: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Added to what the stage took before."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.cpu_s[name] = self.cpu_s.get(name, 0.0) + time.process_time() - cpu
        self.wall_s[name] = self.wall_s.get(name, 0.0) + time.perf_counter() - wall


def peak_mb() -> float:
    """Of resident memory so far; getrusage would count the parent's, too."""
    status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


class Theirs:
    """nnunetv2's predictor on the CPU, network calls counted apart."""

    def __init__(self, clock: Clock) -> None:
        import torch
        from nnunetv2.imageio.simpleitk_reader_writer import SimpleITKIO
        from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor

        self.clock, self.torch, self.io = clock, torch, SimpleITKIO()
        self.predictor = nnUNetPredictor(
            device=torch.device("cpu"), perform_everything_on_device=False, allow_tqdm=False
        )

    def load(self, trained: Path) -> None:
        """The folder that nnU-Net left."""
        self.predictor.initialize_from_trained_model_folder(str(trained), None)
        network = self.predictor.network
        inner: Callable[[Any], Any] = network.forward

        def forward(images: Any) -> Any:
            with self.clock.stage("network"):
                return inner(images)

        network.forward = forward

    def read(self, scan: Path) -> tuple[Any, Any]:
        """Voxels and what the reader knows of them."""
        read: tuple[Any, Any] = self.io.read_images([str(scan)])
        return read

    def labels(self, scan: tuple[Any, Any]) -> Any:
        """As predict_from_files has them, in this process."""
        return self.predictor.predict_single_npy_array(*scan)

    def write(self, labels: Any, scan: tuple[Any, Any], out: Path) -> None:
        """With the reader's own writer."""
        self.io.write_seg(labels, str(out), scan[1])


class Monai(Theirs):
    """nnU-Net's preparation and export about MONAI's sliding window."""

    def labels(self, scan: tuple[Any, Any]) -> Any:
        """Folds averaged, as the predictor does."""
        from monai.inferers.utils import sliding_window_inference
        from nnunetv2.inference.export_prediction import (
            convert_predicted_logits_to_segmentation_with_correct_shape as exported,
        )

        p = self.predictor
        configuration = p.configuration_manager
        prepared, _, properties = configuration.preprocessor_class().run_case_npy(
            scan[0], None, scan[1], p.plans_manager, configuration, p.dataset_json
        )
        image: Any = self.torch.from_numpy(prepared)[None]
        total: Any = 0
        with self.torch.inference_mode():
            for weights in p.list_of_parameters:
                p.network.load_state_dict(weights)
                logits = sliding_window_inference(
                    image, configuration.patch_size, 1, p.network, 0.5, mode="gaussian"
                )[0]
                total = total + logits
        return exported(
            total / len(p.list_of_parameters),
            p.plans_manager,
            configuration,
            p.label_manager,
            properties,
        )


class Ours:
    """The node's way: no torch in the process."""

    def __init__(self, clock: Clock, providers: tuple[str, ...]) -> None:
        import inference.nnunet.labels
        from inference.engine import model_store
        from inference.nifti import ct_image

        self.clock, self.providers = clock, providers
        self.store, self.nifti, self.way = model_store, ct_image, inference.nnunet.labels
        self.predictor: Any = None

    def load(self, model: Path) -> None:
        """The folder that habitus import-nnunet made."""
        self.predictor = self.store.load_predictor(
            model.name, "organs", model.parent, self.providers
        )

    def read(self, scan: Path) -> Any:
        """In canonical order, checked to be a CT."""
        return self.nifti.read_ct(scan)

    def labels(self, scan: Any) -> Any:
        """All that the network says, nothing dropped."""

        def network(batch: Any) -> Any:
            with self.clock.stage("network"):
                return self.predictor.predict(batch)

        recipe = self.predictor.manifest.recipe
        volume = scan.volume
        return self.way.labels_of(volume.hu, volume.spacing_mm, recipe, network, lambda _: None)

    def write(self, labels: Any, scan: Any, out: Path) -> None:
        """On the file's own grid."""
        self.nifti.write_labels(labels, scan, out)


CONTENDERS: dict[str, Callable[[Clock], Any]] = {
    "nnunetv2": Theirs,
    "monai": Monai,
    "ours-ort": lambda clock: Ours(clock, ("cpu",)),
    "ours-openvino": lambda clock: Ours(clock, ("openvino",)),
}


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("contender", choices=CONTENDERS)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--scan", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    clock = Clock()
    contender = CONTENDERS[options.contender](clock)
    base_mb, started, wall = peak_mb(), time.process_time(), time.perf_counter()
    with clock.stage("load"):
        contender.load(options.model)
    with clock.stage("read"):
        scan = contender.read(options.scan)
    with clock.stage("labels"):
        labels = contender.labels(scan)
    with clock.stage("write"):
        contender.write(labels, scan, options.out)
    figures = {
        "cpu_s": time.process_time() - started,
        "wall_s": time.perf_counter() - wall,
        "base_mb": base_mb,
        "peak_mb": peak_mb(),
        "stages_cpu_s": clock.cpu_s,
        "voxels": int(np.prod(np.shape(labels))),
    }
    print(json.dumps(figures))  # noqa: T201 (what the caller reads)


if __name__ == "__main__":
    main()

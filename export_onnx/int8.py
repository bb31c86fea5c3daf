"""The organ network in eight bits, offered only where it segments as well as in full: python -m export_onnx.int8 organs."""

import argparse
import shutil
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.domain.errors import ConfigurationInvalid
from training.as_command import exit_status

MODELS = Path(__file__).parent.parent / "models"
SUFFIX = "-int8"
FIRST_CALIBRATION_SEED = 8_000_000
PATCHES_OF_A_CASE = 2
LOGITS_KEPT = 0.25
"""Of the logits' range on the synthetic slab, how far eight bits may be off at most; Dice is what decides."""
EXAMPLES = """examples:
  python -m export_onnx.int8 organs --out docs/results/int8.md
  python -m export_onnx.int8 organs --models site-models --cases 40

Where every organ keeps its Dice within 0.005 on synthetic CTs, models/NAME-int8 is written: name it in a profile
(organ_model = "organs-int8") and put openvino first in the providers; ONNX Runtime gains nothing by it. Runs in the training
environment (make setup-training).
"""

Float = npt.NDArray[np.float32]


def main(arguments: list[str] | None = None) -> int:
    """Parse, quantise, hold against the network in full; 1 where nothing is offered."""
    parser = argparse.ArgumentParser(
        prog="python -m export_onnx.int8",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="of an organ model of ours")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of model folders")
    parser.add_argument("--cases", type=int, default=24, help="synthetic CTs that decide")
    parser.add_argument("--calibration", type=int, default=8, help="synthetic CTs that set scales")
    parser.add_argument("--out", type=Path, help="file for the table")
    parser.add_argument("--replace", action="store_true", help="replace a model of that name")
    options = parser.parse_args(arguments)
    return exit_status("python -m export_onnx.int8", lambda: make_small(options))


def make_small(options: argparse.Namespace) -> int:
    """Raises HabitusError."""
    from export_onnx.int8_gate import GateOutcome, gate_table, held_against
    from inference.domain.analysis_profile import load_profile
    from inference.engine.model_store import load_predictor
    from inference.engine.openvino_predictor import OpenVinoPredictor

    name, models = options.name, options.models
    folder = models / f"{name}{SUFFIX}"
    if folder.exists() and not options.replace:
        raise ConfigurationInvalid(
            found=f"{folder.name} in {models.name}",
            wanted="no model of that name",
            advice="Say --replace, or remove it.",
        )
    full = load_predictor(name, "organs", models, ("openvino",))
    if full.manifest.recipe is not None:
        raise ConfigurationInvalid(
            found=f"{name}, a network that nnU-Net trained",
            wanted="one of ours: synthetic CT, by which eight bits are judged, is what they learned from",
            advice="Leave it in full precision.",
        )
    shifts = load_profile("abdomen").organ_grid_shifts
    with TemporaryDirectory(prefix="habitus-int8-") as aside:
        building = Path(aside) / folder.name
        building.mkdir()
        small_path = building / "model.onnx"
        quantise(models / name / "model.onnx", small_path, _patches(full, options.calibration))
        small = OpenVinoPredictor(small_path, full.manifest)
        outcome: GateOutcome = held_against(full, small, shifts, options.cases, _say_case)
        text = _page(options, outcome, gate_table(outcome), small_path)
        sys.stdout.write(text)
        if options.out:
            options.out.write_text(text, encoding="utf-8")
        if not outcome.holds:
            return 1
        _write_manifest(full, small, building)
        (building / "README.md").write_text(f"# {folder.name}\n\n{text}", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(building, folder)
    return 0


def _say_case(number: int) -> None:
    sys.stderr.write(f"\rcase {number}")
    sys.stderr.flush()


def _patches(full: Any, cases: int) -> Iterator[Float]:
    """Of synthetic CTs, as the node makes them: some of those that each is cut into."""
    from export_onnx.int8_gate import Watched, synthetic_cases
    from inference.segment_organs import segment_organs

    rng = np.random.default_rng(0)
    for case in synthetic_cases(FIRST_CALIBRATION_SEED, cases):
        seen = Watched(full, keeps_batches=True)
        segment_organs(case.volume, seen, (0.0,), lambda _stage, _share: None)
        chosen = rng.choice(len(seen.batches), min(PATCHES_OF_A_CASE, len(seen.batches)), False)
        yield from (seen.batches[k] for k in chosen)


def quantise(source: Path, target: Path, patches: Iterator[Float]) -> None:
    """Convolutions in eight bits, all but the first and the last; activations in 0..255, weights by channel."""
    import onnx
    from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType
    from onnxruntime.quantization import quantize_static as quantize
    from onnxruntime.quantization.shape_inference import quant_pre_process as prepare

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        """The patches, one by one."""

        def get_next(self) -> dict[str, Float] | None:
            patch = next(patches, None)
            return None if patch is None else {"image": patch}

    prepared = target.with_suffix(".prepared.onnx")
    prepare(str(source), str(prepared), skip_symbolic_shape=True)
    convolutions = [n.name for n in onnx.load(str(prepared)).graph.node if n.op_type == "Conv"]
    quantize(
        str(prepared),
        str(target),
        Reader(),
        quant_format=QuantFormat.QDQ,
        per_channel=True,
        weight_type=QuantType.QInt8,
        # Behind a leaky ReLU next to nothing is negative: 0..255 about a zero of its own keeps a bit more than -127..127.
        activation_type=QuantType.QUInt8,
        op_types_to_quantize=["Conv"],
        nodes_to_exclude=[convolutions[0], convolutions[-1]],
    )
    prepared.unlink()


def _write_manifest(full: Any, small: Any, building: Path) -> None:
    from export_onnx.orders import MANIFEST_NAME
    from export_onnx.parity import normalised_inputs, patch_of, synthetic_slab
    from inference.domain.manifest import Parity, load_manifest, manifest_to_json, sha256_of

    manifest = full.manifest
    spec = manifest.input
    slab = patch_of(synthetic_slab(), spec.shape[2:])[None, None]
    image = normalised_inputs(slab, (spec.hu_window[0], spec.hu_window[1]), spec.mean, spec.sd)
    wanted, found = full.predict(image["slab"]), small.predict(image["slab"])
    same = float(np.mean(wanted.argmax(1) == found.argmax(1)))
    parity = Parity(
        tolerance_max_abs=LOGITS_KEPT * float(np.ptp(wanted)),
        max_abs_error={"slab": float(np.abs(found - wanted).max())},
        argmax_agreement={"slab": same},
    )
    changed = replace(
        manifest,
        name=building.name,
        onnx_sha256=sha256_of(building / "model.onnx"),
        parity=parity,
        intended_use=f"{manifest.intended_use} In eight bits, for OpenVINO.",
    )
    (building / MANIFEST_NAME).write_text(manifest_to_json(changed), encoding="utf-8")
    load_manifest(building)


def _page(options: argparse.Namespace, outcome: Any, table: str, small_path: Path) -> str:
    from export_onnx.int8_gate import LARGEST_DROP, LEAST_CASES

    full_s, small_s = outcome.patch_s
    sizes = [
        path.stat().st_size / 1e6
        for path in (options.models / options.name / "model.onnx", small_path)
    ]
    verdict = (
        f"**The gate holds**: `models/{options.name}{SUFFIX}` may be used."
        if outcome.holds
        else "**The gate is missed: nothing is offered.**"
    )
    return f"""`python -m export_onnx.int8 {options.name} --cases {options.cases} --calibration {options.calibration}`

`{options.name}` with its convolutions in eight bits (static, QDQ, by channel; scales from {options.calibration} synthetic CTs), run by OpenVINO, on {outcome.cases} other synthetic
CTs that neither was trained on; half of them from ranges that training leaves out. Says nothing about patients.

A patch takes {small_s:.3f} CPU s in place of {full_s:.3f} ({small_s / full_s:.2f}); the file is {sizes[1]:.1f} MB in place of {sizes[0]:.1f}.

{table}

Allowed: {LARGEST_DROP} of any organ, on {LEAST_CASES} CTs at least; worst here: {outcome.worst:+.4f}. {verdict}
"""


if __name__ == "__main__":
    sys.exit(main())

"""A trained nnU-Net folder → a model folder of the task "organs": habitus import-nnunet, python -m training nnunet export."""

import argparse
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from export_onnx.orders import MANIFEST_NAME, new_export, replacing_export
from inference.domain.errors import ConfigurationInvalid
from inference.domain.manifest import UNREPORTED
from training.as_command import exit_status
from training.revision import code_revision

if TYPE_CHECKING:
    from export_onnx.nnunet_network import ServedNetwork, TrainedFolder
    from export_onnx.nnunet_proof import Agreement
    from export_onnx.orders import Export
    from inference.domain.manifest import ModelManifest, Parity

MODELS = Path(__file__).parent.parent / "models"
WEIGHTS_NAME = "weights.safetensors"
CARD_NAME = "README.md"
LICENCE = "that of the data it was trained on"
AS_NNUNET = "labels of a synthetic CT, nnunetv2's predictor and the node"
"""Key of the manifest's parity for the whole way from a scan to its labels."""
FOLD = re.compile(r"fold_([0-9]+)")
"""A copy beside it (fold_0_backup) is none."""
EXAMPLES = """examples:
  habitus import-nnunet nnUNet_results/Dataset701_CT/nnUNetTrainer__nnUNetPlans__3d_fullres --name organs-of-ours
  habitus import-nnunet Dataset291_TotalSegmentator/nnUNetTrainerNoMirroring__nnUNetPlans__3d_fullres --name total-1 --folds 0
  habitus import-nnunet … --name quick --orientation RAS --no-mirroring

Then name it in a profile: organ_model = "organs-of-ours". Nothing is downloaded; checkpoints are read as weights and
numbers alone. Runs in the training environment (make setup-training).

exit status: 0 done · 2 wrong arguments, or a network that the node cannot serve · 4 a folder that is no trained nnU-Net's, or damaged · 6 its answers are
not nnunetv2's
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse, export, and turn our own errors into exit codes."""
    options = _parser().parse_args(arguments)

    def command() -> int:
        make = replacing_export if options.replace else new_export
        order = make(options.name, options.model_version, options.trained, options.models)
        from export_onnx.nnunet_network import TrainedFolder

        trained = TrainedFolder(
            folder=options.trained,
            configuration=options.configuration or _configuration(options.trained),
            folds=finished_folds(options.trained, options.folds),
            orientation=options.orientation,
            mirrors=not options.no_mirroring,
        )
        _say(make_organ_model(order, trained), len(trained.folds), order.folder)
        return 0

    return exit_status("habitus import-nnunet", command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="habitus import-nnunet",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "trained", type=Path, help="the folder with plans.json, dataset.json and fold_*"
    )
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument(
        "--configuration", help="2d, 3d_fullres or 3d_lowres (default: as the folder is called)"
    )
    parser.add_argument("--folds", default="all", help="all that are there, or numbers with commas")
    parser.add_argument(
        "--orientation",
        default="",
        help="of the training images, such as RAS; asked for if unknown",
    )
    parser.add_argument(
        "--no-mirroring", action="store_true", help="one view of each patch: faster, a little worse"
    )
    parser.add_argument("--replace", action="store_true", help="replace a model of that name")
    parser.add_argument("--models", type=Path, default=MODELS, help="folder of model folders")
    parser.add_argument("--model-version", default="0.1.0")
    return parser


def _configuration(trained: Path) -> str:
    return trained.resolve().name.rpartition("__")[2]


def finished_folds(trained: Path, asked: str) -> tuple[int, ...]:
    """Those that are there, or those that are asked for; raises ConfigurationInvalid."""
    finished = (path.parent.name for path in trained.glob("fold_*/checkpoint_final.pth"))
    found = sorted(int(match[1]) for name in finished if (match := FOLD.fullmatch(name)))
    try:
        wanted = found if asked == "all" else sorted({int(number) for number in asked.split(",")})
    except ValueError:
        wanted = []
    if not wanted or not set(wanted) <= set(found):
        raise ConfigurationInvalid(
            found=f"folds {', '.join(map(str, found)) or 'none'} in {trained.name:.80}",
            wanted=f"--folds {asked:.40}, each with checkpoint_final.pth",
            advice="Name the folder that holds plans.json and fold_0, and folds that are trained to their end.",
        )
    return tuple(wanted)


def _say(manifest: "ModelManifest", folds: int, folder: Path) -> None:
    worst = max(manifest.parity.max_abs_error.values())
    reported = [s.value for s in manifest.structures().values()]
    others = _unreported(manifest)
    lines = [
        f"{folder}: {manifest.parameters} parameters in {folds} folds",
        f"parity of logits {worst:.1e} (allowed {manifest.parity.tolerance_max_abs:.1e}); "
        f"{manifest.parity.argmax_agreement[AS_NNUNET]:.6f} of a synthetic CT's voxels as nnunetv2 labels them",
        f"reported by the node ({len(reported)}): {', '.join(reported)}",
        *([f"not reported ({len(others)}): {', '.join(others)}"] if others else []),
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _unreported(manifest: "ModelManifest") -> list[str]:
    labels = manifest.output.labels
    return [each.removeprefix(UNREPORTED) for each in labels if each.startswith(UNREPORTED)]


def _as_labelled(manifest: "ModelManifest") -> str:
    """Of listed structures, which no rule of ours is about."""
    return (
        "; structures that are no organs of ours stay whole, as the network labels them"
        if any(structure.is_listed for structure in manifest.structures().values())
        else ""
    )


def make_organ_model(order: "Export", trained: "TrainedFolder") -> "ModelManifest":
    """Export, prove parity, put the folder in place; whatever fails, nothing half-written stays."""
    from safetensors.torch import save_file

    from export_onnx.export import export_network
    from export_onnx.nnunet_network import served_network, weights_of
    from export_onnx.nnunet_proof import normalised_patches, prove_labels
    from export_onnx.package import ONNX_NAME, built_aside
    from export_onnx.parity import prove_network_parity, synthetic_slab
    from inference.domain.manifest import load_manifest, manifest_to_json

    served = served_network(trained)
    slab = synthetic_slab()
    images = normalised_patches(slab, served.recipe)
    with built_aside(order.folder) as building:
        onnx_path = building / ONNX_NAME
        export_network(served.network, (1, 1, *served.recipe.patch), onnx_path)
        parity = prove_network_parity(
            order.name, served.network, onnx_path, images, len(served.labels)
        )
        agreement = prove_labels(trained, served, onnx_path, slab)
        decisions = parity.argmax_agreement | {AS_NNUNET: agreement.voxels}
        parity = replace(parity, argmax_agreement=decisions)
        save_file(weights_of(served.network), building / WEIGHTS_NAME)
        # safetensors lets nobody else read it; the node has a user of its own.
        (building / WEIGHTS_NAME).chmod(0o644)
        manifest = _manifest(order, served, building, parity)
        (building / CARD_NAME).write_text(_card(manifest, agreement), encoding="utf-8")
        (building / MANIFEST_NAME).write_text(manifest_to_json(manifest), encoding="utf-8")
        return load_manifest(building)


def _manifest(
    order: "Export", served: "ServedNetwork", building: Path, parity: "Parity"
) -> "ModelManifest":
    from export_onnx.export import INPUT_NAME, OPSET, OUTPUT_NAME
    from export_onnx.package import ONNX_NAME
    from inference.domain.manifest import (
        SCHEMA_VERSION,
        InputSpec,
        ModelManifest,
        OutputSpec,
        sha256_of,
    )

    recipe = served.recipe
    reported = [label for label in served.labels[1:] if not label.startswith(UNREPORTED)]
    return ModelManifest(
        schema_version=SCHEMA_VERSION,
        name=order.name,
        version=order.version,
        task="organs",
        onnx_sha256=sha256_of(building / ONNX_NAME),
        checkpoint_sha256=sha256_of(building / WEIGHTS_NAME),
        input=InputSpec(
            name=INPUT_NAME,
            dtype="float32",
            layout="NCYX" if recipe.is_flat else "NCZYX",
            shape=(1, 1, *recipe.patch),
            spacing_mm=recipe.spacing_mm,
            # What the recipe says is what is done; without a clip, all that 12 bits can hold passes.
            hu_window=recipe.clip or (-1024.0, 3071.0),
            mean=0.0,
            sd=1.0,
        ),
        output=OutputSpec(
            name=OUTPUT_NAME, shape=(1, len(served.labels), *recipe.patch), labels=served.labels
        ),
        opset=OPSET,
        parity=parity,
        parameters=sum(weight.numel() for weight in served.network.parameters()),
        training_data=_training_data(served),
        code_revision=code_revision(),
        intended_use=f"{', '.join(reported)} on CT. For research use only.",
        licence=LICENCE,
        recipe=recipe,
    )


def _training_data(served: "ServedNetwork") -> str:
    folds = f"by nnU-Net (nnunetv2), the mean of {len(served.network.folds)} folds."
    if not served.notes:
        return f"Data that others prepared, {folds}"
    kind = "Synthetic CT" if served.notes["is_synthetic"] else "Labelled CT"
    return (
        f"{kind} of the layout {served.notes['layout']} (data {served.notes['data_hash']}), {folds}"
    )


def _card(manifest: "ModelManifest", agreement: "Agreement") -> str:
    assert manifest.recipe is not None
    clip = manifest.recipe.clip
    window = f"{clip[0]:g} to {clip[1]:g} HU" if clip else "each scan's own mean and deviation"
    spacing = " × ".join(f"{step:g}" for step in manifest.input.spacing_mm)
    errors = "\n".join(
        f"| {name} | {error:.1e} | {manifest.parity.argmax_agreement[name]:.5f} |"
        for name, error in manifest.parity.max_abs_error.items()
    )
    others = _unreported(manifest)
    dice = "\n".join(f"| {name} | {value:.5f} |" for name, value in agreement.dice.items())
    return f"""# {manifest.name} {manifest.version}

A network that nnU-Net planned and trained, run by the node as nnU-Net's own predictor runs it. **{manifest.intended_use}**

- {manifest.training_data}
- Patches {list(manifest.recipe.patch)} of {spacing} mm, {window}, images lying {manifest.recipe.orientation}, mirrored along
  {len(manifest.recipe.mirror_axes)} axes
- {manifest.parameters} parameters, opset {manifest.opset}, licence: {manifest.licence}
- Known to the network and not reported by the node: {", ".join(others) or "nothing"}

After it, as of any organ, the node drops pieces below a millilitre and those far from the largest one{_as_labelled(manifest)}.

## ONNX Runtime against torch

| input | largest difference of a logit | decisions that agree |
|---|---|---|
{errors}

## The node against nnunetv2's own predictor

On a synthetic CT, {agreement.voxels:.6f} of all voxels have the same label, and {agreement.settled:.6f} the same or one that nnunetv2 itself
holds to be as likely within a hundredth (it adds logits up in half precision).

| label | Dice of both answers |
|---|---|
{dice}
"""


if __name__ == "__main__":
    sys.exit(main())

"""A trained nnU-Net → a model folder of the task "organs"; started by python -m training nnunet export."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from export_onnx.orders import MANIFEST_NAME, new_export
from training.as_command import exit_status
from training.revision import code_revision

if TYPE_CHECKING:
    from export_onnx.nnunet_network import ServedNetwork, TrainedFolder
    from export_onnx.orders import Export
    from inference.domain.manifest import ModelManifest, Parity

WEIGHTS_NAME = "weights.safetensors"
CARD_NAME = "README.md"
LICENCE = "that of the data it was trained on"
DIFFERENCES = """The node prepares and joins its patches a little otherwise than nnU-Net does: images are resampled linearly and not by
splines, nothing is mirrored, a field smaller than a patch is filled with air and not with zeros after normalisation, and the
rims of solid organs are decided by the CT itself. Figures of `python -m training nnunet evaluate` are nnU-Net's, not the node's."""


def main(arguments: list[str] | None = None) -> int:
    """Parse, export, and turn our own errors into exit codes."""
    parser = argparse.ArgumentParser(prog="python -m export_onnx.nnunet", description=__doc__)
    parser.add_argument("--trained", type=Path, required=True, help="folder that nnU-Net left")
    parser.add_argument("--configuration", required=True)
    parser.add_argument("--folds", required=True, help="numbers with commas")
    parser.add_argument("--models", type=Path, required=True, help="folder of model folders")
    parser.add_argument("--name", required=True, help="of the model")
    parser.add_argument("--model-version", default="0.1.0")
    options = parser.parse_args(arguments)

    def command() -> int:
        order = new_export(options.name, options.model_version, options.trained, options.models)
        from export_onnx.nnunet_network import TrainedFolder

        trained = TrainedFolder(
            folder=options.trained,
            configuration=options.configuration,
            folds=tuple(int(fold) for fold in options.folds.split(",")),
        )
        manifest = make_organ_model(order, trained)
        worst = max(manifest.parity.max_abs_error.values())
        sys.stdout.write(
            f"{order.folder}: parity {worst:.1e} (allowed {manifest.parity.tolerance_max_abs:.1e}), "
            f"{manifest.parameters} parameters in {len(trained.folds)} folds\n"
        )
        return 0

    return exit_status("training nnunet export", command)


def make_organ_model(order: "Export", trained: "TrainedFolder") -> "ModelManifest":
    """Export, prove parity, put the folder in place; whatever fails, nothing half-written stays."""
    from safetensors.torch import save_file

    from export_onnx.export import export_network
    from export_onnx.nnunet_network import served_network, weights_of
    from export_onnx.package import ONNX_NAME, built_aside
    from export_onnx.parity import (
        normalised_inputs,
        patch_of,
        prove_network_parity,
        synthetic_slab,
    )
    from inference.domain.manifest import load_manifest, manifest_to_json
    from inference.domain.volume import Volume
    from inference.stages.grids import resample

    served = served_network(trained)
    slab = resample(synthetic_slab(), served.spacing_mm)
    patch = patch_of(Volume(hu=slab.hu, affine_lps=slab.affine_lps), served.patch)
    images = normalised_inputs(patch[None, None], served.hu_window, served.mean, served.sd)
    with built_aside(order.folder) as building:
        export_network(served.network, (1, 1, *served.patch), building / ONNX_NAME)
        parity = prove_network_parity(
            order.name, served.network, building / ONNX_NAME, images, len(served.labels)
        )
        save_file(weights_of(served.network), building / WEIGHTS_NAME)
        manifest = _manifest(order, served, building, parity)
        (building / CARD_NAME).write_text(_card(manifest), encoding="utf-8")
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
            layout="NCZYX",
            shape=(1, 1, *served.patch),
            spacing_mm=served.spacing_mm,
            hu_window=served.hu_window,
            mean=served.mean,
            sd=served.sd,
        ),
        output=OutputSpec(
            name=OUTPUT_NAME,
            shape=(1, len(served.labels), *served.patch),
            labels=served.labels,
        ),
        opset=OPSET,
        parity=parity,
        parameters=sum(weight.numel() for weight in served.network.parameters()),
        training_data=_training_data(served),
        code_revision=code_revision(),
        intended_use=f"{', '.join(served.labels[1:])} on CT. For research use only.",
        licence=LICENCE,
    )


def _training_data(served: "ServedNetwork") -> str:
    kind = "Synthetic CT" if served.notes["is_synthetic"] else "Labelled CT"
    return (
        f"{kind} of the layout {served.notes['layout']} (data {served.notes['data_hash']}), "
        f"by nnU-Net (nnunetv2), the mean of {len(served.network.folds)} folds."
    )


def _card(manifest: "ModelManifest") -> str:
    low, high = manifest.input.hu_window
    spacing = " × ".join(f"{step:g}" for step in manifest.input.spacing_mm)
    errors = "\n".join(
        f"| {name} | {error:.1e} | {manifest.parity.argmax_agreement[name]:.5f} |"
        for name, error in manifest.parity.max_abs_error.items()
    )
    return f"""# {manifest.name} {manifest.version}

A network that nnU-Net planned and trained, made to be served by the node. **{manifest.intended_use}**

- {manifest.training_data}
- Input: {list(manifest.input.shape)} voxels of {spacing} mm, {low:g} to {high:g} HU
- {manifest.parameters} parameters, opset {manifest.opset}, licence: {manifest.licence}

{DIFFERENCES}

| input | largest difference of a logit, ONNX Runtime to torch | decisions that agree |
|---|---|---|
{errors}
"""


if __name__ == "__main__":
    sys.exit(main())

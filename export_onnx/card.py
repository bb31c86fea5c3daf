"""MODEL_CARD.md: what a model is, in words, from its manifest and its training history."""

from inference.domain.manifest import ModelManifest
from training.checkpoint import History


def model_card(manifest: ModelManifest, history: History) -> str:
    """Markdown; every number comes from the files beside it."""
    low, high = manifest.input.hu_window
    spacing = " × ".join(f"{step:g}" for step in manifest.input.spacing_mm)
    scores = "\n".join(f"| {name} | {value:.4f} |" for name, value in history.metrics.items())
    errors = "\n".join(
        f"| {name} | {error:.1e} | {manifest.parity.argmax_agreement[name]:.5f} |"
        for name, error in manifest.parity.max_abs_error.items()
    )
    return f"""# {manifest.name} {manifest.version}

{manifest.intended_use}
Not a medical device; not for diagnosis.

- Input `{manifest.input.name}`: {manifest.input.layout} {list(manifest.input.shape)}, {spacing} mm, {low:g} to {high:g} HU
- Output `{manifest.output.name}`: {list(manifest.output.shape)}: {", ".join(manifest.output.labels)}
- {manifest.parameters} parameters, opset {manifest.opset}, licence {manifest.licence}

## Training

{manifest.training_data}
{history.step} steps in {history.elapsed_s:.0f} s, code {manifest.code_revision[:12]}.

Scores on kept-back examples of the same synthetic kind. They say nothing about real patients:

| score | value |
|---|---|
{scores}

## ONNX against the network it came from

Logits may differ by at most {manifest.parity.tolerance_max_abs:.1e}.

| input | largest error | argmax agreement |
|---|---|---|
{errors}

## Limits

What was not in the training data is unknown to the network: implants, ascites, resections, other phases and positions.
The checks of the pipeline around it, not the network, decide whether a result is sent.
"""

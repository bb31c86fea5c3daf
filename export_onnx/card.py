"""README.md of a model folder: what the model is, in English and Korean; every number comes from files of the repository."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from export_onnx.orders import MANIFEST_NAME, is_shipped
from inference.domain.errors import ConfigurationInvalid
from inference.domain.manifest import ModelManifest, manifest_from_json
from training.checkpoint_header import History, read_history
from training.specification import CHECKPOINT_NAME

ROOT = Path(__file__).parent.parent
CARD_NAME = "README.md"
RESULTS = ROOT / "docs" / "results"
OF_EXAMPLES_KEPT_BACK = (
    "Scores on kept-back examples of the same synthetic kind, which say nothing about patients"
)
OF_PATIENTS_KEPT_BACK = "Scores on patients of the same data kept back while it learned; the checkpoint was chosen by them, so they flatter it"
AVERAGED_RUN = re.compile(r" ?\(\d+\) (?=\d+ steps: )")
BEFORE = " Before: "
TEXTS = Path(__file__).parent / "card_texts.toml"


def model_card(manifest: ModelManifest, history: History, *, is_shipped: bool) -> str:
    """Markdown; a model of a user's own gets no figures and no failures of ours."""
    texts = tomllib.loads(TEXTS.read_text(encoding="utf-8"))
    own_text = is_shipped and manifest.name in texts
    ours, shared = texts[manifest.name if own_text else manifest.task], texts["shared"]
    parts = [
        f"# {manifest.name} {manifest.version}",
        f"{ours['summary']}\n\n**{manifest.intended_use}** {shared['use']}",
        f"## 요약 (Korean summary)\n\n{ours['summary_ko']} "
        f"{shared['shipped_ko' if is_shipped else 'own_ko']} {shared['use_ko']}",
        _facts(manifest),
        _training(history),
        *(_seen(ours) if is_shipped else []),
        "## Never tested\n\n" + _bullets(shared["never_tested"]),
        _parity(manifest),
        f"## Licence and attribution\n\n{shared['licence' if is_shipped else 'licence_own']}",
    ]
    return "\n\n".join(parts) + "\n"


def card_of(folder: Path) -> str:
    """The card of a model folder as it should be; raises ModelUnusable or UnreadableInput."""
    manifest = manifest_from_json((folder / MANIFEST_NAME).read_text(encoding="utf-8"))
    return model_card(
        manifest, read_history(folder / CHECKPOINT_NAME), is_shipped=is_shipped(folder)
    )


def write_card(folder: Path) -> None:
    """Put the card into a model folder."""
    (folder / CARD_NAME).write_text(card_of(folder), encoding="utf-8")


def section(text: str, heading: str) -> str | None:
    """What stands under a second-level heading of a Markdown text, without the heading."""
    lines = text.splitlines()
    try:
        first = lines.index(f"## {heading}") + 1
    except ValueError:
        return None
    rest = lines[first:]
    end = next((i for i, line in enumerate(rest) if line.startswith("## ")), len(rest))
    return "\n".join(rest[:end]).strip()


def _facts(manifest: ModelManifest) -> str:
    low, high = manifest.input.hu_window
    spacing = " × ".join(f"{step:g}" for step in manifest.input.spacing_mm)
    return "\n".join(
        [
            "## What goes in and comes out",
            "",
            f"- Input `{manifest.input.name}`: {manifest.input.layout} {list(manifest.input.shape)}, "
            f"{spacing} mm, {low:g} to {high:g} HU",
            f"- Output `{manifest.output.name}`: {list(manifest.output.shape)}: {', '.join(manifest.output.labels)}",
            f"- {manifest.parameters} parameters, opset {manifest.opset}, licence {manifest.licence}",
        ]
    )


def _training(history: History) -> str:
    told = _told_by_run(history.training_data)
    code = f"code {history.code_revision[:12]}. The configuration"
    if not history.metrics:
        return f"""## Training

{told}
{history.step} steps in the last run, {history.elapsed_s:.0f} s in all of them together, {code} and its seed lie in
the checkpoint itself. It was not scored on kept-back examples, as no mean is."""
    scores = "\n".join(f"| {name} | {value:.4f} |" for name, value in history.metrics.items())
    kept_back = OF_PATIENTS_KEPT_BACK if history.data_hash else OF_EXAMPLES_KEPT_BACK
    return f"""## Training

{told}
{history.step} steps in {history.elapsed_s:.0f} s, {code}, its seed and these scores lie in
the checkpoint itself. {kept_back}:

| score | value |
|---|---|
{scores}"""


def _told_by_run(training_data: str) -> str:
    """What the weights come from, the last first; what several averaged runs began with stands once."""
    intro, *runs = AVERAGED_RUN.split(training_data)
    first, *before = map(str.strip, intro.split(BEFORE))
    if before:
        first = f"{first}\n\nBefore, the last first:\n\n{_bullets(before)}\n"
    if not runs:
        return first
    lines, told = [first, ""], dict[str, int]()
    for number, run in enumerate(runs, start=1):
        lines.append(f"{number}. {run.split(BEFORE)[0].strip()}")
        for stage in map(str.strip, run.split(BEFORE)[1:]):
            if stage in told:
                lines.append(f"   - before: as run {told[stage]} from here on")
                break
            told[stage] = number
            lines.append(f"   - before: {stage}")
    return "\n".join([*lines, ""])


def _seen(ours: Mapping[str, Any]) -> list[str]:
    """What was seen of the shipped model: figures, failures, pictures."""
    failures = "## Failures seen\n\n" + _bullets(ours["failures"])
    return [*_figures(ours["results"]), failures, *_pictures(ours.get("pictures", ()))]


def _figures(results: Sequence[Sequence[str]]) -> list[str]:
    """Sections of committed results, under the name of their page."""
    parts = []
    for page, heading in results:
        path = RESULTS / page
        text = section(path.read_text(encoding="utf-8"), heading) if path.is_file() else None
        if text is None:
            raise ConfigurationInvalid(
                found=f"no section {heading!r} in docs/results/{page}",
                wanted="the figures that the card shows",
                advice="Run the evaluation that writes the page, or mend export_onnx/card_texts.toml.",
            )
        parts.append(f"## Figures: {heading} ([{page}](../../docs/results/{page}))\n\n{text}")
    return parts


def _pictures(pictures: Sequence[Sequence[str]]) -> list[str]:
    return [f"![{caption}](../../{path})\n\n*{caption}*" for path, caption in pictures]


def _parity(manifest: ModelManifest) -> str:
    errors = "\n".join(
        f"| {name} | {error:.1e} | {manifest.parity.argmax_agreement[name]:.5f} |"
        for name, error in manifest.parity.max_abs_error.items()
    )
    return f"""## ONNX against the network it came from

Logits may differ by at most {manifest.parity.tolerance_max_abs:.1e}.

| input | largest error | argmax agreement |
|---|---|---|
{errors}"""


def _bullets(lines: Sequence[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)

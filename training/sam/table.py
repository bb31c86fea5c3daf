"""The table of all networks with its two ways of asking, as Markdown and JSON, and a picture of kept-back slices."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from inference.engine.model_store import load_predictor
from training.checkpoint import Checkpoint, load_checkpoint
from training.data.cases import LabelledCase
from training.data.opened import OpenedData, open_data
from training.sam.answers import parameters_of, slice_network
from training.sam.evaluate import FROM_OURS, FROM_TRUTH, OURS_ALONE, Row, evaluate
from training.sam.picture import draw
from training.source import Source
from training.specification import CHECKPOINT_NAME

TITLES = {
    "sam_hq": "HQ-SAM, decoder fine-tuned",
    "sam": "SAM, decoder fine-tuned",
    "slices_deeplab": "DeepLabV3+",
    "slices_unet": "U-Net",
}
PUBLISHED = {"sam_hq": 0.936, "sam": 0.917, "slices_deeplab": 0.899, "slices_unet": 0.842}
"""Mean Dice on FLARE22, single slices, prompts from the truth."""
MECHANISM_ONLY = "mechanism only"
UNEQUAL = (
    "**The networks had different numbers of steps (time boxes, or calls that were stopped): their figures are no "
    "comparison of them.**"
)
NAME = "table.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TableOrder:
    """What is compared, and where the result goes."""

    source: Source
    run: Path
    names: tuple[str, ...]
    models: Path
    organs: str
    page: Path | None = None
    picture: Path | None = None


def make_table(order: TableOrder) -> str:
    """Evaluate on the patients that no network saw; raises HabitusError."""
    checkpoints = {n: load_checkpoint(order.run / n / CHECKPOINT_NAME) for n in order.names}
    data = _data(order.source, checkpoints)
    structures = next(iter(checkpoints.values())).config.specification.labels[1:]
    networks = {name: slice_network(one) for name, one in checkpoints.items()}
    organs = load_predictor(order.organs, "organs", order.models)
    cases = kept_back(data)
    rows = evaluate(networks, cases, structures, organs)
    text = as_markdown(rows, checkpoints, data)
    (order.run / NAME).write_text(_as_json(rows, data, checkpoints), encoding="utf-8")
    if order.picture is not None:
        draw(networks, TITLES, cases[0], structures, organs, order.picture)
    if order.page is not None:
        order.page.write_text(_page(text, order), encoding="utf-8")
    return text


def kept_back(data: OpenedData) -> tuple[LabelledCase, ...]:
    """The test part where there is one; nothing is chosen by the validation part either, the last weights are taken."""
    return data.test or data.validation


def _data(source: Source, checkpoints: Mapping[str, Checkpoint]) -> OpenedData:
    """Raises ConfigurationInvalid where networks were not trained on the same cases."""
    configs = [one.config for one in checkpoints.values()]
    hashes = {one.history.data_hash for one in checkpoints.values()}
    splits = {(config.seed, config.validation_share) for config in configs}
    data = open_data(
        source, seed=configs[0].seed, validation_share=configs[0].validation_share, wanted=()
    )
    if hashes != {data.data_hash} or len(splits) != 1:
        raise ConfigurationInvalid(
            found="networks trained on other cases than these, or on other parts of them",
            wanted="the data and the split that all of them were trained on",
            advice="Name the same --data and --split as for sam run, or train again.",
        )
    return data


def as_markdown(
    rows: Sequence[Row], checkpoints: Mapping[str, Checkpoint], data: OpenedData
) -> str:
    """What was found, with what it is worth."""
    by_key = {(row.name, row.asked): row for row in rows}
    mechanism = any(MECHANISM_ONLY in one.history.training_data for one in checkpoints.values())
    lines = [
        f"{data.described()} Scores are of {len(kept_back(data))} kept-back scans.",
        "",
        *(
            ["**Synthetic data and no real weights: mechanism only.**", ""]
            if mechanism and "ynthetic" in data.title
            else ["**No real weights: mechanism only.**", ""]
            if mechanism
            else []
        ),
        *([UNEQUAL, ""] if len({one.history.step for one in checkpoints.values()}) > 1 else []),
        "| network | parameters (learned) | steps | Dice, prompt from truth | Dice, prompt from our 3D mask "
        "| published, FLARE22, prompt from truth |",
        "|---|---|---|---|---|---|",
    ]
    for name, one in checkpoints.items():
        total, learned = parameters_of(one.network)
        takes = slice_network(one).takes_prompts
        dice = [by_key[name, asked].mean for asked in (FROM_TRUTH, FROM_OURS)]
        cells = [f"{value:.3f}" + ("" if takes else " (takes no prompt)") for value in dice]
        lines.append(
            f"| {TITLES.get(name, name)} | {total / 1e6:.2f} M ({learned / 1e6:.2f} M) | {one.history.step} | "
            f"{' | '.join(cells)} | {PUBLISHED.get(name, '–')} |"
        )
    ours = by_key[OURS_ALONE, FROM_OURS]
    lines += [f"| {OURS_ALONE}, not redrawn | | | | {ours.mean:.3f} | |", "", *_by_organ(rows)]
    return "\n".join(lines) + "\n"


def _by_organ(rows: Sequence[Row]) -> list[str]:
    names = list(dict.fromkeys(name for row in rows for name in row.dice))
    head = " | ".join(f"{TITLES.get(r.name, r.name)}, {r.asked}" for r in rows)
    lines = [f"| organ | {head} |", "|---" * (len(rows) + 1) + "|"]
    for name in names:
        cells = " | ".join(f"{row.dice[name]:.3f}" if name in row.dice else "–" for row in rows)
        lines.append(f"| {name.replace('_', ' ')} | {cells} |")
    return lines


def _as_json(rows: Sequence[Row], data: OpenedData, checkpoints: Mapping[str, Checkpoint]) -> str:
    content = {
        "data": data.described(),
        "data_hash": data.data_hash,
        "networks": {n: asdict(one.history) for n, one in checkpoints.items()},
        "rows": [asdict(row) | {"mean": row.mean} for row in rows],
    }
    return json.dumps(content, indent=1, default=dict) + "\n"


def _page(text: str, order: TableOrder) -> str:
    picture = ""
    if order.picture is not None and order.page is not None:
        relative = Path(os.path.relpath(order.picture, order.page.parent)).as_posix()
        picture = f"\n![Kept-back slices: truth in white, answers in colour]({relative})\n"
    return f"""# Organs of single slices: networks with prompts and without

Made by `python -m training sam table`. Dice is that of all slices of a case together,
on its own pixels, mean over cases, then over organs. "Prompt from truth" asks with the box of the true mask, as papers
do, and only where there is one; "prompt from our 3D mask" asks with what the node's own organ network found, so that what
that one misses or invents counts. Networks without prompts look at the same slices.

{text}{picture}"""

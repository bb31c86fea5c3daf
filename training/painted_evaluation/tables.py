"""The evaluation on painted cases as one Markdown page."""

from collections.abc import Iterator, Sequence
from statistics import mean, median

import numpy as np

from inference.domain.labelmap import FLARE22_ORGANS, TISSUES, Structure
from training.painted_evaluation.gates import ORGAN_DICE, TISSUE_DICE, Gate, Share, missed
from training.painted_evaluation.level_table import level_lines
from training.painted_evaluation.score_organs import INVENTED_ML, SMALLEST_ML
from training.painted_evaluation.score_tissue import OFF_RIBS
from training.painted_evaluation.scores import CaseScore, OrganScore, TissueScore

ORGANS = tuple(s.value for s in (*FLARE22_ORGANS, Structure.PORTAL_SPLENIC_VEIN))
ENOUGH_WHOLE = 10
"""With fewer organs that are whole in the field, cut ones are judged too: a vessel is cut in nearly every field."""
WORST = 3
"""Cases named for each tissue and organ."""


def page(scores: Sequence[CaseScore], heading: Sequence[str]) -> tuple[str, list[Gate]]:
    """The text, and every gate."""
    lines, gates = [*heading, ""], []
    for section in (level_lines, tissue_lines, organ_lines):
        if some := _relevant(scores, section):
            more, of_section = section(some)
            lines += [*more, ""]
            gates += of_section
    failed = missed(gates)
    lines.append(f"Gates: {'DO NOT HOLD' if failed else 'hold'}.")
    lines += [f"- missed: {gate.what}, found {gate.value:.3f}" for gate in failed]
    return "\n".join(lines) + "\n", gates


def _relevant(scores: Sequence[CaseScore], section: object) -> list[CaseScore]:
    if section is level_lines:
        return [score for score in scores if score.level is not None]
    if section is tissue_lines:
        return [score for score in scores if score.tissues]
    return [score for score in scores if score.organs]


def tissue_lines(scores: Sequence[CaseScore]) -> tuple[list[str], list[Gate]]:
    """Tissues over the true L3."""
    lines = [
        "## Tissues at the true L3",
        "",
        "After HU windows, all slices of the true L3; areas on its middle slice. Last column but one: the area that the node"
        " reports at the level it found.",
        "",
        "| tissue | n | Dice mean (median, lowest) | area error %, mean (5th to 95th) | as reported %, mean (5th to 95th) | wanted |",
        "|---|---:|---|---|---|---|",
    ]
    gates = []
    for name in (*(s.value for s in TISSUES), OFF_RIBS):
        some = [score.tissues[name] for score in scores if name in score.tissues]
        if not some:
            continue
        dices = [score.dice for score in some]
        gate = None
        if name in TISSUE_DICE:
            gate = Gate(what=f"Dice {name}", value=mean(dices), limit=TISSUE_DICE[name])
            gates.append(gate)
        lines.append(
            f"| {_plain(name)} | {len(some)} | {mean(dices):.3f} ({median(dices):.3f}, {min(dices):.3f})"
            f" | {_spread([s.area_percent for s in some])} | {_spread([s.reported_percent for s in some])}"
            f" | {gate.in_words if gate else 'reported'} |"
        )
    lines += ["", *_worst_tissues(scores)]
    return lines, gates


def _worst_tissues(scores: Sequence[CaseScore]) -> Iterator[str]:
    for name in TISSUE_DICE:
        pairs = [(score.tissues[name], score) for score in scores if name in score.tissues]
        yield f"Lowest {_plain(name)}: {_named(pairs)}."


def organ_lines(scores: Sequence[CaseScore]) -> tuple[list[str], list[Gate]]:
    """Organs, whole and cut."""
    lines = [
        "## Organs",
        "",
        f"Organs of which the field holds at least {SMALLEST_ML:g} ml. Judged: those whole in the field; where these are fewer"
        f" than {ENOUGH_WHOLE}, the cut ones too (†).",
        "",
        "| organ | whole: n | Dice mean (lowest) | volume error %, median | flagged cut | cut: n | Dice mean (lowest) | flagged cut | wanted |",
        "|---|---:|---|---:|---:|---:|---|---:|---|",
    ]
    gates = []
    for name in ORGANS:
        some = [score.organs[name] for score in scores if name in score.organs]
        if not some:
            continue
        whole = [organ for organ in some if not organ.is_cut]
        cut = [organ for organ in some if organ.is_cut]
        judged = whole if len(whole) >= ENOUGH_WHOLE else some
        mark = "" if judged is whole else "†"
        gate = None
        if name in ORGAN_DICE:
            found = mean(organ.dice for organ in judged)
            gate = Gate(what=f"Dice {name}", value=found, limit=ORGAN_DICE[name])
            gates.append(gate)
        volumes = [100 * (organ.found_ml / organ.true_ml - 1) for organ in whole]
        lines.append(
            f"| {_plain(name)} | {len(whole)} | {_dices(whole)} | {f'{median(volumes):+.0f}' if volumes else '–'}"
            f" | {_flagged(whole)} | {len(cut)} | {_dices(cut)} | {_flagged(cut)}"
            f" | {f'{gate.in_words}{mark}' if gate else 'reported'} |"
        )
    lines += ["", *_cut_lines(scores), *_invented_lines(scores), *_side_lines(scores), ""]
    lines += _worst_organs(scores)
    return lines, gates


def _cut_lines(scores: Sequence[CaseScore]) -> Iterator[str]:
    cut = [o for score in scores for o in score.organs.values() if o.is_cut and o.found_ml > 0]
    flagged = Share(count=sum(organ.is_flagged for organ in cut), of=len(cut))
    yield f"Cut organs that were found and flagged as cut: {flagged}."


def _invented_lines(scores: Sequence[CaseScore]) -> Iterator[str]:
    found = [(ml, name, score.seed) for score in scores for name, ml in score.invented_ml.items()]
    worst = sorted(found, reverse=True)[:WORST]
    named = "; ".join(f"{_plain(name)} {ml:.0f} ml, seed {seed}" for ml, name, seed in worst)
    yield (
        f"Organs of {INVENTED_ML:g} ml and more found where the field holds none: {len(found)} in"
        f" {sum(bool(score.invented_ml) for score in scores)} cases{f' (largest: {named})' if named else ''}."
    )


def _side_lines(scores: Sequence[CaseScore]) -> Iterator[str]:
    swapped = [score for score in scores if score.swapped]
    named = "; ".join(f"seed {s.seed} {' and '.join(s.swapped)}" for s in swapped)
    yield f"Kidneys or adrenal glands with the other side's name: {len(swapped)} cases{f' ({named})' if named else ''}."
    doubted = [score for score in scores if score.side_doubts]
    named = "; ".join(f"seed {s.seed}" for s in doubted)
    yield f"Cases in which the node doubts a side: {len(doubted)}{f' ({named})' if named else ''}."


def _worst_organs(scores: Sequence[CaseScore]) -> Iterator[str]:
    for name in ORGAN_DICE:
        pairs = [
            (organ, score)
            for score in scores
            if (organ := score.organs.get(name)) and not organ.is_cut
        ]
        if pairs:
            yield f"Lowest {_plain(name)}: {_named(pairs)}."


def _named(pairs: Sequence[tuple[TissueScore | OrganScore, CaseScore]]) -> str:
    worst = sorted(pairs, key=lambda pair: pair[0].dice)[:WORST]
    return ", ".join(
        f"{score.dice:.2f} (seed {case.seed} {case.field_kind})" for score, case in worst
    )


def _dices(organs: Sequence[OrganScore]) -> str:
    dices = [organ.dice for organ in organs]
    return f"{mean(dices):.3f} ({min(dices):.3f})" if dices else "–"


def _flagged(organs: Sequence[OrganScore]) -> str:
    return f"{sum(organ.is_flagged for organ in organs)}" if organs else "–"


def _spread(percents: Sequence[float | None]) -> str:
    values = [percent for percent in percents if percent is not None]
    if not values:
        return "–"
    low, high = np.percentile(values, [5, 95])
    return f"{mean(values):+.1f} ({low:+.1f} to {high:+.1f})"


def _plain(name: str) -> str:
    return name.replace("_", " ")

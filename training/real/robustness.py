"""Whether the node gives one patient the same answer however the scan was made."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from inference.domain.analysis_profile import HuWindows
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.volume import Volume, position_mm, spacing_mm
from inference.pipeline import Models
from inference.stages.segment_tissue import tissues_from_compartments
from inference.stages.slice_quality import cut_share
from inference.stages.trunk import trunk_in
from training.real.answer import Answer, Outcome, answer_of
from training.real.case import RealCase
from training.real.checks import LEVEL_MM
from training.real.score import SCORED_TISSUES, slice_of, tissues_on
from training.real.variants import Variant, carried, variants

AREA_PERCENT = 5.0
MOST_CUT = 0.5
"""Of the body's outline at the edge of the field: with more there is no body to measure, and the node says so itself."""
CARRIED_MM = 45.0
"""Tissues of so many mm below and above the level turn with the body."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """One variant of one case beside the case itself."""

    case: str
    variant: str
    volume: Volume | None
    """None once nothing more is drawn of it."""
    answer: Answer
    own_mm: float | None
    """Patient z of L3 by the node's answer to the case itself; None: not found."""
    is_mislabelled: bool = False
    same_level: dict[Structure, float]
    """Change of each area in percent at the case's own level."""
    reported: dict[Structure, float]
    """Change of each area in percent as the node reports it; empty for rotated bodies and where nothing is reported."""
    is_cut: bool = False
    """Most of the body's outline at the case's own level lies at the edge of the field."""
    by_truth: dict[Structure, float] = field(default_factory=dict)
    """The same at the case's own level, measured within the true compartments: no network has a part in it. Painted cases only."""

    @property
    def shift_mm(self) -> float | None:
        """L3 of the variant minus the case's own; None where either has none."""
        if self.answer.z_mm is None or self.own_mm is None:
            return None
        return self.answer.z_mm - self.own_mm

    @property
    def level_holds(self) -> bool:
        """Near its own answer, or flagged; what was not found before must not be found without a doubt now."""
        if self.own_mm is None or self.is_mislabelled:
            return self.answer.is_flagged
        near = self.shift_mm is not None and abs(self.shift_mm) <= LEVEL_MM
        return near or self.answer.outcome in (Outcome.UNCERTAIN, Outcome.REFUSED)

    @property
    def is_level_judged(self) -> bool:
        """Not where L3 was found neither before nor now: that is no robustness."""
        return self.own_mm is not None or self.is_mislabelled or not self.level_holds

    @property
    def areas_hold(self) -> bool:
        """At the same level, and as reported where no flag tells to doubt it; a body that is mostly outside has none."""
        if self.is_cut or (self.is_mislabelled and self.answer.is_flagged):
            return True
        judged = list(self.same_level.values())
        if not self.answer.is_flagged:
            judged += self.reported.values()
        return all(abs(change) <= AREA_PERCENT for change in judged)

    @property
    def can_hold(self) -> bool | None:
        """Whether areas would with a network that makes no mistake; None where nobody knows the truth."""
        if not self.by_truth:
            return None
        return all(abs(change) <= AREA_PERCENT for change in self.by_truth.values())

    @property
    def is_the_scans_own(self) -> bool:
        """Whether every area that fails does so within the true compartments, too, and the same way."""
        failed = {s: change for s, change in self.same_level.items() if abs(change) > AREA_PERCENT}
        return bool(failed) and all(
            abs(self.by_truth.get(s, 0.0)) > AREA_PERCENT and self.by_truth[s] * change > 0
            for s, change in failed.items()
        )

    @property
    def holds(self) -> bool:
        """Both."""
        return self.level_holds and self.areas_hold


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Own:
    """What the node says of the case as it is."""

    answer: Answer
    level_mm: float
    tissues: LabelMap
    """Of the slices about the level."""
    is_cut: bool = False
    """Most of the body's outline at the level lies at the edge of the field."""
    true_compartments: LabelMap | None = None
    """The same slices of a painted case."""


def own_answer(case: RealCase, models: Models) -> Own | None:
    """None where there is no level to compare at: neither found nor told."""
    assert case.volume is not None
    answer = answer_of(case.volume, case.facts, models)
    level_mm = answer.z_mm if answer.z_mm is not None else case.l3_z_mm
    if level_mm is None:
        return None
    reach = CARRIED_MM / case.volume.spacing_mm[0]
    k = slice_of(case.volume, level_mm)
    slices = [n for n in range(case.volume.shape[0]) if abs(n - k) <= reach]
    tissues = tissues_on(case.volume, slices, models)
    return Own(
        answer=answer,
        level_mm=level_mm,
        tissues=tissues,
        is_cut=_is_mostly_cut(case.volume, k),
        true_compartments=_true_compartments(case, slices),
    )


def _is_mostly_cut(volume: Volume, k: int) -> bool:
    _, row_mm, column_mm = volume.spacing_mm
    trunk = trunk_in(volume.hu[k], (row_mm, column_mm)).mask
    return cut_share(volume.hu[k], trunk, (row_mm, column_mm))[1] > MOST_CUT


def _true_compartments(case: RealCase, slices: Sequence[int]) -> LabelMap | None:
    if case.true_compartments is None or case.volume is None:
        return None
    kept = np.zeros_like(case.true_compartments)
    kept[slices] = case.true_compartments[slices]
    return LabelMap(labels=kept, affine_lps=case.volume.affine_lps, structures={})


def trials(case: RealCase, own: Own, models: Models) -> Iterator[Trial]:
    """Every variant of a case, by level and tissues alone."""
    assert case.volume is not None
    for variant in variants(case.volume, own.level_mm):
        yield trial(case, own, variant, models)


def trial(case: RealCase, own: Own, variant: Variant, models: Models) -> Trial:
    """One variant."""
    assert case.volume is not None
    answer = answer_of(variant.volume, case.facts, models)
    k = slice_of(variant.volume, own.level_mm)
    # Thicker slices do not lie where the old ones did: both areas are those of the place of the new one.
    z_mm = float(position_mm(variant.volume.affine_lps, (variant.volume.places[k], 0, 0))[2])
    moved = _moved(variant, own.tissues)
    here = areas_at(tissues_on(variant.volume, [k], models), z_mm)
    is_comparable = not variant.is_rotated and own.answer.z_mm is not None
    return Trial(
        case=case.name,
        variant=variant.name,
        volume=variant.volume,
        answer=answer,
        own_mm=own.answer.z_mm,
        is_mislabelled=variant.is_mislabelled,
        is_cut=own.is_cut,
        same_level=changes(here, areas_at(moved, z_mm)),
        reported=changes(answer.areas_cm2, own.answer.areas_cm2) if is_comparable else {},
        by_truth=_by_truth(case.volume, own, variant, (k, z_mm), models.profile.windows),
    )


def _moved(variant: Variant, tissues: LabelMap) -> LabelMap:
    turns = variant.turns if variant.moves_section else None
    return tissues if turns is None else turns(tissues)


def _by_truth(
    volume: Volume, own: Own, variant: Variant, at: tuple[int, float], windows: HuWindows
) -> dict[Structure, float]:
    """In one slice of the variant, by its number and patient z."""
    if own.true_compartments is None or variant.is_mislabelled:
        return {}
    k, z_mm = at
    truth = carried(variant, own.true_compartments, volume).labels
    here = np.zeros_like(truth)
    here[k] = truth[k]
    before = tissues_from_compartments(volume, own.true_compartments.labels, windows)
    found = tissues_from_compartments(variant.volume, here, windows)
    return changes(areas_at(found, z_mm), areas_at(_moved(variant, before), z_mm))


def areas_at(tissues: LabelMap, z_mm: float) -> dict[Structure, float]:
    """Areas in cm² at a patient z, linear between the two slices about it."""
    _, row_mm, column_mm = spacing_mm(tissues.affine_lps)
    place = (z_mm - tissues.affine_lps[2, 3]) / tissues.affine_lps[2, 0]
    below = int(np.clip(np.floor(place + 1e-6), 0, len(tissues.labels) - 1))
    above = min(below + 1, len(tissues.labels) - 1)
    share = float(np.clip(place - below, 0, 1))
    areas: dict[Structure, float] = {}
    for label, structure in tissues.structures.items():
        if structure in SCORED_TISSUES:
            counts = [float(np.sum(tissues.labels[k] == label)) for k in (below, above)]
            pixels = counts[0] * (1 - share) + counts[1] * share
            areas[structure] = pixels * row_mm * column_mm / 100
    return areas


def changes(
    found: dict[Structure, float], wanted: dict[Structure, float]
) -> dict[Structure, float]:
    """In percent of what is wanted."""
    return {
        structure: 100 * (found[structure] / area - 1)
        for structure, area in wanted.items()
        if structure in SCORED_TISSUES and area > 0 and structure in found
    }


def level_and_tissue_only(models: Models) -> Models:
    """Organs play no part in this and cost most of the time."""
    return replace(models, organs=None)


def table(found: Sequence[Trial], owns: dict[str, Own]) -> str:
    """Every variant over all cases, then each trial that fails."""
    lines = [
        "# The same patient, scanned differently",
        "",
        "Made by `python -m training.evaluate_robustness`. Wanted: L3 within 10 mm of the node's own answer to the unchanged scan, or "
        "flagged; areas within 5 %, at the unchanged scan's level and, unless the body was rotated, as reported. Rotated bodies are "
        "compared with their own masks turned along. Noise is added white; a prone belly keeps its form; "
        '"against its header" is an image whose orientation is stated wrongly.',
        "",
        "| case | own answer |",
        "|---|---|",
    ]
    for name, own in owns.items():
        place = f", z {own.level_mm:.0f} mm" if own.answer.z_mm is not None else ""
        lines.append(f"| {name} | {own.answer.outcome.value}{place} |")
    lines += [
        "",
        "| variant | n | L3 holds | flagged or none | largest shift, mm | areas hold | largest change of muscle, fat under the skin, visceral fat, % |",
        "|---|---|---|---|---|---|---|",
    ]
    for name in dict.fromkeys(t.variant for t in found):
        lines.append(_variant_line(name, [t for t in found if t.variant == name]))
    whole = [t for t in found if not t.is_cut]
    areas = f"{sum(t.areas_hold for t in whole)} of {len(whole)}"
    lines += ["", f"L3 holds in {_level_count(found)} trials, areas in {areas} judged trials."]
    if cut := sorted({t.case for t in found if t.is_cut}):
        lines += [
            f"Areas not judged: {', '.join(cut)}; most of the body's outline lies at the edge of the field, "
            "and the node itself says that areas are too small."
        ]
    lines += _truth_lines(found)
    if any(not t.is_level_judged for t in found):
        lines += ["Not judged: L3 was found neither in the unchanged scan nor in its variant."]
    failed = [t for t in found if not t.holds]
    if failed:
        lines += [
            "",
            "| fails | variant | L3 | shift, mm | at the same level, % | as reported, % | within the true compartments, % |",
        ]
        lines += ["|---|---|---|---|---|---|---|", *map(_failure_line, failed)]
    return "\n".join(lines) + "\n"


def _truth_lines(found: Sequence[Trial]) -> list[str]:
    known = [t for t in found if t.can_hold is not None]
    if not known:
        return []
    possible = [t for t in known if t.can_hold]
    held = sum(t.areas_hold for t in possible)
    failed = [t for t in known if not t.areas_hold]
    return [
        "",
        f"Of painted cases the true compartments are known. Measured within them, by the same HU windows, areas change by more than "
        f"{AREA_PERCENT:.0f} % in {len(known) - len(possible)} of {len(known)} trials: thick slices and turned pixels mix fat with what lies "
        f"beside it, and no network can undo that. Of the {len(possible)} others areas hold in {held}. Of the {len(failed)} trials "
        f"of painted cases that fail {sum(t.is_the_scans_own for t in failed)} fail the same way by the truth, in every area at the same level.",
    ]


def _level_count(part: Sequence[Trial]) -> str:
    judged = [t for t in part if t.is_level_judged]
    return f"{sum(t.level_holds for t in judged)} of {len(judged)} judged"


def _variant_line(name: str, part: Sequence[Trial]) -> str:
    shifts = [abs(t.shift_mm) for t in part if t.shift_mm is not None]
    largest = [
        max((abs(t.same_level.get(s, 0.0)) for t in part if not t.is_cut), default=0.0)
        for s in SCORED_TISSUES
    ]
    whole = [t for t in part if not t.is_cut]
    return (
        f"| {name} | {len(part)} | {_level_count(part)} | {sum(t.answer.is_flagged for t in part)} "
        f"| {f'{max(shifts):.1f}' if shifts else '–'} | {sum(t.areas_hold for t in whole)} of {len(whole)} "
        f"| {', '.join(f'{change:.1f}' for change in largest)} |"
    )


def _failure_line(one: Trial) -> str:
    shift = "–" if one.shift_mm is None else f"{one.shift_mm:+.1f}"
    at_level, reported, by_truth = (
        ", ".join(f"{change:+.1f}" for change in part.values()) or "–"
        for part in (one.same_level, one.reported, one.by_truth)
    )
    return (
        f"| {one.case} | {one.variant} | {one.answer.outcome.value} | {shift} | {at_level} | {reported} "
        f"| {by_truth} |"
    )

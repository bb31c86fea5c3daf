"""Choose the series of a study that suits an analysis best, by rules that are data; the order of input is no matter."""

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from inference.domain.errors import NoSuitableSeries
from inference.domain.series_choice import (
    OLDER_STUDY,
    Outcome,
    Reason,
    SeriesChoice,
    SeriesSummary,
    SeriesVerdict,
)
from inference.domain.series_rules import Score, SeriesRules

OTHER_STUDY = Reason(code=OLDER_STUDY, says="of an older study than the newest here")


def choose_series(series: Sequence[SeriesSummary], rules: SeriesRules) -> SeriesChoice:
    """The candidates of the newest study best first, then what is refused, each with its reasons."""
    judged = [judge(summary, rules) for summary in series]
    newest = max(
        ((v.summary.acquired, v.summary.study_uid) for v in judged if _is_able(v)),
        default=("", ""),
    )[1]
    judged = [
        _refused(v.summary, OTHER_STUDY) if _is_able(v) and v.summary.study_uid != newest else v
        for v in judged
    ]
    candidates = sorted((v for v in judged if _is_able(v)), key=_uid)
    candidates.sort(key=lambda v: (v.score, v.summary.acquired), reverse=True)
    refused = sorted(
        (v for v in judged if not _is_able(v)), key=lambda v: (v.summary.number or 0, _uid(v))
    )
    if candidates:
        best = replace(candidates[0], outcome=Outcome.CHOSEN)
        candidates = [best, *(_outscored(v, best) for v in candidates[1:])]
    return SeriesChoice(verdicts=(*candidates, *refused), finalists=rules.finalists)


def judge(summary: SeriesSummary, rules: SeriesRules) -> SeriesVerdict:
    """One series by itself."""
    for refusal in rules.refusals:
        if all(condition.holds(summary) for condition in refusal.conditions):
            return _refused(summary, Reason(code=refusal.code, says=refusal.says))
    spoken: dict[str, Reason] = {}
    for score in rules.scores:
        if score.name not in spoken and (reason := _points(score, summary)) is not None:
            spoken[score.name] = reason
    return SeriesVerdict(
        summary=summary,
        outcome=Outcome.OUTSCORED,
        score=sum(reason.points for reason in spoken.values()),
        reasons=tuple(spoken.values()),
    )


def require_candidate(choice: SeriesChoice) -> None:
    """Raise NoSuitableSeries where every series was refused."""
    if choice.candidates:
        return
    counted = Counter(verdict.why for verdict in choice.verdicts)
    kinds = ", ".join(f"{count} × {why}" for why, count in counted.most_common(5)) or "none"
    raise NoSuitableSeries(
        found=f"no axial CT series (of others: {kinds})",
        wanted="one axial CT series",
        advice="Send the axial reconstruction of the abdomen.",
    )


def choice_flags(choice: SeriesChoice) -> tuple[str, ...]:
    """What a reader of the result must know of the choice."""
    chosen = choice.chosen
    better = itertools.takewhile(lambda verdict: verdict is not chosen, choice.verdicts)
    flags = [
        f"series {_name(verdict)} suited better by its headers, but could not be measured: {verdict.code}"
        for verdict in better
        if verdict.outcome is Outcome.FAILED
    ]
    if chosen is not None and chosen.summary.left_out:
        counted = Counter(chosen.summary.left_out)
        kinds = ", ".join(f"{count} × {why}" for why, count in sorted(counted.items()))
        flags.append(f"images of the series left out because they are no slices: {kinds}")
    return tuple(flags)


def _name(verdict: SeriesVerdict) -> str:
    return "without number" if verdict.summary.number is None else str(verdict.summary.number)


def _points(score: Score, summary: SeriesSummary) -> Reason | None:
    value = getattr(summary, score.fact)
    if score.curve and value is None:
        return None
    if not all(condition.holds(summary) for condition in score.conditions):
        return None
    points = score.points
    if score.curve:
        at, worth = zip(*score.curve, strict=True)
        points = round(float(np.interp(value, at, worth)))
    shown = f"{value:.4g}" if isinstance(value, int | float) else ""
    return Reason(code=score.name, says=score.says.replace("{value}", shown), points=points)


def _refused(summary: SeriesSummary, reason: Reason) -> SeriesVerdict:
    return SeriesVerdict(
        summary=summary,
        outcome=Outcome.REFUSED,
        score=0,
        reasons=(reason,),
        code=reason.code,
        why=reason.says,
    )


def _outscored(verdict: SeriesVerdict, best: SeriesVerdict) -> SeriesVerdict:
    """What made the difference to the best, the weightiest rule first."""
    of_best = {reason.code: reason.points for reason in best.reasons}
    own = {reason.code: reason for reason in verdict.reasons}
    losses = {
        name: of_best.get(name, 0) - (own[name].points if name in own else 0)
        for name in sorted({*of_best, *own})
    }
    lost = sorted((name for name in losses if losses[name] > 0), key=lambda name: -losses[name])
    if verdict.score == best.score:
        is_older = verdict.summary.acquired < best.summary.acquired
        word = "older than" if is_older else "like"
        return replace(verdict, code="outscored-newest", why=f"{word} the chosen one, equal points")
    told = []
    for name in lost:
        reason = own.get(name) or Reason(code=name, says=f"nothing known of {name}")
        told.append(f"{reason.says} ({reason.points:+d}, the chosen {of_best.get(name, 0):+d})")
    why = f"{best.score - verdict.score} points behind: {'; '.join(told)}"
    return replace(verdict, code=f"outscored-{lost[0]}", why=why)


def _is_able(verdict: SeriesVerdict) -> bool:
    return verdict.outcome is not Outcome.REFUSED


def _uid(verdict: SeriesVerdict) -> str:
    return verdict.summary.series_uid

"""Candidates of a study tried in order until one can be measured; `run` tries them whole, `explain` by their headers."""

from collections.abc import Callable, Sequence, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Generic, TypeVar

from inference.dicom.survey import Survey
from inference.domain.analysis_profile import Profile
from inference.domain.errors import HabitusError, StudyRejected, UnreadableInput
from inference.domain.series_choice import Outcome, SeriesChoice
from inference.domain.series_rules import load_series_rules
from inference.stages.choose_series import choose_series, require_candidate

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried(Generic[T]):
    """What became of the candidates."""

    choice: SeriesChoice
    measured: tuple[T, ...]
    """Of the chosen series; empty where all that may be tried were refused."""
    refusals: tuple[HabitusError, ...]
    """In the order of the trials."""

    @property
    def first(self) -> T:
        """What the first measurable series gave; raises what the best candidate was refused for."""
        if self.measured:
            return self.measured[0]
        best = self.refusals[0]
        codes = [v.code for v in self.choice.verdicts if v.outcome is Outcome.FAILED]
        if len(codes) > 1:
            others = f"The next best {len(codes) - 1} failed too: {', '.join(codes[1:])}."
            raise replace(best, advice=f"{best.advice} {others}")
        raise best


def ranked_series(survey: Survey, profile: Profile) -> SeriesChoice:
    """The folder's series as the profile's rules rank them, whatever may be said against the folder as a whole."""
    return choose_series(survey.summaries, load_series_rules(profile.series_rules))


def require_one_study(survey: Survey, choice: SeriesChoice) -> None:
    """Raise NoSuitableSeries or, where the measurable series are of several patients, StudyRejected."""
    require_candidate(choice)
    survey.require_one_patient(v.summary.series_uid for v in choice.measurable)


def choice_in(survey: Survey, profile: Profile) -> SeriesChoice:
    """The choice between the series of a folder; raises NoSuitableSeries or StudyRejected."""
    choice = ranked_series(survey, profile)
    require_one_study(survey, choice)
    return choice


def try_after_all(
    survey: Survey, tried: Tried[T], reasons: Set[str], measure: Callable[[Sequence[Path]], T]
) -> Tried[T]:
    """Where none could be measured, the best of those refused for one of these reasons, in another way."""
    failed = [v for v in tried.choice.verdicts if v.outcome is Outcome.FAILED and v.code in reasons]
    if tried.measured or not failed:
        return tried
    series_uid = failed[0].summary.series_uid
    try:
        measured = (measure(survey.of(series_uid).paths),)
    except StudyRejected:
        return tried
    return replace(tried, choice=tried.choice.taken_after_all(series_uid), measured=measured)


def try_in_order(
    survey: Survey, choice: SeriesChoice, measure: Callable[[Sequence[Path]], T]
) -> Tried[T]:
    """Measure the best candidate; where it is refused, the next, as often as the rules allow."""
    refusals: list[HabitusError] = []
    while (chosen := choice.chosen) is not None and len(refusals) < choice.finalists:
        try:
            measured = (measure(survey.of(chosen.summary.series_uid).paths),)
            return Tried(choice=choice, measured=measured, refusals=tuple(refusals))
        except (StudyRejected, UnreadableInput) as refusal:
            refusals.append(refusal)
            why = f"found {refusal.found}; wanted {refusal.wanted}"
            choice = choice.after_failure(refusal.reason_code, why)
    return Tried(choice=choice, measured=(), refusals=tuple(refusals))

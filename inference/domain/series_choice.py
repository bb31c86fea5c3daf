"""A study's series as the choice between them sees them, and what came of the choice; knows no DICOM."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesSummary:
    """What the headers of one series say; texts are hints that may name anybody, so they are only ever matched."""

    series_uid: str
    study_uid: str = ""
    number: int | None = None
    modality: str = ""
    image_class: str = ""
    """Name of the SOP class, e.g. "CT Image Storage"; empty where the headers leave it out."""
    image_kinds: tuple[str, ...] = ()
    """Every value of Image Type that occurs, in upper case, sorted."""
    samples_per_pixel: int = 1
    description: str = ""
    protocol: str = ""
    body_part: str = ""
    kernel: str = ""
    contrast_agent: str = ""
    contrast_delay_s: float | None = None
    """From the start of the injection to the acquisition."""
    images: int = 0
    """Slices, or frames of multi-frame objects."""
    left_out: tuple[str, ...] = ()
    """Images of the series that are no slices (scouts, captures), each with its reason."""
    thickness_mm: float | None = None
    step_mm: float | None = None
    """Median distance between neighbouring slices along their normal."""
    coverage_mm: float | None = None
    """From the first slice to the last."""
    field_of_view_mm: float | None = None
    """Width of the reconstructed picture."""
    oblique_degrees: float | None = None
    """Between the slices and the axial plane."""
    tilt_degrees: float | None = None
    """Between the slices' normal and the direction in which they advance."""
    missing_slices: int = 0
    uneven_steps: int = 0
    """Steps wider than the finest although no slice is missing."""
    repeated_positions: int = 0
    exposure_mas: float | None = None
    rescale_type: str = ""
    study_modalities: tuple[str, ...] = ()
    """Modalities of all series of the study, sorted."""
    acquired: str = ""
    """Date and time as digits, so that they compare."""


class Outcome(StrEnum):
    """What became of a series."""

    CHOSEN = "chosen"
    OUTSCORED = "outscored"
    """Could be analysed; another suits better."""
    REFUSED = "refused"
    """By a rule, from its headers alone."""
    FAILED = "failed"
    """Was tried, could not be measured; the next one was tried instead."""


OLDER_STUDY = "older-study"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """One rule that spoke."""

    code: str
    """Of a refusal; the rule's name where points were given."""
    says: str
    """Made of our own words and of numbers: never a text from a header."""
    points: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesVerdict:
    """What the rules say of one series."""

    summary: SeriesSummary
    outcome: Outcome
    score: int
    reasons: tuple[Reason, ...]
    """Of a refused series the refusal alone; else every rule that gave or took points."""
    code: str = ""
    """Why it was not taken: a refusal's code, "outscored-<rule>" or the failure's own; empty where it was."""
    why: str = ""
    """The same as a sentence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesChoice:
    """All series of a study: the candidates best first, then the refused."""

    verdicts: tuple[SeriesVerdict, ...]
    finalists: int
    """So many candidates may be tried before the study is given up."""

    @property
    def candidates(self) -> tuple[SeriesVerdict, ...]:
        """To be tried in this order."""
        able = (Outcome.CHOSEN, Outcome.OUTSCORED)
        return tuple(verdict for verdict in self.verdicts if verdict.outcome in able)

    @property
    def measurable(self) -> tuple[SeriesVerdict, ...]:
        """The candidates, and what would be one but for belonging to an older study."""
        return tuple(
            v for v in self.verdicts if v.outcome is not Outcome.REFUSED or v.code == OLDER_STUDY
        )

    @property
    def chosen(self) -> SeriesVerdict | None:
        """The best that has not failed."""
        return next((v for v in self.verdicts if v.outcome is Outcome.CHOSEN), None)

    def after_failure(self, code: str, why: str) -> "SeriesChoice":
        """The chosen series could not be measured: the next candidate takes its place."""
        verdicts = list(self.verdicts)
        place = next(i for i, v in enumerate(verdicts) if v.outcome is Outcome.CHOSEN)
        verdicts[place] = replace(verdicts[place], outcome=Outcome.FAILED, code=code, why=why)
        for i, verdict in enumerate(verdicts):
            if verdict.outcome is Outcome.OUTSCORED:
                verdicts[i] = replace(verdict, outcome=Outcome.CHOSEN, code="", why="")
                break
        return replace(self, verdicts=tuple(verdicts))

    def taken_after_all(self, series_uid: str) -> "SeriesChoice":
        """Of those that could not be measured, one is taken for what else it shows."""
        verdicts = tuple(
            replace(v, outcome=Outcome.CHOSEN, code="", why="")
            if v.summary.series_uid == series_uid
            else v
            for v in self.verdicts
        )
        return replace(self, verdicts=verdicts)

    def refused_whole(self, code: str, why: str) -> "SeriesChoice":
        """Something speaks against the study as a whole: no candidate is left."""
        able = self.candidates
        verdicts = tuple(
            replace(v, outcome=Outcome.REFUSED, code=code, why=why) if v in able else v
            for v in self.verdicts
        )
        return replace(self, verdicts=verdicts)


@dataclass(frozen=True, slots=True, kw_only=True)
class ConsideredSeries:
    """One line of the choice as results carry it: nothing that identifies anybody."""

    number: int | None
    images: int
    outcome: Outcome
    score: int
    code: str
    why: str


def considered(choice: SeriesChoice) -> tuple[ConsideredSeries, ...]:
    """The choice for the report."""
    return tuple(
        ConsideredSeries(
            number=verdict.summary.number,
            images=verdict.summary.images,
            outcome=verdict.outcome,
            score=verdict.score,
            code=verdict.code,
            why=verdict.why or in_words(verdict.reasons),
        )
        for verdict in choice.verdicts
    )


def in_words(reasons: Sequence[Reason]) -> str:
    """Reasons that gave or took points, the weightiest first."""
    ordered = sorted(reasons, key=lambda reason: (-abs(reason.points), reason.code))
    return "; ".join(f"{r.says} ({r.points:+d})" for r in ordered if r.points)

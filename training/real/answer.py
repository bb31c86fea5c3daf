"""What the node answers to a volume, in the few words that an evaluation needs."""

from dataclasses import dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from inference.domain.analysis_profile import Profile, load_profile
from inference.domain.errors import ImplausibleResult, LevelNotFound
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.level_outcome import LevelOutcome
from inference.domain.measurement import OrganResult, Quantity, Report
from inference.domain.outcome import Analysis
from inference.domain.volume import Volume
from inference.engine.model_store import SHIPPED_MODELS, model_names
from inference.measure_findings import Facts
from inference.pipeline import (
    Models,
    Stopwatch,
    analyse_organs,
    analyse_volume,
    load_models,
    silent,
)
from inference.stages.quality import patient_flags, scan_flags

OPTIONAL_MODELS = ("spine_model", "organ_model", "fine_organ_model")


class Outcome(StrEnum):
    """What became of L3."""

    FOUND = "found"
    UNCERTAIN = "uncertain"
    ABSENT = "not in the field"
    REFUSED = "result refused"
    """The node's own check failed: nothing would be sent."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """Of one volume."""

    outcome: Outcome
    why: str = ""
    z_mm: float | None = None
    """Patient z of the middle of L3, where one is reported."""
    confidence: float | None = None
    flags: tuple[str, ...] = ()
    """Without those on what is missing in the headers."""
    areas_cm2: dict[Structure, float]
    tissues: LabelMap | None
    organs: LabelMap | None
    organ_results: tuple[OrganResult, ...] = ()

    @property
    def is_flagged(self) -> bool:
        """Whether a reader is told to doubt the level."""
        return self.outcome is not Outcome.FOUND

    def organ(self, structure: Structure) -> OrganResult | None:
        """Its numbers, where it was found."""
        return next((organ for organ in self.organ_results if organ.structure == structure), None)


def profile_in(folder: Path, profile_name: str = "abdomen") -> Profile:
    """The profile without the models that a result can do without and the folder lacks."""
    profile = load_profile(profile_name)
    there = model_names(folder)
    left_out: dict[str, Any] = {
        field.name: None
        for field in fields(Profile)
        if field.name in OPTIONAL_MODELS and getattr(profile, field.name) not in there
    }
    if "fine_organ_model" in left_out:
        left_out["fine_organs_about"] = ()
    return replace(profile, **left_out)


def models_in(folder: Path = SHIPPED_MODELS, profile_name: str = "abdomen") -> Models:
    """The profile's models; those that a result can do without may be missing."""
    return load_models(profile_in(folder, profile_name), models_folder=folder)


def outcome_of(report: Report) -> tuple[Outcome, str]:
    """What a report says of the level; the one place that knows how it says it."""
    if report.level is None:
        return Outcome.ABSENT, ""
    if report.level_outcome is LevelOutcome.UNCERTAIN:
        return Outcome.UNCERTAIN, "; ".join(report.level_reasons)
    return Outcome.FOUND, ""


def answer_of(volume: Volume, facts: Facts, models: Models) -> Answer:
    """The node's own analysis of a canonical volume; of organs alone where it would deliver these without a level."""
    clock = Stopwatch(silent)
    try:
        analysis = analyse_volume(volume, facts, models, clock)
    except LevelNotFound as missing:
        why = missing.found.partition(": ")[2] or missing.found
        if not models.wants_organs_alone:
            return _without_result(Outcome.ABSENT, why)
        try:
            analysis = analyse_organs(volume, facts, models, clock)
        except LevelNotFound as nothing:
            return _without_result(Outcome.ABSENT, nothing.found)
        except ImplausibleResult as refusal:
            return _without_result(Outcome.REFUSED, f"found {refusal.found}")
        return replace(_told(analysis, facts), why=why)
    except ImplausibleResult as refusal:
        return _without_result(Outcome.REFUSED, f"found {refusal.found}")
    return _told(analysis, facts)


def _told(analysis: Analysis, facts: Facts) -> Answer:
    report = analysis.report
    outcome, why = outcome_of(report)
    missing_headers = {*scan_flags(facts.contrast, facts.kvp), *patient_flags(facts.patient)}
    areas = {
        measured.structure: measured.value
        for measured in report.body_composition
        if measured.quantity is Quantity.AREA and measured.structure is not None
    }
    return Answer(
        outcome=outcome,
        why=why,
        z_mm=report.level.z_mm if report.level else None,
        confidence=report.level.confidence if report.level else None,
        flags=tuple(flag for flag in report.flags if flag not in missing_headers),
        areas_cm2=areas,
        tissues=analysis.tissues,
        organs=analysis.organs,
        organ_results=report.organs,
    )


def _without_result(outcome: Outcome, why: str) -> Answer:
    """The node delivers nothing."""
    return Answer(outcome=outcome, why=why, areas_cm2={}, tissues=None, organs=None)

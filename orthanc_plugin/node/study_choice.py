"""Which series of a study become jobs: chosen by the profile's rules from headers alone, and noted with the reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from inference.dicom.survey import summary_from_texts
from inference.domain.series_choice import SeriesSummary, SeriesVerdict, in_words
from inference.domain.series_rules import SeriesRules
from inference.stages.choose_series import choose_series
from orthanc_plugin.node.choice_journal import (
    CAME_LATER,
    NEXT_BEST_FAILED,
    ChoiceJournal,
    SeriesNote,
)
from orthanc_plugin.node.job_key import EngineIdentity, instance_set_hash
from orthanc_plugin.node.journal import Journal, Submission
from orthanc_plugin.node.pacs import Pacs, ResourceGone, SeriesFacts
from orthanc_plugin.node.submissions import submission_of

OWN_MODALITIES = frozenset({"SEG", "SR"})
OWN_MANUFACTURER = "Habitus"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    facts: SeriesFacts
    verdict: SeriesVerdict

    @property
    def attempt(self) -> tuple[str, str]:
        return self.facts.series_uid, instance_set_hash(self.facts.sop_uids.values())


def skip_reason(facts: SeriesFacts) -> str | None:
    """Why a series takes no part in the choice at all."""
    if facts.manufacturer == OWN_MANUFACTURER:
        return "own-result"
    if facts.modality in OWN_MODALITIES:
        return "result-object"
    if facts.modality != "CT":
        return "not-ct"
    return None


class StudyChooser:
    """Once a study's series is taken it stays taken: a later, better one is noted and does not replace it."""

    def __init__(self, pacs: Pacs, journal: Journal, rules: SeriesRules) -> None:
        self.pacs = pacs
        self.journal = journal
        self.notes = ChoiceJournal(journal)
        self._rules = rules

    def choose(self, study_orthanc_id: str, engine: EngineIdentity) -> tuple[Submission, ...]:
        """What the study asks for as it is now; every series not taken is noted. Raises ResourceGone."""
        facts = self._facts(study_orthanc_id)
        for one in facts:
            if reason := skip_reason(one):
                self.notes.note(study_orthanc_id, [note_without_part(one, reason)])
        images = [one for one in facts if skip_reason(one) is None]
        choice = choose_series(self._summaries(images, facts), self._rules)
        by_uid = {one.series_uid: one for one in images}
        candidates = [
            _Candidate(facts=by_uid[v.summary.series_uid], verdict=v) for v in choice.candidates
        ]
        taken = self.notes.taken(study_orthanc_id)
        chosen = [c for c in candidates if c.facts.series_uid in taken]
        rejected = self.notes.rejected(study_orthanc_id, engine)
        untried = [c for c in candidates if c.attempt not in rejected and c not in chosen]
        tried = len(candidates) - len(untried) - len(chosen)
        if not chosen and tried < self._rules.finalists:
            chosen = untried[:1]
        notes = [_taken_note(c.verdict) for c in chosen]
        notes += [_left_note(c, chosen) for c in untried if c not in chosen]
        candidate_uids = {c.facts.series_uid for c in candidates}
        notes += [
            _refused_note(v)
            for v in choice.verdicts
            if v.summary.series_uid not in candidate_uids | taken
        ]
        self.notes.note(study_orthanc_id, notes)
        return tuple(submission_of(c.facts, engine) for c in chosen)

    def _facts(self, study_orthanc_id: str) -> list[SeriesFacts]:
        facts = []
        for series in self.pacs.series_of_study(study_orthanc_id):
            try:
                facts.append(self.pacs.series_facts(series))
            except ResourceGone:
                continue
        return facts

    def _summaries(
        self, images: Sequence[SeriesFacts], study: Sequence[SeriesFacts]
    ) -> list[SeriesSummary]:
        modalities = [one.modality for one in study]
        summaries = []
        for one in images:
            # What was deleted meanwhile has no texts and no part in the choice.
            if texts := self._texts(one):
                summary = summary_from_texts(texts, modalities)
                summaries.append(replace(summary, series_uid=one.series_uid))
        return summaries

    def _texts(self, facts: SeriesFacts) -> Sequence[Mapping[str, str]]:
        try:
            return self.pacs.image_texts(facts.series_orthanc_id)
        except ResourceGone:
            return ()


def note_without_part(facts: SeriesFacts, reason: str) -> SeriesNote:
    """Of a series that takes no part in the choice."""
    return SeriesNote(
        series_uid=facts.series_uid,
        number=None,
        images=len(facts.sop_uids),
        score=0,
        reason=reason,
        detail="",
    )


def _taken_note(verdict: SeriesVerdict) -> SeriesNote:
    return _note(verdict, "", in_words(verdict.reasons))


def _refused_note(verdict: SeriesVerdict) -> SeriesNote:
    return _note(verdict, verdict.code, verdict.why)


def _left_note(left: _Candidate, chosen: Sequence[_Candidate]) -> SeriesNote:
    """Of a candidate that is not taken: outscored, too late, or too far down the list."""
    verdict = left.verdict
    if not chosen:
        return _note(verdict, NEXT_BEST_FAILED, "the candidates before it could not be measured")
    if verdict.score > chosen[0].verdict.score or not verdict.code:
        return _note(verdict, CAME_LATER, "arrived after another series of the study was taken")
    return _note(verdict, verdict.code, verdict.why)


def _note(verdict: SeriesVerdict, reason: str, detail: str) -> SeriesNote:
    return SeriesNote(
        series_uid=verdict.summary.series_uid,
        number=verdict.summary.number,
        images=verdict.summary.images,
        score=verdict.score,
        reason=reason,
        detail=detail,
    )

"""Which series of a study become jobs: chosen by the profile's rules from headers alone, and noted with the reasons."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from inference.dicom.survey import summary_from_texts
from inference.domain.series_choice import SeriesSummary, SeriesVerdict, in_words
from inference.domain.series_rules import SeriesRules
from inference.stages.choose_series import choose_series, judge
from orthanc_plugin.node.choice_journal import (
    AWAITS_SLICES,
    CAME_LATER,
    LATE_IMAGES,
    NEXT_BEST_FAILED,
    ChoiceJournal,
    SeriesNote,
    attempt_of,
)
from orthanc_plugin.node.demographics import DemographicsSeal
from orthanc_plugin.node.job_key import EngineIdentity
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Job, Journal, Submission
from orthanc_plugin.node.pacs import Pacs, ResourceGone, SeriesFacts, SeriesGlance
from orthanc_plugin.node.profile_rules import RulesOf
from orthanc_plugin.node.settings import LatePolicy
from orthanc_plugin.node.submissions import submission_of

OWN_MODALITIES = frozenset({"SEG", "SR"})
OWN_MANUFACTURER = "Habitus"
_WITH_RESULT = (JobState.COMPUTED, JobState.DONE, JobState.DEAD)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Candidate:
    verdict: SeriesVerdict
    submission: Submission
    """What it would ask for as it is now."""
    score_if_whole: int
    """With every missing slice there."""

    @property
    def series_uid(self) -> str:
        return self.submission.series_uid


@dataclass(frozen=True, slots=True, kw_only=True)
class _Before:
    """What was decided of a study before now."""

    taken: Mapping[str, Job]
    absent_score: int | None
    """Of the best that was taken and whose images are no longer here; its result still stands."""
    may_replace: bool
    """Whether a better series may take the place of what was taken."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a study asks for as it is now."""

    submissions: tuple[Submission, ...]
    missing_slices: int = 0
    """Of a series that would be taken if they came."""


def skip_reason(facts: SeriesFacts | SeriesGlance) -> str | None:
    """Why a series takes no part in the choice at all."""
    return skipped(facts.modality, facts.manufacturer)


def skipped(modality: str, manufacturer: str) -> str | None:
    """The same by what is told of it."""
    if manufacturer == OWN_MANUFACTURER:
        return "own-result"
    if modality in OWN_MODALITIES:
        return "result-object"
    if modality != "CT":
        return "not-ct"
    return None


class StudyChooser:
    """A series that was taken stays taken until a later one suits strictly better, if the site wants that."""

    def __init__(
        self,
        pacs: Pacs,
        journal: Journal,
        rules_of: RulesOf,
        seal: DemographicsSeal,
        late: LatePolicy = LatePolicy.RECOMPUTE,
    ) -> None:
        self.pacs = pacs
        self.journal = journal
        self.notes = ChoiceJournal(journal)
        self._rules_of = rules_of
        self._seal = seal
        self._late = late

    def choose(
        self,
        study_orthanc_id: str,
        engine: EngineIdentity,
        profile: str = "",
        *,
        may_wait: bool = False,
    ) -> Wish:
        """What the study asks for as it is now by a profile (empty: the engine's own); every series not taken is noted.

        Raises ResourceGone. Where the study may wait, series with gaps are told, for slices that are still to come.
        """
        facts = self._facts(study_orthanc_id)
        for one in facts:
            if reason := skip_reason(one):
                self.notes.note(study_orthanc_id, [note_without_part(one, reason)])
        texts = self._texts([one for one in facts if skip_reason(one) is None])
        modalities = [one.modality for one in facts]
        rules = self._rules_of(profile)
        choice = choose_series([_summary(uid, t, modalities) for uid, t in texts.items()], rules)
        by_uid = {one.series_uid: one for one in facts}
        candidates = [
            self._candidate(v, submission_of(by_uid[v.summary.series_uid], engine), texts, rules)
            for v in choice.candidates
        ]
        before = self._before(study_orthanc_id, frozenset(by_uid))
        rejected = self.notes.rejected(study_orthanc_id, engine)
        untried = [c for c in candidates if attempt_of(c.submission) not in rejected]
        chosen = _chosen(untried, before, rules.finalists - len(candidates) + len(untried))
        late = [c for c in chosen if self._is_kept_as_it_was(c, before)]
        awaited = _awaited(untried, chosen, before) if may_wait else []
        notes = [_taken_note(c.verdict) for c in chosen]
        notes += [_left_note(c, chosen, before) for c in untried if c not in chosen]
        notes += [_late_note(c.verdict, before.taken[c.series_uid]) for c in late]
        notes += [_awaits_note(c.verdict) for c in awaited]
        known = {c.series_uid for c in candidates} | set(before.taken)
        refused = [v for v in choice.verdicts if v.summary.series_uid not in known]
        self.notes.note(study_orthanc_id, [*notes, *map(_refused_note, refused)])
        return Wish(
            submissions=tuple(c.submission for c in chosen if c not in late),
            missing_slices=max((c.verdict.summary.missing_slices for c in awaited), default=0),
        )

    def images(self, study_orthanc_id: str) -> list[SeriesFacts]:
        """The series that take part in the choice; raises ResourceGone."""
        return [one for one in self._facts(study_orthanc_id) if skip_reason(one) is None]

    def _before(self, study_orthanc_id: str, present: frozenset[str]) -> _Before:
        taken = self.notes.taken(study_orthanc_id)
        absent = [self.notes.score(uid) or 0 for uid in taken if uid not in present]
        has_result = any(job.state in _WITH_RESULT for job in taken.values())
        return _Before(
            taken=taken,
            absent_score=max(absent, default=None),
            may_replace=self._late is LatePolicy.RECOMPUTE or not has_result,
        )

    def _is_kept_as_it_was(self, candidate: _Candidate, before: _Before) -> bool:
        """Whether images came late into a series whose result the site wants kept; a corrected patient is another matter."""
        job = before.taken.get(candidate.series_uid)
        return (
            job is not None
            and self._late is LatePolicy.NOTE
            and job.state in _WITH_RESULT
            and job.submission.set_hash != candidate.submission.set_hash
            and job.submission.demographics in ("", candidate.submission.demographics)
        )

    def _candidate(
        self,
        verdict: SeriesVerdict,
        submission: Submission,
        texts: Mapping[str, Sequence[Mapping[str, str]]],
        rules: SeriesRules,
    ) -> _Candidate:
        seal = self._seal.of(texts[submission.series_uid])
        whole = replace(verdict.summary, missing_slices=0)
        return _Candidate(
            verdict=verdict,
            submission=replace(submission, demographics=seal),
            score_if_whole=judge(whole, rules).score,
        )

    def _facts(self, study_orthanc_id: str) -> list[SeriesFacts]:
        facts = []
        for series in self.pacs.series_of_study(study_orthanc_id):
            try:
                facts.append(self.pacs.series_facts(series))
            except ResourceGone:
                continue
        return facts

    def _texts(self, images: Sequence[SeriesFacts]) -> dict[str, Sequence[Mapping[str, str]]]:
        """By series; what was deleted meanwhile has no texts and no part in the choice."""
        texts: dict[str, Sequence[Mapping[str, str]]] = {}
        for one in images:
            try:
                if told := self.pacs.image_texts(one.series_orthanc_id):
                    texts[one.series_uid] = told
            except ResourceGone:
                continue
        return texts


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


def _summary(
    series_uid: str, texts: Sequence[Mapping[str, str]], modalities: Sequence[str]
) -> SeriesSummary:
    return replace(summary_from_texts(texts, modalities), series_uid=series_uid)


def _chosen(untried: Sequence[_Candidate], before: _Before, tries_left: int) -> list[_Candidate]:
    """The best, unless one that was taken suits as well."""
    best = list(untried[:1]) if tries_left > 0 else []
    if not before.taken:
        return best
    held = [c for c in untried if c.series_uid in before.taken]
    standing = [c.verdict.score for c in held]
    if before.absent_score is not None:
        standing.append(before.absent_score)
    is_better = bool(best) and all(best[0].verdict.score > score for score in standing)
    return best if is_better and before.may_replace else held


def _awaited(
    untried: Sequence[_Candidate], chosen: Sequence[_Candidate], before: _Before
) -> list[_Candidate]:
    """Series with gaps that would be taken if these were filled, and that are not measured as they are."""
    known = {attempt_of(job.submission) for job in before.taken.values()}
    best = max((c.verdict.score for c in chosen), default=None)
    return [
        c
        for c in untried
        if c.verdict.summary.missing_slices
        and attempt_of(c.submission) not in known
        and best is not None
        and c.score_if_whole >= best
    ]


def _taken_note(verdict: SeriesVerdict) -> SeriesNote:
    return _note(verdict, "", in_words(verdict.reasons))


def _refused_note(verdict: SeriesVerdict) -> SeriesNote:
    return _note(verdict, verdict.code, verdict.why)


def _left_note(left: _Candidate, chosen: Sequence[_Candidate], before: _Before) -> SeriesNote:
    """Of a candidate that is not taken: outscored, too late, or too far down the list."""
    verdict = left.verdict
    if not chosen and before.taken:
        return _note(verdict, CAME_LATER, "arrived after another series of the study was measured")
    if not chosen:
        return _note(verdict, NEXT_BEST_FAILED, "the candidates before it could not be measured")
    if verdict.score > chosen[0].verdict.score or not verdict.code:
        return _note(verdict, CAME_LATER, "arrived after another series of the study was taken")
    return _note(verdict, verdict.code, verdict.why)


def _late_note(verdict: SeriesVerdict, job: Job) -> SeriesNote:
    measured = job.submission.instance_count
    detail = f'the result was made of {measured} images and stays as it is: late = "note"'
    return _note(verdict, LATE_IMAGES, detail)


def _awaits_note(verdict: SeriesVerdict) -> SeriesNote:
    missing = verdict.summary.missing_slices
    return _note(verdict, AWAITS_SLICES, f"{missing} slices missing, which may still come")


def _note(verdict: SeriesVerdict, reason: str, detail: str) -> SeriesNote:
    return SeriesNote(
        series_uid=verdict.summary.series_uid,
        number=verdict.summary.number,
        images=verdict.summary.images,
        score=verdict.score,
        reason=reason,
        detail=detail,
    )

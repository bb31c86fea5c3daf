"""Which job a series asks for: when it arrives, when the engine changed, when an operator wants it again."""

from dataclasses import replace

from orthanc_plugin.node.job_key import EngineIdentity, instance_set_hash
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal, Submission
from orthanc_plugin.node.pacs import SeriesFacts


def submission_of(
    facts: SeriesFacts, engine: EngineIdentity, run: int = 1, demographics: str = ""
) -> Submission:
    """The job that a series asks for as it is now."""
    return Submission(
        series_uid=facts.series_uid,
        series_orthanc_id=facts.series_orthanc_id,
        study_orthanc_id=facts.study_orthanc_id,
        set_hash=instance_set_hash(facts.sop_uids.values()),
        instance_count=len(facts.sop_uids),
        engine=engine,
        demographics=demographics,
        run=run,
    )


def fresh_submission(journal: Journal, wanted: Submission) -> Submission | None:
    """The submission under the first run number that was not superseded; None where that job is known."""
    wanted = journal.numbered(wanted)
    while (known := journal.job(wanted.key)) is not None:
        if known.state is not JobState.SUPERSEDED:
            return None
        wanted = journal.numbered(replace(wanted, run=wanted.run + 1))
    return wanted


def requeue(journal: Journal, key: str, actor: str, engine: EngineIdentity | None) -> str:
    """What an operator's wish to have a job again led to, as a code."""
    if journal.revive(key, actor):
        return "revived"
    job = journal.job(key)
    if job is None:
        return "unknown-job"
    if job.state in (JobState.QUEUED, JobState.RUNNING):
        return "already-queued"
    repeat = replace(
        job.submission, run=job.submission.run + 1, engine=engine or job.submission.engine
    )
    while journal.submit(repeat, actor) is None:
        repeat = replace(repeat, run=repeat.run + 1)
    return "new-run"

"""The life of a job and of a delivery, as data: which states there are and which steps are legal."""

from enum import StrEnum


class JobState(StrEnum):
    """Where a job stands; the value is what journal, REST and page show."""

    QUEUED = "queued"
    RUNNING = "running"
    COMPUTED = "computed"
    """Result bytes are safe in the spool; not every required destination has them yet."""
    DONE = "done"
    """Every required destination has confirmed."""
    REJECTED = "rejected"
    """Not ours to analyse, with a coded reason; a normal outcome."""
    DEAD = "dead"
    """Tried as often as allowed, or not worth another try; an operator may requeue it."""
    CANCELLED = "cancelled"
    """An operator ended it, or gave a dead one up, before there was a result; an operator may requeue it."""
    SUPERSEDED = "superseded"
    """A newer job on the same series took its place."""


LEGAL_JOB_STEPS: dict[JobState, frozenset[JobState]] = {
    JobState.QUEUED: frozenset(
        {JobState.RUNNING, JobState.SUPERSEDED, JobState.REJECTED, JobState.CANCELLED}
    ),
    JobState.RUNNING: frozenset(
        {
            JobState.QUEUED,
            JobState.COMPUTED,
            JobState.REJECTED,
            JobState.DEAD,
            JobState.CANCELLED,
            JobState.SUPERSEDED,
        }
    ),
    JobState.COMPUTED: frozenset({JobState.DONE, JobState.SUPERSEDED}),
    JobState.DONE: frozenset({JobState.SUPERSEDED, JobState.COMPUTED}),
    JobState.REJECTED: frozenset({JobState.QUEUED, JobState.SUPERSEDED}),
    JobState.DEAD: frozenset({JobState.QUEUED, JobState.SUPERSEDED, JobState.CANCELLED}),
    JobState.CANCELLED: frozenset({JobState.QUEUED, JobState.SUPERSEDED}),
    JobState.SUPERSEDED: frozenset(),
}


class DeliveryState(StrEnum):
    """Where one result object stands on its way to one destination."""

    PENDING = "pending"
    SENDING = "sending"
    """An Orthanc job is under way."""
    SENT = "sent"
    """The peer answered success; not yet confirmed."""
    UNVERIFIED = "sent-unverified"
    """Sent, but the peer cannot be asked whether it has the object; asked again from time to time."""
    CONFIRMED = "confirmed"
    CANCELLED = "cancelled"
    """The job was superseded before this was sent."""


LEGAL_DELIVERY_STEPS: dict[DeliveryState, frozenset[DeliveryState]] = {
    DeliveryState.PENDING: frozenset(
        {DeliveryState.PENDING, DeliveryState.SENDING, DeliveryState.CANCELLED}
    ),
    DeliveryState.SENDING: frozenset(
        {
            DeliveryState.SENDING,
            DeliveryState.SENT,
            DeliveryState.PENDING,
            DeliveryState.CANCELLED,
        }
    ),
    DeliveryState.SENT: frozenset(
        {
            DeliveryState.SENT,
            DeliveryState.CONFIRMED,
            DeliveryState.UNVERIFIED,
            DeliveryState.PENDING,
            DeliveryState.CANCELLED,
        }
    ),
    DeliveryState.UNVERIFIED: frozenset(
        {
            DeliveryState.UNVERIFIED,
            DeliveryState.CONFIRMED,
            DeliveryState.PENDING,
            DeliveryState.CANCELLED,
        }
    ),
    DeliveryState.CONFIRMED: frozenset({DeliveryState.PENDING}),
    DeliveryState.CANCELLED: frozenset(),
}


class IllegalStep(ValueError):
    """Our own programming mistake: a step that the tables above do not allow."""


def require_job_step(before: JobState, after: JobState) -> None:
    """Raise IllegalStep unless a job may go from one state to the other."""
    if after not in LEGAL_JOB_STEPS[before]:
        raise IllegalStep(f"job: {before} to {after}")


def require_delivery_step(before: DeliveryState, after: DeliveryState) -> None:
    """Raise IllegalStep unless a delivery may go from one state to the other."""
    if after not in LEGAL_DELIVERY_STEPS[before]:
        raise IllegalStep(f"delivery: {before} to {after}")

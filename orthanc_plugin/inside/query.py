"""What stands behind the question mark of an address, checked."""

import re
from collections.abc import Mapping

from orthanc_plugin.inside.exchange import Refused
from orthanc_plugin.inside.journal_reader import MOST_JOBS, JobFilter

ORTHANC_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{8}){4}")
"""SHA-1 in five groups: Orthanc's identifier of a patient, study, series or instance."""
JOB_STATES = (
    *("queued", "running", "computed", "done"),
    *("rejected", "dead", "cancelled", "superseded"),
)

_JOB_FILTERS = {
    "state": re.compile("|".join(JOB_STATES)),
    "reason": re.compile(r"[a-z0-9-]{1,64}"),
    "study": ORTHANC_ID,
    "series": ORTHANC_ID,
    "before": re.compile(r"[0-9a-f]{32}"),
}


def job_filter(query: Mapping[str, str]) -> JobFilter:
    """Which jobs are wanted; raises Refused."""
    known = {*_JOB_FILTERS, "limit"}
    if unknown := query.keys() - known:
        raise _invalid(f"{len(unknown)} unknown filters", f"only {', '.join(sorted(known))}")
    for name, pattern in _JOB_FILTERS.items():
        if name in query and not pattern.fullmatch(query[name]):
            raise _invalid(f"a value of {name} that cannot be", f"{name} like {pattern.pattern}")
    values = {name: query[name] for name in _JOB_FILTERS if name in query}
    return JobFilter(limit=limit_of(query), **values)


def limit_of(query: Mapping[str, str]) -> int:
    """How many rows; raises Refused."""
    limit = whole_number(query, "limit")
    if limit is None:
        return JobFilter().limit
    if not 1 <= limit <= MOST_JOBS:
        raise _invalid("a limit out of range", f"1 to {MOST_JOBS}")
    return limit


def whole_number(query: Mapping[str, str], name: str) -> int | None:
    """A number, or None where it is not given; raises Refused."""
    text = query.get(name)
    if text is None:
        return None
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise _invalid(f"a value of {name} that is no number", "a whole number")
    return int(text)


def _invalid(found: str, wanted: str) -> Refused:
    return Refused(
        400, "query-invalid", found=found, wanted=wanted, advice="See /habitus/openapi.json."
    )

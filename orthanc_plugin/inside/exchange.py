"""One HTTP exchange as the routes see it: the request, the answer, and a refusal with its reason."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

JSON = "application/json"
FAULT_HEADER = "X-Habitus-Fault"
"""Where a refusal's JSON stands: up to plugin 4.1, Orthanc sends a body with status 200 only."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What of an HTTP request the routes look at."""

    method: str
    headers: Mapping[str, str]
    """Names in lower case, as Orthanc passes them."""
    groups: tuple[str, ...] = ()
    """What the route's parentheses matched."""
    query: Mapping[str, str] = field(default_factory=dict)
    """As they stand in the address, percent signs included."""
    body: bytes = b""
    user: str = "anonymous"
    """Who asks, once the guard has let them in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back."""

    body: bytes = b""
    mime: str = JSON
    status: int = 200
    allowed: str = ""
    """With status 405: the methods to use."""
    location: str = ""
    """Where a redirection leads."""
    fault: str = ""
    """With any other status: the refusal as JSON in ASCII."""


Route = Callable[[Request], Answer]


class Refused(Exception):
    """A request that is not served; every part is a sentence of ours and quotes nothing of the request."""

    def __init__(self, status: int, code: str, *, found: str, wanted: str, advice: str) -> None:
        super().__init__(code)
        self.answer = Answer(
            status=status,
            fault=json.dumps({"error": code, "found": found, "wanted": wanted, "advice": advice}),
        )


def as_json(body: object) -> Answer:
    """An answer of status 200."""
    return Answer(body=json.dumps(body).encode())

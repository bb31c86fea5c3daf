"""Who may ask for what: roles of Orthanc's users, and the checks that keep other sites' pages from acting for them."""

import json
import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any
from urllib.parse import urlsplit

from orthanc_plugin.inside.exchange import JSON, Refused, Request

LONGEST_BODY = 16 * 1024
"""Bytes; the largest body any route takes has a few hundred."""
ANONYMOUS = "anonymous"
_USER = re.compile(r"[A-Za-z0-9._@-]{1,64}")
_OUR_SITE = ("same-origin", "none")


class Role(IntEnum):
    """What a user may do; each role includes those before it."""

    NONE = 0
    VIEWER = 1
    """See jobs, numbers and pictures."""
    OPERATOR = 2
    """Have studies analysed, cancelled, sent again; enter height and weight; set L3."""
    ADMIN = 3
    """See the configuration and who did what."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """Which user has which role."""

    roles: Mapping[str, Role] = field(default_factory=dict)
    is_authenticated: bool = True
    """Orthanc has checked the password. Where it does not, a name in the header is only a claim."""
    anonymous: Role = Role.NONE

    def user_of(self, headers: Mapping[str, str]) -> str:
        """Who asks, for the audit."""
        return actor_of(headers) if self.is_authenticated else ANONYMOUS

    def role_of(self, user: str) -> Role:
        """A user that Orthanc knows and nobody gave a role may look."""
        if user == ANONYMOUS:
            return self.anonymous
        return self.roles.get(user, Role.VIEWER)


def actor_of(headers: Mapping[str, str]) -> str:
    """The user in a Basic header; "unknown" where the name could not be written into a log."""
    scheme, _, encoded = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return ANONYMOUS
    try:
        user = b64decode(encoded, validate=True).decode("utf-8").partition(":")[0]
    except (Base64Error, UnicodeDecodeError):
        return "unknown"
    return user if _USER.fullmatch(user) else "unknown"


def require_role(admission: Admission, user: str, wanted: Role) -> None:
    """Raise Refused unless the user may."""
    if (found := admission.role_of(user)) < wanted:
        raise Refused(
            403,
            "role-missing",
            found=f"the role {found.name.lower()}",
            wanted=f"the role {wanted.name.lower()}",
            advice="Ask an administrator: Habitus.Roles in Orthanc's configuration.",
        )


def require_own_page(request: Request) -> None:
    """Raise Refused where a page of another site may have sent this with the browser's cached password."""
    headers = request.headers
    # A foreign page cannot set this header without asking us first (CORS), and we answer no such question.
    is_ours = bool(headers.get("x-requested-with"))
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        is_ours = is_ours and site in _OUR_SITE
    elif origin is not None:
        is_ours = is_ours and urlsplit(origin).netloc == headers.get("host")
    if not is_ours:
        raise Refused(
            403,
            "cross-site",
            found="a request that another site's page may have sent",
            wanted="one from our own page, or from a program",
            advice="Programs send the header X-Requested-With with any value, and no Origin.",
        )


def json_object(request: Request) -> dict[str, Any]:
    """The body of a request that changes something; raises Refused."""
    if len(request.body) > LONGEST_BODY:
        raise Refused(
            413,
            "body-too-long",
            found=f"a body of {len(request.body)} bytes",
            wanted=f"{LONGEST_BODY} at most",
            advice="Send only the fields of the API's description.",
        )
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != JSON:
        raise Refused(
            415,
            "not-json",
            found="another content type",
            wanted=JSON,
            advice="Send the header Content-Type: application/json.",
        )
    try:
        # The default reads NaN and Infinity, which are not JSON.
        value = json.loads(request.body or b"{}", parse_constant=_no_constant)
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise invalid_body("a body that is no JSON object", "a JSON object")
    return value


def invalid_body(found: str, wanted: str) -> Refused:
    """A body whose fields cannot be used."""
    return Refused(
        400,
        "body-invalid",
        found=found,
        wanted=wanted,
        advice="See /habitus/openapi.json.",
    )


def _no_constant(_: str) -> None:
    raise ValueError

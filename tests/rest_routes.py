"""Every route of the plugin with an address that is one of its kind, so that what holds for all is asked of all."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from orthanc_plugin.inside.guard import Admission, Role
from orthanc_plugin.inside.routes import KEY, Routes

NOTHING: Any = None
EXAMPLES = {
    KEY: "{key}",
    "([a-z0-9-]{1,40})": "l3",
    r"(index\.html|page\.js|page\.css)": "page.js",
    r"\.": ".",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class RestCall:
    """One method of one route."""

    method: str
    path: str
    """With {key} where the key of a job stands."""
    role: Role

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def rest_calls() -> tuple[RestCall, ...]:
    """All of them, from the plugin's own table."""
    return tuple(_calls())


def _calls() -> Iterator[RestCall]:
    routes = Routes(NOTHING, NOTHING, NOTHING, NOTHING, Admission())
    for pattern, methods in routes.table().items():
        path = pattern
        for part, example in EXAMPLES.items():
            path = path.replace(part, example)
        assert re.fullmatch(pattern, path.format(key="0" * 32)), pattern
        for method, (role, _) in methods.items():
            yield RestCall(method=method, path=path, role=role)

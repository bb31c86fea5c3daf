"""The fields of what operators ask for, checked one by one."""

import re
from collections.abc import Mapping
from typing import Any

from orthanc_plugin.inside.guard import invalid_body
from orthanc_plugin.inside.query import ORTHANC_ID

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
HEIGHT_LIMITS_M = (0.5, 2.5)
WEIGHT_LIMITS_KG = (10.0, 400.0)
UID = re.compile(r"[0-9][0-9.]{0,63}")
INSTANCE_NUMBER_LIMITS = (-(2.0**31), 2.0**31 - 1)
"""VR IS (PS3.5 table 6.2-1)."""
Z_LIMITS_MM = (-1e6, 1e6)


def no_fields(body: Mapping[str, Any]) -> None:
    """Raise Refused for any field."""
    _only(body, ())


def resend_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """To one destination, or to all."""
    _only(body, ("destination",))
    return {"destination": _text(body, "destination", NAME)}


def analyse_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """A study or a series, with a profile or that of the settings."""
    _only(body, ("study", "series", "profile"))
    if ("study" in body) == ("series" in body):
        raise invalid_body("both or neither of study and series", "one of them")
    return {
        "study": _text(body, "study", ORTHANC_ID),
        "series": _text(body, "series", ORTHANC_ID),
        "profile": _text(body, "profile", NAME),
    }


def body_size_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Height, weight, or both."""
    _only(body, ("height_m", "weight_kg"))
    if not body:
        raise invalid_body("neither height_m nor weight_kg", "at least one of them")
    return {
        "height_m": _number(body, "height_m", HEIGHT_LIMITS_M),
        "weight_kg": _number(body, "weight_kg", WEIGHT_LIMITS_KG),
    }


def level_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """The slice through the middle of L3, named in one of three ways."""
    names = ("sop_instance_uid", "instance_number", "z_mm")
    _only(body, names)
    if len(body) != 1:
        raise invalid_body(f"{len(body)} names of a slice", f"one of {', '.join(names)}")
    number = _number(body, "instance_number", INSTANCE_NUMBER_LIMITS)
    if number is not None and not number.is_integer():
        raise invalid_body("a value of instance_number that cannot be", "a whole number")
    return {
        "sop_instance_uid": _text(body, "sop_instance_uid", UID),
        "instance_number": None if number is None else int(number),
        "z_mm": _number(body, "z_mm", Z_LIMITS_MM),
    }


def _only(body: Mapping[str, Any], known: tuple[str, ...]) -> None:
    if unknown := body.keys() - set(known):
        raise invalid_body(f"{len(unknown)} unknown fields", f"only {', '.join(known) or 'none'}")


def _text(body: Mapping[str, Any], name: str, pattern: re.Pattern[str]) -> str | None:
    value = body.get(name)
    if name not in body:
        return None
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise invalid_body(f"a value of {name} that cannot be", f"{name} like {pattern.pattern}")
    return value


def _number(body: Mapping[str, Any], name: str, limits: tuple[float, float]) -> float | None:
    value = body.get(name)
    if name not in body:
        return None
    low, high = limits
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not low <= value <= high:  # type: ignore[operator] # a number by now
        raise invalid_body(f"a value of {name} that cannot be", f"{low:g} to {high:g}")
    return float(value)  # type: ignore[arg-type] # a number by now

"""How the report is written: what a site may choose; a part of the job key, as it changes the result."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from enum import StrEnum
from typing import TypeVar

from inference.domain.errors import ConfigurationInvalid

Choice = TypeVar("Choice", bound=StrEnum)


class SrTitle(StrEnum):
    """Document title of the structured report."""

    HABITUS = "habitus"
    """A title of our own: viewers show the report as text, and none takes it for the radiologist's."""
    IMAGING_MEASUREMENT_REPORT = "126000"
    """(126000, DCM) of CID 7021: for receivers that look for it; OHIF 3.13 fails on opening it."""


class Language(StrEnum):
    """Of the picture page (RFC 5646)."""

    ENGLISH = "en"
    KOREAN = "ko"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportOptions:
    """The site's choices."""

    title: SrTitle = SrTitle.HABITUS
    language: Language = Language.ENGLISH

    @property
    def content_hash(self) -> str:
        """Hex digest of all choices."""
        return hashlib.sha256(json.dumps(asdict(self), sort_keys=True).encode()).hexdigest()


DEFAULT_REPORT = ReportOptions()


def report_options(table: Mapping[str, object]) -> ReportOptions:
    """Options from plain values (a TOML table, a message); what is absent keeps its default. Raises ConfigurationInvalid."""
    names = [field.name for field in fields(ReportOptions)]
    if unknown := sorted(set(table) - set(names)):
        raise _invalid(f"unknown setting report.{unknown[0]:.40}", f"one of {', '.join(names)}")
    return ReportOptions(
        title=_choice(SrTitle, table, "title", DEFAULT_REPORT.title),
        language=_choice(Language, table, "language", DEFAULT_REPORT.language),
    )


def _choice(kind: type[Choice], table: Mapping[str, object], name: str, default: Choice) -> Choice:
    value = table.get(name, default)
    for choice in kind:
        if choice == value:
            return choice
    raise _invalid(f"report.{name} = {value!r:.40}", f"one of {', '.join(kind)}")


def _invalid(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        found=found,
        wanted=wanted,
        advice="Mend [report] in habitus.toml, or the option of habitus run.",
    )

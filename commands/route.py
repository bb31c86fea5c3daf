"""habitus route"""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orthanc_plugin.node.routing import RuleVerdict, SeriesOrigin
    from orthanc_plugin.node.routing_rules import Rule
    from orthanc_plugin.node.settings import Settings

_TAG = re.compile(r"([A-Z][A-Za-z0-9]*)=(.*)", re.DOTALL)
_CLOCK = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")
NO_RULE_STATUS = 3


def add_options(route: argparse.ArgumentParser) -> None:
    """Arguments and help."""
    route.add_argument(
        "--settings", type=Path, default=Path("habitus.toml"), help="default: habitus.toml here"
    )
    route.add_argument(
        "--test",
        nargs="+",
        required=True,
        metavar="FILE_OR_TAG",
        help="DICOM files, one of each CT series of a study; or KEYWORD=VALUE for a series that is only thought of",
    )
    route.add_argument("--calling", default="", help="AE title of the sender")
    route.add_argument("--called", default="", help="AE title by which it calls the node")
    route.add_argument("--at", metavar="HH:MM", help="time of day at the site (default: now)")
    route.add_argument("--json", action="store_true", help="print the table as JSON")
    route.formatter_class = argparse.RawDescriptionHelpFormatter
    route.epilog = """\
The first rule that fits decides; the table says why each one before it does not. Values are shown as they stand in the files:
they may name a patient.

examples:
  habitus route --test ct/0001.dcm --calling ER1 --called STAT
  habitus route --test Modality=CT StudyDescription="CT abdomen" --at 23:30
  habitus route --settings /etc/habitus/habitus.toml --test ct/0001.dcm --json

exit status: 0 the study is taken · 2 wrong arguments or settings · 3 it is not taken: no rule fits [no-rule], or it is no CT · 4 unreadable file
"""


def show_route(options: argparse.Namespace) -> int:
    """habitus route"""
    from orthanc_plugin.node.routing import verdicts
    from orthanc_plugin.node.settings_file import load_settings

    settings = load_settings(options.settings)
    at = _at(options.at, settings.time_zone)
    origins = _origins(options.test, options.calling, options.called)
    _require_ct(origins)
    answers = list(verdicts(settings.rules, origins, at))
    fired = next((each.rule for each in answers if each.fires), None)
    if options.json:
        sys.stdout.write(_as_json(answers, fired, settings))
    else:
        _print_table(answers, at)
        sys.stdout.write(_in_words(fired, settings) + "\n")
    return 0 if fired or not settings.rules else NO_RULE_STATUS


def _at(text: str | None, zone_name: str) -> datetime:
    import time

    from inference.domain.errors import ConfigurationInvalid
    from orthanc_plugin.node.site_time import SiteClock

    now = SiteClock(zone_name=zone_name).local(time.time())
    if text is None:
        return now
    match = _CLOCK.fullmatch(text)
    if match is None:
        raise ConfigurationInvalid(
            found=f"--at {text!r:.20}", wanted="a time of day", advice="Write it as 23:30."
        )
    return now.replace(hour=int(match[1]), minute=int(match[2]))


def _origins(given: Sequence[str], calling: str, called: str) -> "list[SeriesOrigin]":
    """One series of all the tags together, and one of each file."""
    from inference.dicom.header_texts import texts_of_file
    from orthanc_plugin.node.routing import SeriesOrigin

    tags = {match[1]: match[2] for text in given if (match := _TAG.fullmatch(text))}
    for keyword in tags:
        _require_known(keyword)
    files = [texts_of_file(Path(text)) for text in given if not _TAG.fullmatch(text)]
    return [
        SeriesOrigin(calling=calling, called=called, texts=texts)
        for texts in ([tags] if tags else []) + files
    ]


def _require_known(keyword: str) -> None:
    from pydicom.datadict import keyword_dict

    from inference.domain.errors import ConfigurationInvalid
    from orthanc_plugin.node.settings_checks import nearest

    if keyword not in keyword_dict:
        raise ConfigurationInvalid(
            found=f"{keyword}, which is no DICOM keyword",
            wanted=nearest(keyword, keyword_dict),
            advice="Write KEYWORD=VALUE with a keyword of DICOM's dictionary (PS3.6).",
        )


def _require_ct(origins: "Sequence[SeriesOrigin]") -> None:
    """As the intake passes over other series before any rule is asked; a modality that is not told is taken for CT."""
    from inference.domain.errors import StudyRejected
    from orthanc_plugin.node.study_choice import skipped

    told = [
        (each.texts.get("Modality", "CT"), each.texts.get("Manufacturer", "")) for each in origins
    ]
    reasons = [skipped(modality.strip(), maker.strip()) for modality, maker in told]
    if all(reasons):
        raise StudyRejected(
            reason=str(reasons[0]),
            found=f"modality {told[0][0]!r:.20}",
            wanted="a CT series that is no result of ours",
            advice="No rule is asked about it, and the study is not taken.",
        )


def _as_json(answers: "Sequence[RuleVerdict]", fired: "Rule | None", settings: "Settings") -> str:
    rows = [{"rule": each.rule.name, "fires": each.fires, "why": each.why} for each in answers]
    told = {
        "rules": rows,
        "rule": fired.name if fired else None,
        "taken": fired is not None or not settings.rules,
    }
    return json.dumps(told, indent=2, ensure_ascii=False) + "\n"


def _print_table(answers: "Sequence[RuleVerdict]", at: datetime) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=f"Rules at {at:%H:%M} (UTC{at:%z})", title_justify="left")
    for name in ("rule", "fires", "why"):
        table.add_column(name)
    for each in answers:
        # Text, not markup: a value of a header may hold brackets.
        table.add_row(each.rule.name, "yes" if each.fires else "no", Text(each.why))
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _in_words(fired: "Rule | None", settings: "Settings") -> str:
    if fired is None and settings.rules:
        return "No rule fits: the study is not taken [no-rule]."
    from orthanc_plugin.node.job_route import Route, receivers, route_by
    from orthanc_plugin.node.routing_rules import Mode

    route = route_by(fired) if fired else Route()
    names = ", ".join(each.name for each in receivers(route, settings.destinations))
    whither = (
        "nothing is sent (shadow)" if route.mode is Mode.SHADOW else f"sent to {names or 'nobody'}"
    )
    window = f", starts within {route.window}" if route.window else ""
    by = f"By {route.rule}" if route.rule else "Without rules"
    return (
        f"{by}: profile {route.profile or settings.engine.profile}, {', '.join(route.outputs)} {whither},"
        f" priority {route.priority}{window}."
    )

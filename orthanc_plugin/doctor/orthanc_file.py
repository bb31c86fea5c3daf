"""Orthanc's configuration file: what in it loses images, lets strangers in, or keeps the plugin from working."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.doctor.data_folder import place, room
from orthanc_plugin.doctor.finding import Finding, Level, ill, noted, well
from orthanc_plugin.doctor.receivers import title_fault
from orthanc_plugin.node.orthanc_config import ENTRY, MAX_AE_TITLE
from orthanc_plugin.node.settings import Settings

_COMMENT_OR_TEXT = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
SUBJECT = "orthanc configuration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One key of Orthanc's configuration and the value that a node wants."""

    key: str
    default: Any
    """Orthanc's own, where the file does not name it."""
    wanted: Any
    level: Level
    why: str
    """What its other value does."""


RULES = (
    Rule(
        key="OverwriteInstances",
        default=False,
        wanted=False,
        level=Level.FAIL,
        why="an image that is sent again takes the place of the first without a word",
    ),
    Rule(
        key="DicomAlwaysAllowStore",
        default=True,
        wanted=False,
        level=Level.FAIL,
        why="whoever reaches the DICOM port may store images; list the senders in DicomModalities instead",
    ),
    Rule(
        key="DicomAlwaysAllowFind",
        default=False,
        wanted=False,
        level=Level.FAIL,
        why="whoever reaches the DICOM port may ask for patients",
    ),
    Rule(
        key="DicomAlwaysAllowGet",
        default=False,
        wanted=False,
        level=Level.FAIL,
        why="whoever reaches the DICOM port may fetch images",
    ),
    Rule(
        key="DicomAlwaysAllowMove",
        default=False,
        wanted=False,
        level=Level.FAIL,
        why="whoever reaches the DICOM port may have images sent",
    ),
    Rule(
        key="DicomCheckCalledAet",
        default=False,
        wanted=True,
        level=Level.NOTE,
        why="senders are served by whatever name they call us",
    ),
    Rule(
        key="DicomTlsEnabled",
        default=False,
        wanted=True,
        level=Level.NOTE,
        why="images travel in the clear",
    ),
    Rule(
        key="SslEnabled",
        default=False,
        wanted=False,
        level=Level.NOTE,
        why="the Orthanc packages of Debian and Ubuntu end at the first HTTPS request; docs/https.md has nginx hold the certificate",
    ),
    Rule(
        key="ExecuteLuaEnabled",
        default=False,
        wanted=False,
        level=Level.FAIL,
        why="an administrator's password is enough to run code on this machine",
    ),
    Rule(
        key="StorageCompression",
        default=False,
        wanted=False,
        level=Level.NOTE,
        why="each slice is packed and unpacked: taking in and reading a series costs more CPU time",
    ),
    Rule(
        key="DefaultEncoding",
        default="Latin1",
        wanted="Utf8",
        level=Level.NOTE,
        why="answers to C-FIND and QIDO-RS lose every letter of Korean, Japanese and Chinese names",
    ),
    Rule(
        key="SaveJobs",
        default=True,
        wanted=True,
        level=Level.NOTE,
        why="sends under way are forgotten at a restart, and made again",
    ),
    Rule(
        key="MaximumStorageSize",
        default=0,
        wanted=0,
        level=Level.NOTE,
        why="Orthanc deletes its oldest patients when it is reached; Habitus protects those with open jobs only",
    ),
    Rule(
        key="MaximumPatientCount",
        default=0,
        wanted=0,
        level=Level.NOTE,
        why="Orthanc deletes its oldest patients when it is reached; Habitus protects those with open jobs only",
    ),
)
JOBS_REMEMBERED = 100
"""Of JobsHistorySize: the default of 10 forgets sends before the outbox has asked how they ended."""


def read_orthanc_configuration(path: Path) -> dict[str, Any]:
    """One file, or a folder of files as Orthanc joins them; raises ConfigurationInvalid."""
    files = sorted(path.glob("*.json")) if path.is_dir() else [path]
    joined: dict[str, Any] = {}
    for file in files:
        try:
            table = json.loads(_without_comments(file.read_text(encoding="utf-8")))
        except (OSError, ValueError, RecursionError) as exc:
            raise _unreadable(file, exc) from exc
        if not isinstance(table, dict):
            raise _unreadable(file, ValueError())
        joined |= table
    return joined


def table_of(whole: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A section; empty where there is none, or something else."""
    found = whole.get(key)
    return found if isinstance(found, dict) else {}


def orthanc_file(whole: Mapping[str, Any], settings_path: Path) -> Iterator[Finding]:
    """Everything that the file alone tells."""
    broken = [finding for rule in RULES if (finding := _broken(rule, whole))]
    yield from broken
    if not any(finding.level is Level.FAIL for finding in broken):
        yield well(SUBJECT, "nothing that loses images or lets strangers in by DICOM")
    yield from _passwords(whole)
    yield from _plugin(whole, settings_path)
    yield from _titles(whole)
    remembered = whole.get("JobsHistorySize", 10)
    if isinstance(remembered, int) and 0 < remembered < JOBS_REMEMBERED:
        yield noted(
            "JobsHistorySize",
            f"{remembered}: sends are forgotten before the outbox has asked how they ended, and made again",
            f"Set at least {JOBS_REMEMBERED}.",
        )


def storage(whole: Mapping[str, Any], path: Path, settings: Settings) -> Iterator[Finding]:
    """Where Orthanc keeps images; its folder counts from the configuration's where it is not absolute."""
    folder = (path if path.is_dir() else path.parent) / str(
        whole.get("StorageDirectory", "OrthancStorage")
    )
    if not folder.is_dir():
        yield noted("orthanc storage", f"{folder} is not there", "Orthanc makes it at its start.")
        return
    yield from place("orthanc storage", folder)
    yield room("orthanc storage", folder, settings.disk.marks)


def _broken(rule: Rule, whole: Mapping[str, Any]) -> Finding | None:
    value = whole.get(rule.key, rule.default)
    if value == rule.wanted:
        return None
    shown = f"{json.dumps(value):.40}{'' if rule.key in whole else ' (the default)'}"
    advice = f"Set it to {json.dumps(rule.wanted)} in Orthanc's configuration."
    text = f"{shown}: {rule.why}"
    if rule.level is Level.NOTE:
        return noted(rule.key, text, advice)
    return ill(rule.key, found=text, wanted=json.dumps(rule.wanted), advice=advice)


def _passwords(whole: Mapping[str, Any]) -> Iterator[Finding]:
    is_remote = bool(whole.get("RemoteAccessAllowed", False))
    # Orthanc's own default: passwords exactly where others can reach it.
    is_asked = bool(whole.get("AuthenticationEnabled", is_remote))
    users = table_of(whole, "RegisteredUsers") or {"orthanc": "orthanc"}
    if not is_asked:
        who = "everybody who reaches the port" if is_remote else "every process on this machine"
        yield ill(
            "AuthenticationEnabled",
            found=f"false: {who} may read and delete all images",
            wanted="true",
            advice="Set it, with RegisteredUsers, in Orthanc's configuration.",
        )
    elif "orthanc" in users.values():
        yield ill(
            "RegisteredUsers",
            found="the password that everybody knows from Orthanc's manual",
            wanted="passwords of this site",
            advice="Change it in Orthanc's configuration.",
        )
    else:
        yield well("RegisteredUsers", f"passwords are asked for; {len(users)} users")
    if is_remote and not whole.get("SslEnabled", False):
        yield noted(
            "RemoteAccessAllowed",
            "true without HTTPS: passwords and images travel in the clear",
            "Set it to false and let nginx on this host hold the certificate: docs/https.md.",
        )


def _plugin(whole: Mapping[str, Any], settings_path: Path) -> Iterator[Finding]:
    script = whole.get("PythonScript")
    if not isinstance(script, str) or Path(script).resolve() != ENTRY:
        yield ill(
            "PythonScript",
            found=f"{script!r:.80}",
            wanted=str(ENTRY),
            advice="Set it in Orthanc's configuration, and the Python plugin's library among Plugins.",
        )
    section = table_of(whole, "Habitus")
    if not section:
        yield ill(
            "section Habitus",
            found="none in Orthanc's configuration",
            wanted="Settings, Python and Roles",
            advice="Write Orthanc's configuration as docs/two-lives.md shows.",
        )
        return
    read = Path(str(section.get("Settings", "")))
    if read.resolve() != settings_path.resolve():
        yield ill(
            "Habitus.Settings",
            found=f"{read}: the plugin reads another file than {settings_path}",
            wanted="one habitus.toml for node and plugin",
            advice="Set Habitus.Settings in Orthanc's configuration, or name that file to doctor.",
        )
    interpreter = Path(str(section.get("Python", "")))
    if not interpreter.is_file():
        yield ill(
            "Habitus.Python",
            found=f"no file {str(interpreter)!r:.80}",
            wanted="the interpreter of the node's environment",
            advice="Set Habitus.Python to .venv/bin/python of this installation.",
        )


def _titles(whole: Mapping[str, Any]) -> Iterator[Finding]:
    for name, told in table_of(whole, "DicomModalities").items():
        # An older way to write it is a list that begins with the title.
        title = told.get("AET", "") if isinstance(told, dict) else next(iter(told or [""]))
        if fault := title_fault(str(title)):
            yield ill(
                f"modality {name:.40}",
                found=f"AE title {str(title)!r:.40}, {fault}",
                wanted=f"1 to {MAX_AE_TITLE} ASCII characters without backslash",
                advice="Change it in DicomModalities, and at the other end.",
            )


def _without_comments(text: str) -> str:
    """Orthanc's files may hold comments of C++."""
    return _COMMENT_OR_TEXT.sub(lambda m: m.group() if m.group()[0] == '"' else " ", text)


def _unreadable(file: Path, cause: Exception) -> ConfigurationInvalid:
    at = f", line {cause.lineno}" if isinstance(cause, json.JSONDecodeError) else ""
    return ConfigurationInvalid(
        found=f"{file.name}, which is no readable configuration of Orthanc ({type(cause).__name__}{at})",
        wanted="JSON with comments, as Orthanc reads it",
        advice="Name Orthanc's file, or its folder, as --orthanc-config; you need the right to read it.",
    )

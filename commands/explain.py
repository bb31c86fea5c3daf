"""habitus explain"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from commands.named_path import named_path

if TYPE_CHECKING:
    from inference.dicom.survey import Survey
    from inference.domain.analysis_profile import Profile
    from inference.domain.errors import HabitusError
    from inference.domain.series_choice import SeriesChoice


@dataclass(frozen=True, slots=True, kw_only=True)
class _Foreseen:
    """What `habitus run` would do, as far as headers tell."""

    choice: "SeriesChoice"
    cautions: tuple[str, ...] = ()
    refusal: "HabitusError | None" = None


def add_options(explain: argparse.ArgumentParser) -> None:
    """Arguments and help."""
    explain.add_argument(
        "study_dir", type=named_path, metavar="STUDY_DIR", help="folder of DICOM files"
    )
    explain.add_argument(
        "--profile", default="abdomen", help="whose rules: abdomen (default), l3 …"
    )
    explain.add_argument("--json", action="store_true", help="print the choice as JSON")
    explain.formatter_class = argparse.RawDescriptionHelpFormatter
    explain.epilog = """\
Headers are read, pixels are not: series are tried in the order in which habitus run tries them, and refused for what it would
refuse them for, but for what only pixels tell (no L3, broken pixels, whether two images at one position are copies). Points
and refusals come from inference/profiles/series/*.toml. Descriptions are shown as they stand in the files: they may name a
patient.

examples:
  habitus explain study/
  habitus explain study/ --profile l3 --json
  habitus synth study/soft --seed 4             a study of two series to try it on: same seed, same study
  habitus synth study/lung --seed 4 --series-number 3 --kernel B60f

exit status: 0 a series is chosen · 2 wrong arguments or settings · 3 none can be (the coded reason is printed) ·
4 unreadable input
"""


def explain_choice(options: argparse.Namespace) -> int:
    """habitus explain"""
    from inference.dicom.survey import survey_folder
    from inference.domain.analysis_profile import load_profile
    from inference.domain.series_rules import load_series_rules

    profile = load_profile(options.profile)
    rules = load_series_rules(profile.series_rules)
    survey = survey_folder(options.study_dir)
    foreseen = _foreseen(survey, profile)
    if options.json:
        sys.stdout.write(_as_json(foreseen, rules.name, len(survey.unreadable)))
    else:
        _print_choice(foreseen.choice, f"{rules.name}: {rules.description}")
        for caution in foreseen.cautions:
            sys.stdout.write(f"! {caution}\n")
        for path in survey.unreadable_paths:
            sys.stdout.write(f"! cannot be read: {_printable(str(path))}\n")
    if foreseen.refusal:
        raise foreseen.refusal
    return 0


def _foreseen(survey: "Survey", profile: "Profile") -> _Foreseen:
    from inference.dicom.read_series import check_headers
    from inference.domain.analysis_profile import LossyPolicy
    from inference.domain.errors import HabitusError, StudyRejected
    from inference.first_measurable import ranked_series, require_one_study, try_in_order

    def copies(paths: Sequence[Path]) -> int:
        return check_headers(paths, LossyPolicy(profile.lossy))

    choice = ranked_series(survey, profile)
    try:
        require_one_study(survey, choice)
    except StudyRejected as refusal:
        return _Foreseen(
            choice=choice.refused_whole(refusal.reason, refusal.found), refusal=refusal
        )
    tried = try_in_order(survey, choice, copies)
    try:
        cautions = _cautions(tried.first)
    except HabitusError as refusal:
        return _Foreseen(choice=tried.choice, refusal=refusal)
    return _Foreseen(choice=tried.choice, cautions=cautions)


def _cautions(copies: int) -> tuple[str, ...]:
    if not copies:
        return ()
    return (
        f"images of the chosen series at the position of another: {copies}; habitus run leaves them out where their "
        "pixels are the same, and else refuses the series [duplicate-position]",
    )


def _as_json(foreseen: _Foreseen, rules: str, unreadable: int) -> str:
    from inference.domain.series_choice import considered

    choice, refusal = foreseen.choice, foreseen.refusal
    rows = [
        asdict(row) | {"facts": asdict(verdict.summary)}
        for row, verdict in zip(considered(choice), choice.verdicts, strict=True)
    ]
    told = {
        "rules": rules,
        "series": rows,
        "unreadable_files": unreadable,
        "cautions": foreseen.cautions,
        "refusal": refusal and {"code": refusal.reason_code, "message": str(refusal)},
    }
    return json.dumps(told, indent=2) + "\n"


def _printable(words: str) -> str:
    """Without control characters: a header or a file name could steer the terminal."""
    return "".join(sign if sign.isprintable() or sign == "\u3000" else "�" for sign in words)


def _print_choice(choice: "SeriesChoice", title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from inference.domain.series_choice import considered

    table = Table(title=title, title_justify="left", show_lines=True)
    for name in ("series", "images", "mm", "covers", "points"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("description", "verdict", "why"):
        table.add_column(name)
    for row, verdict in zip(considered(choice), choice.verdicts, strict=True):
        facts = verdict.summary
        thickness = facts.thickness_mm or facts.step_mm
        table.add_row(
            "" if row.number is None else str(row.number),
            str(row.images),
            "" if thickness is None else f"{thickness:g}",
            "" if facts.coverage_mm is None else f"{facts.coverage_mm:.0f} mm",
            str(row.score) if row.outcome != "refused" else "",
            # Text, not markup: a description may hold brackets.
            Text(_printable(facts.description)),
            Text(f"{row.outcome} {row.code}".strip()),
            Text(row.why),
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)

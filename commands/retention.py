"""habitus retention"""

import argparse
import json
import sys
from collections import Counter
from pathlib import Path


def add_options(retention: argparse.ArgumentParser) -> None:
    """Arguments and help."""
    retention.add_argument(
        "--settings", type=Path, default=Path("habitus.toml"), help="default: habitus.toml here"
    )
    retention.add_argument(
        "--dry-run", action="store_true", required=True, help="list; only the node itself deletes"
    )
    retention.add_argument(
        "--days", type=float, help="as if [retention] studies_days were this; to try a rule"
    )
    retention.add_argument(
        "--also-without-results",
        action="store_true",
        help="as if [retention] also_without_results were true",
    )
    retention.add_argument(
        "--orthanc-config",
        type=Path,
        metavar="FILE",
        help="Orthanc's configuration, for a login where [orthanc] names none",
    )
    retention.add_argument("--json", action="store_true", help="print the verdicts as JSON")
    retention.formatter_class = argparse.RawDescriptionHelpFormatter
    retention.epilog = """\
Deletes nothing. Studies are named by Orthanc's identifiers, which name no patient.

examples:
  habitus retention --dry-run --settings /etc/habitus/habitus.toml
  habitus retention --dry-run --days 180 --json

exit status: 0 listed · 2 wrong arguments or settings, or the rule is off and --days not given · 1 Orthanc does not answer
"""


def show_verdicts(options: argparse.Namespace) -> int:
    """habitus retention"""
    import sqlite3
    import time
    from contextlib import closing
    from dataclasses import replace

    from inference.domain.errors import ConfigurationInvalid
    from orthanc_plugin.doctor.examination import entrance_of
    from orthanc_plugin.doctor.orthanc_file import read_orthanc_configuration
    from orthanc_plugin.node.orthanc_pacs import OrthancPacs
    from orthanc_plugin.node.settings_file import load_settings
    from orthanc_plugin.node.settings_types import MOST
    from orthanc_plugin.node.study_retention import RetentionRule

    settings = load_settings(options.settings)
    rule = settings.retention
    if options.days is not None:
        rule = replace(rule, studies_days=options.days)
    if options.also_without_results:
        rule = replace(rule, also_without_results=True)
    if options.days is not None and not 0 < options.days <= MOST:
        raise ConfigurationInvalid(
            found=f"--days {options.days:g}",
            wanted=f"more than 0, at most {MOST:g}",
            advice="Such as --days 365.",
        )
    if not rule.studies_days > 0:
        raise ConfigurationInvalid(
            found="[retention] studies_days = 0: nothing is ever deleted",
            wanted="a rule",
            advice="Try one with --days 365.",
        )
    if not settings.journal_path.is_file():
        raise ConfigurationInvalid(
            found="no journal yet",
            wanted="that of a node",
            advice="Start the node once; see habitus doctor.",
        )
    whole = read_orthanc_configuration(options.orthanc_config) if options.orthanc_config else {}
    entrance = entrance_of(settings.orthanc, whole)
    access = (entrance.url, entrance.login, settings.orthanc.timeout_s, entrance.fingerprint)
    # Opened to read: as another user we would leave files that the node cannot write.
    uri = f"{settings.journal_path.as_uri()}?mode=ro"
    with closing(sqlite3.connect(uri, uri=True)) as journal, OrthancPacs(*access) as pacs:
        journal.row_factory = sqlite3.Row
        seen = list(RetentionRule(journal, pacs, time.time).verdicts(rule))
    going = [each for each in seen if each.kept is None]
    kept = Counter(each.kept.value for each in seen if each.kept is not None)
    if options.json:
        listed = [
            {"study": each.study_orthanc_id, "age_days": round(each.age_days, 1)} for each in going
        ]
        sys.stdout.write(json.dumps({"would_go": listed, "kept": kept}, indent=2) + "\n")
        return 0
    for each in going:
        sys.stdout.write(f"{each.study_orthanc_id}  {each.age_days:8.1f} days\n")
    told = ", ".join(f"{count} {why}" for why, count in sorted(kept.items())) or "none"
    sys.stdout.write(f"{len(going)} would go; kept: {told}\n")
    return 0

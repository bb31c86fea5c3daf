"""habitus doctor"""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

MARKS = {"ok": "ok  ", "note": "note", "fail": "FAIL"}


def add_options(doctor: argparse.ArgumentParser) -> None:
    """Arguments and help."""
    doctor.add_argument(
        "--settings",
        type=Path,
        help="habitus.toml: look at the whole installation that it describes",
    )
    doctor.add_argument(
        "--orthanc-config",
        type=Path,
        metavar="FILE",
        help="Orthanc's configuration, or its folder; with --settings",
    )
    doctor.add_argument("--models", type=Path, help="another models folder; without --settings")
    doctor.add_argument("--json", action="store_true", help="print the findings as JSON")
    doctor.formatter_class = argparse.RawDescriptionHelpFormatter
    doctor.epilog = """\
Looks and changes nothing; sends a C-ECHO to each modality. Run it as the node's user: what is forbidden to that user is found.
No password is shown.

examples:
  habitus doctor
  habitus doctor --settings /etc/habitus/habitus.toml --orthanc-config /etc/habitus/orthanc.json
  habitus doctor --settings habitus.toml --json

exit status: 0 nothing has to be done · 1 something has to be done · 2 wrong arguments
"""


def diagnose(options: argparse.Namespace) -> int:
    """habitus doctor"""
    from orthanc_plugin.doctor.examination import Installation, findings

    found = findings(
        Installation(
            settings_path=options.settings,
            models_folder=options.models,
            orthanc_path=options.orthanc_config,
        )
    )
    is_well = True
    told = []
    for finding in found:
        is_well = is_well and finding.is_well
        told.append(asdict(finding))
        if not options.json:
            sys.stdout.write(f"{MARKS[finding.level]} {finding.subject:26} {finding.text}\n")
            if finding.advice:
                sys.stdout.write(f"     {'':26} → {finding.advice}\n")
            sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps({"well": is_well, "findings": told}, indent=2) + "\n")
    return 0 if is_well else 1

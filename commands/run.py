"""habitus run"""

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from commands import accelerators
from commands.named_path import named_path
from commands.printed_report import print_considered, print_report
from commands.progress_line import ProgressLine
from commands.result_folder import check_writable

if TYPE_CHECKING:
    from inference.domain.analysis_profile import Profile
    from inference.domain.entered_level import EnteredLevel
    from inference.domain.measurement import Report
    from inference.domain.report_options import ReportOptions
    from inference.pipeline import Models, RunIdentity


def add_options(run: argparse.ArgumentParser) -> None:
    """Arguments."""
    run.add_argument(
        "series_dir",
        type=named_path,
        metavar="SERIES_DIR",
        help="folder of DICOM files; or a CT as .nii or .nii.gz, which gives label maps as NIfTI and report.json",
    )
    run.add_argument("--out", type=named_path, required=True, help="folder for the results")
    run.add_argument(
        "--profile", default="abdomen", help="abdomen (default), l3, l3-small, or FILE.toml"
    )
    run.add_argument("--models", type=Path, help="another models folder")
    accelerators.add_options(run)
    run.add_argument(
        "--downgrade",
        choices=("warn", "fail"),
        default="warn",
        help="where a network does not run on the first provider: say so (default), or end",
    )
    run.add_argument(
        "--sr-title",
        default="habitus",
        help="title of the structured report: habitus (default, viewers show it as text) or 126000 (DICOM's own; OHIF 3.13 cannot open it)",
    )
    run.add_argument(
        "--seg",
        default="binary",
        choices=("binary", "binary-deflated", "labelmap"),
        help="form of the segmentations (default: binary, which every viewer reads)",
    )
    run.add_argument(
        "--nifti", action="store_true", help="label maps as NIfTI, too, with labels.json"
    )
    by_hand = run.add_mutually_exclusive_group()
    by_hand.add_argument(
        "--l3-z-mm",
        type=float,
        metavar="Z",
        help="set L3 by hand (DICOM only): patient z in mm of the middle of the vertebral body",
    )
    by_hand.add_argument(
        "--l3-slice",
        type=int,
        metavar="N",
        help="set L3 by hand (DICOM only): the slice through its middle, by Instance Number (or frame)",
    )
    run.add_argument("--language", default="en", help="of the picture page: en (default) or ko")
    run.add_argument("--json", action="store_true", help="print the report as JSON")


def _check_apart(series_dir: Path, out: Path) -> None:
    """Results among the images would be read as part of the study the next time."""
    from inference.domain.errors import ConfigurationInvalid

    if out.resolve().is_relative_to(series_dir.resolve()):
        raise ConfigurationInvalid(
            found=f"{out}, which lies in the folder of the images",
            wanted="a folder for the results outside it",
            advice="Name another folder with --out.",
        )


def run_series(options: argparse.Namespace) -> int:
    """habitus run"""
    from inference.domain.analysis_profile import profile_for
    from inference.domain.report_options import report_options
    from inference.engine.model_store import SHIPPED_MODELS
    from inference.nifti.ct_image import is_nifti
    from inference.pipeline import analyse_folder, load_models

    if is_nifti(options.series_dir):
        return _run_nifti(options)
    _check_apart(options.series_dir, options.out)
    check_writable(options.out)
    profile = profile_for(options.profile, options.models)
    report = report_options({"title": options.sr_title, "language": options.language})
    models = load_models(
        profile,
        accelerators.providers_of(options),
        options.models or SHIPPED_MODELS,
        accelerators.acceleration_of(options),
    )
    identity = _identity(options, profile, report, models)
    with ProgressLine() as announce:
        result = analyse_folder(options.series_dir, options.out, models, identity, announce)
    return _tell(options, result.report, result.files)


def _identity(
    options: argparse.Namespace, profile: "Profile", report: "ReportOptions", models: "Models"
) -> "RunIdentity":
    """Of this run alone: run again, the same series gives objects of other UIDs."""
    from datetime import datetime

    from inference.dicom.identity import derive_uid
    from inference.domain.seg_encoding import SegEncoding
    from inference.pipeline import CODE_VERSION, RunIdentity

    now = datetime.now().astimezone()
    key = derive_uid(
        str(options.series_dir.resolve()),
        profile.content_hash,
        report.content_hash,
        models.calibration.content_hash,
        *(use.sha256 for use in models.uses),
        CODE_VERSION,
        now.isoformat(),
    )
    return RunIdentity(
        job_key=key,
        created=now,
        report=report,
        encodings=(SegEncoding(options.seg),),
        nifti=options.nifti,
        entered_level=_entered_level(options, now.timestamp()),
    )


def _run_nifti(options: argparse.Namespace) -> int:
    from commands.nifti import analyse_file

    check_writable(options.out)
    with ProgressLine() as announce:
        result = analyse_file(options, announce)
    return _tell(options, result.report, result.files)


def _tell(options: argparse.Namespace, report: "Report", files: Mapping[str, Path]) -> int:
    from inference.pipeline import report_to_json

    if options.json:
        sys.stdout.write(report_to_json(report))
        return 0
    print_report(report)
    print_considered(report.series_choice)
    for role, path in files.items():
        sys.stdout.write(f"{role:16} {path}\n")
    return 0


def _entered_level(options: argparse.Namespace, now_s: float) -> "EnteredLevel | None":
    """Where --l3-z-mm or --l3-slice set L3."""
    import getpass
    import math

    from inference.domain.entered_level import EnteredLevel
    from inference.domain.errors import ConfigurationInvalid

    z_mm, number = options.l3_z_mm, options.l3_slice
    if z_mm is None and number is None:
        return None
    if z_mm is not None and not math.isfinite(z_mm):
        raise ConfigurationInvalid(
            found=f"--l3-z-mm {z_mm}", wanted="a number of mm", advice="Read it off a viewer."
        )
    try:
        name = getpass.getuser()
    except (KeyError, OSError):
        # A container's user may have no name.
        name = "the user of the command line"
    return EnteredLevel(instance_number=number, z_mm=z_mm, entered_by=name, entered_at=now_s)

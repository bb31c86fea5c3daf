"""The command line: the one wiring file above the packages; each sub-command imports what it needs when it runs."""

import argparse
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from commands import (
    accelerators,
    backup,
    doctor,
    explain,
    import_nnunet,
    restore,
    retention,
    route,
    synth,
    warm,
)
from commands.named_path import named_path
from commands.result_folder import check_writable

if TYPE_CHECKING:
    from rich.console import Console

    from inference.domain.entered_level import EnteredLevel
    from inference.domain.measurement import Level, OrganResult, Report
    from inference.domain.series_choice import ConsideredSeries

ROOT = Path(__file__).parent

EXAMPLES = """\
examples:
  habitus synth ct/                             write a synthetic CT series with known truth
  habitus synth study/soft --seed 4             a study of two series, to try explain on: same seed,
  habitus synth study/lung --seed 4 --series-number 3 --kernel B60f       same patient and study
  habitus synth ct/ --template anatomy.npz      painted from an anatomy label map of yours
  habitus run ct/ --out results/                SEG, SR, numbers and pictures of a CT series
  habitus run ct/ --out results/ --json         the same, the numbers as JSON on standard output
  habitus run ct/ --out results/ --profile l3   body composition only
  habitus run ct/ --out results/ --l3-slice 87  the same with L3 set by hand
  habitus run ct.nii.gz --out results/          a CT as NIfTI: label maps as NIfTI on its own grid, and numbers
  habitus explain study/                        which series of a study is taken, and why the others are not
  habitus explain study/ --json                 the same as JSON
  habitus route --test ct/0001.dcm              which rule of habitus.toml fires for a study, and why
  habitus retention --dry-run --days 365        which studies a rule would delete from our own Orthanc
  habitus backup /mnt/backup/today --settings habitus.toml      journal and results, while the node works
  habitus restore /mnt/backup/today --settings habitus.toml     onto an empty machine
  habitus import-nnunet FOLDER --name ours      a network that nnU-Net v2 trained, as a model of the node
  habitus models                                which models are installed, and whether they are intact
  habitus warm --settings habitus.toml          build TensorRT's engines, prove accelerators, compile kernels
  habitus doctor                                what works on this machine and what does not
  habitus doctor --settings habitus.toml        the same of a whole installation, with Orthanc and destinations

exit status: 0 done · 1 unexpected failure, or doctor found something missing · 2 wrong arguments or
settings · 3 rejected (not ours to analyse: the coded reason is printed) · 4 unreadable input · 5 a model
is unusable · 6 inference failed · 7 delivery failed · 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the exit status."""
    options = _parsed(sys.argv[1:] if arguments is None else arguments)
    import signal
    import threading

    from inference.domain.errors import HabitusError

    if threading.current_thread() is threading.main_thread():
        # A kill must leave no half-written folder, as Ctrl-C leaves none.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            # An old terminal lacks ² and °, and a file's name may be no text at all.
            stream.reconfigure(errors="backslashreplace")
    try:
        status: int = options.run(options)
    except HabitusError as error:
        sys.stderr.write(f"habitus: {error}\n")
        return error.exit_status
    except ModuleNotFoundError as error:
        if not (name := (error.name or "").partition(".")[0]) or (ROOT / name).exists():
            raise
        sys.stderr.write(
            f"habitus: found an environment without {name}; wanted everything that it runs on. Run make setup here, and wait for its end.\n"
        )
        return 1
    except MemoryError:
        sys.stderr.write(
            "habitus: found too little memory for this series; wanted more. Close other programs or use a larger machine.\n"
        )
        return 6
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        return 0
    return status


def _parsed(arguments: Sequence[str]) -> argparse.Namespace:
    if list(arguments[:1]) == [import_nnunet.NAME]:
        # Its own parser, with its own help, is in the training environment.
        return argparse.Namespace(run=import_nnunet.run, arguments=arguments[1:])
    return build_parser().parse_args(arguments)


def build_parser() -> argparse.ArgumentParser:
    """All sub-commands."""
    parser = argparse.ArgumentParser(
        prog="habitus",
        description="Body composition at L3 and abdominal organs from CT, as DICOM SEG and SR. For research use.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(
        name: str, run: Callable[[argparse.Namespace], int], text: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    run = add("run", run_series, "analyse the CT series of a folder that suits the profile best")
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
        help="set L3 by hand: patient z in mm of the middle of the vertebral body",
    )
    by_hand.add_argument(
        "--l3-slice",
        type=int,
        metavar="N",
        help="set L3 by hand: the slice through its middle, by Instance Number (or frame)",
    )
    run.add_argument("--language", default="en", help="of the picture page: en (default) or ko")
    run.add_argument("--json", action="store_true", help="print the report as JSON")
    explain.add_options(
        add(
            "explain",
            explain.explain_choice,
            "say which series of a study is taken, and why not the others",
        )
    )
    route.add_options(
        add("route", route.show_route, "say which rule of habitus.toml fires for a study, and why")
    )
    retention.add_options(
        add(
            "retention",
            retention.show_verdicts,
            "list the studies that the retention rule would delete from our own Orthanc",
        )
    )
    backup.add_options(add("backup", backup.run, "copy what a node must not lose, while it works"))
    restore.add_options(add("restore", restore.run, "put a backup onto an empty machine"))
    synth.add_options(
        add(
            "synth",
            synth.write_synthetic,
            "write a synthetic CT series (no patient) with known truth",
        )
    )
    models = add("models", list_models, "list the installed models and verify them")
    models.add_argument("--models", type=Path, help="another models folder")
    add(
        import_nnunet.NAME,
        import_nnunet.run,
        "make a model of a folder that nnU-Net trained (its --help is its own)",
    )
    warm.add_options(
        add("warm", warm.make_ready, "build, prove and load everything before the first patient")
    )
    doctor.add_options(
        add("doctor", doctor.diagnose, "say what is wrong with this machine or installation")
    )
    return parser


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
    from datetime import datetime

    from inference.dicom.identity import derive_uid
    from inference.domain.analysis_profile import profile_for
    from inference.domain.report_options import report_options
    from inference.domain.seg_encoding import SegEncoding
    from inference.engine.model_store import SHIPPED_MODELS
    from inference.nifti.ct_image import is_nifti
    from inference.pipeline import (
        CODE_VERSION,
        RunIdentity,
        analyse_folder,
        load_models,
        report_to_json,
    )

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
    now = datetime.now().astimezone()
    hashes = [use.sha256 for use in models.uses]
    key = derive_uid(
        str(options.series_dir.resolve()),
        profile.content_hash,
        report.content_hash,
        models.calibration.content_hash,
        *hashes,
        CODE_VERSION,
        now.isoformat(),
    )
    encodings = (SegEncoding(options.seg),)
    identity = RunIdentity(
        job_key=key,
        created=now,
        report=report,
        encodings=encodings,
        nifti=options.nifti,
        entered_level=_entered_level(options, now.timestamp()),
    )
    with _progress() as announce:
        result = analyse_folder(options.series_dir, options.out, models, identity, announce)
    if options.json:
        sys.stdout.write(report_to_json(result.report))
        return 0
    print_report(result.report)
    _print_considered(result.report.series_choice)
    for role, path in result.files.items():
        sys.stdout.write(f"{role:16} {path}\n")
    return 0


def _run_nifti(options: argparse.Namespace) -> int:
    from commands.nifti import analyse_file
    from inference.pipeline import report_to_json

    check_writable(options.out)
    with _progress() as announce:
        result = analyse_file(options, announce)
    if options.json:
        sys.stdout.write(report_to_json(result.report))
        return 0
    print_report(result.report)
    for role, path in result.files.items():
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


def print_report(report: "Report") -> None:
    """The numbers as tables."""
    from rich.console import Console
    from rich.table import Table

    from inference.domain.measurement import Unit

    # UCUM's codes of these are not for people, and rich would take "[hnsf'U]" for markup.
    shown = {unit: unit.value for unit in Unit} | {Unit.HU: "HU", Unit.RATIO: ""}

    console = Console()
    level = report.level
    title = (
        f"At L3, z {level.z_mm:.1f} mm (slice {level.slice_index}, {_certainty(level)}); "
        f"volumes of a slab of {report.slab_height_mm or 0:.0f} mm"
        if level
        else ""
    )
    table = Table("structure", "quantity", "value", "unit", title=title, title_justify="left")
    for m in report.body_composition:
        named = m.structure.value.replace("_", " ") if m.structure else "patient"
        if m.structure in report.experimental:
            named += " (experimental)"
        table.add_row(named, m.quantity.value.replace("_", " "), f"{m.value:.2f}", shown[m.unit])
    console.print(table)
    voltage = "unknown" if report.kvp is None else f"{report.kvp:g} kV"
    console.print(
        f"Contrast agent: {report.contrast}; tube voltage: {voltage}", markup=False, highlight=False
    )
    for row in report.cut_offs:
        verdict = "below" if row.is_low else "not below"
        console.print(
            f"{row.quantity.value.replace('_', ' ')} {row.value:.2f}: {verdict} {row.cut_off} {shown[row.unit]}, "
            f"difference {row.difference:+.2f} ({row.table}: {row.population})",
            highlight=False,
        )
    if report.organs:
        _print_organs(console, report.organs)
    for plan in report.organ_patches:
        console.print(f"Organs from {plan}", highlight=False)
    for flag in report.flags:
        console.print(f"! {flag}", markup=False, highlight=False)
    spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items())
    engines = ", ".join(dict.fromkeys(use.provider for use in report.models))
    console.print(f"{spent}; networks on {engines}. For research use only.", highlight=False)


def _certainty(level: "Level") -> str:
    return level.source if level.confidence is None else f"confidence {level.confidence:.2f}"


def _print_considered(series: "Sequence[ConsideredSeries]") -> None:
    """Which series was taken, where there was a choice."""
    if len(series) < 2:
        return
    for row in series:
        name = "without number" if row.number is None else row.number
        code = f" [{row.code}]" if row.code else ""
        sys.stdout.write(
            f"series {name} ({row.images} images): {row.outcome}{code}, {row.score} points: {row.why}\n"
        )


def _print_organs(console: "Console", results: "Sequence[OrganResult]") -> None:
    from rich.table import Table

    organs = Table("organ", "ml", "mean HU", "SD HU", "", title="Organs", title_justify="left")
    for organ in results:
        organs.add_row(
            organ.structure.value.replace("_", " "),
            f"{organ.volume_ml:.1f}",
            "" if organ.mean_hu is None else f"{organ.mean_hu:.0f}",
            "" if organ.sd_hu is None else f"{organ.sd_hu:.0f}",
            "cut by the field of view" if organ.is_incomplete else "",
        )
    console.print(organs)


def list_models(options: argparse.Namespace) -> int:
    """habitus models"""
    from inference.domain.errors import ModelUnusable
    from inference.engine.model_store import SHIPPED_MODELS, model_names, verified_manifest

    folder = options.models or SHIPPED_MODELS
    earlier = " Started from the weights"
    status = 0
    for name in model_names(folder):
        try:
            manifest = verified_manifest(name, folder)
        except ModelUnusable as error:
            sys.stdout.write(f"{name:12} UNUSABLE: {error}\n")
            status = error.exit_status
            continue
        sys.stdout.write(
            f"{name:12} {manifest.version:8} {manifest.task:10} {manifest.parameters / 1e6:.2f} M parameters  "
            f"sha256 {manifest.onnx_sha256[:12]}  "
            f"trained on: {manifest.training_data.partition(earlier)[0]}\n"
        )
    status = max(status, _list_refiners(folder), _list_calibrations(folder))
    if not model_names(folder):
        raise ModelUnusable(found=f"no model in {folder}", wanted="models", advice="Run make onnx.")
    return status


def _list_refiners(folder: Path) -> int:
    """Networks that redraw organs slice by slice."""
    from inference.domain.errors import ModelUnusable
    from inference.engine.model_store import refiner_names, verified_refiner

    status = 0
    for name in refiner_names(folder):
        try:
            manifest = verified_refiner(name, folder)
        except ModelUnusable as error:
            sys.stdout.write(f"{name:12} UNUSABLE: {error}\n")
            status = error.exit_status
            continue
        sys.stdout.write(
            f"{name:12} {manifest.version:8} {manifest.task:10} {manifest.parameters / 1e6:.2f} M parameters  "
            f"sha256 {manifest.sha256[:12]}  trained on: {manifest.training_data}\n"
        )
    return status


def _list_calibrations(folder: Path) -> int:
    """Those that the node would refuse; 0 where there is none."""
    from inference.domain.analysis_profile import profile_names
    from orthanc_plugin.doctor.engine import calibrations

    ill = [
        finding for finding in calibrations(folder, profile_names(folder)) if not finding.is_well
    ]
    for finding in ill:
        sys.stdout.write(f"{finding.subject} UNUSABLE: {finding.text}. {finding.advice}\n")
    return 5 if ill else 0


def _progress() -> "ProgressLine":
    return ProgressLine()


class ProgressLine:
    """One line of progress on standard error; silent when that is not a terminal."""

    def __enter__(self) -> Callable[[str, float], None]:
        """The function that stages call."""
        self._shown = sys.stderr.isatty()
        return self.announce

    def announce(self, stage: str, share: float) -> None:
        """Show the stage and the share of it that is done."""
        if self._shown:
            filled = round(20 * share)
            sys.stderr.write(f"\r\033[K{stage:10} [{'█' * filled}{'·' * (20 - filled)}]")
            sys.stderr.flush()

    def __exit__(self, *exc: object) -> None:
        """Clear the line."""
        if self._shown:
            sys.stderr.write("\r\033[K")


if __name__ == "__main__":
    sys.exit(main())

"""The command line: the one wiring file above the packages; each sub-command imports what it needs when it runs."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from inference.domain.measurement import OrganResult, Report
    from inference.domain.series_choice import ConsideredSeries, SeriesChoice

EXAMPLES = """\
examples:
  habitus synth ct/                             write a synthetic CT series with known truth
  habitus synth ct/ --maps labels.nii.gz names.json   painted from an anatomy label map of yours
  habitus run ct/ --out results/                SEG, SR, numbers and pictures of a CT series
  habitus run ct/ --out results/ --json         the same, the numbers as JSON on standard output
  habitus run ct/ --out results/ --profile l3   body composition only
  habitus explain study/                        which series of a study is taken, and why the others are not
  habitus explain study/ --json                 the same as JSON
  habitus models                                which models are installed, and whether they are intact
  habitus doctor                                what works on this machine and what does not

exit status: 0 done · 1 unexpected failure, or doctor found something missing · 2 wrong arguments or
settings · 3 rejected (not ours to analyse: the coded reason is printed) · 4 unreadable input · 5 a model
is unusable · 6 inference failed · 7 delivery failed · 130 interrupted
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a sub-command; returns the exit status."""
    options = build_parser().parse_args(arguments)
    import signal
    import threading

    from inference.domain.errors import HabitusError

    if threading.current_thread() is threading.main_thread():
        # A kill must leave no half-written folder, as Ctrl-C leaves none.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        status: int = options.run(options)
    except HabitusError as error:
        sys.stderr.write(f"habitus: {error}\n")
        return error.exit_status
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
    run.add_argument("series_dir", type=Path, metavar="SERIES_DIR", help="folder of DICOM files")
    run.add_argument("--out", type=Path, required=True, help="folder for the results")
    run.add_argument("--profile", default="abdomen", help="abdomen (default), l3 or l3-small")
    run.add_argument("--models", type=Path, help="another models folder")
    run.add_argument(
        "--providers", default="cpu", help="execution providers, best first: tensorrt,cuda,cpu"
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
    run.add_argument("--language", default="en", help="of the picture page: en (default) or ko")
    run.add_argument("--json", action="store_true", help="print the report as JSON")
    _add_explain_options(
        add(
            "explain",
            explain_choice,
            "say which series of a study is taken, and why not the others",
        )
    )
    _add_synth_options(
        add("synth", write_synthetic, "write a synthetic CT series (no patient) with known truth")
    )
    models = add("models", list_models, "list the installed models and verify them")
    models.add_argument("--models", type=Path, help="another models folder")
    doctor = add("doctor", diagnose, "check what this machine can do")
    doctor.add_argument("--models", type=Path, help="another models folder")
    return parser


def _add_explain_options(explain: argparse.ArgumentParser) -> None:
    explain.add_argument("study_dir", type=Path, metavar="STUDY_DIR", help="folder of DICOM files")
    explain.add_argument(
        "--profile", default="abdomen", help="whose rules: abdomen (default), l3 …"
    )
    explain.add_argument("--json", action="store_true", help="print the choice as JSON")
    explain.formatter_class = argparse.RawDescriptionHelpFormatter
    explain.epilog = """\
Headers are read, pixels are not. Points and refusals come from inference/profiles/series/*.toml. Descriptions are
shown as they stand in the files: they may name a patient.

examples:
  habitus explain study/
  habitus explain study/ --profile l3 --json

exit status: 0 a series is chosen · 2 wrong arguments or settings · 3 none can be · 4 unreadable input
"""


def _add_synth_options(synth: argparse.ArgumentParser) -> None:
    synth.add_argument("folder", type=Path, metavar="DIR", help="new or empty folder")
    synth.add_argument(
        "--seed", type=_between(0, 2**31, int), default=1, help="another seed, another body"
    )
    synth.add_argument(
        "--pixels", type=_between(32, 1024, int), default=256, help="rows and columns"
    )
    synth.add_argument(
        "--pixel-mm", type=_between(0.3, 10, float), default=1.6, help="pixel spacing"
    )
    synth.add_argument(
        "--slice-mm", type=_between(0.5, 20, float), default=3.0, help="slice distance, thickness"
    )
    synth.add_argument(
        "--field",
        default="abdomen",
        choices=("torso", "abdomen", "l3", "chest", "pelvis"),
        help="part of the body",
    )
    synth.add_argument(
        "--maps",
        nargs=2,
        type=Path,
        metavar=("LABELS", "NAMES"),
        help="paint from an anatomy label map (NIfTI) and its JSON table of TotalSegmentator's names, on the map's "
        "own grid",
    )
    header = synth.add_argument_group("what the headers say (default: what fits the body)")
    header.add_argument("--order", choices=("ascending", "descending", "shuffled"))
    header.add_argument("--thickness-mm", type=_between(0.1, 20, float), help="slice thickness")
    header.add_argument("--sex", choices=("M", "F", "O"))
    header.add_argument("--age-years", type=_between(0, 120, int))
    header.add_argument("--height-m", type=_between(0.1, 300, float), help="170 tries a wrong unit")
    header.add_argument("--weight-kg", type=_between(0.1, 1000, float))


def _between(low: float, high: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"found {text}, wanted {low:g} to {high:g}")
        return value

    parse.__name__ = kind.__name__
    return parse


def _check_writable(folder: Path) -> None:
    """Before minutes of work: results could be put there."""
    from tempfile import TemporaryDirectory

    from inference.domain.errors import ConfigurationInvalid

    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        # Asking for permissions is not enough: root may "write" to /proc and cannot.
        with TemporaryDirectory(prefix=".habitus-", dir=existing):
            return
    except OSError as exc:
        raise ConfigurationInvalid(
            found=f"{existing}, which is no folder we may write to",
            wanted="a folder for the results",
            advice="Name another folder.",
        ) from exc


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
    from inference.domain.analysis_profile import load_profile
    from inference.domain.report_options import report_options
    from inference.domain.seg_encoding import SegEncoding
    from inference.engine.model_store import SHIPPED_MODELS
    from inference.pipeline import (
        CODE_VERSION,
        RunIdentity,
        analyse_folder,
        load_models,
        report_to_json,
    )

    _check_apart(options.series_dir, options.out)
    _check_writable(options.out)
    profile = load_profile(options.profile)
    report = report_options({"title": options.sr_title, "language": options.language})
    models = load_models(
        profile, tuple(options.providers.split(",")), options.models or SHIPPED_MODELS
    )
    now = datetime.now().astimezone()
    hashes = [use.sha256 for use in models.uses]
    key = derive_uid(
        str(options.series_dir.resolve()),
        profile.content_hash,
        report.content_hash,
        *hashes,
        CODE_VERSION,
        now.isoformat(),
    )
    encodings = (SegEncoding(options.seg),)
    identity = RunIdentity(job_key=key, created=now, report=report, encodings=encodings)
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
        f"At L3, z {level.z_mm:.1f} mm (slice {level.slice_index}, confidence {level.confidence:.2f}); "
        f"volumes of a slab of {report.slab_height_mm or 0:.0f} mm"
        if level
        else ""
    )
    table = Table("structure", "quantity", "value", "unit", title=title, title_justify="left")
    for m in report.body_composition:
        named = m.structure.value.replace("_", " ") if m.structure else "patient"
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
    for flag in report.flags:
        console.print(f"! {flag}", markup=False, highlight=False)
    spent = ", ".join(f"{stage} {seconds:.1f} s" for stage, seconds in report.seconds.items())
    console.print(f"{spent}. For research use only.", highlight=False)


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


def explain_choice(options: argparse.Namespace) -> int:
    """habitus explain"""
    import json
    from dataclasses import asdict

    from inference.dicom.survey import survey_folder
    from inference.domain.analysis_profile import load_profile
    from inference.domain.series_choice import considered
    from inference.domain.series_rules import load_series_rules
    from inference.stages.choose_series import choose_series, require_candidate

    rules = load_series_rules(load_profile(options.profile).series_rules)
    survey = survey_folder(options.study_dir)
    choice = choose_series(survey.summaries, rules)
    if options.json:
        rows = [
            asdict(row) | {"facts": asdict(verdict.summary)}
            for row, verdict in zip(considered(choice), choice.verdicts, strict=True)
        ]
        told = {"rules": rules.name, "series": rows, "unreadable_files": len(survey.unreadable)}
        sys.stdout.write(json.dumps(told, indent=2, ensure_ascii=False) + "\n")
    else:
        _print_choice(choice, f"{rules.name}: {rules.description}")
        for path in survey.unreadable_paths:
            sys.stdout.write(f"! cannot be read: {path}\n")
    require_candidate(choice)
    survey.require_one_patient(v.summary.series_uid for v in choice.measurable)
    return 0


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
            Text(facts.description),
            Text(f"{row.outcome} {row.code}".strip()),
            Text(row.why),
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


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


def write_synthetic(options: argparse.Namespace) -> int:
    """habitus synth"""
    from inference.domain.errors import ConfigurationInvalid
    from training.synthetic.demo_series import (
        truth_text,
        write_demo_series,
        write_painted_maps,
    )

    _check_writable(options.folder)
    if options.folder.exists() and any(options.folder.iterdir()):
        raise ConfigurationInvalid(
            found=f"{options.folder} that is not empty",
            wanted="a new or empty folder",
            advice="Name another folder; nothing is overwritten.",
        )
    changes = {
        field: value
        for field, value in (
            ("order", options.order),
            ("slice_thickness_mm", options.thickness_mm),
            ("sex", options.sex),
            ("age_years", options.age_years),
            ("height_m", options.height_m),
            ("weight_kg", options.weight_kg),
        )
        if value is not None
    }
    if options.maps:
        labels, names = options.maps
        write_painted_maps(
            options.folder, labels=labels, names=names, seed=options.seed, changes=changes
        )
        return 0
    truth = write_demo_series(
        options.folder,
        seed=options.seed,
        field=options.field,
        shape_rc=(options.pixels, options.pixels),
        spacing_mm=(options.slice_mm, options.pixel_mm, options.pixel_mm),
        changes=changes,
    )
    sys.stdout.write(truth_text(truth))
    return 0


def list_models(options: argparse.Namespace) -> int:
    """habitus models"""
    from inference.domain.errors import ModelUnusable
    from inference.engine.model_store import SHIPPED_MODELS, model_names, verified_manifest

    folder = options.models or SHIPPED_MODELS
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
            f"sha256 {manifest.onnx_sha256[:12]}  trained on: {manifest.training_data}\n"
        )
    if not model_names(folder):
        raise ModelUnusable(found=f"no model in {folder}", wanted="models", advice="Run make onnx.")
    return status


def diagnose(options: argparse.Namespace) -> int:
    """habitus doctor"""
    from inference.engine.model_store import SHIPPED_MODELS
    from orthanc_plugin.node.doctor import findings

    worst = 0
    for finding in findings(options.models or SHIPPED_MODELS):
        sys.stdout.write(
            f"{'ok  ' if finding.is_well else 'FAIL'} {finding.subject:22} {finding.text}\n"
        )
        worst = max(worst, 0 if finding.is_well else 1)
    return worst


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

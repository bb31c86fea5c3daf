"""python -m training data: layouts | check | split | report | write | fetch."""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.data.cases import FoundCases
    from training.data.checks import Checked
    from training.data.problems import Problem
    from training.data.splits import Split

INTERRUPTED = 130
WIDTH_OF_PIPES = 180
EXAMPLES = """examples:
  python -m training data layouts
  python -m training data check /data/FLARE22_LabeledCase50 --workers 4
  python -m training data check /data/ours --layout plain --split runs/split.json
  python -m training data split /data/Task09_Spleen --folds 5 --test 0.2 --seed 1 --out runs/split.json
  python -m training data report /data/FLARE22_LabeledCase50 --layout flare22 --out report.html
  python -m training data write runs/torsos --out runs/torsos-nifti --workers 4
  python -m training data fetch https://pacs/dicom-web --studies studies.txt --out /data/ours-dicom \\
      --user reader --password-file reader.password

The layout is guessed where it is not named, and said. check and report end with status 1 where there is an error:
a training on such data stops too. Case names are file names (DICOM: hashes of UIDs). See training/README.md, Your own data.
"""


def add_data_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Below `python -m training`."""
    data = commands.add_parser(
        "data",
        help="labelled CT of your own or of public data sets: check, split, report",
        description="Look at labelled CT before it is trained on.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    steps = data.add_subparsers(dest="step", required=True)
    steps.add_parser("layouts", help="the layouts known, and what they look like")
    check = steps.add_parser("check", help="everything that is wrong, in one table")
    _add_folder(check)
    check.add_argument("--split", type=Path, help="a split to check for leakage too")
    check.add_argument("--csv", type=Path, help="write the table there as well")
    check.add_argument(
        "--show-paths", action="store_true", help="where such cases lie; paths may name patients"
    )
    split = steps.add_parser("split", help="by patient, from a seed, into a file")
    _add_folder(split, is_examined=False)
    split.add_argument("--folds", type=int, help="k-fold cross-validation; without: a hold-out")
    split.add_argument("--validation", type=float, default=0.2, help="share (hold-out)")
    split.add_argument("--test", type=float, default=0.0, help="share kept back for the very end")
    split.add_argument("--seed", type=int, default=0)
    split.add_argument("--out", type=Path, required=True, metavar="FILE")
    report = steps.add_parser("report", help="one HTML page: sizes, HU, volumes, cases to look at")
    _add_folder(report)
    report.add_argument("--split", type=Path, help="a split to show and check")
    report.add_argument("--pictures", type=int, default=24, help="at most so many cases drawn")
    report.add_argument("--out", type=Path, required=True, metavar="FILE")
    write = steps.add_parser("write", help="cases of any layout, synthetic too, as NIfTI pairs")
    _add_folder(write)
    write.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    _add_fetch(steps.add_parser("fetch", help="CT and Segmentations from an archive (DICOMweb)"))


def _add_folder(parser: argparse.ArgumentParser, *, is_examined: bool = True) -> None:
    parser.add_argument("folder", type=Path)
    parser.add_argument("--layout", help="of the folder; guessed where not named")
    if is_examined:
        parser.add_argument("--workers", type=int, default=1, help="processes")


def _add_fetch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("url", help="of the DICOMweb service, such as https://pacs/dicom-web")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument(
        "--studies", type=Path, metavar="FILE", help="Study Instance UIDs, one a line"
    )
    wanted.add_argument("--patients", type=Path, metavar="FILE", help="Patient IDs, one a line")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--user")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--token-file", type=Path, help="of a bearer token, in place of a password")
    parser.add_argument("--ca-file", type=Path, help="certificates to trust")


def run_data(options: argparse.Namespace) -> int:
    """One of the steps; an interrupt leaves nothing half written."""
    steps = {
        "layouts": _layouts,
        "check": _check,
        "split": _split,
        "report": _report,
        "fetch": _fetch,
        "write": _write,
    }
    try:
        return steps[options.step](options)
    except KeyboardInterrupt:
        sys.stderr.write("\nstopped\n")
        return INTERRUPTED


def _layouts(options: argparse.Namespace) -> int:
    from training.data.layouts.registry import LAYOUTS
    from training.label_names import OUR_NUMBERS

    del options
    for layout in LAYOUTS.values():
        sys.stdout.write(f"{layout.name}\n    {layout.title}\n    {layout.looks_like}\n")
        sys.stdout.write(f"    known from: {layout.source}\n")
    numbers = ", ".join(f"{number} {name}" for name, number in OUR_NUMBERS.items())
    sys.stdout.write(f"\nlabels in training: {numbers}\n")
    return 0


def _found(options: argparse.Namespace) -> FoundCases:
    from training.data.layouts.registry import find_cases, guessed_layout, layout_named

    if options.layout:
        layout = layout_named(options.layout)
    else:
        layout = guessed_layout(options.folder)
        sys.stderr.write(f"layout {layout.name} (guessed): {layout.title}\n")
    found = find_cases(options.folder, layout)
    for note in found.notes:
        sys.stderr.write(f"{note}\n")
    return found


def _examined(options: argparse.Namespace) -> tuple[Checked, Split | None]:
    from training.data.checks import checked
    from training.data.splits import read_split

    split = read_split(options.split) if options.split else None
    found = _found(options)
    result = checked(found, split=split, progress=_progress, workers=options.workers)
    return result, split


def _progress(done: int, total: int, name: str) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        sys.stderr.write(f"\r\x1b[K{done}/{total} {name[:60]}{end}")
    elif done == total or done % max(total // 10, 1) == 0:
        sys.stderr.write(f"{done}/{total}\n")
    sys.stderr.flush()


def _check(options: argparse.Namespace) -> int:
    result, _ = _examined(options)
    _print_table(result.problems)
    if options.csv:
        _write_csv(result.problems, options.csv)
    if options.show_paths:
        wrong = {problem.case for problem in result.problems}
        for case in result.found.cases:
            if case.name in wrong and case.source.paths:
                sys.stdout.write(f"{case.name}: {case.source.paths[0]}\n")
    return _verdict(result)


def _verdict(result: Checked) -> int:
    from training.data.problems import errors_of

    errors = len(errors_of(result.problems))
    warnings = len(result.problems) - errors
    counts = f"{len(result.found.cases)} cases: {errors} errors, {warnings} warnings"
    sys.stdout.write(f"{counts}; data {result.data_hash}\n")
    return 1 if errors else 0


def _print_table(problems: Sequence[Problem]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from training.data.problems import COLUMNS

    if not problems:
        return
    table = Table(*("", *COLUMNS), show_lines=True)
    for problem in problems:
        style = "red" if problem.is_error else "yellow"
        # As Text: a name with brackets is no markup.
        table.add_row(Text(problem.kind, style=style), *(Text(cell) for cell in problem.cells))
    is_terminal = sys.stdout.isatty()
    Console(file=sys.stdout, width=None if is_terminal else WIDTH_OF_PIPES).print(table)


def _write_csv(problems: Sequence[Problem], path: Path) -> None:
    from training.data.problems import COLUMNS

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(("kind", *COLUMNS))
        writer.writerows((problem.kind, *problem.cells) for problem in problems)


def _split(options: argparse.Namespace) -> int:
    from training.data.problems import stop_at_errors
    from training.data.splits import hold_out, k_fold, write_split

    found = _found(options)
    stop_at_errors(found.problems)
    if options.folds:
        split = k_fold(found.cases, options.folds, seed=options.seed, test_share=options.test)
    else:
        split = hold_out(
            found.cases,
            seed=options.seed,
            validation_share=options.validation,
            test_share=options.test,
        )
    write_split(split, found.cases, options.out)
    parts = ", ".join(f"{part} {len(names)}" for part, names in split.parts.items())
    patients = len({case.patient for case in found.cases})
    sys.stdout.write(f"{options.out}: {parts} ({patients} patients, seed {split.seed})\n")
    return 0


def _report(options: argparse.Namespace) -> int:
    from training.data.report import report_page

    result, split = _examined(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(report_page(result, split, options.pictures), encoding="utf-8")
    sys.stdout.write(f"{options.out}\n")
    return _verdict(result)


def _write(options: argparse.Namespace) -> int:
    from training.data.write_plain import write_plain

    names = write_plain(_found(options), options.out, _progress, options.workers)
    sys.stdout.write(f"{len(names)} cases in {options.out}\n")
    return 0


def _fetch(options: argparse.Namespace) -> int:
    from training.data.dicomweb import Archive, fetch, lines_of

    archive = Archive(
        url=options.url,
        user=options.user,
        password_file=options.password_file,
        token_file=options.token_file,
        ca_file=options.ca_file,
    )
    by_patient = options.patients is not None
    wanted = lines_of(options.patients if by_patient else options.studies)
    fetched = fetch(archive, wanted, options.out, by_patient=by_patient, progress=_progress)
    sys.stdout.write(f"{options.out}: {fetched.studies} studies, {fetched.files} new files\n")
    for line in fetched.missing:
        sys.stdout.write(f"{line}\n")
    return 1 if fetched.missing else 0

"""make conformance: every object kind on synthetic CTs of twelve geometries, through software that others wrote."""

import argparse
import re
import shutil
import sys
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.conformance.checks import Row, check_geometry, check_pipeline
from tests.conformance.geometry_cases import Geometry, load_geometries
from tests.conformance.validators import dcmqi_tool

FIRST_SEED = 6_000_000
"""Training uses seeds below 1,000,000."""
PIPELINE_GEOMETRY = "thick-ascending"
PROGRAMS = (
    "dciodvfy",
    "pydicom",
    "segread",
    "dsrdump",
    "dcm2pnm",
    "dcentvfy",
    "highdicom",
    "dcmqi",
)
"""Columns of the table."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the geometries in parallel, print the table; 1 if any program found an error."""
    geometries = load_geometries()
    parser = argparse.ArgumentParser(prog="make conformance", description=__doc__)
    parser.add_argument("--geometries", type=int, default=len(geometries), help="the first N")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args(arguments)
    if missing := missing_programs():
        sys.stderr.write(
            f"found no {', '.join(missing)}; wanted every validator. Run make setup-dev.\n"
        )
        return 2
    rows = check_all(geometries[: options.geometries], options.workers)
    text = table(rows)
    sys.stdout.write(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    return 1 if any(row.errors[name] for row in rows for name in row.errors) else 0


def missing_programs() -> list[str]:
    """Validators that are not installed."""
    missing = [p for p in ("dciodvfy", "dcentvfy", "dsrdump", "dcm2pnm") if not shutil.which(p)]
    tools = ("segimage2itkimage", "tid1500reader")
    return missing + [name for name in tools if not dcmqi_tool(name).exists()]


def check_all(geometries: Sequence[Geometry], workers: int) -> list[Row]:
    """Every geometry with its true masks, and one with the shipped networks."""
    jobs = [(geometry, FIRST_SEED + n, False) for n, geometry in enumerate(geometries)]
    jobs += [
        (geometry, FIRST_SEED, True)
        for geometry in geometries
        if geometry.name == PIPELINE_GEOMETRY
    ]
    rows: list[Row] = []
    with TemporaryDirectory(prefix="conformance-") as folder, ProcessPoolExecutor(workers) as pool:
        for found in pool.map(partial(_check, Path(folder)), jobs):
            errors = sum(len(errors) for row in found for errors in row.errors.values())
            sys.stderr.write(f"{found[0].geometry}: {errors} errors\n")
            rows += found
    return rows


def _check(folder: Path, job: tuple[Geometry, int, bool]) -> list[Row]:
    geometry, seed, with_networks = job
    check = check_pipeline if with_networks else check_geometry
    return check(geometry, folder / f"{geometry.name}-{with_networks}", seed=seed)


def table(rows: Sequence[Row]) -> str:
    """Markdown: errors of each program, and how far the mask centroids lie from the truth."""
    lines = [
        "# Conformance",
        "",
        "Printed by `make conformance`. Objects written by Habitus from the true masks of synthetic CTs (and, in the last",
        "rows, from the masks of the shipped networks), read by software that others wrote. Numbers are errors; – means that",
        "the program does not read such an object. “Off” is the largest distance, over all segments, between a mask's centroid",
        "as the program reads it and the true one; half a voxel is allowed. Warnings about the private coding scheme are not",
        "counted. “Numbers” is how many measurements of the report tid1500reader had to find with their value and unit.",
        "",
        f"| geometry | object | files | {' | '.join(PROGRAMS)} | warnings | off, highdicom, mm | off, dcmqi, mm | numbers |",
        "|---|---|" + "---:|" * (len(PROGRAMS) + 5),
    ]
    for row in rows:
        cells = [str(len(row.errors[p])) if p in row.errors else "–" for p in PROGRAMS]
        off = [f"{row.off_mm[p]:.6f}" if p in row.off_mm else "–" for p in ("highdicom", "dcmqi")]
        head = f"| {row.geometry} | {row.what} | {row.files} | {' | '.join(cells)} "
        counts = [str(len(row.warnings)), *off, str(row.numbers or "–")]
        lines.append(f"{head}| {' | '.join(counts)} |")
    found = [
        f"- {row.geometry}, {row.what}, {program}: {error}"
        for row in rows
        for program, errors in row.errors.items()
        for error in errors
    ]
    readings = sum(row.files * len(row.errors) for row in rows)
    lines += ["", f"{len(found)} errors in {readings} readings of a file by a program.", *found]
    warnings = Counter(without_places(line) for row in rows for line in row.warnings)
    if warnings:
        lines += ["", "Warnings:", ""]
        lines += [f"- {count} × {line}" for line, count in sorted(warnings.items())]
    return "\n".join(lines) + "\n"


def without_places(line: str) -> str:
    """A validator's line without item numbers and file names, so that equal ones can be counted."""
    return re.sub(r"<[^>]*\.dcm>", "<file>", re.sub(r"\[\d+\]", "[]", line))


if __name__ == "__main__":
    sys.exit(main())

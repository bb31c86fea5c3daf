"""make ohif-geometries: the organs of synthetic CTs of twelve geometries, as a real OHIF holds them."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import BrowserContext, Error

from tests.conformance.geometry_cases import Geometry, load_geometries
from tests.viewer.conftest import CHROMIUM
from tests.viewer.held_by_ohif import errors, furthest_mm, held, shown_encoding, store
from tests.viewer.kept_demo import KeptDemo, kept_demo
from tests.viewer.ohif_page import OhifPage, browser

HEADING = """\
# Geometries in OHIF

Printed by `make ohif-geometries`. Synthetic CTs of twelve geometries, each with the segmentation that Habitus writes of its true
masks, in a real Orthanc, opened by link in OHIF 3.13 in headless chromium. "Off" is the largest distance, over all organs,
between the centroid of the voxels that OHIF holds, placed by OHIF's own geometry, and the true one; half a voxel is allowed,
and the number of voxels of every organ must be the true one. The segmentation is BINARY, as Habitus writes it by default, where
rows · columns is a multiple of 8; of others Orthanc 1.10 gives out no single frame, and the LABELMAP form is opened.

| geometry | transfer syntax of the CT | matrix | SEG | organs | off, mm | allowed, mm | seconds | verdict |
|---|---|---|---|---:|---:|---:|---:|---|
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One geometry."""

    geometry: Geometry
    organs: int
    off_mm: float | None
    seconds: float
    wrong: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Try the geometries one after the other, print the table; 1 if any is not as it should be."""
    geometries = load_geometries()
    parser = argparse.ArgumentParser(prog="make ohif-geometries", description=__doc__)
    parser.add_argument("--geometries", type=int, default=len(geometries), help="the first N")
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args(arguments)
    rows = []
    sys.stderr.write("starting the demo, whose PACS and OHIF are used\n")
    with kept_demo() as demo, browser(CHROMIUM) as chromium:
        for geometry in geometries[: options.geometries]:
            rows.append(tried(geometry, demo, chromium))
            sys.stderr.write(f"{line(rows[-1])}\n")
    text = HEADING + "".join(f"{line(row)}\n" for row in rows)
    shown = sum(not row.wrong for row in rows)
    text += f"\n{shown} of {len(rows)} geometries as they should be.\n"
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return 0 if shown == len(rows) else 1


def tried(geometry: Geometry, demo: KeptDemo, chromium: BrowserContext) -> Row:
    """A row, whatever becomes of it."""
    started = time.monotonic()
    ohif = OhifPage(page=chromium.new_page())
    off_mm = None
    with TemporaryDirectory(prefix="ohif-") as folder:
        stored = store(geometry, demo, Path(folder))
        try:
            found = held(stored, demo, ohif)
            off_mm = furthest_mm(found, stored)
            wrong = errors(found, stored)
        except (AssertionError, Error):
            wrong = ["not shown"]
        finally:
            ohif.page.close()
    return Row(
        geometry=geometry,
        organs=len(stored.voxels),
        off_mm=off_mm,
        seconds=time.monotonic() - started,
        wrong=(*wrong, *refusals(ohif)),
    )


def refusals(ohif: OhifPage) -> list[str]:
    """Answers with an HTTP error, counted by status and kind of request."""
    kinds = Counter(
        (one.split()[0], "single frames" if "/frames/" in one else "other requests")
        for one in ohif.refused
    )
    return [f"{count} {what} answered with {status}" for (status, what), count in kinds.items()]


def line(row: Row) -> str:
    """Of the table."""
    geometry = row.geometry
    off = "–" if row.off_mm is None else f"{row.off_mm:.4f}"
    return (
        f"| {geometry.name} | {geometry.transfer_syntax} | {geometry.matrix[0]} × {geometry.matrix[1]} "
        f"| {shown_encoding(geometry).value} | {row.organs} "
        f"| {off} | {geometry.half_voxel_mm:.2f} | {row.seconds:.0f} | {'; '.join(row.wrong) or 'ok'} |"
    )


if __name__ == "__main__":
    sys.exit(main())

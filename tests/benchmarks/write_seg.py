"""CPU time of writing a segmentation, ours beside highdicom's and dcmqi's: `make bench-seg`."""

import argparse
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median

import numpy as np

from inference.dicom.ct_series import CtSeries
from inference.dicom.quiet import quietly
from inference.dicom.read_seg import header_of, verify_seg
from inference.dicom.write_seg import seg_content, unproven_seg
from inference.domain.labelmap import FLARE22_ORGANS, LabelMap
from inference.domain.measurement import Patient
from inference.domain.seg_encoding import SegEncoding
from inference.domain.volume import Volume, affine_from_axes
from tests.benchmarks.dcmqi_writer import dcmqi_cpu_s
from tests.highdicom_reference import reference_seg
from tests.synthetic_series import AXIAL, result_identity, small_datasets

SPACING_MM = (1.5, 0.75, 0.75)
ORIGIN_LPS_MM = (-192.0, -192.0, 0.0)
PIXELS = 512
REPEATS = 5
GATE = 0.5
"""Of highdicom's CPU time, for 13 segments on 300 slices."""
SLICES, SEGMENTS = 300, 13


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: medians, seconds of CPU time."""

    encoding: SegEncoding
    slices: int
    segments: int
    frames: int
    megabytes: float
    ours_s: float
    highdicom_s: float
    dcmqi_s: float | None
    """None: it writes no such object."""
    read_back_s: float

    @property
    def ratio(self) -> float:
        """Ours over highdicom's."""
        return self.ours_s / self.highdicom_s


def organ_case(slices: int, segments: int) -> tuple[CtSeries, LabelMap]:
    """Ellipsoids of organ-like sizes in a series of 512 × 512 pixels; headers without pixels."""
    affine = affine_from_axes(ORIGIN_LPS_MM, AXIAL, SPACING_MM)
    thin = Volume(hu=np.zeros((slices, 1, 1), np.int16), affine_lps=affine)
    headers = small_datasets(thin)
    for header in headers:
        header.Rows = header.Columns = PIXELS
        del header.PixelData
    labels = LabelMap(
        labels=_ellipsoids(slices, segments),
        affine_lps=affine,
        structures=dict(enumerate(FLARE22_ORGANS[:segments], start=1)),
    )
    first = headers[0]
    series = CtSeries(
        volume=Volume(hu=np.zeros((slices, PIXELS, PIXELS), np.int16), affine_lps=affine),
        headers=tuple(headers),
        patient=Patient(),
        study_uid=first.StudyInstanceUID,
        series_uid=first.SeriesInstanceUID,
        frame_of_reference_uid=first.FrameOfReferenceUID,
        sop_uids=tuple(sorted(header.SOPInstanceUID for header in headers)),
        slice_thickness_mm=SPACING_MM[0],
    )
    return series, labels


def _ellipsoids(slices: int, segments: int) -> np.typing.NDArray[np.uint8]:
    draw = np.random.default_rng(0)
    labels = np.zeros((slices, PIXELS, PIXELS), np.uint8)
    rows, columns = np.ogrid[:PIXELS, :PIXELS]
    for label in range(1, segments + 1):
        k, i, j = draw.uniform((0.1 * slices, 150, 120), (0.9 * slices, 360, 390))
        height, half_rows, half_columns = draw.uniform(
            (0.2 * slices, 15, 15), (0.3 * slices, 80, 90)
        )
        for index in range(slices):
            left = 1 - ((index - k) / height) ** 2
            if left > 0:
                inside = ((rows - i) / half_rows) ** 2 + ((columns - j) / half_columns) ** 2 < left
                labels[index][inside] = label
    return labels


def _cpu_s(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


@quietly()
def measure(series: CtSeries, labels: LabelMap, encoding: SegEncoding) -> Row:
    """Ours and the others' in turn, so that a busy machine burdens all alike."""
    identity = result_identity()

    def ours() -> bytes:
        return unproven_seg(seg_content(labels, series, identity), encoding)

    def highdicom() -> bytes:
        return reference_seg(labels, series, identity, encoding)

    # The first call pays for tables that highdicom loads once per process.
    highdicom()
    encoded = ours()
    header = header_of(encoded)
    rounds = [
        (_cpu_s(ours), _cpu_s(highdicom), _cpu_s(lambda: verify_seg(encoded, labels, series)))
        for _ in range(REPEATS)
    ]
    ours_s, highdicom_s, read_back_s = (median(times) for times in zip(*rounds, strict=True))
    is_binary = encoding is SegEncoding.BINARY
    theirs = [dcmqi_cpu_s(series.headers, labels) for _ in range(REPEATS if is_binary else 0)]
    return Row(
        encoding=encoding,
        slices=len(labels.labels),
        segments=len(labels.structures),
        frames=int(header.NumberOfFrames),
        megabytes=len(encoded) / 1e6,
        ours_s=ours_s,
        highdicom_s=highdicom_s,
        dcmqi_s=median(theirs) if theirs else None,
        read_back_s=read_back_s,
    )


def table(rows: list[Row]) -> str:
    """The table in Markdown."""
    lines = [
        f"Python {platform.python_version()}, highdicom {version('highdicom')}, pydicom {version('pydicom')}, "
        f"numpy {version('numpy')}; synthetic ellipsoids on 512 × 512 pixels; medians of {REPEATS}, CPU time, "
        "create and encode. highdicom writes uncompressed only. dcmqi (itkimage2segimage of its wheel) is a program of its own: its time "
        "includes reading the images and an uncompressed label map, and writing the file.",
        "",
        "| encoding | slices | segments | frames | MB | ours s | highdicom s | dcmqi s | ours / highdicom | ours / dcmqi | reading back s |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.encoding.value} | {row.slices} | {row.segments} | {row.frames} | {row.megabytes:.2f} | {row.ours_s:.2f} "
        f"| {row.highdicom_s:.2f} | {_or_none(row.dcmqi_s)} | {row.ratio:.2f} "
        f"| {_or_none(row.dcmqi_s and row.ours_s / row.dcmqi_s)} | {row.read_back_s:.2f} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def _or_none(number: float | None) -> str:
    return "" if number is None else f"{number:.2f}"


def main() -> int:
    """Print and write the table; 1 where the gate is missed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    series, labels = organ_case(SLICES, SEGMENTS)
    rows = [measure(series, labels, encoding) for encoding in SegEncoding]
    text = table(rows)
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    gated = next(row for row in rows if row.encoding is SegEncoding.BINARY)
    sys.stdout.write(f"wanted at most {GATE}, found {gated.ratio:.2f}\n")
    return 0 if gated.ratio <= GATE else 1


if __name__ == "__main__":
    sys.exit(main())

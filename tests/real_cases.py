"""make real-cases: what the whole pipeline does with real series that have known oddities, beside what it must do."""

import argparse
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from tempfile import TemporaryDirectory

from inference.dicom.frame_pixels import FramePixels
from inference.dicom.hounsfield import pixel_format
from inference.dicom.quiet import quietly
from inference.dicom.read_file import read_header
from inference.dicom.source_frames import frames_of
from inference.domain.analysis_profile import load_profile
from inference.domain.errors import ConfigurationInvalid, HabitusError, StudyRejected
from inference.pipeline import Models, RunIdentity, analyse_folder, load_models, silent

FOLDER_VARIABLE = "HABITUS_REAL_CT"
IDENTITY = RunIdentity(job_key="0" * 32, created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A folder or file, what a good node must do with it, and the code that says so."""

    path: str
    must: str
    code: str


CASES = (
    Case(
        path="ge_tilt_three_gaps",
        must="reject: tilt found from the orientation, three slice distances",
        code="gantry-tilt",
    ),
    Case(
        path="philips_tilt",
        must="unshear, or reject: positions move off the normal",
        code="gantry-tilt",
    ),
    Case(
        path="philips_secondary_captures",
        must="no axial CT image; the partial DICOMDIR is skipped",
        code="no-suitable-series",
    ),
    Case(
        path="duplicate_positions",
        must="reject: a position twice, and slices missing; name both",
        code="slice-gap",
    ),
    Case(
        path="codecs_wg04_ct1",
        must="decode all, then: one slice is no volume",
        code="too-few-slices",
    ),
    Case(
        path="enhanced_multiframe_ct.dcm",
        must="read the frames' own groups and see that this is a perfusion map, not HU",
        code="no-suitable-series",
    ),
    Case(
        path="kits_liver_slab",
        must="accept the feet-first geometry; no L3 in 42 mm, organs all the same",
        code="organs, not-in-field",
    ),
    Case(
        path="totalseg_jpeg2000_upper_abdomen",
        must="decode; refuse because nothing could be referenced (empty UIDs)",
        code="empty-uids",
    ),
    Case(
        path="dcmqi_seg_examples",
        must="refuse: SEGs and toy images of three patients in one folder",
        code="several-patients",
    ),
    Case(
        path="dcmqi_seg_examples/ct-3slice",
        must="three slices are no volume",
        code="too-few-slices",
    ),
    Case(path="vertebra_l3_crop", must="NIfTI is no DICOM", code="unreadable-input"),
)

SAME_UNITS = ("CT1_J2KR", "CT1_JLSL", "CT1_JPLL", "CT1_RLE")
"""Lossless codings of one slice."""
LOSSY = ("CT1_J2KI", "CT1_JLSN")


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One line of the table."""

    name: str
    must: str
    did: str
    is_as_wanted: bool


def ending(path: Path, models: Models) -> tuple[str, str]:
    """The code and the sentence of what the pipeline made of it."""
    with TemporaryDirectory() as folder:
        series = path
        if path.is_file():
            series = Path(folder) / "series"
            series.mkdir()
            (series / path.name).symlink_to(path)
        try:
            made = analyse_folder(series, Path(folder) / "out", models, IDENTITY, silent)
        except StudyRejected as rejection:
            return rejection.reason, f"found {rejection.found}"
        except HabitusError as error:
            return error.code, f"found {error.found}"
    if made.report.level is None:
        seen = ", ".join(organ.structure.value for organ in made.report.organs)
        return f"organs, {made.report.level_outcome}", f"{seen}; {made.report.flags[0]}"
    return "written", "results were written"


def case_lines(folder: Path, models: Models) -> Iterator[Line]:
    """What became of every case."""
    for case in CASES:
        code, sentence = ending(folder / case.path, models)
        yield Line(
            name=case.path,
            must=f"{case.must} (`{case.code}`)",
            did=f"`{code}`: {sentence}",
            is_as_wanted=code == case.code,
        )


@quietly()
def decoded(path: Path) -> tuple[str, bool]:
    """A digest of a file's Hounsfield units, and whether they are known to be lossy."""
    pixels = FramePixels()
    digest, is_lossy = sha256(), False
    for frame in frames_of(read_header(path)):
        form = pixel_format(frame.header)
        digest.update(pixels.hounsfield(frame, form).tobytes())
        is_lossy |= form.is_lossy
    return digest.hexdigest()[:12], is_lossy


def coding_lines(folder: Path) -> Iterator[Line]:
    """Whether each coding is decoded, the lossless ones to the same units."""
    codings = {name: decoded(folder / "codecs_wg04_ct1" / name) for name in (*SAME_UNITS, *LOSSY)}
    reference = codings[SAME_UNITS[0]][0]
    for name, (digest, is_lossy) in codings.items():
        wanted = name in LOSSY
        is_same = digest == reference
        yield Line(
            name=f"codecs_wg04_ct1/{name}",
            must="decoded and known to be lossy" if wanted else "decoded to the same units",
            did=f"units {digest}, {'lossy' if is_lossy else 'lossless'}",
            is_as_wanted=is_lossy == wanted and is_same != wanted,
        )
    slices = sorted((folder / "totalseg_jpeg2000_upper_abdomen" / "dicom").iterdir())
    digests = {decoded(path)[0] for path in slices}
    yield Line(
        name="totalseg_jpeg2000_upper_abdomen",
        must="20 different slices are decoded",
        did=f"{len(digests)} of {len(slices)}",
        is_as_wanted=len(digests) == len(slices) == 20,
    )


def table(lines: list[Line]) -> str:
    """The table as Markdown."""
    rows = [
        "Real and vendor series with known oddities, through the whole pipeline with the shipped models; made by",
        "`make real-cases`. No case holds L3 in a whole abdomen, so none of them measures accuracy.",
        "",
        "| case | must | did | as wanted |",
        "|---|---|---|---|",
    ]
    rows += [
        f"| {line.name} | {line.must} | {line.did} | {'yes' if line.is_as_wanted else '**NO**'} |"
        for line in lines
    ]
    good = sum(line.is_as_wanted for line in lines)
    return "\n".join([*rows, "", f"{good} of {len(lines)} lines as wanted."]) + "\n"


def main() -> int:
    """Print the table; 1 where a case does not end as wanted."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    folder = Path(os.environ.get(FOLDER_VARIABLE, "")) / "real-ct"
    if not os.environ.get(FOLDER_VARIABLE) or not folder.is_dir():
        raise ConfigurationInvalid(
            found=f"{FOLDER_VARIABLE}={os.environ.get(FOLDER_VARIABLE, '')}",
            wanted="a folder with real-ct/",
            advice=f"Set {FOLDER_VARIABLE} to the folder of real cases.",
        )
    models = load_models(load_profile("abdomen"))
    lines = [*coding_lines(folder), *case_lines(folder, models)]
    text = table(lines)
    sys.stdout.write(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    return 0 if all(line.is_as_wanted for line in lines) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HabitusError as error:
        sys.stderr.write(f"real-cases: {error}\n")
        sys.exit(error.exit_status)

"""One CT in a NIfTI file in, label maps as NIfTI and numbers out; the same analysis as of a DICOM series."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from inference.domain.errors import LevelNotFound, LevelUncertain, OutOfMemory
from inference.domain.measurement import Patient, Report
from inference.domain.outcome import Analysis
from inference.measure_findings import Facts
from inference.nifti.ct_image import CtImage, read_ct, write_labels
from inference.nifti.label_names import LABEL_NAMES, names_to_json
from inference.pipeline import (
    RESULT_NAMES,
    Models,
    Progress,
    Stopwatch,
    analyse_organs,
    analyse_volume,
    report_to_json,
)

FLAG = "read from NIfTI: nothing is known of patient, contrast agent and tube voltage; compressed images would not be noticed"
NOTE = "sex, age, height and weight are not in a NIfTI file: no indices, no cut-offs"


@dataclass(frozen=True, slots=True, kw_only=True)
class NiftiResults:
    """What was written, by role, and the numbers."""

    files: Mapping[str, Path]
    report: Report


def analyse_nifti(path: Path, out_dir: Path, models: Models, progress: Progress) -> NiftiResults:
    """Raises HabitusError; writes everything or nothing."""
    clock = Stopwatch(progress)
    try:
        with clock.stage("read"):
            image = read_ct(path)
        analysis = _analysed(image, models, clock)
        return _written(image, analysis, out_dir, clock)
    except MemoryError:
        raise OutOfMemory from None


def _analysed(image: CtImage, models: Models, clock: Stopwatch) -> Analysis:
    """Organs alone where L3 cannot be measured and the profile wants them, as of DICOM."""
    facts = Facts(patient=Patient(notes=(NOTE,)), contrast="unknown", flags=(FLAG,))
    try:
        return analyse_volume(image.volume, facts, models, clock)
    except (LevelNotFound, LevelUncertain):
        if not models.wants_organs_alone:
            raise
        return analyse_organs(image.volume, facts, models, clock)


def _written(image: CtImage, analysis: Analysis, out_dir: Path, clock: Stopwatch) -> NiftiResults:
    out_dir.mkdir(parents=True, exist_ok=True)
    maps = {"tissues": analysis.tissues, "organs": analysis.organs}
    found = {role: labels for role, labels in maps.items() if labels is not None}
    with TemporaryDirectory(prefix=".writing-", dir=out_dir) as partial:
        with clock.stage("write"):
            written = {role: Path(partial) / f"{role}.nii.gz" for role in found}
            for role, labels in found.items():
                write_labels(labels.labels, image, written[role])
        report = replace(analysis.report, seconds=clock.seconds)
        texts = {
            "labels": (LABEL_NAMES, names_to_json(found)),
            "report": ("report.json", report_to_json(report)),
        }
        for role, (name, text) in texts.items():
            written[role] = Path(partial) / name
            written[role].write_text(text, encoding="utf-8")
        files = {role: path.replace(out_dir / path.name) for role, path in written.items()}
    for name in RESULT_NAMES - {path.name for path in files.values()}:
        # Labels of an earlier run must not lie beside the numbers of this one.
        (out_dir / name).unlink(missing_ok=True)
    return NiftiResults(files=files, report=report)

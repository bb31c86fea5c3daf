"""make eval-real: what the shipped models do on one real CT, good or bad; one patient proves nothing."""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from inference.domain.analysis_profile import HuWindows, load_profile
from inference.domain.errors import (
    ConfigurationInvalid,
    HabitusError,
    ImplausibleResult,
    LevelNotFound,
)
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import Patient
from inference.domain.volume import Volume, axis_flips, canonical, flip
from inference.pipeline import (
    Facts,
    Models,
    Stopwatch,
    analyse_volume,
    load_models,
    silent,
)
from inference.segment_organs import segment_organs
from inference.stages.segment_tissue import segment_compartments, tissues_from_compartments
from training.evaluate_synthetic import dice

FOLDER_VARIABLE = "HABITUS_REAL_CT"
CROP_SLICES = slice(82, 112)
"""The tissue masks cover these slices of the whole volume (L2 to T11)."""
TISSUE_FILES = {
    Structure.SKELETAL_MUSCLE: ("skeletal_muscle", (-29, 150)),
    Structure.SUBCUTANEOUS_FAT: ("subcutaneous_fat", (-190, -30)),
    Structure.VISCERAL_FAT: ("torso_fat", (-150, -50)),
}
NAMES = {
    Structure.ADRENAL_RIGHT: "adrenal_gland_right",
    Structure.ADRENAL_LEFT: "adrenal_gland_left",
    Structure.PORTAL_SPLENIC_VEIN: "portal_vein_and_splenic_vein",
}
"""TotalSegmentator's class name where it is not ours."""

Array = npt.NDArray[Any]


def load_nifti(path: Path) -> tuple[Array, Array]:
    """Voxels [slice, row, column] as stored and the affine of that order to LPS."""
    import nibabel

    image = nibabel.load(path)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    affine = lps[:, [2, 1, 0, 3]]
    return np.asanyarray(image.dataobj).transpose(2, 1, 0), affine


class RealCase:
    """The example CT with its model-made labels, in canonical order."""

    def __init__(self, folder: Path) -> None:
        hu, affine = load_nifti(folder / "example_ct.nii.gz")
        volume = Volume(hu=np.clip(hu, -1024, 3071).astype(np.int16), affine_lps=affine)
        self._flips = axis_flips(affine)
        self.volume = canonical(volume)
        labels, _ = load_nifti(folder / "example_ct_labels.nii.gz")
        self.labels = flip(labels, self._flips)
        names = json.loads((folder / "example_ct_labels.json").read_text(encoding="utf-8"))
        self.ids = _ids(names)
        self.tissues = {
            structure: flip(load_nifti(folder / f"example_ct_sm_{name}.nii.gz")[0], self._flips) > 0
            for structure, (name, _) in TISSUE_FILES.items()
        }

    def mask(self, name: str) -> Array:
        """Where a class of the label map is."""
        wanted: Array = self.labels == self.ids.get(name, -1)
        return wanted


def _ids(names: Mapping[str, Any]) -> dict[str, int]:
    """Class name to label, whichever way round the table is."""
    return {
        (str(value) if key.isdigit() else key): (int(key) if key.isdigit() else int(value))
        for key, value in names.items()
    }


def tissue_lines(case: RealCase, models: Models) -> list[str]:
    """Dice of HU-windowed tissues on the slices that have masks."""
    slices = list(range(*CROP_SLICES.indices(case.volume.shape[0])))
    found = tissues_from_compartments(
        case.volume, segment_compartments(case.volume, slices, models.tissue), HuWindows()
    )
    hu = case.volume.hu[CROP_SLICES]
    lines = []
    for structure, (_, (low, high)) in TISSUE_FILES.items():
        true = case.tissues[structure] & (hu >= low) & (hu <= high)
        mask = found.mask(structure)[CROP_SLICES]
        change = 100 * (int(mask.sum()) / int(true.sum()) - 1)
        name = structure.value.replace("_", " ")
        lines.append(f"| {name} (T11 to L2) | {dice(mask, true):.3f} | volume {change:+.0f} % |")
    return lines


def organ_lines(case: RealCase, organs: LabelMap) -> list[str]:
    """Dice of every organ the label map has."""
    lines = []
    for structure in organs.structures.values():
        true = case.mask(NAMES.get(structure, structure.value))
        if true.any():
            found = organs.mask(structure)
            score = dice(found, true)
            millilitres = found.sum() * case.volume.voxel_ml, true.sum() * case.volume.voxel_ml
            lines.append(
                f"| {structure.value.replace('_', ' ')} | {score:.3f} | {millilitres[0]:.0f} ml, reference {millilitres[1]:.0f} ml |"
            )
    return lines


def level_line(case: RealCase, found_z_mm: float | None) -> str:
    """Distance to the middle of the reference L3 (its label includes the processes, so take the body's part)."""
    slices = np.flatnonzero(case.mask("vertebrae_L3").any(axis=(1, 2)))
    middle = (slices[0] + slices[-1]) / 2
    z = case.volume.affine_lps[2, 3] + middle * case.volume.affine_lps[2, 0]
    if found_z_mm is None:
        return "| L3 level | not found | |"
    return (
        f"| L3 level | {found_z_mm - z:+.1f} mm | from the middle of the whole vertebra's label |"
    )


def _result_lines(case: RealCase, models: Models) -> list[str]:
    """Level, tissues and organs, each judged by itself: what the node would do comes last."""
    try:
        facts = Facts(patient=Patient(), contrast="unknown")
        report = analyse_volume(case.volume, facts, models, Stopwatch(silent)).report
        level_z_mm = report.level.z_mm if report.level else None
        flags = report.flags
    except (LevelNotFound, ImplausibleResult) as rejected:
        level_z_mm, flags = None, (f"the node would not analyse this series: {rejected}",)
    lines = [level_line(case, level_z_mm), *tissue_lines(case, models)]
    if models.organs is not None:
        lines += organ_lines(
            case,
            segment_organs(case.volume, models.organs, models.profile.organ_grid_shifts, silent),
        )
    return [*lines, "", *(f"! {flag}" for flag in flags)]


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="also write the table to this file")
    options = parser.parse_args()
    folder = os.environ.get(FOLDER_VARIABLE)
    if not folder or not (Path(folder) / "anatomy" / "example_ct.nii.gz").is_file():
        raise ConfigurationInvalid(
            found=f"{FOLDER_VARIABLE}={folder or ''}",
            wanted="a folder with anatomy/example_ct.nii.gz",
            advice=f"Set {FOLDER_VARIABLE} to the folder of real cases.",
        )
    case = RealCase(Path(folder) / "anatomy")
    models = load_models(load_profile("abdomen"))
    lines = [
        "One real, unenhanced CT (3 mm); references are model output. The models saw synthetic CT only.",
        "",
        "| | Dice or error | |",
        "|---|---|---|",
    ]
    lines += _result_lines(case, models)
    text = "\n".join(lines) + "\n"
    sys.stdout.write(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except HabitusError as error:
        sys.stderr.write(f"eval-real: {error}\n")
        sys.exit(error.exit_status)

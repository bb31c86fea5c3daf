"""A folder with a CT (NIfTI or DICOM) and perhaps references, as a case."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydicom import dcmread
from pydicom.uid import UID, CTImageStorage

from inference.dicom.ct_series import CtSeries
from inference.dicom.identity import derive_uid
from inference.dicom.quiet import quietly
from inference.dicom.read_file import has_dicom_mark
from inference.dicom.read_series import load_series
from inference.dicom.survey import survey_folder
from inference.domain.analysis_profile import LossyPolicy, Profile
from inference.domain.errors import HabitusError, UnreadableInput
from inference.domain.volume import Volume, canonical
from inference.first_measurable import choice_in, try_in_order
from inference.measure_findings import Facts
from training.label_names import our_name, plain
from training.nifti import IMAGE_NAMES, nifti_volume, read_nifti
from training.real.case import RealCase
from training.real.known_cases import KnownCase
from training.real.level_reference import labelled_z_mm, stated_level, stated_z_mm
from training.real.names import misspelt
from training.real.reference import Mask, Reference, on_grid, remembered, require_all_labelled
from training.real.reference_seg import reference_from_segs, segmentations_in
from training.templates.maps import read_maps

CT_NAMES = ("ct.nii.gz", "ct.nii")
LABEL_FOLDER = "labels"
MERGED_LABELS = ("labels.nii.gz", "labels.nii")
NO_UIDS = "empty-uids"
SAME_VERTEBRA_MM = 15.0


def read_case(path: Path, name: str, profile: Profile, known: KnownCase | None) -> RealCase:
    """The case of a folder, or of a single DICOM file; what the node would refuse is told, never raised."""
    nifti = next((path / ct for ct in CT_NAMES if (path / ct).is_file()), None)
    try:
        if nifti is not None:
            return _from_nifti(nifti, name, known)
        _require_a_named_ct(path)
        return _from_dicom(path, name, profile, known)
    except HabitusError as refusal:
        return RealCase(name=name, volume=None, rejection=refusal, known=known)


def _require_a_named_ct(path: Path) -> None:
    """NIfTI files may be anything: which one is the CT is told by its name alone."""
    if not path.is_dir():
        return
    volumes = [file for file in path.iterdir() if file.name.endswith((".nii", ".nii.gz"))]
    images = (file for file in path.rglob("*") if file.is_file())
    if volumes and not any(has_dicom_mark(file) for file in images):
        raise UnreadableInput(
            found=f"{len(volumes)} NIfTI file{'s' * (len(volumes) > 1)}, none of them called {CT_NAMES[0]}",
            wanted=f"the CT as {' or '.join(CT_NAMES)}, its labels as {MERGED_LABELS[0]} or in {LABEL_FOLDER}/",
            advice="Rename the file that holds the CT (docs/validation.md).",
        )


def _from_nifti(path: Path, name: str, known: KnownCase | None) -> RealCase:
    volume = nifti_volume(path)
    if (lowest := int(volume.hu.min())) >= 0:
        raise UnreadableInput(
            found=f"a CT whose lowest value is {lowest}",
            wanted="Hounsfield units: -1000 in air, about -100 in fat",
            advice="Convert it again, with rescale slope and intercept and no window.",
        )
    case = RealCase(name=name, volume=volume, known=known)
    return with_references(case, path.parent, volume, None)


def _from_dicom(path: Path, name: str, profile: Profile, known: KnownCase | None) -> RealCase:
    rejection = None
    try:
        series = _node_series(path, profile)
    except HabitusError as refusal:
        if refusal.reason_code != NO_UIDS:
            raise
        # Nothing can be sent back about such images, but they can be looked at.
        rejection, series = refusal, _series_with_uids(path)
    volume = canonical(series.volume)
    facts = Facts(
        patient=series.patient, contrast=series.contrast, kvp=series.kvp, flags=series.flags
    )
    case = RealCase(name=name, volume=volume, facts=facts, rejection=rejection, known=known)
    return with_references(case, path, series.volume, series)


def _node_series(path: Path, profile: Profile) -> CtSeries:
    """The series that the node would take; raises what the node would."""
    lossy = LossyPolicy(profile.lossy)
    with TemporaryDirectory() as scratch:
        folder = path
        if path.is_file():
            folder = Path(scratch)
            (folder / "image.dcm").symlink_to(path.resolve())
        survey = survey_folder(folder)
        choice = choice_in(survey, profile)
        return try_in_order(survey, choice, lambda paths: load_series(paths, lossy)).first


@quietly()
def _series_with_uids(path: Path) -> CtSeries:
    """Images without identities, read from copies that have some."""
    files = [file for file in sorted(path.rglob("*")) if file.is_file()]
    with TemporaryDirectory() as scratch:
        for number, file in enumerate(files):
            try:
                image = dcmread(file)
            except Exception:  # noqa: BLE001, S112 - whatever else lies in the folder
                continue
            for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
                if not image.get(keyword):
                    setattr(image, keyword, derive_uid("evaluation", keyword))
            image.PatientID = image.get("PatientID") or "unknown"
            image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = CTImageStorage
            uid = UID(derive_uid("evaluation", str(number)))
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = uid
            image.save_as(Path(scratch) / f"{number}.dcm", enforce_file_format=True)
        return load_series(sorted(Path(scratch).iterdir()))


def with_references(
    case: RealCase, folder: Path, stored: Volume, series: CtSeries | None
) -> RealCase:
    """The case with the masks and the level that lie beside its CT; a reference that cannot be read is named."""
    assert case.volume is not None
    if folder.is_file():
        return case
    trouble, reference, z_mm = [], Reference(), None
    try:
        reference = _reference_in(folder, case.volume, series)
        if reference.is_of_nothing_known:
            trouble.append(
                f"found {len(reference.readers)} masks of names that are not known; wanted names as in "
                "report.json. See docs/validation.md."
            )
        trouble += misspelt(reference.readers)
        if (l3 := reference.l3) is not None:
            z_mm = labelled_z_mm(l3, reference.canal, case.volume)
    except HabitusError as problem:
        trouble.append(str(problem))
    try:
        if (statement := stated_level(folder)) is not None:
            labelled_mm, z_mm = z_mm, stated_z_mm(statement, stored, series)
            if labelled_mm is not None and abs(labelled_mm - z_mm) > SAME_VERTEBRA_MM:
                trouble.append(
                    f"found L3 stated {abs(labelled_mm - z_mm):.0f} mm from its label; wanted one "
                    "place. The statement is taken."
                )
    except HabitusError as problem:
        trouble.append(str(problem))
    return replace(
        case,
        reference=reference,
        l3_z_mm=z_mm,
        is_l3_absent=case.known is not None and case.known.level == "absent",
        trouble="; ".join(trouble),
    )


def _reference_in(folder: Path, volume: Volume, series: CtSeries | None) -> Reference:
    """Single masks, a merged map with its table, and Segmentations."""
    found = Reference(readers=_single_masks(folder / LABEL_FOLDER, volume))
    for name in MERGED_LABELS:
        if (folder / name).is_file():
            found = found.beside(merged_reference(folder / name, volume))
    if series is not None:
        paths = segmentations_in(folder, series.frame_of_reference_uid)
        found = found.beside(reference_from_segs(paths, volume))
    return found


def _single_masks(folder: Path, volume: Volume) -> dict[str, Callable[[], Mask]]:
    def reader(path: Path) -> Callable[[], Mask]:
        def read() -> Mask:
            mask = read_nifti(path)
            marked = mask.hu > 0.5
            require_all_labelled(marked.shape, mask.affine_lps, volume)
            if not marked.any():
                raise UnreadableInput(
                    found=f"a mask of {our_name(path.name.partition('.')[0]) or 'something'} that marks nothing",
                    wanted="a mask of what is there",
                    advice="Leave the file out where the organ is not in the CT: nothing is compared then.",
                )
            return on_grid(marked, mask.affine_lps, volume)

        return remembered(read)

    paths = sorted(path for pattern in IMAGE_NAMES for path in folder.glob(pattern))
    return {
        plain(path.name.removesuffix(".gz").removesuffix(".nii")): reader(path) for path in paths
    }


def merged_reference(path: Path, volume: Volume) -> Reference:
    """A label map with its table of names beside it, one label per voxel."""
    named = read_maps(path)
    require_all_labelled(named.numbers.shape, named.affine_lps, volume)
    present = set(np.unique(named.numbers).tolist())
    if not present & set(named.names):
        raise UnreadableInput(
            found="a label map whose labels its table does not name",
            wanted="a table of the labels that occur",
            advice="Write the names into the .json beside the map.",
        )

    def reader(number: int) -> Callable[[], Mask]:
        return remembered(lambda: on_grid(named.numbers == number, named.affine_lps, volume))

    # An empty label of a long table says nothing: the organ may lie outside the field.
    return Reference(
        readers={plain(n): reader(number) for number, n in named.names.items() if number in present}
    )

"""The patient, study and source images as a result object carries them: clean values, UTF-8, nothing else."""

import datetime as dt
from collections.abc import Mapping
from io import BytesIO

from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import PersonName, validate_value

from inference.dicom.codes import PRIVATE_SCHEME, PRIVATE_SCHEME_NAME
from inference.dicom.ct_series import CtSeries
from inference.dicom.header_values import has_signs_of_no_text, numbers, text
from inference.dicom.identity import ResultIdentity
from inference.dicom.undecodable import carry_kept_texts

_CARRIED: Mapping[str, str] = {
    "PatientName": "PN",
    "PatientID": "LO",
    "IssuerOfPatientID": "LO",
    "PatientBirthDate": "DA",
    "PatientSex": "CS",
    "PatientAge": "AS",
    "PatientSize": "DS",
    "PatientWeight": "DS",
    "StudyDate": "DA",
    "StudyTime": "TM",
    "AccessionNumber": "SH",
    "ReferringPhysicianName": "PN",
    "StudyID": "SH",
    "StudyDescription": "LO",
}
"""What a result repeats of its patient and study, so that the PACS files it in the same place."""

CARRIED_KEYWORDS = tuple(_CARRIED)

_OF_ANY_SCRIPT = frozenset({"PN", "LO", "SH"})
"""PS3.5 6.1.2.3: Specific Character Set has no say in the other kinds."""

_MAY_BE_ABSENT = frozenset(
    {"IssuerOfPatientID", "PatientAge", "PatientSize", "PatientWeight", "StudyDescription"}
)


def source_image(series: CtSeries, slice_index: int) -> Dataset:
    """What a library needs to refer to one slice.

    Without the patient: highdicom logs a name it finds odd. `carry_patient_and_study` adds it afterwards.
    """
    header = series.headers[slice_index]
    image = Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "Modality"):
        setattr(image, keyword, text(header, keyword))
    image.StudyInstanceUID = series.study_uid
    image.SeriesInstanceUID = series.series_uid
    image.FrameOfReferenceUID = series.frame_of_reference_uid
    image.SpecificCharacterSet = "ISO_IR 192"
    for keyword in ("ImagePositionPatient", "PixelSpacing"):
        setattr(image, keyword, list(numbers(header, keyword) or ()))
    # Of the first slice: the reader takes slices whose orientation is rounded differently, a result states one.
    orientation = numbers(series.headers[0], "ImageOrientationPatient")
    image.ImageOrientationPatient = list(orientation or ())
    image.SliceThickness = series.thickness_mm(slice_index)
    image.Rows, image.Columns = series.volume.shape[1:]
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex"):
        setattr(image, keyword, "")
    for keyword in ("AccessionNumber", "StudyID", "ReferringPhysicianName"):
        setattr(image, keyword, "")
    image.StudyDate = image.StudyTime = ""
    return image


def carry_patient_and_study(result: Dataset, series: CtSeries) -> None:
    """Repeat patient and study in a result; a value that is not valid DICOM is left empty."""
    header = series.headers[0]
    result.SpecificCharacterSet = "ISO_IR 192"
    for keyword, kind in _CARRIED.items():
        if keyword in series.kept_texts:
            continue
        # Decoded text, so that a name in any character set is written as UTF-8.
        value = text(header, keyword)
        if not _is_valid(kind, value) or (
            keyword == "PatientSex" and value not in ("", "M", "F", "O")
        ):
            value = ""
        if value or keyword not in _MAY_BE_ABSENT:
            setattr(result, keyword, PersonName(value) if kind == "PN" else value)
        elif keyword in result:
            delattr(result, keyword)
    if series.kept_texts:
        carry_kept_texts(result, header, series.kept_texts)


def _is_valid(kind: str, value: str) -> bool:
    try:
        validate_value(kind, value, validation_mode=2)
    except ValueError:
        return False
    is_written_in_it = kind in _OF_ANY_SCRIPT or value.isascii()
    return is_written_in_it and not has_signs_of_no_text(value)


def stamp(result: Dataset, identity: ResultIdentity) -> None:
    """Replace the clock of the library by the moment of the job, so that the same job gives the same bytes."""
    date, time = identity.created.strftime("%Y%m%d"), identity.created.strftime("%H%M%S")
    for moment in ("InstanceCreation", "Content", "Series"):
        setattr(result, f"{moment}Date", date)
        setattr(result, f"{moment}Time", time)
    for equipment in result.get("ContributingEquipmentSequence", []):
        if "ContributionDateTime" in equipment:
            equipment.ContributionDateTime = f"{date}{time}"


def identify_private_codes(result: Dataset) -> None:
    """Say what the private coding scheme is (PS3.3 C.12.1.1.3, Coding Scheme Identification Sequence)."""
    scheme = Dataset()
    scheme.CodingSchemeDesignator = PRIVATE_SCHEME
    scheme.CodingSchemeName = PRIVATE_SCHEME_NAME
    scheme.CodingSchemeResponsibleOrganization = "Habitus"
    result.CodingSchemeIdentificationSequence = Sequence([scheme])


def part10_bytes(result: Dataset) -> bytes:
    """The object as a DICOM file, Explicit VR Little Endian."""
    buffer = BytesIO()
    result.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def created_date_time(identity: ResultIdentity) -> tuple[dt.date, dt.time]:
    """Date and time of the job."""
    return identity.created.date(), identity.created.time().replace(microsecond=0, tzinfo=None)

"""Write the picture page as a Secondary Capture: the one object that every viewer shows."""

import highdicom as hd
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRLittleEndian

from inference.dicom import codes
from inference.dicom.ct_series import CtSeries
from inference.dicom.header_values import text, whole_number
from inference.dicom.identity import ResultIdentity
from inference.dicom.quiet import quietly
from inference.dicom.source_images import carry_patient_and_study, part10_bytes, stamp

LONGEST_DESCRIPTION = 1024
"""Characters of a Short Text (PS3.5 6.2)."""


@quietly()
def build_page(
    rgb: npt.NDArray[np.uint8], series: CtSeries, slice_index: int, identity: ResultIdentity
) -> Dataset:
    """A Secondary Capture of the picture [row, column, channel], derived from one slice of the series."""
    page: Dataset = hd.sc.SCImage(
        pixel_array=rgb,
        photometric_interpretation=hd.PhotometricInterpretationValues.RGB,
        bits_allocated=8,
        coordinate_system=hd.CoordinateSystemNames.PATIENT,
        # Demanded by the library; a sheet of eight views has no direction of its own.
        patient_orientation=("L", "P"),
        study_instance_uid=series.study_uid,
        series_instance_uid=identity.series_instance_uid,
        series_number=identity.series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=1,
        manufacturer=codes.MANUFACTURER,
        manufacturer_model_name=codes.MANUFACTURER,
        software_versions=identity.code_version,
        device_serial_number="1",
        series_description="Habitus: picture page (research use)",
        transfer_syntax_uid=ExplicitVRLittleEndian,
    )
    page.PatientOrientation = ""
    _say_where_from(page, series, slice_index, identity)
    carry_patient_and_study(page, series)
    stamp(page, identity)
    page.DateOfSecondaryCapture, page.TimeOfSecondaryCapture = page.ContentDate, page.ContentTime
    return page


def encode_page(
    rgb: npt.NDArray[np.uint8], series: CtSeries, slice_index: int, identity: ResultIdentity
) -> bytes:
    """The same as the bytes of a DICOM file."""
    return part10_bytes(build_page(rgb, series, slice_index, identity))


def image_number(series: CtSeries, slice_index: int) -> int | None:
    """The slice's Instance Number, which viewers show."""
    return whole_number(series.headers[slice_index], "InstanceNumber")


def _say_where_from(
    page: Dataset, series: CtSeries, slice_index: int, identity: ResultIdentity
) -> None:
    header = series.headers[slice_index]
    source = Dataset()
    source.ReferencedSOPClassUID = text(header, "SOPClassUID")
    source.ReferencedSOPInstanceUID = text(header, "SOPInstanceUID")
    frame_number = series.frame_numbers[slice_index] if series.frame_numbers else None
    if frame_number is not None:
        source.ReferencedFrameNumber = frame_number
    source.PurposeOfReferenceCodeSequence = Sequence(
        [hd.sr.CodedConcept.from_code(codes.SOURCE_OF_IMAGE)]
    )
    page.SourceImageSequence = Sequence([source])
    # PS3.3 C.8.6.1: made by a workstation, not caught from a screen.
    page.ConversionType = "WSD"
    page.BodyPartExamined = "ABDOMEN"
    page.BurnedInAnnotation = "NO"
    models = ", ".join(f"{use.name} {use.version}" for use in identity.models)
    page.DerivationDescription = f"Body composition at L3, {codes.RESEARCH_USE} Models: {models}"[
        :LONGEST_DESCRIPTION
    ]

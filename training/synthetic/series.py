"""Write a synthetic volume as a valid CT image series of any spacing, thickness, order and patient."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from pydicom.valuerep import format_number_as_ds

from inference.dicom.identity import derive_uid
from inference.domain.volume import Volume, position_mm

SliceOrder = Literal["ascending", "descending", "shuffled"]

_RESCALE_INTERCEPT = -1024
_STORED_MAX = 4095
"""12 bits unsigned with intercept −1024, as most scanners store CT: −1024..3071 HU."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesHeader:
    """Everything of a CT series that is not voxels; the same header gives the same UIDs."""

    seed: int = 0
    """Patient, study and frame of reference; series of one seed belong to one study."""
    series_number: int = 2
    """Tells the series of one study apart."""
    patient_name: str = "Synthetic^Body"
    patient_id: str | None = None
    """None: made from the seed."""
    sex: str = "M"
    """"M", "F", "O" or empty."""
    age_years: int | None = 64
    height_m: float | None = 1.75
    weight_kg: float | None = 80.0
    slice_thickness_mm: float | None = None
    """None: the step between the slices."""
    order: SliceOrder = "descending"
    """How instance numbers and file names run along the volume's slice index."""
    first_instance_number: int = 1
    series_description: str = "Abdomen 5.0 B30f"
    study_description: str = "CT ABDOMEN (SYNTHETIC)"
    study_date: str = "20240110"
    study_time: str = "101500"
    patient_position: str = "HFS"
    kvp: float = 120.0
    kernel: str = "B30f"
    contrast_agent: str | None = None
    """None: no contrast attributes are written."""
    image_type: tuple[str, ...] = ("ORIGINAL", "PRIMARY", "AXIAL")

    @property
    def study_uid(self) -> str:
        """Study Instance UID."""
        return self._uid("study")

    @property
    def series_uid(self) -> str:
        """Series Instance UID."""
        return self._uid("series", str(self.series_number))

    @property
    def frame_of_reference_uid(self) -> str:
        """Frame of Reference UID, shared by all series of the seed."""
        return self._uid("frame-of-reference")

    def sop_uid(self, slice_index: int) -> str:
        """SOP Instance UID of the slice at an index of the volume."""
        return self._uid("image", str(self.series_number), str(slice_index))

    def _uid(self, *parts: str) -> str:
        return derive_uid("habitus-synthetic-ct", str(self.seed), *parts)


def write_series(volume: Volume, header: SeriesHeader, folder: Path) -> tuple[Path, ...]:
    """Write one file per slice, named by instance number; the paths come in volume order."""
    folder.mkdir(parents=True, exist_ok=True)
    paths: list[Path] = []
    for dataset in build_datasets(volume, header):
        path = folder / f"{int(dataset.InstanceNumber):05d}.dcm"
        dataset.save_as(path, enforce_file_format=True)
        paths.append(path)
    return tuple(paths)


def build_datasets(volume: Volume, header: SeriesHeader) -> list[Dataset]:
    """One CT image per slice, in volume order, ready to save or send; HU are clipped to −1024..3071."""
    numbers = _instance_numbers(volume.shape[0], header)
    return [_image(volume, header, index, number) for index, number in enumerate(numbers)]


def _instance_numbers(slices: int, header: SeriesHeader) -> list[int]:
    numbers = np.arange(header.first_instance_number, header.first_instance_number + slices)
    if header.order == "descending":
        numbers = numbers[::-1]
    elif header.order == "shuffled":
        numbers = np.random.default_rng(header.seed).permutation(numbers)
    return [int(number) for number in numbers]


def _image(volume: Volume, header: SeriesHeader, index: int, instance_number: int) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    _add_patient(ds, header)
    _add_study_and_series(ds, header)
    _add_acquisition(ds, header)
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = header.sop_uid(index)
    ds.InstanceNumber = instance_number
    ds.ImageType = list(header.image_type)
    _add_plane(ds, volume, header, index)
    _add_pixels(ds, volume.hu[index])
    _add_file_meta(ds)
    return ds


def _add_file_meta(ds: Dataset) -> None:
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _add_patient(ds: Dataset, header: SeriesHeader) -> None:
    ds.PatientName = header.patient_name
    ds.PatientID = header.patient_id or f"SYN{header.seed:06d}"
    ds.PatientBirthDate = ""
    ds.PatientSex = header.sex
    if header.age_years is not None:
        ds.PatientAge = f"{header.age_years:03d}Y"
    if header.height_m is not None:
        ds.PatientSize = _decimal(header.height_m)
    if header.weight_kg is not None:
        ds.PatientWeight = _decimal(header.weight_kg)


def _add_study_and_series(ds: Dataset, header: SeriesHeader) -> None:
    ds.StudyInstanceUID = header.study_uid
    ds.StudyID = str(header.seed)
    ds.AccessionNumber = ""
    ds.ReferringPhysicianName = ""
    ds.StudyDescription = header.study_description
    ds.SeriesInstanceUID = header.series_uid
    ds.SeriesNumber = header.series_number
    ds.SeriesDescription = header.series_description
    ds.Modality = "CT"
    ds.BodyPartExamined = "ABDOMEN"
    ds.PatientPosition = header.patient_position
    ds.FrameOfReferenceUID = header.frame_of_reference_uid
    ds.PositionReferenceIndicator = ""
    for moment in ("Study", "Series", "Acquisition", "Content"):
        setattr(ds, f"{moment}Date", header.study_date)
        setattr(ds, f"{moment}Time", header.study_time)


def _add_acquisition(ds: Dataset, header: SeriesHeader) -> None:
    # Not "Habitus": the node ignores series of that manufacturer as its own results.
    ds.Manufacturer = "Synthetic"
    ds.ManufacturerModelName = "Synthetic CT"
    ds.DeviceSerialNumber = "1"
    ds.SoftwareVersions = "1"
    ds.AcquisitionNumber = 1
    ds.KVP = _decimal(header.kvp)
    ds.ConvolutionKernel = header.kernel
    if header.contrast_agent is not None:
        ds.ContrastBolusAgent = header.contrast_agent


def _add_plane(ds: Dataset, volume: Volume, header: SeriesHeader, index: int) -> None:
    slice_mm, row_mm, column_mm = volume.spacing_mm
    thickness_mm = header.slice_thickness_mm if header.slice_thickness_mm else slice_mm
    # PS3.3 C.7.6.2.1.1: first the direction in which the column index grows, then that of the row index.
    orientation = np.concatenate(
        [volume.affine_lps[:3, 2] / column_mm, volume.affine_lps[:3, 1] / row_mm]
    )
    position = position_mm(volume.affine_lps, (volume.places[index], 0, 0))
    ds.SliceThickness = _decimal(thickness_mm)
    ds.PixelSpacing = [_decimal(row_mm), _decimal(column_mm)]
    ds.ImageOrientationPatient = [_decimal(cosine) for cosine in orientation]
    ds.ImagePositionPatient = [_decimal(coordinate) for coordinate in position]
    ds.SliceLocation = _decimal(position[2])


def _add_pixels(ds: Dataset, hu: npt.NDArray[np.int16] | npt.NDArray[np.float32]) -> None:
    stored = np.clip(np.rint(hu.astype(np.float32)) - _RESCALE_INTERCEPT, 0, _STORED_MAX)
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.Rows, ds.Columns = hu.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 12, 11, 0
    ds.RescaleIntercept = str(_RESCALE_INTERCEPT)
    ds.RescaleSlope = "1"
    ds.RescaleType = "HU"
    ds.WindowCenter, ds.WindowWidth = "40", "400"
    ds.PixelData = stored.astype("<u2").tobytes()


def _decimal(value: float) -> str:
    """A Decimal String of at most 16 characters; −0 becomes 0."""
    return format_number_as_ds(float(np.round(value, 9)) + 0.0)

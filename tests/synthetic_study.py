"""Synthetic studies as hospitals send them: several series of one patient, with the headers their scanners write."""

from collections.abc import Sequence
from pathlib import Path
from random import Random

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from inference.domain.volume import Volume, affine_from_axes
from training.synthetic.series import SeriesHeader, build_datasets

SAGITTAL = ((1.0, 0.0, 0.0), (0.0, 0.0, -1.0), (0.0, 1.0, 0.0))
CORONAL = ((0.0, 1.0, 0.0), (0.0, 0.0, -1.0), (1.0, 0.0, 0.0))
AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
ORIGINAL = ("ORIGINAL", "PRIMARY", "AXIAL")
SEVEN_PORTAL = 7
"""Series number of the one to take in the study of seven."""


def plain_series(
    number: int,
    description: str,
    *,
    slices: int = 32,
    step_mm: float = 8.0,
    axes: Sequence[Sequence[float]] = AXIAL,
    pixel_mm: float = 10.0,
    tags: dict[str, object] | None = None,
    **header: object,
) -> list[Dataset]:
    """A series of 40 × 40 pixels: enough for what headers tell."""
    affine = affine_from_axes((-200.0, -200.0, 100.0), axes, (step_mm, pixel_mm, pixel_mm))
    volume = Volume(hu=np.zeros((slices, 40, 40), np.int16), affine_lps=affine)
    wanted = {"slice_thickness_mm": 5.0, "seed": 7, "study_description": "", **header}
    datasets = build_datasets(
        volume,
        SeriesHeader(series_number=number, series_description=description, **wanted),  # type: ignore[arg-type]
    )
    for dataset in datasets:
        for keyword, value in (tags or {}).items():
            setattr(dataset, keyword, value)
    return datasets


def capture(number: int, description: str, image_type: tuple[str, ...]) -> list[Dataset]:
    """One Secondary Capture with CT as its modality, as dose pages are."""
    (image,) = plain_series(number, description, slices=1, image_type=image_type)
    image.SOPClassUID = SecondaryCaptureImageStorage
    image.file_meta.MediaStorageSOPClassUID = SecondaryCaptureImageStorage
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "SliceThickness"):
        delattr(image, keyword)
    return [image]


def study_of_seven() -> dict[str, list[Dataset]]:
    """Scout, thin lung, thick soft tissue, reformat, dose page, arterial, portal: as one Siemens examination."""
    spiral = (*ORIGINAL, "CT_SOM5 SPI")
    return {
        "scout": plain_series(
            1,
            "Topogramm 0.6 T20f",
            slices=1,
            axes=CORONAL,
            image_type=("ORIGINAL", "PRIMARY", "LOCALIZER", "CT_SOM5 TOP"),
            kernel="T20f",
        ),
        "thin lung": plain_series(
            2, "Thorax 1.0 B70f", slice_thickness_mm=1.0, kernel="B70f", image_type=spiral
        ),
        "thick soft": plain_series(3, "Abdomen nativ 5.0 B30f", image_type=spiral),
        "reformat": plain_series(
            4,
            "Abdomen cor 3.0",
            axes=CORONAL,
            slice_thickness_mm=3.0,
            image_type=("DERIVED", "SECONDARY", "MPR", "CT_SOM5 MPR"),
        ),
        "dose page": capture(501, "Patient Protocol", ("DERIVED", "SECONDARY", "DOSE_INFO")),
        "arterial": plain_series(
            6, "Abdomen arteriell 3.0 B30f", slice_thickness_mm=3.0, contrast_agent="Ultravist"
        ),
        "portal": plain_series(
            SEVEN_PORTAL,
            "Abdomen portalvenös 3.0 B30f",
            slice_thickness_mm=3.0,
            contrast_agent="Ultravist",
            image_type=spiral,
        ),
    }


def save_study(series: Sequence[Sequence[Dataset]], folder: Path, random: Random) -> Path:
    """All images of a study in one folder under names in random order."""
    folder.mkdir(parents=True)
    images = [image for images in series for image in images]
    random.shuffle(images)
    for place, image in enumerate(images):
        image.save_as(folder / f"I{place:05d}", enforce_file_format=True)
    return folder

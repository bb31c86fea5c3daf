"""Small CT series made in code for tests: a gradient of known numbers, of any geometry."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import EnhancedCTImageStorage

from inference.dicom.ct_series import CtSeries
from inference.dicom.identity import ResultIdentity, derive_uid
from inference.dicom.read_series import load_series
from inference.dicom.survey import survey_folder
from inference.domain.analysis_profile import load_profile
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import ModelUse
from inference.domain.volume import Affine, SlicePlaces, Volume, affine_from_axes
from inference.first_measurable import choice_in
from training.synthetic.series import SeriesHeader, build_datasets

AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
"""Directions of slice, row and column index: slices to the head, rows to the back, columns to the left."""


def small_volume(
    *,
    shape: tuple[int, int, int] = (12, 64, 48),
    spacing_mm: tuple[float, float, float] = (2.5, 0.8, 0.7),
    origin_lps_mm: tuple[float, float, float] = (-20.0, -30.0, 100.0),
    axes_lps: npt.ArrayLike = AXIAL,
) -> Volume:
    """A volume whose every voxel differs from its neighbours, so that no flip goes unseen."""
    k, i, j = np.indices(shape)
    hu = (-900 + 50 * k + 7 * i + 3 * j).astype(np.int16)
    return Volume(hu=hu, affine_lps=affine_from_axes(origin_lps_mm, axes_lps, spacing_mm))


def small_datasets(volume: Volume | None = None, **header: object) -> list[Dataset]:
    """The small volume as CT images in volume order; keywords go into the series header."""
    wanted = replace(SeriesHeader(), **header)  # type: ignore[arg-type]
    return build_datasets(volume if volume is not None else small_volume(), wanted)


Blocks = Sequence[tuple[int, float]]
"""Slices and their thickness; blocks follow each other from the feet."""
FINE_THEN_THICK: Blocks = ((8, 2.5), (7, 5.0))


def uneven_volume(blocks: Blocks = FINE_THEN_THICK, **wanted: Any) -> Volume:
    """The small volume with slices that touch each other and are not of one thickness."""
    thickness_mm = np.repeat([mm for _, mm in blocks], [count for count, _ in blocks])
    centres_mm = np.cumsum(thickness_mm) - thickness_mm / 2
    finest_mm = float(thickness_mm.min())
    even = small_volume(shape=(len(centres_mm), 64, 48), spacing_mm=(finest_mm, 0.8, 0.7), **wanted)
    return replace(even, slice_places=(centres_mm - centres_mm[0]) / finest_mm)


def uneven_datasets(
    blocks: Blocks = FINE_THEN_THICK, volume: Volume | None = None, **header: object
) -> list[Dataset]:
    """Images of it that state their own thickness."""
    datasets = small_datasets(volume or uneven_volume(blocks), **header)
    thickness_mm = [mm for count, mm in blocks for _ in range(count)]
    for dataset, mm in zip(datasets, thickness_mm, strict=True):
        dataset.SliceThickness = f"{mm:g}"
    return datasets


def save_all(datasets: Sequence[Dataset], folder: Path) -> list[Path]:
    """Write the images to numbered files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{number:04d}.dcm" for number in range(len(datasets))]
    for path, dataset in zip(paths, datasets, strict=True):
        dataset.save_as(path, enforce_file_format=True)
    return paths


def small_labels(
    affine_lps: Affine,
    shape: tuple[int, int, int],
    structures: Sequence[Structure],
    slice_places: SlicePlaces | None = None,
) -> LabelMap:
    """One asymmetric box per structure, none touching the first or last slice."""
    labels = np.zeros(shape, np.uint8)
    for label in range(1, len(structures) + 1):
        labels[1 + label % 3 : -2 - label % 2, 2 * label : 2 * label + 2, label : -2 * label] = (
            label
        )
    return LabelMap(
        labels=labels,
        affine_lps=affine_lps,
        structures=dict(enumerate(structures, start=1)),
        slice_places=slice_places,
    )


def result_identity(name: str = "seg") -> ResultIdentity:
    """A fixed identity of a result object."""
    return ResultIdentity(
        series_instance_uid=derive_uid("test", name, "series"),
        sop_instance_uid=derive_uid("test", name, "instance"),
        series_number=9001,
        code_version="0.1.0",
        created=datetime(2026, 1, 2, 3, 4, 5),
        models=(
            ModelUse(
                name="l3-tissue",
                version="1.0.0",
                sha256="0123456789abcdef" * 4,
                provider="CPUExecutionProvider",
            ),
        ),
    )


def chosen_series(folder: Path) -> CtSeries:
    """The series of a folder that the shipped rules choose, read."""
    survey = survey_folder(folder)
    chosen = choice_in(survey, load_profile("abdomen")).chosen
    assert chosen is not None
    return load_series(survey.of(chosen.summary.series_uid).paths)


def enhanced_dataset(datasets: Sequence[Dataset]) -> Dataset:
    """The images as one enhanced multi-frame CT (PS3.3 A.38), frames in the order given."""
    first = datasets[0]
    image = Dataset()
    image.update(first)
    image.file_meta = FileMetaDataset()
    image.file_meta.update(first.file_meta)
    image.SOPClassUID = image.file_meta.MediaStorageSOPClassUID = EnhancedCTImageStorage
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.NumberOfFrames = len(datasets)
    image.PixelData = b"".join(dataset.PixelData for dataset in datasets)
    shared = {
        "PlaneOrientationSequence": ("ImageOrientationPatient",),
        "PixelMeasuresSequence": ("PixelSpacing", "SliceThickness"),
        "PixelValueTransformationSequence": ("RescaleIntercept", "RescaleSlope", "RescaleType"),
    }
    image.SharedFunctionalGroupsSequence = [_groups(first, shared)]
    own = {"PlanePositionSequence": ("ImagePositionPatient",)}
    image.PerFrameFunctionalGroupsSequence = [_groups(dataset, own) for dataset in datasets]
    for keyword in [*sum(shared.values(), ()), *sum(own.values(), ()), "SliceLocation"]:
        delattr(image, keyword)
    return image


def _groups(dataset: Dataset, keywords: Mapping[str, Sequence[str]]) -> Dataset:
    groups = Dataset()
    for sequence, names in keywords.items():
        item = Dataset()
        for name in names:
            item.add(dataset[name])
        setattr(groups, sequence, [item])
    return groups

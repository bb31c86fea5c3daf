"""What another program read, compared with what is true: mask centroids in patient space, numbers of the report."""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from inference.dicom.codes import QUANTITY_CODES, UNIT_CODES
from inference.dicom.ct_series import CtSeries
from inference.dicom.sr_groups import BODY_GROUP
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import Measurement, Quantity, Report, Unit
from tests.conformance.other_readers import Centroids, Number

PRINTED_DIGITS = 1e-5
"""Relative; the report prints six digits, and dcmqi reads what is printed."""


def centroid_errors(found: Centroids, expected: Centroids, most_mm: float) -> list[str]:
    """Structures that are missing, made up, or further off than allowed."""
    errors = [f"{structure} is missing" for structure in expected.keys() - found.keys()]
    errors += [f"{structure} is made up" for structure in found.keys() - expected.keys()]
    errors += [
        f"{structure} is {off_mm:.3f} mm off, at most {most_mm:.3f} mm wanted"
        for structure, off_mm in offsets_mm(found, expected).items()
        if not off_mm <= most_mm
    ]
    return sorted(errors)


def offsets_mm(found: Centroids, expected: Centroids) -> dict[Structure, float]:
    """How far each centroid lies from the true one."""
    return {
        structure: float(np.linalg.norm(found[structure] - expected[structure]))
        for structure in found.keys() & expected.keys()
    }


def number_errors(found: Mapping[Number, float], report: Report) -> list[str]:
    """Numbers of the report that a reader does not find, or finds with another value."""
    errors = []
    for name, value in report_numbers(report).items():
        if name not in found:
            errors.append(f"{name.tracking_id} {name.concept} is missing")
        elif not np.isclose(found[name], value, rtol=PRINTED_DIGITS, atol=0):
            errors.append(f"{name.tracking_id} {name.concept} is {found[name]:g}, not {value:g}")
    return errors


def report_numbers(report: Report) -> dict[Number, float]:
    """Every measured number of the report under the name that a reader of the SR sees."""
    measured = list(report.body_composition)
    for organ in report.organs:
        measured += [
            Measurement(quantity=quantity, value=value, unit=unit, structure=organ.structure)
            for quantity, value, unit in (
                (Quantity.VOLUME, organ.volume_ml, Unit.ML),
                (Quantity.MEAN_HU, organ.mean_hu, Unit.HU),
                (Quantity.SD_HU, organ.sd_hu, Unit.HU),
            )
            if value is not None
        ]
    return {
        Number(
            m.structure.value if m.structure else BODY_GROUP,
            QUANTITY_CODES[m.quantity].value,
            UNIT_CODES[m.unit].value,
        ): m.value
        for m in measured
    }


def centroids_by_headers(labels: LabelMap, series: CtSeries) -> Centroids:
    """Of a mask on a series' grid, from each slice's own header: our affine has no part in it."""
    return {
        structure: _mean_position_mm(labels.mask(structure), series)
        for structure in labels.structures.values()
        if labels.mask(structure).any()
    }


def _mean_position_mm(mask: npt.NDArray[np.bool_], series: CtSeries) -> npt.NDArray[np.float64]:
    total, voxels = np.zeros(3), 0
    for plane, header in zip(mask, series.headers, strict=True):
        rows, columns = np.nonzero(plane)
        along_row, along_column = np.array(header.ImageOrientationPatient, float).reshape(2, 3)
        row_mm, column_mm = (float(step) for step in header.PixelSpacing)
        corner = np.array(header.ImagePositionPatient, float)
        # PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1.
        total += len(rows) * corner + columns.sum() * column_mm * along_row
        total += rows.sum() * row_mm * along_column
        voxels += len(rows)
    return total / voxels

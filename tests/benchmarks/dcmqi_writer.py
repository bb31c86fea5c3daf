"""CPU time of dcmqi's itkimage2segimage on the same label map: a program of its own, which reads files and writes one."""

import json
import resource
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.sr.coding import Code

from inference.dicom.codes import STRUCTURE_CODES
from inference.domain.labelmap import LabelMap
from tests.conformance.validators import dcmqi_tool, run_tool
from tests.synthetic_series import save_all


def dcmqi_cpu_s(headers: Sequence[Dataset], labels: LabelMap) -> float:
    """From DICOM images and a label map on disk to a SEG on disk."""
    with TemporaryDirectory(prefix="habitus-dcmqi-") as folder:
        place = Path(folder)
        save_all([_with_pixels(header) for header in headers], place / "ct")
        _write_nrrd(labels, place / "labels.nrrd")
        (place / "segments.json").write_text(json.dumps(_segments(labels)), encoding="utf-8")
        command: list[str | Path] = [
            *(dcmqi_tool("itkimage2segimage"), "--inputImageList", place / "labels.nrrd"),
            *("--inputDICOMDirectory", place / "ct", "--inputMetadata", place / "segments.json"),
            *("--outputDICOM", place / "seg.dcm", "--skip"),
        ]
        before = _children_cpu_s()
        _, report, status = run_tool(command)
        taken_s = _children_cpu_s() - before
        if status or not (place / "seg.dcm").is_file():
            raise RuntimeError(f"itkimage2segimage ended with {status}: {report[-300:]}")
        return taken_s


def _with_pixels(header: Dataset) -> Dataset:
    """It takes no image without them."""
    image = copy(header)
    image.PixelData = bytes(image.Rows * image.Columns * image.BitsAllocated // 8)
    return image


def _children_cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _write_nrrd(labels: LabelMap, path: Path) -> None:
    """Raw, LPS; axes of the file are column, row, slice."""
    steps = labels.affine_lps[:3, :3][:, ::-1].T
    directions = " ".join(f"({','.join(map(str, step))})" for step in steps)
    origin = ",".join(map(str, labels.affine_lps[:3, 3]))
    sizes = " ".join(map(str, labels.labels.shape[::-1]))
    header = [
        *("NRRD0004", "type: uchar", "dimension: 3", "space: left-posterior-superior"),
        *(f"sizes: {sizes}", f"space directions: {directions}", "kinds: domain domain domain"),
        *("encoding: raw", f"space origin: ({origin})", "", ""),
    ]
    path.write_bytes("\n".join(header).encode() + np.ascontiguousarray(labels.labels).tobytes())


def _segments(labels: LabelMap) -> dict[str, Any]:
    """As the schema of dcmqi wants it."""

    attributes = []
    for label, structure in labels.structures.items():
        coded = STRUCTURE_CODES[structure]
        attributes.append(
            {
                "labelID": label,
                "SegmentDescription": structure.value,
                "SegmentAlgorithmType": "AUTOMATIC",
                "SegmentAlgorithmName": "benchmark",
                "SegmentedPropertyCategoryCodeSequence": _code(coded.category),
                "SegmentedPropertyTypeCodeSequence": _code(coded.kind),
                "recommendedDisplayRGBValue": list(coded.rgb),
            }
        )
    return {
        "ContentCreatorName": "benchmark",
        "SeriesDescription": "Segmentation",
        "SeriesNumber": "300",
        "InstanceNumber": "1",
        "segmentAttributes": [attributes],
    }


def _code(code: Code) -> dict[str, str]:
    return {
        "CodeValue": code.value,
        "CodingSchemeDesignator": code.scheme_designator,
        "CodeMeaning": code.meaning,
    }

"""Masks and numbers as software that others wrote reads them: highdicom, dcmqi; all told by their codes."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import highdicom as hd
import nibabel
import numpy as np
import numpy.typing as npt
from pydicom.dataset import Dataset

from inference.dicom.codes import STRUCTURE_CODES
from inference.domain.labelmap import Structure
from tests.conformance.validators import dcmqi_tool, run_tool

Centroids = Mapping[Structure, npt.NDArray[np.float64]]
"""Mean position of a mask's voxels in patient space (LPS, mm)."""

Key = tuple[str, str, str, str]
"""Values of type, its modifier, region and its modifier."""

_RAS_FROM_LPS = np.diag([-1.0, -1.0, 1.0, 1.0])

_STRUCTURE_OF: Mapping[Key, Structure] = {
    code.key: structure for structure, code in STRUCTURE_CODES.items()
}


class ReaderFailed(Exception):
    """A program could not read what we wrote."""


class Number(NamedTuple):
    """One number of a report."""

    tracking_id: str
    concept: str
    unit: str


def highdicom_centroids(path: Path) -> Centroids:
    """From highdicom's own volume of the segmentation."""
    segmentation = hd.seg.segread(path)
    volume = segmentation.get_volume(combine_segments=True, allow_missing_positions=True)
    labels = np.asarray(volume.array)
    return {
        _STRUCTURE_OF[_key_of_item(segment)]: _centroid(
            labels, int(segment.SegmentNumber), volume.affine
        )
        for segment in segmentation.SegmentSequence
    }


def dcmqi_centroids(path: Path, folder: Path) -> Centroids:
    """From the NIfTI files that segimage2itkimage writes."""
    folder.mkdir(parents=True, exist_ok=True)
    _, report, status = run_tool(
        [
            dcmqi_tool("segimage2itkimage"),
            "--inputDICOM",
            path,
            "--outputDirectory",
            folder,
            "--outputType",
            "nii",
            "--mergeSegments",
        ]
    )
    written = folder / "meta.json"
    if status or not written.is_file():
        raise ReaderFailed(f"segimage2itkimage ended with {status}: {report[-200:]}")
    groups = json.loads(written.read_text(encoding="utf-8"))["segmentAttributes"]
    found: dict[Structure, npt.NDArray[np.float64]] = {}
    for number, segments in enumerate(groups, start=1):
        image = nibabel.load(folder / f"{number}.nii.gz")
        labels = np.asarray(image.dataobj)
        affine = _RAS_FROM_LPS @ image.affine
        for segment in segments:
            structure = _STRUCTURE_OF[_key_of_json(segment)]
            found[structure] = _centroid(labels, int(segment["labelID"]), affine)
    return found


def dcmqi_numbers(path: Path, folder: Path) -> dict[Number, float]:
    """Every number that tid1500reader finds in a report."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / "sr.json"
    _, report, status = run_tool(
        [dcmqi_tool("tid1500reader"), "--inputDICOM", path, "--outputMetadata", target]
    )
    if status or not target.is_file():
        raise ReaderFailed(f"tid1500reader ended with {status}: {report[-200:]}")
    groups = json.loads(target.read_text(encoding="utf-8"))["Measurements"]
    return dict(_numbers_of(groups))


def _numbers_of(groups: list[dict[str, Any]]) -> Iterator[tuple[Number, float]]:
    for group in groups:
        for item in group.get("measurementItems", []):
            name = Number(
                group["TrackingIdentifier"],
                item["quantity"]["CodeValue"],
                item["units"]["CodeValue"],
            )
            yield name, float(item["value"])


def _key_of_item(segment: Dataset) -> Key:
    kind = segment.SegmentedPropertyTypeCodeSequence[0]
    modifiers = kind.get("SegmentedPropertyTypeModifierCodeSequence") or []
    regions = segment.get("AnatomicRegionSequence") or []
    sides = [side for item in regions for side in item.get("AnatomicRegionModifierSequence") or []]
    return (
        str(kind.CodeValue),
        "".join(str(item.CodeValue) for item in modifiers),
        "".join(str(item.CodeValue) for item in regions),
        "".join(str(item.CodeValue) for item in sides),
    )


def _key_of_json(segment: Mapping[str, Any]) -> Key:
    def value(keyword: str) -> str:
        return str(segment.get(keyword, {}).get("CodeValue", ""))

    return (
        value("SegmentedPropertyTypeCodeSequence"),
        value("SegmentedPropertyTypeModifierCodeSequence"),
        value("AnatomicRegionSequence"),
        value("AnatomicRegionModifierSequence"),
    )


def _centroid(
    labels: npt.NDArray[np.generic], label: int, affine_lps: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    index = np.argwhere(labels == label)
    if not len(index):
        raise ReaderFailed(f"no voxel of segment {label}")
    mean: npt.NDArray[np.float64] = affine_lps[:3, :3] @ index.mean(axis=0) + affine_lps[:3, 3]
    return mean

"""What OHIF holds of the organs of a synthetic CT of odd geometry, against the truth."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom import Dataset, dcmread

from inference.domain.labelmap import TISSUES, Structure
from inference.domain.seg_encoding import SegEncoding
from tests.conformance.comparison import centroid_errors, offsets_mm
from tests.conformance.geometry_cases import (
    ORGAN_LABELS,
    Geometry,
    Truth,
    load_geometries,
    write_case,
)
from tests.conformance.other_readers import Centroids
from tests.conformance.truth_analysis import true_analysis, write_objects
from tests.synthetic_series import chosen_series
from tests.viewer.kept_demo import KeptDemo
from tests.viewer.ohif_page import OhifPage
from viewer.links import deep_link

FIRST_SEED = 500
"""Training uses patients that are painted another way, so any will do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A CT of that geometry at the PACS, with the segmentation made of its true masks."""

    geometry: Geometry
    truth: Truth
    organs: Dataset

    @property
    def centroids_mm(self) -> Centroids:
        """Of the true masks."""
        return {s: c for s, c in self.truth.centroids_mm.items() if s not in TISSUES}

    @property
    def voxels(self) -> dict[Structure, int]:
        """Of the true masks."""
        planes = np.stack(list(self.truth.organs_of_slice.values()))
        counts = {ORGAN_LABELS[n]: int((planes == n).sum()) for n in ORGAN_LABELS}
        return {structure: count for structure, count in counts.items() if count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """By OHIF."""

    centroids_mm: Centroids
    voxels: dict[Structure, int]


def shown_encoding(geometry: Geometry) -> SegEncoding:
    """BINARY where its frames fill whole bytes; of others Orthanc 1.10 gives OHIF no single frame."""
    is_whole = geometry.matrix[0] * geometry.matrix[1] % 8 == 0
    return SegEncoding.BINARY if is_whole else SegEncoding.LABELMAP


def store(geometry: Geometry, demo: KeptDemo, folder: Path) -> Stored:
    """Paint the CT, write the SEG of its true masks as the product does, give both to the PACS."""
    names = [one.name for one in load_geometries()]
    truth = write_case(geometry, folder / "ct", seed=FIRST_SEED + names.index(geometry.name))
    series = chosen_series(folder / "ct")
    analysis = true_analysis(series, truth)
    files = write_objects(series, analysis, folder / "results", (shown_encoding(geometry),))
    organs = files["seg-organs"]
    for path in [*sorted((folder / "ct").glob("*.dcm")), organs]:
        demo.give(path.read_bytes())
    return Stored(geometry=geometry, truth=truth, organs=dcmread(organs))


def held(stored: Stored, demo: KeptDemo, ohif: OhifPage) -> Held:
    """Open the SEG by its link and ask OHIF, once it has taken in every segment."""
    organs = stored.organs
    ohif.open(deep_link(demo.ohif, organs.StudyInstanceUID, organs.SeriesInstanceUID))
    ohif.wait_for_text(str(organs.SegmentSequence[-1].SegmentLabel))
    count = len(stored.voxels)
    ohif.wait_until(lambda: len(ohif.segments()) >= count, f"{count} segments")
    names = {int(s.SegmentNumber): Structure(s.TrackingID) for s in organs.SegmentSequence}
    segments = {names[number]: segment for number, segment in ohif.segments().items()}
    return Held(
        centroids_mm={s: np.asarray(one.centroid_mm) for s, one in segments.items()},
        voxels={s: one.voxels for s, one in segments.items()},
    )


def errors(found: Held, stored: Stored) -> list[str]:
    """Organs that are elsewhere by more than half a voxel, or have another number of voxels."""
    wrong = centroid_errors(found.centroids_mm, stored.centroids_mm, stored.geometry.half_voxel_mm)
    for structure, voxels in stored.voxels.items():
        if found.voxels.get(structure, 0) != voxels:
            wrong.append(f"{structure} has {found.voxels.get(structure, 0)} voxels, not {voxels}")
    return wrong


def furthest_mm(found: Held, stored: Stored) -> float:
    """The largest offset of a centroid."""
    return max(offsets_mm(found.centroids_mm, stored.centroids_mm).values())

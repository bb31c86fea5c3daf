"""A segmentation written by highdicom alone: the reference of our faster writer."""

from inference.dicom.ct_series import CtSeries
from inference.dicom.identity import ResultIdentity
from inference.dicom.quiet import quietly
from inference.dicom.source_images import part10_bytes
from inference.dicom.write_seg import highdicom_seg, seg_content
from inference.domain.labelmap import LabelMap
from inference.domain.seg_encoding import SegEncoding


@quietly()
def reference_seg(
    labels: LabelMap,
    series: CtSeries,
    identity: ResultIdentity,
    encoding: SegEncoding = SegEncoding.BINARY,
) -> bytes:
    """The file, in Explicit VR Little Endian."""
    return part10_bytes(highdicom_seg(seg_content(labels, series, identity), encoding))

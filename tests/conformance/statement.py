"""The tables of docs/dicom-conformance.md that the code itself answers: `python -m tests.conformance.statement` renews them."""

import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import numpy as np
from pydicom import dcmread
from pydicom._uid_dict import UID_dictionary
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.coding import Code
from pydicom.uid import UID, AllTransferSyntaxes

from inference.dicom import codes
from inference.dicom.ct_series import CtSeries
from inference.dicom.pixel_decoding import _PLUGINS, is_lossy
from inference.dicom.read_series import load_series
from inference.dicom.source_images import _CARRIED
from inference.dicom.suitability import unsuitable_because
from inference.dicom.write_page import encode_page
from inference.dicom.write_seg import encode_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.labelmap import LISTED, TISSUES, Structure
from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.orthanc_config import OrthancOptions, Peer, configuration_of
from tests.synthetic_series import result_identity, save_all, small_datasets, small_labels
from tests.unit.inference.dicom.full_report import full_report

STATEMENT_PATH = Path(__file__).parents[2] / "docs" / "dicom-conformance.md"

Rows = list[list[str]]


def markdown(head: list[str], rows: Rows) -> str:
    """A table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def sop_classes_read() -> str:
    """Every standard storage class whose images the reader takes."""
    rows = []
    for uid, (name, kind, *_rest) in UID_dictionary.items():
        header = Dataset()
        header.Modality, header.SOPClassUID = "CT", uid
        header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        is_image = kind == "SOP Class" and "Image Storage" in name
        if is_image and unsuitable_because(header) is None:
            rows.append([name, f"`{uid}`"])
    return markdown(["SOP class", "UID"], rows)


def transfer_syntaxes_read() -> str:
    """Every transfer syntax whose pixels the reader decodes, and what it says of loss."""
    rows = []
    for syntax in AllTransferSyntaxes:
        if syntax.is_encapsulated and not syntax.is_deflated and syntax not in _PLUGINS:
            continue
        rows.append([syntax.name, f"`{syntax}`", _PLUGINS.get(syntax, "native"), _loss(syntax)])
    return markdown(["transfer syntax", "UID", "decoder", "loss"], rows)


def _loss(syntax: UID) -> str:
    header = Dataset()
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = syntax
    is_lossy_unless_said = is_lossy(header)
    header.LossyImageCompression = "00"
    if is_lossy(header):
        return "always: flagged"
    return "flagged unless (0028,2110) is 00" if is_lossy_unless_said else "–"


def objects_written() -> str:
    """What is created, from objects that were."""
    rows = []
    for what, encoded in written_objects().items():
        dataset = dcmread(BytesIO(encoded))
        sop_class, syntax = UID(dataset.SOPClassUID), dataset.file_meta.TransferSyntaxUID
        name = sop_class.name if sop_class.name != sop_class else "Label Map Segmentation Storage"
        rows.append([what, name, f"`{sop_class}`", dataset.Modality, syntax.name])
    return markdown(["object", "SOP class", "UID", "modality", "transfer syntax"], rows)


@cache
def written_objects() -> dict[str, bytes]:
    """One small object of every kind."""
    series = small_series()
    labels = small_labels(series.volume.affine_lps, series.volume.shape, TISSUES)
    objects = {
        f"segmentation, `{encoding.value}`": encode_seg(
            labels, series, result_identity(encoding.value), encoding
        )
        for encoding in SegEncoding
    }
    reference = dcmread(BytesIO(next(iter(objects.values()))), stop_before_pixels=True)
    sr = encode_sr(full_report(), series, [reference], result_identity("sr"))
    picture = np.zeros((16, 24, 3), np.uint8)
    page = encode_page(picture, series, 5, result_identity("page"))
    return {**objects, "structured report": sr, "picture page": page}


def small_series() -> CtSeries:
    """Twelve slices, read from files."""
    with TemporaryDirectory(prefix="statement-") as folder:
        return load_series(save_all(small_datasets(), Path(folder)))


def association_acceptor(accepted: Mapping[str, Sequence[UID]]) -> str:
    """What a running Orthanc let in; classes that are treated alike share a row."""
    classes: dict[tuple[UID, ...], list[str]] = {}
    for name, syntaxes in accepted.items():
        classes.setdefault(tuple(syntaxes), []).append(name)
    rows = [
        [", ".join(names), ", ".join(syntax.name for syntax in syntaxes) or "not accepted"]
        for syntaxes, names in classes.items()
    ]
    return markdown(["SOP classes", "transfer syntaxes"], rows)


def attributes_repeated() -> str:
    """What a result repeats of its patient and study."""
    rows = []
    for keyword, kind in _CARRIED.items():
        tag = f"{tag_for_keyword(keyword):08X}"
        rows.append([keyword, f"({tag[:4]},{tag[4:]})", kind])
    return markdown(["attribute", "tag", "VR"], rows)


def association_defaults() -> str:
    """Orthanc's configuration as the node writes it, with the default options."""
    options = OrthancOptions(
        storage_folder=Path("storage"),
        settings_path=Path("habitus.toml"),
        node_python=Path("python"),
        peers=(Peer(name="pacs", ae_title="PACS", host="192.0.2.1", port=104, may_store=True),),
    )
    configuration = configuration_of(options, "password")
    named = [
        key
        for key in configuration
        if key.startswith("Dicom") and key not in ("DicomModalities", "DicomWeb")
    ]
    named += ["UnknownSopClassAccepted", "OverwriteInstances"]
    rows = [[f"`{key}`", f"`{json.dumps(configuration[key])}`"] for key in named]
    return markdown(["setting of Orthanc", "value"], rows)


def structures() -> str:
    """Segments of what the node knows rules for: label, category, type, modifier, region, colour."""
    return _segments(Structure)


def listed_structures() -> str:
    """Segments of what only imported networks label."""
    return _segments(LISTED)


def _segments(of: Iterable[Structure]) -> str:
    rows = []
    for structure in of:
        code = codes.STRUCTURE_CODES[structure]
        modifier = _shown(code.modifier) if code.modifier else "–"
        region = _shown(code.region) if code.region else "–"
        if code.region_modifier:
            region += f", {_shown(code.region_modifier)}"
        colour = "{} {} {}".format(*code.rgb)
        rows.append(
            [
                f"`{structure.value}`",
                code.label,
                _shown(code.category),
                _shown(code.kind),
                modifier,
                region,
                colour,
            ]
        )
    head = ["tracking ID", "label", "category", "type", "modifier", "region", "RGB"]
    return markdown(head, rows)


def private_codes() -> str:
    """Every code of our own scheme."""
    rows = sorted(
        [f"`{c.value}`", c.meaning]
        for c in _all_codes()
        if c.scheme_designator == codes.PRIVATE_SCHEME
    )
    return markdown(["code value", "code meaning"], rows)


def standard_codes() -> str:
    """Every code of a standard scheme, but for those of segments alone."""
    of_segments = set(_codes_in(codes.STRUCTURE_CODES)) - {codes.L3_VERTEBRA}
    found = {c for c in _all_codes() if c.scheme_designator != codes.PRIVATE_SCHEME} - of_segments
    rows = sorted([c.scheme_designator, f"`{c.value}`", c.meaning] for c in found)
    return markdown(["scheme", "code value", "code meaning"], rows)


def _shown(code: Code) -> str:
    return f"({code.value}, {code.scheme_designator}, {code.meaning})"


def _all_codes() -> set[Code]:
    return {code for value in vars(codes).values() for code in _codes_in(value)}


def _codes_in(value: Any) -> Iterator[Code]:
    if isinstance(value, Code):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _codes_in(item)
    elif isinstance(value, codes.StructureCode):
        parts = (value.kind, value.category, value.modifier, value.region, value.region_modifier)
        for part in parts:
            yield from _codes_in(part)


TABLES: Mapping[str, Callable[[], str]] = MappingProxyType(
    {
        "sop-classes-read": sop_classes_read,
        "transfer-syntaxes-read": transfer_syntaxes_read,
        "objects-written": objects_written,
        "attributes-repeated": attributes_repeated,
        "association-defaults": association_defaults,
        "structures": structures,
        "listed-structures": listed_structures,
        "private-codes": private_codes,
        "standard-codes": standard_codes,
    }
)
"""By the name between the markers of the document."""


def renewed(text: str) -> str:
    """The document with every marked table as the code has it now."""
    for name, table in TABLES.items():
        marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marked.search(text):
            raise ValueError(f"no table {name} in the statement")
        text = marked.sub(partial(_replaced, content=table()), text)
    return text


def _replaced(match: re.Match[str], *, content: str) -> str:
    return f"{match[1]}{content}\n{match[2]}"


if __name__ == "__main__":
    STATEMENT_PATH.write_text(renewed(STATEMENT_PATH.read_text(encoding="utf-8")), encoding="utf-8")
    sys.stdout.write(f"{len(TABLES)} tables renewed\n")

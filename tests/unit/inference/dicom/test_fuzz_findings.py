"""What `make fuzz` found once, each as the smallest file that shows it."""

import zlib
from dataclasses import replace
from pathlib import Path

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEGLosslessSV1, RLELossless

from inference.dicom.codestream_size import codestream_size
from inference.dicom.header_values import numbers, text
from inference.dicom.patient import patient_from_header
from inference.dicom.read_file import MAX_INFLATED_BYTES
from inference.dicom.read_series import load_series
from inference.dicom.series_summary import summarise
from inference.dicom.source_images import carry_patient_and_study
from inference.dicom.undecodable import carry_kept_texts, texts_to_keep
from inference.domain.errors import UnreadableInput
from tests.synthetic_series import save_all, small_datasets


def _compressed() -> list[Dataset]:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.compress(RLELossless, generate_instance_uid=False)
    return datasets


def test_more_run_length_pixels_than_rows_are_unreadable(tmp_path: Path) -> None:
    # The decoder is written in Rust and panics; a panic is no Exception and went past every except clause.
    datasets = _compressed()
    for dataset in datasets:
        dataset.Rows -= 1

    with pytest.raises(UnreadableInput, match="decoded"):
        load_series(save_all(datasets, tmp_path))


@pytest.mark.parametrize("meta_padding", [0, 8000])
def test_a_deflated_file_that_swells_is_refused_before_it_fills_the_memory(
    meta_padding: int, tmp_path: Path
) -> None:
    datasets = small_datasets()
    datasets[5].file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    datasets[5].file_meta.FileMetaInformationVersion = b"\0\1" + bytes(meta_padding)
    paths = save_all(datasets, tmp_path)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    swollen = packer.compress(bytes(MAX_INFLATED_BYTES + (1 << 20))) + packer.flush()
    meta_length = int.from_bytes(paths[5].read_bytes()[140:144], "little") + 144
    paths[5].write_bytes(paths[5].read_bytes()[:meta_length] + swollen)

    with pytest.raises(UnreadableInput, match="swells"):
        load_series(paths)


def test_items_where_a_text_belongs_are_no_text() -> None:
    header = Dataset()
    header.add_new("PatientName", "SQ", [Dataset()])

    assert text(header, "PatientName") == ""


def test_many_items_where_a_number_belongs_are_not_even_parsed() -> None:
    # Ten slices of 20,000 items each took minutes.
    header = Dataset()
    tag = tag_for_keyword("ImagePositionPatient")
    assert tag is not None
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 20_000
    header._dict[BaseTag(tag)] = RawDataElement(
        BaseTag(tag), "SQ", len(items), items, 0, False, True, True
    )

    assert numbers(header, "ImagePositionPatient") is None
    assert isinstance(header.get_item("ImagePositionPatient"), RawDataElement)


@pytest.mark.parametrize(
    "tables",
    [b"", bytes(12), b"\xff\xfe\x00\x04ab"],
    ids=["no table", "zeros in its place", "a comment in its place"],
)
def test_a_jpeg_without_its_huffman_table_reaches_no_decoder(tables: bytes) -> None:
    # GDCM ends its process with an uncaught C++ exception.
    start = b"\xff\xd8\xff\xc3\x00\x0b\x10\x00\x20\x00\x20\x01\x01\x11\x00"
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x00\x00" + bytes(20)
    table = b"\xff\xc4\x00\x04ab"

    assert codestream_size(start + table + scan, JPEGLosslessSV1) == (32, 32)
    with pytest.raises(ValueError, match=r"JPEG|Huffman"):
        codestream_size(start + tables + scan, JPEGLosslessSV1)


def test_frame_groups_that_a_plain_slice_claims_are_not_even_parsed() -> None:
    # Ten slices of 20,000 items each took ten seconds before anything was chosen.
    header = small_datasets()[0]
    tag = BaseTag(tag_for_keyword("PerFrameFunctionalGroupsSequence") or 0)
    items = b"\xfe\xff\x00\xe0\0\0\0\0" * 20_000
    header._dict[tag] = RawDataElement(tag, "SQ", len(items), items, 0, False, True, True)

    summarise([header], ["CT"])

    assert isinstance(header.get_item(tag), RawDataElement)


def test_a_character_set_of_five_hundred_values_is_carried_without_its_repeats() -> None:
    # Writing a report took six seconds: the library goes through all of them for every element.
    header, result = Dataset(), Dataset()
    header.SpecificCharacterSet = ["ISO 2022 IR 149", *["ISO 2022 IR 58"] * 500]

    carry_kept_texts(result, header, {"PatientName": b"\xff\xfe"})

    assert list(result.SpecificCharacterSet) == ["ISO 2022 IR 149", "ISO 2022 IR 58"]


@pytest.mark.parametrize("name", ["IDNA", "ROT13", "UTF_16"])
def test_a_character_set_that_only_python_knows_is_not_carried(name: str) -> None:
    # The library found a codec of that name, which then refused our own words.
    header, result = Dataset(), Dataset()
    header.SpecificCharacterSet = name
    result.SpecificCharacterSet = "ISO_IR 192"

    carry_kept_texts(result, header, {"PatientName": b"\xff\xfe"})

    assert "SpecificCharacterSet" not in result


def test_an_empty_value_of_an_unknown_kind_is_absent() -> None:
    # One flipped bit in a VR: the library raised even where it was asked not to parse.
    header = Dataset()
    for keyword in ("PatientID", "PatientSize"):
        tag = BaseTag(tag_for_keyword(keyword) or 0)
        header._dict[tag] = RawDataElement(tag, "??", 0, None, 0, False, True, True)

    assert texts_to_keep(header) == {}
    assert patient_from_header(header).height_m is None


@pytest.mark.parametrize("size", ["١.٧", "0_1.7", "１.７"])
def test_a_number_that_only_python_reads_is_neither_used_nor_repeated(
    size: str, tmp_path: Path
) -> None:
    # float() takes any script's digits; the library took them in and could not write them.
    datasets = small_datasets()
    for dataset in datasets:
        dataset.add_new("PatientSize", "LO", size)
        dataset.add_new("PatientAge", "LO", "٠٦٤Y")
    series = load_series(save_all(datasets, tmp_path))
    result = Dataset()

    carry_patient_and_study(result, replace(series, headers=tuple(datasets)))

    assert patient_from_header(datasets[0]).height_m is None
    assert "PatientSize" not in result
    assert "PatientAge" not in result

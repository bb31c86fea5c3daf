"""What `make fuzz` found once, each as the smallest file that shows it."""

import zlib
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import DeflatedExplicitVRLittleEndian, RLELossless

from inference.dicom.header_values import text
from inference.dicom.read_file import MAX_INFLATED_BYTES
from inference.dicom.read_series import load_series
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

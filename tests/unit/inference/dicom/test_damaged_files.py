"""Damaged files end in a typed error that quotes nothing of the patient."""

import contextlib
import logging
from pathlib import Path

import pytest
from pydicom.uid import RLELossless

from inference.dicom.quiet import quietly
from inference.dicom.read_series import load_series
from inference.domain.errors import HabitusError, UnreadableInput, UnsupportedGeometry
from tests.synthetic_series import chosen_series, save_all, small_datasets, small_volume

SECRET = "Gildong^Hong"


@pytest.mark.parametrize("kept", [300, 700, 1400, 3000])
def test_a_truncated_file_is_unreadable_wherever_it_ends(kept: int, tmp_path: Path) -> None:
    paths = save_all(small_datasets(), tmp_path)
    paths[6].write_bytes(paths[6].read_bytes()[:kept])

    with pytest.raises(HabitusError) as refusal:
        chosen_series(tmp_path)

    assert isinstance(refusal.value, UnreadableInput | UnsupportedGeometry)


def test_pixels_cut_short_are_unreadable(tmp_path: Path) -> None:
    paths = save_all(small_datasets(), tmp_path)
    paths[6].write_bytes(paths[6].read_bytes()[:-500])

    with pytest.raises(UnreadableInput, match="pixel data"):
        load_series(paths)


def test_broken_coded_pixels_are_unreadable_and_quote_nothing(tmp_path: Path) -> None:
    datasets = small_datasets(patient_name=SECRET)
    for dataset in datasets:
        dataset.compress(RLELossless, generate_instance_uid=False)
    data = bytearray(datasets[6].PixelData)
    data[80:300] = b"\xff" * 220
    datasets[6].PixelData = bytes(data[:310])

    with pytest.raises(UnreadableInput) as refusal:
        load_series(save_all(datasets, tmp_path))

    assert SECRET not in str(refusal.value)
    assert refusal.value.__cause__ is None


def test_an_unknown_transfer_syntax_is_unreadable(tmp_path: Path) -> None:
    paths = save_all(small_datasets(), tmp_path)
    for path in paths:
        path.write_bytes(
            path.read_bytes().replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.9.9.9\0")
        )

    with pytest.raises(UnreadableInput, match="transfer syntax"):
        load_series(paths)


@pytest.mark.parametrize("value", [0x00, 0x5C, 0xFF])
def test_a_wrong_byte_anywhere_in_a_header_ends_in_a_volume_or_a_typed_error(
    value: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    volume = small_volume(shape=(10, 4, 4))
    paths = save_all(small_datasets(volume, patient_name=SECRET), tmp_path)
    intact = [path.read_bytes() for path in paths]
    # A stride that is no multiple of an element's header meets tags, VRs, lengths and values.
    for offset in range(133, len(intact[0]), 29):
        for path, content in zip(paths, intact, strict=True):
            path.write_bytes(content[:offset] + bytes([value]) + content[offset + 1 :])
        with contextlib.suppress(HabitusError):
            chosen_series(tmp_path)
    assert SECRET not in caplog.text


def test_a_damaged_name_is_neither_warned_of_nor_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.add_new("IssuerOfPatientID", "LO", "x")
        dataset["IssuerOfPatientID"]._value = SECRET * 20
        dataset.add_new("PatientWeight", "LO", SECRET)
    caplog.set_level(logging.DEBUG)

    series = load_series(save_all(datasets, tmp_path))

    assert series.patient.weight_kg is None
    assert SECRET not in caplog.text


def test_the_libraries_speak_again_afterwards() -> None:
    levels = [logging.getLogger(name).level for name in ("pydicom", "highdicom")]

    with quietly():
        was_silent = not logging.getLogger("highdicom.seg.sop").isEnabledFor(logging.CRITICAL)

    assert was_silent
    assert [logging.getLogger(name).level for name in ("pydicom", "highdicom")] == levels

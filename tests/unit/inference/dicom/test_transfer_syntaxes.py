"""Whatever the transfer syntax, a slice has the same Hounsfield units; what swells past a slice is refused unread."""

import base64
import struct
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)

from inference.dicom import pixel_decoding
from inference.dicom.codestream_size import codestream_size
from inference.dicom.frame_pixels import FramePixels
from inference.dicom.hounsfield import hounsfield, pixel_format
from inference.dicom.read_file import read_header
from inference.dicom.read_series import load_series
from inference.dicom.source_frames import frames_of
from inference.domain.errors import UnreadableInput, UnsupportedGeometry
from tests.synthetic_series import save_all, small_datasets, small_volume

# 100 + 37 · row + 5 · column, 12 × 10 unsigned 16 bit, coded by OpenJPH 0.26 (imagecodecs 2026.3.6, htj2k_encode).
HTJ2K_CODESTREAM = base64.b64decode(
    "/0//UQApQAAAAAAKAAAADAAAAAAAAAAAAAAACgAAAAwAAAAAAAAAAAABDwEB/1AACAACAAAACv9SAAwAAgABAAUEBEAB"
    "/1wAEyCIkJCQkJCQkJCQkJCQiIiI/2QAFwABT3BlbkpQSCBWZXIgMC4yNi4zLv+QAAoAAAAAAFwAAf+TwAAm2f0FB3QA"
    "AMAAEsAAEwDQAId0AHj+Agd0AKAACUBz/jIzAKAACpCkpKTAIQH+tgDAACpgABWACCDw2v1+S3YASARBkPQERhCB7LgA"
    "/9k="
)


def recoded(syntax: UID) -> list[Dataset]:
    datasets = small_datasets()
    for dataset in datasets:
        if syntax.is_encapsulated:
            dataset.compress(syntax, generate_instance_uid=False)
        elif syntax == ExplicitVRBigEndian:
            dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
        dataset.file_meta.TransferSyntaxUID = syntax
    return datasets


@pytest.mark.parametrize(
    "syntax",
    [
        ImplicitVRLittleEndian,
        ExplicitVRLittleEndian,
        ExplicitVRBigEndian,
        DeflatedExplicitVRLittleEndian,
        RLELossless,
        JPEGLSLossless,
        JPEG2000Lossless,
    ],
    ids=lambda syntax: syntax.name,
)
def test_every_lossless_transfer_syntax_gives_the_same_units(syntax: UID, tmp_path: Path) -> None:
    series = load_series(save_all(recoded(syntax), tmp_path))

    assert np.array_equal(series.volume.hu, small_volume().hu)
    assert series.flags == ()


def test_near_lossless_slices_are_read_and_flagged(tmp_path: Path) -> None:
    datasets = small_datasets()
    for dataset in datasets:
        dataset.compress(JPEGLSNearLossless, jls_error=2, generate_instance_uid=False)

    series = load_series(save_all(datasets, tmp_path))

    assert np.abs(series.volume.hu - small_volume().hu).max() in (1, 2)
    assert "12 of 12 slices were compressed with loss" in series.flags[0]


def high_throughput_image() -> Dataset:
    image = small_datasets()[0]
    image.Rows, image.Columns = 12, 10
    image.BitsStored, image.HighBit = 16, 15
    image.PixelData = encapsulate([HTJ2K_CODESTREAM])
    image["PixelData"].is_undefined_length = True
    image.file_meta.TransferSyntaxUID = HTJ2KLossless
    return image


def test_high_throughput_jpeg_2000_is_decoded() -> None:
    image = high_throughput_image()
    rows, columns = np.indices((12, 10))

    assert np.array_equal(
        hounsfield(image, pixel_format(image)), 100 + 37 * rows + 5 * columns - 1024
    )


def test_a_coding_without_its_decoder_is_a_stated_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pixel_decoding, "_PLUGINS", {})
    image = high_throughput_image()

    with pytest.raises(UnsupportedGeometry, match="High-Throughput") as refusal:
        hounsfield(image, pixel_format(image))

    assert refusal.value.reason == "no-decoder"


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGLSLossless], ids=lambda s: s.name)
def test_a_codestream_of_another_size_reaches_no_decoder(
    syntax: UID, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    datasets = recoded(syntax)
    if syntax == JPEG2000Lossless:
        honest, huge = struct.pack(">2I", 48, 64), struct.pack(">2I", 60000, 60000)
    else:
        honest, huge = struct.pack(">2H", 64, 48), struct.pack(">2H", 65000, 65000)
    assert honest in datasets[6].PixelData[:200]
    datasets[6].PixelData = datasets[6].PixelData.replace(honest, huge, 1)
    asked: list[UID] = []
    monkeypatch.setattr(pixel_decoding, "get_decoder", asked.append)
    path = save_all(datasets, tmp_path)[6]
    frame = frames_of(read_header(path))[0]

    with pytest.raises(UnreadableInput, match="coded pixels of shape"):
        FramePixels().hounsfield(frame, pixel_format(frame.header))

    assert asked == []


@pytest.mark.parametrize(
    ("frame", "syntax"),
    [
        (b"", JPEGLSLossless),
        (b"\xff\xd8" + b"\0" * 40, JPEGLSLossless),
        (b"\xff" * 40, JPEG2000Lossless),
    ],
)
def test_what_is_no_codestream_announces_no_size(frame: bytes, syntax: UID) -> None:
    with pytest.raises(ValueError, match="no JPEG"):
        codestream_size(frame, syntax)

"""Intact CT series in every coding, made in code: what the mutations start from."""

import os
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as ItemSequence
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLSLossless,
    RLELossless,
)

from inference.dicom.identity import derive_uid
from inference.domain.volume import Volume, affine_from_axes
from tests.fakes import dicom_bytes
from tests.synthetic_series import AXIAL, small_datasets

SLICES = 10
"""The fewest that the reader takes."""
SIDE = 32
"""JPEG 2000 with its usual five levels takes no smaller picture."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseSeries:
    """An intact series; `files` are in the order of the slices."""

    name: str
    files: tuple[bytes, ...]


def _plain(seed: int) -> list[Dataset]:
    """A block of fat with muscle in the middle, in air; the seed makes the UIDs."""
    hu = np.full((SLICES, SIDE, SIDE), -1000, np.int16)
    hu[:, 4:-4, 4:-4] = -100
    hu[:, 8:-8, 7:-7] = 50
    hu[:, 12:18, 9:15] = 120
    texture = np.random.default_rng(1).integers(-15, 15, hu.shape, np.int16)
    axes = affine_from_axes((-90.0, -90.0, 0.0), AXIAL, (5.0, 6.0, 6.0))
    return small_datasets(Volume(hu=hu + texture, affine_lps=axes), seed=seed)


def _in_syntax(syntax: UID, seed: int) -> list[Dataset]:
    datasets = _plain(seed)
    for dataset in datasets:
        dataset.file_meta.TransferSyntaxUID = syntax
    return datasets


def _big_endian(seed: int) -> list[Dataset]:
    datasets = _in_syntax(ExplicitVRBigEndian, seed)
    for dataset in datasets:
        dataset.PixelData = np.frombuffer(dataset.PixelData, "<u2").astype(">u2").tobytes()
    return datasets


def _compressed(syntax: UID, seed: int) -> list[Dataset]:
    datasets = _plain(seed)
    for dataset in datasets:
        dataset.compress(syntax, generate_instance_uid=False)
    return datasets


def _signed_and_padded(seed: int) -> list[Dataset]:
    datasets = _plain(seed)
    for dataset in datasets:
        hu = np.frombuffer(dataset.PixelData, "<u2").astype(np.int32) - 1024
        hu[:SIDE] = -2000
        dataset.PixelRepresentation, dataset.BitsStored, dataset.HighBit = 1, 16, 15
        dataset.RescaleIntercept = "0"
        dataset.add_new("PixelPaddingValue", "SS", -2000)
        dataset.PixelData = hu.astype("<i2").tobytes()
    return datasets


def _korean_and_nested(seed: int) -> list[Dataset]:
    """Names in ISO 2022 IR 149, sequences of both kinds of length, a private block."""
    datasets = _plain(seed)
    for dataset in datasets:
        dataset.SpecificCharacterSet = ["", "ISO 2022 IR 149"]
        dataset.PatientName = "Hong^Gildong=洪^吉洞=홍^길동"
        dataset.StudyDescription = "복부 CT"
        for keyword, is_undefined in (
            ("ReferencedImageSequence", True),
            ("CTDIPhantomTypeCodeSequence", False),
        ):
            item = Dataset()
            item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = "113691", "DCM", "복부"
            outer = Dataset()
            outer.PurposeOfReferenceCodeSequence = ItemSequence([item])
            setattr(dataset, keyword, ItemSequence([outer]))
            dataset[keyword].is_undefined_length = is_undefined
        block = dataset.private_block(0x0029, "VENDOR HEADER", create=True)
        block.add_new(0x10, "OB", bytes(range(200)))
        block.add_new(0x11, "LO", "홍길동")
    return datasets


def _eight_bits(seed: int) -> list[Dataset]:
    datasets = _plain(seed)
    for dataset in datasets:
        dataset.BitsAllocated = dataset.BitsStored = 8
        dataset.HighBit = 7
        dataset.RescaleIntercept = "-128"
        dataset.PixelData = bytes(range(256)) * (SIDE * SIDE // 256)
    return datasets


_MADE: dict[str, Callable[[int], list[Dataset]]] = {
    "explicit": _plain,
    "implicit": lambda seed: _in_syntax(ImplicitVRLittleEndian, seed),
    "big-endian": _big_endian,
    "deflated": lambda seed: _in_syntax(DeflatedExplicitVRLittleEndian, seed),
    "rle": lambda seed: _compressed(RLELossless, seed),
    "jpeg-ls": lambda seed: _compressed(JPEGLSLossless, seed),
    "jpeg-2000": lambda seed: _compressed(JPEG2000Lossless, seed),
    "signed-padded": _signed_and_padded,
    "korean-nested": _korean_and_nested,
    "eight-bits": _eight_bits,
}


MADE_NAMES = tuple(_MADE)


def made_series(name: str, seed: int) -> BaseSeries:
    """One of the codings made by Python, as a study of its own."""
    return BaseSeries(name=name, files=tuple(map(dicom_bytes, _MADE[name](seed))))


def base_series() -> list[BaseSeries]:
    """Ten codings made by Python, JPEG lossless where DCMTK is there, real codings where the user names some."""
    made = [made_series(name, seed=0) for name in MADE_NAMES]
    return [*made, *_jpeg_lossless(), *_real_codings()]


def _jpeg_lossless() -> Iterator[BaseSeries]:
    with TemporaryDirectory() as folder:
        plain, coded = Path(folder) / "plain.dcm", Path(folder) / "coded.dcm"
        files = []
        for dataset in _plain(0):
            plain.write_bytes(dicom_bytes(dataset))
            try:
                # +un: the series' UIDs stay.
                subprocess.run(["dcmcjpeg", "+un", plain, coded], check=True, capture_output=True)
            except (OSError, subprocess.CalledProcessError):
                return
            files.append(coded.read_bytes())
    yield BaseSeries(name="jpeg-lossless", files=tuple(files))


def _real_codings() -> Iterator[BaseSeries]:
    """Each real coded slice as a series of ten, one above the other (folder by HABITUS_REAL_CT)."""
    folder = Path(os.environ.get("HABITUS_REAL_CT", "")) / "real-ct" / "codecs_wg04_ct1"
    if "HABITUS_REAL_CT" not in os.environ or not folder.is_dir():
        return
    for path in sorted(folder.iterdir()):
        yield BaseSeries(name=f"real-{path.name.lower()}", files=tuple(_stacked(path)))


def _stacked(path: Path) -> Sequence[bytes]:
    files = []
    for number in range(SLICES):
        dataset = dcmread(path)
        x, y, z = (float(mm) for mm in dataset.ImagePositionPatient)
        dataset.ImagePositionPatient = [x, y, z + 5 * number]
        dataset.SOPInstanceUID = derive_uid(path.name, str(number))
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
        files.append(dicom_bytes(dataset))
    return files

"""CT images in which every text of the DICOM dictionary that takes one is a canary."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BytesIO

from pydicom import dcmread
from pydicom._dicom_dict import DicomDictionary, RepeatersDictionary
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.tag import Tag
from pydicom.uid import ExplicitVRLittleEndian

STRUCTURE = frozenset(
    {
        *("SpecificCharacterSet", "SOPClassUID", "Modality", "InstanceNumber", "ImageType"),
        *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
        *("SpacingBetweenSlices", "GantryDetectorTilt", "PhotometricInterpretation"),
        *("RescaleIntercept", "RescaleSlope", "RescaleType", "NumberOfFrames", "ConcatenationUID"),
        *("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"),
        *("ModalityLUTSequence", "PixelPresentation", "VolumetricProperties"),
    }
)
"""What makes an image a slice of a CT: codes and numbers that a canary in their place would only have refused."""

UIDS_OF_AN_IMAGE = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
PRIVATE_GROUP = 0x0099
_PRIVATE_VRS = ("LO", "PN", "UT", "ST", "DA", "DS", "UI", "SH")
_IN_SEQUENCES = (
    *("PersonName", "CodeMeaning", "CodeValue", "TextValue", "Date", "Time", "DateTime"),
    *("NumericValue", "UID", "RetrieveURI"),
)
NESTED = 2
"""Sequences within sequences: so many levels."""
_INNERMOST = ("PersonName", "TextValue", "DateTime")
_FIRST_DAY = date(1000, 1, 1)
_PATTERNS = (
    re.compile(r"ZQ\d{5}XK", re.IGNORECASE),
    re.compile(r"2\.25\.1917\d{5}"),
    re.compile(r"(?<![0-9a-fA-F])1917\d{5}(?![0-9a-fA-F])"),
    re.compile(r"(?<![0-9a-fA-F])1[0-9]{3}-?[01]\d-?[0-3]\d(?![0-9a-fA-F])"),
    re.compile(r"(?<!\d)\d{6}\.917\d{3}(?!\d)"),
    re.compile(r"(?<!\d)1\d{13}\.917\d{3}(?!\d)"),
    re.compile(r"(?<![0-9A-Za-z])9[1-9]\dW(?![0-9A-Za-z])"),
)


@dataclass(slots=True)
class Canaries:
    """Which text stands where."""

    places: dict[str, str] = field(default_factory=dict)
    """What a search finds of a canary → the path of keywords where it stands."""

    def text(self, vr: str, place: str) -> str:
        """A value of its own for a place."""
        number = len(self.places)
        value, found = _value(vr, number)
        assert found not in self.places
        self.places[found] = place
        return value

    def found_in(self, text: str) -> set[str]:
        """The places of all canaries in a text."""
        hits = {
            match.group().upper().replace("-", "")
            for pattern in _PATTERNS
            for match in pattern.finditer(text)
        }
        return {self.places[hit] for hit in hits if hit in self.places}

    def header(self) -> Dataset:
        """One in every attribute that takes a text, private ones and those within sequences included."""
        header = Dataset()
        for tag, vr, keyword in _dictionary():
            if keyword in STRUCTURE or keyword in UIDS_OF_AN_IMAGE:
                continue
            if vr == "SQ":
                header.add_new(tag, "SQ", [self._item(keyword, NESTED)])
            else:
                header.add_new(tag, vr, self.text(vr, keyword))
        # A fourth value says nothing to who looks for the first three (PS3.3 C.8.2.1.1.1).
        header.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL", self.text("CS", "ImageType")]
        self._fill_private(header)
        return _as_read(header)

    def put_into(self, images: Sequence[Dataset], header: Dataset) -> None:
        """Make the images of one series tell nothing else, with UIDs of their own, which are canaries as well."""
        study, series = (self.text("UI", keyword) for keyword in UIDS_OF_AN_IMAGE[:2])
        plain = Dataset()
        plain.update({tag: each for tag, each in header.items() if each.VR != "SQ"})
        for number, image in enumerate(images):
            # A node asks for the headers of all slices; sequences in each would only take time.
            image.update(plain if number else header)
            image.StudyInstanceUID, image.SeriesInstanceUID = study, series
            image.SOPInstanceUID = self.text("UI", UIDS_OF_AN_IMAGE[2])
            image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID

    def _item(self, place: str, depth: int) -> Dataset:
        item = Dataset()
        for keyword in _IN_SEQUENCES if depth > 1 else _INNERMOST:
            vr = DicomDictionary[Tag(keyword)][0]
            setattr(item, keyword, self.text(vr, f"{place}.{keyword}"))
        if depth > 1:
            item.ContentSequence = [self._item(f"{place}.ContentSequence", depth - 1)]
        return item

    def _fill_private(self, image: Dataset) -> None:
        creator = self.text("LO", "private creator")
        block = image.private_block(PRIVATE_GROUP, creator, create=True)
        for offset, vr in enumerate(_PRIVATE_VRS):
            block.add_new(offset, vr, self.text(vr, f"private {vr}"))
        block.add_new(len(_PRIVATE_VRS), "SQ", [self._item("private SQ", NESTED)])


def _as_read(header: Dataset) -> Dataset:
    """The same, with values as they stand in a file: they are written many times, and made into text once."""
    header.file_meta = FileMetaDataset()
    header.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    with DicomBytesIO() as file:
        header.save_as(file, enforce_file_format=False)
        return dcmread(BytesIO(file.getvalue()), force=True)


def _value(vr: str, number: int) -> tuple[str, str]:
    """The text, and the part of it that a search looks for."""
    word = f"ZQ{number:05d}XK"
    day = (_FIRST_DAY + timedelta(days=number)).isoformat().replace("-", "")
    minutes, second = divmod(number, 60)
    moment = f"{minutes // 60:02d}{minutes % 60:02d}{second:02d}.917{number % 1000:03d}"
    match vr:
        case "PN":
            return f"{word}^Melchior", word
        case "UR":
            return f"https://{word.lower()}.example/", word
        case "DA":
            return day, day
        case "TM":
            return moment, moment
        case "DT":
            return day + moment, day + moment
        case "AS":
            return f"9{10 + number % 90}W", f"9{10 + number % 90}W"
        case "IS":
            return f"1917{number:05d}", f"1917{number:05d}"
        case "DS":
            return f"1.1917{number:05d}", f"1917{number:05d}"
        case "UI":
            uid = f"2.25.1917{number:05d}"
            return f"{uid}0000000019170001917", uid
        case _:
            return word, word


TEXT_VRS = frozenset(
    {
        *("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT"),
        *("PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"),
    }
)


def _dictionary() -> Iterator[tuple[int, str, str]]:
    """Every attribute outside the file's own groups whose value is a text, or a sequence: PS3.6, retired ones too."""
    for tag, (vr, *_) in sorted(DicomDictionary.items()):
        if tag >> 16 > 0x0004 and vr in TEXT_VRS | {"SQ"} and keyword_for_tag(tag):
            yield tag, vr, keyword_for_tag(tag)
    for pattern, (vr, *_, keyword) in sorted(RepeatersDictionary.items()):
        if pattern[:2] in ("50", "60") and vr in TEXT_VRS and keyword:
            yield int(pattern.replace("x", "0"), 16), vr, keyword

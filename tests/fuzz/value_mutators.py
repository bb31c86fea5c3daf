"""Damage that makes sense to a parser: values nobody would write, in elements that are well formed."""

from random import Random

from pydicom.datadict import dictionary_VR, tag_for_keyword

from tests.fuzz.anatomy import UNDEFINED, Anatomy

ABSURD_DECIMALS = (
    *("NaN", "inf", "-inf", "1e400", "-1e308", "1e-320", "0", "-0", "-1", "9" * 16, "9" * 300),
    *("1,5", "0x10", "", " ", "\\", "1_0", "\\".join("1234567"), "\\".join(["1"] * 20_000)),
    *("1e3", "0.00001", "1\\NaN", "inf\\inf", "nan\\nan\\nan", "0\\0\\0\\0\\0\\0", "\u0661\u0662"),
)
ABSURD_INTEGERS = (
    *("2147483648", "-1", "9" * 20, "9" * 5000, "1.5", "1e5", "NaN", "", "0", "--1", "1\\2", "+"),
)
ABSURD_SHORTS = (0, 1, 2, 3, 7, 8, 12, 15, 16, 17, 24, 32, 64, 255, 4095, 4096, 4097, 32768, 65535)
PIXEL_KEYWORDS = (
    *("Rows", "Columns", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("SamplesPerPixel", "PlanarConfiguration", "PixelPaddingValue", "PixelPaddingRangeLimit"),
)
CHARACTER_SETS = (
    *("ISO_IR 192", "ISO_IR 999", "ISO 2022 IR 149", "\\ISO 2022 IR 149", "GB18030", "GBK"),
    *("\\ISO 2022 IR 87\\ISO 2022 IR 13", "utf-8", "rot13", "zlib_codec", "idna", "punycode"),
    *("unicode_escape", "\0\0", "..\\..", "\\".join(["ISO 2022 IR 58"] * 500), "ISO_IR 13"),
)
FOREIGN_TEXTS = (
    b"\x1b$)C\xc8\xab^\xb1\xe6\xb5\xbf",
    b"\x1b$)C" + b"\x1b" * 50,
    b"\x1b$B\x1b(J\x1b(B\x1b-A\xff",
    b"\xff\xfe\x00\x00",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"^" * 5000,
    b"=" * 64,
    b"A=B=C=D=E^F^G^H^I^J^K",
    b"\\" * 3000,
    b"\0" * 64,
    b"\r\n\x0c\x1b[2J<script>%s%n{0}",
    b"x" * 60_000,
    b"\xc8\xab\xb1",
    "ﷺ\u202e\u0000\U0001f9b4".encode(),
)
TEXT_KEYWORDS = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "PatientAge", "StudyDate"),
    *("StudyTime", "StudyID", "AccessionNumber", "StudyDescription", "SeriesDescription"),
    *("Modality", "ImageType", "Manufacturer", "ConvolutionKernel", "ContrastBolusAgent"),
    *("RescaleType", "PatientPosition", "ReferringPhysicianName", "PhotometricInterpretation"),
    *("LossyImageCompression", "BodyPartExamined", "PositionReferenceIndicator"),
)
FOREIGN_UIDS = (
    *("", "....", "1.2.", ".1", "1..2", "0" * 64, "9" * 65, "1." * 32, "abc", "1.2.3\0\0", "1.2 "),
    *("1.2\\1.3", "9" * 60_000, "2.25.-1", "1.2.840.10008.5.1.4.1.1.4", "1.2.840.10008.1.3.10"),
)
DECIMAL_KEYWORDS = (
    *("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"),
    *("RescaleSlope", "RescaleIntercept", "PatientSize", "PatientWeight", "KVP"),
    *("SliceLocation", "GantryDetectorTilt", "WindowCenter", "SpacingBetweenSlices"),
)
INTEGER_KEYWORDS = ("InstanceNumber", "SeriesNumber", "NumberOfFrames", "AcquisitionNumber")
UID_KEYWORDS = (
    *("SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID"),
    "FrameOfReferenceUID",
)
SEQUENCE_KEYWORDS = (
    *("ReferencedImageSequence", "RequestAttributesSequence", "ContentSequence"),
    *("CTDIPhantomTypeCodeSequence", "PerFrameFunctionalGroupsSequence", "PatientName"),
    *("SharedFunctionalGroupsSequence", "ReferencedStudySequence", "ImagePositionPatient"),
)


def absurd_decimals(file: Anatomy, rng: Random) -> bytes:
    """NaN, infinity, overflow, too many or no values in Decimal Strings."""
    return _with_texts(file, rng, DECIMAL_KEYWORDS, [v.encode() for v in ABSURD_DECIMALS])


def absurd_integers(file: Anatomy, rng: Random) -> bytes:
    """Integer Strings that overflow or are no integers."""
    return _with_texts(file, rng, INTEGER_KEYWORDS, [v.encode() for v in ABSURD_INTEGERS])


def foreign_texts(file: Anatomy, rng: Random) -> bytes:
    """Escape sequences, broken UTF-8, control characters and endless names."""
    return _with_texts(file, rng, TEXT_KEYWORDS, FOREIGN_TEXTS)


def foreign_character_sets(file: Anatomy, rng: Random) -> bytes:
    """Character sets that do not exist, or do not fit the text."""
    changed = file.with_element(0x00080005, "CS", rng.choice(CHARACTER_SETS).encode()[:0xFFFE])
    if rng.random() < 0.5:
        return file.file(changed)
    name = file.named("PatientName")
    assert name is not None
    # The name comes behind the character set, so its place has moved.
    moved = len(changed) - len(file.body)
    return file.file(
        changed[: name.start + moved]
        + file.encoded(name.tag, "PN", rng.choice(FOREIGN_TEXTS)[:0xFFFE])
        + changed[name.end + moved :]
    )


def foreign_uids(file: Anatomy, rng: Random) -> bytes:
    """UIDs that are none, are another class's, or never end."""
    return _with_texts(file, rng, UID_KEYWORDS, [v.encode() for v in FOREIGN_UIDS])


def absurd_pixel_module(file: Anatomy, rng: Random) -> bytes:
    """Sizes and bit depths that cannot be, or would take all memory."""
    keyword = rng.choice(PIXEL_KEYWORDS)
    tag = tag_for_keyword(keyword)
    assert tag is not None
    value = file.number("H", rng.choice(ABSURD_SHORTS))
    value = rng.choice((value, value, value, value * 2, b"", value[:1], value * 2000))
    return file.file(file.with_element(tag, "US", value))


def deep_sequences(file: Anatomy, rng: Random) -> bytes:
    """Sequences within sequences, up to 20,000 deep, of known or unknown length, closed or not."""
    tag = tag_for_keyword(rng.choice(SEQUENCE_KEYWORDS))
    assert tag is not None
    depth = rng.choice((40, 900, 3_000, 10_000, 20_000))
    if rng.random() < 0.4:
        return file.file(file.with_element(tag, "SQ", _nested(file, tag, depth)))
    value = (_item_head(file, UNDEFINED) + file.encoded(tag, "SQ", b"", UNDEFINED)) * depth
    if rng.random() < 0.5:
        # Item and sequence delimiters (PS3.5 7.5.1), and one more for the outermost sequence.
        ends = [_delimiter(file, 0xE0DD), _delimiter(file, 0xE00D)]
        value += b"".join(ends) * depth + ends[0]
    return file.file(file.with_element(tag, "SQ", value, UNDEFINED))


def _delimiter(file: Anatomy, element: int) -> bytes:
    return file.number("H", 0xFFFE) + file.number("H", element) + file.number("I", 0)


def _item_head(file: Anatomy, length: int) -> bytes:
    return file.number("H", 0xFFFE) + file.number("H", 0xE000) + file.number("I", length)


def _nested(file: Anatomy, tag: int, depth: int) -> bytes:
    heads: list[bytes] = []
    size = 0
    for _ in range(depth):
        # From the inside out: an item around an empty sequence, a sequence around that, and so on.
        inner = file.encoded(tag, "SQ", b"", size)
        heads += [inner, _item_head(file, len(inner) + size)]
        size += len(inner) + 8
    return b"".join(reversed(heads))


def many_items(file: Anatomy, rng: Random) -> bytes:
    """A sequence of very many empty items."""
    tag = tag_for_keyword(rng.choice(SEQUENCE_KEYWORDS))
    assert tag is not None
    items = _item_head(file, 0) * rng.choice((1_000, 20_000))
    return file.file(file.with_element(tag, "SQ", items))


def _with_texts(
    file: Anatomy, rng: Random, keywords: tuple[str, ...], values: "list[bytes] | tuple[bytes, ...]"
) -> bytes:
    tag = tag_for_keyword(rng.choice(keywords))
    assert tag is not None
    value = rng.choice(values)[:0xFFFE]
    return file.file(file.with_element(tag, dictionary_VR(tag), value))

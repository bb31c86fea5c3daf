"""Texts that their own character set does not explain: carried byte for byte, never guessed."""

import codecs
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from pydicom.charset import convert_encodings, decode_bytes, python_encoding
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filewriter import correct_ambiguous_vr
from pydicom.tag import Tag
from pydicom.valuerep import TEXT_VR_DELIMS

from inference.dicom.header_values import text

TEXTS: Mapping[str, str] = {
    "PatientName": "PN",
    "PatientID": "LO",
    "IssuerOfPatientID": "LO",
    "AccessionNumber": "SH",
    "ReferringPhysicianName": "PN",
    "StudyID": "SH",
    "StudyDescription": "LO",
}
"""Of patient and study: those whose letters depend on Specific Character Set (PS3.5 6.1.2.3)."""

_ASCII_ONLY = frozenset({"", "ISO_IR 6", "ISO 2022 IR 6"})
_TEXT_KINDS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_ESCAPE = 0x1B
MAX_SETS = 24
"""More than are defined (PS3.3 C.12.1.1.2), none of them twice: the library goes through all for every element."""
_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
_DASHES = str.maketrans("‐–—−", "----")


def texts_to_keep(header: Dataset) -> dict[str, bytes]:
    """The texts of patient and study as bytes, where one of them cannot be decoded; empty where all can.

    Call it before anything has read them: the library decodes on reading and forgets the bytes.
    """
    # An empty value counts as deferred, and would be parsed here under whatever VR it has.
    elements: dict[str, Any] = {
        keyword: header.get_item(keyword, keep_deferred=True) for keyword in TEXTS
    }
    raw = {
        keyword: bytes(element.value)
        for keyword, element in elements.items()
        if isinstance(element, RawDataElement) and element.value
    }
    sets = [name.strip() for name in text(header, "SpecificCharacterSet").split("\\")]
    return {} if all(_decodes(value, sets) for value in raw.values()) else raw


def carry_kept_texts(result: Dataset, header: Dataset, kept: Mapping[str, bytes]) -> None:
    """Write the kept bytes under the character set they came with; our own words become ASCII to fit any."""
    for element in result.iterall():
        if element.VR in _TEXT_KINDS and isinstance(element.value, str):
            element.value = plain_ascii(element.value)
    named = list(dict.fromkeys(text(header, "SpecificCharacterSet").split("\\")))[:MAX_SETS]
    if any(sets := [name for name in named if _leaves_ascii_alone(name)]):
        result.SpecificCharacterSet = sets
    elif "SpecificCharacterSet" in result:
        del result.SpecificCharacterSet
    # The writer decodes and encodes again what was not read with this very character set; where it was, it leaves
    # the choice between OB and OW to us.
    correct_ambiguous_vr(result, True)
    result.set_original_encoding(False, True, result._character_set)
    for keyword, value in kept.items():
        tag = Tag(tag_for_keyword(keyword) or 0)
        padded = value + b" " * (len(value) % 2)
        result[tag] = RawDataElement(tag, TEXTS[keyword], len(padded), padded, 0, False, True)


def plain_ascii(words: str) -> str:
    """The words without signs beyond ASCII: ² becomes 2, a minus a hyphen, anything unknown a question mark."""
    plain = unicodedata.normalize("NFKD", words.translate(_DASHES))
    marks_gone = "".join(sign for sign in plain if not unicodedata.combining(sign))
    return marks_gone.encode("ascii", "replace").decode()


def _leaves_ascii_alone(name: str) -> bool:
    """False for codecs that are none of DICOM's but Python's own, where the library looks too: "idna", "utf-16"."""
    if name in python_encoding:
        return True
    try:
        codecs.lookup(name)
    except (LookupError, ValueError):
        # Nobody's: the library takes ASCII, and so may readers.
        return True
    words = "For research use only, " * 5
    try:
        return words.encode(name) == words.encode("ascii")
    except (LookupError, ValueError):
        return False


def _decodes(value: bytes, sets: Sequence[str]) -> bool:
    if max(value) < 0x80 and _ESCAPE not in value:
        return True
    if set(sets) <= _ASCII_ONLY or any(name not in python_encoding for name in sets):
        return False
    decoded = decode_bytes(value, convert_encodings(list(sets)), TEXT_VR_DELIMS)
    return _REPLACEMENT not in decoded and chr(_ESCAPE) not in decoded

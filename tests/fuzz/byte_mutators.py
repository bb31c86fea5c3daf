"""Damage that knows nothing, or only the borders, of a file's structure: bits, cuts, splices, lengths, tags."""

from collections.abc import Sequence
from random import Random

from tests.fuzz.anatomy import UNDEFINED, Anatomy, Element

KNOWN_VRS = (
    *("AE", "AS", "AT", "CS", "DA", "DS", "DT", "FD", "FL", "IS", "LO", "LT"),
    *("OB", "OD", "OF", "OL", "OV", "OW", "PN", "SH", "SL", "SQ", "SS", "ST"),
    *("SV", "TM", "UC", "UI", "UL", "UN", "UR", "US", "UT", "UV"),
)
NO_VRS = ("XX", "\0\0", "??", "ow", "  ")
LENGTHS = (0, 1, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, UNDEFINED)


def flip_header_bits(file: Anatomy, rng: Random) -> bytes:
    """One to eight bits of the data set before its pixels."""
    return file.file(_flipped(file.body, rng, 0, file.header_end))


def flip_meta_bits(file: Anatomy, rng: Random) -> bytes:
    """One to eight bits of preamble mark and group 2."""
    return file.file(file.body, _flipped(file.meta, rng, 128, len(file.meta)))


def flip_pixel_bits(file: Anatomy, rng: Random) -> bytes:
    """One to sixty-four bits of the pixel element."""
    return file.file(_flipped(file.body, rng, file.header_end, len(file.body), most=64))


def flip_coded_bits(file: Anatomy, rng: Random) -> bytes:
    """Bits of the file as it lies on disk: for a deflated one, of its stream."""
    content = file.file(file.body)
    return _flipped(content, rng, len(file.meta), len(content))


def _flipped(content: bytes, rng: Random, start: int, end: int, most: int = 8) -> bytes:
    changed = bytearray(content)
    for _ in range(rng.randint(1, most)):
        if end > start:
            changed[rng.randrange(start, end)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def truncate_anywhere(file: Anatomy, rng: Random) -> bytes:
    """The file ends early."""
    content = file.file(file.body)
    return content[: rng.randrange(len(content))]


def truncate_at_border(file: Anatomy, rng: Random) -> bytes:
    """The data set ends before, within or after the head of an element."""
    part = rng.choice(file.elements)
    return file.file(file.body[: rng.choice((part.start, part.start + 4, part.value, part.end))])


def splice(file: Anatomy, rng: Random) -> bytes:
    """Foreign bytes in between, or a stretch of the file once more."""
    at = rng.randrange(len(file.body))
    begin = rng.randrange(len(file.body))
    stretch = file.body[begin : begin + rng.randint(1, 400)]
    foreign = rng.choice((rng.randbytes(rng.randint(1, 200)), stretch))
    return file.file(file.body[:at] + foreign + file.body[at + rng.choice((0, len(foreign))) :])


def swap_vr(file: Anatomy, rng: Random) -> bytes:
    """Another VR in an element's head; where VRs are implicit, the tag of another element."""
    part, other = rng.choice(file.elements), rng.choice(file.elements)
    if file.is_explicit:
        head, at = rng.choice(KNOWN_VRS + NO_VRS).encode(), part.start + 4
    else:
        head, at = file.body[other.start : other.start + 4], part.start
    return file.file(file.body[:at] + head + file.body[at + len(head) :])


def rewrite_vr(file: Anatomy, rng: Random) -> bytes:
    """An element written anew with a wrong VR, the form of its head right for it."""
    part = rng.choice(file.elements)
    value = file.body[part.value : part.end]
    return file.file(file.with_element(part.tag, rng.choice(KNOWN_VRS), value[:0xFFFE]))


def set_length(file: Anatomy, rng: Random) -> bytes:
    """A length field that lies: huge, negative as a signed number, undefined, off by a little."""
    part = rng.choice(file.elements)
    is_long = part.has_long_length or not file.is_explicit
    true = part.end - part.value
    length = rng.choice((*LENGTHS, true + 1, true - 1, true + 2, true * 2, len(file.body)))
    field = file.number("I" if is_long else "H", length)
    return file.file(file.body[: part.value - len(field)] + field + file.body[part.value :])


def odd_length(file: Anatomy, rng: Random) -> bytes:
    """A value with an odd number of bytes, and a length that says so."""
    part = rng.choice(file.elements)
    value = file.body[part.value : part.end]
    value = rng.choice((value + b"\0", value[:-1], value + b"1"))[:0xFFFF]
    return file.file(file.with_element(part.tag, part.vr, value))


def duplicate_element(file: Anatomy, rng: Random) -> bytes:
    """An element a second time: at once, or where it does not belong."""
    part = rng.choice(file.elements)
    at = rng.choice((part.end, rng.choice(file.elements).start))
    copy = file.body[part.start : part.end]
    return file.file(file.body[:at] + copy * rng.choice((1, 1, 50)) + file.body[at:])


def remove_elements(file: Anatomy, rng: Random) -> bytes:
    """One to four elements less."""
    return file.file(without(file, rng.sample(file.elements, rng.randint(1, 4))))


def without(file: Anatomy, parts: Sequence[Element]) -> bytes:
    """The data set without these elements."""
    body = file.body
    for part in sorted(parts, key=lambda part: part.start, reverse=True):
        body = body[: part.start] + body[part.end :]
    return body


def shuffle_elements(file: Anatomy, rng: Random) -> bytes:
    """All elements, in another order."""
    parts = [file.body[part.start : part.end] for part in file.elements]
    rng.shuffle(parts)
    return file.file(b"".join(parts))

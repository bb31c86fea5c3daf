"""Damage to what tells decoders what to do: group 2, fragments, headers of codecs, bombs."""

import zlib
from functools import cache
from random import Random

from tests.fuzz.anatomy import PIXEL_DATA, UNDEFINED, Anatomy, deflated

SYNTAXES = (
    *("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.1.98"),
    *("1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.4.50"),
    *("1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"),
    *("1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81", "1.2.840.10008.1.2.4.90"),
    *("1.2.840.10008.1.2.4.91", "1.2.840.10008.1.2.4.94", "1.2.840.10008.1.2.4.100"),
    *("1.2.840.10008.1.2.4.110", "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203"),
    *("1.2.840.10008.1.2.5", "1.2.840.113619.5.2", "1.2.3", "", "....", "x" * 64, "9" * 5000),
)
MARKERS = {
    "SIZ": b"\xff\x51",
    "COD": b"\xff\x52",
    "QCD": b"\xff\x5c",
    "SOT": b"\xff\x90",
    "SOF55": b"\xff\xf7",
    "SOF3": b"\xff\xc3",
    "LSE": b"\xff\xf8",
    "DHT": b"\xff\xc4",
    "SOS": b"\xff\xda",
}
"""Of JPEG 2000 (ISO 15444-1 A), JPEG-LS (14495-1 C) and JPEG (10918-1 B)."""
POISON_INTS = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x00FFFFFF, 0x7FFFFFFF, 0xFFFFFFFF)
ZEROS_MB = 16
BOMB_MB = 2048


def wrong_syntax(file: Anatomy, rng: Random) -> bytes:
    """A transfer syntax the file is not written in."""
    return file.file(file.body, _with_syntax(file, rng.choice(SYNTAXES).encode()))


def broken_meta(file: Anatomy, rng: Random) -> bytes:
    """Group 2 missing, twice, in pieces, of another length, or no preamble."""
    meta, group = file.meta, file.meta[132:]
    part = rng.choice(file.meta_elements)
    nested = b"\x02\x00\x00\x01SQ\0\0\xff\xff\xff\xff" * rng.choice((1, 5_000))
    choices = (
        meta[:132],
        group,
        b"",
        meta + group,
        meta[:132] + group * 200,
        meta[: part.start] + meta[part.end :],
        meta[: part.value] + rng.randbytes(part.end - part.value) + meta[part.end :],
        meta[:140] + rng.choice((b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f")) + meta[144:],
        meta + nested,
        meta[:132] + nested + group,
    )
    return file.file(file.body, rng.choice(choices))


def _with_syntax(file: Anatomy, syntax: bytes) -> bytes:
    part = next(part for part in file.meta_elements if part.tag == 0x00020010)
    value = syntax + b"\0" * (len(syntax) % 2)
    head = file.meta[part.start : part.start + 6] + len(value).to_bytes(2, "little")
    changed = file.meta[: part.start] + head + value + file.meta[part.end :]
    return changed[:140] + (len(changed) - 144).to_bytes(4, "little") + changed[144:]


def broken_fragments(file: Anatomy, rng: Random) -> bytes:
    """Items of encapsulated pixels that lie: offsets, lengths, no end (a native file gets encapsulated)."""
    part = file.pixels
    assert part is not None
    value = file.body[part.value : part.end]
    frame = (
        value[16 : 16 + int.from_bytes(value[12:16], "little")] if file.is_encapsulated else value
    )
    lie = rng.choice((0, 1, 0xFFFFFFFE, UNDEFINED, 0x7FFFFFFF, len(frame) + 2))
    empty_offsets, end = _item(b""), b"\xfe\xff\xdd\xe0\0\0\0\0"
    choices = (
        _item(rng.randbytes(8)) + _item(frame) + end,
        _item(b"\xff" * 400) + _item(frame) + end,
        empty_offsets + _item(frame, lie) + end,
        empty_offsets + _item(frame),
        empty_offsets + end,
        empty_offsets + _item(b"") * 1000 + end,
        empty_offsets + b"".join(_item(frame[i : i + 2]) for i in range(0, len(frame), 2)) + end,
        empty_offsets + _item(frame) * 3 + end,
        _item(frame) + end,
        end,
        frame,
        b"",
    )
    return file.file(
        file.body[: part.start]
        + file.encoded(
            PIXEL_DATA, rng.choice(("OB", "OW", "UN", "SQ")), rng.choice(choices), UNDEFINED
        )
    )


def _item(value: bytes, length: int | None = None) -> bytes:
    size = len(value) if length is None else length
    return b"\xfe\xff\x00\xe0" + size.to_bytes(4, "little") + value


def poisoned_codec_header(file: Anatomy, rng: Random) -> bytes:
    """Numbers in the header of a codec's stream: image and tile sizes, precision, components, RLE segments."""
    part = file.pixels
    assert part is not None
    body = bytearray(file.body)
    places = [
        place + 2
        for marker in MARKERS.values()
        if (place := file.body.find(marker, part.value)) >= 0
    ]
    # RLE has no markers: the segment count and offsets lead its one fragment (PS3.5 G.5).
    start = rng.choice(places or [part.value + 16])
    for _ in range(rng.randint(1, 3)):
        width = rng.choice((1, 2, 4))
        at = start + rng.randrange(44)
        if at + width <= len(body):
            body[at : at + width] = (rng.choice(POISON_INTS) % (1 << 8 * width)).to_bytes(
                width, rng.choice(("big", "little"))
            )
    return file.file(bytes(body))


def bomb(file: Anatomy, rng: Random) -> bytes:
    """A small file that grows without end once it is unpacked."""
    return rng.choice((_deflate_bomb, _run_length_bomb, _picture_bomb))(file)


def _deflate_bomb(file: Anatomy) -> bytes:
    head = file.body[: file.header_end] + file.encoded(PIXEL_DATA, "OW", b"", BOMB_MB << 20)
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    start = packer.compress(head) + packer.flush(zlib.Z_FULL_FLUSH)
    stream = start + _packed_zeros() * (BOMB_MB // ZEROS_MB) + deflated(b"")
    return _with_syntax(file, b"1.2.840.10008.1.2.1.99") + stream


@cache
def _packed_zeros() -> bytes:
    """A stretch of deflated zeros that may be repeated: a full flush forgets what came before."""
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(bytes(ZEROS_MB << 20)) + packer.flush(zlib.Z_FULL_FLUSH)


def _run_length_bomb(file: Anatomy) -> bytes:
    """Four megabytes of runs of 128 (PS3.5 G.3.1) for a slice of a few hundred pixels."""
    runs = b"\x81\x00" * (2 << 20)
    offsets = (2).to_bytes(4, "little") + (64).to_bytes(4, "little")
    offsets += (64 + len(runs) // 2).to_bytes(4, "little") + bytes(52)
    value = _item(b"") + _item(offsets + runs) + b"\xfe\xff\xdd\xe0\0\0\0\0"
    body = file.body[: file.header_end] + file.encoded(PIXEL_DATA, "OB", value, UNDEFINED)
    return _with_syntax(file, b"1.2.840.10008.1.2.5") + body


def _picture_bomb(file: Anatomy) -> bytes:
    """A slice whose header and codec both claim the largest size."""
    body = file.body
    for keyword in ("Rows", "Columns"):
        part = file.named(keyword)
        if part is not None:
            body = body[: part.value] + file.number("H", 65535) + body[part.end :]
    at = body.find(MARKERS["SIZ"], file.header_end)
    if at >= 0:
        # Xsiz and Ysiz follow length and capabilities, tile sizes eight bytes on.
        for offset in (6, 10, 22, 26):
            body = body[: at + offset] + b"\x00\x00\xff\xff" + body[at + offset + 4 :]
    at = body.find(MARKERS["SOF55"], file.header_end)
    if at >= 0:
        # Rows and columns follow length and precision.
        body = body[: at + 5] + b"\xff" * 4 + body[at + 9 :]
    return file.file(body)

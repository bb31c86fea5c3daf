"""UIDs are derived from what a result is, never from a clock or a random number."""

import re

import pytest

from inference.dicom.identity import derive_uid


def test_the_same_parts_give_the_same_uid() -> None:
    assert derive_uid("job", "seg") == derive_uid("job", "seg")


def test_parts_are_not_merely_joined() -> None:
    assert derive_uid("ab", "c") != derive_uid("a", "bc")


def test_a_path_of_bytes_that_are_no_text_gives_a_uid() -> None:
    path = b"/ct/\xff\xfe".decode(errors="surrogateescape")

    assert derive_uid(path) == derive_uid(path) != derive_uid("/ct/")


def test_the_uid_is_a_uuid_under_the_arc_for_uuids() -> None:
    uid = derive_uid("job", "sr")

    number = int(uid.removeprefix("2.25."))
    assert re.fullmatch(r"2\.25\.[1-9][0-9]{0,38}", uid)
    assert len(uid) <= 64
    assert (number >> 76) & 0xF == 8
    assert (number >> 62) & 0x3 == 2


def test_a_uid_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="derived from something"):
        derive_uid()

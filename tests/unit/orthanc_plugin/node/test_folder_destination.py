"""Delivery into a folder: whole or not at all, readable by whoever the folder is for, and never outside it."""

import os
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

import pytest

from orthanc_plugin.node.delivery_journal import ObjectUids
from orthanc_plugin.node.folder_destination import (
    FolderNotWritable,
    file_in,
    holds_file,
    put_file,
)

UIDS = ObjectUids(study_uid="1.2.3", series_uid="1.2.4", sop_uid="1.2.5")
CONTENT = b"a DICOM file"
SHA256 = sha256(CONTENT).hexdigest()


def test_an_object_lies_under_its_uids(tmp_path: Path) -> None:
    put_file(tmp_path, UIDS, CONTENT)

    assert (tmp_path / "1.2.3" / "1.2.4" / "1.2.5.dcm").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == ["1.2.5.dcm"]


def test_what_half_a_write_left_is_overwritten(tmp_path: Path) -> None:
    part = file_in(tmp_path, UIDS).with_name(".1.2.5.dcm.part")
    part.parent.mkdir(parents=True)
    part.write_bytes(b"much more than the whole file will have" * 10)

    put_file(tmp_path, UIDS, CONTENT)

    assert file_in(tmp_path, UIDS).read_bytes() == CONTENT
    assert not part.exists()


def test_nothing_is_there_under_its_name_when_the_write_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)

    with pytest.raises(FolderNotWritable):
        put_file(tmp_path, UIDS, CONTENT)

    assert not file_in(tmp_path, UIDS).exists()


def test_a_share_that_is_not_mounted_is_not_made_up(tmp_path: Path) -> None:
    with pytest.raises(FolderNotWritable, match="no such folder"):
        put_file(tmp_path / "share", UIDS, CONTENT)

    assert not (tmp_path / "share").exists()


@pytest.mark.parametrize("uid", ["../../etc", "..", "", "a/b", "1.2.", "1..2", "1" * 65, "1.2\n"])
def test_what_only_claims_to_be_a_uid_leads_nowhere_else(tmp_path: Path, uid: str) -> None:
    folder = tmp_path / "export"
    folder.mkdir()

    for uids in (
        replace(UIDS, study_uid=uid),
        replace(UIDS, series_uid=uid),
        replace(UIDS, sop_uid=uid),
    ):
        put_file(folder, uids, CONTENT)

    written = [path.relative_to(folder) for path in tmp_path.rglob("*.dcm")]
    assert len(written) == 3
    assert all(len(path.parts) == 3 and "not-a-uid-" in str(path) for path in written)


def test_whoever_may_read_the_folder_may_read_what_is_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    folder.chmod(0o755)
    before = os.umask(0o077)
    try:
        put_file(folder, UIDS, CONTENT)
    finally:
        os.umask(before)

    path = file_in(folder, UIDS)
    assert [p.stat().st_mode & 0o777 for p in (path, path.parent, path.parent.parent)] == [
        0o644,
        0o755,
        0o755,
    ]


def test_only_the_very_bytes_count_as_there(tmp_path: Path) -> None:
    before = holds_file(tmp_path, UIDS, SHA256)
    put_file(tmp_path, UIDS, CONTENT)
    after = holds_file(tmp_path, UIDS, SHA256)
    file_in(tmp_path, UIDS).write_bytes(b"another")

    assert (before, after, holds_file(tmp_path, UIDS, SHA256)) == (False, True, False)

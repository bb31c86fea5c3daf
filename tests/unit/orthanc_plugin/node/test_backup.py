"""What a backup holds while the node works, and what a restore refuses."""

import hashlib
import json
import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid, HabitusError, UnreadableInput
from orthanc_plugin.node import backup as backup_module
from orthanc_plugin.node.backup import take_backup
from orthanc_plugin.node.backup_folder import MANIFEST, BackupFailed, BackupManifest, draft_of
from orthanc_plugin.node.choice_journal import ChoiceJournal
from orthanc_plugin.node.data_folder_lock import lock_data_folder
from orthanc_plugin.node.delivery_journal import DeliveryJournal, ObjectUids
from orthanc_plugin.node.job_states import JobState
from orthanc_plugin.node.journal import Journal, Submission, Verdict
from orthanc_plugin.node.restore import DRAFT, restore_backup
from orthanc_plugin.node.settings import EngineSettings, Settings
from orthanc_plugin.node.spool import Spool
from orthanc_plugin.node.sqlite_copy import copy_database
from orthanc_plugin.node.submissions import fresh_submission
from tests.fakes import ENGINE

SERIES = tuple(f"1.2.{number}" for number in range(3))


def silent(_: str, __: int, ___: int) -> None:
    """Nobody watches."""


def settings_of(folder: Path) -> Settings:
    return Settings(data_folder=folder, engine=EngineSettings(models_folder=folder))


def submission(series: str) -> Submission:
    return Submission(
        series_uid=series,
        series_orthanc_id=f"series-{series}",
        study_orthanc_id=f"study-{series}",
        set_hash="hash",
        instance_count=3,
        engine=ENGINE,
    )


def compute_next(journal: Journal, spool: Spool) -> str:
    """A job whose two results are published; its key."""
    job = journal.take(60.0)
    assert job is not None
    work = spool.open_work(job.key, job.fence)
    for name in ("sr.dcm.txt", "report.json"):
        (work.out_folder / name).write_text(f"{name} of {job.key}")
    results = spool.publish(work, job.key, {"sr": "sr.dcm.txt", "report": "report.json"})
    uids = ObjectUids(study_uid="1.2", series_uid="1.3", sop_uid=f"1.4.{job.fence}")
    named = [replace(one, uids=uids) if one.role == "sr" else one for one in results]
    assert DeliveryJournal(journal).record_results(job, named, [])
    return job.key


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A node with one job computed, one running, one queued, and a wish."""
    one = settings_of(tmp_path / "data")
    journal, spool = Journal(one.journal_path), Spool(one.spool_folder)
    for series in SERIES:
        journal.submit(submission(series))
    compute_next(journal, spool)
    journal.take(60.0)
    (one.data_folder / "site.secret").write_bytes(b"s" * 32)
    one.commands_folder.mkdir()
    (one.commands_folder / "wish.json").write_text("{}")
    (one.data_folder / "node.lock").touch()
    (one.spool_folder / "work" / "half").mkdir()
    journal.close()
    return one


def taken(settings: Settings, tmp_path: Path) -> tuple[Path, BackupManifest]:
    out = tmp_path / "backup"
    return out, take_backup(out, settings, "0.1.0", silent)


def below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def states(settings: Settings) -> list[str]:
    with closing(Journal(settings.journal_path)) as journal:
        rows = journal.connection.execute("SELECT state FROM jobs ORDER BY series_uid")
        return [row["state"] for row in rows]


def test_a_backup_holds_what_must_survive_and_its_owner_alone_reads_it(
    settings: Settings, tmp_path: Path
) -> None:
    out, manifest = taken(settings, tmp_path)
    (key,) = {name.split("/")[3] for name in manifest.files if "results" in name}

    assert below(out) == {MANIFEST, *manifest.files}
    assert set(manifest.files) == {
        "data/journal.db",
        "data/site.secret",
        "data/commands/wish.json",
        *(f"data/spool/results/{key}/{n}" for n in ("published.json", "report.json", "sr.dcm.txt")),
    }
    assert all(
        hashlib.sha256((out / name).read_bytes()).hexdigest() == sha256
        for name, sha256 in manifest.files.items()
    )
    assert manifest.lost == ()
    folders = [out, *(path for path in out.rglob("*") if path.is_dir())]
    assert {path.stat().st_mode & 0o777 for path in folders} == {0o700}
    assert {(out / name).stat().st_mode & 0o777 for name in below(out)} == {0o600}


def test_what_is_still_in_the_write_ahead_log_is_in_the_backup(
    settings: Settings, tmp_path: Path
) -> None:
    with closing(Journal(settings.journal_path)) as journal:
        journal.submit(submission("1.2.99"))
        out, _ = taken(settings, tmp_path)

    with closing(sqlite3.connect(out / "data" / "journal.db")) as copy:
        (count,) = copy.execute("SELECT count(*) FROM jobs").fetchone()
    assert count == 4
    assert "data/journal.db-wal" not in below(out)


def test_a_restored_node_has_its_jobs_results_secret_and_wishes(
    settings: Settings, tmp_path: Path
) -> None:
    out, manifest = taken(settings, tmp_path)
    empty = settings_of(tmp_path / "empty")
    restore_backup(out, empty, silent)

    assert states(empty) == ["computed", "running", "queued"]
    present = below(empty.data_folder)
    assert set(manifest.of("data")) <= present
    assert (empty.data_folder / "site.secret").read_bytes() == b"s" * 32
    assert not (empty.data_folder / DRAFT).exists()


def test_results_that_the_spool_let_go_of_meanwhile_are_neither_named_nor_lost(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy, copies = copy_database, 0

    def and_then_the_spool_is_tidied(source: Path, target: Path, of_whom: str) -> None:
        nonlocal copies
        copy(source, target, of_whom)
        copies += 1
        if copies > 1:
            return
        spool = Spool(settings.spool_folder)
        with closing(Journal(settings.journal_path)) as journal:
            (key,) = (path.name for path in (settings.spool_folder / "results").iterdir())
            spool.remove_results(key, ["sr.dcm.txt"])
            journal.connection.execute("UPDATE jobs SET spooled = 0 WHERE key = ?", (key,))

    monkeypatch.setattr(backup_module, "copy_database", and_then_the_spool_is_tidied)
    out, manifest = taken(settings, tmp_path)
    with closing(sqlite3.connect(out / "data" / "journal.db")) as journal:
        (spooled,) = journal.execute("SELECT min(spooled) FROM jobs").fetchone()

    assert (copies, spooled, manifest.lost) == (2, 0, ())
    assert {Path(name).name for name in manifest.files if "results" in name} == {"report.json"}
    assert below(out) == {MANIFEST, *manifest.files}


@pytest.mark.parametrize("harm", [Path.unlink, lambda path: path.write_text("other")])
def test_a_result_that_the_disk_lost_or_changed_is_told_and_the_rest_is_kept(
    settings: Settings, tmp_path: Path, harm: Callable[[Path], object]
) -> None:
    (victim,) = (settings.spool_folder / "results").glob("*/sr.dcm.txt")
    harm(victim)
    out, manifest = taken(settings, tmp_path)

    assert manifest.lost == (f"{victim.parent.name}/sr.dcm.txt",)
    assert below(out) == {MANIFEST, *manifest.files}
    assert any(name.endswith("report.json") for name in manifest.files)


def test_a_disk_that_fails_in_the_midst_leaves_nothing(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path, __: BackupManifest) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(backup_module, "write_manifest", full)
    before = set(tmp_path.iterdir())

    with pytest.raises(BackupFailed, match="No space left"):
        taken(settings, tmp_path)
    assert set(tmp_path.iterdir()) == before


def test_a_backup_goes_over_nothing_and_not_into_itself(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()

    for out in (tmp_path / "there", settings.data_folder / "backup", tmp_path / "no" / "folder"):
        with pytest.raises(ConfigurationInvalid):
            take_backup(out, settings, "0.1.0", silent)
    assert not (settings.data_folder / "backup").exists()


def orthancs_index(storage: Path, sizes: dict[str, int]) -> None:
    storage.mkdir(exist_ok=True)
    with closing(sqlite3.connect(storage / "index", isolation_level=None)) as index:
        index.execute("PRAGMA journal_mode = WAL")
        index.execute("CREATE TABLE AttachedFiles (uuid TEXT, compressedSize INTEGER)")
        index.executemany("INSERT INTO AttachedFiles VALUES (?, ?)", sizes.items())
    for uuid, size in sizes.items():
        path = storage / uuid[:2] / uuid[2:4] / uuid
        path.parent.mkdir(parents=True)
        path.write_bytes(b"p" * size)


def test_a_folder_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    # Root may write to every folder: this one is a file.
    (tmp_path / "disk").touch()

    with (
        pytest.raises(ConfigurationInvalid, match=r"disk that user \d+ may not write to"),
        draft_of(tmp_path / "disk" / "backup"),
    ):
        pass


def test_images_go_with_their_index_and_come_back(settings: Settings, tmp_path: Path) -> None:
    storage = tmp_path / "storage"
    orthancs_index(storage, {"abcd-1": 5, "1234-2": 7})
    take_backup(tmp_path / "backup", settings, "0.1.0", silent, storage)
    empty = settings_of(tmp_path / "empty")
    restore_backup(tmp_path / "backup", empty, silent, tmp_path / "images")

    images = tmp_path / "images"
    assert below(images) == {"index", "ab/cd/abcd-1", "12/34/1234-2"}
    assert (images / "ab" / "cd" / "abcd-1").read_bytes() == b"ppppp"


def test_an_image_that_was_deleted_meanwhile_is_in_neither_index_nor_backup(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage, copies = tmp_path / "storage", 0
    orthancs_index(storage, {"1234-2": 7, "abcd-1": 5, "ffff-3": 3})

    def delete(uuid: str) -> None:
        with closing(sqlite3.connect(storage / "index", isolation_level=None)) as index:
            index.execute("DELETE FROM AttachedFiles WHERE uuid = ?", (uuid,))
        (storage / uuid[:2] / uuid[2:4] / uuid).unlink()

    def while_images_go(source: Path, target: Path, of_whom: str) -> None:
        nonlocal copies
        copies += of_whom == "Orthanc"
        if of_whom == "Orthanc" and copies == 2:
            delete("1234-2")
        copy_database(source, target, of_whom)
        if of_whom == "Orthanc" and copies == 1:
            delete("abcd-1")

    monkeypatch.setattr(backup_module, "copy_database", while_images_go)
    out = tmp_path / "backup"
    manifest = take_backup(out, settings, "0.1.0", silent, storage)

    assert below(out / "images") == {"index", "ff/ff/ffff-3"}
    assert set(manifest.of("images")) == below(out / "images")
    assert manifest.lost == ()


def test_a_changed_image_leaves_both_folders_empty(settings: Settings, tmp_path: Path) -> None:
    storage, out = tmp_path / "storage", tmp_path / "backup"
    orthancs_index(storage, {"abcd-1": 5})
    take_backup(out, settings, "0.1.0", silent, storage)
    (out / "images" / "ab" / "cd" / "abcd-1").write_bytes(b"q" * 5)
    empty = settings_of(tmp_path / "empty")

    with pytest.raises(UnreadableInput):
        restore_backup(out, empty, silent, tmp_path / "images")
    assert below(empty.data_folder) == {"node.lock"}
    assert below(tmp_path / "images") == set()


def test_an_index_that_orthanc_holds_is_refused(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("orthanc_plugin.node.sqlite_copy.WAIT_S", 0.2)
    storage = tmp_path / "storage"
    orthancs_index(storage, {"abcd-1": 5})

    # As Orthanc opens it.
    with closing(sqlite3.connect(storage / "index", isolation_level=None)) as index:
        index.execute("PRAGMA locking_mode = EXCLUSIVE")
        index.execute("DELETE FROM AttachedFiles WHERE 0")
        index.execute("BEGIN EXCLUSIVE")
        with pytest.raises(ConfigurationInvalid, match="Stop Orthanc"):
            take_backup(tmp_path / "backup", settings, "0.1.0", silent, storage)
    assert not (tmp_path / "backup").exists()


def change_manifest(out: Path, change: Callable[[dict[str, object]], object]) -> None:
    told = json.loads((out / MANIFEST).read_text())
    change(told)
    (out / MANIFEST).write_text(json.dumps(told))


def name_outside(out: Path) -> None:
    (out.parent / "outside").write_text("x")
    sha256 = hashlib.sha256(b"x").hexdigest()
    change_manifest(out, lambda told: told["files"].update({"data/../../outside": sha256}))  # type: ignore[attr-defined]


def link_outside(out: Path) -> None:
    secret = out / "data" / "site.secret"
    shutil.copy(secret, out.parent / "outside")
    secret.unlink()
    secret.symlink_to(out.parent / "outside")


def change_byte(out: Path) -> None:
    (victim,) = out.glob("data/spool/results/*/report.json")
    content = bytearray(victim.read_bytes())
    content[0] ^= 1
    victim.write_bytes(content)


def newer_journal(out: Path) -> None:
    """Whole, but of a release that is still to come."""
    path = out / "data" / "journal.db"
    with closing(sqlite3.connect(path)) as journal:
        journal.execute("PRAGMA user_version = 999")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    change_manifest(out, lambda told: told.update(schema=999))
    change_manifest(out, lambda told: told["files"].update({"data/journal.db": sha256}))  # type: ignore[attr-defined]


def older_journal_than_said(out: Path) -> None:
    change_manifest(out, lambda told: told.update(schema=1))


HARMS: dict[str, Callable[[Path], object]] = {
    "a byte changed": change_byte,
    "a file missing": lambda out: (out / "data" / "site.secret").unlink(),
    "a path that leaves the folder": name_outside,
    "a link that leaves the folder": link_outside,
    "a newer schema": newer_journal,
    "another schema than the journal's": older_journal_than_said,
    "another format": lambda out: change_manifest(out, lambda told: told.update(format=2)),
    "fields of another kind": lambda out: change_manifest(out, lambda told: told.update(files=[])),
    "no manifest": lambda out: (out / MANIFEST).unlink(),
    "a manifest that is no JSON": lambda out: (out / MANIFEST).write_text("{"),
}


@pytest.mark.parametrize("harm", HARMS)
def test_a_backup_that_is_not_whole_is_refused_and_nothing_is_put(
    settings: Settings, tmp_path: Path, harm: str
) -> None:
    out, _ = taken(settings, tmp_path)
    HARMS[harm](out)
    empty = settings_of(tmp_path / "empty")

    with pytest.raises(UnreadableInput) as refusal:
        restore_backup(out, empty, silent)
    assert refusal.value.exit_status == 4
    left = below(empty.data_folder) if empty.data_folder.exists() else set()
    assert left <= {"node.lock"}


def test_a_target_that_is_not_empty_or_belongs_to_a_running_node_is_refused(
    settings: Settings, tmp_path: Path
) -> None:
    out, _ = taken(settings, tmp_path)
    refusals: list[HabitusError] = []
    with pytest.raises(ConfigurationInvalid, match="not empty") as full:
        restore_backup(out, settings, silent)
    running = settings_of(tmp_path / "running")
    with (
        lock_data_folder(running.data_folder),
        pytest.raises(ConfigurationInvalid, match="in use") as used,
    ):
        restore_backup(out, running, silent)
    with pytest.raises(ConfigurationInvalid, match="without images") as imageless:
        restore_backup(out, settings_of(tmp_path / "empty"), silent, tmp_path / "images")
    refusals += [full.value, used.value, imageless.value]

    assert {one.exit_status for one in refusals} == {2}
    assert states(settings) == ["computed", "running", "queued"]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_as_root_the_files_are_of_whoever_has_the_folder(
    settings: Settings, tmp_path: Path
) -> None:
    out, _ = taken(settings, tmp_path)
    empty = settings_of(tmp_path / "empty")
    empty.data_folder.mkdir()
    os.chown(empty.data_folder, 10001, 10001)
    restore_backup(out, empty, silent)

    owners = {path.stat().st_uid for path in empty.data_folder.rglob("*")}
    assert owners == {10001}


def test_what_was_submitted_after_the_backup_never_shares_a_key_with_what_comes_after_the_restore(
    settings: Settings, tmp_path: Path
) -> None:
    out, _ = taken(settings, tmp_path)
    known = submission(SERIES[0])
    with closing(Journal(settings.journal_path)) as journal:
        forgotten = [
            journal.submit(submission("1.2.77")),
            journal.submit(replace(known, run=2)),
        ]
    empty = settings_of(tmp_path / "empty")
    restore_backup(out, empty, silent)
    with closing(Journal(empty.journal_path)) as journal:
        fresh = fresh_submission(journal, submission("1.2.77"))
        assert fresh is not None
        keys = [journal.submit(fresh), journal.submit(replace(known, run=2))]
        again = [
            fresh_submission(journal, submission("1.2.77")),
            fresh_submission(journal, known),
            journal.submit(submission("1.2.77")),
        ]

    assert None not in keys
    assert not set(keys) & set(forgotten)
    assert again == [None, None, None]


def test_after_a_restore_a_series_as_it_was_twice_superseded_is_still_analysed(
    settings: Settings, tmp_path: Path
) -> None:
    out, _ = taken(settings, tmp_path)
    empty = settings_of(tmp_path / "empty")
    restore_backup(out, empty, silent)
    with closing(Journal(empty.journal_path)) as journal:
        first, other = submission("1.2.77"), replace(submission("1.2.77"), set_hash="late")
        keys = []
        for wanted in (first, other, first):
            fresh = fresh_submission(journal, wanted)
            assert fresh is not None
            keys.append(journal.submit(fresh))
        last = journal.job(str(keys[-1]))

    assert len(set(keys)) == 3
    assert last is not None
    assert last.state is JobState.QUEUED


def test_a_job_of_a_study_that_comes_back_is_not_taken_for_one_that_was_refused(
    settings: Settings,
) -> None:
    with closing(Journal(settings.journal_path)) as journal:
        job = journal.take(60.0)
        assert job is not None
        journal.end(job, JobState.REJECTED, Verdict(reason="no-l3"))
        notes = ChoiceJournal(journal)
        series = [job.submission.series_orthanc_id]
        refused = notes.revive_returned(job.submission.study_orthanc_id, series)
        journal.connection.execute(
            "UPDATE jobs SET reason = 'source-deleted' WHERE key = ?", (job.key,)
        )
        elsewhere = notes.revive_returned(job.submission.study_orthanc_id, ["another series"])
        returned = notes.revive_returned(job.submission.study_orthanc_id, series)

    assert (refused, elsewhere, returned) == (0, 0, 1)

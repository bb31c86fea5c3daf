"""Releases: what is in one, what it is called, and which one is in use."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from installation.in_use import finished, in_use, previous, remove_others, roll_back, take
from installation.places import Places
from installation.release import INSTALLED, MARK, Wanted, build, carry_own_models, release_name
from tests.unit.installation.small_tree import ROOT, small_environment, small_tree

NOT_INSTALLED = {
    ".ci",
    ".dockerignore",
    ".gitignore",
    ".pre-commit-config.yaml",
    "CONTRIBUTING.md",
    "Makefile",
    "demo.py",
    "docker",
    "tests",
    "uv.lock",
}


@pytest.fixture
def wanted(tmp_path: Path) -> Wanted:
    return Wanted(source=small_tree(tmp_path / "tree"), environment=small_environment)


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(destdir=tmp_path / "root")


def test_whatever_git_knows_is_installed_or_left_out_on_purpose() -> None:
    listed = subprocess.run(
        ["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=False
    ).stdout.splitlines()
    if not listed:
        pytest.skip("no working tree of git")

    tops = {name.partition("/")[0] for name in listed}

    assert tops == set(INSTALLED) | NOT_INSTALLED


def test_a_name_tells_version_and_content(wanted: Wanted) -> None:
    name = release_name(wanted)
    again = release_name(wanted)
    (wanted.source / "habitus.py").write_text("another line")

    assert name.startswith("1.2.3-")
    assert again == name
    assert release_name(wanted) != name
    assert release_name(replace(wanted, extra="gpu")) != release_name(wanted)


def test_what_a_working_tree_leaves_beside_it_is_not_installed(
    wanted: Wanted, places: Places
) -> None:
    for junk in ("inference/__pycache__/x.pyc", "models/.cache/x", "commands/.hidden"):
        (wanted.source / junk).parent.mkdir(exist_ok=True)
        (wanted.source / junk).write_text("junk")
    (wanted.source / "runs").mkdir()

    folder = places.here(build(wanted, places))

    assert not [path for path in folder.rglob("*") if path.name in ("x.pyc", "x", ".hidden")]
    assert not (folder / "runs").exists()


def test_everybody_may_run_it_and_root_alone_may_change_it(wanted: Wanted, places: Places) -> None:
    folder = places.here(build(wanted, places))

    assert (folder / "habitus").stat().st_mode & 0o777 == 0o755
    assert (folder / "habitus.py").stat().st_mode & 0o777 == 0o644


def test_scripts_of_a_package_name_the_installed_interpreter(
    wanted: Wanted, places: Places
) -> None:
    release = build(wanted, places)

    script = (places.here(release) / ".venv" / "bin" / "pip").read_text()

    assert script == f"#!{release}/.venv/bin/python\n"


def test_a_finished_release_is_not_made_again(wanted: Wanted, places: Places) -> None:
    folder = places.here(build(wanted, places))
    (folder / "seen").touch()

    build(wanted, places)

    assert (folder / "seen").exists()


def test_a_release_that_was_interrupted_is_made_anew(wanted: Wanted, places: Places) -> None:
    def fails(folder: Path, _: str, __: Path | None) -> None:
        raise ConfigurationInvalid(found="no network", wanted="one", advice="Wait.")

    with pytest.raises(ConfigurationInvalid):
        build(replace(wanted, environment=fails), places)
    assert finished(places) == []
    (stale,) = places.here(places.releases).iterdir()
    (stale / "stale").touch()

    folder = places.here(build(wanted, places))

    assert (folder / MARK).is_file()
    assert not (folder / "stale").exists()


@pytest.mark.parametrize("name", ["../elsewhere", "a/b", ".hidden"])
def test_a_release_has_the_name_of_a_folder(wanted: Wanted, name: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="name of a folder"):
        release_name(replace(wanted, name=name))


def test_an_unknown_extra_is_refused(wanted: Wanted, places: Places) -> None:
    with pytest.raises(ConfigurationInvalid, match="cpu, gpu or gpu-cuda12"):
        build(replace(wanted, extra="tpu"), places)


def test_half_a_tree_is_refused(wanted: Wanted, places: Places) -> None:
    (wanted.source / "habitus.py").unlink()

    with pytest.raises(ConfigurationInvalid, match=r"no habitus\.py"):
        build(wanted, places)


def test_two_roll_backs_lead_back(wanted: Wanted, places: Places) -> None:
    for name in ("one", "two"):
        take(places, build(replace(wanted, name=name), places).name)
    assert (in_use(places), previous(places)) == ("two", "one")

    roll_back(places)
    assert (in_use(places), previous(places)) == ("one", "two")
    roll_back(places)

    assert (in_use(places), previous(places)) == ("two", "one")


def test_without_an_upgrade_there_is_nothing_to_go_back_to(wanted: Wanted, places: Places) -> None:
    take(places, build(wanted, places).name)

    with pytest.raises(ConfigurationInvalid, match="no previous release"):
        roll_back(places)


def test_an_unfinished_release_is_never_taken(wanted: Wanted, places: Places) -> None:
    take(places, build(replace(wanted, name="one"), places).name)
    places.here(places.releases / "half").mkdir()

    with pytest.raises(ConfigurationInvalid, match="no finished release"):
        take(places, "half")

    assert in_use(places) == "one"


def test_two_releases_are_kept(wanted: Wanted, places: Places) -> None:
    for name in ("one", "two", "three"):
        take(places, build(replace(wanted, name=name), places).name)

    assert remove_others(places) == ["one"]
    assert finished(places) == ["three", "two"]


def test_models_and_profiles_of_a_site_go_along(tmp_path: Path) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    for path, text in (
        (old / "organs" / "model", "of the old release"),
        (old / "ours" / "model", "of the site"),
        (old / "profiles" / "ours.toml", "of the site"),
        (old / "profiles" / "shared.toml", "of the old release"),
        (new / "organs" / "model", "of the new release"),
        (new / "profiles" / "shared.toml", "of the new release"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    assert carry_own_models(old, new) == ["ours", "ours.toml"]

    assert {path.relative_to(new).as_posix(): path.read_text() for path in new.rglob("*.*")} == {
        "profiles/ours.toml": "of the site",
        "profiles/shared.toml": "of the new release",
    }
    assert (new / "organs" / "model").read_text() == "of the new release"
    assert (new / "ours" / "model").read_text() == "of the site"

"""The bundle: its checksums, its index of Debian packages, and what its script refuses."""

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from installation.bundle import (
    SCRIPT,
    SUMS,
    Target,
    check_python,
    copy_viewer,
    export_tree,
    write_index,
    write_sums,
)
from tests.unit.installation.small_tree import ROOT

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg")
HERE = Target(codename="bookworm", architecture="amd64", python="3.11", extra="cpu")


def deb(folder: Path, name: str, version: str) -> Path:
    """A package that holds nothing."""
    control = folder / "draft" / "DEBIAN" / "control"
    control.parent.mkdir(parents=True)
    control.write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\n"
        "Maintainer: nobody <nobody@example.org>\nDescription: holds nothing\n"
    )
    made = folder / f"{name}_{version}_all.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", str(folder / "draft"), str(made)],
        check=True,
        capture_output=True,
    )
    shutil.rmtree(folder / "draft")
    return made


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A small one for this machine, whose make only says what it was asked."""
    folder = tmp_path / "a bundle"
    (folder / "offline").mkdir(parents=True)
    (folder / "installation").mkdir()
    architecture = subprocess.run(
        ["dpkg", "--print-architecture"], capture_output=True, text=True, check=True
    ).stdout.strip()
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME", "unknown")
    target = Target(codename=codename, architecture=architecture, python="3.11", extra="gpu")
    (folder / "offline" / "target").write_text(target.describes())
    shutil.copy(ROOT / "installation" / SCRIPT, folder)
    (folder / "habitus.py").write_text("content\n")
    tools = tmp_path / "tools"
    tools.mkdir()
    (tools / "make").write_text('#!/bin/sh\necho "asked: $*"\n')
    (tools / "make").chmod(0o755)
    write_sums(folder)
    return folder


def set_up(bundle: Path) -> "subprocess.CompletedProcess[str]":
    path = f"{bundle.parent / 'tools'}:{os.environ['PATH']}"
    return subprocess.run(
        ["sh", str(bundle / SCRIPT)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
    )


@needs_dpkg
def test_a_whole_bundle_is_set_up_from_itself(bundle: Path) -> None:
    done = set_up(bundle)

    assert done.returncode == 0, done.stderr
    assert "setup OFFLINE=offline EXTRA=gpu" in done.stdout


@needs_dpkg
def test_a_changed_file_is_refused_before_anything_is_installed(bundle: Path) -> None:
    (bundle / "habitus.py").write_text("Content\n")

    done = set_up(bundle)

    assert done.returncode == 2
    assert "habitus.py" in done.stdout
    assert "differ from SHA256SUMS" in done.stderr
    assert "asked" not in done.stdout


@needs_dpkg
def test_a_missing_file_is_refused(bundle: Path) -> None:
    (bundle / "habitus.py").unlink()

    assert set_up(bundle).returncode == 2


@needs_dpkg
def test_another_release_of_debian_is_refused(bundle: Path) -> None:
    other = Target(codename="other", architecture="m68k", python="3.11", extra="cpu")
    (bundle / "offline" / "target").write_text(other.describes())
    write_sums(bundle)

    done = set_up(bundle)

    assert done.returncode == 2
    assert "wanted other m68k" in done.stderr


def test_every_file_has_a_checksum(bundle: Path) -> None:
    named = {line.split("  ", 1)[1] for line in (bundle / SUMS).read_text().splitlines()}
    files = {
        path.relative_to(bundle).as_posix()
        for path in bundle.rglob("*")
        if path.is_file() and path.name != SUMS
    }

    assert named == files


@needs_dpkg
def test_apt_finds_a_package_in_the_index_and_nothing_else(tmp_path: Path) -> None:
    debs = tmp_path / "with blank" / "debs"
    debs.mkdir(parents=True)
    deb(debs, "habitus-test-one", "1.0")
    deb(debs, "habitus-test-two", "2.0")
    write_index(debs)
    told = tmp_path / "told"
    # What apt would install, and whether it finds the file with its hash; nothing is installed.
    tools, archives = tmp_path / "tools", tmp_path / "archives"
    tools.mkdir()
    (archives / "partial").mkdir(parents=True)
    apt = f"{shutil.which('apt-get')} -o Debug::NoLocking=1"
    (tools / "apt-get").write_text(
        f'#!/bin/sh\n{apt} -o APT::Get::Simulate=true "$@" >>"{told}" || exit\n'
        f'exec {apt} -o APT::Get::Download-Only=true -o Dir::Cache::archives="{archives}" "$@"\n'
    )
    (tools / "apt-get").chmod(0o755)
    script = str(ROOT / "installation" / "offline_apt.sh")

    def offline_apt(package: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["sh", script, str(debs.parent), package],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"},
        )

    assert offline_apt("habitus-test-two").returncode == 0
    assert "Inst habitus-test-two (2.0" in told.read_text()
    assert "habitus-test-one" not in told.read_text()
    refused = offline_apt("make-believe")
    assert refused.returncode == 2
    assert "wanted a machine at most as new" in refused.stderr


def test_a_folder_that_is_no_bundle_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        ["sh", str(ROOT / "installation" / "offline_apt.sh"), str(tmp_path), "make"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 2
    assert "wanted the folder offline" in done.stderr


def test_wheels_for_another_python_than_debians_are_refused(tmp_path: Path) -> None:
    index = "Package: python3-minimal\nVersion: 3.9\n\nPackage: python3\nSource: x\nVersion: {}\n"
    (tmp_path / "Packages").write_text(index.format("3.11.2-1+b1"))
    check_python(tmp_path, HERE)

    (tmp_path / "Packages").write_text(index.format("3.13.5-1"))
    with pytest.raises(ConfigurationInvalid, match=r"3\.11 beside Debian's 3\.13"):
        check_python(tmp_path, HERE)


def test_what_is_not_committed_is_not_in_the_bundle_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree, folder = tmp_path / "tree", tmp_path / "bundle"
    (tree / "installation").mkdir(parents=True)
    for name in (SCRIPT, "README-OFFLINE.md"):
        shutil.copy(ROOT / "installation" / name, tree / "installation")
    git = ("git", "-C", str(tree), "-c", "user.name=nobody", "-c", "user.email=nobody@example.org")
    for command in (("init", "-q"), ("add", "."), ("commit", "-qm", "one")):
        subprocess.run([*git, *command], check=True)
    (tree / "secret.txt").write_text("mine")

    export_tree(tree, folder)

    assert (folder / SCRIPT).stat().st_mode & 0o111
    assert not (folder / "secret.txt").exists()
    assert "not committed" in capsys.readouterr().out


def test_without_ohif_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="make bundle"):
        copy_viewer(tmp_path, tmp_path)


def make(*arguments: str) -> str:
    return subprocess.run(
        ["make", "--dry-run", "--always-make", "--no-print-directory", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout


def test_beside_a_bundle_neither_pip_nor_apt_asks_a_network() -> None:
    said = make("setup", "OFFLINE=offline")

    assert "--no-index --find-links offline/wheels" in said
    assert "offline_apt.sh offline" in said
    assert "apt-get update" not in said


def test_a_package_for_another_machine_installs_nothing_here() -> None:
    assert "apt-get" not in make("install", "DESTDIR=/nowhere")
    assert "apt-get install" in make("install")

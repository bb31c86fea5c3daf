"""Only the very package that was tried is installed."""

import os
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from viewer import install as installer


def npm_that_writes(folder: Path, content: bytes, filename: str = "ohif-app-3.13.2.tgz") -> None:
    """An npm on PATH: answers `npm pack … --json --pack-destination FOLDER` as npm does."""
    (folder / "package").write_bytes(content)
    npm = folder / "npm"
    npm.write_text(
        f'#!/bin/sh\ncp {folder}/package "$5/ohif-app-3.13.2.tgz"\necho \'[{{"filename": "{filename}"}}]\'\n'
    )
    npm.chmod(0o755)


@pytest.fixture
def tools(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder first on PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return folder


def test_another_content_under_the_same_name_is_refused_and_nothing_stays(
    tools: Path, tmp_path: Path
) -> None:
    npm_that_writes(tools, b"not the tried one")

    with pytest.raises(ConfigurationInvalid, match="Do not use this file"):
        installer.install(tmp_path / "viewer" / "site")

    assert list((tmp_path / "viewer").iterdir()) == []


@pytest.mark.parametrize("filename", ["ohif-app-3.13.2.tgz", "@ohif/app-3.13.2.tgz"])
def test_the_file_is_found_under_the_name_that_old_and_new_npm_print(
    tools: Path, tmp_path: Path, filename: str
) -> None:
    npm_that_writes(tools, b"content", filename)

    assert installer.fetch(tmp_path).read_bytes() == b"content"


def test_without_npm_the_error_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigurationInvalid, match="make ohif"):
        installer.fetch(tmp_path)


def test_a_failing_npm_is_quoted(tools: Path, tmp_path: Path) -> None:
    (tools / "npm").write_text("#!/bin/sh\necho no route >&2\nexit 7\n")
    (tools / "npm").chmod(0o755)

    with pytest.raises(ConfigurationInvalid, match="ended with 7: no route"):
        installer.fetch(tmp_path)

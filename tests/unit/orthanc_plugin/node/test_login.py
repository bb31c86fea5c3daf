"""User and password: the file that holds the one, and how both are written for Orthanc."""

from base64 import b64decode
from pathlib import Path

import pytest
import requests

from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.node.data_folder_lock import lock_data_folder
from orthanc_plugin.node.login import basic, password_in


@pytest.mark.parametrize("password", ["secret", "\u00fc\u00df", "\ube44\ubc00\ubc88\ud638"])
def test_a_password_is_written_in_utf_8(password: str) -> None:
    request = requests.Request(
        "GET", "http://127.0.0.1/", auth=basic("\uc0ac\uc6a9\uc790", password)
    )

    header = request.prepare().headers["Authorization"]

    told = b64decode(header.removeprefix("Basic ")).decode()
    assert told == f"\uc0ac\uc6a9\uc790:{password}"


def test_a_password_is_what_its_file_holds_without_the_line_end(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")

    assert password_in(tmp_path / "password") == "secret"


@pytest.mark.parametrize("content", [None, b"caf\xe9"])
def test_a_password_file_that_cannot_be_read_is_named(
    tmp_path: Path, content: bytes | None
) -> None:
    path = tmp_path / "orthanc.password"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationInvalid, match=r"no readable orthanc\.password"):
        password_in(path)


def test_a_data_folder_that_cannot_be_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file, and no folder")

    with pytest.raises(ConfigurationInvalid, match="cannot be written to"):
        lock_data_folder(tmp_path / "data")

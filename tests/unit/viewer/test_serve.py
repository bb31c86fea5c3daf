"""The nginx configuration: the password in one private file, odd names refused before nginx sees them."""

import base64
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from viewer.orthanc_access import OrthancAccess, chosen_orthanc
from viewer.serve import write_nginx_configuration

ACCESS = OrthancAccess(url="http://127.0.0.1:8042", user="pacs", password="quite secret")
AUTHORIZATION = base64.b64encode(b"pacs:quite secret").decode()


def written(access: OrthancAccess, folder: Path) -> str:
    """What nginx would read first."""
    path = write_nginx_configuration(access, port=8180, folder=folder, site=folder / "site")
    return path.read_text()


def test_every_word_of_the_template_is_filled(tmp_path: Path) -> None:
    text = written(ACCESS, tmp_path)

    assert "@" not in text
    assert "listen 127.0.0.1:8180;" in text
    assert "proxy_pass http://127.0.0.1:8042;" in text


def test_the_password_is_in_one_file_for_the_owner_only(tmp_path: Path) -> None:
    written(ACCESS, tmp_path)

    holders = [path for path in tmp_path.iterdir() if AUTHORIZATION in path.read_text()]

    assert [path.name for path in holders] == ["proxy.conf"]
    assert holders[0].stat().st_mode & 0o077 == 0


def test_every_address_is_a_loopback_address(tmp_path: Path) -> None:
    listens = [line for line in written(ACCESS, tmp_path).splitlines() if "listen " in line]

    assert listens
    assert all(" 127.0.0.1:8180" in line for line in listens)


def test_an_orthanc_behind_tls_is_verified(tmp_path: Path) -> None:
    written(OrthancAccess(url="https://pacs.example:8043"), tmp_path)

    proxy = (tmp_path / "proxy.conf").read_text()
    assert "proxy_ssl_verify on;" in proxy
    assert "Authorization" not in proxy


@pytest.mark.parametrize(
    "url", ["127.0.0.1:8042", "http://a;b", "http://a/path", "http://u:p@h", "http://a\n", ""]
)
def test_an_address_that_nginx_could_misread_is_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(ConfigurationInvalid, match="http://host:port"):
        written(OrthancAccess(url=url), tmp_path)


def test_a_folder_name_that_nginx_could_misread_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="plain name"):
        written(ACCESS, tmp_path / "my files")


def test_the_password_is_not_shown_in_a_traceback() -> None:
    assert "secret" not in repr(ACCESS)


def test_an_orthanc_that_is_named_comes_first(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("quite secret\n")

    assert chosen_orthanc("http://127.0.0.1:8042/", "pacs", str(password)) == ACCESS


def test_a_missing_password_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="password file"):
        chosen_orthanc("http://127.0.0.1:8042", "pacs", str(tmp_path / "none"))

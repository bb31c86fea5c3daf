"""Why Orthanc does not answer is told apart, and no password is in what is said."""

import socket
from contextlib import closing
from pathlib import Path

import pytest

from orthanc_plugin.doctor.orthanc_rest import Entrance, OrthancNotReached, OrthancRest
from orthanc_plugin.node.pinned_certificate import fingerprint_of
from tests.certificates import make_holder, make_issuer
from tests.fake_orthanc_http import PASSWORD, SYSTEM, USER, Table, fake_orthanc

GOOD: Table = {"/system": SYSTEM}


def why(entrance: Entrance) -> str:
    with (
        closing(OrthancRest(entrance)) as rest,
        pytest.raises(OrthancNotReached) as error,
    ):
        rest.system()
    assert error.value.advice
    assert PASSWORD not in str(error.value)
    return error.value.why


def test_an_orthanc_that_lets_us_in_says_what_it_is() -> None:
    with (
        fake_orthanc(GOOD) as url,
        closing(OrthancRest(Entrance(url=url, login=(USER, PASSWORD)))) as rest,
    ):
        assert rest.system() == SYSTEM


@pytest.mark.parametrize(
    ("login", "expected"),
    [((USER, "wrong-canary"), "password"), (None, "no-login")],
)
def test_a_wrong_password_is_not_a_missing_one(
    login: tuple[str, str] | None, expected: str
) -> None:
    with fake_orthanc(GOOD) as url:
        assert why(Entrance(url=url, login=login)) == expected


def test_a_port_nobody_listens_at_is_refused() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    assert why(Entrance(url=f"http://{USER}:{PASSWORD}@127.0.0.1:{port}")) == "refused"


def test_a_host_without_an_address_is_unknown() -> None:
    assert why(Entrance(url="http://no-such-host.invalid:8042")) == "unknown-host"


@pytest.mark.parametrize("answer", [{"name": "a printer"}, b"<html>", 404, 500])
def test_somebody_else_is_not_orthanc(answer: object) -> None:
    with fake_orthanc({"/system": answer}, password=None) as url:
        assert why(Entrance(url=url)) == "not-orthanc"


def test_a_forbidding_proxy_is_not_a_wrong_password() -> None:
    with fake_orthanc({"/system": 403}) as url:
        assert why(Entrance(url=url, login=(USER, PASSWORD))) == "forbidden"


def test_a_port_without_https_is_told_from_a_wrong_certificate(tmp_path: Path) -> None:
    issuer = make_issuer(tmp_path, "issuer")
    own, other = (make_holder(tmp_path, name, issuer) for name in ("own", "other"))
    login = (USER, PASSWORD)
    with fake_orthanc(GOOD, certificate=(own.certificate, own.key)) as url:
        wrong = why(Entrance(url=url, login=login, fingerprint=fingerprint_of(other.certificate)))
        unknown = why(Entrance(url=url, login=login))
        right = Entrance(url=url, login=login, fingerprint=fingerprint_of(own.certificate))
        with closing(OrthancRest(right)) as rest:
            told = rest.system()
    with fake_orthanc(GOOD) as url:
        clear = why(Entrance(url=url.replace("http:", "https:"), login=login))

    assert (wrong, unknown, clear) == ("certificate", "certificate", "no-https")
    assert told == SYSTEM

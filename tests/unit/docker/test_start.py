"""What a container runs first: secrets made once, the site's own before ours, no password in a configuration."""

import json
import os
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from docker.start import (
    Places,
    ensure_certificate,
    ensure_password,
    main,
    node_program,
    orthanc_program,
    read_template,
    users_of,
)
from inference.domain.errors import ConfigurationInvalid
from orthanc_plugin.node.orthanc_config import (
    OrthancOptions,
    Peer,
    StaffMember,
    configuration_of,
)
from tests.orthanc_process import REPOSITORY_ROOT

SHIPPED = REPOSITORY_ROOT / "docker" / "orthanc.json"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    for name in ("secrets", "given", "certificate", "run"):
        (tmp_path / name).mkdir()
    template = tmp_path / "orthanc.json"
    template.write_text(
        json.dumps({"AuthenticationEnabled": True, "Habitus": {"Roles": {"habitus": "admin"}}})
    )
    return Places(
        secrets=tmp_path / "secrets",
        given=tmp_path / "given",
        certificate=tmp_path / "certificate",
        template=template,
        settings=tmp_path / "habitus.toml",
        run=tmp_path / "run",
    )


def users_given(places: Places) -> dict[str, str]:
    """To Orthanc, when its container starts."""
    _, path = orthanc_program(places, {}).words
    return dict(json.loads(Path(path).read_text())["RegisteredUsers"])


@pytest.fixture(autouse=True)
def _umask() -> Iterator[None]:
    previous = os.umask(0o077)
    yield
    os.umask(previous)


def test_orthanc_is_started_with_a_password_for_each_role(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    users = users_given(places)

    said = capsys.readouterr().err
    assert users == {"habitus": places.password_of("habitus").read_text().strip()}
    assert len(users["habitus"]) >= 32
    assert users["habitus"] not in said
    assert str(places.password_of("habitus")) in said
    assert "RegisteredUsers" not in places.template.read_text()


def test_a_second_start_makes_nothing_anew(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    users_given(places)
    first = {path: path.read_bytes() for path in places.template.parent.rglob("*.password")}
    certificate = (places.certificate / "habitus.crt").read_bytes()
    capsys.readouterr()

    users_given(places)

    assert {path: path.read_bytes() for path in first} == first
    assert (places.certificate / "habitus.crt").read_bytes() == certificate
    assert capsys.readouterr().err == ""


def test_the_sites_own_secret_comes_before_ours(
    places: Places, capsys: pytest.CaptureFixture[str]
) -> None:
    (places.given / "habitus.password").write_text("of the site\n")

    assert users_given(places) == {"habitus": "of the site"}
    assert places.password_of("habitus").read_text() == "of the site\n"
    assert "password" not in capsys.readouterr().err
    (places.given / "habitus.password").write_text("a new one of the site")
    node_program(places, {})
    assert places.password_of("habitus").read_text() == "a new one of the site\n"


def test_a_secret_that_may_not_be_read_says_whose_it_should_be(places: Places) -> None:
    # A folder of that name: root reads every file.
    (places.given / "habitus.password").mkdir()

    with pytest.raises(ConfigurationInvalid, match=rf"user {os.getuid()} may read.*chown"):
        users_given(places)


def test_the_node_is_started_as_a_unit_of_its_own(places: Places) -> None:
    program = node_program(places, {"PATH": "/bin"})

    assert program.environment == {"PATH": "/bin"}
    assert list(program.words)[1:] == [
        *("-m", "orthanc_plugin.node", "--standalone", "--settings"),
        str(places.settings),
    ]
    assert places.password_of("habitus").exists()


def test_an_empty_secret_is_refused(places: Places) -> None:
    (places.given / "habitus.password").write_text("\n")

    with pytest.raises(ConfigurationInvalid, match=r"empty habitus\.password"):
        users_given(places)


def with_habitus(**further: object) -> str:
    return json.dumps({"Habitus": {"Roles": {"habitus": "admin"}}, **further})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('{\n"a": 1\n"b": 2}', r"cannot be read \(line 3\)"),
        ("[]", "without a section Habitus"),
        ('{"Habitus": null}', "without a section Habitus"),
        (
            with_habitus(AuthenticationEnabled=True, RegisteredUsers={"a": "b"}),
            "found RegisteredUsers",
        ),
        (with_habitus(AuthenticationEnabled=False), "AuthenticationEnabled"),
        (with_habitus(), "AuthenticationEnabled"),
    ],
)
def test_a_configuration_that_is_none_is_told(text: str, told: str, places: Places) -> None:
    places.template.write_text(text)

    with pytest.raises(ConfigurationInvalid, match=told):
        read_template(places.template)


@pytest.mark.parametrize(
    ("roles", "told"),
    [
        ({"habitus": "admin", "../x": "admin"}, "a user"),
        ({"habitus": "admin", "vera": "surgeon"}, "the role 'surgeon' of vera"),
        ({"admin": "admin"}, "without the user habitus"),
        ({"habitus": "viewer"}, "without the user habitus"),
        (["habitus"], "without the user habitus"),
        (None, "without the user habitus"),
    ],
)
def test_users_that_cannot_be_are_told(roles: object, told: str) -> None:
    with pytest.raises(ConfigurationInvalid, match=told):
        users_of({"Habitus": {"Roles": roles}})


def test_users_are_whoever_has_a_role() -> None:
    roles = {"habitus": "admin", "dr_a-b": "viewer", "nobody": "none"}

    assert users_of({"Habitus": {"Roles": roles}}) == list(roles)


def test_a_password_is_for_its_owner_alone(places: Places) -> None:
    ensure_password(places, "admin")

    path = places.password_of("admin")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(places.secrets.iterdir()) == [path]


def test_the_certificate_names_the_server(places: Places) -> None:
    ensure_certificate(places.certificate, "ct.hospital.example")

    shown = subprocess.run(
        ["openssl", "x509", "-in", str(places.certificate / "habitus.crt"), "-noout", "-text"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "CN = ct.hospital.example" in shown or "CN=ct.hospital.example" in shown
    assert "DNS:ct.hospital.example, DNS:localhost, IP Address:127.0.0.1" in shown


def test_another_name_gets_another_certificate_but_the_sites_own_stays(places: Places) -> None:
    certificate = places.certificate / "habitus.crt"
    ensure_certificate(places.certificate, "one.example")
    first = certificate.read_bytes()

    ensure_certificate(places.certificate, "one.example")
    assert certificate.read_bytes() == first
    ensure_certificate(places.certificate, "two.example")
    second = certificate.read_bytes()
    assert second != first
    certificate.write_bytes(first)
    ensure_certificate(places.certificate, "three.example")
    assert certificate.read_bytes() == first


@pytest.mark.parametrize("name", ["", "no such host!", "a,b", "-x", "x" * 65, "a/b"])
def test_a_server_name_that_is_none_is_told(name: str, places: Places) -> None:
    with pytest.raises(ConfigurationInvalid, match="HABITUS_SERVER_NAME in"):
        ensure_certificate(places.certificate, name)
    assert list(places.certificate.iterdir()) == []


@pytest.mark.parametrize("command", [[], ["sh"], ["orthanc", "--verbose"]])
def test_another_command_is_told(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    os.umask(0o022)

    assert main(command) == 2
    assert "wanted orthanc or node" in capsys.readouterr().err
    # Whatever a container writes is for its user alone.
    assert os.umask(0o077) == 0o077


def test_the_shipped_configuration_is_as_strict_as_the_one_that_is_written() -> None:
    shipped = json.loads(SHIPPED.read_text())
    options = OrthancOptions(
        storage_folder=Path("/var/lib/habitus-images"),
        settings_path=Path("/etc/habitus/habitus.toml"),
        node_python=Path("/opt/habitus/.venv/bin/python"),
        peers=(
            Peer(
                name="scanner", ae_title="SCANNER", host="scanner.example", port=104, may_store=True
            ),
            Peer(name="pacs", ae_title="PACS", host="pacs.example", port=104),
        ),
        is_remote_access_allowed=True,
        node="standalone",
        staff=(StaffMember(user="admin", role="admin"), StaffMember(user="reader", role="viewer")),
    )
    written = configuration_of(options, "")

    # Passwords are added at the start, paths are those of the image, and OHIF needs DICOMweb.
    for own in ("RegisteredUsers", "PythonScript"):
        written.pop(own)
    assert shipped.pop("PythonScript") == "/opt/habitus/orthanc_plugin/entry/habitus_plugin.py"
    assert shipped.pop("DicomWeb")["Root"] == "/dicom-web/"
    assert shipped["Plugins"].pop() == "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
    assert shipped == written

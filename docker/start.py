"""What each container runs first: secrets and certificate that are missing are made, then Orthanc or the node takes over."""

import fcntl
import hashlib
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid, HabitusError
from orthanc_plugin.inside.guard import Role
from orthanc_plugin.node.orthanc_config import environment_of

ORTHANC = "/usr/sbin/Orthanc"
SERVER_NAME = "HABITUS_SERVER_NAME"
NODE_USER = "habitus"
ROLES = frozenset(role.name.lower() for role in Role)
USER = re.compile(r"[A-Za-z0-9_-]{1,64}")
HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,62}[A-Za-z0-9])?")
CERTIFICATE_DAYS = 825
"""The longest that browsers take."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Places:
    """Of a container's volumes and mounts."""

    secrets: Path = Path("/var/lib/habitus-secrets")
    given: Path = Path("/run/secrets")
    """Where Docker puts secrets of the site's own; a file there comes before ours."""
    certificate: Path = Path("/var/lib/habitus-certificate")
    template: Path = Path("/etc/habitus/orthanc.json")
    settings: Path = Path("/etc/habitus/habitus.toml")
    run: Path = Path("/tmp")  # noqa: S108 # the one writable folder of a container, and nobody else's

    def password_of(self, user: str) -> Path:
        """Where Orthanc, the node and the demo look for it."""
        return self.secrets / f"{user}.password"


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """What takes the container's first process over."""

    words: tuple[str, ...]
    environment: Mapping[str, str]


def main(command: Sequence[str]) -> int:
    """Start as the container's command says; returns only where that fails."""
    os.umask(0o077)
    try:
        match command:
            case ["orthanc"]:
                program = orthanc_program(Places(), os.environ)
            case ["node"]:
                program = node_program(Places(), os.environ)
            case _:
                raise ConfigurationInvalid(
                    found=f"the command {' '.join(command) or '(none)'!r:.60}",
                    wanted="orthanc or node",
                    advice="For anything else: docker compose run --rm --entrypoint habitus node --help.",
                )
    except HabitusError as error:
        sys.stderr.write(f"start: {error}\n")
        return error.exit_status
    os.execve(program.words[0], program.words, program.environment)  # noqa: S606 # a fixed program


def orthanc_program(places: Places, environment: Mapping[str, str]) -> Program:
    """With all users of the configuration, whose passwords never lie in it."""
    template = read_template(places.template)
    users = users_of(template)
    with _alone(places.secrets):
        for user in users:
            ensure_password(places, user)
        ensure_certificate(places.certificate, environment.get(SERVER_NAME, "localhost"))
    passwords = {user: _read(places.password_of(user)) for user in users}
    configuration = places.run / "orthanc.json"
    configuration.write_text(json.dumps(template | {"RegisteredUsers": passwords}))
    return Program(
        words=(ORTHANC, str(configuration)),
        environment=environment_of(environment),
    )


def node_program(places: Places, environment: Mapping[str, str]) -> Program:
    """It waits itself for an Orthanc that is away."""
    with _alone(places.secrets):
        ensure_password(places, NODE_USER)
    module = ("-m", "orthanc_plugin.node", "--standalone")
    return Program(
        words=(sys.executable, *module, "--settings", str(places.settings)),
        environment=environment,
    )


def read_template(path: Path) -> dict[str, Any]:
    """Orthanc's configuration as the site mounted it; raises ConfigurationInvalid."""
    try:
        template = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as exc:
        place = (
            f"line {exc.lineno}" if isinstance(exc, json.JSONDecodeError) else type(exc).__name__
        )
        raise _not_a_template(f"{path} that cannot be read ({place})") from exc
    if not isinstance(template, dict) or not isinstance(template.get("Habitus"), dict):
        raise _not_a_template(f"{path} without a section Habitus")
    if template.get("RegisteredUsers"):
        raise ConfigurationInvalid(
            found="RegisteredUsers in orthanc.json",
            wanted="users under Habitus.Roles, and no password in a configuration",
            advice="Leave RegisteredUsers out; a password of your own is the file /run/secrets/USER.password.",
        )
    if template.get("AuthenticationEnabled") is not True:
        raise ConfigurationInvalid(
            found="AuthenticationEnabled that is not true",
            wanted="true: other containers and hosts reach this Orthanc",
            advice="Set it back to true.",
        )
    return template


def _not_a_template(found: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        found=found,
        wanted="Orthanc's configuration as JSON, without comments",
        advice="Start from docker/orthanc.json; see HABITUS_ORTHANC_JSON in .env.",
    )


def users_of(template: dict[str, Any]) -> list[str]:
    """Whoever has a role has a password; the node itself needs one."""
    roles = template["Habitus"].get("Roles")
    if not isinstance(roles, dict) or roles.get(NODE_USER) != "admin":
        raise ConfigurationInvalid(
            found=f"Habitus.Roles without the user {NODE_USER} as admin",
            wanted=f'users with their roles, "{NODE_USER}": "admin" among them',
            advice="The node enters Orthanc by this name: put it back.",
        )
    for user, role in roles.items():
        if not USER.fullmatch(user):
            raise ConfigurationInvalid(
                found=f"a user {user!r:.40} under Habitus.Roles",
                wanted="letters, digits, dashes and underscores: the password's file has this name",
                advice="Rename it in orthanc.json.",
            )
        if role not in ROLES:
            raise ConfigurationInvalid(
                found=f"the role {role!r:.40} of {user} under Habitus.Roles",
                wanted=f"one of {', '.join(sorted(ROLES))}",
                advice="Mend it in orthanc.json.",
            )
    return list(roles)


def ensure_password(places: Places, user: str) -> None:
    """The site's own, taken anew at each start; else one made once, then kept. Where it lies is said once."""
    path, given = places.password_of(user), places.given / f"{user}.password"
    if given.exists():
        _write(path, _read(given))
    elif not path.exists():
        _write(path, secrets.token_urlsafe(24))
        _say(f"made a password for {user}: docker compose exec orthanc cat {path}")


def ensure_certificate(folder: Path, name: str) -> None:
    """Signed by itself, and made again for another name, until the site puts its own habitus.crt and habitus.key there."""
    if not HOST_NAME.fullmatch(name):
        raise ConfigurationInvalid(
            found=f"the name {name!r:.60} for the server",
            wanted="a host name of at most 64 letters, digits, dots and dashes",
            advice=f"Set {SERVER_NAME} in .env.",
        )
    key, certificate, ours = (folder / f"habitus.{end}" for end in ("key", "crt", "made"))
    if key.exists() and certificate.exists():
        made = ours.read_text(encoding="ascii").split() if ours.exists() else []
        if made[:1] != [_hash(certificate)] or made[1:] == [name]:
            return
    drafts = folder / "draft.key", folder / "draft.crt"
    _make_certificate(*drafts, name)
    ours.write_text(f"{_hash(drafts[1])} {name}\n", encoding="ascii")
    drafts[1].replace(certificate)
    # Last: the viewer waits for it.
    drafts[0].replace(key)
    _say(
        f"made a certificate for {name}, signed by itself, which browsers doubt: docs/docker.md says how yours takes its place"
    )


def _make_certificate(key: Path, certificate: Path, name: str) -> None:
    names = f"subjectAltName=DNS:{name},DNS:localhost,IP:127.0.0.1"
    made = subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
            *("-nodes", "-days", str(CERTIFICATE_DAYS), "-subj", f"/CN={name}", "-addext", names),
            *("-keyout", str(key), "-out", str(certificate)),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode != 0:
        raise ConfigurationInvalid(
            found=f"openssl that ended with {made.returncode}: {made.stderr.strip()[-200:]}",
            wanted=f"a certificate for {name}",
            advice="Is there room on the volume?",
        )


def _hash(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _write(path: Path, password: str) -> None:
    draft = path.with_suffix(".draft")
    draft.write_text(f"{password}\n", encoding="utf-8")
    draft.replace(path)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Both containers may come first."""
    try:
        with (folder / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except PermissionError as exc:
        raise ConfigurationInvalid(
            found=f"{folder} that user {os.getuid()} may not write to",
            wanted="a volume of that user",
            advice=f"chown -R {os.getuid()}:{os.getgid()} the folder on the host, or use the named volumes of compose.yaml.",
        ) from exc


def _read(path: Path) -> str:
    try:
        password = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationInvalid(
            found=f"a secret {path} that cannot be read ({type(exc).__name__})",
            wanted=f"a file in UTF-8 that user {os.getuid()} may read",
            advice=f"On the host: chown {os.getuid()} the file, chmod 400.",
        ) from exc
    if not password:
        raise ConfigurationInvalid(
            found=f"an empty {path.name}",
            wanted="a password",
            advice="Write one into the secret, or remove an empty file of the volume to have one made.",
        )
    return password


def _say(text: str) -> None:
    sys.stderr.write(f"habitus: {text}\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

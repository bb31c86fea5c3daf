"""nginx in front of OHIF's files and an Orthanc, on loopback, in the foreground of whoever starts it."""

import base64
import os
import pwd
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import requests

from inference.domain.errors import ConfigurationInvalid
from viewer.install import SITE
from viewer.orthanc_access import OrthancAccess, write_private

TEMPLATE = Path(__file__).with_name("nginx.conf.template")
APP_CONFIG = Path(__file__).with_name("app-config.js")
CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"
START_LIMIT_S = 20.0
ORTHANC_URL = re.compile(r"https?://[A-Za-z0-9.\-\[\]:]+")
"""Scheme, host and port: what nginx may be told without quoting."""


@contextmanager
def running_viewer(
    orthanc: OrthancAccess, *, port: int, folder: Path, site: Path = SITE
) -> Iterator[str]:
    """The viewer's address while nginx runs; whoever reaches it reads images with Orthanc's password."""
    configuration = write_nginx_configuration(orthanc, port=port, folder=folder, site=site)
    nginx = shutil.which("nginx") or "/usr/sbin/nginx"
    log = folder / "error.log"
    with (folder / "nginx.out").open("ab") as out:
        process = subprocess.Popen(
            [nginx, "-e", str(log), "-p", f"{folder}/", "-c", str(configuration)],
            stdout=out,
            stderr=subprocess.STDOUT,
            # Ctrl-C ends whoever waits here, and that ends nginx.
            start_new_session=True,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        _wait(process, url, folder)
        yield url
    finally:
        process.terminate()
        process.wait(10)


def write_nginx_configuration(
    orthanc: OrthancAccess, *, port: int, folder: Path, site: Path
) -> Path:
    """nginx.conf, and beside it what holds the password, for the owner's eyes only."""
    if not ORTHANC_URL.fullmatch(orthanc.url):
        raise ConfigurationInvalid(
            found=f"Orthanc's address {orthanc.url!r:.80}",
            wanted="http://host:port or https://host:port",
            advice="Give scheme, host and port only; user and password go into options of their own.",
        )
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    proxy = folder / "proxy.conf"
    write_private(proxy, _proxy_directives(orthanc))
    words = {
        "USER": _user_directive(),
        "FOLDER": _unquoted(folder.resolve()),
        "PORT": str(port),
        "SITE": _unquoted(site.resolve()),
        "ORTHANC": orthanc.url,
        "PROXY": _unquoted(proxy.resolve()),
        "APP_CONFIG": _unquoted(APP_CONFIG),
    }
    text = TEMPLATE.read_text(encoding="utf-8")
    path = folder / "nginx.conf"
    write_private(path, re.sub(r"@([A-Z_]+)@", lambda found: words[found[1]], text))
    return path


def _proxy_directives(orthanc: OrthancAccess) -> str:
    lines = [
        "proxy_http_version 1.1;",
        'proxy_set_header Connection "";',
        # Orthanc's DICOMweb builds the addresses of bulk data from these.
        "proxy_set_header Host $http_host;",
        'proxy_set_header Forwarded "host=$http_host;proto=$scheme";',
        "proxy_read_timeout 300s;",
    ]
    if orthanc.user:
        pair = f"{orthanc.user}:{orthanc.password}".encode()
        lines.append(f'proxy_set_header Authorization "Basic {base64.b64encode(pair).decode()}";')
    if orthanc.url.startswith("https"):
        lines += [
            "proxy_ssl_server_name on;",
            "proxy_ssl_verify on;",
            f"proxy_ssl_trusted_certificate {CERTIFICATES};",
        ]
    return "\n".join(lines) + "\n"


def _user_directive() -> str:
    """Started by root, nginx would change to a user who may not read the checkout."""
    return f"user {pwd.getpwuid(0).pw_name} root;" if os.geteuid() == 0 else ""


def _unquoted(path: Path) -> str:
    if re.search(r"[\s;{}\"'$\\]", str(path)):
        raise ConfigurationInvalid(
            found="a folder whose name has a space, quote, dollar sign, brace or semicolon",
            wanted="a path that nginx takes as it is",
            advice="Move the checkout to a folder with a plain name.",
        )
    return str(path)


def _wait(process: "subprocess.Popen[bytes]", url: str, folder: Path) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    with requests.Session() as session:
        session.trust_env = False
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if session.get(f"{url}/app-config.js", timeout=2).ok:
                    return
            except requests.RequestException:
                time.sleep(0.1)
    raise ConfigurationInvalid(
        found="an nginx that does not answer",
        wanted=f"the viewer at {url} within {START_LIMIT_S:.0f} s",
        advice=f"See {folder / 'error.log'} and {folder / 'nginx.out'}; the port may be taken.",
    )

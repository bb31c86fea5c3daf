"""The Docker commands of the README, as they stand there, and a `docker` that podman plays."""

import re
import shlex
from pathlib import Path

from tests.containers.engine import ROOT
from tests.containers.private_host import PrivateHost

HEADING = "## With Docker"
BLOCK = re.compile(r"```\n(.*?)```", re.DOTALL)
SHIM = """#!/bin/sh
# Plays `docker compose`: builds in the machine's own network, everything else on a host of its own.
[ "$1" = compose ] || {{ echo "docker: only compose is played" >&2; exit 2; }}
shift
case " $* " in
  *" build "*) exec podman-compose --podman-build-args={options} "$@" ;;
  *) exec {entered} sh -c 'cd "$0" && exec podman-compose "$@"' "$PWD" "$@" ;;
esac
"""


def commands_of(readme: str) -> list[str]:
    """Of the first block under the heading, without remarks."""
    _, found, rest = readme.partition(f"\n{HEADING}\n")
    block = BLOCK.search(rest)
    assert found
    assert block, f"no commands under {HEADING}"
    lines = (line.split("  #")[0].strip() for line in block[1].splitlines())
    return [line for line in lines if line]


def write_shim(host: PrivateHost, folder: Path) -> Path:
    """A folder for PATH with nothing but that docker."""
    folder.mkdir(exist_ok=True)
    docker = folder / "docker"
    options = shlex.quote(" ".join(host.engine.build_options()))
    entered = shlex.join(host.entered())
    docker.write_text(SHIM.format(options=options, entered=entered))
    docker.chmod(0o755)
    return folder


def readme_commands() -> list[str]:
    """Of this repository."""
    return commands_of((ROOT / "README.md").read_text(encoding="utf-8"))

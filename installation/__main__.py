"""python3 -m installation: installs a node without Docker, upgrades it, rolls it back, removes it, packs it."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid, HabitusError
from installation import steps
from installation.bundle import add_bundle_options, make_bundle
from installation.places import PREFIX, Places
from installation.release import Wanted
from installation.site_files import (
    PACS_AS_EXAMPLE,
    SENDER_AS_EXAMPLE,
    Site,
    peer_of,
)
from installation.units import LIVES

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = """\
examples:
  python3 -m installation install                                  into /opt/habitus, inside Orthanc
  python3 -m installation install --life standalone --extra gpu    a unit of its own, with CUDA
  python3 -m installation install --pacs PACS@10.0.0.8:104 --sender CT1@10.0.0.7:104
  python3 -m installation install --destdir /tmp/package           files for another machine
  python3 -m installation upgrade                                  this tree becomes the release in use
  python3 -m installation roll-back                                back to the release before
  python3 -m installation status
  python3 -m installation uninstall [--purge]                      settings and data go by --purge alone

docs/install.md tells the whole way; make install, upgrade, roll-back and uninstall call this.
exit status: 0 done · 1 nothing installed (status) · 2 something has to be done first, which is printed
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns the exit status."""
    options = build_parser().parse_args(arguments)
    # Others may read the program; what holds secrets is made closed.
    os.umask(0o022)
    try:
        return _done(options)
    except HabitusError as error:
        sys.stderr.write(f"{options.command}: {error}\n")
        return error.exit_status
    except OSError as error:
        sys.stderr.write(
            f"{options.command}: found {error.filename or 'a file'}: {error.strerror}; wanted to write there. See its rights and the space on disk.\n"
        )
        return 2
    except KeyboardInterrupt:
        return 130


def build_parser() -> argparse.ArgumentParser:
    """All commands."""
    parser = argparse.ArgumentParser(
        prog="python3 -m installation",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(required=True, dest="command", metavar="COMMAND")
    for name, text in (
        ("install", "install what is missing"),
        ("upgrade", "make this tree the release in use; settings, journal and data stay"),
        ("roll-back", "go back to the release before"),
        ("uninstall", "remove program and units; settings and data stay"),
        ("status", "say what is installed"),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument(
            "--prefix", type=Path, default=PREFIX, help=f"folder of Habitus (default: {PREFIX})"
        )
        command.add_argument(
            "--destdir", type=Path, default=Path("/"), help="stands for / while a package is made"
        )
        if name in ("install", "upgrade"):
            _add_release_options(command)
    commands.choices["install"].add_argument(
        "--pacs", default="", metavar="AET@HOST:PORT", help="who gets the results"
    )
    commands.choices["install"].add_argument(
        "--sender", default="", metavar="AET@HOST:PORT", help="who may send to us"
    )
    commands.choices["uninstall"].add_argument(
        "--purge", action="store_true", help="settings, passwords, journal, results and images, too"
    )
    add_bundle_options(
        commands.add_parser("bundle", help="pack everything for a machine without a network")
    )
    return parser


def _add_release_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("--extra", default="cpu", help="cpu (default), gpu or gpu-cuda12")
    command.add_argument(
        "--life", default="", choices=("", *LIVES), help="embedded (default) or standalone"
    )
    command.add_argument(
        "--wheels", type=Path, help="folder of wheels, for a machine without a network"
    )
    command.add_argument("--release", default="", help="another name for this release")


def _done(options: argparse.Namespace) -> int:
    if options.command == "bundle":
        make_bundle(options, ROOT)
        return 0
    request = _request(options)
    if options.command == "status":
        return steps.status(request)
    if options.command == "uninstall":
        steps.uninstall(request, purge=options.purge)
    elif options.command == "roll-back":
        steps.go_back(request)
    elif options.command == "upgrade":
        steps.upgrade(request)
    else:
        steps.install(request)
    return 0


def _request(options: argparse.Namespace) -> steps.Request:
    if not options.prefix.is_absolute() or any(c in str(options.prefix) for c in ' "\\%$\n'):
        raise ConfigurationInvalid(
            found=f"prefix {str(options.prefix)!r:.60}",
            wanted="an absolute path without blanks, quotes, backslashes, % and $",
            advice="systemd's units name it: choose one such as /opt/habitus.",
        )
    given = vars(options)
    pacs, sender = given.get("pacs", ""), given.get("sender", "")
    life, extra = given.get("life", ""), given.get("extra", "cpu")
    return steps.Request(
        places=Places(prefix=options.prefix, destdir=options.destdir.resolve()),
        wanted=Wanted(
            source=ROOT, extra=extra, wheels=given.get("wheels"), name=given.get("release", "")
        ),
        site=Site(
            life=life or "embedded",
            extra=extra,
            pacs=peer_of(pacs, name="pacs", may_store=False) if pacs else PACS_AS_EXAMPLE,
            sender=peer_of(sender, name="scanner", may_store=True) if sender else SENDER_AS_EXAMPLE,
        ),
        life=life,
    )


if __name__ == "__main__":
    sys.exit(main())

"""make install, a CT, upgrade over a queue, roll-back, uninstall, purge: in a bare Debian root."""

import hashlib
import sys
import time
from pathlib import Path

from tests.installation.bare_root import BareRoot, bare_root, copy_tree

REPOSITORY = Path(__file__).resolve().parents[2]
TREE = "/root/habitus"
SITE_FILES = ("habitus.toml", "orthanc.json", "orthanc.password")
KEPT = ("/etc/habitus", "/var/lib/habitus", "/var/lib/orthanc/habitus")
INSIDE = f"cd {TREE} && /opt/habitus/current/.venv/bin/python -B -m tests.installation.inside"
PEERS = "PACS=PACS@127.0.0.1:11112 SENDER=SCANNER@127.0.0.1:104"


def try_installation(work: Path) -> None:
    """Ends with a status other than 0 at the first thing that is not as it should be."""
    with bare_root(work) as root:
        copy_tree(REPOSITORY, root.path(TREE))
        told(
            root,
            "apt-get update -qq && apt-get install -y -qq --no-install-recommends make >/dev/null 2>&1",
        )
        first = told(root, f"cd {TREE} && make install {PEERS}")
        wanted("made      /etc/habitus/orthanc.json" in first, "a configuration")
        check_secrets(root, first)
        again = told(root, f"cd {TREE} && make install {PEERS}")
        wanted("made" not in again and "release" not in again, "nothing done twice")
        settings = root.path("/etc/habitus/habitus.toml")
        settings.write_text(settings.read_text() + "\n[intake]\nquiet_s = 3.0\n")
        for number in range(1, 6):
            told(
                root,
                f"habitus synth /root/ct{number} --seed {1_000_000 + number}",
                has_network=False,
            )
        told(root, f"{INSIDE} first", has_network=False)
        queue = told(root, f"{INSIDE} leave-a-queue", has_network=False)
        wanted("'done': 1" in queue, "a queue that is left behind")
        before = sums(root)
        told(root, f"cd {TREE} && make upgrade RELEASE=next")
        wanted(in_use(root) == "next", "the other release")
        wanted(sums(root) == before, "settings that stay as they were")
        told(root, f"{INSIDE} take-up", has_network=False)
        told(root, f"cd {TREE} && make roll-back")
        wanted(in_use(root) != "next", "the former release")
        told(root, f"{INSIDE} after-roll-back", has_network=False)
        check_closed(root)
        before = change_life(root)
        told(root, f"{INSIDE} standalone", has_network=False)
        told(root, f"cd {TREE} && make uninstall")
        check_removed(root)
        wanted(sums(root) == before, "settings that stay after uninstalling")
        wanted(root.path("/var/lib/habitus/journal.db").is_file(), "the journal")
        told(root, f"cd {TREE} && make uninstall PURGE=1")
        wanted(not any(root.path(folder).exists() for folder in KEPT), "nothing after a purge")
    sys.stdout.write("all as it should be\n")


def change_life(root: BareRoot) -> list[str]:
    """As docs/two-lives.md says; the sums of the site's files afterwards."""
    configuration = root.path("/etc/habitus/orthanc.json")
    text = configuration.read_text()
    configuration.write_text(text.replace('"Node": "embedded"', '"Node": "standalone"'))
    told(root, f"cd {TREE} && make install LIFE=standalone")
    return sums(root)


def told(root: BareRoot, script: str, *, has_network: bool = True) -> str:
    """Run it, show what it says and how long it took; ends the trial when it fails."""
    started = time.monotonic()
    done = root.run(script, has_network=has_network)
    sys.stdout.write(f"$ {script}\n{done.stdout}  [{time.monotonic() - started:.0f} s]\n")
    sys.stdout.flush()
    wanted(done.returncode == 0, f"exit status 0, not {done.returncode}")
    return done.stdout


def wanted(is_so: bool, what: str) -> None:
    """End the trial where it is not so."""
    if not is_so:
        sys.exit(f"installation trial: wanted {what}")


def sums(root: BareRoot) -> list[str]:
    """Of the site's own files."""
    return [
        hashlib.sha256(root.path(f"/etc/habitus/{name}").read_bytes()).hexdigest()
        for name in SITE_FILES
    ]


def in_use(root: BareRoot) -> str:
    """The release that `current` points to."""
    return root.path("/opt/habitus/current").readlink().name


def check_secrets(root: BareRoot, said: str) -> None:
    """The password is in its file and in Orthanc's, and nowhere else."""
    password = root.path("/etc/habitus/orthanc.password").read_text().strip()
    wanted(password not in said, "a password that is not printed")
    wanted(password in root.path("/etc/habitus/orthanc.json").read_text(), "Orthanc's password")
    wanted(password not in root.path("/etc/habitus/habitus.toml").read_text(), "no password there")


def check_closed(root: BareRoot) -> None:
    """Others may read nothing of what holds passwords, images or results."""
    for folder in KEPT:
        wanted(root.path(folder).stat().st_mode & 0o007 == 0, f"{folder} closed to others")
    for name in SITE_FILES:
        wanted(
            root.path(f"/etc/habitus/{name}").stat().st_mode & 0o137 == 0, f"mode 0640 of {name}"
        )


def check_removed(root: BareRoot) -> None:
    """No program, unit or command."""
    left = [
        path
        for path in (
            "/opt/habitus",
            "/usr/local/bin/habitus",
            "/etc/systemd/system/orthanc.service.d",
        )
        if root.path(path).is_symlink() or root.path(path).exists()
    ]
    wanted(left == [], f"nothing left of the program, not {left}")

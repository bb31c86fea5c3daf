"""install, upgrade, roll-back, uninstall and status, each told line by line."""

import json
import shutil
import sys
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from installation.in_use import finished, in_use, previous, remove_others, roll_back, take
from installation.machine import (
    NODE,
    ORTHANC,
    active_units,
    has_systemd,
    owner_on,
    standstill,
    systemctl,
)
from installation.places import (
    COMMAND,
    DATA,
    ORTHANC_CONFIGURATION,
    PASSWORD,
    SETTINGS,
    SETTINGS_FOLDER,
    STORAGE,
    USER,
    Places,
)
from installation.release import MARK, Wanted, build, carry_own_models
from installation.site_files import Site, make_site_files
from installation.units import (
    EMBEDDED,
    STANDALONE,
    check_life,
    check_no_other_installation,
    install_units,
    life_of,
    remove_units,
)

DOCTOR = f"runuser -u {USER} -- habitus doctor --settings {SETTINGS} --orthanc-config {ORTHANC_CONFIGURATION}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What was asked for."""

    places: Places
    wanted: Wanted
    site: Site
    life: str = ""
    """Empty: as it is installed, or embedded."""


def install(request: Request) -> None:
    """Everything that is missing; a second time changes nothing."""
    places = request.places
    owner = owner_on(places)
    _check_command(places)
    check_no_other_installation(places)
    life = request.life or life_of(places) or EMBEDDED
    check_life(life, places)
    release = build(request.wanted, places)
    made = make_site_files(replace(request.site, life=life), places, owner)
    changed = _put_in_use(request, release, life)
    for path in made:
        say("made", f"{path} (mode 0640, root:{USER})")
    for path in changed:
        say("unit", str(path))
    if ORTHANC_CONFIGURATION not in made and request.site.names_addresses:
        say("kept", f"{ORTHANC_CONFIGURATION}: the addresses in it, not the ones given now")
    if PASSWORD in made:
        say("password", f"of the user habitus: in {PASSWORD}")
    _say_what_is_next(request, life, is_new=ORTHANC_CONFIGURATION in made)


def upgrade(request: Request) -> None:
    """Another release for an installation that is there; settings, journal and data stay."""
    places = request.places
    owner_on(places)
    before = in_use(places)
    if not before:
        raise ConfigurationInvalid(
            found=f"no installation in {places.prefix}", wanted="one", advice="Run make install."
        )
    life = request.life or life_of(places) or EMBEDDED
    check_life(life, places)
    release = build(request.wanted, places)
    if release.name == before:
        say("release", f"{before} is in use already")
    changed = _put_in_use(request, release, life)
    for path in changed:
        say("unit", str(path))
    for name in remove_others(places):
        say("removed", f"release {name}")
    if previous(places):
        say("kept", f"release {previous(places)}: make roll-back goes to it")
    _say_what_is_next(request, life, is_new=False)


def go_back(request: Request) -> None:
    """The previous release, with the same settings and data."""
    places = request.places
    owner_on(places)
    life = life_of(places) or EMBEDDED
    before, name = in_use(places), previous(places)
    with standstill(places) as restarted:
        roll_back(places)
        install_units(
            life, places.here(places.releases / name) / "orthanc_plugin" / "systemd", places
        )
        _reload(places)
    for unit in restarted:
        say("restarted", unit)
    say("release", f"{name} instead of {before}")
    _say_what_is_next(request, life, is_new=False)


def uninstall(request: Request, *, purge: bool) -> None:
    """Code and units go; settings and data only by `purge`."""
    places = request.places
    owner_on(places)
    if has_systemd(places):
        # Orthanc too: without our drop-in it would start with Debian's own configuration, which asks for no password.
        for unit in active_units(places):
            systemctl("disable", "--now", unit)
            say("stopped", unit)
    for path in remove_units(places):
        say("removed", str(path))
    _reload(places)
    _remove_program(places)
    _remove_or_keep(places, purge=purge)
    if not purge:
        say("next", "make install takes up what was kept; make uninstall PURGE=1 removes it")


def status(request: Request) -> int:
    """What is installed; 1 where nothing is in use."""
    places = request.places
    current = in_use(places)
    for name in finished(places):
        mark = json.loads(places.here(places.releases / name / MARK).read_text(encoding="utf-8"))
        use = {current: "in use", previous(places): "previous"}.get(name, "not in use")
        say("release", f"{name} ({use}; {mark['extra']}, {mark['installed']})")
    say("life", life_of(places) or "no units installed")
    for path in (SETTINGS, ORTHANC_CONFIGURATION, PASSWORD, DATA, STORAGE):
        say("there" if places.here(path).exists() else "missing", str(path))
    return 0 if current else 1


def say(what: str, text: str) -> None:
    """One line of what was done."""
    sys.stdout.write(f"{what:9} {text}\n")
    sys.stdout.flush()


def _put_in_use(request: Request, release: Path, life: str) -> list[Path]:
    places = request.places
    before = in_use(places)
    folder = places.here(release)
    if before and before != release.name:
        old = places.here(places.releases / before) / "models"
        for name in carry_own_models(old, folder / "models"):
            say("carried", f"models/{name}, of your own")
    # An Orthanc that runs before the first installation is not ours to stop.
    is_change = before not in ("", release.name)
    with standstill(places) if is_change else nullcontext(()) as restarted:
        take(places, release.name)
        changed = install_units(life, folder / "orthanc_plugin" / "systemd", places)
        _reload(places)
    for unit in restarted:
        say("restarted", unit)
    if before != release.name:
        say("release", f"{release.name} in {release}{f', before: {before}' if before else ''}")
    _link_command(places)
    return changed


def _remove_program(places: Places) -> None:
    for link in (places.prefix / "current", places.prefix / "previous", COMMAND):
        if places.here(link).is_symlink():
            places.here(link).unlink()
            say("removed", str(link))
    if places.here(places.releases).is_dir():
        shutil.rmtree(places.here(places.releases))
        say("removed", str(places.releases))
    # What somebody else put beside the releases stays.
    if places.here(places.prefix).is_dir() and not any(places.here(places.prefix).iterdir()):
        places.here(places.prefix).rmdir()


def _remove_or_keep(places: Places, *, purge: bool) -> None:
    for folder in (SETTINGS_FOLDER, DATA, STORAGE):
        if places.here(folder).is_dir():
            if purge:
                shutil.rmtree(places.here(folder))
            say("removed" if purge else "kept", str(folder))


def _check_command(places: Places) -> None:
    link = places.here(COMMAND)
    if link.exists() and not link.is_symlink():
        raise ConfigurationInvalid(
            found=f"a file {COMMAND} that is not ours",
            wanted="a link to the installed habitus, or nothing",
            advice="Move it away.",
        )


def _link_command(places: Places) -> None:
    link = places.here(COMMAND)
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(places.current / "habitus")


def _reload(places: Places) -> None:
    if has_systemd(places):
        systemctl("daemon-reload")


def _say_what_is_next(request: Request, life: str, *, is_new: bool) -> None:
    places = request.places
    if is_new and request.site.has_examples:
        say("next", f"write your scanner's and your PACS's address into {ORTHANC_CONFIGURATION}")
    if places.is_staged:
        say(
            "next",
            f"for one machine alone, since its password is in it; there: chgrp -R {USER} {SETTINGS_FOLDER}",
        )
        say("next", f"and chown -R {USER}: {DATA} {STORAGE}")
    elif not has_systemd(places):
        say("next", "no systemd runs here: (re)start Orthanc yourself, as docs/install.md shows")
    elif is_new:
        units = f"{ORTHANC} {NODE}" if life == STANDALONE else ORTHANC
        say("next", f"systemctl enable --now {units}")
    say("next", DOCTOR)

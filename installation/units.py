"""systemd's units and their drop-ins, which name the paths of this installation."""

import re
from collections.abc import Iterator
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from installation.places import (
    DEBIAN_ORTHANC_FOLDER,
    NODE_UNIT,
    ORTHANC_CONFIGURATION,
    PREFIX,
    UNITS,
    Places,
)

EMBEDDED, STANDALONE = "embedded", "standalone"
LIVES = (EMBEDDED, STANDALONE)
DROP_INS = {
    UNITS / "orthanc.service.d" / "habitus.conf": "drop-ins/orthanc.conf",
    UNITS
    / "orthanc.service.d"
    / "habitus-configuration.conf": "drop-ins/orthanc-configuration.conf",
}
NODE_UNITS = {NODE_UNIT: "habitus-node.service"}


def life_of(places: Places) -> str:
    """Of an installation that is there; empty where there is none."""
    if places.here(NODE_UNIT).exists():
        return STANDALONE
    return EMBEDDED if any(places.here(path).exists() for path in DROP_INS) else ""


def check_life(life: str, places: Places) -> None:
    """Raise ConfigurationInvalid where Orthanc's configuration, which is the site's to change, says another."""
    configuration = places.here(ORTHANC_CONFIGURATION)
    if not configuration.exists():
        return
    named = re.search(r'"Node"\s*:\s*"(\w+)"', configuration.read_text(encoding="utf-8"))
    if named and named.group(1) != life:
        raise ConfigurationInvalid(
            found=f'"Node": "{named.group(1)}" in {ORTHANC_CONFIGURATION}',
            wanted=f'"{life}"',
            advice=f"Change it there, or use LIFE={named.group(1)}.",
        )


def check_no_other_installation(places: Places) -> None:
    """Raise ConfigurationInvalid where Debian's configuration already has a node: our units would put it aside."""
    if places.here(ORTHANC_CONFIGURATION).exists():
        return
    for path in sorted(places.here(DEBIAN_ORTHANC_FOLDER).glob("*.json")):
        if re.search(r'^\s*"Habitus"\s*:', path.read_text("utf-8", "replace"), re.MULTILINE):
            raise ConfigurationInvalid(
                found=f"a section Habitus in {DEBIAN_ORTHANC_FOLDER / path.name}",
                wanted=f"Orthanc's whole configuration in {ORTHANC_CONFIGURATION}",
                advice="docs/install.md says how an installation by hand is taken over.",
            )


def install_units(life: str, shipped: Path, places: Places) -> list[Path]:
    """Write those of this life, remove those of the other; the paths of what changed."""
    wanted = DROP_INS | (NODE_UNITS if life == STANDALONE else {})
    changed = [path for path in _present(places) if path not in wanted]
    for path in changed:
        places.here(path).unlink()
    for path, name in wanted.items():
        text = (shipped / name).read_text(encoding="utf-8")
        text = text.replace(f"{PREFIX}/", f"{places.prefix}/")
        there = places.here(path)
        if there.exists() and there.read_text(encoding="utf-8") == text:
            continue
        there.parent.mkdir(parents=True, exist_ok=True)
        there.write_text(text, encoding="utf-8")
        there.chmod(0o644)
        changed.append(path)
    return changed


def remove_units(places: Places) -> list[Path]:
    """All of them; a folder of drop-ins stays where a site put others into it."""
    gone = list(_present(places))
    for path in gone:
        places.here(path).unlink()
    folder = places.here(UNITS / "orthanc.service.d")
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()
    return gone


def _present(places: Places) -> Iterator[Path]:
    for path in (*DROP_INS, *NODE_UNITS):
        if places.here(path).exists():
            yield path

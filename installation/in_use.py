"""Which release is in use, which was before, and the change from one to the other."""

import shutil
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from installation.places import Places
from installation.release import MARK


def in_use(places: Places) -> str:
    """The release's name; empty where there is none."""
    return _named_by(places, "current")


def previous(places: Places) -> str:
    """What roll-back would go to; empty where there is none."""
    return _named_by(places, "previous")


def finished(places: Places) -> list[str]:
    """All releases that are whole, by name."""
    return sorted(path.parent.name for path in places.here(places.releases).glob(f"*/{MARK}"))


def take(places: Places, name: str) -> None:
    """From now on `current` is that release: one rename, so that there is never none."""
    if name not in finished(places):
        raise ConfigurationInvalid(
            found=f"no finished release {name!r:.60}",
            wanted=f"one of {', '.join(finished(places)) or 'none that is installed'}",
            advice="Run make install.",
        )
    before = in_use(places)
    if before == name:
        return
    _point(places, "current", name)
    if before:
        _point(places, "previous", before)


def roll_back(places: Places) -> str:
    """To the previous release, which then becomes the one to come back to; its name."""
    name = previous(places)
    if not name or name == in_use(places):
        raise ConfigurationInvalid(
            found="no previous release",
            wanted="one that an upgrade has left",
            advice="Install the one you want from its own sources: make upgrade there.",
        )
    take(places, name)
    return name


def remove_others(places: Places) -> list[str]:
    """All releases but the one in use and the one before, unfinished ones too; their names."""
    kept = {in_use(places), previous(places)}
    folder = places.here(places.releases)
    gone = [path for path in sorted(folder.glob("*")) if path.name not in kept]
    for path in gone:
        shutil.rmtree(path)
    return [path.name for path in gone]


def _named_by(places: Places, link: str) -> str:
    path = places.here(places.prefix / link)
    return Path(path.readlink()).name if path.is_symlink() else ""


def _point(places: Places, link: str, name: str) -> None:
    path = places.here(places.prefix / link)
    draft = path.with_name(f".{link}.draft")
    draft.unlink(missing_ok=True)
    draft.symlink_to(Path("releases") / name)
    draft.replace(path)

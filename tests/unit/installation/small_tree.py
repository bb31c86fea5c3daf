"""A tree with every name of the real one and next to nothing in it, and an environment that is made in no time."""

import sys
from pathlib import Path

from installation.release import INSTALLED

ROOT = Path(__file__).parents[3]
FOLDERS = [name for name in INSTALLED if (ROOT / name).is_dir()]


def small_tree(folder: Path, version: str = "1.2.3") -> Path:
    """What release.files_of wants, with the units that are really shipped."""
    folder.mkdir()
    for name in INSTALLED:
        if name in FOLDERS:
            (folder / name).mkdir(parents=True)
            (folder / name / "content.txt").write_text(name)
        else:
            (folder / name).write_text(name)
    (folder / "habitus").chmod(0o700)
    (folder / "pyproject.toml").write_text(f'[project]\nversion = "{version}"\n')
    (folder / "requirements" / "cpu.txt").write_text("# nothing\n")
    shipped = ROOT / "orthanc_plugin" / "systemd"
    for path in shipped.rglob("*"):
        if path.is_file():
            there = folder / "orthanc_plugin" / "systemd" / path.relative_to(shipped)
            there.parent.mkdir(parents=True, exist_ok=True)
            there.write_text(path.read_text())
    return folder


def small_environment(folder: Path, _: str, __: Path | None) -> None:
    """What pip leaves, as far as it names the folder."""
    scripts = folder / ".venv" / "bin"
    scripts.mkdir(parents=True)
    (scripts / "pip").write_text(f"#!{folder}/.venv/bin/python\n")
    (scripts / "python").symlink_to(sys.executable)

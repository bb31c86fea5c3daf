"""Arguments that name a file or folder."""

import argparse
from pathlib import Path


def named_path(name: str) -> Path:
    """An unset variable of the shell ("$STUDY") is no name, but Path would take it for the current folder."""
    if not name:
        raise argparse.ArgumentTypeError("found an empty name, wanted that of a file or folder")
    return Path(name)

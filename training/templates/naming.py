"""How a template is called in what is made from it: name, hash, source and licence."""

import re
from pathlib import Path

from inference.domain.manifest import sha256_of
from training.templates.template import Template

SHOWN_DIGITS = 16
SOURCE_FOLLOWS = "; "
RELATIVES = "relatives of "
"""Begins the source of a template that was made from another one."""

HASH = re.compile(rf"sha256 [0-9a-f]{{{SHOWN_DIGITS}}}")


def hash_and_source(path: Path) -> str:
    """Of a template's file; raises UnreadableInput."""
    source = str(Template.read(path).source)
    return f"sha256 {sha256_of(path)[:SHOWN_DIGITS]}{SOURCE_FOLLOWS}{source}"


def template_in_words(path: Path) -> str:
    """Name, hash and source."""
    return f"{path.stem} ({hash_and_source(path)})"


def anatomies_of(path: Path) -> frozenset[str]:
    """What a network that saw it says it saw: hashes of a template and of the one it is a relative of, and its name.

    A map that is built again, at another step say, has another hash: the name is left. Raises UnreadableInput.
    """
    return frozenset(HASH.findall(hash_and_source(path))) | {f"{path.stem} (sha256 "}

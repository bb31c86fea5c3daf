"""How a template is called in what is made from it: name, hash, source and licence."""

import re
from collections.abc import Sequence
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from inference.domain.manifest import sha256_of
from training.templates.template import Template

SHOWN_DIGITS = 16
SOURCE_FOLLOWS = "; "
RELATIVES = "relatives of "
"""Begins the source of a template that was made from another one."""

HASH = re.compile(rf"sha256 [0-9a-f]{{{SHOWN_DIGITS}}}")


def hash_in_words(digest: str) -> str:
    """Its first digits."""
    return f"sha256 {digest[:SHOWN_DIGITS]}"


def hash_and_source(path: Path) -> str:
    """Of a template's file; raises UnreadableInput."""
    source = str(Template.read(path).source)
    return f"{hash_in_words(sha256_of(path))}{SOURCE_FOLLOWS}{source}"


def template_in_words(path: Path) -> str:
    """Name, hash and source."""
    return f"{path.stem} ({hash_and_source(path)})"


def with_names_of_their_own(templates: Sequence[Path]) -> tuple[Path, ...]:
    """Them: whatever is made from a template bears its name. Raises ConfigurationInvalid."""
    names = [path.stem for path in templates]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ConfigurationInvalid(
            found=f"more than one template called {', '.join(twice)}",
            wanted="a name of its own for each",
            advice="Rename one of them, or name it only once.",
        )
    return tuple(templates)


def anatomies_of(path: Path) -> frozenset[str]:
    """What a network that saw it says it saw: hashes of a template, of its label map and of the one it is a relative of, and its name.

    A map that is built again, at another step say, has another hash: the map's own and the name are left. Raises UnreadableInput.
    """
    return frozenset(HASH.findall(hash_and_source(path))) | {f"{path.stem} (sha256 "}

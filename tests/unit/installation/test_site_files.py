"""The settings that an installation writes once."""

import tomllib
from pathlib import Path

import pytest

from inference.engine.providers import DEFAULT_PROVIDERS
from installation.places import SETTINGS, Places
from installation.site_files import Site, make_site_files


@pytest.mark.parametrize(
    ("extra", "wanted"), [("cpu", DEFAULT_PROVIDERS), ("gpu", ("cuda", "cpu"))]
)
def test_the_providers_are_those_of_the_packages(
    extra: str, wanted: tuple[str, ...], tmp_path: Path
) -> None:
    places = Places(destdir=tmp_path)

    make_site_files(Site(extra=extra), places, None)

    settings = tomllib.loads(places.here(SETTINGS).read_text(encoding="utf-8"))
    assert tuple(settings["engine"]["providers"]) == wanted

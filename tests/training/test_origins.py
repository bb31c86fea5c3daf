"""What a checkpoint says of its data."""

from pathlib import Path

import pytest

from inference.domain.manifest import sha256_of
from training.origins import anatomies_in_words, record_templates
from training.templates.template import Template


@pytest.fixture
def template(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is taken for a template."""
    path = tmp_path / "torso-a.npz"
    path.write_bytes(b"arrays")

    class Read:
        source = "a collection, CC BY 4.0"

    monkeypatch.setattr(Template, "read", lambda _path: Read())
    return path


def test_anatomies_are_counted_once_and_named_by_hash_and_source(
    tmp_path: Path, template: Path
) -> None:
    pool = tmp_path / "pool"
    record_templates(pool, [template])
    record_templates(pool, [])
    files = ["000001-painted-0-1", "000001-painted-1-0", "000002-painted-0", "000001-0", "000004-1"]

    told = anatomies_in_words(pool, [Path(f"{name}.npz") for name in files])

    assert told.startswith("2 patients painted from label maps [torso-a (sha256 ")
    assert sha256_of(template)[:16] in told
    assert "a collection, CC BY 4.0" in told
    assert "and 2 torsos made by code. Synthetic CT only" in told


def test_a_pool_of_torsos_names_no_template(tmp_path: Path) -> None:
    told = anatomies_in_words(tmp_path, [Path("000001-0.npz")])

    assert told == "1 torsos made by code. Synthetic CT only; no patient's images."


def test_a_pool_from_elsewhere_does_not_hide_that_its_templates_are_unknown(tmp_path: Path) -> None:
    assert "[not recorded]" in anatomies_in_words(tmp_path, [Path("000001-painted-0.npz")])

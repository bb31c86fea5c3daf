"""The manifest of a network that redraws organs."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from inference.domain.analysis_profile import Refinement
from inference.domain.errors import ChecksumMismatch, ManifestInvalid, ModelUnusable
from inference.domain.manifest import sha256_of
from inference.domain.refiner import (
    DECODER_NAME,
    ENCODER_NAME,
    REFINER_NAME,
    RefinerManifest,
    refiner_from_json,
    refiner_to_json,
)
from inference.engine.model_store import load_refiner, model_names, refiner_names, verified_refiner
from tests.unit.inference.fake_refiner import make_refiner_manifest


def written(folder: Path, manifest: RefinerManifest) -> Path:
    """A model folder of that name, whose networks are no networks."""
    place = folder / manifest.name
    place.mkdir()
    for name in (ENCODER_NAME, DECODER_NAME):
        (place / name).write_bytes(name.encode())
    whole = replace(
        manifest,
        encoder_sha256=sha256_of(place / ENCODER_NAME),
        decoder_sha256=sha256_of(place / DECODER_NAME),
    )
    (place / REFINER_NAME).write_text(refiner_to_json(whole), encoding="utf-8")
    return place


def test_what_was_written_is_read() -> None:
    manifest = make_refiner_manifest()
    assert refiner_from_json(refiner_to_json(manifest)) == manifest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("schema_version", 2),
        ("task", "organs"),
        ("name", "../elsewhere"),
        ("side", 0),
        ("hu_window", [1.0, 0.0]),
        ("sd", 0.0),
        ("prompt_tokens", 5),
        ("embeddings", []),
        ("structures", ["heart"]),
        ("surplus", 1),
    ],
)
def test_a_manifest_that_is_not_consistent_is_refused(field: str, value: object) -> None:
    raw = json.loads(refiner_to_json(make_refiner_manifest())) | {field: value}
    with pytest.raises(ManifestInvalid):
        refiner_from_json(json.dumps(raw))


def test_a_changed_byte_is_refused(tmp_path: Path) -> None:
    place = written(tmp_path, make_refiner_manifest())
    assert verified_refiner("fake-refiner", tmp_path).name == "fake-refiner"
    assert refiner_names(tmp_path) == ("fake-refiner",)
    assert model_names(tmp_path) == ()
    (place / DECODER_NAME).write_bytes(b"other")
    with pytest.raises(ChecksumMismatch):
        verified_refiner("fake-refiner", tmp_path)


def test_a_refiner_is_not_asked_about_what_it_was_not_taught(tmp_path: Path) -> None:
    written(tmp_path, make_refiner_manifest())
    with pytest.raises(ModelUnusable, match="not taught pancreas"):
        load_refiner(Refinement(model="fake-refiner", organs=("liver", "pancreas")), tmp_path)
    with pytest.raises(ModelUnusable, match="redraws organs"):
        load_refiner(Refinement(model="other", organs=("liver",)), tmp_path)

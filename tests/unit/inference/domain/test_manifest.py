"""The manifest is checked, not trusted."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from inference.domain.errors import ChecksumMismatch, ManifestInvalid
from inference.domain.manifest import load_manifest, manifest_from_json, manifest_to_json, sha256_of
from inference.engine.model_store import verified_manifest
from tests.unit.inference.fake_predictors import make_manifest


def _raw() -> dict[str, object]:
    raw: dict[str, object] = json.loads(manifest_to_json(make_manifest()))
    return raw


def test_a_manifest_survives_the_round_trip() -> None:
    assert manifest_from_json(manifest_to_json(make_manifest())) == make_manifest()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"colour": "red"}, "unknown field 'colour'"),
        ({"name": "../../etc"}, "name"),
        ({"schema_version": 2}, "schema_version 2"),
        ({"schema_version": True}, "schema_version"),
        ({"task": "brain"}, "task 'brain'"),
        ({"opset": "20"}, "opset"),
        ({"input": []}, "input"),
    ],
)
def test_a_wrong_field_is_named(change: dict[str, object], complaint: str) -> None:
    with pytest.raises(ManifestInvalid, match=complaint):
        manifest_from_json(json.dumps(_raw() | change))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"shape": [1, 1, 8]}, "layout"),
        ({"shape": [1, 1, 8, 8, 100000]}, "shape"),
        ({"sd": 0.0}, "sd"),
        ({"hu_window": [100.0, -100.0]}, "hu_window"),
        ({"hu_window": [1.0]}, "hu_window"),
        ({"spacing_mm": [1.0, 1.0, 0.0]}, "spacing"),
    ],
)
def test_an_input_that_cannot_be_is_refused(change: dict[str, object], complaint: str) -> None:
    raw = _raw()
    raw["input"] = {**raw["input"], **change}  # type: ignore[dict-item]

    with pytest.raises(ManifestInvalid, match=complaint):
        manifest_from_json(json.dumps(raw))


def test_a_missing_field_is_named() -> None:
    raw = _raw()
    del raw["opset"]

    with pytest.raises(ManifestInvalid, match="no field 'opset'"):
        manifest_from_json(json.dumps(raw))


def test_labels_that_are_no_structures_are_refused() -> None:
    raw = _raw()
    raw["output"] = {"name": "logits", "shape": [1, 2, 8, 8, 8], "labels": ["background", "soul"]}

    with pytest.raises(ManifestInvalid, match="labels"):
        manifest_from_json(json.dumps(raw))


def test_another_byte_in_the_model_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    folder.mkdir()
    onnx = folder / "model.onnx"
    onnx.write_bytes(b"network")
    raw = _raw() | {"onnx_sha256": sha256_of(onnx)}
    (folder / "manifest.json").write_text(json.dumps(raw))

    assert load_manifest(folder).name == "fake"
    onnx.write_bytes(b"netw0rk")
    with pytest.raises(ChecksumMismatch, match="make onnx"):
        load_manifest(folder)


def test_text_that_is_not_json_is_a_manifest_error() -> None:
    with pytest.raises(ManifestInvalid, match="not JSON"):
        manifest_from_json("{")


def test_a_manifest_of_another_model_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "other"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"network")
    raw = _raw() | {"onnx_sha256": sha256_of(folder / "model.onnx")}
    (folder / "manifest.json").write_text(json.dumps(raw))

    with pytest.raises(ManifestInvalid, match="fake in other"):
        verified_manifest("other", tmp_path)


@pytest.mark.parametrize("content", [b"\xff\xfe{", b"[" * 100_000])
def test_bytes_that_are_no_json_are_refused(content: bytes, tmp_path: Path) -> None:
    folder = tmp_path / "fake"
    folder.mkdir()
    (folder / "manifest.json").write_bytes(content)

    with pytest.raises(ManifestInvalid):
        load_manifest(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"labels": [], "shape": [1, 0, 8, 8, 8]},
        {"labels": ["background", "liver", "liver"]},
    ],
)
def test_labels_that_cannot_be_told_apart_are_refused(change: dict[str, object]) -> None:
    raw = _raw()
    raw["output"] = {**raw["output"], **change}  # type: ignore[dict-item]

    with pytest.raises(ManifestInvalid):
        manifest_from_json(json.dumps(raw))


ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)


@settings(max_examples=300, deadline=None)
@given(field=st.sampled_from(sorted(_raw())), inner=st.integers(0, 20), value=ANY_JSON)
def test_any_value_in_any_field_is_taken_or_refused_by_name(
    field: str, inner: int, value: object
) -> None:
    raw = _raw()
    group = raw[field]
    if isinstance(group, dict) and inner < len(group):
        group[sorted(group)[inner]] = value
    else:
        raw[field] = value

    with contextlib.suppress(ManifestInvalid):
        manifest_from_json(json.dumps(raw))


@settings(max_examples=200, deadline=None)
@given(text=st.text(max_size=60))
def test_any_text_is_a_manifest_or_refused(text: str) -> None:
    with contextlib.suppress(ManifestInvalid):
        manifest_from_json(text)


def test_a_manifest_of_a_newer_habitus_says_so() -> None:
    with pytest.raises(ManifestInvalid, match="made by a newer Habitus"):
        manifest_from_json(json.dumps(_raw() | {"schema_version": 2}))

"""A recipe in a manifest is checked as everything else in it is."""

import json
from dataclasses import replace
from typing import Any

import pytest

from inference.domain.errors import ManifestInvalid
from inference.domain.manifest import ModelManifest, manifest_from_json, manifest_to_json
from inference.domain.nnunet_recipe import Recipe, Resampling
from tests.unit.inference.fake_predictors import make_manifest

RECIPE = Recipe(
    spacing_mm=(2.0, 1.5, 1.5),
    patch=(8, 8, 8),
    transpose=(0, 1, 2),
    image=Resampling(order=3, order_z=0, separate_z=None),
    logits=Resampling(order=1, order_z=0, separate_z=None),
    clip=(-150.0, 250.0),
    mean=50.0,
    sd=80.0,
    mirror_axes=(),
    channels=4,
    orientation="LPS",
)


def with_recipe(**changes: Any) -> ModelManifest:
    labels = ("background", "liver", "~trachea", "spleen")
    return replace(make_manifest(labels=labels), recipe=replace(RECIPE, **changes))


def test_a_recipe_survives_the_round_trip() -> None:
    for manifest in (
        with_recipe(),
        with_recipe(clip=None, image=Resampling(order=1, order_z=0, separate_z=True)),
    ):
        assert manifest_from_json(manifest_to_json(manifest)) == manifest


def test_a_manifest_without_a_recipe_does_not_mention_one() -> None:
    assert "recipe" not in json.loads(manifest_to_json(make_manifest()))


def test_labels_that_are_not_reported_are_no_structures() -> None:
    assert {n: s.value for n, s in with_recipe().structures().items()} == {1: "liver", 3: "spleen"}


def test_a_network_of_slices_may_give_organs_by_a_recipe_and_in_no_other_way() -> None:
    flat = make_manifest(layout="NCYX", shape=(1, 1, 8, 8))
    recipe = replace(RECIPE, patch=(8, 8), spacing_mm=(1.5, 1.5), channels=3)

    assert manifest_from_json(manifest_to_json(replace(flat, recipe=recipe))).recipe == recipe
    with pytest.raises(ManifestInvalid, match="layout"):
        manifest_from_json(manifest_to_json(flat))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"patch": (8, 8, 16)}, "patches"),
        ({"channels": 3}, "3 labels"),
        ({"spacing_mm": (2.0, 0.0, 1.5)}, "steps"),
        ({"spacing_mm": (2.0, 1.5)}, "patch"),
        ({"transpose": (0, 1, 1)}, "transpose"),
        ({"image": Resampling(order=2, order_z=0, separate_z=None)}, "orders 2, 1"),
        ({"logits": Resampling(order=3, order_z=0, separate_z=None)}, "orders 3, 3"),
        ({"clip": (250.0, -150.0)}, "clip"),
        ({"sd": 0.0}, "sd"),
        ({"mirror_axes": (0, 3)}, "mirror_axes"),
        ({"mirror_axes": (1, 1)}, "mirror_axes"),
        ({"orientation": "RAX"}, "orientation"),
        ({"orientation": "SPL"}, "orientation"),
    ],
)
def test_a_recipe_that_cannot_be_followed_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ManifestInvalid, match=said):
        manifest_from_json(manifest_to_json(with_recipe(**changes)))


@pytest.mark.parametrize("change", [{"transpose": [0, 1]}, {"image": {}}, {"clip": [1]}, {"x": 1}])
def test_half_a_recipe_is_refused(change: dict[str, object]) -> None:
    raw = json.loads(manifest_to_json(with_recipe()))
    raw["recipe"] |= change
    with pytest.raises(ManifestInvalid, match="recipe"):
        manifest_from_json(json.dumps(raw))


def test_a_recipe_belongs_to_organs() -> None:
    level = replace(with_recipe(), task="l3-spine")
    with pytest.raises(ManifestInvalid, match="another task"):
        manifest_from_json(manifest_to_json(level))


@pytest.mark.parametrize(
    ("orientation", "flips"),
    [
        ("LPS", (False, False, False)),
        ("RPS", (False, False, True)),
        ("LAS", (False, True, False)),
        ("LPI", (True, False, False)),
        ("RAS", (False, True, True)),
    ],
)
def test_letters_name_columns_then_rows_then_slices(
    orientation: str, flips: tuple[bool, bool, bool]
) -> None:
    assert replace(RECIPE, orientation=orientation).flips == flips

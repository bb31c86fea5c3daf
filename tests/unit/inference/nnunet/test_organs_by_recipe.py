"""A network with a recipe labels the patient, however the scan lies in its file and whatever way its training images lay."""

from dataclasses import replace

import numpy as np
import pytest

from inference.domain.labelmap import LabelMap, Structure
from inference.domain.volume import Volume, affine_from_axes, canonical, flip
from inference.segment_organs import segment_organs
from tests.unit.inference.fake_predictors import FakePredictor, Float, make_manifest
from tests.unit.inference.nnunet.test_recipe_in_manifest import RECIPE

LABELS = ("background", "liver", "~trachea", "spleen")
STEPS = (3.0, 2.0, 2.0)


def network(orientation: str) -> FakePredictor:
    """Bright is liver; brighter is the trachea, which the node does not report."""
    recipe = replace(
        RECIPE, orientation=orientation, spacing_mm=STEPS, clip=(0.0, 1000.0), mean=0.0, sd=1.0
    )
    manifest = replace(make_manifest(labels=LABELS), recipe=recipe)

    def logits(batch: Float) -> Float:
        image = batch[:, 0]
        organ = np.where((image > 50) & (image < 200), 9.0, -9.0)
        other = np.where(image >= 200, 9.0, -9.0)
        none = np.zeros_like(image)
        return np.stack([none, organ, other, none - 9], axis=1).astype(np.float32)

    return FakePredictor(manifest, logits)


@pytest.fixture
def body() -> Volume:
    """A bright block on the patient's right and a brighter rod behind."""
    hu = np.ones((30, 44, 48), np.int16)
    hu[8:20, 10:26, 8:20] = 100
    hu[:, 34:40, 20:30] = 300
    return Volume(hu=hu, affine_lps=affine_from_axes((-48.0, -44.0, 0.0), np.eye(3)[::-1], STEPS))


def found_in(volume: Volume, orientation: str) -> LabelMap:
    return segment_organs(volume, network(orientation), (0.0,), lambda _stage, _share: None)


@pytest.mark.parametrize("orientation", ["LPS", "RAS", "LAS", "RPI"])
def test_what_the_network_sees_is_turned_and_its_answer_turned_back(
    body: Volume, orientation: str
) -> None:
    seen: list[Float] = []
    predictor = network(orientation)
    inner = predictor.function
    predictor.function = lambda batch: (seen.append(batch), inner(batch))[1]  # type: ignore[func-returns-value]

    organs = segment_organs(body, predictor, (0.0,), lambda _stage, _share: None)

    np.testing.assert_array_equal(organs.mask(Structure.LIVER), body.hu == 100)
    assert set(np.unique(organs.labels)) == {0, 1}
    recipe = predictor.manifest.recipe
    assert recipe is not None
    turned = flip(body.hu, recipe.flips)
    np.testing.assert_allclose(seen[0][0, 0], turned[:8, :8, :8], atol=1e-4)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_scan_stored_the_other_way_round_gives_the_same_patient(body: Volume, axis: int) -> None:
    affine = body.affine_lps.copy()
    affine[:3, 3] += affine[:3, axis] * (body.shape[axis] - 1)
    affine[:3, axis] *= -1
    stored = Volume(hu=np.flip(body.hu, axis), affine_lps=affine)

    one, other = found_in(canonical(body), "RAS"), found_in(canonical(stored), "RAS")

    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_allclose(one.affine_lps, other.affine_lps)
    assert one.labels.any()


def test_slices_at_uneven_places_get_the_labels_of_the_places(body: Volume) -> None:
    kept = np.r_[0:10, 11:14, 15:30]
    uneven = Volume(
        hu=body.hu[kept], affine_lps=body.affine_lps, slice_places=kept.astype(np.float64)
    )

    found = found_in(uneven, "LPS")

    np.testing.assert_array_equal(found.mask(Structure.LIVER), body.hu[kept] == 100)

"""What counts as the label that nnunetv2 gives."""

import numpy as np
import pytest

from export_onnx.nnunet_proof import agreement_of

LABELS = ("background", "liver", "spleen")
WANTED = np.array([[[0, 1, 2, 1]]], dtype=np.uint8)


def likely(last: tuple[float, float, float]) -> np.ndarray:
    """Sure of all voxels but the last."""
    found = np.zeros((3, 1, 1, 4), dtype=np.float32)
    for place, label in enumerate(WANTED.ravel()):
        found[label, 0, 0, place] = 1.0
    found[:, 0, 0, 3] = last
    return found


@pytest.mark.parametrize(
    ("probabilities", "settled"),
    [((0.1, 0.452, 0.448), 1.0), ((0.1, 0.46, 0.44), 0.75), ((0.452, 0.452, 0.096), 0.75)],
)
def test_a_label_that_it_holds_to_be_as_likely_is_no_fault(
    probabilities: tuple[float, float, float], settled: float
) -> None:
    found = WANTED.copy()
    found[0, 0, 3] = 2

    agreement = agreement_of(found, WANTED, likely(probabilities), LABELS)

    assert (agreement.voxels, agreement.settled) == (0.75, settled)
    assert agreement.dice["liver"] == pytest.approx(2 / 3)


def test_equal_maps_agree_in_everything() -> None:
    agreement = agreement_of(WANTED, WANTED, likely((0, 1, 0)), LABELS)

    assert (agreement.voxels, agreement.settled) == (1.0, 1.0)
    assert set(agreement.dice.values()) == {1.0}

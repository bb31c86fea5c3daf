"""The vena cava as one tube."""

import numpy as np

from inference.domain.labelmap import Structure
from inference.domain.volume import Volume
from inference.stages.one_tube import one_tube
from inference.stages.organ_labels import organ_map

SHAPE = (20, 30, 30)


def tube(step: float = 0.0) -> np.ndarray:
    """Six by six voxels, moving aside by so many per slice."""
    mask = np.zeros(SHAPE, bool)
    for k in range(SHAPE[0]):
        x = 4 + round(step * k)
        mask[k, 10:16, x : x + 6] = True
    return mask


def test_a_bent_tube_stays_as_it_is() -> None:
    bent = tube(0.9)

    assert (one_tube(bent) == bent).all()


def test_what_lies_beside_it_is_dropped_though_it_is_joined_to_it_somewhere() -> None:
    vein = tube()
    beside = np.zeros(SHAPE, bool)
    beside[8:, 18:22, 14:18] = True
    joint = np.zeros(SHAPE, bool)
    joint[8, 14:19, 9:15] = True

    found = one_tube(vein | beside | joint)

    assert (found[9:] == vein[9:]).all()
    assert found[vein].all()


def test_what_goes_on_elsewhere_when_it_has_ended_is_dropped() -> None:
    vein = tube()
    vein[12:] = False
    elsewhere = np.zeros(SHAPE, bool)
    elsewhere[9:, 18:22, 14:18] = True

    assert (one_tube(vein | elsewhere) == vein).all()


def test_slices_in_which_it_is_not_seen_do_not_end_it() -> None:
    vein = tube()
    vein[9:11] = False

    assert (one_tube(vein) == vein).all()


def test_nothing_gives_nothing() -> None:
    assert not one_tube(np.zeros(SHAPE, bool)).any()


def test_it_is_asked_of_the_vena_cava_and_not_of_the_aorta() -> None:
    """Above its arch two holes of a slice are aorta."""
    labels = np.zeros(SHAPE, np.uint8)
    for label, rows in ((1, slice(2, 10)), (2, slice(20, 28))):
        labels[:, rows, 2:10] = label
        labels[10:, rows, 14:22] = label
        labels[10, rows, 10:14] = label
    whole = Volume(hu=np.zeros(SHAPE, np.int16), affine_lps=np.diag([3.0, 1.5, 1.5, 1.0]))

    found = organ_map(labels, whole, {1: Structure.AORTA, 2: Structure.INFERIOR_VENA_CAVA}).labels

    assert (found[labels == 1] == 1).all()
    assert not (found[11:, :, 14:22] == 2).any()

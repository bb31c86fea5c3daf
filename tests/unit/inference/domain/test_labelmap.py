"""Label maps: the mask of a structure is that of all its labels and of nothing else."""

import numpy as np

from inference.domain.labelmap import LabelMap, Structure


def test_a_mask_holds_every_label_of_its_structure() -> None:
    labels = np.arange(6, dtype=np.uint8).reshape(1, 2, 3)
    made = LabelMap(
        labels=labels,
        affine_lps=np.eye(4),
        structures={1: Structure.LIVER, 3: Structure.SPLEEN, 4: Structure.LIVER},
    )
    assert made.mask(Structure.LIVER).dtype == np.bool_
    np.testing.assert_array_equal(made.mask(Structure.LIVER), np.isin(labels, [1, 4]))
    np.testing.assert_array_equal(made.mask(Structure.SPLEEN), labels == 3)
    assert not made.mask(Structure.AORTA).any()

"""Whatever is no number is noticed, and large numbers are numbers."""

import numpy as np
import pytest

from inference.domain.errors import InferenceFailed
from inference.engine.contract import finite, require_input
from tests.unit.inference.fake_predictors import make_manifest

MANIFEST = make_manifest()
SHAPE = (1, 1, 8, 8, 8)


@pytest.mark.parametrize("bad", [[np.nan], [np.inf], [-np.inf], [np.inf, -np.inf]])
def test_values_that_are_no_numbers_end_the_run(bad: list[float]) -> None:
    values = np.zeros(SHAPE, np.float32)
    values.flat[5 : 5 + len(bad)] = bad

    with pytest.raises(InferenceFailed, match="not finite"):
        require_input(MANIFEST, values)
    with pytest.raises(InferenceFailed, match="not finite"):
        finite(MANIFEST, values)


def test_numbers_whose_sum_is_none_pass() -> None:
    values = np.full(SHAPE, 3e38, np.float32)

    require_input(MANIFEST, values)
    assert finite(MANIFEST, values) is values

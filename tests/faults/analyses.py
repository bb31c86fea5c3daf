"""What the node computes while it is disturbed: the shipped networks on small synthetic series, or next to nothing."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache

import numpy as np
from pydicom.dataset import Dataset

from inference.domain.volume import Volume
from inference.engine.model_store import SHIPPED_MODELS
from tests.dicom_peers import ct_series
from training.synthetic.case import SyntheticCase, make_case
from training.synthetic.demo_series import FIELDS, header_of
from training.synthetic.series import build_datasets

BODIES = 4
SPACING_MM = (5.0, 3.2, 3.2)
SHAPE_RC = (128, 128)
NOISE_HU = 4
FIRST_SEED = 2_000_000
FAKE_SLICES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysis:
    """An analyser, and studies for it."""

    in_words: str
    engine_settings: str
    """Lines of [engine] in habitus.toml."""
    study: Callable[[int], list[Dataset]]
    """The CT series of a number; equal numbers, equal series."""


def small_study(number: int) -> list[Dataset]:
    """40 slices of 128 × 128 around L3: one of a few bodies, with noise and UIDs of its own."""
    case = _case(number % BODIES)
    noise = np.random.default_rng(number).integers(
        -NOISE_HU, NOISE_HU, case.volume.hu.shape, np.int16
    )
    volume = Volume(hu=case.volume.hu + noise, affine_lps=case.volume.affine_lps)
    return build_datasets(volume, header_of(case, FIRST_SEED + number, "l3"))


def tiny_study(number: int) -> list[Dataset]:
    """8 slices of 16 × 16."""
    return ct_series(FAKE_SLICES, seed=f"faults-{number}")


@cache
def _case(body: int) -> SyntheticCase:
    return make_case(
        FIRST_SEED + body, spacing_mm=SPACING_MM, shape_rc=SHAPE_RC, field=FIELDS["l3"]
    )


ANALYSES: Mapping[str, Analysis] = {
    "shipped": Analysis(
        in_words="the shipped networks under the profile `l3-small` on synthetic series of 40 slices of 128 × 128",
        engine_settings=f'models_folder = "{SHIPPED_MODELS}"\nprofile = "l3-small"',
        study=small_study,
    ),
    "fake": Analysis(
        in_words="no networks: an analyser that waits 0.8 s and writes two small SR objects, on series of 8 slices",
        engine_settings='models_folder = "models"\nanalyser = "tests.faults.fake_analysis"',
        study=tiny_study,
    ),
}

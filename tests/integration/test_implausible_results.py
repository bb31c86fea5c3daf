"""A network that sees no muscle: the result is refused, and nothing is written."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from inference.domain.analysis_profile import load_profile
from inference.domain.errors import ImplausibleResult
from inference.pipeline import RunIdentity, analyse_folder, load_models, silent
from tests.unit.inference.fake_predictors import FakePredictor, Float
from training.synthetic.demo_series import write_demo_series


def all_background(batch: Float) -> Float:
    """Logits of four compartments, the background's the largest."""
    logits = np.zeros((batch.shape[0], 4, *batch.shape[2:]), np.float32)
    logits[:, 0] = 10.0
    return logits


def test_a_body_without_muscle_is_implausible_and_nothing_is_written(tmp_path: Path) -> None:
    write_demo_series(
        tmp_path / "ct", seed=11, field="l3", shape_rc=(128, 128), spacing_mm=(5.0, 3.2, 3.2)
    )
    models = load_models(load_profile("l3-small"))
    blind = replace(models, tissue=FakePredictor(models.tissue.manifest, all_background))
    identity = RunIdentity(job_key="blind", created=datetime(2026, 1, 1, tzinfo=UTC))

    with pytest.raises(ImplausibleResult, match="of muscle at L3"):
        analyse_folder(tmp_path / "ct", tmp_path / "out", blind, identity, silent)

    assert not (tmp_path / "out").exists()

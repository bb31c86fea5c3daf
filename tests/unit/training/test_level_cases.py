"""Painted cases for the level: the same seed is the same case, and a kept one is the one that was made."""

from pathlib import Path

import numpy as np
import pytest

from inference.domain.errors import ConfigurationInvalid
from inference.engine.model_store import SHIPPED_MODELS
from tests.unit.inference.stages.drawn_spines import curves_of, spine_mm
from tests.unit.training.templates.tiny_torso import tiny_template
from training import level_cases
from training.calibrate_level import main
from training.level_cases import FIRST_SEED, CaseOrder, made_case, painted_case


@pytest.fixture
def order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CaseOrder:
    """One tiny case whose network sees a drawn spine."""
    template = tmp_path / "tiny.npz"
    tiny_template().write(template)
    monkeypatch.setattr(level_cases, "SHAPE_RC", (24, 28))
    monkeypatch.setattr(level_cases, "PIXEL_MM", (14.0, 16.0))
    monkeypatch.setattr(level_cases, "SLICE_MM", (8.0, 10.0))
    seen = (curves_of(spine_mm()),)
    monkeypatch.setattr(level_cases, "level_opinions", lambda *_: seen)
    return CaseOrder(
        seed=FIRST_SEED,
        templates=(template,),
        models=SHIPPED_MODELS,
        level_model="l3-level",
        spine_model=None,
        keep=tmp_path / "kept",
    )


def test_a_kept_case_is_the_one_that_was_made(
    order: CaseOrder, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = made_case(order)
    monkeypatch.setattr(level_cases, "painted_case", None)
    again = made_case(order)

    assert (again.seed, again.l3_mm, again.variants) == (made.seed, made.l3_mm, made.variants)
    assert len(again.opinions) == 1
    np.testing.assert_allclose(
        again.opinions[0].probability, made.opinions[0].probability, atol=1e-3
    )
    assert again.opinions[0].field_mm == made.opinions[0].field_mm


def test_a_damaged_kept_case_is_made_anew(order: CaseOrder) -> None:
    made = made_case(order)
    assert order.keep is not None
    (kept,) = order.keep.iterdir()
    kept.write_bytes(b"PK no more")

    assert made_case(order).l3_mm == made.l3_mm


def test_a_seed_is_a_case(order: CaseOrder) -> None:
    template = tiny_template()

    one, same, other = (
        painted_case(seed, [template]) for seed in (FIRST_SEED, FIRST_SEED, FIRST_SEED + 1)
    )

    assert (one.volume.hu == same.volume.hu).all()
    assert one.vertebrae["L3"].centre_lps_mm != other.vertebrae["L3"].centre_lps_mm


@pytest.mark.parametrize("first", [999_999, 6_000_000, 7_999_999])
def test_seeds_of_training_and_evaluation_are_refused(first: int, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match=f"seeds {first} to"):
        main(["--template", str(tmp_path / "x.npz"), "--first-seed", str(first), "--cases", "5"])

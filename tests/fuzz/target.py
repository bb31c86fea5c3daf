"""What a variant goes through: the whole analysis as in the engine child, with networks made of arithmetic."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from inference.domain.analysis_profile import load_profile
from inference.domain.errors import HabitusError, StudyRejected
from inference.domain.manifest import ModelManifest
from inference.pipeline import Models, RunIdentity, analyse_folder, silent
from inference.stages.projections import LANDMARKS, ROWS
from tests.unit.inference.fake_predictors import FakePredictor, Float, make_manifest

LANDMARK_ROWS = {
    **{name: 8.0 + 11.0 * (5 - place) for place, name in enumerate(LANDMARKS[:9])},
    "L3_lower": 5.0,
    "L3_upper": 11.0,
}
"""Where the fake locator sees its landmarks, in rows above the lowest slice; most of them lie beyond a short field."""
STEP_MM = 6.0
"""Of the fake networks' grids, as of the base series' pixels."""
IDENTITY = RunIdentity(job_key="0" * 32, created=datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC))


class _EnoughSeen(Exception):
    """The results would now be written."""


def outcome(series_folder: Path, out_folder: Path, models: Models, *, is_written: bool) -> str:
    """The reason or code of the typed error; "written", or "measured" where no results were wanted."""

    def stop_before_writing(stage: str, _share: float) -> None:
        if stage == "write":
            raise _EnoughSeen

    progress = silent if is_written else stop_before_writing
    try:
        analyse_folder(series_folder, out_folder, models, IDENTITY, progress)
    except _EnoughSeen:
        return "valid: measured"
    except StudyRejected as error:
        return f"rejected: {error.reason}"
    except HabitusError as error:
        return f"error: {error.code}"
    return "valid: written"


def fake_models() -> Models:
    """Networks that see L3 in the middle and tissues by their density, whatever they are shown."""
    return Models(
        profile=load_profile("abdomen"),
        level=FakePredictor(_manifest("l3-level", "NCZW", (1, 2, ROWS, 8), LANDMARKS), _level),
        tissue=FakePredictor(
            _manifest("l3-tissue", "NCYX", (1, 1, 32, 32), ("background", "muscle", "fat", "gut")),
            lambda batch: _by_density(batch, (0.5, 0.05, 0.0, -0.1)),
        ),
        organs=FakePredictor(
            _manifest("organs", "NCZYX", (1, 1, 16, 16, 16), ("background", "liver", "spleen")),
            lambda batch: _by_density(batch, (-0.5, 0.03, 0.1)),
        ),
        providers=("cpu",),
    )


def _manifest(
    task: str, layout: str, shape: tuple[int, ...], labels: Sequence[str]
) -> ModelManifest:
    made = make_manifest(task=task, layout=layout, shape=shape, labels=tuple(labels))
    # Window 0..1000 HU, as make_manifest has it, would clip fat away.
    return replace(
        made,
        input=replace(
            made.input,
            spacing_mm=(STEP_MM,) * (len(shape) - 2),
            hu_window=(-1000.0, 1000.0),
            mean=0.5,
        ),
    )


def _level(batch: Float) -> Float:
    rows = np.arange(ROWS)
    curves = [8 - 4 * np.abs(rows - LANDMARK_ROWS[name]) for name in LANDMARKS]
    return np.repeat(np.array(curves, np.float32)[None], len(batch), axis=0)


def _by_density(batch: Float, middles: Sequence[float]) -> Float:
    scores = [-np.abs(batch[:, 0] - np.float32(middle)) for middle in middles]
    return np.stack(scores, axis=1).astype(np.float32)

"""What cannot be calibrated is refused before anything is painted, and a handful of cases never reaches the node."""

from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid, HabitusError, ModelUnusable
from inference.domain.level_calibration import CALIBRATION_NAME
from tests.unit.training.templates.tiny_torso import tiny_template
from training.calibrate_level import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--cases", "0"), "0 cases"),
        (("--workers", "0"), "0 workers"),
        (("--first-seed", "3"), "seeds 3 to 402"),
        (("--cases", "6"), "6 cases for the models' own file"),
    ],
)
def test_arguments_that_cannot_be_are_refused(
    arguments: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigurationInvalid, match=told):
        main(["--template", str(tmp_path / "none.npz"), *arguments])


def test_a_template_or_model_that_is_not_there_is_named_before_anything_is_painted(
    tmp_path: Path,
) -> None:
    path = tmp_path / "tiny.npz"
    tiny_template().write(path)

    with pytest.raises(HabitusError, match=r"none\.npz"):
        main(["--template", str(tmp_path / "none.npz")])
    with pytest.raises(ModelUnusable, match="no model 'l3-level'"):
        main(["--template", str(path), "--models", str(tmp_path)])
    assert not list(tmp_path.rglob(CALIBRATION_NAME))

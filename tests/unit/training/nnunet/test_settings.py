"""Settings are data: both shipped ones load, and nothing unknown is passed over."""

from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from training.nnunet.settings import SHIPPED, Training, load_settings, validated_training

SMALL = SHIPPED["small"].read_text(encoding="utf-8")


def test_the_paper_leaves_networks_to_nnunet_and_trains_100_epochs() -> None:
    paper = load_settings("paper")

    assert paper.configurations == {}
    assert paper.training.epochs == 100
    assert paper.planning.spacing_mm is None


def test_the_small_network_replaces_the_planned_one() -> None:
    small = load_settings("small")

    assert small.configurations["3d_fullres"].features_per_stage == (12, 32, 64, 128)
    assert small.planning.configurations == ("3d_fullres",)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("epochs = 40", "epoch = 40", "training.epoch"),
        ("patch_size = [40, 40, 56]", "patch_size = [40, 50, 56]", "multiples of 8"),
        ("patch_size = [40, 40, 56]", "patch_size = [40, 56]", "3 numbers"),
        ("spacing_mm = [14.0, 14.0, 14.0]\n", "", "3d_lowres needs spacing_mm"),
        ('mirroring = "none"', 'mirroring = "some"', "training.mirroring"),
    ],
)
def test_what_cannot_be_meant_is_refused(old: str, new: str, told: str, tmp_path: Path) -> None:
    assert old in SMALL
    path = tmp_path / "mine.toml"
    path.write_text(SMALL.replace(old, new), encoding="utf-8")

    with pytest.raises(ConfigurationInvalid, match=told):
        load_settings(str(path))


def test_a_command_line_overrides_only_what_it_names() -> None:
    changed = validated_training(Training(), epochs=7, batch_size=None)

    assert (changed.epochs, changed.batch_size) == (7, 2)
    with pytest.raises(ConfigurationInvalid, match="batch_size"):
        validated_training(Training(), batch_size=0)

"""A profile by name, or of one's own by its path."""

from pathlib import Path

import pytest

from inference.domain.analysis_profile import PROFILE_FOLDER, load_profile, profile_for
from inference.domain.errors import ConfigurationInvalid


def test_a_name_is_a_shipped_profile() -> None:
    assert profile_for("l3") == load_profile("l3")


def test_a_path_is_a_profile_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "slices.toml"
    path.write_text(
        (PROFILE_FOLDER / "l3.toml").read_text().replace('"l3-level"', '"my-slices"'), "utf-8"
    )

    profile = profile_for(str(path))

    assert (profile.name, profile.level_model) == ("slices", "my-slices")


@pytest.mark.parametrize("content", [None, b"\xff\xfe", b"level_model = ["])
def test_a_file_that_is_none_is_refused_in_words(content: bytes | None, tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(ConfigurationInvalid, match="profile"):
        profile_for(str(path))


def test_half_a_profile_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text('organ_model = "ours"\n')

    with pytest.raises(
        ConfigurationInvalid, match="without description, level_model, tissue_model"
    ):
        profile_for(str(path))

"""A profile by name, or of one's own by its path."""

from pathlib import Path

import pytest

from inference.domain.analysis_profile import (
    OWN_PROFILES,
    PROFILE_FOLDER,
    load_profile,
    profile_for,
    profile_names,
)
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


def with_own(folder: Path, name: str = "ours") -> Path:
    own = folder / OWN_PROFILES
    own.mkdir()
    text = (PROFILE_FOLDER / "l3.toml").read_text(encoding="utf-8")
    (own / f"{name}.toml").write_text(text.replace('"l3-tissue"', '"tissue-of-ours"'), "utf-8")
    return folder


def test_a_site_has_profiles_of_its_own_beside_its_models(tmp_path: Path) -> None:
    models = with_own(tmp_path)

    assert load_profile("ours", models).tissue_model == "tissue-of-ours"
    assert profile_for("ours", models) == load_profile("ours", models)
    assert load_profile("l3", models) == load_profile("l3")
    assert set(profile_names(models)) - set(profile_names()) == {"ours"}
    with pytest.raises(ConfigurationInvalid, match=r"profile 'ours'.*one of abdomen"):
        load_profile("ours")


@pytest.mark.parametrize("name", ["../ours", "profiles/ours", "ours.toml"])
def test_a_name_is_no_path(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid):
        load_profile(name, with_own(tmp_path))


def test_the_name_of_a_shipped_profile_is_taken(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid, match="with the name of a shipped one, l3"):
        load_profile("l3", with_own(tmp_path, "l3"))

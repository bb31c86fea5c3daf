"""make demo beside itself: two in one folder would end each other's servers."""

import fcntl
from pathlib import Path

import pytest

import demo
from inference.domain.errors import ConfigurationInvalid


def test_a_second_demo_in_the_same_folder_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "LOCK", tmp_path / "lock")
    monkeypatch.setattr(demo, "FOLDER", tmp_path / "demo")
    with (tmp_path / "lock").open("w") as running:
        fcntl.flock(running, fcntl.LOCK_SH)

        with pytest.raises(ConfigurationInvalid, match="another demo"):
            demo.demonstrate("l3-small", demo.ROOT / "models", keep=False)

    assert not (tmp_path / "demo").exists()

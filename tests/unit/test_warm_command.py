"""habitus warm on a machine without a GPU: it says so, and makes ready what there is."""

import stat
from pathlib import Path

import pytest

import habitus
from commands.warm import kernels_told
from inference.code_folders import KERNELS_VARIABLE, with_kernels_in

SETTINGS = """
data_folder = "data"
[engine]
models_folder = "{models}"
profile = "l3-small"
providers = [{providers}]
downgrade = "{downgrade}"
"""


def settings(folder: Path, providers: str, downgrade: str = "warn") -> Path:
    path = folder / "habitus.toml"
    models = Path(habitus.__file__).parent / "models"
    path.write_text(
        SETTINGS.format(models=models, providers=providers, downgrade=downgrade), encoding="utf-8"
    )
    return path


def test_the_cpu_is_made_ready(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    status = habitus.main(["warm", "--settings", str(settings(tmp_path, '"cpu"'))])

    told = capsys.readouterr().out
    assert status == 0
    assert "l3-level on cpu, l3-tissue on cpu" in told
    assert "kernels" in told
    compiled = list((tmp_path / "data" / "kernels").rglob("*.nbc"))
    assert len(compiled) >= 7
    assert not (tmp_path / "data" / "built").exists()
    closed = (tmp_path / "data", tmp_path / "data" / "kernels")
    assert {stat.S_IMODE(path.stat().st_mode) for path in closed} == {0o700}


def test_what_is_asked_for_and_not_here_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings(tmp_path, '"tensorrt", "cuda", "cpu"')
    status = habitus.main(["warm", "--settings", str(path)])

    told = capsys.readouterr().out
    assert status == 1
    assert "NOT  tensorrt" in told
    assert "computed on cpu although tensorrt was asked for (habitus warm" in told


def test_a_site_that_wants_no_downgrade_is_told_by_the_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings(tmp_path, '"cuda", "cpu"', "fail")

    assert habitus.main(["warm", "--settings", str(path)]) == 6
    assert "wanted it on cuda" in capsys.readouterr().err


def test_options_do_not_contradict_the_settings_in_silence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = settings(tmp_path, '"cpu"')

    assert habitus.main(["warm", "--settings", str(path), "--providers", "cuda"]) == 2
    assert "--providers beside --settings" in capsys.readouterr().err


@pytest.mark.parametrize("folders", [(), ("None", "")])
def test_kernels_that_nothing_keeps_are_told(folders: tuple[str, ...], tmp_path: Path) -> None:
    is_kept, text = kernels_told(folders, tmp_path / "kernels")

    assert not is_kept
    assert f"compiled by every process anew: {tmp_path / 'kernels'} is not this user's" in text
    assert "the folder of the code is not" in kernels_told(folders, None)[1]
    assert kernels_told(("/a", ""), None) == (True, "kept in /a")


def test_where_the_folder_cannot_be_warm_is_not_well(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(KERNELS_VARIABLE, raising=False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kernels").touch()

    status = habitus.main(["warm", "--settings", str(settings(tmp_path, '"cpu"'))])

    assert status == 1
    assert "NOT  kernels" in capsys.readouterr().out


def test_a_kernel_folder_that_cannot_be_is_done_without(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    assert with_kernels_in(tmp_path / "file" / "kernels", {"a": "b"}) == {"a": "b"}
    assert with_kernels_in(tmp_path / "kernels", {}) == {
        KERNELS_VARIABLE: str(tmp_path / "kernels")
    }


@pytest.mark.parametrize(("named", "status"), [("", 2), ("nonsense", 2), (" cpu , cpu", 0)])
def test_providers_are_read_as_by_every_command(named: str, status: int) -> None:
    assert habitus.main(["warm", "--profile", "l3-small", "--providers", named]) == status

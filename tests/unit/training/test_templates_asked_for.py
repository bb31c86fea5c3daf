"""What the command line says to templates that it cannot use."""

from pathlib import Path

import pytest

from training import all_models
from training.__main__ import RELATIVES_EACH, main
from training.all_models import Everything


@pytest.mark.parametrize(
    "command",
    [
        ["pool", "--kind", "templates", "--count", "1"],
        ["pool", "--kind", "central", "--count", "1"],
        ["all", "--seconds", "1"],
    ],
)
def test_templates_of_one_name_are_refused(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twice = ["--template", "a/one.npz", "--template", "b/one.npz"]

    assert main([*command, "--out", str(tmp_path / "out"), *twice]) == 2

    assert "more than one template called one" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "asked", [["--relatives", "3"], ["--relatives", "-1", "--template", "a.npz"]]
)
def test_relatives_of_nothing_are_refused(
    asked: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["all", "--out", str(tmp_path / "out"), *asked]) == 2

    assert "templates to make them of" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("asked", "relatives"),
    [
        ([], 0),
        (["--relatives", "0"], 0),
        (["--template", "a.npz"], RELATIVES_EACH),
        (["--template", "a.npz", "--relatives", "3"], 3),
    ],
)
def test_relatives_are_made_where_there_is_a_template(
    asked: list[str], relatives: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders: list[Everything] = []

    def remember(order: Everything) -> dict[str, Path]:
        orders.append(order)
        return {}

    monkeypatch.setattr(all_models, "train_everything", remember)

    assert main(["all", *asked]) == 0

    assert [order.relatives for order in orders] == [relatives]

"""A command of the training tree ends with one sentence and the status that belongs to it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from inference.domain.errors import UnreadableInput
from training.as_command import exit_status


def raising(error: BaseException) -> Callable[[], int]:
    def command() -> int:
        raise error

    return command


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (UnreadableInput(found="a", wanted="b"), 4, "x: found a; wanted b.\n"),
        (KeyboardInterrupt(), 130, "x: interrupted\n"),
        (ModuleNotFoundError("no", name="torch"), 2, "x: found an environment without torch;"),
    ],
)
def test_what_goes_wrong_is_one_sentence(
    error: BaseException, status: int, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_status("x", raising(error)) == status
    assert capsys.readouterr().err.startswith(told)


def test_a_folder_that_is_a_file_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("")

    def command() -> int:
        (tmp_path / "out" / "deeper").mkdir(parents=True)
        return 0

    assert exit_status("x", command) == 2
    assert "Not a directory" in capsys.readouterr().err


@pytest.mark.parametrize("error", [OSError(), ModuleNotFoundError("no", name="inference.gone")])
def test_a_fault_of_our_own_keeps_its_traceback(error: Exception) -> None:
    with pytest.raises(type(error)):
        exit_status("x", raising(error))

"""Too little memory is an error of our own, so that neither node nor command line sees a bare MemoryError."""

from pathlib import Path

import pytest

from inference.domain.errors import OutOfMemory
from inference.pipeline import analyse_folder
from tests.fuzz.target import IDENTITY, fake_models


def no_memory(_stage: str, _share: float) -> None:
    raise MemoryError


def test_a_stage_without_memory_ends_in_a_coded_error(tmp_path: Path) -> None:
    with pytest.raises(OutOfMemory) as failure:
        analyse_folder(tmp_path, tmp_path / "out", fake_models(), IDENTITY, no_memory)

    assert (failure.value.code, failure.value.retryable) == ("out-of-memory", False)

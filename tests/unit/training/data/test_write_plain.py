"""Written as plain pairs, cases read as they did before."""

from pathlib import Path

import numpy as np
import pytest

from tests.unit.training.data.tiny import write_btcv, write_totalsegmentator
from training.data.layouts.registry import find_cases, guessed_layout
from training.data.write_plain import write_plain


@pytest.mark.parametrize("write", [write_btcv, write_totalsegmentator])
def test_what_is_written_reads_the_same(write, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    folder, out = write(tmp_path / "from"), tmp_path / "to"
    found = find_cases(folder, guessed_layout(folder))

    names = write_plain(found, out, lambda *_: None)

    again = find_cases(out, guessed_layout(out))
    assert sorted(case.name for case in again.cases) == sorted(names)
    assert len({case.patient for case in again.cases}) == len({c.patient for c in found.cases})
    for before, name in zip(found.cases, names, strict=True):
        after = next(case for case in again.cases if case.name == name)
        old, new = before.read(), after.read()
        assert np.array_equal(old.volume.hu, new.volume.hu)
        assert np.array_equal(old.labels, new.labels)
        assert np.allclose(old.volume.affine_lps, new.volume.affine_lps, atol=1e-4)
        assert new.names == old.names


def test_what_was_written_before_stays(tmp_path: Path) -> None:
    folder, out = write_btcv(tmp_path / "from"), tmp_path / "to"
    found = find_cases(folder, guessed_layout(folder))
    write_plain(found, out, lambda *_: None)
    image = next((out / "images").iterdir())
    written = image.stat().st_mtime_ns

    write_plain(found, out, lambda *_: None)

    assert image.stat().st_mtime_ns == written

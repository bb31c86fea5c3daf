"""Five hundred damaged series, each a typed error or a valid result; `make fuzz` sends ten times as many."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.base_files import base_series
from tests.fuzz.target import fake_models, outcome
from tests.fuzz.variants import MUTATORS, Variants

ROOT = Path(__file__).parents[2]
COUNT = 500


def test_every_damaged_series_ends_as_a_typed_error_or_a_valid_result() -> None:
    # Real codings need a decoder's time for pictures of 512 × 512: they are for make fuzz.
    environment = {key: text for key, text in os.environ.items() if key != "HABITUS_REAL_CT"}

    run = subprocess.run(
        [sys.executable, "-m", "tests.fuzz", "--count", str(COUNT), "--written", "0.05"],
        cwd=ROOT,
        env=environment | {"OMP_NUM_THREADS": "1", "RUST_BACKTRACE": "0"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert run.returncode == 0, run.stdout
    assert f"{COUNT}  variants, 0 faults" in run.stdout
    assert "valid: written" in run.stdout
    assert "error: unreadable-input" in run.stdout


@pytest.fixture(scope="module")
def variants() -> Variants:
    """Of every base."""
    return Variants(bases=tuple(base_series()))


def test_the_intact_series_are_measured_and_written_so_that_damage_is_what_refuses_them(
    variants: Variants, tmp_path: Path
) -> None:
    ends = {}
    for base in variants.bases:
        for index, content in enumerate(base.files):
            (tmp_path / f"{index}.dcm").write_bytes(content)
        ends[base.name] = outcome(tmp_path, tmp_path / "out", fake_models(), is_written=False)

    refused = {name: end for name, end in ends.items() if end != "valid: measured"}
    assert len(ends) - len(refused) >= 10
    assert all(name.startswith(("jpeg-lossless", "real-")) for name in refused), refused


def test_a_number_gives_the_same_variant_and_every_kind_of_damage_changes_bytes(
    variants: Variants,
) -> None:
    bases = len(variants.bases)
    unchanged = set()
    for kind in range(len(MUTATORS)):
        made = [variants.make(kind * bases + base) for base in range(bases)]
        again = variants.make(kind * bases)
        assert again == made[0]
        if not any(
            content != variants.bases[variants.base_of(variant.number)].files[index]
            for variant in made
            for index, content in variant.files.items()
        ):
            unchanged.add(made[0].mutator)
    assert unchanged == set()

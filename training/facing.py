"""How far behind the front of the body the spine lies, in painted patients and in the same ones turned against their header."""

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from inference.domain.volume import canonical, slice_z_mm
from inference.stages.facing import TURNED_BELOW, spine_depth_share
from training.level_cases import painted_case
from training.real.variants import turned_silently
from training.templates.template import Template

FIRST_SEED = 7_600_000


def shares(templates: Sequence[Path], cases: int) -> Iterator[tuple[float | None, float | None]]:
    """As scanned and turned, where the field holds L3; fields, slices and pixels as in the cases that levels are calibrated on."""
    opened = [Template.read(path) for path in templates]
    for seed in range(FIRST_SEED, FIRST_SEED + cases):
        case = painted_case(seed, opened)
        volume, l3_mm = canonical(case.volume), case.vertebrae["L3"].centre_lps_mm[2]
        if slice_z_mm(volume)[0] <= l3_mm <= slice_z_mm(volume)[-1]:
            yield (
                spine_depth_share(volume, l3_mm),
                spine_depth_share(turned_silently(volume), l3_mm),
            )


def row(name: str, found: Sequence[float | None], *, is_turned: bool) -> str:
    """One line of the table."""
    told = np.array([share for share in found if share is not None])
    said = told < TURNED_BELOW
    low, middle, high = np.percentile(told, (0, 50, 100))
    return (
        f"| {name} | {len(found)} | {len(found) - len(told)} | {low:.2f} | {middle:.2f} | {high:.2f} "
        f"| {int((said != is_turned).sum())} |\n"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(
        prog="python -m training.facing",
        description=__doc__,
        epilog="example: python -m training.facing --template s0327.npz --template s0328.npz --cases 200",
    )
    parser.add_argument("--template", type=Path, action="append", required=True)
    parser.add_argument("--cases", type=int, default=100)
    options = parser.parse_args()
    right, turned = zip(*shares(options.template, options.cases), strict=True)
    out = sys.stdout.write
    out(
        f"Synthetic: {len(right)} of {options.cases} painted cases, seeds from {FIRST_SEED}, hold L3.\n\n"
    )
    out(
        "| | n | not told | least | median | largest | wrong |\n|---|---:|---:|---:|---:|---:|---:|\n"
    )
    out(row("as scanned", right, is_turned=False))
    out(row("turned against the header", turned, is_turned=True))


if __name__ == "__main__":
    main()

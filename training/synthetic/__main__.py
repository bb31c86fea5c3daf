"""Looks at synthetic CT: `python -m training.synthetic preview --seed 1 --out x.png`; for templates training.templates."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from PIL import Image

from training.synthetic.case import FULL_TORSO, make_case
from training.synthetic.preview import preview


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes one picture."""
    parser = argparse.ArgumentParser(prog="python -m training.synthetic", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    picture = commands.add_parser("preview", help="axial L3, coronal and sagittal as one PNG")
    picture.add_argument("--seed", type=int, default=1)
    picture.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    case = make_case(
        options.seed, spacing_mm=(2.0, 1.0, 1.0), shape_rc=(400, 500), field=FULL_TORSO
    )
    image = preview(case.volume, case.anatomy.l3_z_mm)
    Image.fromarray(image).save(options.out)
    sys.stdout.write(f"{options.out}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())

"""Looks at synthetic CT: `python -m training.synthetic preview --seed 1 --out x.png`."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from inference.domain.volume import Volume
from training.synthetic.case import FULL_TORSO, make_case
from training.synthetic.from_maps import case_from_maps, read_nifti
from training.synthetic.preview import below, preview


def main(arguments: Sequence[str] | None = None) -> int:
    """Writes one picture."""
    parser = argparse.ArgumentParser(prog="python -m training.synthetic", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    picture = commands.add_parser("preview", help="axial L3, coronal and sagittal as one PNG")
    picture.add_argument("--seed", type=int, default=1)
    picture.add_argument("--out", type=Path, required=True)
    picture.add_argument("--maps", type=Path, help="paint from this NIfTI label map instead")
    picture.add_argument("--names", type=Path, help="its label names as JSON")
    picture.add_argument("--beside", type=Path, help="a real CT (NIfTI) to show below")
    picture.add_argument("--beside-z", type=float, help="patient z (mm) of the real axial slice")
    options = parser.parse_args(arguments)
    image = _synthetic(options)
    if options.beside:
        real = read_nifti(options.beside)
        image = below(image, preview(real, _height(real, options.beside_z)))
    Image.fromarray(image).save(options.out)
    sys.stdout.write(f"{options.out}\n")
    return 0


def _synthetic(options: argparse.Namespace) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """The picture of the procedural torso, or of painted label maps."""
    if options.maps:
        painted = case_from_maps(options.maps, options.names, seed=options.seed)
        z = painted.l3_z_mm
        return preview(painted.volume, _height(painted.volume, z))
    case = make_case(
        options.seed, spacing_mm=(2.0, 1.0, 1.0), shape_rc=(400, 500), field=FULL_TORSO
    )
    return preview(case.volume, case.anatomy.l3_z_mm)


def _height(volume: Volume, z_mm: float | None) -> float:
    """The height asked for, or the middle of the volume."""
    if z_mm is not None:
        return z_mm
    return float(volume.affine_lps[2, 3] + volume.spacing_mm[0] * volume.shape[0] / 2)


if __name__ == "__main__":
    sys.exit(main())

"""make bench-read: CPU time of reading 300 native slices, ours beside the library's own way in the same run."""

import argparse
import platform
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import numpy.typing as npt
from pydicom import dcmread
from pydicom.pixels.processing import apply_modality_lut

from inference.dicom.read_series import load_series
from inference.domain.volume import Volume, affine_from_axes
from training.synthetic.series import SeriesHeader, write_series

SLICES = 300
PIXELS = 512
REPEATS = 5

Hounsfield = npt.NDArray[np.int16]


def library_volume(paths: Sequence[Path]) -> Hounsfield:
    """What pydicom's users write: read each file, sort by position, rescale."""
    images = [dcmread(path) for path in paths]
    images.sort(key=lambda image: float(image.ImagePositionPatient[2]))
    return np.stack(
        [apply_modality_lut(image.pixel_array, image).astype(np.int16) for image in images]
    )


def our_volume(paths: Sequence[Path]) -> Hounsfield:
    """The same with every check of the reader."""
    return np.asarray(load_series(paths).volume.hu, np.int16)


def _cpu_s(read: Callable[[Sequence[Path]], Hounsfield], paths: Sequence[Path]) -> float:
    started = time.process_time()
    read(paths)
    return time.process_time() - started


def write_slices(folder: Path) -> tuple[Path, ...]:
    """Noise on one grid: pixels that no reader can guess."""
    hu = np.random.default_rng(1).integers(-1024, 3071, (SLICES, PIXELS, PIXELS), np.int16)
    affine = affine_from_axes((0, 0, 0), [(0, 0, 1), (0, 1, 0), (1, 0, 0)], (1.0, 0.7, 0.7))
    return write_series(Volume(hu=hu, affine_lps=affine), SeriesHeader(order="shuffled"), folder)


def main() -> int:
    """Print and write the table; 1 where the volumes differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, help="file for the table")
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        paths = write_slices(Path(folder))
        is_same = np.array_equal(our_volume(paths), library_volume(paths))
        rounds = [
            (_cpu_s(our_volume, paths), _cpu_s(library_volume, paths)) for _ in range(REPEATS)
        ]
    ours_s, library_s = (median(times) for times in zip(*rounds, strict=True))
    ratio = ours_s / library_s
    text = (
        f"Python {platform.python_version()}, pydicom {version('pydicom')}, numpy {version('numpy')}; {SLICES} native\n"
        f"slices of {PIXELS} × {PIXELS} (synthetic noise), page cache warm; medians of {REPEATS}, CPU time.\n"
        "\n| reader | CPU s | share |\n|---|---|---|\n"
        f"| ours, every check included | {ours_s:.2f} | {ratio:.2f} |\n"
        f"| pydicom: dcmread, pixel_array, apply_modality_lut | {library_s:.2f} | 1 |\n"
        f"\nVolumes {'bit-identical' if is_same else 'DIFFER'}.\n"
    )
    sys.stdout.write(text)
    if options.out:
        options.out.write_text(text, encoding="utf-8")
    return 0 if is_same else 1


if __name__ == "__main__":
    sys.exit(main())

"""habitus synth"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from commands.named_path import named_path
from commands.result_folder import check_writable


def add_options(synth: argparse.ArgumentParser) -> None:
    """Arguments and help."""
    synth.add_argument("folder", type=named_path, metavar="DIR", help="new or empty folder")
    synth.add_argument(
        "--seed", type=_between(0, 2**31, int), default=1, help="another seed, another body"
    )
    synth.add_argument(
        "--pixels", type=_between(32, 1024, int), default=256, help="rows and columns"
    )
    synth.add_argument(
        "--pixel-mm", type=_between(0.3, 10, float), default=1.6, help="pixel spacing"
    )
    synth.add_argument(
        "--slice-mm", type=_between(0.5, 20, float), default=3.0, help="slice distance, thickness"
    )
    synth.add_argument(
        "--field",
        default="abdomen",
        choices=("torso", "abdomen", "l3", "chest", "pelvis"),
        help="part of the body",
    )
    synth.add_argument(
        "--template",
        type=Path,
        metavar="FILE",
        help="paint from an anatomy label map of yours: a file that python -m training.templates build wrote",
    )
    header = synth.add_argument_group("what the headers say (default: what fits the body)")
    header.add_argument(
        "--series-number",
        type=_between(1, 9999, int),
        help="with the seed of another series it makes a further one of the same patient and study",
    )
    header.add_argument("--kernel", type=_short_text, help="B30f (soft tissue), B60f (lung) …")
    header.add_argument("--description", type=_short_text, help="of the series")
    header.add_argument("--order", choices=("ascending", "descending", "shuffled"))
    header.add_argument("--thickness-mm", type=_between(0.1, 20, float), help="slice thickness")
    header.add_argument("--sex", choices=("M", "F", "O"))
    header.add_argument("--age-years", type=_between(0, 120, int))
    header.add_argument("--height-m", type=_between(0.1, 300, float), help="170 tries a wrong unit")
    header.add_argument("--weight-kg", type=_between(0.1, 1000, float))
    synth.formatter_class = argparse.RawDescriptionHelpFormatter
    synth.epilog = """\
examples:
  habitus synth ct/                             one series
  habitus synth study/soft --seed 4             a study of two series: same seed, same patient and study
  habitus synth study/lung --seed 4 --series-number 3 --kernel B60f
  habitus explain study/                        which of the two is taken
"""


def _short_text(text: str) -> str:
    """PS3.5 6.2: SH holds 16 characters and no backslash; the longer LO is kept to the same."""
    if not text.strip() or len(text) > 16 or "\\" in text or not text.isprintable():
        raise argparse.ArgumentTypeError(f"found {text!r}, wanted 1 to 16 letters, no backslash")
    return text


def _between(low: float, high: float, kind: Callable[[str], float]) -> Callable[[str], float]:
    def parse(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"found {text}, wanted {low:g} to {high:g}")
        return value

    parse.__name__ = kind.__name__
    return parse


def write_synthetic(options: argparse.Namespace) -> int:
    """habitus synth"""
    from inference.domain.errors import ConfigurationInvalid
    from training.synthetic.demo_series import truth_text, write_demo_series
    from training.templates.series import TemplateOrder, write_template_series

    check_writable(options.folder)
    if options.folder.exists() and any(options.folder.iterdir()):
        raise ConfigurationInvalid(
            found=f"{options.folder} that is not empty",
            wanted="a new or empty folder",
            advice="Name another folder; nothing is overwritten.",
        )
    changes = {
        field: value
        for field, value in (
            ("series_number", options.series_number),
            ("kernel", options.kernel),
            ("series_description", options.description),
            ("order", options.order),
            ("slice_thickness_mm", options.thickness_mm),
            ("sex", options.sex),
            ("age_years", options.age_years),
            ("height_m", options.height_m),
            ("weight_kg", options.weight_kg),
        )
        if value is not None
    }
    shape = (options.pixels, options.pixels)
    spacing_mm = (options.slice_mm, options.pixel_mm, options.pixel_mm)
    if options.template:
        truth = write_template_series(
            options.folder,
            TemplateOrder(
                template=options.template,
                seed=options.seed,
                field=options.field,
                shape_rc=shape,
                spacing_mm=spacing_mm,
            ),
            changes,
        )
    else:
        truth = write_demo_series(
            options.folder,
            seed=options.seed,
            field=options.field,
            shape_rc=shape,
            spacing_mm=spacing_mm,
            changes=changes,
        )
    sys.stdout.write(truth_text(truth))
    return 0

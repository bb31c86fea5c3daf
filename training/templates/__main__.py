"""Templates from anatomy label maps, and a look at what is painted from them."""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from training.as_command import exit_status

GREYS = 32
"""Of a shrunk picture: noise makes others large."""
EXAMPLES = """examples:
  python -m training.templates build DIR --out anatomy.npz --attribution "TotalSegmentator dataset, CC BY 4.0"
  python -m training.templates build maps/s0001_labels.nii.gz --out anatomy.npz
  python -m training.templates relatives --template anatomy.npz --count 20 --out relatives
  python -m training.templates preview --template anatomy.npz --cases 12 --out cases.png
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, and turn our own errors into exit codes."""
    options = _parser().parse_args(arguments)
    commands = {
        "build": _build,
        "relatives": _relatives,
        "preview": _preview,
        "benchmark": _benchmark,
    }

    def command() -> int:
        commands[options.command](options)
        return 0

    return exit_status(f"templates {options.command}", command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.templates",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="label maps in TotalSegmentator's class names")
    build.add_argument("source", type=Path, help="folder, or a .nii.gz with its .json beside it")
    build.add_argument("--out", type=Path, required=True)
    build.add_argument("--attribution", default="", help="source and licence; kept in the file")
    build.add_argument("--step-mm", type=float, default=1.5, help="the finest step kept")
    relatives = commands.add_parser("relatives", help="the same anatomy, other organs and vessels")
    relatives.add_argument("--template", type=Path, required=True, metavar="FILE")
    relatives.add_argument("--out", type=Path, required=True, help="a folder")
    relatives.add_argument("--count", type=int, default=20)
    relatives.add_argument("--seed", type=int, default=1)
    preview = commands.add_parser("preview", help="painted cases as one PNG")
    preview.add_argument("--template", type=Path, action="append", required=True, metavar="FILE")
    preview.add_argument("--out", type=Path, required=True)
    preview.add_argument("--cases", type=int, default=12)
    preview.add_argument("--seed", type=int, default=1)
    preview.add_argument("--columns", type=int, default=2)
    preview.add_argument("--variants", action="store_true", help="unusual spines only")
    preview.add_argument("--whole", action="store_true", help="never a cut field")
    preview.add_argument(
        "--shrink", type=float, default=1.0, help="size of the picture, as a share"
    )
    preview.add_argument("--beside", type=Path, help="a real CT (NIfTI) to show first")
    preview.add_argument("--beside-slice", type=int, default=0, help="its axial slice")
    speed = commands.add_parser("benchmark", help="patients and paintings per second of CPU time")
    speed.add_argument("--template", type=Path, action="append", required=True, metavar="FILE")
    return parser


def _build(options: argparse.Namespace) -> None:
    from training.templates.build import COARSEST_MM, build

    if not 0 < options.step_mm <= COARSEST_MM:
        raise ConfigurationInvalid(
            found=f"a step of {options.step_mm:g} mm",
            wanted=f"a step above 0, up to {COARSEST_MM:g} mm",
            advice="Leave --step-mm out: 1.5 mm is what the shipped networks were taught with.",
        )
    template = build(options.source, options.attribution, options.step_mm)
    template.write(options.out)
    names = " ".join(str(name) for name in template.body_names)
    sys.stdout.write(f"{options.out}: {template.frame.shape}, {names}\n")


def _relatives(options: argparse.Namespace) -> None:
    from dataclasses import replace

    import numpy as np

    from training.templates.naming import RELATIVES, template_in_words
    from training.templates.relatives import relative_of, sample_relative
    from training.templates.template import Template

    if options.count < 1 or options.seed < 0:
        raise ConfigurationInvalid(
            found=f"{options.count} relatives from seed {options.seed}",
            wanted="one or more, from a seed that is not negative",
            advice="See python -m training.templates relatives --help.",
        )
    template = Template.read(options.template)
    source = np.array(f"{RELATIVES}{template_in_words(options.template)}")
    for number in range(options.count):
        path = options.out / f"{options.template.stem}-{options.seed}-{number:02d}.npz"
        if path.is_file() and Template.read(path).source == source:
            continue
        began_s = time.monotonic()
        plan = sample_relative(template, np.random.default_rng((options.seed, number)))
        replace(relative_of(template, plan), source=source).write(path)
        aorta = f"aorta parts at {plan.arteries_part_mm:.0f} mm, {time.monotonic() - began_s:.0f} s"
        sys.stdout.write(f"{path} ({number + 1} of {options.count}): {aorta}\n")
        sys.stdout.flush()


def _preview(options: argparse.Namespace) -> None:
    from PIL import Image

    from training.nifti import read_nifti
    from training.templates.preview import real_row, rows, sheet
    from training.templates.spine_plan import USUAL, VARIANTS
    from training.templates.template import Template

    if options.cases < 1 or options.columns < 1 or options.seed < 0:
        raise ConfigurationInvalid(
            found=f"{options.cases} cases from seed {options.seed} in {options.columns} columns",
            wanted="one and more of each, from a seed that is not negative",
            advice="See python -m training.templates preview --help.",
        )
    templates = [Template.read(path) for path in options.template]
    seeds = range(options.seed, options.seed + options.cases)
    ranges = VARIANTS if options.variants else USUAL
    pictures = []
    if options.beside:
        real = read_nifti(options.beside)
        pictures.append(real_row(real.hu.astype("float32"), real.spacing_mm, options.beside_slice))
    for picture, said in rows(templates, seeds, ranges=ranges, is_whole=options.whole):
        sys.stdout.write(f"{said}\n")
        pictures.append(picture)
    image = Image.fromarray(sheet(pictures, options.columns))
    if options.shrink < 1:
        size = [max(1, round(side * options.shrink)) for side in image.size]
        image = image.resize((size[0], size[1]), Image.Resampling.LANCZOS).quantize(GREYS)
    image.save(options.out, optimize=True)
    sys.stdout.write(f"{options.out}\n")


def _benchmark(options: argparse.Namespace) -> None:
    from training.templates.benchmark import benchmark
    from training.templates.template import Template

    for line in benchmark([Template.read(path) for path in options.template]):
        sys.stdout.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())

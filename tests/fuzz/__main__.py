"""Send damaged series through the analysis and print how each ended: `python -m tests.fuzz --count 5000`."""

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from tests.fuzz.base_files import base_series
from tests.fuzz.table import markdown, summary
from tests.fuzz.variants import Variants
from tests.fuzz.workers import Result, run


def main() -> int:
    """0 where every variant ended as a typed error or a valid result."""
    arguments = _arguments()
    bases = tuple(base for base in base_series() if arguments.base in ("", base.name))
    variants = Variants(bases=bases, seed=arguments.seed, written_share=arguments.written)
    numbers = arguments.number or range(arguments.count)
    results: list[Result] = []
    for result in run(variants, numbers):
        results.append(result)
        if result.ending.is_fault or arguments.number:
            sys.stdout.write(json.dumps(asdict(result)) + "\n")
            sys.stdout.flush()
        if result.ending.is_fault and arguments.keep:
            _keep(variants, result, arguments.keep)
    sys.stdout.write(summary(results))
    if arguments.out:
        arguments.out.write_text(markdown(results, arguments.seed), encoding="utf-8")
    return int(any(result.ending.is_fault for result in results))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("--count", type=int, default=500, help="how many variants (default 500)")
    parser.add_argument("--seed", type=int, default=1, help="other variants of the same kinds")
    parser.add_argument("--written", type=float, default=0.1, help="share that writes results")
    parser.add_argument("--number", type=int, nargs="*", help="only these variants, each printed")
    parser.add_argument("--base", default="", help="only variants of this base (numbers change)")
    parser.add_argument("--keep", type=Path, help="folder for the files of faulty variants")
    parser.add_argument("--out", type=Path, help="write the table here")
    return parser.parse_args()


def _keep(variants: Variants, result: Result, folder: Path) -> None:
    series = folder / f"{result.number}-{result.mutator}-{result.base}"
    series.mkdir(parents=True, exist_ok=True)
    base = variants.bases[variants.base_of(result.number)]
    files = variants.make(result.number).files
    for index, content in enumerate(base.files):
        (series / f"{index:02d}.dcm").write_bytes(files.get(index, content))


if __name__ == "__main__":
    sys.exit(main())

"""make eval-robustness: one patient turned, prone, noisier, thicker …: the same level and areas, or a flag."""

import argparse
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from inference.engine.model_store import SHIPPED_MODELS
from inference.pipeline import Models
from training.as_command import exit_status
from training.evaluate_real import FOLDER_VARIABLE, loaded
from training.label_names import plain
from training.real.answer import models_in
from training.real.case import RealCase
from training.real.find_cases import find_cases
from training.real.overlay import overlay
from training.real.robustness import Own, Trial, level_and_tissue_only, own_answer, table, trials
from training.real.score import Scored
from training.synthetic.labels import COMPARTMENT_LUT
from training.templates.case import FieldKind, make_painted_case
from training.templates.template import Template

FIRST_SEED = 8_000_000
"""Neither trained on nor used by another evaluation."""
PAINTED_MM = (3.0, 1.6, 1.6)
PAINTED_SHAPE_RC = (256, 288)
MOST_PICTURES = 24


def painted_cases(paths: Sequence[Path], count: int) -> Iterator[RealCase]:
    """So many of each template, whole torsos."""
    for path in paths:
        template = Template.read(path)
        for seed in range(FIRST_SEED, FIRST_SEED + count):
            made = make_painted_case(
                template,
                seed,
                spacing_mm=PAINTED_MM,
                shape_rc=PAINTED_SHAPE_RC,
                field=FieldKind.WHOLE,
            )
            yield RealCase(
                name=f"painted-{path.stem}-{seed}",
                volume=made.volume,
                l3_z_mm=made.vertebrae["L3"].centre_lps_mm[2],
                true_compartments=COMPARTMENT_LUT[made.tissue_labels],
            )


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "folders", type=Path, nargs="*", metavar="FOLDER", help="folders of real cases"
    )
    parser.add_argument(
        "--template", type=Path, action="append", default=[], help="painted cases of it too"
    )
    parser.add_argument("--cases", type=int, default=3, help="painted cases of each template")
    parser.add_argument("--models", type=Path, default=SHIPPED_MODELS, help="another models folder")
    parser.add_argument("--out", type=Path, default=Path("runs/eval-robustness"))
    parser.add_argument("--page", type=Path, help="the table in another place")
    parser.add_argument("--no-gates", action="store_true", help="exit with 0 whatever was found")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where every trial holds."""
    options = options_of(arguments)
    models = level_and_tissue_only(models_in(options.models))
    folders = options.folders or [Path(p) for p in [os.environ.get(FOLDER_VARIABLE, "")] if p]
    if not folders and not options.template:
        raise ConfigurationInvalid(
            found="neither a folder nor a template",
            wanted="real cases or an anatomy to paint",
            advice=f"Name a folder, set {FOLDER_VARIABLE}, or give --template.",
        )
    real = (loaded(one, models) for one in (find_cases(folders) if folders else []))
    painted = painted_cases(options.template, options.cases)
    owns, found = evaluate(chain(real, painted), models, options.out)
    text = table(found, owns)
    for path in filter(None, (options.out / "README.md", options.page)):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    sys.stdout.write(text)
    holds = all(one.holds for one in found)
    return 0 if holds or options.no_gates else 1


def evaluate(
    cases: Iterable[RealCase], models: Models, folder: Path
) -> tuple[dict[str, Own], list[Trial]]:
    """Own answers by case and all trials; the first failures are drawn."""
    folder.mkdir(parents=True, exist_ok=True)
    owns: dict[str, Own] = {}
    found: list[Trial] = []
    failures = 0
    for case in cases:
        if case.volume is None or case.is_l3_absent:
            continue
        own = own_answer(case, models)
        if own is None:
            sys.stderr.write(f"{case.name}: no level, left out\n")
            continue
        owns[case.name] = own
        for one in trials(case, own, models):
            # The volumes of all variants of all cases would fill the memory.
            found.append(replace(one, volume=None))
            failures += not one.holds
            if not one.holds and failures <= MOST_PICTURES:
                _draw(one, case, own, folder)
        sys.stderr.write(f"{case.name}: {own.answer.outcome.value}\n")
    return owns, found


def _draw(one: Trial, case: RealCase, own: Own, folder: Path) -> None:
    said = one.variant.replace("+", "plus ").replace("-", "minus ")
    name = plain(said).replace("_", "-")
    assert one.volume is not None
    shown = RealCase(name=f"{case.name}: {one.variant}", volume=one.volume, l3_z_mm=own.level_mm)
    overlay(shown, one.answer, Scored()).save(folder / f"failed-{case.name}-{name}.png")


if __name__ == "__main__":
    sys.exit(exit_status("eval-robustness", main))

"""make eval-painted: models on CT painted from anatomy label maps they were not trained on; synthetic, no patients."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid
from inference.engine.model_store import SHIPPED_MODELS, verified_manifest
from training.as_command import exit_status
from training.painted_evaluation.cases import (
    FIRST_SEED,
    MOST_VOXELS,
    Part,
    make_case,
    order_of,
    planned,
)
from training.painted_evaluation.gates import missed
from training.painted_evaluation.level_table import in_words
from training.painted_evaluation.picture import case_picture
from training.painted_evaluation.run import Networks, Settings, evaluated
from training.painted_evaluation.scores import CaseScore
from training.painted_evaluation.tables import page
from training.templates.naming import anatomies_of
from training.templates.template import Template

CASES = 200
MOST_SKIPPED = 100_000
"""Seeds of unusual spines begin farther on."""
LINES = Path("runs/eval-painted")
"""A file of scores for each set of models, templates and parts."""
EXAMPLES = """examples:
  python -m training.evaluate_painted --template s0328.npz --models runs/models --out docs/results/eval-painted.md
  python -m training.evaluate_painted --template s0328.npz --variants --only level
  python -m training.evaluate_painted --template s0328.npz --variants --only level --skip 200
  python -m training.evaluate_painted --template s0328.npz --picture 6000017 --out case.png

Called again, it goes on where it was stopped; its scores lie under runs (--lines).
Exit status: 0 where every gate holds, 1 where one is missed.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse, run, and turn our own errors into exit codes."""
    options = _parser().parse_args(arguments)
    return exit_status("eval-painted", lambda: _run(options))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m training.evaluate_painted",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--template", type=Path, action="append", required=True, metavar="FILE")
    parser.add_argument("--models", type=Path, default=SHIPPED_MODELS, help="models folder")
    parser.add_argument("--cases", type=int, default=CASES, help=f"default {CASES}")
    parser.add_argument(
        "--skip",
        type=int,
        default=0,
        metavar="N",
        help="leave out the first N cases, for instance those that a rule was chosen on",
    )
    parser.add_argument("--variants", action="store_true", help="every spine is unusual")
    parser.add_argument("--only", default=",".join(Part), help="of level,tissue,organs")
    parser.add_argument("--workers", type=int, default=2, help="processes of one core each")
    parser.add_argument(
        "--voxels",
        type=int,
        default=MOST_VOXELS,
        help=f"cases of more are drawn coarser; default {MOST_VOXELS}",
    )
    parser.add_argument("--out", type=Path, help="file for the table, or for the picture")
    parser.add_argument("--lines", type=Path, help="file of scores, a line each")
    parser.add_argument(
        "--seen", action="store_true", help="networks may have been trained on the templates"
    )
    parser.add_argument("--no-gates", action="store_true", help="exit status 0 whatever is missed")
    parser.add_argument("--picture", type=int, metavar="SEED", help="draw this case only")
    return parser


def _run(options: argparse.Namespace) -> int:
    settings = _settings(options)
    if options.picture is not None:
        return _draw(options, settings)
    names = [path.stem for path in settings.templates]
    orders = planned(
        names,
        options.cases,
        settings.possible,
        has_variants=settings.has_variants,
        most_voxels=settings.most_voxels,
        skipped=options.skip,
    )
    lines = options.lines or LINES / f"{settings.digest}.jsonl"

    def report(done: int, score: CaseScore) -> None:
        sys.stderr.write(f"{done}/{len(orders)} {in_words(score)}\n")

    scores = evaluated(settings, orders, lines, options.workers, report)
    text, gates = page(scores, heading(settings, scores))
    sys.stdout.write(text)
    if options.out:
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text, encoding="utf-8")
    return 1 if missed(gates) and not options.no_gates else 0


def _settings(options: argparse.Namespace) -> Settings:
    names = [path.stem for path in options.template]
    parts = [part for part in options.only.split(",") if part]
    rules = {
        f"--only {options.only!r:.40}": bool(parts) and set(parts) <= set(Part),
        f"{options.cases} cases": options.cases > 0,
        f"--skip {options.skip}": 0 <= options.skip <= MOST_SKIPPED,
        f"{options.voxels} voxels": options.voxels > 0,
        f"{options.workers} workers": options.workers > 0,
        f"templates {', '.join(names)}": len(set(names)) == len(names),
    }
    for found, holds in rules.items():
        if not holds:
            raise ConfigurationInvalid(
                found=found,
                wanted=f"parts of level,tissue,organs, numbers above 0 (--skip 0 to {MOST_SKIPPED}) and templates of different names",
                advice="See python -m training.evaluate_painted --help.",
            )
    for path in options.template:
        Template.read(path)
    settings = Settings(
        templates=tuple(options.template),
        models=options.models,
        parts=frozenset(Part(part) for part in parts),
        has_variants=options.variants,
        most_voxels=options.voxels,
    )
    if not settings.possible:
        raise ConfigurationInvalid(
            found="no model for any of the wanted parts",
            wanted="l3-level and l3-tissue, l3-tissue, or organs",
            advice="Name a models folder with --models.",
        )
    if options.picture is None and not options.seen:
        _require_unseen(settings)
    return settings


def _require_unseen(settings: Settings) -> None:
    """Figures on an anatomy that a network was taught say nothing about any other."""
    for name in settings.networks:
        manifest = verified_manifest(name, settings.models)
        for path in settings.templates:
            if any(one in manifest.training_data for one in anatomies_of(path)):
                raise ConfigurationInvalid(
                    found=f"{name} {manifest.version}, which was trained on {path.stem}",
                    wanted="anatomies that none of the networks was trained on",
                    advice="Name networks that never saw it with --models, another anatomy with --template, or other parts with --only;"
                    " --seen looks all the same.",
                )


def _draw(options: argparse.Namespace, settings: Settings) -> int:
    """The picture of one case."""
    if options.out is None or options.picture < FIRST_SEED:
        raise ConfigurationInvalid(
            found=f"seed {options.picture}" if options.out else "no file for the picture",
            wanted=f"a seed from {FIRST_SEED} on, and --out",
            advice="Take a seed from the table of the same call.",
        )
    names = [path.stem for path in settings.templates]
    order = order_of(options.picture, names, settings.possible, settings.most_voxels)
    path = next(path for path in settings.templates if path.stem == order.template)
    case = make_case(order, Template.read(path))
    case_picture(case, Networks(settings)).save(options.out, optimize=True)
    sys.stdout.write(f"{options.out}\n")
    return 0


def heading(settings: Settings, scores: Sequence[CaseScore]) -> list[str]:
    """What was evaluated on what."""
    spines = "unusual spines only" if settings.has_variants else "usual mixture of spines"
    sources = {str(Template.read(path).source) for path in settings.templates}
    models = [
        f"{manifest.name} {manifest.version} ({manifest.onnx_sha256[:12]})"
        for name in settings.identity()["models"]
        for manifest in [verified_manifest(name, settings.models)]
    ]
    painting = sum(score.painting_s for score in scores) / len(scores)
    analysis = sum(score.analysis_s for score in scores) / len(scores)
    return [
        "# Painted CT",
        "",
        "**Synthetic CT, painted from anatomy label maps: says nothing about patients.** `make eval-painted`",
        "",
        f"{len(scores)} cases, seeds from {scores[0].seed}, {spines}; templates {', '.join(p.stem for p in settings.templates)};"
        f" parts: {', '.join(sorted(settings.possible))}.",
        f"Models: {', '.join(models)}.",
        f"Label maps: {'; '.join(sorted(sources))}.",
        f"A case took {painting:.1f} s to paint and {analysis:.1f} s to analyse on one core (mean, wall time).",
    ]


if __name__ == "__main__":
    sys.exit(main())

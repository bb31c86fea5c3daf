"""make eval-real: the models on real CT, public or a site's own: level, tissues, organs, agreement, pictures."""

import argparse
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid, HabitusError
from inference.engine.model_store import SHIPPED_MODELS
from inference.pipeline import Models
from training.as_command import exit_status
from training.real.agreement import agreements, bland_altman_svg
from training.real.answer import Answer, answer_of, models_in
from training.real.case import RealCase
from training.real.checks import checks_of
from training.real.example_ct import CUT_FIELDS, cut, example_case
from training.real.find_cases import FoundCase, find_cases
from training.real.overlay import overlay
from training.real.read_case import read_case
from training.real.score import Scored, scored
from training.real.tables import CaseResult, all_checks, page, write_csv

FOLDER_VARIABLE = "HABITUS_REAL_CT"
DEFAULT_OUT = Path("runs/eval-real")
AGREEMENT_FILE = "bland-altman.svg"


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Where everything goes."""

    folder: Path
    page: Path
    pictures: Path
    is_published: bool
    """Whether pictures go elsewhere than the rest: then only those whose licence allows it."""

    def shows(self, case: RealCase) -> bool:
        """Whether a picture of the case may be drawn there."""
        return not self.is_published or (case.known is not None and case.known.may_show)

    def reference_to(self, path: Path) -> str:
        """A path as the page refers to it."""
        return Path(os.path.relpath(path, self.page.parent)).as_posix()


def loaded(found: FoundCase, models: Models) -> RealCase:
    """The case, read."""
    if found.is_example:
        return example_case(found.path, found.name, found.known)
    return read_case(found.path, found.name, models.profile, found.known)


def evaluated(case: RealCase, models: Models, outputs: Outputs) -> CaseResult:
    """The case, answered, compared and drawn."""
    if case.volume is None:
        return CaseResult(
            case=case, answer=None, scored=Scored(), checks=tuple(checks_of(case, None, None))
        )
    answer = answer_of(case.volume, case.facts, models)
    case, compared = _compared(case, answer, models)
    picture = ""
    if outputs.shows(case):
        path = outputs.pictures / f"{case.name}.png"
        overlay(case, answer, compared).save(path, optimize=True)
        picture = outputs.reference_to(path)
    return CaseResult(
        case=case,
        answer=answer,
        scored=compared,
        checks=tuple(checks_of(case, answer, compared)),
        field_mm=field_mm(case),
        picture=picture,
    )


def _compared(case: RealCase, answer: Answer, models: Models) -> tuple[RealCase, Scored]:
    """A reference that turns out to be unreadable costs its own comparison, not the others and not the case."""
    try:
        return case, scored(case, answer, models)
    except HabitusError as problem:
        readable, problems = case.reference.without_unreadable()
        if not problems:
            readable, problems = type(case.reference)(), (str(problem),)
        trouble = "; ".join(filter(None, (case.trouble, *problems)))
        rest = replace(case, reference=readable, trouble=trouble)
        return rest, scored(rest, answer, models)


def field_mm(case: RealCase) -> float | None:
    """Height of the field."""
    if case.volume is None:
        return None
    places = case.volume.places
    return float(places[-1] - places[0] + 1) * case.volume.spacing_mm[0]


def cut_results(case: RealCase, models: Models) -> tuple[CaseResult, ...]:
    """The level alone on every field cut out of a case."""
    level_only = replace(models, organs=None)
    results = []
    for field in CUT_FIELDS:
        part = cut(case, field)
        assert part.volume is not None
        answer = answer_of(part.volume, part.facts, level_only)
        compared = scored(replace(part, reference=type(part.reference)()), answer, models)
        checks = tuple(checks_of(part, answer, compared))
        results.append(
            CaseResult(
                case=part, answer=answer, scored=compared, checks=checks, field_mm=field_mm(part)
            )
        )
    return tuple(results)


def evaluate(folders: Sequence[Path], models: Models, outputs: Outputs) -> list[CaseResult]:
    """All cases; page, tables and pictures are written."""
    for folder in (outputs.folder, outputs.pictures, outputs.page.parent):
        folder.mkdir(parents=True, exist_ok=True)
    results = []
    for found in find_cases(folders):
        case = loaded(found, models)
        result = evaluated(case, models, outputs)
        if found.is_example:
            result = replace(result, parts=cut_results(case, models))
        results.append(result)
        outcome = result.answer.outcome.value if result.answer else "refused by the node"
        sys.stderr.write(f"{found.name}: {outcome}\n")
        if result.case.trouble:
            sys.stderr.write(
                f"{found.name}: not all of its reference is used: {result.case.trouble}\n"
            )
    write_csv(results, outputs.folder)
    comparable = [
        one
        for one in agreements(score for r in results for score in r.scored.scores)
        if len(one.pairs) > 1
    ]
    agreement = ""
    if comparable:
        path = outputs.pictures / AGREEMENT_FILE
        path.write_text(bland_altman_svg(comparable), encoding="utf-8")
        agreement = outputs.reference_to(path)
    outputs.page.write_text(page(results, "Real CT", agreement), encoding="utf-8")
    return results


def options_of(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        epilog="A site's own cases: one folder each; see docs/validation.md. Their folder names are not printed.",
    )
    parser.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="folders of cases")
    parser.add_argument("--models", type=Path, default=SHIPPED_MODELS, help="another models folder")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="page, tables, pictures")
    parser.add_argument("--page", type=Path, help="the page in another place")
    parser.add_argument(
        "--pictures",
        type=Path,
        help="pictures in another place: then only of public cases whose licence allows it",
    )
    parser.add_argument("--no-gates", action="store_true", help="exit with 0 whatever was found")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """0 where everything wanted of the cases holds, 1 where not."""
    options = options_of(arguments)
    folders = options.folders or [Path(p) for p in [os.environ.get(FOLDER_VARIABLE, "")] if p]
    if not folders:
        raise ConfigurationInvalid(
            found="no folder",
            wanted="folders of cases",
            advice=f"Name them, or set {FOLDER_VARIABLE}.",
        )
    outputs = Outputs(
        folder=options.out,
        page=options.page or options.out / "README.md",
        pictures=options.pictures or options.out,
        is_published=options.pictures is not None,
    )
    results = evaluate(folders, models_in(options.models), outputs)
    missed = [check for check in all_checks(results) if not check.holds]
    for check in missed:
        sys.stderr.write(f"NOT AS WANTED: {check.case}: {check.must}; did: {check.did}\n")
    refused = sum(result.case.volume is None for result in results)
    in_part = sum(bool(result.case.trouble) for result in results)
    sys.stderr.write(
        f"{len(results)} cases, {refused} refused, {in_part} whose reference is not all used: {outputs.page}\n"
    )
    return 1 if missed and not options.no_gates else 0


if __name__ == "__main__":
    sys.exit(exit_status("eval-real", main))

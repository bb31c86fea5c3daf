"""Everything that is looked at before a training begins."""

import hashlib
from dataclasses import dataclass

from training.data.cases import FoundCases
from training.data.compare_cases import duplicates, size_doubts
from training.data.examine import Examination, Progress, examine_all
from training.data.problems import Problem, stop_at_errors
from training.data.splits import Split, split_problems


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A folder of cases, looked at."""

    found: FoundCases
    examinations: tuple[Examination, ...]
    problems: tuple[Problem, ...]
    """Errors first, then by case."""

    @property
    def data_hash(self) -> str:
        """Of all voxels and labels as a training reads them, for a checkpoint to name; files may be renamed or packed anew."""
        read = [one.facts for one in self.examinations if one.facts is not None]
        hashes = sorted(
            f"{facts.image_hash} {facts.labels_hash} {[round(step, 4) for step in facts.spacing_mm]}"
            for facts in read
        )
        return hashlib.blake2b("\n".join(hashes).encode(), digest_size=16).hexdigest()


def checked(
    found: FoundCases,
    *,
    split: Split | None = None,
    progress: Progress | None = None,
    workers: int = 1,
) -> Checked:
    """All problems of all cases; raises nothing for them."""
    examinations = examine_all(found.cases, progress, workers)
    problems = [
        *found.problems,
        *(problem for one in examinations for problem in one.problems),
        *duplicates(examinations),
        *size_doubts(examinations),
        *(split_problems(split, found.cases) if split is not None else ()),
    ]
    if not found.cases:
        problems.append(_nothing())
    problems.sort(key=lambda problem: (not problem.is_error, problem.case))
    return Checked(found=found, examinations=tuple(examinations), problems=tuple(problems))


def check_before_training(
    found: FoundCases,
    *,
    split: Split | None = None,
    progress: Progress | None = None,
    workers: int = 1,
) -> Checked:
    """The same, for a training: raises TrainingDataUnfit where there is an error."""
    result = checked(found, split=split, progress=progress, workers=workers)
    stop_at_errors(result.problems)
    return result


def _nothing() -> Problem:
    return Problem(
        where="folder",
        found="no case",
        wanted="images with labels",
        advice="Check the folder and the layout: python -m training data layouts.",
    )

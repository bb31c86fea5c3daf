"""What is wrong with labelled data: all of it in one table, and training stops."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from inference.domain.errors import HabitusError

SHOWN = 20
COLUMNS = ("case", "where", "found", "wanted", "what to do")


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong, or that somebody should look at."""

    case: str = ""
    """As the layout names it: never a patient's ID."""
    where: str
    """"image", "label", "split", or the name of a file."""
    found: str
    wanted: str
    advice: str
    is_error: bool = True
    """A warning does not stop a training."""

    @classmethod
    def of(cls, error: HabitusError, where: str) -> Self:
        """What a reader refused."""
        return cls(where=where, found=error.found, wanted=error.wanted, advice=error.advice)

    def at(self, case: str) -> "Problem":
        """The same, of a case."""
        return replace(self, case=case)

    @property
    def kind(self) -> str:
        """In one word."""
        return "error" if self.is_error else "warning"

    @property
    def cells(self) -> tuple[str, ...]:
        """As COLUMNS name them."""
        return self.case, self.where, self.found, self.wanted, self.advice


@dataclass(kw_only=True)
class TrainingDataUnfit(HabitusError):
    """Labelled data that must be mended before anything is trained on it."""

    problems: tuple[Problem, ...] = ()

    code: ClassVar[str] = "training-data-unfit"
    exit_status: ClassVar[int] = 1

    def __str__(self) -> str:
        shown = [f"  {' | '.join(p.cells)}" for p in self.problems[:SHOWN]]
        if (more := len(self.problems) - SHOWN) > 0:
            shown.append(f"  … and {more} more")
        return "\n".join([HabitusError.__str__(self), *shown])


def errors_of(problems: Iterable[Problem]) -> list[Problem]:
    """Without the warnings."""
    return [problem for problem in problems if problem.is_error]


def stop_at_errors(problems: Sequence[Problem]) -> None:
    """Raise TrainingDataUnfit, with everything that is wrong, where anything is."""
    if errors := errors_of(problems):
        cases = len({problem.case for problem in errors})
        raise TrainingDataUnfit(
            found=f"{len(errors)} errors in {cases} cases",
            wanted="none before training begins",
            advice="Mend them, or take the cases out; python -m training data check lists all.",
            problems=tuple(errors),
        )

"""Where a training reads: a pool of made examples, or a folder of labelled CT with its split."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the command line names; a task opens it."""

    folder: Path
    layout: str | None = None
    """Of training.data.layouts; None: guessed, and said."""
    split: Path | None = None
    """A file of python -m training data split; None: a fifth of the patients is kept back, by the configuration's seed."""
    fold: int | None = None
    """The fold kept back, of a split into folds."""
    workers: int = 1
    """Processes that look at the cases before the training."""

"""What an analyser must offer to the engine child: one function to load it, one to analyse a series."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol

from inference.domain.earlier_document import EarlierDocument
from inference.domain.entered_level import EnteredLevel
from inference.domain.entered_size import EnteredSize
from inference.domain.report_options import DEFAULT_REPORT, ReportOptions
from inference.domain.seg_encoding import SegEncoding
from inference.engine.acceleration import PLAIN, Acceleration
from orthanc_plugin.node.job_key import EngineIdentity

Progress = Callable[[str, float], None]
"""Called with a stage's name and the fraction done, 0..1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadRequest:
    """Which models to load, and where they may run."""

    models_folder: Path
    profile: str
    providers: Sequence[str]
    acceleration: Acceleration = PLAIN
    report: ReportOptions = DEFAULT_REPORT
    uncertain_level: str = ""
    """What is done at a level that is doubted; empty: as the profile says."""
    without_level: str = ""
    """What is done where nothing can be measured at L3; empty: as the profile says."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisRequest:
    """One series to analyse; results go into `out_folder` and nowhere else."""

    series_folder: Path
    out_folder: Path
    job_key: str
    created: datetime
    encodings: tuple[SegEncoding, ...] = (SegEncoding.BINARY,)
    """Of the segmentations, the one under the plain roles first."""
    predecessors: tuple[EarlierDocument, ...] = ()
    """Results that those of this job replace."""
    entered: EnteredSize | None = None
    """Height and weight that an operator entered for this study."""
    level: EnteredLevel | None = None
    """Where an operator set L3 in this series."""
    profile: str = ""
    """Which of the loaded ones; empty: the engine's own."""
    may_lack_level: bool = True
    """Whether organs are wanted of it without L3; not while another series of the study may show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkInUse:
    """A loaded network, where it runs, and where it was asked to run first."""

    name: str
    version: str
    sha256: str
    provider: str
    asked: str


class Analyser(Protocol):
    """Loaded models, ready for one series after the other."""

    identity: EngineIdentity
    downgrades: tuple[str, ...]
    """What the page says of networks that run elsewhere than asked for first; no part of what makes a job."""
    networks: tuple[NetworkInUse, ...]
    """What metrics say of each."""

    def analyse(self, request: AnalysisRequest, progress: Progress) -> Mapping[str, Path]:
        """Role to file, all in the out folder; raises HabitusError."""


class AnalyserModule(Protocol):
    """A module that can be named in the settings as engine.analyser."""

    def load(self, request: LoadRequest) -> Analyser:
        """Load the models; raises ModelUnusable or ProviderUnavailable."""

"""Everything that can go wrong, as one tree; each error says what was found, what was wanted and what to do.

HabitusError                      .code (stable, for REST, metrics, exit codes)  .retryable
├─ StudyRejected                  not ours to analyse: a normal, coded outcome
│  ├─ NoSuitableSeries            nothing here is an axial CT series
│  ├─ UnsupportedGeometry         tilt, gap, duplicate, too few slices, not HU
│  ├─ LevelNotFound               the third lumbar vertebra is not in the field of view
│  ├─ LevelUncertain              it may be another vertebra, and the profile wants none that is doubted
│  └─ LevelNotInSeries            the slice that a person named for L3 is not of this series
├─ UnreadableInput                a file that is broken, truncated or missing
├─ ModelUnusable                  stop taking jobs: a model folder is wrong
│  ├─ ManifestInvalid
│  └─ ChecksumMismatch
├─ InferenceFailed                a run that should have worked
│  ├─ ProviderUnavailable         the accelerator asked for is not in use
│  ├─ OutOfMemory                 the series needs more memory than there is, or than is allowed
│  └─ ImplausibleResult           our own check of the result failed: nothing is sent
├─ DeliveryFailed  (retryable)    results exist, the destination refused or is away
└─ ConfigurationInvalid           a setting cannot be used

No message ever carries a patient's name, identifier or accession number.
"""

from dataclasses import dataclass, fields
from functools import partial
from typing import Any, ClassVar


@dataclass(kw_only=True)
class HabitusError(Exception):
    """An error whose sentence is built from what was found, what was wanted and what to do."""

    found: str
    wanted: str
    advice: str = ""

    code: ClassVar[str] = "error"
    retryable: ClassVar[bool] = False
    exit_status: ClassVar[int] = 1

    def __reduce__(self) -> tuple[Any, ...]:
        """Another process sends it by pickle, which would call the class without its keywords."""
        return partial(type(self), **{f.name: getattr(self, f.name) for f in fields(self)}), ()

    @property
    def reason_code(self) -> str:
        """The most exact code there is."""
        return self.code

    def __str__(self) -> str:
        sentence = f"found {self.found}; wanted {self.wanted}"
        return f"{sentence}. {self.advice}" if self.advice else f"{sentence}."


@dataclass(kw_only=True)
class StudyRejected(HabitusError):
    """The input is not ours to analyse; `reason` is the coded reason shown on page, REST and metrics."""

    reason: str = "unsuitable"

    code: ClassVar[str] = "rejected"
    exit_status: ClassVar[int] = 3

    @property
    def reason_code(self) -> str:
        """Of the rejection."""
        return self.reason

    def __str__(self) -> str:
        return f"[{self.reason}] {HabitusError.__str__(self)}"


@dataclass(kw_only=True)
class NoSuitableSeries(StudyRejected):
    """No series of the input is an axial CT image series."""

    reason: str = "no-suitable-series"
    code: ClassVar[str] = "no-suitable-series"


@dataclass(kw_only=True)
class UnsupportedGeometry(StudyRejected):
    """The slices do not form a volume that can be measured."""

    reason: str = "unsupported-geometry"
    code: ClassVar[str] = "unsupported-geometry"


@dataclass(kw_only=True)
class LevelNotFound(StudyRejected):
    """The third lumbar vertebra was not found in the field of view."""

    reason: str = "no-l3"
    code: ClassVar[str] = "no-l3"


@dataclass(kw_only=True)
class LevelNotInSeries(StudyRejected):
    """The slice that a person named as the middle of L3 is not one of the series, or not one alone."""

    reason: str = "level-not-in-series"
    code: ClassVar[str] = "level-not-in-series"


@dataclass(kw_only=True)
class LevelUncertain(StudyRejected):
    """A vertebra was found that may not be the third lumbar one, and the profile wants no such level."""

    reason: str = "uncertain-l3"
    code: ClassVar[str] = "uncertain-l3"


@dataclass(kw_only=True)
class UnreadableInput(HabitusError):
    """A file or folder that is missing, broken or truncated."""

    code: ClassVar[str] = "unreadable-input"
    exit_status: ClassVar[int] = 4


@dataclass(kw_only=True)
class ModelUnusable(HabitusError):
    """A model folder that must not be used; no job is taken until it is mended."""

    code: ClassVar[str] = "model-unusable"
    exit_status: ClassVar[int] = 5


@dataclass(kw_only=True)
class ManifestInvalid(ModelUnusable):
    """The manifest has an unknown, missing or malformed field."""

    code: ClassVar[str] = "manifest-invalid"


@dataclass(kw_only=True)
class ChecksumMismatch(ModelUnusable):
    """The model file is not the one its manifest was written for."""

    code: ClassVar[str] = "checksum-mismatch"


@dataclass(kw_only=True)
class InferenceFailed(HabitusError):
    """A run that should have worked."""

    code: ClassVar[str] = "inference-failed"
    exit_status: ClassVar[int] = 6


@dataclass(kw_only=True)
class ProviderUnavailable(InferenceFailed):
    """The execution provider asked for is not the one in use."""

    code: ClassVar[str] = "provider-unavailable"


@dataclass(kw_only=True)
class OutOfMemory(InferenceFailed):
    """The series needs more memory than there is or than the limit allows; another try would need as much."""

    found: str = "too little memory for this series"
    wanted: str = "more"
    advice: str = "Raise engine.memory_limit_bytes, or use a larger machine."

    code: ClassVar[str] = "out-of-memory"


@dataclass(kw_only=True)
class ImplausibleResult(InferenceFailed):
    """Our own check of a result failed, so it is not sent."""

    code: ClassVar[str] = "implausible-result"


@dataclass(kw_only=True)
class DeliveryFailed(HabitusError):
    """Results exist, but a destination refused them or is away."""

    code: ClassVar[str] = "delivery-failed"
    retryable: ClassVar[bool] = True
    exit_status: ClassVar[int] = 7


@dataclass(kw_only=True)
class ConfigurationInvalid(HabitusError):
    """A setting or argument that cannot be used."""

    code: ClassVar[str] = "configuration-invalid"
    exit_status: ClassVar[int] = 2

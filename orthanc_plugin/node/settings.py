"""Settings: the node's frozen configuration, read once from habitus.toml; every field with its unit."""

import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar

from inference.domain.errors import ConfigurationInvalid
from inference.domain.report_options import DEFAULT_REPORT, ReportOptions, report_options
from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.delivery_journal import Destination

T = TypeVar("T")
Choice = TypeVar("Choice", bound=StrEnum)


class LatePolicy(StrEnum):
    """What images that come after a result do."""

    RECOMPUTE = "recompute"
    """Late slices of the series, or a series that suits better, give a new result that supersedes the old one."""
    NOTE = "note"
    """They are shown on the page; the result stays. A corrected patient gives a new one all the same."""


class SupersededPolicy(StrEnum):
    """What becomes of results in our own Orthanc once newer ones have taken their place."""

    KEEP = "keep"
    DELETE_HERE = "delete-here"
    """Deleted from our own Orthanc when every required destination has the newer ones; never from a PACS."""


CONFIRMATIONS = ("query", "store-status")


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthancAccess:
    """How a node of its own unit reaches Orthanc; one started by the plugin is told address and token."""

    url: str = "http://127.0.0.1:8042"
    user: str = ""
    password_file: Path | None = None
    timeout_s: float = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """When a study counts as complete."""

    quiet_s: float = 60.0
    """Nothing new of a study for so long: its best series is taken. Scanners send reconstruction after reconstruction,
    with pauses of up to minutes; what comes after the choice is for `late`."""
    poll_s: float = 1.0
    """How often /changes is read when nobody wakes the node."""
    incomplete_wait_s: float = 120.0
    """A quiet study whose best series has gaps waits so long for the slices between before it is taken as it is;
    the reader then refuses it with a code. 0 waits for nothing."""
    late: LatePolicy = LatePolicy.RECOMPUTE


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What analyses a series, and its limits."""

    models_folder: Path
    profile: str = "abdomen"
    providers: tuple[str, ...] = ("cpu",)
    """Where the networks run, the one wanted most first; names as in inference.engine.providers."""
    analyser: str = "orthanc_plugin.node.pipeline_analyser"
    """Module with a function `load(request) -> Analyser`."""
    job_wall_clock_s: float = 1800.0
    """A job that takes longer is killed; that counts as one try."""
    start_wall_clock_s: float = 300.0
    """Loading the models may take so long."""
    memory_limit_bytes: int = 12 * 1024**3
    """Address space of the engine child (RLIMIT_AS) where it runs on the CPU alone, beside that of its threads;
    0 sets none. 284 slices of 512 × 512 take 2.4 GiB of it with the abdomen profile, 1500 about 11."""
    max_attempts: int = 3
    retry_backoff_s: float = 2.0
    """The n-th retry waits 2ⁿ times this."""
    report: ReportOptions = DEFAULT_REPORT
    """How the report is written; [report] in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """How deliveries are retried."""

    poll_s: float = 1.0
    first_retry_s: float = 10.0
    longest_retry_s: float = 3600.0
    superseded: SupersededPolicy = SupersededPolicy.KEEP
    """[results] in the file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the node is told by its operator."""

    data_folder: Path
    """Journal, spool and the site's secret; on a local disk, never NFS (SQLite's locks)."""
    engine: EngineSettings
    orthanc: OrthancAccess = OrthancAccess()
    intake: IntakeSettings = IntakeSettings()
    outbox: OutboxSettings = OutboxSettings()
    destinations: tuple[Destination, ...] = field(default=())

    @property
    def journal_path(self) -> Path:
        """The SQLite file."""
        return self.data_folder / "journal.db"

    @property
    def spool_folder(self) -> Path:
        """Work in progress and results."""
        return self.data_folder / "spool"

    @property
    def commands_folder(self) -> Path:
        """Where the plugin leaves operators' wishes."""
        return self.data_folder / "commands"


def load_settings(path: Path) -> Settings:
    """Read and check a settings file; relative folders are taken from its own folder. Raises ConfigurationInvalid."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as exc:
        raise _invalid("no readable settings file", "habitus.toml") from exc
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
        # TOMLDecodeError says line and column and quotes one character at most.
        raise _invalid(f"settings that are not TOML ({exc})", "valid TOML") from exc
    return _settings(_Table(table, "", path.parent))


class _Table:
    """A TOML table whose fields are asked for by type; what was not asked for is an error."""

    def __init__(self, values: Mapping[str, Any], where: str, folder: Path) -> None:
        self._values = dict(values)
        self._where = where
        self._folder = folder

    def name(self, key: str) -> str:
        return f"{self._where}{key}"

    def table(self, key: str) -> "_Table":
        value = self._values.pop(key, {})
        if not isinstance(value, dict):
            raise _invalid(f"{self.name(key)} = {value!r:.40}", f"a table [{self.name(key)}]")
        return _Table(value, f"{self.name(key)}.", self._folder)

    def tables(self, key: str) -> "list[_Table]":
        value = self._values.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise _invalid(f"{self.name(key)} = {value!r:.40}", f"tables [[{self.name(key)}]]")
        return [
            _Table(item, f"{self.name(key)}[{number}].", self._folder)
            for number, item in enumerate(value)
        ]

    def text(self, key: str, default: str | None = None) -> str:
        return str(self._value(key, default, str, "a text"))

    def flag(self, key: str, default: bool) -> bool:
        return bool(self._value(key, default, bool, "true or false"))

    def number(self, key: str, default: float, *, least: float) -> float:
        value = self._values.pop(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not value >= least:
            raise _invalid(f"{self.name(key)} = {value!r:.40}", f"a number of at least {least:g}")
        return float(value)

    def count(self, key: str, default: int, *, least: int) -> int:
        value = self._value(key, default, int, "a whole number")
        if isinstance(value, bool) or value < least:
            raise _invalid(f"{self.name(key)} = {value!r}", f"a whole number of at least {least}")
        return int(value)

    def folder(self, key: str, default: str | None = None) -> Path:
        return self.beside(self.text(key, default))

    def beside(self, path: str) -> Path:
        return (self._folder / path).resolve()

    def texts(self, key: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self._values.pop(key, list(default))
        if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
            raise _invalid(f"{self.name(key)} = {value!r:.60}", "a list of texts, not empty")
        return tuple(value)

    def remaining(self) -> dict[str, Any]:
        """Every field not asked for yet, for a reader with checks of its own."""
        values, self._values = self._values, {}
        return values

    def nothing_else(self) -> None:
        if self._values:
            raise _invalid(f"unknown setting {self.name(min(self._values))}", "a setting we know")

    def _value(self, key: str, default: Any, kind: type, wanted: str) -> Any:
        value = self._values.pop(key, default)
        if value is None:
            raise _invalid(f"no setting {self.name(key)}", wanted)
        if not isinstance(value, kind):
            raise _invalid(f"{self.name(key)} = {value!r:.40}", wanted)
        return value


def _settings(table: _Table) -> Settings:
    settings = Settings(
        data_folder=table.folder("data_folder"),
        orthanc=_section(table, "orthanc", _orthanc),
        intake=_section(table, "intake", _intake),
        engine=replace(
            _section(table, "engine", _engine), report=_section(table, "report", _report)
        ),
        outbox=replace(
            _section(table, "outbox", _outbox), superseded=_section(table, "results", _superseded)
        ),
        destinations=tuple(_destination(item) for item in table.tables("destinations")),
    )
    table.nothing_else()
    names = [destination.modality for destination in settings.destinations]
    if len(set(names)) != len(names):
        raise _invalid("the same modality in two destinations", "each destination once")
    return settings


def _section(table: _Table, key: str, build: Callable[[_Table], T]) -> T:
    section = table.table(key)
    built = build(section)
    section.nothing_else()
    return built


def _orthanc(table: _Table) -> OrthancAccess:
    password_file = table.text("password_file", "")
    return OrthancAccess(
        url=table.text("url", OrthancAccess().url).rstrip("/"),
        user=table.text("user", ""),
        password_file=table.beside(password_file) if password_file else None,
        timeout_s=table.number("timeout_s", OrthancAccess().timeout_s, least=0.1),
    )


def _intake(table: _Table) -> IntakeSettings:
    default = IntakeSettings()
    return IntakeSettings(
        quiet_s=table.number("quiet_s", default.quiet_s, least=0.1),
        poll_s=table.number("poll_s", default.poll_s, least=0.05),
        incomplete_wait_s=table.number("incomplete_wait_s", default.incomplete_wait_s, least=0.0),
        late=_one_of(table, "late", LatePolicy, default.late),
    )


def _engine(table: _Table) -> EngineSettings:
    default = EngineSettings(models_folder=Path())
    return EngineSettings(
        models_folder=table.folder("models_folder"),
        profile=table.text("profile", default.profile),
        providers=table.texts("providers", default.providers),
        analyser=table.text("analyser", default.analyser),
        job_wall_clock_s=table.number("job_wall_clock_s", default.job_wall_clock_s, least=0.1),
        start_wall_clock_s=table.number(
            "start_wall_clock_s", default.start_wall_clock_s, least=0.1
        ),
        memory_limit_bytes=table.count("memory_limit_bytes", default.memory_limit_bytes, least=0),
        max_attempts=table.count("max_attempts", default.max_attempts, least=1),
        retry_backoff_s=table.number("retry_backoff_s", default.retry_backoff_s, least=0.0),
    )


def _report(table: _Table) -> ReportOptions:
    return report_options(table.remaining())


def _outbox(table: _Table) -> OutboxSettings:
    default = OutboxSettings()
    return OutboxSettings(
        poll_s=table.number("poll_s", default.poll_s, least=0.05),
        first_retry_s=table.number("first_retry_s", default.first_retry_s, least=0.05),
        longest_retry_s=table.number("longest_retry_s", default.longest_retry_s, least=0.05),
    )


def _superseded(table: _Table) -> SupersededPolicy:
    return _one_of(table, "superseded", SupersededPolicy, OutboxSettings().superseded)


def _destination(table: _Table) -> Destination:
    destination = Destination(
        modality=table.text("modality"),
        required=table.flag("required", True),
        confirm=table.text("confirm", "query"),
        seg=_seg_encoding(table),
    )
    if destination.confirm not in CONFIRMATIONS:
        raise _invalid(
            f"{table.name('confirm')} = {destination.confirm!r:.40}", " or ".join(CONFIRMATIONS)
        )
    table.nothing_else()
    return destination


def _seg_encoding(table: _Table) -> SegEncoding:
    return _one_of(table, "seg", SegEncoding, SegEncoding.BINARY)


def _one_of(table: _Table, key: str, kind: type[Choice], default: Choice) -> Choice:
    value = table.text(key, default)
    if value not in tuple(kind):
        raise _invalid(f"{table.name(key)} = {value!r:.40}", " or ".join(kind))
    return kind(value)


def _invalid(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        found=found, wanted=wanted, advice="Mend habitus.toml and restart the node."
    )

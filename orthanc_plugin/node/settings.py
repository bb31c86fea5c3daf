"""Settings: everything the node is told by its operator, frozen; every field with its unit and its default."""

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from inference.domain.analysis_profile import UncertainLevel, WithoutLevel
from inference.domain.report_options import DEFAULT_REPORT, ReportOptions
from inference.engine.acceleration import Acceleration
from inference.engine.providers import DEFAULT_PROVIDERS, Downgrade
from orthanc_plugin.inside.disk_space import DiskMarks
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.routing_rules import Rule
from orthanc_plugin.node.settings_types import (
    FROM_FILE,
    Count,
    CountOrNone,
    Few,
    FilePath,
    IpAddress,
    PortOrNone,
    Seconds,
    SecondsOrNone,
    Share,
    Texts,
    WebAddress,
)
from orthanc_plugin.node.site_time import TimeZoneName


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


@dataclass(frozen=True, slots=True, kw_only=True)
class OrthancAccess:
    """How a node of its own unit reaches Orthanc; one started by the plugin is told address and token."""

    __pydantic_config__ = FROM_FILE

    url: WebAddress = "http://127.0.0.1:8042"
    """Of Orthanc's REST API."""
    user: str = ""
    """One of Orthanc's RegisteredUsers."""
    password_file: FilePath | None = None
    """A file that holds that user's password and nothing else."""
    certificate_file: FilePath | None = None
    """PEM file with the very certificate that Orthanc shows, where `url` is HTTPS. Without it the certificate must come from
    an issuer that Python's requests knows, and name the host."""
    timeout_s: Seconds = 30.0
    """For one exchange with Orthanc."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntakeSettings:
    """When a study counts as complete."""

    __pydantic_config__ = FROM_FILE

    quiet_s: Seconds = 60.0
    """Nothing new of a study for so long: its best series is taken. Scanners send reconstruction after reconstruction,
    with pauses of up to minutes; what comes after the choice is for `late`."""
    poll_s: Seconds = 1.0
    """How often /changes is read by a node that is a unit of its own. One that the plugin started is told when something
    comes, and looks by itself every 2 seconds, or so often where that is longer."""
    incomplete_wait_s: SecondsOrNone = 120.0
    """A quiet study whose best series has gaps waits so long for the slices between before it is taken as it is;
    the reader then refuses it with a code. 0 waits for nothing."""
    reconsider_h: SecondsOrNone = 24.0
    """Hours; studies that no rule fitted are put to the rules again when these have changed, if they came to rest within this
    time. 0: never."""
    late: LatePolicy = LatePolicy.RECOMPUTE
    """What comes after a result: "recompute" gives a new result that supersedes the old one, "note" shows it on the page
    and leaves the result as it is. A corrected patient gives a new one all the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What analyses a series, and its limits."""

    __pydantic_config__ = FROM_FILE

    models_folder: FilePath
    """The folder of the models, one folder each."""
    profile: str = "abdomen"
    """What is analysed: a file of inference/profiles, or of the folder `profiles` in `models_folder`, where a site puts its own."""
    uncertain_level: UncertainLevel | None = None
    """What is done where the level of L3 is doubted: "flag" measures there and says why it is doubted, "reject" measures
    nothing there. Left out: as the profile says ("flag" in all that are shipped)."""
    without_level: WithoutLevel | None = None
    """What is done where nothing can be measured at L3 and the profile asks for organs: "organs" delivers them with that
    statement, "reject" rejects the study. Left out: as the profile says ("organs" in all that are shipped)."""
    providers: Texts = DEFAULT_PROVIDERS
    """Where the networks run, the one wanted most first: tensorrt, cuda, openvino (the CPU, for about half the processor
    time), cpu (ONNX Runtime's own)."""
    downgrade: Downgrade = Downgrade.WARN
    """What becomes of a network that does not run on the first of `providers`: "warn" runs it on the next one, and results, page and
    doctor say so; "fail" starts no engine, so that jobs wait until somebody has mended it."""
    tensorrt_libraries: FilePath | None = None
    """Folder with libnvinfer.so.10, libnvinfer_plugin.so.10 and libnvonnxparser.so.10, which no package of ours brings. Left out: they
    are looked for where the system's loader looks. `habitus doctor` says which one is missing."""
    half_precision_error: Share = 0.01
    """How far a network's answers in reduced precision (TensorRT's float16, CUDA's TF32) may lie from those of the CPU, as a share of what
    these span; `habitus warm` measures it, and what lies further off runs in full precision."""
    analyser: str = "orthanc_plugin.node.pipeline_analyser"
    """Module with a function `load(request) -> Analyser`."""
    job_wall_clock_s: Seconds = 1800.0
    """A job that takes longer is killed; that counts as one try."""
    start_wall_clock_s: Seconds = 300.0
    """Loading the models may take so long."""
    memory_limit_bytes: CountOrNone = 12 * 1024**3
    """Address space of the engine child (RLIMIT_AS) where it runs on the CPU alone, beside that of its threads;
    0 sets none. 284 slices of 512 × 512 take 2.4 GiB of it with the abdomen profile, 1500 about 11."""
    recycle_after_jobs: Count = 500
    """A child that served so many jobs makes room for a fresh one."""
    recycle_growth_bytes: CountOrNone = 2 * 1024**3
    """So does one that holds so much more memory than after its first job; 0: it may grow to its limit."""
    idle_unload_s: SecondsOrNone = 0.0
    """A child that had no work for so long is ended, so that its memory (a GPU's too) is free for others; it is started again
    as soon as the first slice of a CT series is seen, long before the quiet time is over. 0: it stays."""
    workers: Few = 1
    """Engine children that work side by side on this machine. From 2 on, one of them takes stat jobs only, so that a stat
    job never waits for another job to end; each holds the models in memory (a GPU's too) of its own."""
    max_attempts: Few = 3
    """A job that failed so often is dead until somebody requeues it."""
    retry_backoff_s: SecondsOrNone = 2.0
    """The n-th retry waits 2ⁿ times this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxSettings:
    """How deliveries are retried."""

    __pydantic_config__ = FROM_FILE

    poll_s: Seconds = 1.0
    """How often the outbox looks for what is due."""
    first_retry_s: Seconds = 10.0
    """The wait after the first failure; doubled after each further one."""
    longest_retry_s: Seconds = 3600.0
    """No wait is longer."""
    index_wait_s: SecondsOrNone = 30.0
    """A receiver that answered success and does not show the object is asked again for so long; then it is sent anew."""
    commitment_wait_s: Seconds = 60.0
    """A report of storage commitment is waited for so long; then the receiver is asked by query, or counts as silent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResultsSettings:
    """What becomes of results here."""

    __pydantic_config__ = FROM_FILE

    superseded: SupersededPolicy = SupersededPolicy.KEEP
    """What becomes of results in our own Orthanc once newer ones have taken their place: "delete-here" deletes them when
    every required destination has the newer ones; nothing is ever deleted at a PACS."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SpoolSettings:
    """How long the node keeps its own copy of results."""

    __pydantic_config__ = FROM_FILE

    keep_days: SecondsOrNone = 90.0
    """After the last change of a job that is done, or superseded, and of which nothing is still to be delivered or confirmed
    anywhere. Numbers and pictures stay, and what Orthanc has of it; afterwards it is run again, not sent again. 0: for ever."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RetentionSettings:
    """How long our own Orthanc keeps studies; nothing is ever deleted at a PACS."""

    __pydantic_config__ = FROM_FILE

    studies_days: SecondsOrNone = 0.0
    """Deletes a study from our own Orthanc so long after its last change, once every job of it has ended and everything of
    its results was confirmed by a destination, none left open. Never one with a dead job (cancel it to let it go), of a
    protected patient, or with images that were not looked at, and none for a day after the machine's clock jumped.
    `habitus retention --dry-run` lists what would go. 0: never."""
    also_without_results: bool = False
    """Also studies of which nobody else got a result: rejected, cancelled, in no rule, sent nowhere."""
    look_every_s: Seconds = 600.0
    """How often all studies are looked through."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSettings:
    """Free space below which something waits."""

    __pydantic_config__ = FROM_FILE

    high_free_mb: SecondsOrNone = DiskMarks().high_free_mb
    """With less on the disk of data_folder, new jobs wait, and the page says so; never more than a tenth of the disk. 0: they
    do not."""
    critical_free_mb: SecondsOrNone = DiskMarks().critical_free_mb
    """With less there, or on the disk of Orthanc's images, C-STORE is refused (A700), so that the sender keeps its images;
    never more than a twenty-fifth of the disk. 0: never. Read when Orthanc starts."""

    @property
    def marks(self) -> DiskMarks:
        """As the plugin has them."""
        return DiskMarks(high_free_mb=self.high_free_mb, critical_free_mb=self.critical_free_mb)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsSettings:
    """The node's page for Prometheus."""

    __pydantic_config__ = FROM_FILE

    address: IpAddress = "127.0.0.1"
    """Of this machine, where the page is served: /metrics, /live and /ready, without a login. They tell numbers and codes, nothing of a
    patient. 0.0.0.0 serves them to everybody who reaches the machine. In force from the node's next start."""
    port: PortOrNone = 0
    """0: no page. It is off unless asked for, since a site that watches nothing should have no further open port. In force from the
    node's next start."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything the node is told by its operator."""

    __pydantic_config__ = FROM_FILE

    data_folder: FilePath
    """Journal, spool and the site's secret; on a local disk, never NFS (SQLite's locks)."""
    engine: EngineSettings
    """What analyses a series, and its limits."""
    orthanc: OrthancAccess = OrthancAccess()
    """How a node of its own unit reaches Orthanc."""
    intake: IntakeSettings = IntakeSettings()
    """When a study counts as complete."""
    outbox: OutboxSettings = OutboxSettings()
    """How deliveries are retried."""
    results: ResultsSettings = ResultsSettings()
    """What becomes of results here."""
    spool: SpoolSettings = SpoolSettings()
    """The node's own copy of results."""
    retention: RetentionSettings = RetentionSettings()
    """How long our own Orthanc keeps studies."""
    disk: DiskSettings = DiskSettings()
    """What happens when a disk fills."""
    metrics: MetricsSettings = MetricsSettings()
    """The node's page for Prometheus."""
    report: ReportOptions = DEFAULT_REPORT
    """How the report is written."""
    destinations: tuple[Destination, ...] = field(default=())
    """Where results go."""
    rules: tuple[Rule, ...] = field(default=())
    """Which study goes which way. Where there are rules, a study that none of them fits is not taken; a last rule
    without conditions takes the rest. Without any rule every study is taken."""
    time_zone: TimeZoneName = ""
    """Of hours and windows, such as Asia/Seoul; empty: that of the machine."""

    @property
    def further_profiles(self) -> tuple[str, ...]:
        """Those that rules name beside that of the engine, each once."""
        named = {rule.profile for rule in self.rules if rule.profile}
        return tuple(sorted(named - {self.engine.profile}))

    @property
    def journal_path(self) -> Path:
        """The SQLite file."""
        return self.data_folder / "journal.db"

    @property
    def spool_folder(self) -> Path:
        """Work in progress and results."""
        return self.data_folder / "spool"

    @property
    def built_folder(self) -> Path:
        """What `habitus warm` built and proved."""
        return self.data_folder / "built"

    @property
    def kernels_folder(self) -> Path:
        """Compiled kernels: the folder of the source may be closed to the node."""
        return self.data_folder / "kernels"

    @property
    def acceleration(self) -> Acceleration:
        """As the engine is told."""
        return Acceleration(
            downgrade=self.engine.downgrade,
            tensorrt_libraries=self.engine.tensorrt_libraries,
            built_folder=self.built_folder,
            half_precision_error=self.engine.half_precision_error,
        )

    @property
    def commands_folder(self) -> Path:
        """Where the plugin leaves operators' wishes."""
        return self.data_folder / "commands"

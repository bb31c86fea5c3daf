"""The analyser of the product: inference.pipeline behind the engine child's port."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from inference.domain.analysis_profile import Profile, load_profile, with_choices
from inference.domain.report_options import ReportOptions
from inference.engine.warm_up import warm_up, warm_up_refiner
from inference.pipeline import CODE_VERSION, Models, RunIdentity, analyse_folder, load_models
from orthanc_plugin.node.analysis_port import AnalysisRequest, LoadRequest, NetworkInUse, Progress
from orthanc_plugin.node.job_key import EngineIdentity

INFERENCE_FOLDER = Path(__file__).resolve().parents[2] / "inference"


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineAnalyser:
    """A profile's networks, loaded."""

    identity: EngineIdentity
    models: Models
    report: ReportOptions

    @property
    def downgrades(self) -> tuple[str, ...]:
        """Of its networks."""
        return self.models.asked.downgrades

    @property
    def networks(self) -> tuple[NetworkInUse, ...]:
        """Each with the provider that it runs on."""
        asked = self.models.asked
        return tuple(
            NetworkInUse(
                name=use.name,
                version=use.version,
                sha256=use.sha256,
                provider=use.provider,
                asked=next(iter(asked.asked_of(use)), ""),
            )
            for use in self.models.uses
        )

    def analyse(self, request: AnalysisRequest, progress: Progress) -> Mapping[str, Path]:
        """Role to file; raises HabitusError."""
        identity = RunIdentity(
            job_key=request.job_key,
            created=request.created,
            report=self.report,
            encodings=request.encodings,
            predecessors=request.predecessors,
            entered=request.entered,
            entered_level=request.level,
            may_lack_level=request.may_lack_level,
        )
        written = analyse_folder(
            request.series_folder, request.out_folder, self.models, identity, progress
        )
        return written.files


def load(request: LoadRequest) -> PipelineAnalyser:
    """Verify and load the models of the profile, and run each once; raises ModelUnusable, InferenceFailed or ProviderUnavailable."""
    profile = profile_for(request)
    models = load_models(profile, request.providers, request.models_folder, request.acceleration)
    warm_up(models.loaded)
    if models.refiner is not None:
        warm_up_refiner(models.refiner)
    identity = EngineIdentity(
        profile_hash=choices_hash(
            profile.content_hash, request.report.content_hash, models.calibration.content_hash
        ),
        models=tuple(sorted((use.name, use.sha256) for use in models.uses)),
        code_version=f"{CODE_VERSION}+{source_hash(INFERENCE_FOLDER)}",
    )
    return PipelineAnalyser(identity=identity, models=models, report=request.report)


def profile_for(request: LoadRequest) -> Profile:
    """The profile as the site wants it."""
    wanted = {"uncertain_level": request.uncertain_level, "without_level": request.without_level}
    return with_choices(load_profile(request.profile, request.models_folder), **wanted)


def choices_hash(*hashes: str) -> str:
    """One hash of the profile and the site's choices: another choice is another job."""
    return hashlib.sha256("\n".join(hashes).encode()).hexdigest()


def source_hash(root: Path) -> str:
    """Of the analysing code and its tables: a changed line is another version, whatever the number says."""
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")) + sorted(root.rglob("*.toml")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]

"""One CT series in, SEG, SR, numbers and pictures out; reads like the picture in ARCHITECTURE.md."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from inference.dicom.ct_series import CtSeries
from inference.dicom.identity import ResultIdentity, derive_uid
from inference.dicom.named_slice import level_by_hand
from inference.dicom.read_seg import header_of
from inference.dicom.read_series import load_series
from inference.dicom.survey import survey_folder
from inference.dicom.write_seg import encode_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.analysis_profile import LossyPolicy, Profile, WithoutLevel
from inference.domain.earlier_document import EarlierDocument, earlier_reports
from inference.domain.entered_level import EnteredLevel
from inference.domain.entered_size import EnteredSize, with_entered_size
from inference.domain.errors import (
    LevelNotFound,
    LevelUncertain,
    OutOfMemory,
)
from inference.domain.level_calibration import (
    CALIBRATION_NAME,
    UNCALIBRATED,
    LevelCalibration,
    calibration_for,
)
from inference.domain.measurement import (
    ModelUse,
    Report,
)
from inference.domain.outcome import Analysis
from inference.domain.predictor import Predictor
from inference.domain.refiner import Refiner
from inference.domain.report_options import DEFAULT_REPORT, ReportOptions
from inference.domain.seg_encoding import SegEncoding, role_in
from inference.domain.series_choice import considered
from inference.domain.volume import Volume, canonical, slice_z_mm, source_slice
from inference.engine.acceleration import PLAIN, Acceleration
from inference.engine.model_store import SHIPPED_MODELS, level_task, load_predictor, load_refiner
from inference.engine.providers import DEFAULT_PROVIDERS
from inference.find_level import find_level, require_level
from inference.first_measurable import choice_in, try_after_all, try_in_order
from inference.kernels.patch_plan import PatchPlan
from inference.level_slices import level_in, on_source_grid, slices_of_interest
from inference.measure_findings import (
    Asked,
    Facts,
    Findings,
    OrgansSeen,
    measured_at_level,
    measured_without_level,
)
from inference.nifti.ct_image import write_label_map
from inference.nifti.label_names import LABEL_NAMES, names_to_json
from inference.page.picture_page import lettering
from inference.page.write_pictures import write_pictures
from inference.refine_organs import refine_organs
from inference.segment_organs import (
    FineNetwork,
    Patching,
    asked_flags,
    require_same_organs,
    segment_organs,
)
from inference.stages.choose_series import choice_flags
from inference.stages.level_by_hand import spine_by_hand
from inference.stages.measure import (
    bounding_box_px,
)
from inference.stages.segment_tissue import segment_compartments, tissues_from_compartments

CODE_VERSION = "0.1.0"
LEVEL_REASONS = frozenset({LevelNotFound.code, LevelUncertain.code})
"""Refusals after which organs may still be wanted."""
RESULT_NAMES = frozenset(
    {"tissues.nii.gz", "organs.nii.gz", LABEL_NAMES}
    | {"report.json", "l3.png", "coronal.png", "page.png", "page.dcm"}
    | {
        f"{role_in(role, encoding)}.dcm"
        for role in ("seg-tissues", "seg-organs", "sr")
        for encoding in SegEncoding
    }
)
"""Every file a run may write."""

Progress = Callable[[str, float], None]
"""Called with the stage's name and the share of it that is done."""


def silent(_stage: str, _share: float) -> None:
    """Progress that nobody watches."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Models:
    """A profile's networks, loaded."""

    profile: Profile
    level: Predictor
    tissue: Predictor
    organs: Predictor | None
    fine_organs: Predictor | None = None
    """Asked beside the first on a finer grid."""
    providers: tuple[str, ...]
    """As asked for, best first."""
    spine: Predictor | None = None
    """Second opinion on the level."""
    calibration: LevelCalibration = UNCALIBRATED
    """Of the decision between both."""
    refiner: Refiner | None = None
    """Redraws organs slice by slice, where the profile says which."""

    @property
    def loaded(self) -> tuple[Predictor, ...]:
        """Those that are there."""
        organs = (self.organs, self.fine_organs)
        return tuple(p for p in (self.level, self.spine, self.tissue, *organs) if p is not None)

    @property
    def asked(self) -> Asked:
        """What the report says of them."""
        return Asked(profile=self.profile, uses=self.uses, providers=self.providers)

    @property
    def wants_organs_alone(self) -> bool:
        """Where nothing can be measured at L3."""
        wanted = self.profile.without_level == WithoutLevel.ORGANS
        return wanted and self.organs is not None

    @property
    def uses(self) -> tuple[ModelUse, ...]:
        """What the result says about them."""
        uses = tuple(
            ModelUse(
                name=p.manifest.name,
                version=p.manifest.version,
                sha256=p.manifest.onnx_sha256,
                provider=p.provider,
                task=p.manifest.task,
            )
            for p in self.loaded
        )
        return uses if self.refiner is None else (*uses, _use_of(self.refiner))


def _use_of(refiner: Refiner) -> ModelUse:
    return ModelUse(
        name=refiner.manifest.name,
        version=refiner.manifest.version,
        sha256=refiner.manifest.sha256,
        provider=refiner.provider,
        task=refiner.manifest.task,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class RunIdentity:
    """What makes this run this run: result UIDs are derived from it."""

    job_key: str
    created: datetime
    report: ReportOptions = DEFAULT_REPORT
    """Part of what the job key is made from."""
    encodings: tuple[SegEncoding, ...] = (SegEncoding.BINARY,)
    """Segmentations, and a report that refers to them, are written in each; the first under the plain roles."""
    predecessors: tuple[EarlierDocument, ...] = ()
    """Results sent before, whose place these take."""
    entered: EnteredSize | None = None
    """Height and weight that a person entered in place of those in the images."""
    entered_level: EnteredLevel | None = None
    """Where a person set L3."""
    nifti: bool = False
    """Whether label maps are written as NIfTI, too."""
    may_lack_level: bool = True
    """Whether organs are wanted of a series without L3; not while another series of the study may show it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisFiles:
    """What was written, by role: seg-tissues, seg-organs, sr, page (DICOM); report; picture-l3, picture-coronal,
    picture-page (PNG)."""

    files: Mapping[str, Path]
    report: Report


@dataclass(slots=True)
class Stopwatch:
    """Wall time per stage, and the progress line."""

    progress: Progress
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time one stage and announce its start and end."""
        self.progress(name, 0.0)
        started = time.perf_counter()
        yield
        self.seconds[name] = round(time.perf_counter() - started, 3)
        self.progress(name, 1.0)


def load_models(
    profile: Profile,
    providers: Sequence[str] = DEFAULT_PROVIDERS,
    models_folder: Path = SHIPPED_MODELS,
    acceleration: Acceleration = PLAIN,
) -> Models:
    """Verify and load the networks of a profile; raises ModelUnusable or ProviderUnavailable."""

    def load(name: str, task: str) -> Predictor:
        return load_predictor(name, task, models_folder, providers, acceleration)

    level = load(profile.level_model, level_task(profile, models_folder))
    spine = load(profile.spine_model, "l3-spine") if profile.spine_model else None
    organs = load(profile.organ_model, "organs") if profile.organ_model else None
    fine_organs = load(profile.fine_organ_model, "organs") if profile.fine_organ_model else None
    if organs is not None and fine_organs is not None:
        require_same_organs(organs.manifest, fine_organs.manifest, profile.fine_organs_about)
    return Models(
        profile=profile,
        level=level,
        spine=spine,
        calibration=calibration_for(
            models_folder / profile.level_model / CALIBRATION_NAME,
            level.manifest.onnx_sha256,
            spine.manifest.onnx_sha256 if spine is not None else None,
        ),
        tissue=load(profile.tissue_model, "l3-tissue"),
        organs=organs,
        fine_organs=fine_organs,
        providers=tuple(providers),
        refiner=load_refiner(profile.refine, models_folder, providers, acceleration)
        if profile.refine
        else None,
    )


def analyse_folder(
    series_dir: Path, out_dir: Path, models: Models, identity: RunIdentity, progress: Progress
) -> AnalysisFiles:
    """Analyse the series of a folder that suits the profile best, write every result into `out_dir`; raises HabitusError."""
    clock = Stopwatch(progress)
    try:
        with clock.stage("choose"):
            survey = survey_folder(series_dir)
            choice = choice_in(survey, models.profile)
        tried = try_in_order(
            survey, choice, lambda paths: _measured(paths, models, identity, clock)
        )
        if models.wants_organs_alone and identity.may_lack_level:
            tried = try_after_all(
                survey,
                tried,
                LEVEL_REASONS,
                lambda paths: _organs_measured(paths, models, identity, clock),
            )
        series, analysis = tried.first
        damage = filter(None, [survey.damage])
        flags = (*choice_flags(tried.choice), *damage, *analysis.report.flags)
        report = replace(analysis.report, series_choice=considered(tried.choice), flags=flags)
        return write_results(series, replace(analysis, report=report), identity, out_dir, clock)
    except MemoryError:
        raise OutOfMemory from None


def _measured(
    paths: Sequence[Path], models: Models, identity: RunIdentity, clock: Stopwatch
) -> tuple[CtSeries, Analysis]:
    series, facts = _read(paths, models, identity, clock)
    return series, analyse_volume(series.volume, facts, models, clock)


def _organs_measured(
    paths: Sequence[Path], models: Models, identity: RunIdentity, clock: Stopwatch
) -> tuple[CtSeries, Analysis]:
    series, facts = _read(paths, models, identity, clock)
    return series, analyse_organs(series.volume, facts, models, clock)


def _read(
    paths: Sequence[Path], models: Models, identity: RunIdentity, clock: Stopwatch
) -> tuple[CtSeries, Facts]:
    with clock.stage("read"):
        series = load_series(paths, LossyPolicy(models.profile.lossy))
    entered = identity.entered_level
    facts = Facts(
        patient=with_entered_size(series.patient, identity.entered),
        contrast=series.contrast,
        kvp=series.kvp,
        flags=series.flags,
        level=level_by_hand(series, entered) if entered else None,
    )
    return series, facts


def analyse_volume(volume: Volume, facts: Facts, models: Models, clock: Stopwatch) -> Analysis:
    """volume → locate L3 → segment tissue → segment organs → measure; raises LevelNotFound or LevelUncertain."""
    upright = canonical(volume)
    with clock.stage("locate L3"):
        spine = find_level(upright, models.level, models.spine, models.calibration)
        if facts.level is None:
            require_level(spine, upright, models.profile)
        else:
            z_mm = float(slice_z_mm(volume)[facts.level.slice_index])
            spine = spine_by_hand(z_mm, facts.level.source, spine)
        level = level_in(upright, spine)
    with clock.stage("tissue"):
        slices = slices_of_interest(upright, level)
        compartments = segment_compartments(upright, slices, models.tissue)
        tissues = tissues_from_compartments(upright, compartments, models.profile.windows)
    organs = _organs_in(upright, models, clock)
    found = Findings(upright=upright, spine=spine, level=level, tissues=tissues, organs=organs)
    with clock.stage("measure"):
        report = measured_at_level(facts, found, models.asked)
    source_tissues = on_source_grid(volume, tissues)
    slice_index = source_slice(volume, level.slice_index)
    region_px = bounding_box_px(source_tissues.labels[slice_index] > 0)
    source_level = replace(level, slice_index=slice_index, region_px=region_px)
    if facts.level is not None:
        source_level = replace(source_level, source=facts.level.source)
    return Analysis(
        report=replace(report, level=source_level),
        tissues=source_tissues,
        organs=on_source_grid(volume, organs.labels) if organs is not None else None,
    )


def analyse_organs(volume: Volume, facts: Facts, models: Models, clock: Stopwatch) -> Analysis:
    """volume → segment organs → measure, where L3 cannot be measured; raises LevelNotFound where no organ is seen."""
    upright = canonical(volume)
    with clock.stage("locate L3"):
        spine = find_level(upright, models.level, models.spine, models.calibration)
    organs = _organs_in(upright, models, clock)
    if organs is None:
        raise ValueError("organs alone need an organ network")
    with clock.stage("measure"):
        report = measured_without_level(facts, upright, spine, organs, models.asked)
    return Analysis(report=report, tissues=None, organs=on_source_grid(volume, organs.labels))


def _organs_in(upright: Volume, models: Models, clock: Stopwatch) -> OrgansSeen | None:
    if models.organs is None:
        return None
    with clock.stage("organs"):
        profile, plans = models.profile, list[PatchPlan]()
        organs = segment_organs(
            upright,
            models.organs,
            profile.organ_grid_shifts,
            clock.progress,
            Patching(patches=profile.organ_patches, told=plans.append),
            FineNetwork(predictor=models.fine_organs, about=profile.fine_organs_about)
            if models.fine_organs is not None
            else None,
        )
    seen = OrgansSeen(
        labels=organs,
        patches=tuple(plan.in_words() for plan in plans),
        flags=asked_flags(models.organs, profile.organ_patches),
    )
    if models.refiner is None or models.profile.refine is None:
        return seen
    with clock.stage("refine organs"):
        refined, outcomes = refine_organs(
            upright,
            organs,
            models.refiner,
            models.profile.refine,
            lambda share: clock.progress("refine organs", 0.99 * share),
        )
    return replace(seen, labels=refined, refinements=outcomes)


def write_results(
    series: CtSeries,
    analysis: Analysis,
    identity: RunIdentity,
    out_dir: Path,
    clock: Stopwatch,
) -> AnalysisFiles:
    """SEGs (each read back and compared before it is written), SR, report.json and pictures: all of them or none."""
    letters = lettering(identity.report.language)
    if letters.flag:
        flags = (*analysis.report.flags, letters.flag)
        analysis = replace(analysis, report=replace(analysis.report, flags=flags))
    out_dir.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(prefix=".writing-", dir=out_dir) as partial:
        with clock.stage("write"):
            written = _objects(series, analysis, identity, Path(partial))
            if identity.nifti:
                written |= _nifti_maps(analysis, Path(partial))
            page_identity = _result(identity, "page", 9004, analysis.report)
            written |= write_pictures(series, analysis, page_identity, letters, Path(partial))
        report = replace(analysis.report, seconds=clock.seconds)
        written["report"] = Path(partial) / "report.json"
        written["report"].write_text(report_to_json(report), encoding="utf-8")
        files = {role: path.replace(out_dir / path.name) for role, path in written.items()}
    for name in RESULT_NAMES - {path.name for path in files.values()}:
        # An organ SEG of an earlier run must not lie beside the SR of this one.
        (out_dir / name).unlink(missing_ok=True)
    return AnalysisFiles(files=files, report=report)


def _nifti_maps(analysis: Analysis, folder: Path) -> dict[str, Path]:
    """For tools that read no DICOM Segmentation."""
    maps = {"tissues": analysis.tissues, "organs": analysis.organs}
    found = {role: labels for role, labels in maps.items() if labels is not None}
    files = {f"nifti-{role}": folder / f"{role}.nii.gz" for role in found}
    for role, labels in found.items():
        write_label_map(labels, files[f"nifti-{role}"])
    files["nifti-labels"] = folder / LABEL_NAMES
    files["nifti-labels"].write_text(names_to_json(found), encoding="utf-8")
    return files


def _objects(
    series: CtSeries, analysis: Analysis, identity: RunIdentity, folder: Path
) -> dict[str, Path]:
    """The DICOM objects, by role."""
    files: dict[str, Path] = {}
    for encoding in identity.encodings:
        is_first = encoding is identity.encodings[0]
        for role, encoded in _encoded_objects(series, analysis, identity, encoding).items():
            named = role if is_first else role_in(role, encoding)
            files[named] = folder / f"{named}.dcm"
            files[named].write_bytes(encoded)
    return files


def _encoded_objects(
    series: CtSeries, analysis: Analysis, identity: RunIdentity, encoding: SegEncoding
) -> dict[str, bytes]:
    """Segmentations in one encoding and the report that refers to them."""
    objects: dict[str, bytes] = {}

    def named(role: str, number: int) -> ResultIdentity:
        return _result(identity, role_in(role, encoding), number, analysis.report)

    for role, number, labels in (
        ("seg-tissues", 9001, analysis.tissues),
        ("seg-organs", 9002, analysis.organs),
    ):
        if labels is not None and labels.labels.any():
            objects[role] = encode_seg(labels, series, named(role, number), encoding)
    segs = [header_of(encoded) for encoded in objects.values()]
    objects["sr"] = encode_sr(
        analysis.report,
        series,
        segs,
        named("sr", 9003),
        identity.report,
        earlier_reports(identity.predecessors, role_in("sr", encoding)),
    )
    return objects


def report_to_json(report: Report) -> str:
    """The report as JSON: every number with its unit, no identifying data."""
    shown = asdict(report)
    for row, cut_off in zip(shown["cut_offs"], report.cut_offs, strict=True):
        row |= {"difference": cut_off.difference, "is_low": cut_off.is_low}
    return json.dumps(shown, indent=2) + "\n"


def _result(identity: RunIdentity, role: str, number: int, report: Report) -> ResultIdentity:
    """The object's identity; the model that made it comes first."""
    task = "organs" if role.startswith("seg-organs") or report.level is None else "l3-tissue"
    models = sorted(report.models, key=lambda use: use.task != task)
    return ResultIdentity(
        series_instance_uid=derive_uid(identity.job_key, role, "series"),
        sop_instance_uid=derive_uid(identity.job_key, role, "instance"),
        series_number=number,
        code_version=CODE_VERSION,
        created=identity.created,
        models=tuple(models),
    )

"""One CT series in, SEG, SR, numbers and pictures out; reads like the picture in ARCHITECTURE.md."""

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from inference.dicom.ct_series import CtSeries
from inference.dicom.identity import ResultIdentity, derive_uid
from inference.dicom.named_slice import level_by_hand
from inference.dicom.read_seg import header_of
from inference.dicom.read_series import load_series
from inference.dicom.survey import survey_folder
from inference.dicom.write_seg import encode_seg
from inference.dicom.write_sr import encode_sr
from inference.domain.analysis_profile import LossyPolicy, Profile
from inference.domain.earlier_document import EarlierDocument, earlier_reports
from inference.domain.entered_level import EnteredLevel, LevelByHand
from inference.domain.entered_size import EnteredSize, with_entered_size
from inference.domain.errors import (
    ImplausibleResult,
    LevelNotFound,
    OutOfMemory,
)
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import Level, ModelUse, Patient, Quantity, Report
from inference.domain.outcome import Analysis
from inference.domain.predictor import Predictor
from inference.domain.report_options import DEFAULT_REPORT, ReportOptions
from inference.domain.seg_encoding import SegEncoding, role_in
from inference.domain.series_choice import considered
from inference.domain.volume import Volume, axis_flips, canonical, flip, slice_z_mm
from inference.engine.model_store import SHIPPED_MODELS, load_predictor
from inference.engine.providers import downgrade_flag
from inference.first_measurable import choice_in, try_in_order
from inference.page.picture_page import lettering
from inference.page.write_pictures import write_pictures
from inference.segment_organs import segment_organs
from inference.stages import quality
from inference.stages.choose_series import choice_flags
from inference.stages.cut_offs import cut_offs_for
from inference.stages.grids import body_mask, resample
from inference.stages.level_by_hand import spine_by_hand
from inference.stages.locate_l3 import SpineLevel, landmark_curves, level_from_curves
from inference.stages.measure import (
    bounding_box_px,
    indices,
    measure_body_composition,
    measure_organs,
    slab_weights,
    value_of,
)
from inference.stages.segment_tissue import segment_compartments, tissues_from_compartments
from inference.stages.sides import side_flags

CODE_VERSION = "0.1.0"
LEAST_MUSCLE_CM2 = 5.0
COARSE_MM = 3.0
"""Step of the grid that projections are made from."""
RESULT_NAMES = frozenset(
    {"report.json", "l3.png", "coronal.png", "page.png", "page.dcm"}
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
    providers: tuple[str, ...]
    """As asked for, best first."""

    @property
    def loaded(self) -> tuple[Predictor, ...]:
        """Those that are there."""
        return tuple(p for p in (self.level, self.tissue, self.organs) if p is not None)

    @property
    def uses(self) -> tuple[ModelUse, ...]:
        """What the result says about them."""
        return tuple(
            ModelUse(
                name=p.manifest.name,
                version=p.manifest.version,
                sha256=p.manifest.onnx_sha256,
                provider=p.provider,
                task=p.manifest.task,
            )
            for p in self.loaded
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


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalysisFiles:
    """What was written, by role: seg-tissues, seg-organs, sr, page (DICOM); report; picture-l3, picture-coronal,
    picture-page (PNG)."""

    files: Mapping[str, Path]
    report: Report


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What is known of the scan besides its voxels."""

    patient: Patient
    contrast: str
    """Contrast agent as stated by the scanner, or "unknown"."""
    kvp: float | None = None
    """Tube voltage in kV."""
    flags: tuple[str, ...] = ()
    """What a reader must know of the images."""
    level: LevelByHand | None = None
    """Where a person set L3."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the networks found in the canonical volume, before measuring."""

    upright: Volume
    spine: SpineLevel
    level: Level
    """Its slice_index is that of the canonical volume."""
    tissues: LabelMap
    organs: LabelMap | None


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
    profile: Profile, providers: Sequence[str] = ("cpu",), models_folder: Path = SHIPPED_MODELS
) -> Models:
    """Verify and load the networks of a profile; raises ModelUnusable."""

    def load(name: str, task: str) -> Predictor:
        return load_predictor(name, task, models_folder, providers)

    return Models(
        profile=profile,
        level=load(profile.level_model, "l3-level"),
        tissue=load(profile.tissue_model, "l3-tissue"),
        organs=load(profile.organ_model, "organs") if profile.organ_model else None,
        providers=tuple(providers),
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
    return series, analyse_volume(series.volume, facts, models, clock)


def analyse_volume(volume: Volume, facts: Facts, models: Models, clock: Stopwatch) -> Analysis:
    """volume → locate L3 → segment tissue → segment organs → measure; raises LevelNotFound."""
    upright = canonical(volume)
    with clock.stage("locate L3"):
        coarse = resample(upright, (COARSE_MM, COARSE_MM, COARSE_MM))
        spine = _spine(volume, coarse, facts.level, models)
        level = _level_in(upright, spine)
    with clock.stage("tissue"):
        slices = _slices_of_interest(upright, level)
        compartments = segment_compartments(upright, slices, models.tissue)
        tissues = tissues_from_compartments(upright, compartments, models.profile.windows)
    organs = None
    if models.organs is not None:
        with clock.stage("organs"):
            organs = segment_organs(
                upright, models.organs, models.profile.organ_grid_shifts, clock.progress
            )
    found = Findings(upright=upright, spine=spine, level=level, tissues=tissues, organs=organs)
    with clock.stage("measure"):
        report = _measure(facts, found, models)
    source_tissues = _on_source_grid(volume, tissues)
    slice_index = _source_slice(volume, level.slice_index)
    region_px = bounding_box_px(source_tissues.labels[slice_index] > 0)
    source_level = replace(level, slice_index=slice_index, region_px=region_px)
    if facts.level is not None:
        source_level = replace(source_level, source=facts.level.source)
    return Analysis(
        report=replace(report, level=source_level),
        tissues=source_tissues,
        organs=_on_source_grid(volume, organs) if organs is not None else None,
    )


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
    models = (
        report.models[::-1]
        if role.startswith("seg-organs")
        else report.models[1:] + report.models[:1]
    )
    return ResultIdentity(
        series_instance_uid=derive_uid(identity.job_key, role, "series"),
        sop_instance_uid=derive_uid(identity.job_key, role, "instance"),
        series_number=number,
        code_version=CODE_VERSION,
        created=identity.created,
        models=models,
    )


def _spine(
    volume: Volume, coarse: Volume, by_hand: LevelByHand | None, models: Models
) -> SpineLevel:
    """Where a person set L3, else where the network finds it; raises LevelNotFound."""
    if by_hand is None:
        return _locate(coarse, models.level)
    z_mm = float(slice_z_mm(volume)[by_hand.slice_index])
    try:
        network = _locate(coarse, models.level)
    except LevelNotFound:
        network = None
    return spine_by_hand(z_mm, by_hand.source, network)


def _locate(coarse: Volume, predictor: Predictor) -> SpineLevel:
    curves, first_row_z_mm = landmark_curves(coarse, predictor)
    spine = level_from_curves(curves, first_row_z_mm)
    if spine is None:
        low = coarse.affine_lps[2, 3]
        height = coarse.shape[0] * coarse.spacing_mm[0]
        best = float(curves[5].max())
        raise LevelNotFound(
            found=f"no L3 in a field of {height:.0f} mm from z {low:.0f} mm (best score {best:.2f})",
            wanted="the third lumbar vertebra inside the field of view",
            advice="Send the abdominal series; a chest or pelvis alone cannot be measured.",
        )
    return spine


def _level_in(upright: Volume, spine: SpineLevel) -> Level:
    """The slice nearest to the middle of L3."""
    place = (spine.z_mm - upright.affine_lps[2, 3]) / upright.affine_lps[2, 0]
    return Level(
        slice_index=upright.slice_at(place),
        z_mm=spine.z_mm,
        confidence=spine.confidence,
        extent_mm=spine.extent_mm,
    )


def _slices_of_interest(upright: Volume, level: Level) -> list[int]:
    """Slices that share in the L3 slab, and the neighbours of the middle one."""
    wanted = set(np.flatnonzero(slab_weights(upright, level.extent_mm) > 0).tolist())
    wanted |= {level.slice_index + step for step in (-1, 0, 1)}
    return sorted(k for k in wanted if 0 <= k < upright.shape[0])


def _measure(facts: Facts, found: Findings, models: Models) -> Report:
    """All numbers, cut-offs and flags."""
    upright, level = found.upright, found.level
    composition = measure_body_composition(upright, found.tissues, level, models.profile.windows)
    area = value_of(composition, Quantity.AREA, Structure.SKELETAL_MUSCLE) or 0.0
    if area < LEAST_MUSCLE_CM2:
        raise ImplausibleResult(
            found=f"{area:.1f} cm² of muscle at L3",
            wanted=f"at least {LEAST_MUSCLE_CM2:.0f} cm², as every living adult or child has",
            advice="The level or the segmentation is wrong, or this is no abdomen: look at the series.",
        )
    composition += indices(area, facts.patient)
    organs = measure_organs(upright, found.organs) if found.organs is not None else ()
    slab_mm = float(slab_weights(upright, level.extent_mm).sum())
    flags = [*found.spine.flags, *quality.slab_flags(slab_mm, level.extent_mm)]
    flags += quality.level_flags(level.confidence, composition)
    if quality.body_touches_border(body_mask(upright.hu[level.slice_index][None])[0]):
        flags.append("body clipped by the field of view at L3: areas are too small")
    flags += [*facts.flags, *quality.scan_flags(facts.contrast, facts.kvp)]
    flags += quality.patient_flags(facts.patient)
    flags += [*quality.organ_flags(organs), *side_flags(organs)]
    used = [downgrade_flag(models.providers, use.provider) for use in models.uses]
    flags += sorted({flag for flag in used if flag})
    return Report(
        patient=facts.patient,
        level=level,
        contrast=facts.contrast,
        kvp=facts.kvp,
        body_composition=composition,
        slab_height_mm=slab_mm,
        cut_offs=cut_offs_for(composition, facts.patient, models.profile.tables),
        organs=organs,
        definitions=models.profile.windows.in_words(),
        flags=tuple(flags),
        models=models.uses,
    )


def _source_slice(volume: Volume, slice_index: int) -> int:
    """A canonical slice index in the source volume's own order."""
    flipped = axis_flips(volume.affine_lps)[0]
    return volume.shape[0] - 1 - slice_index if flipped else slice_index


def _on_source_grid(volume: Volume, labels: LabelMap) -> LabelMap:
    """Labels of the canonical volume in the source volume's own order."""
    flips = axis_flips(volume.affine_lps)
    return replace(
        labels,
        labels=np.ascontiguousarray(flip(labels.labels, flips)),
        affine_lps=volume.affine_lps,
        slice_places=volume.slice_places,
    )

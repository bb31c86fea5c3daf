"""Numbers, cut-offs and notes from what the networks found in a volume."""

from dataclasses import dataclass

import numpy as np

from inference.domain.analysis_profile import Profile
from inference.domain.entered_level import LevelByHand
from inference.domain.errors import ImplausibleResult, LevelNotFound
from inference.domain.labelmap import LabelMap, Structure
from inference.domain.measurement import (
    Level,
    ModelUse,
    OrganRefinement,
    OrganResult,
    Patient,
    Quantity,
    Report,
)
from inference.domain.refiner import REFINER_TASK
from inference.domain.volume import Volume
from inference.engine.providers import downgrade_flag, without_openvino
from inference.find_level import level_absent_flags
from inference.stages import quality
from inference.stages.cut_offs import cut_offs_for
from inference.stages.decide_level import SpineLevel
from inference.stages.measure import (
    indices,
    measure_body_composition,
    measure_organs,
    slab_weights,
    value_of,
)
from inference.stages.sides import side_flags
from inference.stages.slice_quality import slice_flags

LEAST_MUSCLE_CM2 = 5.0
LEAST_ORGAN_ML = 20.0
"""Without a level an organ of this size must be seen, else nothing is delivered."""


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
class OrgansSeen:
    """Organs of the canonical volume, and what became of those that were to be redrawn."""

    labels: LabelMap
    refinements: tuple[OrganRefinement, ...] = ()
    patches: tuple[str, ...] = ()
    """How the network was asked: a plan for each grid."""
    flags: tuple[str, ...] = ()
    """What a reader must know of how it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Findings:
    """What the networks found in the canonical volume, before measuring."""

    upright: Volume
    spine: SpineLevel
    level: Level
    """Its slice_index is that of the canonical volume."""
    tissues: LabelMap
    organs: OrgansSeen | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for, and what answered."""

    profile: Profile
    uses: tuple[ModelUse, ...]
    providers: tuple[str, ...]
    """As asked for, best first."""

    @property
    def downgrades(self) -> tuple[str, ...]:
        """What the result must say of networks that ran elsewhere than asked for first, each once."""
        flags = {downgrade_flag(self.asked_of(use), use.provider) for use in self.uses}
        return tuple(sorted(flag for flag in flags if flag))

    def asked_of(self, use: ModelUse) -> tuple[str, ...]:
        """The providers a network was to run on, best first."""
        alone = use.task == REFINER_TASK
        return without_openvino(self.providers) if alone else self.providers


def measured_at_level(facts: Facts, found: Findings, asked: Asked) -> Report:
    """All numbers, cut-offs and flags."""
    upright, level = found.upright, found.level
    composition = measure_body_composition(upright, found.tissues, level, asked.profile.windows)
    area = value_of(composition, Quantity.AREA, Structure.SKELETAL_MUSCLE) or 0.0
    if area < LEAST_MUSCLE_CM2:
        raise ImplausibleResult(
            found=f"{area:.1f} cm² of muscle at L3",
            wanted=f"at least {LEAST_MUSCLE_CM2:.0f} cm², as every living adult or child has",
            advice="The level or the segmentation is wrong, or this is no abdomen: look at the series.",
        )
    composition += indices(area, facts.patient)
    seen = found.organs
    refinements = seen.refinements if seen is not None else ()
    organs = measure_organs(upright, seen.labels) if seen is not None else ()
    slab_mm = float(slab_weights(upright, level.extent_mm).sum())
    flags = [*found.spine.flags, *quality.slab_flags(slab_mm, level.extent_mm)]
    flags += quality.level_flags(composition)
    flags += quality.unusual_flags(composition, facts.patient)
    near = np.flatnonzero(slab_weights(upright, level.extent_mm) > 0)
    flags += slice_flags(upright.hu[level.slice_index], upright.hu[near], upright.spacing_mm[1:])
    flags += [*_scan_notes(facts, organs, asked), *quality.patient_flags(facts.patient)]
    flags += seen.flags if seen is not None else ()
    flags += [refinement.sentence for refinement in refinements]
    return Report(
        patient=facts.patient,
        level=level,
        level_outcome=found.spine.outcome,
        level_reasons=found.spine.reasons,
        contrast=facts.contrast,
        kvp=facts.kvp,
        body_composition=composition,
        slab_height_mm=slab_mm,
        cut_offs=cut_offs_for(composition, facts.patient, asked.profile.tables),
        organs=organs,
        refinements=refinements,
        organ_patches=seen.patches if seen is not None else (),
        definitions=asked.profile.windows.in_words(),
        flags=tuple(flags),
        models=asked.uses,
    )


def measured_without_level(
    facts: Facts, upright: Volume, spine: SpineLevel, organs: OrgansSeen, asked: Asked
) -> Report:
    """Organs alone, with the statement that nothing was measured at L3; raises LevelNotFound where there are none."""
    results = measure_organs(upright, organs.labels)
    if max((organ.volume_ml for organ in results), default=0.0) < LEAST_ORGAN_ML:
        raise LevelNotFound(
            found=f"neither a usable L3 nor an organ of {LEAST_ORGAN_ML:.0f} ml",
            wanted="an abdomen",
            advice="Send the abdominal series.",
        )
    return Report(
        patient=facts.patient,
        level=None,
        experimental=(),
        level_outcome=spine.outcome,
        level_reasons=spine.reasons,
        contrast=facts.contrast,
        kvp=facts.kvp,
        organs=results,
        refinements=organs.refinements,
        organ_patches=organs.patches,
        flags=(
            *level_absent_flags(spine),
            *_scan_notes(facts, results, asked),
            *organs.flags,
            *(refinement.sentence for refinement in organs.refinements),
        ),
        models=asked.uses,
    )


def _scan_notes(facts: Facts, organs: tuple[OrganResult, ...], asked: Asked) -> list[str]:
    """What a reader must know with and without a level."""
    flags = [*facts.flags, *quality.scan_flags(facts.contrast, facts.kvp)]
    flags += [*quality.organ_flags(organs), *side_flags(organs)]
    return [*flags, *asked.downgrades]

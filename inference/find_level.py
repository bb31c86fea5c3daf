"""L3 in a scan: two networks count its vertebrae in pictures of their own, and one decision is made of both."""

from dataclasses import replace

from inference.domain.analysis_profile import Profile, UncertainLevel
from inference.domain.errors import LevelNotFound, LevelUncertain
from inference.domain.level_calibration import LevelCalibration
from inference.domain.level_outcome import LevelOutcome
from inference.domain.predictor import Predictor
from inference.domain.volume import Volume
from inference.stages.decide_by_slices import decide_by_slices
from inference.stages.decide_level import UNKNOWN_NETWORKS, SpineLevel, decide
from inference.stages.facing import TURNED, is_turned
from inference.stages.grids import Float, resample
from inference.stages.locate_l3 import landmark_curves
from inference.stages.projections import LANDMARKS, ROW_MM
from inference.stages.slice_scores import chosen_slice, slice_probabilities
from inference.stages.spine_chain import LandmarkCurves
from inference.stages.spine_volume import TRUNK_STEP_MM, spine_curves

SLICES = "l3-slice"
"""The task of a network that looks at single slices."""
COARSE_MM = 3.0
"""Step of the grid that projections are made from."""


def find_level(
    upright: Volume, level: Predictor, spine: Predictor | None, calibration: LevelCalibration
) -> SpineLevel:
    """The outcome for a canonical volume; one opinion where there is no second network."""
    if level.manifest.task == SLICES:
        found = decide_by_slices(chosen_slice(*slice_probabilities(upright, level)), upright)
    else:
        found = decide(level_opinions(upright, level, spine), calibration)
    if found.outcome is not LevelOutcome.NOT_IN_FIELD and is_turned(upright, found.z_mm):
        found = replace(found, outcome=LevelOutcome.UNCERTAIN, reasons=(*found.reasons, TURNED))
    if level.manifest.task == SLICES:
        return found
    hashes = [p.manifest.onnx_sha256 if p is not None else None for p in (level, spine)]
    if calibration.is_for(hashes[0] or "", hashes[1]):
        return found
    return replace(found, caveats=(*found.caveats, UNKNOWN_NETWORKS))


def require_level(spine: SpineLevel, upright: Volume, profile: Profile) -> None:
    """Raise LevelNotFound, or LevelUncertain where the profile wants no level that is doubted."""
    if spine.outcome is LevelOutcome.NOT_IN_FIELD:
        low_mm = upright.affine_lps[2, 3]
        height_mm = upright.shape[0] * upright.spacing_mm[0]
        raise LevelNotFound(
            found=f"no L3 in a field of {height_mm:.0f} mm from z {low_mm:.0f} mm: {'; '.join(spine.reasons)}",
            wanted="the third lumbar vertebra inside the field of view",
            advice="Send the abdominal series; a chest or pelvis alone cannot be measured.",
        )
    if spine.outcome is LevelOutcome.UNCERTAIN and profile.uncertain_level == UncertainLevel.REJECT:
        raise LevelUncertain(
            found=f"L3 at z {spine.z_mm:.0f} mm, in doubt: {'; '.join(spine.reasons)}",
            wanted="a level without a doubt, as the profile asks",
            advice='Look at the series; uncertain_level = "flag" measures it with a note.',
        )


def level_absent_flags(spine: SpineLevel) -> tuple[str, ...]:
    """What a result without body composition says of the level."""
    why = "; ".join(spine.reasons)
    if spine.outcome is LevelOutcome.NOT_IN_FIELD:
        return (f"L3 is not in the field of view, nothing was measured there: {why}",)
    return (f"L3 uncertain, nothing was measured there: {why}",)


def level_opinions(
    upright: Volume, level: Predictor, spine: Predictor | None
) -> tuple[LandmarkCurves, ...]:
    """Curves from the projections, then from the trunk in three dimensions."""
    coarse = resample(upright, (COARSE_MM,) * 3)
    opinions = [_curves(*landmark_curves(coarse, level), ROW_MM)]
    if spine is not None:
        opinions.append(_curves(*spine_curves(upright, spine), TRUNK_STEP_MM))
    return tuple(opinions)


def _curves(probability: Float, first_z_mm: float, step_mm: float) -> LandmarkCurves:
    return LandmarkCurves(
        names=LANDMARKS, probability=probability, first_z_mm=first_z_mm, step_mm=step_mm
    )

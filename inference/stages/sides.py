"""Whether organs lie on the side of the patient that their names say."""

from collections.abc import Sequence

from inference.domain.errors import ImplausibleResult
from inference.domain.labelmap import Structure
from inference.domain.measurement import OrganResult

LEAST_ML = 20.0
"""A smaller piece says nothing about where its organ lies."""
SWAPPED_MM = 40.0
"""Kidneys are 100 mm apart and more; a crossed, fused one (ectopia) lies close to the other."""

MIRRORED_FLAG = (
    "liver on the left of the patient: situs inversus or a mirrored series, check every side"
)
CROSSED_FLAG = (
    "right kidney further left than the left one: ectopia or a wrong label, check the sides"
)


def side_flags(organs: Sequence[OrganResult]) -> list[str]:
    """Doubts about sides; raises ImplausibleResult where the kidneys are swapped in a body that is not mirrored.

    A mirrored body is told, not refused: situs inversus is rare, but these patients are scanned too.
    """
    left_mm = {organ.structure: _left_mm(organ) for organ in organs if organ.volume_ml >= LEAST_ML}
    right_kidney = left_mm.get(Structure.KIDNEY_RIGHT)
    left_kidney = left_mm.get(Structure.KIDNEY_LEFT)
    across_mm, middle_mm = 0.0, None
    if right_kidney is not None and left_kidney is not None:
        across_mm = right_kidney - left_kidney
        middle_mm = (right_kidney + left_kidney) / 2
    liver, opposite = left_mm.get(Structure.LIVER), left_mm.get(Structure.SPLEEN, middle_mm)
    flags = []
    if liver is not None and opposite is not None and liver > opposite:
        flags.append(MIRRORED_FLAG)
    elif across_mm > SWAPPED_MM:
        raise ImplausibleResult(
            found=f"a right kidney {across_mm:.0f} mm further left than the left one",
            wanted="the right kidney on the right of the patient",
            advice="Nothing is sent; look at the series and report this.",
        )
    if across_mm > 0:
        flags.append(CROSSED_FLAG)
    return flags


def _left_mm(organ: OrganResult) -> float:
    """The middle of its box; patient x grows to the left."""
    lower, upper = organ.box_lps_mm
    return (lower[0] + upper[0]) / 2

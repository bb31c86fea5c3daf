"""Pictures of a case: ours in colour, the reference as an outline, the level of each as a line."""

import numpy as np
from PIL import Image, ImageDraw

from inference.dicom.codes import rgb_of
from inference.domain.labelmap import LabelMap, Structure
from inference.stages.grids import body_mask
from training.real.answer import Answer
from training.real.case import RealCase
from training.real.checks import level_words
from training.real.panels import (
    BONE_HU,
    LINE_PX,
    OURS,
    SOFT_HU,
    THEIRS,
    Panel,
    Plane,
    beside,
    drawn,
    stacked,
    upright_rows,
    write,
)
from training.real.score import SCORED_TISSUES, Scored, slice_of

BONE_LEAST_HU = 200
SPINE_REACH_MM = 60.0
FURTHER_SHARES = (0.2, 0.8)
"""Without a level so far up the field is shown too."""
COLOURS = 256
LEGEND_PX = 340


def overlay(case: RealCase, answer: Answer, result: Scored) -> Image.Image:
    """All views of a case beside a legend."""
    across = [drawn(panel) for panel in _axial_panels(case, answer, result)]
    along = [drawn(panel) for panel in _long_panels(case, answer)]
    views = stacked([beside(across), beside(along)])
    sheet = beside([views, _legend(case, answer, result)])
    # Half the size; median cut would lose the small, rare colours.
    return sheet.quantize(COLOURS, Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)


def _axial_panels(case: RealCase, answer: Answer, result: Scored) -> list[Panel]:
    volume = case.volume
    assert volume is not None
    panels, shown = [], set()
    level_mm = answer.z_mm if answer.z_mm is not None else case.l3_z_mm
    if level_mm is not None:
        k = slice_of(volume, level_mm)
        shown.add(k)
        whose = "our L3" if answer.z_mm is not None else "the reference's L3, none found"
        panels.append(_tissue_panel(case, answer.tissues, k, f"{whose}, z {level_mm:.0f} mm"))
    if result.tissue_slices:
        k = result.tissue_slices[len(result.tissue_slices) // 2]
        if k not in shown:
            panels.append(_tissue_panel(case, result.tissues, k, "a slice with reference tissues"))
    if (richest := _richest(answer.organs, case, axis=0)) is not None:
        places = {richest}
        if level_mm is None:
            places |= {round(share * (volume.shape[0] - 1)) for share in FURTHER_SHARES}
        for k in sorted(places, reverse=True):
            panels.append(_organ_panel(case, answer, 0, k, f"organs, slice {k + 1} from the feet"))
    return panels or [_tissue_panel(case, None, volume.shape[0] // 2, "middle of the field")]


def _tissue_panel(case: RealCase, tissues: LabelMap | None, k: int, title: str) -> Panel:
    assert case.volume is not None
    masks = {t: mask[k] for t in SCORED_TISSUES if (mask := case.reference.of(t)) is not None}
    return Panel(
        title=title,
        hu=case.volume.hu[k],
        step_mm=case.volume.spacing_mm[1:],
        labels=tissues.labels[k] if tissues is not None else None,
        structures=tissues.structures if tissues is not None else {},
        reference={t: mask for t, mask in masks.items() if mask.any()},
    )


def _organ_panel(case: RealCase, answer: Answer, axis: int, index: int, title: str) -> Panel:
    """A plane across one axis with organs; views from the front and the side stand upright."""
    volume = case.volume
    assert volume is not None

    def plane(voxels: Plane) -> Plane:
        taken = np.take(voxels, index, axis)
        return taken if axis == 0 else taken[upright_rows(volume)]

    organs = answer.organs
    structures = organs.structures if organs is not None else {}
    steps = [step for a, step in enumerate(volume.spacing_mm) if a != axis]
    reference = {}
    for structure in structures.values():
        mask = case.reference.of(structure)
        if mask is not None and (part := plane(mask)).any():
            reference[structure] = np.asarray(part, np.bool_)
    return Panel(
        title=title,
        hu=plane(volume.hu),
        step_mm=(steps[0], steps[1]),
        window_hu=SOFT_HU,
        labels=np.asarray(plane(organs.labels), np.uint8) if organs is not None else None,
        structures=structures,
        reference=reference,
        is_upright=axis > 0,
        lines=_level_lines(case, answer) if axis else (),
    )


def _long_panels(case: RealCase, answer: Answer) -> list[Panel]:
    volume = case.volume
    assert volume is not None
    panels = []
    row = _richest(answer.organs, case, axis=1)
    if row is not None:
        panels.append(_organ_panel(case, answer, 1, row, "coronal through the organs"))
    spine_row, spine_column = spine_at(case, answer)
    rows = upright_rows(volume)
    slab = _slab(spine_row, volume.spacing_mm[1], volume.shape[1])
    lines = _level_lines(case, answer)
    panels.append(
        Panel(
            title="coronal through the spine",
            hu=volume.hu[:, slab].max(axis=1)[rows],
            step_mm=(volume.spacing_mm[0], volume.spacing_mm[2]),
            window_hu=BONE_HU,
            structures={},
            reference={},
            is_upright=True,
            lines=lines,
        )
    )
    panels.append(
        Panel(
            title="sagittal through the spine",
            hu=volume.hu[:, :, spine_column][rows],
            step_mm=(volume.spacing_mm[0], volume.spacing_mm[1]),
            window_hu=BONE_HU,
            structures={},
            reference={},
            is_upright=True,
            lines=lines,
        )
    )
    return panels


def _slab(middle: int, step_mm: float, size: int) -> slice:
    half = max(1, round(12.0 / step_mm))
    return slice(max(0, middle - half), min(size, middle + half + 1))


def _level_lines(case: RealCase, answer: Answer) -> list[tuple[float, tuple[int, int, int]]]:
    """Ours and the reference's level as shares from above."""
    volume = case.volume
    assert volume is not None
    rows = len(upright_rows(volume))
    found = []
    for z_mm, colour in ((answer.z_mm, OURS), (case.l3_z_mm, THEIRS)):
        if z_mm is not None:
            place = (z_mm - volume.affine_lps[2, 3]) / volume.affine_lps[2, 0] - volume.places[0]
            found.append((float(np.clip(1 - (place + 0.5) / rows, 0, 1)), colour))
    return found


def _richest(organs: LabelMap | None, case: RealCase, axis: int) -> int | None:
    """The plane across an axis that shows most organs, then most of them."""
    if organs is None:
        return None
    others = tuple(a for a in range(3) if a != axis)
    size = organs.labels.shape[axis]
    score = np.zeros(size)
    for label, structure in organs.structures.items():
        mask = case.reference.of(structure)
        area = ((organs.labels == label) if mask is None else mask).sum(axis=others)
        score += np.minimum(area / (0.5 * area.max()), 1.0) if area.any() else 0.0
    return int(score.argmax()) if score.any() else None


def spine_at(case: RealCase, answer: Answer) -> tuple[int, int]:
    """Row and column of the spine: the middle of the bone about the body's middle, at the level where there is one."""
    volume = case.volume
    assert volume is not None
    level_mm = answer.z_mm if answer.z_mm is not None else case.l3_z_mm
    k = volume.shape[0] // 2 if level_mm is None else slice_of(volume, level_mm)
    body = body_mask(volume.hu[k][None])[0]
    if not body.any():
        return volume.shape[1] // 2, volume.shape[2] // 2
    middle = float(np.median(np.nonzero(body)[1]))
    rows, columns = np.nonzero(body & (volume.hu[k] > BONE_LEAST_HU))
    near = np.abs(columns - middle) < SPINE_REACH_MM / volume.spacing_mm[2]
    if not near.any():
        return int(np.median(np.nonzero(body)[0])), round(middle)
    return int(np.median(rows[near])), int(np.median(columns[near]))


def _legend(case: RealCase, answer: Answer, result: Scored) -> Image.Image:
    """Outcome, then every structure with its colour, what was found and (reference)."""
    entries: list[tuple[str, Structure | tuple[int, int, int] | None]] = [(case.name, None)]
    entries.append((f"L3: {level_words(answer, result)}", OURS))
    if case.l3_z_mm is not None:
        entries.append((f"reference L3, z {case.l3_z_mm:.0f} mm", THEIRS))
    for structure, area in answer.areas_cm2.items():
        entries.append((f"{structure.value.replace('_', ' ')} {area:.0f} cm² at L3", structure))
    for score in result.scores:
        if score.unit == "ml" and not score.part:
            agreement = "" if score.dice is None else f", Dice {score.dice:.2f}"
            text = f"{score.label} {score.found:.0f} ({score.reference:.0f}) ml{agreement}"
            entries.append((text, score.structure))
    compared = {score.structure for score in result.scores}
    for organ in answer.organ_results:
        if organ.structure not in compared:
            cut = " (cut)" if organ.is_incomplete else ""
            name = organ.structure.value.replace("_", " ")
            entries.append((f"{name} {organ.volume_ml:.0f} ml{cut}", organ.structure))
    entries.append(("filled: ours; outline: reference", None))
    sheet = Image.new("RGB", (LEGEND_PX, LINE_PX * (len(entries) + 1)), (0, 0, 0))
    pen = ImageDraw.Draw(sheet)
    for number, (text, mark) in enumerate(entries):
        y = LINE_PX * number + 2
        if mark is not None:
            colour = rgb_of(mark) if isinstance(mark, Structure) else mark
            pen.rectangle((2, y + 3, 12, y + 12), fill=colour)
        write(sheet, text, (18 if mark is not None else 2, y))
    return sheet

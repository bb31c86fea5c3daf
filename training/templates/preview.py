"""Pictures of painted cases: axial at L3, coronal and sagittal through it, in a soft-tissue window."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from inference.domain.volume import Volume, affine_from_axes
from training.synthetic.preview import Picture, below, beside, scaled
from training.synthetic.torso import Grid
from training.templates.case import FieldKind, make_painted_case, random_kind, scanned
from training.templates.spine_plan import USUAL, SpineRanges
from training.templates.template import Template

AXIAL_MM = 1.1
AXIAL_SHAPE_RC = (330, 430)
TORSO_MM = 2.5
TORSO_SHAPE_RC = (150, 190)


def rows(
    templates: Sequence[Template],
    seeds: Sequence[int],
    *,
    ranges: SpineRanges = USUAL,
    is_whole: bool = False,
) -> Iterator[tuple[Picture, str]]:
    """One row of views and a line of text per seed; templates take turns."""
    for number, seed in enumerate(seeds):
        which = number % len(templates)
        kind = random_kind(np.random.default_rng((seed, 9)))
        case = make_painted_case(
            templates[which],
            seed,
            spacing_mm=(TORSO_MM,) * 3,
            shape_rc=TORSO_SHAPE_RC,
            field=FieldKind.WHOLE if is_whole else kind,
            ranges=ranges,
        )
        x, y, z = case.vertebrae["L3"].centre_lps_mm
        if not case.has_l3:
            first, last = case.grid.axis_mm(0)[[0, -1]]
            z = float((first + last) / 2)
        height, width = AXIAL_SHAPE_RC
        grid = Grid(
            shape=(1, height, width),
            spacing_mm=(2.0, AXIAL_MM, AXIAL_MM),
            origin_lps_mm=(-(width - 1) / 2 * AXIAL_MM, -(height - 1) / 2 * AXIAL_MM, z),
        )
        axial = scanned(case.patient, case.scan, grid)
        picture = beside(
            [
                scaled(axial.volume.hu[0], AXIAL_MM, AXIAL_MM),
                *planes(case.volume, (x, y)),
            ]
        )
        said = ", ".join(
            [
                f"seed {seed}",
                "whole" if is_whole else kind.value,
                "L3 in the field" if case.has_l3 else "no L3",
                f"habitus {case.patient.body.habitus:.2f}",
                case.scan.acquisition.phase.value,
                *case.patient.spine.variants,
                *(["cut by the field of view"] if case.is_cut else []),
            ]
        )
        yield picture, said


def planes(volume: Volume, through_xy_mm: tuple[float, float]) -> list[Picture]:
    """Coronal and sagittal through a point."""
    slice_mm, row_mm, column_mm = volume.spacing_mm
    origin = volume.affine_lps[:3, 3]
    column = int(np.clip(round((through_xy_mm[0] - origin[0]) / column_mm), 0, volume.shape[2] - 1))
    row = int(np.clip(round((through_xy_mm[1] - origin[1]) / row_mm), 0, volume.shape[1] - 1))
    return [
        scaled(volume.hu[::-1, row, :], slice_mm, column_mm),
        scaled(volume.hu[::-1, :, column], slice_mm, row_mm),
    ]


def sheet(pictures: Sequence[Picture], columns: int) -> Picture:
    """Pictures in rows of so many."""
    lines = [beside(pictures[i : i + columns]) for i in range(0, len(pictures), columns)]
    whole = lines[0]
    for line in lines[1:]:
        whole = below(whole, line)
    return whole


def real_row(
    hu: npt.NDArray[np.float32], spacing_mm: tuple[float, float, float], k: int
) -> Picture:
    """A real CT in the same views, its axial slice k."""
    volume = Volume(hu=hu, affine_lps=affine_from_axes((0, 0, 0), np.eye(3)[::-1], spacing_mm))
    body = np.argwhere(hu[k] > -300)
    middle = (body.min(0) + body.max(0)) / 2
    through = (middle[1] * spacing_mm[2], (middle[0] + 12 / spacing_mm[1]) * spacing_mm[1])
    return beside([scaled(hu[k], *spacing_mm[1:]), *planes(volume, through)])

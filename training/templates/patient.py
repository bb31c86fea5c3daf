"""A patient: a template and a seed, with everything about the body worked out that does not depend on the grid."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from training.synthetic.spine import Vertebra
from training.templates.body_plan import BodyPlan, sample_body
from training.templates.course import (
    Bend,
    Course,
    PlacedVertebra,
    bend_of,
    course_of,
    place_vertebrae,
    spine_line,
    truth_of,
)
from training.templates.spine_plan import USUAL, SpinePlan, SpineRanges, sample_spine
from training.templates.template import Template
from training.templates.wall_tables import wall_tables

BODY_SEED, SPINE_SEED = 1, 2
SURVEY_MM = 20.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Patient:
    """Body frame: z = 0 in the middle of S1, x = y = 0 on the template's centre line."""

    template: Template
    body: BodyPlan
    spine: SpinePlan
    course: Course
    bend: Bend
    placed: tuple[PlacedVertebra, ...]
    vertebrae: Mapping[str, Vertebra]
    """T1 … L6 and S1 as far as the template has them."""
    back_mm: float
    """y of the hindmost skin: where the couch begins."""
    half_width_mm: float
    """x of the outermost skin."""

    @property
    def l3_extent_mm(self) -> tuple[float, float]:
        """The end plates of the third lumbar body."""
        l3 = self.vertebrae["L3"]
        return l3.z_low_mm, l3.z_high_mm

    @property
    def reach_mm(self) -> tuple[float, float]:
        """The lowest and the highest z there is anything at."""
        return float(self.course.z_mm[0]), float(self.course.z_mm[-1])


def patient_of(template: Template, seed: int, ranges: SpineRanges = USUAL) -> Patient:
    """The patient of a seed."""
    body = sample_body(np.random.default_rng((seed, BODY_SEED)))
    spine = sample_spine(
        np.random.default_rng((seed, SPINE_SEED)), tuple(template.body_names), ranges
    )
    return assembled(template, body, spine)


def assembled(template: Template, body: BodyPlan, spine: SpinePlan) -> Patient:
    """A patient from plans, sampled or written by hand."""
    course, bend = course_of(template, body, spine), bend_of(body)
    placed = place_vertebrae(template, body, spine, course, bend)
    s1 = spine_line(template, body, course, bend, np.zeros(1))[0]
    survey = np.arange(course.z_mm[0], course.z_mm[-1], SURVEY_MM)
    wall = wall_tables(template, body, course, survey)
    angle = (np.arange(wall.skin.shape[1]) / wall.skin.shape[1] - 0.5) * 2 * np.pi
    depth, width = course.at(course.depth, survey), course.at(course.width, survey)
    back = (wall.skin * -np.cos(angle) * depth[:, None]).max()
    side = (wall.skin * np.abs(np.sin(angle)) * width[:, None]).max()
    return Patient(
        template=template,
        body=body,
        spine=spine,
        course=course,
        bend=bend,
        placed=tuple(placed),
        vertebrae=MappingProxyType(truth_of(template, body, placed, s1)),
        back_mm=float(back),
        half_width_mm=float(side),
    )

"""The single pictures of the web page: sides marked, the level as a line, a legend with the report's numbers."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from PIL import Image

from inference.dicom.codes import rgb_of
from inference.domain.labelmap import TISSUES, Structure
from inference.domain.measurement import Report
from inference.page.pictures import (
    HEIGHT_PX,
    LEGEND_PX,
    LEVEL_LINE,
    WIDTH_PX,
    coronal_picture,
    level_picture,
)
from inference.page.sheet import BACKGROUND
from inference.page.typeface import Typeface, shipped_typeface
from inference.page.views import Scene, coronal_view, overlay_view, scene_of
from tests.unit.inference.page.page_scene import body_analysis, body_volume

Draw = Callable[[Scene, Report, Typeface], Image.Image]
BOTH = pytest.mark.parametrize("draw", [level_picture, coronal_picture])


@dataclass(frozen=True, kw_only=True)
class RecordingTypeface(Typeface):
    """The shipped one; remembers what it was asked for."""

    asked: list[str] = field(default_factory=list)

    def known(self, text: str) -> str:
        self.asked.append(text)
        return text


def recording() -> RecordingTypeface:
    shipped = shipped_typeface()
    return RecordingTypeface(
        regular=shipped.regular, bold=shipped.bold, characters=shipped.characters
    )


@pytest.fixture(scope="module")
def report() -> Report:
    return body_analysis(body_volume()).report


@pytest.fixture(scope="module")
def scene() -> Scene:
    volume = body_volume()
    return scene_of(volume, body_analysis(volume))


def test_the_level_picture_names_the_level_and_every_area(scene: Scene, report: Report) -> None:
    typeface = recording()

    level_picture(scene, report, typeface)

    assert typeface.asked == [
        "L3, z 30.0 mm, confidence 0.90",
        "For research use only",
        "skeletal muscle: 100.1 cm²",
        "subcutaneous fat: 200.1 cm²",
        "visceral fat: 300.1 cm²",
        "intermuscular fat (experimental): 400.1 cm²",
    ]


def test_the_level_picture_says_where_a_person_set_the_level(scene: Scene, report: Report) -> None:
    typeface = recording()
    assert report.level is not None

    by_hand = replace(report.level, confidence=None, source="L3 set by hand by otto")
    level_picture(scene, replace(report, level=by_hand), typeface)

    assert typeface.asked[0] == "L3, z 30.0 mm, set by hand"


def test_without_a_level_only_the_areas_are_named(scene: Scene, report: Report) -> None:
    typeface = recording()

    level_picture(scene, replace(report, level=None), typeface)

    assert typeface.asked[0] == "For research use only"


def test_the_coronal_picture_names_every_organ_and_which_are_cut(
    scene: Scene, report: Report
) -> None:
    typeface = recording()

    coronal_picture(scene, report, typeface)

    assert typeface.asked[:4] == [
        "Coronal view; line: L3",
        "For research use only",
        "liver: 333 ml (cut)",
        "kidney right: 334 ml",
    ]
    assert len(typeface.asked) == 2 + 13


@BOTH
def test_the_patients_right_is_marked_on_the_left_at_half_height(
    draw: Draw, scene: Scene, report: Report
) -> None:
    marks: list[tuple[float, float]] = []
    pixels = np.asarray(draw(scene, report, recording())).astype(int)
    view = overlay_view(scene) if draw is level_picture else coronal_view(scene)
    plain = np.asarray(view.picture(HEIGHT_PX, WIDTH_PX)).astype(int)
    height, width = plain.shape[:2]

    drawn = (np.abs(pixels[:height, :width] - plain) > 60).any(axis=-1)
    drawn[(pixels[:height, :width] == LEVEL_LINE).all(axis=-1)] = False
    for half in (slice(0, 40), slice(width - 40, width)):
        rows, columns = np.nonzero(drawn[:, half])
        assert rows.size
        marks.append((rows.mean() / height, columns.mean()))

    # The letters hang from the middle.
    assert all(0.5 <= share < 0.55 for share, _ in marks)
    assert not drawn[:, 60 : width - 60].any()


def test_the_line_lies_at_the_level_from_side_to_side(scene: Scene, report: Report) -> None:
    pixels = np.asarray(coronal_picture(scene, report, recording()))
    view = coronal_view(scene)
    height, width = np.asarray(view.picture(HEIGHT_PX, WIDTH_PX)).shape[:2]
    assert view.level_share is not None

    rows, columns = np.nonzero((pixels == LEVEL_LINE).all(axis=-1))

    assert rows.mean() == pytest.approx(view.level_share * (height - 1), abs=1.5)
    assert (columns.min(), columns.max()) == (0, width - 1)
    assert not (np.asarray(level_picture(scene, report, recording())) == LEVEL_LINE).all(-1).any()


@BOTH
def test_every_entry_of_the_legend_has_its_colour_beside_the_picture(
    draw: Draw, scene: Scene, report: Report
) -> None:
    view = overlay_view(scene) if draw is level_picture else coronal_view(scene)
    shown = view.picture(HEIGHT_PX, WIDTH_PX)
    page = draw(scene, report, recording())
    legend = np.asarray(page)[:, shown.width :]
    structures: list[Structure] = (
        list(TISSUES) if draw is level_picture else [organ.structure for organ in report.organs]
    )

    tops, boxes = [], []
    for structure in structures:
        rows, columns = np.nonzero((legend == rgb_of(structure)).all(axis=-1))
        tops.append(rows.min())
        boxes.append((int(np.ptp(rows)) + 1, int(columns.min()), int(np.ptp(columns)) + 1))

    assert page.width == shown.width + LEGEND_PX
    assert tops == sorted(tops)
    assert set(boxes) == {(13, 14, 13)}
    # Below the lines, a gap, then one entry a line; nothing touches the lower edge.
    assert set(np.diff(tops)) == {22}
    assert tops[0] - 3 == 14 + 22 * 2 + 11
    assert (legend[-22:] == BACKGROUND).all()


def test_a_legend_longer_than_the_picture_makes_it_higher(scene: Scene, report: Report) -> None:
    many = replace(report, organs=report.organs * 4)

    page = coronal_picture(scene, many, recording())

    assert page.height == 22 * (1 + 4 * 13 + 4)
    assert page.height > coronal_view(scene).picture(HEIGHT_PX, WIDTH_PX).height

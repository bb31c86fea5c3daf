"""From a label map to a template: bodies measured, gaps of the maps filled, the spine's bed emptied."""

import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from tests.unit.training.templates.tiny_torso import (
    BODIES,
    STEP_MM,
    body_slices,
    numbers,
    tiny_template,
)
from training.pool_samples import slice_levels_mm
from training.synthetic.labels import Tissue
from training.templates.build import build, template_of
from training.templates.maps import NamedMap
from training.templates.naming import anatomies_of, with_names_of_their_own
from training.templates.patient import patient_of
from training.templates.template import ANGLES, CANAL_CODE, Template

REAL = os.environ.get("HABITUS_REAL_CT")


def without(*left_out: str) -> NamedMap:
    voxels, names = numbers()
    for number, name in names.items():
        if name in left_out:
            voxels[voxels == number] = 0
    affine = np.diag([STEP_MM] * 3 + [1.0])[:, [2, 1, 0, 3]]
    return NamedMap(numbers=voxels, names=names, affine_lps=affine)


def test_every_body_is_measured_between_its_end_plates() -> None:
    template = tiny_template()

    assert list(template.body_names) == ["T10", "T11", "T12", "L1", "L2", "L3", "L4", "L5"]
    for name in BODIES[1:]:
        first, last = body_slices(name)
        place = template.index_of(name)
        assert template.body_centre_mm[place, 2] == pytest.approx((first + last - 1) / 2 * STEP_MM)
        assert template.body_height_mm[place] == pytest.approx((last - first) * STEP_MM)
    first, last = body_slices("S1")
    assert template.s1_mm[2] == pytest.approx((first + last - 1) / 2 * STEP_MM)


def test_a_map_without_any_vertebra_is_told_what_it_lacks() -> None:
    _, names = numbers()

    with pytest.raises(UnreadableInput, match="without a whole T12"):
        template_of(without(*names.values()), "")


def test_slices_are_painted_up_to_t12_where_a_map_ends_there() -> None:
    whole = patient_of(tiny_template(), 1).vertebrae
    short = {name: body for name, body in whole.items() if name not in ("T10", "T11")}

    highest = [max(slice_levels_mm(bodies, np.random.default_rng(1))) for bodies in (short, whole)]

    assert highest[0] <= whole["T12"].z_high_mm < highest[1]


def test_a_template_that_is_not_there_is_no_wrong_one(tmp_path: Path) -> None:
    with pytest.raises(UnreadableInput, match=r"no file gone\.npz"):
        Template.read(tmp_path / "gone.npz")


def test_s1_is_read_off_the_sacrum_where_the_map_has_no_label_for_it() -> None:
    voxels, names = numbers()
    number = {name: number for number, name in names.items()}
    voxels[voxels == number["vertebrae_S1"]] = number["sacrum"]
    affine = np.diag([STEP_MM] * 3 + [1.0])[:, [2, 1, 0, 3]]

    template = template_of(NamedMap(numbers=voxels, names=names, affine_lps=affine), "")

    assert template.s1_mm[2] == pytest.approx(tiny_template().s1_mm[2], abs=STEP_MM)


def test_what_maps_lack_is_filled_in() -> None:
    template = tiny_template()
    present = set(np.unique(template.frame))

    assert {Tissue.QUADRATUS_LUMBORUM, Tissue.INTERMUSCULAR_FAT, Tissue.INTERCOSTAL} <= present
    assert Tissue.MEDIASTINAL_FAT in template.viscera


def test_nothing_is_left_where_the_spine_was_but_muscle_and_fat() -> None:
    template = tiny_template()
    spine = (template.parts > 0) & (template.parts <= CANAL_CODE)

    assert (template.frame[spine] > 0).all()
    assert not np.isin(template.frame[spine], (Tissue.VERTEBRA_TRABECULAR,)).any()
    assert not template.viscera[spine].any()


def test_the_hull_surrounds_all_of_the_trunk_and_the_cavity_lies_within_it() -> None:
    template = tiny_template()
    middle = len(template.frame) // 2
    rows, columns = np.nonzero(template.viscera[middle] > 0)
    x = columns * STEP_MM - template.centre_xy_mm[middle, 0]
    y = rows * STEP_MM - template.centre_xy_mm[middle, 1]

    assert np.hypot(x, y).max() < template.hull_mm[middle].max() + 2 * STEP_MM
    assert (template.cavity_mm <= template.hull_mm + 1e-3).all()
    # The cavity ends in front of the back's muscles, the hull behind them.
    beside_the_spine = ANGLES // 40
    assert (
        template.cavity_mm[middle, beside_the_spine]
        < template.hull_mm[middle, beside_the_spine] - 10
    )


def test_a_template_comes_back_as_it_was(tmp_path: Path) -> None:
    template = tiny_template()
    template.write(tmp_path / "tiny.npz")

    back = Template.read(tmp_path / "tiny.npz")

    for name in ("frame", "viscera", "parts", "hull_mm", "body_centre_mm", "source"):
        np.testing.assert_array_equal(getattr(back, name), getattr(template, name))


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 not an archive", b"text"])
def test_a_file_that_is_no_template_is_reported(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "broken.npz"
    path.write_bytes(content)

    with pytest.raises(UnreadableInput, match="no template"):
        Template.read(path)


@pytest.mark.parametrize(
    ("left_out", "named"),
    [
        (("vertebrae_L2",), "L2"),
        (("vertebrae_T12", "vertebrae_L5"), "T12, L5"),
        (("sacrum", "vertebrae_S1"), "sacrum"),
    ],
)
def test_a_map_without_a_whole_lumbar_spine_is_refused(
    left_out: tuple[str, ...], named: str
) -> None:
    with pytest.raises(UnreadableInput, match=named):
        template_of(without(*left_out), "")


def test_a_map_of_thick_slices_is_refused() -> None:
    maps = without()
    affine = maps.affine_lps.copy()
    affine[:3, 0] *= 2

    with pytest.raises(UnreadableInput, match="steps"):
        template_of(replace(maps, affine_lps=affine), "")


@pytest.mark.skipif(not REAL, reason="HABITUS_REAL_CT names no folder of real cases")
def test_a_real_map_becomes_a_template() -> None:
    source = Path(str(REAL)) / "anatomy" / "s0328_labels.nii.gz"

    template = build(source, "CC BY 4.0", finest_mm=4.0)

    assert list(template.body_names)[-6:] == ["T12", "L1", "L2", "L3", "L4", "L5"]
    pitch = np.diff(template.body_centre_mm[:, 2])
    assert ((pitch < -25) & (pitch > -45)).all()


def named(folder: Path, name: str, template: Template) -> frozenset[str]:
    """What a network that saw this file says it saw."""
    template.write(folder / f"{name}.npz")
    return anatomies_of(folder / f"{name}.npz")


def test_a_map_that_is_built_again_under_another_name_is_known(tmp_path: Path) -> None:
    maps = without()
    first = named(tmp_path, "first", template_of(maps, "a map"))
    renamed = named(tmp_path, "second", template_of(maps, "what I have", 6.0))
    other = replace(maps, numbers=np.where(maps.numbers == 1, 0, maps.numbers))
    another = named(tmp_path, "third", template_of(other, "a map"))

    assert first & renamed
    assert not first & another


def test_two_templates_of_one_name_are_refused() -> None:
    assert with_names_of_their_own([Path("a/s1.npz"), Path("a/s2.npz")]) == (
        Path("a/s1.npz"),
        Path("a/s2.npz"),
    )
    with pytest.raises(ConfigurationInvalid, match="more than one template called s1"):
        with_names_of_their_own([Path("a/s1.npz"), Path("b/s1.npz"), Path("b/s2.npz")])

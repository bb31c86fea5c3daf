"""Wrong data is named, with what is wrong and where, before anything is trained on it."""

import gzip
import random
import struct
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest

from tests.unit.training.data.tiny import (
    FLARE22,
    SHAPE,
    affine_ras,
    ct,
    labels,
    save,
    write_flare22,
    write_totalsegmentator,
)
from training.data.checks import Checked, check_before_training, checked
from training.data.examine import examine
from training.data.layouts.registry import find_cases, layout_named
from training.data.problems import Problem, TrainingDataUnfit, errors_of

IMAGE, LABEL = "images/FLARE22_Tr_0002_0000.nii.gz", "labels/FLARE22_Tr_0002.nii.gz"
WRONG = "FLARE22_Tr_0002"


def looked_at(folder: Path, layout: str = "flare22") -> Checked:
    return checked(find_cases(folder, layout_named(layout)))


def said_of(result: Checked, case: str = WRONG) -> list[Problem]:
    return [problem for problem in result.problems if problem.case == case]


def without_label(place: Path) -> None:
    (place / LABEL).unlink()


def without_image(place: Path) -> None:
    (place / IMAGE).unlink()


def of_another_shape(place: Path) -> None:
    save(labels(FLARE22)[:-1], place / LABEL)


def somewhere_else(place: Path) -> None:
    affine = affine_ras()
    affine[2, 3] += 30.0
    save(labels(FLARE22), place / LABEL, affine)


def without_affine(place: Path) -> None:
    save(labels(FLARE22), place / LABEL, np.eye(4))


def with_a_strange_number(place: Path) -> None:
    strange = labels(FLARE22)
    strange[5, 5, 5:8] = 14
    save(strange, place / LABEL)


def interpolated(place: Path) -> None:
    save(labels(FLARE22).astype(np.float32) * 0.5, place / LABEL)


def below_zero(place: Path) -> None:
    negative = labels(FLARE22).astype(np.int16)
    negative[5, 5, 5] = -1
    save(negative, place / LABEL)


def empty(place: Path) -> None:
    save(np.zeros(SHAPE, np.uint8), place / LABEL)


def with_nan(place: Path) -> None:
    broken = ct(2).astype(np.float32)
    broken[3, 3, 3:5] = np.nan, np.inf
    save(broken, place / IMAGE)


def with_nan_labels(place: Path) -> None:
    broken = labels(FLARE22).astype(np.float32)
    broken[3, 3, 3] = np.nan
    save(broken, place / LABEL)


def with_far_numbers(place: Path) -> None:
    far = labels(FLARE22).astype(np.float32)
    far[3, 3, 3] = 3e38
    save(far, place / LABEL)


def without_offset(place: Path) -> None:
    save(ct(2) + 1024, place / IMAGE)


def normalised(place: Path) -> None:
    save((np.clip(ct(2), -160, 240).astype(np.float32) + 160) / 400, place / IMAGE)


def as_a_picture(place: Path) -> None:
    save(((np.clip(ct(2), -160, 240) + 160) / 400 * 255).astype(np.uint8), place / IMAGE)


def windowed(place: Path) -> None:
    save(np.clip(ct(2), -160, 240), place / IMAGE)


def twice_as_bright(place: Path) -> None:
    bright = ct(2)
    bright[bright > 0] += 1000
    save(bright, place / IMAGE)


def of_one_value(place: Path) -> None:
    save(np.full(SHAPE, -1000, np.int16), place / IMAGE)


def mirrored_labels(place: Path) -> None:
    # The voxels turned over, the affine kept: what a viewer that knows no affine leaves behind.
    save(labels(FLARE22)[:, :, ::-1], place / LABEL)
    save(ct(2)[:, :, ::-1], place / IMAGE)


def swapped_kidneys(place: Path) -> None:
    swapped = dict(FLARE22)
    swapped["kidney_left"], swapped["kidney_right"] = (
        FLARE22["kidney_right"],
        FLARE22["kidney_left"],
    )
    save(labels(swapped), place / LABEL)


def turned(degrees: float) -> Callable[[Path], None]:
    def make(place: Path) -> None:
        turn = np.radians(degrees)
        affine = affine_ras()
        around_x = np.array(
            [[1, 0, 0], [0, np.cos(turn), -np.sin(turn)], [0, np.sin(turn), np.cos(turn)]]
        )
        affine[:3, :3] = around_x @ affine[:3, :3]
        save(ct(2), place / IMAGE, affine)
        save(labels(FLARE22), place / LABEL, affine)

    return make


def tilted(place: Path) -> None:
    affine = affine_ras()
    affine[1, 2] = np.tan(np.radians(18.5)) * affine[2, 2]
    save(ct(2), place / IMAGE, affine)
    save(labels(FLARE22), place / LABEL, affine)


def too_thick(place: Path) -> None:
    affine = affine_ras((15.0, 10.0, 10.0))
    save(ct(2), place / IMAGE, affine)
    save(labels(FLARE22), place / LABEL, affine)


def four_dimensional(place: Path) -> None:
    nibabel.save(nibabel.Nifti1Image(np.zeros((4, 4, 4, 2), np.int16), affine_ras()), place / IMAGE)


def no_nifti(place: Path) -> None:
    (place / IMAGE).write_bytes(b"not an image")


def cut_short(place: Path) -> None:
    whole = (place / IMAGE).read_bytes()
    (place / IMAGE).write_bytes(whole[: len(whole) // 2])


def copied(place: Path) -> None:
    first = nibabel.load(place / "images/FLARE22_Tr_0001_0000.nii.gz")
    nibabel.save(nibabel.Nifti1Image(np.asarray(first.dataobj), first.affine), place / IMAGE)


def patched_header(place: Path, offset: int, form: str, *values: float) -> None:
    """A value written over the uncompressed header (NIfTI-1.1), as no library would let us."""
    content = bytearray(gzip.decompress((place / IMAGE).read_bytes()))
    struct.pack_into(form, content, offset, *values)
    (place / IMAGE).write_bytes(gzip.compress(bytes(content)))


def promising_too_much(place: Path) -> None:
    patched_header(place, 42, "<3h", 30_000, 30_000, 30_000)


def with_a_far_offset(place: Path) -> None:
    patched_header(place, 108, "<f", 2e9)


def with_negative_steps(place: Path) -> None:
    patched_header(place, 80, "<3f", 10.0, -10.0, 8.0)


def with_zero_steps(place: Path) -> None:
    patched_header(place, 80, "<3f", 10.0, 10.0, 0.0)


def with_no_number_in_its_affine(place: Path) -> None:
    patched_header(place, 280, "<f", float("nan"))


ERRORS: list[tuple[Callable[[Path], None], str]] = [
    (without_label, "an image without a label"),
    (without_image, "a label without an image"),
    (of_another_shape, "13 × 30 × 40 voxels beside an image of 14 × 30 × 40"),
    (somewhere_else, "labels up to 30 mm away"),
    (without_affine, "mm away from the image"),
    (with_a_strange_number, "labels outside the table: 14 (3 voxels)"),
    (interpolated, "no whole numbers"),
    (below_zero, "labels outside the table: -1 (1 voxels)"),
    (empty, "no voxel of anything of ours"),
    (with_nan, "2 voxels that are no number"),
    (with_nan_labels, "no whole numbers (nan)"),
    (with_far_numbers, "no whole numbers (3e+38)"),
    (without_offset, "an offset of 1024 is missing"),
    (normalised, "as of a normalised image"),
    (as_a_picture, "as of a picture"),
    (windowed, "nothing below -160 HU"),
    (twice_as_bright, "liver of 10"),
    (of_one_value, "the same value everywhere"),
    (swapped_kidneys, "a right kidney"),
    (turned(20.0), "slices 20.0° off the axial plane"),
    (tilted, "a stack sheared by 18.5"),
    (too_thick, "15 × 10 × 10 mm (slice, row, column)"),
    (four_dimensional, "a NIfTI image of 4 dimensions"),
    (no_nifti, "no NIfTI image"),
    (cut_short, "no NIfTI image, or a broken one"),
    (copied, "the same voxels as FLARE22_Tr_0001"),
    (promising_too_much, "promises 30000 × 30000 × 30000"),
    (with_a_far_offset, "2e+09 bytes into the file"),
    (with_negative_steps, "voxels of 10 × -10 × 8 mm"),
    (with_zero_steps, "voxels of 10 × 10 × 0 mm"),
    (with_no_number_in_its_affine, "three positive, finite steps"),
]


@pytest.mark.parametrize(("make", "says"), ERRORS, ids=lambda value: getattr(value, "__name__", ""))
def test_what_is_wrong_is_said_and_stops_a_training(
    make: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    place = write_flare22(tmp_path)
    make(place)

    result = looked_at(place)
    errors = errors_of(said_of(result))

    assert any(says in f"{p.found}; {p.wanted}" for p in errors), said_of(result)
    assert all(p.advice and p.wanted and p.where for p in result.problems)
    assert errors_of(result.problems) == errors
    with pytest.raises(TrainingDataUnfit, match=WRONG):
        check_before_training(find_cases(place, layout_named("flare22")))


WARNINGS: list[tuple[Callable[[Path], None], str]] = [
    (mirrored_labels, "situs inversus or a mirrored series"),
    (turned(5.0), "slices 5.0° off the axial plane"),
]


@pytest.mark.parametrize(
    ("make", "says"), WARNINGS, ids=lambda value: getattr(value, "__name__", "")
)
def test_what_is_only_odd_is_a_warning(
    make: Callable[[Path], None], says: str, tmp_path: Path
) -> None:
    place = write_flare22(tmp_path)
    make(place)

    result = check_before_training(find_cases(place, layout_named("flare22")))

    assert any(says in p.found and not p.is_error for p in said_of(result)), said_of(result)


def test_good_data_has_no_problem(tmp_path: Path) -> None:
    result = check_before_training(find_cases(write_flare22(tmp_path), layout_named("flare22")))

    assert result.problems == ()
    assert [one.facts is not None for one in result.examinations] == [True] * 3


def test_all_cases_are_in_one_table(tmp_path: Path) -> None:
    place = write_flare22(tmp_path, 4)
    with_nan(place)
    (place / "labels/FLARE22_Tr_0003.nii.gz").unlink()
    save(labels(FLARE22)[:-1], place / "labels/FLARE22_Tr_0004.nii.gz")

    with pytest.raises(TrainingDataUnfit) as refused:
        check_before_training(find_cases(place, layout_named("flare22")))

    assert refused.value.exit_status == 1
    assert [problem.case[-1] for problem in refused.value.problems] == ["2", "3", "4"]


def test_a_case_that_is_wrong_is_never_read(tmp_path: Path) -> None:
    place = write_flare22(tmp_path)
    somewhere_else(place)
    (case,) = [c for c in find_cases(place, layout_named("flare22")).cases if c.name == WRONG]

    with pytest.raises(TrainingDataUnfit, match="30 mm away"):
        case.read()


def test_rounding_in_headers_is_no_mismatch(tmp_path: Path) -> None:
    place = write_flare22(tmp_path)
    affine = affine_ras()
    affine[0, 3] += 0.002
    save(labels(FLARE22), place / LABEL, affine)

    assert looked_at(place).problems == ()


def test_damaged_headers_end_as_problems_of_their_case(tmp_path: Path) -> None:
    place = write_flare22(tmp_path, 1)
    image = place / "images/FLARE22_Tr_0001_0000.nii.gz"
    whole = gzip.decompress(image.read_bytes())
    (case,) = find_cases(place, layout_named("flare22")).cases
    rng = random.Random(5)
    refused = 0

    for _ in range(120):
        damaged = bytearray(whole)
        for _ in range(rng.choice((1, 2, 12))):
            damaged[rng.randrange(352)] = rng.choice((0, 127, 128, 255))
        if rng.random() < 0.1:
            del damaged[rng.randrange(len(damaged)) :]
        image.write_bytes(gzip.compress(bytes(damaged), 1))
        refused += examine(case).facts is None

    assert refused > 20


def test_a_single_slice_is_read(tmp_path: Path) -> None:
    place = tmp_path / "FLARE22_LabeledCase50"
    save(ct()[8:9], place / "images/FLARE22_Tr_0001_0000.nii.gz")
    save(labels(FLARE22)[8:9], place / "labels/FLARE22_Tr_0001.nii.gz")

    (one,) = looked_at(place).examinations

    assert one.facts is not None
    assert one.facts.shape == (1, 30, 40)
    assert "liver" in one.facts.cut


def test_the_same_data_has_the_same_hash_whatever_its_files_are_called(tmp_path: Path) -> None:
    first = write_flare22(tmp_path / "a")
    second = write_flare22(tmp_path / "b")
    for path in sorted(second.rglob("*0001*.nii.gz")):
        path.rename(path.with_name(path.name.replace("0001", "0007")))
    wanted = looked_at(first).data_hash

    assert looked_at(second).data_hash == wanted
    changed = labels(FLARE22)
    changed[7, 9, 9] = 0
    save(changed, first / LABEL)
    assert looked_at(first).data_hash != wanted


def test_workers_see_the_same(tmp_path: Path) -> None:
    place = write_flare22(tmp_path)
    with_nan(place)
    found = find_cases(place, layout_named("flare22"))

    assert checked(found, workers=2).problems == checked(found).problems


def test_an_organ_of_another_size_is_a_warning(tmp_path: Path) -> None:
    place = write_flare22(tmp_path, 9)
    small = labels(FLARE22)
    small[9:][small[9:] == FLARE22["liver"]] = 0
    save(small, place / LABEL)

    (problem,) = looked_at(place).problems

    assert (problem.case, problem.is_error) == (WRONG, False)
    assert problem.found.startswith("liver of ")


def test_masks_that_overlap_or_lie_elsewhere_are_named(tmp_path: Path) -> None:
    folder = write_totalsegmentator(tmp_path)
    liver = labels({"liver": 1})
    save(liver, folder / "s0000/segmentations/spleen.nii.gz")
    save(liver[:-1], folder / "s0004/segmentations/spleen.nii.gz")

    result = looked_at(folder, "totalsegmentator")

    assert any("voxels of two masks" in p.found for p in said_of(result, "s0000"))
    assert any(p.where == "spleen.nii.gz" and p.is_error for p in said_of(result, "s0004"))


def test_a_header_that_does_not_say_where_left_is_a_warning(tmp_path: Path) -> None:
    place = write_flare22(tmp_path)
    for name in (IMAGE, LABEL):
        image = nibabel.load(place / name)
        image.set_sform(None, 0)
        image.set_qform(None, 0)
        nibabel.save(image, place / name)

    found = [p.found for p in said_of(looked_at(place)) if not p.is_error]

    assert sum("does not say where left" in line for line in found) == 2

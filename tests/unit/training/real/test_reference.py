"""Masks of any software land on the right voxels under the right name."""

from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset

from inference.dicom.read_series import load_series
from inference.dicom.write_seg import encode_seg
from inference.domain.errors import UnreadableInput
from inference.domain.labelmap import Structure
from inference.domain.seg_encoding import SegEncoding
from inference.domain.volume import canonical, flip
from tests.synthetic_series import result_identity, save_all, small_datasets, small_labels
from tests.unit.training.real.phantom import masks, volume
from training.label_names import plain, structure_named
from training.real.reference import Mask, Reference, on_grid, remembered
from training.real.reference_seg import name_of, reference_from_segs, segmentations_in

STRUCTURES = (Structure.LIVER, Structure.KIDNEY_LEFT, Structure.VISCERAL_FAT)


@pytest.mark.parametrize("name", ["adrenal_gland_right", "Right adrenal gland", "Right Adrenal"])
def test_structures_are_known_by_the_names_of_other_software(name: str) -> None:
    assert structure_named(plain(name)) is Structure.ADRENAL_RIGHT


def test_a_mask_on_its_own_grid_is_put_where_it_lies_in_space() -> None:
    ct = volume()
    liver = masks()["liver"]
    affine = ct.affine_lps.copy()
    affine[:3, 3] += affine[:3, 0] * 5 + affine[:3, 1] * 3
    part = liver[5:58, 3:50]
    flipped = affine.copy()
    flipped[:3, 3] += affine[:3, 2] * (part.shape[2] - 1)
    flipped[:3, 2] *= -1

    assert np.array_equal(on_grid(part, affine, ct), liver)
    assert np.array_equal(on_grid(flip(part, (False, False, True)), flipped, ct), liver)


def test_a_mask_in_another_space_is_not_taken_for_an_empty_one() -> None:
    ct = volume()
    affine = ct.affine_lps.copy()
    affine[0, 3] += 5000

    with pytest.raises(UnreadableInput, match="nothing lies where the CT is"):
        on_grid(masks()["liver"], affine, ct)


def test_structures_are_found_under_either_name() -> None:
    reference = Reference(readers={"torso_fat": lambda: masks()["liver"]})

    assert reference.of(Structure.VISCERAL_FAT) is not None
    assert reference.of(Structure.LIVER) is None


def test_a_mask_is_read_once_and_kept_bit_for_bit() -> None:
    read = []

    def reader() -> Mask:
        read.append(1)
        return masks()["liver"][:, :, :77]

    twice = remembered(reader)

    assert np.array_equal(twice(), masks()["liver"][:, :, :77])
    assert np.array_equal(twice(), masks()["liver"][:, :, :77])
    assert len(read) == 1


def test_a_cropped_reference_is_cropped_in_every_mask() -> None:
    whole = Reference(readers={"liver": lambda: masks()["liver"]})

    part = whole.cropped(slice(10, 30)).of(Structure.LIVER)

    assert part is not None
    assert np.array_equal(part, masks()["liver"][10:30])


@pytest.mark.parametrize("encoding", [SegEncoding.BINARY, SegEncoding.LABELMAP])
def test_a_segmentation_becomes_the_masks_it_was_made_from(
    tmp_path: Path, encoding: SegEncoding
) -> None:
    series = load_series(save_all(small_datasets(order="descending"), tmp_path / "ct"))
    labels = small_labels(series.volume.affine_lps, series.volume.shape, STRUCTURES)
    path = tmp_path / "ct" / "anyone.dcm"
    path.write_bytes(encode_seg(labels, series, result_identity(), encoding))
    upright = canonical(series.volume)

    found = segmentations_in(tmp_path, series.frame_of_reference_uid)
    reference = reference_from_segs(found, upright)

    assert found == [path]
    assert segmentations_in(tmp_path, "1.2.3") == []
    for structure in STRUCTURES:
        mask = reference.of(structure)
        assert mask is not None
        wanted = canonical(
            type(upright)(hu=labels.mask(structure).astype(np.int16), affine_lps=labels.affine_lps)
        )
        assert np.array_equal(mask, wanted.hu > 0), structure


def test_a_segment_is_known_by_its_code_where_its_label_says_nothing() -> None:
    segment = Dataset()
    segment.SegmentLabel = "Segment 3"
    kind, side = Dataset(), Dataset()
    kind.CodeValue, kind.CodingSchemeDesignator, kind.CodeMeaning = "64033007", "SCT", "Kidney"
    side.CodeValue, side.CodingSchemeDesignator, side.CodeMeaning = "7771000", "SCT", "Left"
    kind.SegmentedPropertyTypeModifierCodeSequence = [side]
    segment.SegmentedPropertyTypeCodeSequence = [kind]

    assert name_of(segment) == "kidney_left"


def test_a_file_that_only_looks_like_a_segmentation_is_an_error_in_words(tmp_path: Path) -> None:
    (path,) = save_all(small_datasets()[:1], tmp_path)

    with pytest.raises(UnreadableInput, match="cannot be read as a stack"):
        reference_from_segs([path], volume())

"""Every number, note and flag of a report is in the structured report, and comes back equal."""

from dataclasses import replace

import pytest
from pydicom.dataset import Dataset

from inference.dicom import codes
from inference.dicom.ct_series import CtSeries
from inference.dicom.read_series import load_series
from inference.dicom.read_sr import (
    SrMeasurement,
    code_of,
    concept_of,
    group_items,
    measurements_from_sr,
    references_from_sr,
    statements_from_sr,
)
from inference.dicom.sr_groups import cut_off_tracking_id
from inference.dicom.write_seg import build_seg
from inference.dicom.write_sr import build_sr, encode_sr
from inference.domain.earlier_document import EarlierDocument
from inference.domain.labelmap import FLARE22_ORGANS, TISSUES
from inference.domain.level_outcome import LevelOutcome
from inference.domain.measurement import Patient, Quantity, Report
from inference.domain.report_options import ReportOptions, SrTitle
from tests.synthetic_series import result_identity, save_all, small_datasets, small_labels
from tests.unit.inference.dicom.full_report import full_report


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> CtSeries:
    return load_series(save_all(small_datasets(), tmp_path_factory.mktemp("ct")))


@pytest.fixture(scope="module")
def segmentations(series: CtSeries) -> list[Dataset]:
    grid = (series.volume.affine_lps, series.volume.shape)
    return [
        build_seg(small_labels(*grid, structures), series, result_identity(name))
        for name, structures in (("tissues", TISSUES), ("organs", FLARE22_ORGANS))
    ]


@pytest.fixture(scope="module")
def document(series: CtSeries, segmentations: list[Dataset]) -> Dataset:
    return build_sr(full_report(), series, segmentations, result_identity("sr"))


def items(item: Dataset) -> list[Dataset]:
    children = item.get("ContentSequence", [])
    return [item, *(found for child in children for found in items(child))]


def found(document: Dataset, group: str, concept: str) -> list[float]:
    return [
        m.value
        for m in measurements_from_sr(document)
        if (m.tracking_id, m.concept) == (group, concept)
    ]


def said(document: Dataset, group: str, concept: str) -> list[str]:
    return [
        s.value
        for s in statements_from_sr(document)
        if (s.tracking_id, s.concept) == (group, concept)
    ]


def test_every_body_composition_number_comes_back_exactly(document: Dataset) -> None:
    expected = {
        SrMeasurement(
            m.structure.value if m.structure else "body",
            codes.QUANTITY_CODES[m.quantity].value,
            m.value,
            m.unit.value,
            codes.QUANTITY_CODES[m.quantity].scheme_designator,
        )
        for m in full_report().body_composition
    }

    assert expected <= set(measurements_from_sr(document))


def test_every_organ_number_comes_back_exactly(document: Dataset) -> None:
    for organ in full_report().organs:
        group = organ.structure.value
        concept = {q: codes.QUANTITY_CODES[q].value for q in Quantity}
        corners = [found(document, group, code.value)[0] for code in codes.BOX_CORNERS.values()]
        assert found(document, group, concept[Quantity.VOLUME]) == [organ.volume_ml]
        assert found(document, group, concept[Quantity.MEAN_HU]) == (
            [] if organ.mean_hu is None else [organ.mean_hu]
        )
        assert found(document, group, concept[Quantity.SD_HU]) == (
            [] if organ.sd_hu is None else [organ.sd_hu]
        )
        assert corners == [*organ.box_lps_mm[0], *organ.box_lps_mm[1]]
        assert said(document, group, codes.INCOMPLETE.value) == [
            codes.YES.value if organ.is_incomplete else codes.NO.value
        ]


def test_the_level_comes_back_exactly(document: Dataset) -> None:
    numbers = {m.concept: m.value for m in measurements_from_sr(document) if m.tracking_id == "l3"}

    assert numbers == {
        "LEVEL_Z": 112.5001,
        "LEVEL_LOWER": 98.25,
        "LEVEL_UPPER": 126.7512345678,
        "LEVEL_SLICE": 5,
        "LEVEL_CONFIDENCE": 0.875,
        "SLAB_HEIGHT": 28.5,
    }


def test_each_cut_off_names_table_population_and_citation(document: Dataset) -> None:
    for cut_off in full_report().cut_offs:
        group = cut_off_tracking_id(cut_off)
        quantity = codes.QUANTITY_CODES[cut_off.quantity].value
        assert found(document, group, quantity) == [cut_off.value]
        assert found(document, group, "CUT_OFF") == [cut_off.cut_off]
        assert found(document, group, "DIFFERENCE") == [cut_off.value - cut_off.cut_off]
        assert said(document, group, "CUT_OFF_TABLE") == [cut_off.table]
        assert said(document, group, "121405") == [cut_off.population]
        assert said(document, group, "121406") == [cut_off.citation]
        assert said(document, group, "CUT_OFF_RESULT") == ["LOW" if cut_off.is_low else "NOT_LOW"]


def test_patient_values_and_notes_are_in_the_report(document: Dataset) -> None:
    report = full_report()

    assert found(document, "patient", codes.HEIGHT.value) == [1.625]
    assert found(document, "patient", codes.WEIGHT.value) == [58.5]
    assert found(document, "patient", codes.AGE.value) == [64]
    assert found(document, "patient", codes.BODY_MASS_INDEX.value) == [58.5 / 1.625**2]
    assert said(document, "patient", codes.SEX.value) == ["F"]
    assert said(document, "patient", "PATIENT_NOTE") == list(report.patient.notes)


def test_flags_models_and_intended_use_are_in_the_report(document: Dataset) -> None:
    report = full_report()

    models = said(document, "result", "MODEL")

    assert said(document, "result", "FLAG") == list(report.flags)
    assert said(document, "result", "DEF") == list(report.definitions)
    assert said(document, "result", "RESEARCH_USE") == [codes.RESEARCH_USE]
    assert len(models) == 2
    assert all(
        part in text
        for text, model in zip(models, report.models, strict=True)
        for part in (model.name, model.version, model.sha256, model.provider)
    )


def test_what_changes_densities_is_in_the_report(document: Dataset) -> None:
    assert said(document, "result", "123011") == ["Iohexol"]
    assert found(document, "result", codes.KVP.value) == [100]


def test_the_document_is_complete_unverified_and_separate_for_viewers(document: Dataset) -> None:
    assert (document.VerificationFlag, document.CompletionFlag) == ("UNVERIFIED", "COMPLETE")
    assert document.PreliminaryFlag == "PRELIMINARY"
    containers = [item for item in items(document) if item.ValueType == "CONTAINER"]
    assert {item.ContinuityOfContent for item in containers} == {"SEPARATE"}


def test_only_the_l3_slice_is_in_the_image_library(document: Dataset, series: CtSeries) -> None:
    cited = {
        str(reference.ReferencedSOPInstanceUID)
        for item in items(document)
        for reference in item.get("ReferencedSOPSequence", [])
    }

    assert cited & set(series.sop_uids) == {str(series.headers[5].SOPInstanceUID)}


def test_what_was_measured_at_l3_names_its_slice_and_what_was_not_does_not(
    document: Dataset, series: CtSeries
) -> None:
    level = str(series.headers[5].SOPInstanceUID)
    at_level = {r.tracking_id for r in references_from_sr(document) if r.sop_instance_uid == level}

    assert {"l3", "body", *TISSUES} <= at_level
    assert not at_level & {"result", "patient", *FLARE22_ORGANS}


def test_every_structure_refers_to_its_own_segment(
    document: Dataset, segmentations: list[Dataset]
) -> None:
    expected = {
        (str(s.SOPInstanceUID), int(segment.SegmentNumber))
        for s in segmentations
        for segment in s.SegmentSequence
    }

    referred = {
        (str(r.ReferencedSOPInstanceUID), int(r.ReferencedSegmentNumber))
        for item in items(document)
        for r in item.get("ReferencedSOPSequence", [])
        if "ReferencedSegmentNumber" in r
    }

    assert referred == expected


def test_viewers_get_rounded_numbers_and_machines_exact_ones(document: Dataset) -> None:
    numbers = [item for item in items(document) if item.ValueType == "NUM"]

    assert all(len(str(n.MeasuredValueSequence[0].NumericValue)) <= 13 for n in numbers)
    assert all("FloatingPointValue" in n.MeasuredValueSequence[0] for n in numbers)


def test_the_same_job_gives_the_same_bytes(series: CtSeries, segmentations: list[Dataset]) -> None:
    first = encode_sr(full_report(), series, segmentations, result_identity("sr"))

    assert encode_sr(full_report(), series, segmentations, result_identity("sr")) == first


def test_a_report_of_organs_alone_needs_no_level(
    series: CtSeries, segmentations: list[Dataset]
) -> None:
    report = replace(
        full_report(),
        level=None,
        level_outcome=LevelOutcome.NOT_IN_FIELD,
        level_reasons=("L3 seems to lie below the field of view",),
        body_composition=(),
        cut_offs=(),
    )

    document = build_sr(report, series, segmentations[1:], result_identity("sr"))

    assert found(document, "liver", "118565006") == [1000 / 3]
    assert said(document, "l3", "LEVEL_OUTCOME") == ["L3_NOT_IN_FIELD"]
    assert said(document, "l3", "LEVEL_REASON") == ["L3 seems to lie below the field of view"]
    assert found(document, "l3", "LEVEL_Z") == []


def test_a_report_without_segmentations_still_carries_the_numbers(series: CtSeries) -> None:
    document = build_sr(full_report(), series, [], result_identity("sr"))

    assert len(measurements_from_sr(document)) > 150


def test_a_report_of_nothing_is_still_a_document(series: CtSeries) -> None:
    empty = Report(patient=Patient(notes=("height is missing",)), level=None)

    document = build_sr(empty, series, [], result_identity("sr"))

    assert said(document, "patient", "PATIENT_NOTE") == ["height is missing"]


@pytest.mark.parametrize(
    ("title", "code"),
    [
        (SrTitle.HABITUS, ("SR_TITLE", "99HABITUS", "AI body composition measurements")),
        (SrTitle.IMAGING_MEASUREMENT_REPORT, ("126000", "DCM", "Imaging Measurement Report")),
    ],
)
def test_the_title_is_the_one_chosen(
    title: SrTitle, code: tuple[str, str, str], series: CtSeries
) -> None:
    document = build_sr(
        full_report(), series, [], result_identity("sr"), ReportOptions(title=title)
    )

    shown = document.ConceptNameCodeSequence[0]
    assert (shown.CodeValue, shown.CodingSchemeDesignator, shown.CodeMeaning) == code


def test_a_structure_is_tracked_under_the_same_uid_in_report_and_segmentation(
    document: Dataset, segmentations: list[Dataset]
) -> None:
    segments = {
        str(s.TrackingID): str(s.TrackingUID) for d in segmentations for s in d.SegmentSequence
    }
    groups = {
        tracking_id: str(item.UID)
        for tracking_id, item in group_items(document)
        if item.ValueType == "UIDREF" and item.ConceptNameCodeSequence[0].CodeValue == "112040"
    }

    assert segments.items() <= groups.items()
    assert len(set(groups.values())) == len(groups)


def test_the_slice_is_named_as_viewers_number_it(document: Dataset, series: CtSeries) -> None:
    assert said(document, "l3", "LEVEL_IMAGE") == [str(series.headers[5].InstanceNumber)]


def test_tissue_volumes_say_that_they_are_of_the_slab(document: Dataset) -> None:
    assert "slab" in said(document, "visceral_fat", "121106")[0]


def test_each_group_names_the_model_behind_its_numbers(document: Dataset) -> None:
    assert said(document, "l3", "111001") == ["l3-level"]
    assert said(document, "liver", "111001") == ["organs"]
    assert said(document, "liver", "111002") == ["sha256 " + "b" * 64]
    assert said(document, "patient", "111001") == []
    # TID 4019, Algorithm Family.
    assert said(document, "liver", "111000") == ["123109"]


def test_our_own_texts_are_contained_in_their_group(document: Dataset) -> None:
    """PS3.3 A.35.13.3.1.2: a TEXT is contained in a CONTAINER, or is its context."""
    how = {
        str(item.RelationshipType)
        for _, item in group_items(document)
        if item.ValueType == "TEXT" and concept_of(item).scheme == codes.PRIVATE_SCHEME
    }

    assert how == {"CONTAINS"}


def test_the_document_says_what_was_done_and_stands_in_its_own_series(
    document: Dataset, segmentations: list[Dataset]
) -> None:
    procedure = [code_of(i).value for i in items(document) if concept_of(i).value == "121058"]
    evidence = {
        str(item.ReferencedSOPInstanceUID)
        for study in document.CurrentRequestedProcedureEvidenceSequence
        for one in study.ReferencedSeriesSequence
        for item in one.ReferencedSOPSequence
    }

    assert procedure == [codes.PROCEDURE.value]
    assert {str(s.SOPInstanceUID) for s in segmentations} < evidence
    assert document.SeriesNumber == result_identity("sr").series_number
    assert "research use" in document.SeriesDescription


def test_another_version_of_the_software_is_another_device(series: CtSeries) -> None:
    def device(version: str) -> str:
        changed = replace(result_identity("sr"), code_version=version)
        document = build_sr(full_report(), series, [], changed)
        return next(str(i.UID) for i in items(document) if concept_of(i).value == "121012")

    assert device("0.1.0") != device("0.1.1")


def test_the_models_are_contributing_equipment(document: Dataset) -> None:
    equipment = {
        (item.ManufacturerModelName, item.SoftwareVersions)
        for item in document.ContributingEquipmentSequence
        if item.Manufacturer == "Habitus"
        and item.PurposeOfReferenceCodeSequence[0].CodeValue == "109102"
    }

    assert equipment == {("l3-tissue", "1.0.0")}


def test_a_changed_model_has_another_device_uid(series: CtSeries) -> None:
    def device_uid(sha256: str) -> str:
        models = tuple(replace(model, sha256=sha256) for model in identity.models)
        document = build_sr(full_report(), series, [], replace(identity, models=models))
        return str(document.ContributingEquipmentSequence[-1].DeviceUID)

    identity = result_identity("sr")

    assert device_uid("1" * 64) != device_uid("2" * 64)


def test_the_region_at_l3_is_under_the_number_of_the_level_alone(
    document: Dataset, series: CtSeries
) -> None:
    holders = [item for item in items(document) if _has_coordinates(item)]

    assert [holder.ConceptNameCodeSequence[0].CodeValue for holder in holders] == ["LEVEL_Z"]
    outline = holders[0].ContentSequence[0]
    image = outline.ContentSequence[0].ReferencedSOPSequence[0]
    assert (outline.GraphicType, outline.RelationshipType) == ("POLYLINE", "INFERRED FROM")
    assert list(outline.GraphicData) == [4, 6, 40, 6, 40, 55, 4, 55, 4, 6]
    assert image.ReferencedSOPInstanceUID == series.headers[5].SOPInstanceUID


def _has_coordinates(item: Dataset) -> bool:
    return any(child.ValueType == "SCOORD" for child in item.get("ContentSequence", []))


def test_where_height_and_weight_come_from_is_said(document: Dataset) -> None:
    assert said(document, "patient", "PATIENT_SOURCE") == list(full_report().patient.sources)


def test_a_report_that_replaces_another_names_it(series: CtSeries) -> None:
    first = build_sr(full_report(), series, [], result_identity("first"))

    earlier = EarlierDocument(
        role="sr",
        study_uid=str(first.StudyInstanceUID),
        series_uid=str(first.SeriesInstanceUID),
        sop_uid=str(first.SOPInstanceUID),
        sop_class_uid=str(first.SOPClassUID),
    )
    second = build_sr(full_report(), series, [], result_identity("second"), predecessors=[earlier])

    study = second.PredecessorDocumentsSequence[0]
    replaced = study.ReferencedSeriesSequence[0].ReferencedSOPSequence[0]
    assert replaced.ReferencedSOPInstanceUID == first.SOPInstanceUID
    assert replaced.ReferencedSOPClassUID == first.SOPClassUID
    assert study.StudyInstanceUID == first.StudyInstanceUID
    assert study.ReferencedSeriesSequence[0].SeriesInstanceUID == first.SeriesInstanceUID
    assert "PredecessorDocumentsSequence" not in first


def test_the_private_scheme_says_whose_it_is(document: Dataset) -> None:
    scheme = document.CodingSchemeIdentificationSequence[0]

    assert scheme.CodingSchemeDesignator == "99HABITUS"
    assert scheme.CodingSchemeResponsibleOrganization == "Habitus"


def test_the_observer_is_a_device_and_the_language_english(document: Dataset) -> None:
    root = {item.ConceptNameCodeSequence[0].CodeValue: item for item in document.ContentSequence}

    assert root["121005"].ConceptCodeSequence[0].CodeValue == "121007"
    assert root["121012"].UID.startswith("2.25.")
    assert root["121049"].ConceptCodeSequence[0].CodeValue == "en"

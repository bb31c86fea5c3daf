"""Which earlier reports a new one replaces."""

from inference.domain.earlier_document import EarlierDocument, earlier_reports


def document(role: str) -> EarlierDocument:
    return EarlierDocument(
        role=role,
        study_uid="1.2",
        series_uid="1.3",
        sop_uid=f"1.4.{len(role)}",
        sop_class_uid="1.5",
    )


def test_a_report_replaces_the_one_of_its_own_form_and_no_segmentation() -> None:
    earlier = [document(role) for role in ("seg-tissues", "sr", "sr@labelmap", "page")]

    assert earlier_reports(earlier, "sr") == (document("sr"),)
    assert earlier_reports(earlier, "sr@labelmap") == (document("sr@labelmap"),)


def test_where_there_was_none_of_its_form_it_replaces_whatever_report_there_was() -> None:
    assert earlier_reports([document("sr"), document("page")], "sr@labelmap") == (document("sr"),)

"""docs/dicom-conformance.md says what the code does."""

from io import BytesIO

import pytest
from pydicom import dcmread

from inference.domain.labelmap import Structure
from tests.conformance.statement import STATEMENT_PATH, TABLES, renewed, written_objects


def test_every_table_of_the_statement_is_what_the_code_answers() -> None:
    text = STATEMENT_PATH.read_text(encoding="utf-8")

    assert renewed(text) == text, "python -m tests.conformance.statement renews the tables"


def test_a_statement_without_one_of_the_tables_is_refused() -> None:
    text = STATEMENT_PATH.read_text(encoding="utf-8").replace("<!-- structures -->", "")

    with pytest.raises(ValueError, match="structures"):
        renewed(text)


def test_the_tables_are_not_empty() -> None:
    assert all(len(table().splitlines()) > 2 for table in TABLES.values())
    assert len(TABLES["structures"]().splitlines()) == 2 + len(Structure)


def test_no_object_has_private_elements_or_another_character_set() -> None:
    for encoded in written_objects().values():
        dataset = dcmread(BytesIO(encoded))

        assert [element.tag for element in dataset.iterall() if element.tag.is_private] == []
        assert dataset.SpecificCharacterSet == "ISO_IR 192"


def test_every_object_names_the_library_that_wrote_its_file() -> None:
    text = STATEMENT_PATH.read_text(encoding="utf-8")
    metas = [dcmread(BytesIO(encoded)).file_meta for encoded in written_objects().values()]

    assert all(f"{m.ImplementationClassUID}, {m.ImplementationVersionName}" in text for m in metas)

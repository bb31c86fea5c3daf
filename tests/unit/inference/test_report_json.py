"""The JSON of a report carries what a reader would otherwise have to compute."""

import json

import pytest

from inference.pipeline import report_to_json
from tests.unit.inference.dicom.full_report import full_report


def test_cut_offs_come_with_difference_and_verdict() -> None:
    report = full_report()

    shown = json.loads(report_to_json(report))

    assert [row["difference"] for row in shown["cut_offs"]] == pytest.approx([27.1, -0.5])
    assert [row["is_low"] for row in shown["cut_offs"]] == [False, True]


def test_contrast_voltage_and_slab_height_are_stated() -> None:
    shown = json.loads(report_to_json(full_report()))

    assert (shown["contrast"], shown["kvp"], shown["slab_height_mm"]) == ("Iohexol", 100.0, 28.5)

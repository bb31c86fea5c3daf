"""The doctor sees what is missing, not only what is there."""

from pathlib import Path

from orthanc_plugin.node.doctor import findings


def test_a_model_that_a_profile_names_and_is_not_there_is_a_finding(tmp_path: Path) -> None:
    ill = {finding.subject for finding in findings(tmp_path) if not finding.is_well}

    assert {"model l3-level", "model l3-tissue", "model organs"} <= ill

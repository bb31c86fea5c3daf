"""Settings: what a file may say, and that each mistake is named by its field."""

from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from inference.domain.report_options import SrTitle
from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.delivery_journal import Destination
from orthanc_plugin.node.settings import LatePolicy, SupersededPolicy, load_settings
from tests.fakes import write

LEAST = 'data_folder = "data"\n[engine]\nmodels_folder = "models"\n'


def test_the_least_file_gives_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path / "habitus.toml", LEAST))

    assert settings.data_folder == tmp_path / "data"
    assert settings.engine.models_folder == tmp_path / "models"
    assert settings.engine.max_attempts == 3
    assert settings.destinations == ()
    assert settings.intake.late is LatePolicy.RECOMPUTE
    assert settings.outbox.superseded is SupersededPolicy.KEEP


def test_every_section_is_read(tmp_path: Path) -> None:
    text = (
        LEAST
        + """
        profile = "l3"
        providers = ["cuda", "cpu"]
        [orthanc]
        url = "http://orthanc:8042/"
        user = "habitus"
        password_file = "/run/secrets/orthanc"
        [intake]
        quiet_s = 3
        incomplete_wait_s = 0
        late = "note"
        [results]
        superseded = "delete-here"
        [outbox]
        first_retry_s = 5
        [report]
        title = "126000"
        [[destinations]]
        modality = "pacs"
        [[destinations]]
        modality = "research"
        required = false
        confirm = "store-status"
        seg = "labelmap"
        """
    )

    settings = load_settings(write(tmp_path / "habitus.toml", text))

    assert settings.engine.providers == ("cuda", "cpu")
    assert settings.engine.report.title == SrTitle.IMAGING_MEASUREMENT_REPORT
    assert settings.orthanc.url == "http://orthanc:8042"
    assert settings.orthanc.password_file == Path("/run/secrets/orthanc")
    assert (settings.intake.quiet_s, settings.outbox.first_retry_s) == (3.0, 5.0)
    assert (settings.intake.incomplete_wait_s, settings.intake.late) == (0.0, LatePolicy.NOTE)
    assert settings.outbox.superseded is SupersededPolicy.DELETE_HERE
    assert settings.destinations == (
        Destination(modality="pacs"),
        Destination(
            modality="research", required=False, confirm="store-status", seg=SegEncoding.LABELMAP
        ),
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "data_folder"),
        ('data_folder = "d"', "engine.models_folder"),
        ("data_folder = 7", "data_folder"),
        ("data_folder = \nx = 1", "line 1"),
        (LEAST + "max_attempts = 0", "engine.max_attempts"),
        (LEAST + "max_attempts = true", "engine.max_attempts"),
        (LEAST + "job_wall_clock_s = -1", "engine.job_wall_clock_s"),
        (LEAST + "job_wall_clock_s = nan", "engine.job_wall_clock_s"),
        (LEAST + "providers = []", "engine.providers"),
        (LEAST + 'providers = "cpu"', "engine.providers"),
        (LEAST + "providres = []", "engine.providres"),
        (LEAST + "[intake]\nquiet_s = 'long'", "intake.quiet_s"),
        (LEAST + "[intake]\nincomplete_wait_s = -1", "intake.incomplete_wait_s"),
        (LEAST + "[intake]\nlate = 'never'", "intake.late"),
        (LEAST + "[results]\nsuperseded = 'delete'", "results.superseded"),
        (LEAST + "[outboks]\n", "outboks"),
        (LEAST + "[report]\ntitle = 'CT report'", "report.title"),
        (LEAST + "[report]\nlanguage = 'xx'", "report.language"),
        (LEAST + "[report]\ntitel = '126000'", "report.titel"),
        ("intake = 3\n" + LEAST, "intake"),
        (LEAST + "[[destinations]]\nrequired = true", "destinations[0].modality"),
        (LEAST + "[[destinations]]\nmodality = 'p'\nconfirm = 'ask'", "destinations[0].confirm"),
        (LEAST + "[[destinations]]\nmodality = 'p'\nseg = 'fractional'", "destinations[0].seg"),
        (LEAST + "[[destinations]]\nmodality = 'p'\nrequired = 1", "destinations[0].required"),
        (LEAST + "[[destinations]]\nmodality = 'p'\n[[destinations]]\nmodality = 'p'", "same"),
        (LEAST + "[destinations]\nmodality = 'p'", "destinations"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = write(tmp_path / "habitus.toml", text)

    with pytest.raises(ConfigurationInvalid) as caught:
        load_settings(path)

    assert named in str(caught.value)


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid):
        load_settings(tmp_path / "none.toml")

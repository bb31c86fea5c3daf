"""Settings: what a file may say, and that each mistake is named by its field."""

from datetime import time
from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from inference.domain.report_options import SrTitle
from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.destinations import Destination, Verification
from orthanc_plugin.node.routing_rules import Mode, Output, Priority, Rule, TagTest
from orthanc_plugin.node.settings import LatePolicy, SupersededPolicy
from orthanc_plugin.node.settings_file import load_settings
from orthanc_plugin.node.site_time import TimeWindow
from orthanc_plugin.node.toml_places import Place, line_of
from tests.fakes import write

LEAST = 'data_folder = "data"\n[engine]\nmodels_folder = "models"\n'
RULE = LEAST + "[[rules]]\nname = 'r'\n"


def test_the_least_file_gives_defaults(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path / "habitus.toml", LEAST))

    assert settings.data_folder == tmp_path / "data"
    assert settings.engine.models_folder == tmp_path / "models"
    assert settings.engine.max_attempts == 3
    assert settings.destinations == ()
    assert settings.intake.late is LatePolicy.RECOMPUTE
    assert settings.results.superseded is SupersededPolicy.KEEP


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
        [metrics]
        address = "::1"
        port = 9645
        [report]
        title = "126000"
        [[rules]]
        name = "trauma"
        calling = "ER1"
        called = ["HABITUS", "STAT"]
        hours = "22:00-06:00"
        profile = "l3"
        outputs = ["sr"]
        destinations = "pacs"
        priority = "off-peak"
        window = "20:00-21:00"
        [rules.tags]
        BodyPartExamined = "ABDOMEN"
        ImageType = ["AXIAL", "ORIGINAL"]
        StudyDescription = { matches = "(?i)trauma" }
        SliceThickness = { at_least = 0.5, at_most = 5 }
        [[rules]]
        name = "rest"
        mode = "shadow"
        [[destinations]]
        name = "pacs"
        [[destinations]]
        name = "research"
        required = false
        confirm = "store-status"
        seg = "labelmap"
        """
    )

    settings = load_settings(write(tmp_path / "habitus.toml", text))

    assert settings.engine.providers == ("cuda", "cpu")
    assert (settings.metrics.address, settings.metrics.port) == ("::1", 9645)
    assert settings.report.title == SrTitle.IMAGING_MEASUREMENT_REPORT
    assert settings.orthanc.url == "http://orthanc:8042"
    assert settings.orthanc.password_file == Path("/run/secrets/orthanc")
    assert (settings.intake.quiet_s, settings.outbox.first_retry_s) == (3.0, 5.0)
    assert (settings.intake.incomplete_wait_s, settings.intake.late) == (0.0, LatePolicy.NOTE)
    assert settings.results.superseded is SupersededPolicy.DELETE_HERE
    assert settings.rules == (
        Rule(
            name="trauma",
            calling=("ER1",),
            called=("HABITUS", "STAT"),
            hours=TimeWindow(begin=time(22), end=time(6)),
            profile="l3",
            outputs=(Output.SR,),
            destinations=("pacs",),
            priority=Priority.OFF_PEAK,
            window=TimeWindow(begin=time(20), end=time(21)),
            tags={
                "BodyPartExamined": TagTest(equals=("ABDOMEN",)),
                "ImageType": TagTest(equals=("AXIAL", "ORIGINAL")),
                "StudyDescription": TagTest(matches="(?i)trauma"),
                "SliceThickness": TagTest(at_least=0.5, at_most=5.0),
            },
        ),
        Rule(name="rest", mode=Mode.SHADOW),
    )
    assert settings.destinations == (
        Destination(name="pacs"),
        Destination(
            name="research",
            required=False,
            verify=Verification.NONE,
            seg=SegEncoding.LABELMAP,
        ),
    )


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("", "line 1: no setting data_folder"),
        ('data_folder = "d"', "no setting engine"),
        ('data_folder = "d"\n[engine]', "line 2: no setting engine.models_folder"),
        ("data_folder = 7\n[engine]\nmodels_folder='m'", "line 1: data_folder = 7; wanted a text"),
        ("data_folder = \nx = 1", "line 1"),
        (LEAST + "max_attempts = 0", "line 4: engine.max_attempts = 0; wanted at least 1"),
        (LEAST + "max_attempts = true", "engine.max_attempts = True; wanted a whole number"),
        (LEAST + "max_attempts = 1.5", "engine.max_attempts = 1.5; wanted a whole number"),
        (LEAST + "job_wall_clock_s = -1", "engine.job_wall_clock_s = -1; wanted at least 0.05"),
        (LEAST + "job_wall_clock_s = nan", "engine.job_wall_clock_s = nan; wanted a number"),
        (LEAST + "providers = []", "engine.providers = []; wanted something"),
        (LEAST + 'providers = "cpu"', "engine.providers = 'cpu'; wanted a list"),
        (LEAST + "providres = []", "unknown setting engine.providres; wanted 'providers'"),
        (LEAST + "zzzz = []", "unknown setting engine.zzzz; wanted one of analyser, "),
        (LEAST + "profile = 'abdomn'", "engine.profile = 'abdomn'; wanted 'abdomen'"),
        (LEAST + "[intake]\nquiet_s = 'long'", "line 5: intake.quiet_s = 'long'; wanted a number"),
        (LEAST + "[outboks]\n", "line 4: unknown setting outboks; wanted 'outbox'"),
        (LEAST + "[report]\ntitle = 'CT report'", "report.title = 'CT report'; wanted 'habitus'"),
        (LEAST + "[report]\nlanguage = 'xx'", "report.language"),
        (LEAST + "[report]\ntitel = '126000'", "unknown setting report.titel; wanted 'title'"),
        ("intake = 3\n" + LEAST, "line 1: intake = 3; wanted a table [intake]"),
        (LEAST + "[[destinations]]\nrequired = true", "line 4: no setting destinations[0].name"),
        (LEAST + "[[destinations]]\nname = 'p/q'", "destinations[0].name = 'p/q'; wanted letters"),
        (
            LEAST + "[[destinations]]\nname = 'p'\nverify = 'ask'",
            "line 6: destinations[0].verify = 'ask'; wanted 'auto', 'commitment', 'find' or 'none'",
        ),
        (LEAST + "[[destinations]]\nname = 'p'\nseg = 'fractional'", "destinations[0].seg"),
        (
            LEAST + "[[destinations]]\nname = 'p'\nrequired = 1",
            "destinations[0].required = 1; wanted true or false",
        ),
        (
            LEAST + "[[destinations]]\nname = 'p'\n\n[[destinations]]\nname = 'p'",
            "line 8: the same name 'p' in two destinations; wanted each name once",
        ),
        (LEAST + "[destinations]\nname = 'p'", "line 4: destinations = "),
        (
            LEAST + "[[destinations]]\nname = 'p'\nkind = 'stwo'",
            "line 6: destinations[0].kind = 'stwo'; wanted 'modality', 'dicomweb', 'peer' or 'folder'",
        ),
        (
            LEAST + "[[destinations]]\nname = 'p'\nkind = 'folder'",
            "line 6: a folder without destinations[0].target; wanted target to be",
        ),
        (
            LEAST + "[[destinations]]\nname = 'p'\npassword_file = 'x'",
            "line 6: destinations[0].password_file at a destination of kind modality",
        ),
        (LEAST + "time_zone = 'Mars'", "unknown setting engine.time_zone"),
        ("time_zone = 'Mars'\n" + LEAST, "line 1: time_zone = 'Mars'; wanted a name such as"),
        (RULE + "hours = '22-6'", "line 6: rules[0].hours = '22-6'; wanted HH:MM-HH:MM"),
        (RULE + "hours = '08:00-08:00'", "wanted a window that is not empty"),
        (RULE + "priority = 'urgent'", "rules[0].priority = 'urgent'; wanted 'stat', 'normal' or"),
        (RULE + "priority = 'off-peak'", "line 6: priority off-peak without rules[0].window"),
        (RULE + "window = '22:00-06:00'", "rules[0].window with priority normal; wanted it with"),
        (RULE + "mode = 'dark'", "rules[0].mode = 'dark'; wanted 'send' or 'shadow'"),
        (RULE + "outputs = ['pdf']", "rules[0].outputs[0] = 'pdf'; wanted 'seg', 'sr' or 'page'"),
        (RULE + "profile = 'l4'", "line 6: rules[0].profile = 'l4'; wanted 'l3'"),
        (RULE + "destinations = ['pax']", "rules[0].destinations[0] = 'pax'; wanted one of none"),
        (RULE + "calling = []", "rules[0].calling = []; wanted something, not nothing"),
        (RULE + "caling = 'CT1'", "unknown setting rules[0].caling; wanted 'calling'"),
        (
            RULE + "tags.BodyPartExamned = 'HEAD'",
            "rules[0].tags.BodyPartExamned, which is no DICOM keyword; wanted 'BodyPartExamined'",
        ),
        (
            RULE + "tags.StudyDescription = { matches = '(?=x)' }",
            "rules[0].tags.StudyDescription.matches = '(?=x)'; wanted a regular expression in RE2's",
        ),
        (
            RULE + "tags.StudyDescription = { matches = 'x', equals = 'y' }",
            "rules[0].tags.StudyDescription with no test, or with several",
        ),
        (RULE + "tags.StudyDescription = {}", "rules[0].tags.StudyDescription with no test"),
        (
            RULE + "tags.SliceThickness = 5",
            "rules[0].tags.SliceThickness = 5; wanted a text in quotes, several, or a table",
        ),
        (
            RULE + "tags.SliceThickness = { at_lest = 5 }",
            "unknown setting rules[0].tags.SliceThickness.at_lest; wanted 'at_least'",
        ),
        (RULE + "calling = 'A'\n[[rules]]\nname = 'r'", "line 8: the same name 'r' in two rules"),
        (
            RULE + "[[rules]]\nname = 's'",
            "line 6: rule 's', which is never asked: 'r' before it takes everything",
        ),
        (
            RULE + "mode = 'shadow'\ndestinations = ['p']\n[[destinations]]\nname = 'p'",
            "line 7: rules[0].destinations with mode shadow",
        ),
        ("nonsense = 1\n[[destinations]]\nnmae = 'p'", "Further mistakes: 4."),
        ("x = " + "[" * 3000 + "]" * 3000, "habitus.toml that nobody wrote by hand"),
        ("x = " + "1" * 9000, "habitus.toml that nobody wrote by hand"),
        (
            LEAST + "[outbox]\npoll_s = 1e12",
            "outbox.poll_s = 1000000000000.0; wanted at most 1e+09",
        ),
        (LEAST + "workers = 5000", "engine.workers = 5000; wanted at most 100"),
        (
            LEAST + "providers = ['gpu']",
            "line 4: engine.providers[0] = 'gpu'; wanted one of tensorrt, cuda",
        ),
        ("data_folder = ''\n[engine]\nmodels_folder = 'm'", "data_folder = ''; wanted a path"),
        ("data_folder = '~/d'\n[engine]\nmodels_folder = 'm'", "wanted a path without ~"),
        ('data_folder = "d\\u0000"\n[engine]\nmodels_folder = "m"', "wanted a path"),
        (
            LEAST + "[[destinations]]\nname = 'p'\nkind = 'folder'\ntarget = '~/x'",
            "line 7: destinations[0].target = '~/x'; wanted a path without ~",
        ),
        (LEAST + "[orthanc]\nurl = 'localhost:8042'", "wanted an address such as http://"),
        (LEAST + "[orthanc]\nurl = 'http://u:p@h'", "a login is told by user and password_file"),
        (LEAST + "[orthanc]\npassword_file = 'p'", "orthanc.password_file without orthanc.user"),
        (
            LEAST + "[disk]\ncritical_free_mb = 20000",
            "line 4: disk.critical_free_mb = 20000 above disk.high_free_mb = 10000",
        ),
        (
            LEAST + "[metrics]\naddress = 'localhost'",
            "line 5: metrics.address = 'localhost'; wanted an IP address such as 127.0.0.1",
        ),
        (LEAST + "[metrics]\nport = 70000", "metrics.port = 70000; wanted at most 65535"),
        (LEAST + "[rules]\nname = 'r'", "wanted tables under [[rules]], with two brackets"),
        (
            RULE + "calling = 'SEVENTEEN_LETTERS'",
            "rules[0].calling = 'SEVENTEEN_LETTERS'; wanted AE",
        ),
        (RULE + "called = ['ER ', 'CT']", "wanted AE titles: 1 to 16 ASCII characters"),
        (
            RULE + "tags.StudyDate = 2026-01-31",
            "line 6: rules[0].tags.StudyDate = 2026-01-31; wanted a text in quotes",
        ),
        (
            RULE + "tags.SliceThickness = { at_least = 5, at_most = 1 }",
            "rules[0].tags.SliceThickness with at_least = 5 above at_most = 1",
        ),
        (
            RULE + "tags.StudyDescription = { at_most = 1 }",
            "a range of rules[0].tags.StudyDescription, which is no number (VR LO)",
        ),
        (
            RULE + "tags.ReferencedStudySequence = 'x'",
            "rules[0].tags.ReferencedStudySequence, which is never a text (VR SQ)",
        ),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, named: str) -> None:
    path = write(tmp_path / "habitus.toml", text)

    with pytest.raises(ConfigurationInvalid) as caught:
        load_settings(path)

    assert named in str(caught.value)


def test_a_file_of_an_editor_that_marks_utf_8_is_read(tmp_path: Path) -> None:
    path = tmp_path / "habitus.toml"
    path.write_text(LEAST, encoding="utf-8-sig")

    assert load_settings(path).data_folder == tmp_path / "data"


def test_files_of_orthanc_are_meant_as_seen_from_the_file(tmp_path: Path) -> None:
    text = LEAST + "[orthanc]\nuser = 'u'\npassword_file = 'p'\ncertificate_file = 'c.pem'"

    orthanc = load_settings(write(tmp_path / "habitus.toml", text)).orthanc

    assert orthanc.password_file == tmp_path / "p"
    assert orthanc.certificate_file == tmp_path / "c.pem"


def test_a_missing_file_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationInvalid):
        load_settings(tmp_path / "none.toml")


def test_a_file_that_is_no_text_is_a_configuration_error(tmp_path: Path) -> None:
    path = tmp_path / "habitus.toml"
    path.write_bytes(b"data_folder = '\xff'")

    with pytest.raises(ConfigurationInvalid, match="UTF-8"):
        load_settings(path)


LINES = """\
data_folder = "d" # [engine] is below
texts = [
  "models_folder = 1",
  "b",
]
long = '''
[engine]
'''
[engine]
models_folder = "m"
[[rules]]
name = "one"
[[rules]]
name = "two"
tags.Modality = "CT"
"""


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ((), 1),
        (("data_folder",), 1),
        (("texts",), 2),
        (("texts", 1), 2),
        (("long",), 6),
        (("engine",), 9),
        (("engine", "models_folder"), 10),
        (("engine", "not there"), 9),
        (("rules", 1), 13),
        (("rules", 1, "name"), 14),
        (("rules", 1, "tags", "Modality"), 15),
    ],
)
def test_the_line_of_a_key_is_found(place: Place, line: int) -> None:
    assert line_of(LINES, place) == line


def test_a_destination_named_by_its_modality_alone_still_works(tmp_path: Path) -> None:
    path = write(tmp_path / "habitus.toml", LEAST + "[[destinations]]\nmodality = 'pacs'")

    assert load_settings(path).destinations == (Destination(name="pacs", target="pacs"),)


def test_a_folder_is_meant_as_seen_from_the_file(tmp_path: Path) -> None:
    text = LEAST + "[[destinations]]\nname = 'x'\nkind = 'folder'\ntarget = 'out'"

    (destination,) = load_settings(write(tmp_path / "habitus.toml", text)).destinations

    assert destination.address == str(tmp_path / "out")

"""No text of an image gets where nobody looks for patients: a canary in every attribute, and a search of all that is left."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.filebase import DicomBytesIO
from pydicom.uid import JPEG2000Lossless

from inference.engine.model_store import SHIPPED_MODELS
from tests.canary.images import Canaries
from tests.canary.traces import (
    ProcessWatch,
    Trace,
    answer_texts,
    file_names,
    file_texts,
    journal_cells,
    log_lines,
    watched,
)
from tests.dicom_peers import Receiver, ct_series, receiver, send
from tests.faults.analyses import BODIES, small_study
from tests.orthanc_process import (
    SETTINGS,
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)
from tests.prometheus_process import METRICS_SETTINGS, ask_node
from tests.rest_routes import rest_calls

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

JOURNAL_KEEPS = {
    "jobs.series_uid": {"SeriesInstanceUID"},
    "choices.series_uid": {"SeriesInstanceUID"},
    "choices.series_number": {"SeriesNumber"},
    "skipped.series_uid": {"SeriesInstanceUID"},
    "skipped.series_number": {"SeriesNumber"},
    "entered_levels.series_uid": {"SeriesInstanceUID"},
    "results.study_uid": {"StudyInstanceUID"},
    "predecessors.study_uid": {"StudyInstanceUID"},
}
"""As docs/threat-model.md says."""
JOURNAL_FILES = ("journal.db", "journal.db-wal", "journal.db-shm")
ANSWERS_TELL = {"SeriesNumber"}
REPORT_TELLS = {"SeriesNumber", "ContrastBolusAgent", "KVP", "PatientSize", "PatientWeight"}
RULES = """
[[rules]]
name = "most"
[rules.tags]
StudyDescription = {{ matches = "^ZQ" }}
"""
FAKE = (
    SETTINGS.replace("[intake]", "[intake]\nincomplete_wait_s = 0").replace(
        "quiet_s = 0.6", "quiet_s = 2"
    )
    + RULES
    + METRICS_SETTINGS
)
SHIPPED = FAKE.replace('models_folder = "models"', f'models_folder = "{SHIPPED_MODELS}"').replace(
    'analyser = "tests.fake_analyser"', 'profile = "l3-small"'
)
FATES = {
    10: ("print", "done"),
    20: ("reject", "rejected"),
    30: ("crash", "dead"),
    40: ("die", "dead"),
    50: ("good", "done"),
}
"""Number of the first image → what the analyser does, and how the job ends."""


@dataclass(slots=True)
class Scene:
    """A node, its PACS, and everything that was sent to it."""

    node: OrthancProcess
    pacs: Receiver
    watch: ProcessWatch
    canaries: Canaries = field(default_factory=Canaries)
    header: Dataset = field(default_factory=Dataset)

    def dressed(self, images: Sequence[Dataset], **tags: object) -> list[Dataset]:
        """The images as a study of their own that tells nothing but canaries, except for these tags."""
        self.canaries.put_into(images, self.header)
        for image in images:
            for keyword, value in tags.items():
                setattr(image, keyword, value)
        return list(images)

    def ends(self) -> list[str]:
        """States of the jobs, those apart whose study grew while it was sent."""
        states = [str(job["state"]) for job in self.node.jobs()]
        return [state for state in states if state != "superseded"]

    def told(self) -> list[Trace]:
        """Every answer of every route that changes nothing."""
        keys = [job["key"] for job in self.node.jobs()]
        traces: list[Trace] = []
        readable = [call.path for call in rest_calls() if call.method == "GET"]
        for path in sorted({path.format(key=key) for key in keys for path in readable}):
            answer = self.node.session.get(self.node.url + path, timeout=10)
            traces += answer_texts(answer)
        status, page = ask_node()
        assert status == 200
        assert "habitus_rejections_total{" in page
        return [*traces, ("metrics", page)]


@contextmanager
def scene(folder: Path, settings: str) -> Iterator[Scene]:
    with ExitStack() as stack:
        stack.enter_context(private_network())
        node = stack.enter_context(orthanc(folder, settings=settings))
        assert node.process is not None
        watch = stack.enter_context(watched(node.process.pid))
        pacs = stack.enter_context(receiver())
        wait_for(lambda: bool(node.get("/habitus/status")["engine"]), 60.0, "the engine")
        made = Scene(node=node, pacs=pacs, watch=watch)
        made.header = made.canaries.header()
        yield made


def leaks(
    scene: Scene, traces: Sequence[Trace], allowed: Mapping[str, set[str]] | None = None
) -> set[tuple[str, str]]:
    """Where which attribute's text stands that should not stand there."""
    kept = allowed or {}
    return {
        (where, place)
        for where, text in traces
        for place in scene.canaries.found_in(text) - kept.get(where, set())
    }


def assert_nothing_leaked(scene: Scene) -> None:
    """Of all that the node left."""
    data = scene.node.folder / "node"
    ours, orthancs = log_lines(scene.node.log_path)
    assert any('"event"' in line for _, line in ours)
    assert leaks(scene, ours) == set()
    # Orthanc's own log is Orthanc's; as we start it, it names no patient either.
    assert leaks(scene, orthancs) == set()
    assert leaks(scene, list(journal_cells(data / "journal.db")), JOURNAL_KEEPS) == set()
    raw = list(file_texts(data, frozenset({"spool"})))
    kept = set().union(*JOURNAL_KEEPS.values())
    assert leaks(scene, raw, dict.fromkeys(JOURNAL_FILES, kept)) == set()
    assert leaks(scene, list(file_names(scene.node.folder))) == set()
    work = data / "spool" / "work"
    wait_for(lambda: not any(work.iterdir()), 10.0, "an empty folder of work")
    told = scene.told()
    reports = {where: REPORT_TELLS for where, _ in told if where.startswith("/habitus/report/")}
    tell = {where: ANSWERS_TELL for where, _ in told if where not in reports}
    assert leaks(scene, told, reports | tell) == set()
    assert len(scene.watch.pids) >= 3
    assert leaks(scene, list(scene.watch.seen)) == set()


def test_every_text_of_the_dictionary_is_a_canary_and_is_found() -> None:
    canaries = Canaries()
    header = canaries.header()
    for element in header.iterall():
        if element.VR != "SQ" and not element.tag.is_private_creator:
            assert canaries.found_in(str(element.value)), element.keyword
    assert len(canaries.places) > 10_000


def test_of_a_job_whatever_its_end_nothing_is_told(tmp_path: Path) -> None:
    with scene(tmp_path, FAKE) as at:
        node = at.node
        node.behaviour.write_text("\n".join(f"for {n} {what}" for n, (what, _) in FATES.items()))
        at.pacs.store_status, at.pacs.error_comment = 0xA700, f"no room for {at.header.PatientName}"
        for first in FATES:
            assert send(at.dressed(ct_series(3 + first - 1)[first - 1 :])) == [0] * 3
        send(at.dressed(ct_series(3), StudyDescription="no rule for it"))
        not_ct = at.canaries.text("CS", "Modality")
        send(at.dressed(ct_series(3), Modality=not_ct))
        settings = tmp_path / "habitus.toml"
        good = settings.read_text()
        settings.write_text(good + "\n[[rules]]\nnam = 'a mistake'\n")
        wait_for(lambda: sum(j["state"] == "dead" for j in node.jobs()) == 2, 60.0, "poison")
        wait_for(
            lambda: any(
                d["reason"] == "refused-or-away" for j in node.jobs() for d in j["deliveries"]
            ),
            15.0,
            "a refused delivery",
        )
        settings.write_text(good)
        at.pacs.store_status = 0
        ends = sorted(end for _, end in FATES.values())
        wait_for(lambda: sorted(at.ends()) == ends, 60.0, lambda: f"{ends}, found {at.ends()}")
        give_every_command(node)
        wait_for(
            lambda: (
                {"no-rule", "not-ct"} <= {row["reason"] for row in node.get("/habitus/not-taken")}
            ),
            15.0,
            "the notes of what was not taken",
        )
        assert_nothing_leaked(at)


def give_every_command(node: OrthancProcess) -> None:
    """Each once; some are refused."""
    done, other = [job for job in node.jobs() if job["state"] == "done"]
    job, second = (f"/habitus/jobs/{each['key']}" for each in (done, other))
    images = node.get(f"/series/{other['series_orthanc_id']}/instances")
    slice_name = {"sop_instance_uid": images[0]["MainDicomTags"]["SOPInstanceUID"]}
    asked: list[requests.Response] = [
        node.ask(f"{job}/resend"),
        node.ask(f"{job}/level", {"z_mm": 9e5}),
        node.ask(f"{second}/level", slice_name),
        node.ask(f"{job}/body-size", {"height_m": 1.7}),
        node.ask("/habitus/analyses", {"study": done["study_orthanc_id"]}),
        node.ask(f"{job}/requeue"),
        node.ask(f"{job}/cancel"),
    ]
    for answer in asked:
        node.outcome(answer)
    wait_for(
        lambda: not {"queued", "running"} & {job["state"] for job in node.jobs()},
        30.0,
        "an end of what was asked for",
    )


def test_of_a_study_measured_undecodable_or_refused_nothing_is_told(tmp_path: Path) -> None:
    with scene(tmp_path, SHIPPED) as at:
        send(at.dressed(small_study(1)))
        # Of one body: making another takes seconds.
        gap = small_study(1 + BODIES)
        send(at.dressed([*gap[:9], *gap[14:25]]))
        for file in undecodable(at):
            assert at.node.session.post(f"{at.node.url}/instances", data=file, timeout=20).ok
        ends = ["dead", "done", "rejected"]
        wait_for(lambda: sorted(at.ends()) == ends, 120.0, lambda: f"{ends}, found {at.ends()}")
        reasons = {job["reason"] for job in at.node.jobs() if job["reason"]}
        assert reasons == {"unreadable-input", "slice-gap"}
        assert_nothing_leaked(at)


def undecodable(at: Scene) -> Iterator[bytes]:
    """Slices that call themselves JPEG 2000 and are text."""
    for image in at.dressed(small_study(1 + 2 * BODIES)[:12]):
        image.file_meta.TransferSyntaxUID = JPEG2000Lossless
        text = f"{at.header.PatientName} {at.header.PatientID}".encode()
        image.PixelData = encapsulate([text + bytes(len(text) % 2)])
        image["PixelData"].is_undefined_length = True
        image["PixelData"].VR = "OB"
        with DicomBytesIO() as file:
            image.save_as(file, enforce_file_format=True)
            yield file.getvalue()

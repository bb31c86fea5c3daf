"""Deep links, from what an Orthanc answers to a DICOMweb search."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import pytest

from inference.domain.errors import ConfigurationInvalid
from viewer.links import DeepLink, deep_link, described, result_links


def series(modality: str, number: int) -> dict[str, dict[str, object]]:
    """One series as DICOM JSON (PS3.18 F)."""
    return {
        "0020000D": {"vr": "UI", "Value": ["1.2"]},
        "0020000E": {"vr": "UI", "Value": [f"1.2.{number}"]},
        "00080060": {"vr": "CS", "Value": [modality]},
        "0008103E": {"vr": "LO"},
    }


@contextmanager
def dicomweb(answers: dict[str, list[dict[str, dict[str, object]]]]) -> Iterator[str]:
    """A server that answers a search for series by its modality."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (modality,) = parse_qs(urlsplit(self.path).query)["Modality"]
            body = json.dumps(answers.get(modality, [])).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_kind_of_result_gets_a_link() -> None:
    with dicomweb({"SR": [series("SR", 3)], "SEG": [series("SEG", 1), series("SEG", 2)]}) as url:
        links = result_links(url)

    assert [link.modality for link in links] == ["SEG", "SEG", "SR"]
    assert links[1].url == deep_link(url, "1.2", "1.2.2")
    assert links[1].url in described(url, links)


def test_a_link_names_study_and_series() -> None:
    assert (
        deep_link("http://127.0.0.1:8180", "1.2", "1.2.3")
        == "http://127.0.0.1:8180/viewer?StudyInstanceUIDs=1.2&initialSeriesInstanceUID=1.2.3"
    )


def test_an_archive_of_thousands_gives_a_short_list() -> None:
    with dicomweb({"SEG": [series("SEG", n) for n in range(40)]}) as url:
        assert len(result_links(url)) == 12


def test_an_orthanc_that_does_not_answer_is_said() -> None:
    with pytest.raises(ConfigurationInvalid, match="DICOMweb"):
        result_links("http://127.0.0.1:9")


def test_a_series_without_description_is_still_described() -> None:
    link = DeepLink(url="http://127.0.0.1/viewer", modality="SEG", description="")

    assert "SEG" in described("http://127.0.0.1", [link])

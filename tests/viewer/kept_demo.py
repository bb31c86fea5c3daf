"""A demo left running, as `make demo KEEP=1` leaves it: its links to OHIF, its report, its DICOM objects."""

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from itertools import takewhile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import requests
from pydicom import Dataset, dcmread

ROOT = Path(__file__).resolve().parents[2]
CT_FOLDER = ROOT / ".demo" / "ct"
LINK = re.compile(r"^  (\S+) +(.*)\n +(http\S+)$", re.MULTILINE)
PAGE = re.compile(r"Page: (http://\S+)/habitus \(user (\S+), password (\S+)\)")
PACS = re.compile(r"PACS: (http://\S+)/app/explorer.html \(user (\S+), password (\S+)\)")
LAST_LINE = "Ctrl-C ends it.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDemo:
    """What a reader of its output knows."""

    output: str

    @property
    def ohif(self) -> str:
        """Address of the viewer."""
        found = re.search(r"OHIF: (http://\S+)/ ", self.output)
        assert found is not None, self.output
        return found[1]

    def link(self, modality: str, words: str) -> str:
        """The printed link to the series of that modality with those words in its description."""
        found = [
            url
            for kind, text, url in LINK.findall(self.output)
            if kind == modality and words in text
        ]
        assert len(found) == 1, self.output
        return str(found[0])

    def report(self) -> dict[str, Any]:
        """The only job's numbers, from the node."""
        (job,) = json.loads(self._fetch(PAGE, "/habitus/jobs"))["jobs"]
        return dict(json.loads(self._fetch(PAGE, f"/habitus/report/{job['key']}")))

    def received(self, series_uid: str) -> Dataset:
        """The only object of a series at the PACS."""
        for found in json.loads(self._fetch(PACS, "/series?expand")):
            if found["MainDicomTags"]["SeriesInstanceUID"] == series_uid:
                (instance,) = found["Instances"]
                return dcmread(BytesIO(self._fetch(PACS, f"/instances/{instance}/file")))
        raise AssertionError(f"no series {series_uid} at the PACS")

    def object_behind(self, link: str) -> Dataset:
        """What a link opens, from the PACS."""
        (series_uid,) = parse_qs(urlsplit(link).query)["initialSeriesInstanceUID"]
        return self.received(series_uid)

    def give(self, content: bytes) -> None:
        """Store a DICOM file at the PACS."""
        url, user, password = self._access(PACS)
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(
                f"{url}/instances", data=content, auth=(user, password), timeout=60
            )
            answer.raise_for_status()

    def _fetch(self, server: re.Pattern[str], path: str) -> bytes:
        url, user, password = self._access(server)
        with requests.Session() as session:
            session.trust_env = False
            response = session.get(url + path, auth=(user, password), timeout=60)
            response.raise_for_status()
            return bytes(response.content)

    def _access(self, server: re.Pattern[str]) -> tuple[str, str, str]:
        found = server.search(self.output)
        assert found is not None, self.output
        url, user, password = found.groups()
        return url, user, password


@contextmanager
def kept_demo() -> Iterator[KeptDemo]:
    """The demo from its start until its links are printed; then ended."""
    process = subprocess.Popen(
        [sys.executable, "demo.py", "--keep", "1"], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        lines = list(takewhile(lambda line: line != LAST_LINE, process.stdout))
        yield KeptDemo(output="".join(lines))
    finally:
        # A background job of a shell ignores SIGINT, and so do its children.
        process.terminate()
        process.wait(60)
        process.stdout.close()

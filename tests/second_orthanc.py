"""A second, plain Orthanc with DICOMweb: the archive that a node's results are sent to by every way there is."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import requests

from orthanc_plugin.node.orthanc_config import PLUGIN_LIBRARY, Peer, modality_of
from tests.orthanc_process import DICOM_PORT, MORTAL, ORTHANC, SENDER, wait_for

DICOMWEB_LIBRARY = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
ARCHIVE = Peer(name="archive", ae_title="ARCHIVE", host="127.0.0.1", port=14243)
NODE = Peer(name="node", ae_title="HABITUS", host="127.0.0.1", port=DICOM_PORT)
ARCHIVE_HTTP_PORT = 18043
USER, PASSWORD = "sender", "only-for-tests"


@dataclass(slots=True)
class Archive:
    """What a test asks of it."""

    session: requests.Session = field(default_factory=requests.Session)

    @property
    def url(self) -> str:
        """Of its REST API."""
        return f"http://127.0.0.1:{ARCHIVE_HTTP_PORT}"

    def sop_uids(self) -> list[str]:
        """Every object it has."""
        rows = self.session.get(f"{self.url}/instances?expand", timeout=5).json()
        return sorted(row["MainDicomTags"]["SOPInstanceUID"] for row in rows)

    def answers(self) -> bool:
        """Whether it is up."""
        try:
            return self.session.get(f"{self.url}/system", timeout=2).ok
        except requests.ConnectionError:
            return False


@contextmanager
def archive(folder: Path) -> Iterator[Archive]:
    """The archive, on loopback of the network that the caller is in."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = {
        "Name": "Archive",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "storage"),
        "DicomAet": ARCHIVE.ae_title,
        "DicomPort": ARCHIVE.port,
        "HttpPort": ARCHIVE_HTTP_PORT,
        "AuthenticationEnabled": True,
        "RegisteredUsers": {USER: PASSWORD},
        "Plugins": [str(DICOMWEB_LIBRARY)],
        "DicomModalities": {
            "node": {
                "AET": NODE.ae_title,
                "Host": NODE.host,
                "Port": NODE.port,
                "AllowStore": True,
                "AllowFind": True,
            }
        },
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    with (folder / "orthanc.log").open("wb") as log:
        process = subprocess.Popen(
            [*MORTAL, str(ORTHANC), str(path)], stdout=log, stderr=subprocess.STDOUT
        )
    running = Archive()
    running.session.trust_env = False
    running.session.auth = (USER, PASSWORD)
    try:
        wait_for(running.answers, 20.0, "the archive")
        yield running
    finally:
        process.kill()
        process.wait()


def ways_to_archive() -> dict[str, Any]:
    """What the sending Orthanc's configuration says of it."""
    return {
        "Plugins": [str(PLUGIN_LIBRARY), str(DICOMWEB_LIBRARY)],
        "DicomModalities": {peer.name: modality_of(peer) for peer in (SENDER, ARCHIVE)},
        "DicomWeb": {
            "Servers": {
                "archive-web": {
                    "Url": f"http://127.0.0.1:{ARCHIVE_HTTP_PORT}/dicom-web/",
                    "Username": USER,
                    "Password": PASSWORD,
                }
            }
        },
        "OrthancPeers": {
            "archive-peer": {
                "Url": f"http://127.0.0.1:{ARCHIVE_HTTP_PORT}/",
                "Username": USER,
                "Password": PASSWORD,
            }
        },
    }

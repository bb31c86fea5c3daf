"""Deep links: a study in OHIF with one of its results already open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import requests

from inference.domain.errors import ConfigurationInvalid

RESULT_MODALITIES = ("SEG", "SR", "SC", "OT")
LINKS_AT_MOST = 12

STUDY_INSTANCE_UID = "0020000D"
SERIES_INSTANCE_UID = "0020000E"
MODALITY = "00080060"
SERIES_DESCRIPTION = "0008103E"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeepLink:
    """Opens one series of a study."""

    url: str
    modality: str
    description: str


def deep_link(viewer_url: str, study_uid: str, series_uid: str) -> str:
    """OHIF shows the study; a SEG comes with the images it was made from."""
    query = {"StudyInstanceUIDs": study_uid, "initialSeriesInstanceUID": series_uid}
    return f"{viewer_url}/viewer?{urlencode(query)}"


def result_links(viewer_url: str) -> list[DeepLink]:
    """Results that the viewer's Orthanc holds; raises ConfigurationInvalid where it does not answer DICOMweb."""
    found: list[DeepLink] = []
    for modality in RESULT_MODALITIES:
        found += [
            DeepLink(
                url=deep_link(
                    viewer_url,
                    _text(series, STUDY_INSTANCE_UID),
                    _text(series, SERIES_INSTANCE_UID),
                ),
                modality=_text(series, MODALITY),
                description=_text(series, SERIES_DESCRIPTION),
            )
            for series in _series(viewer_url, modality)
        ]
    return found[:LINKS_AT_MOST]


def described(url: str, links: list[DeepLink]) -> str:
    """Addresses for people."""
    lines = [f"OHIF: {url}/ (study list), on this machine only, without a password"]
    lines += [f"  {link.modality:4}{link.description}\n      {link.url}" for link in links]
    return "\n".join(lines) + "\n"


def _series(viewer_url: str, modality: str) -> Sequence[Mapping[str, Any]]:
    """QIDO-RS search for series (PS3.18 10.6)."""
    query = urlencode(
        {"Modality": modality, "includefield": SERIES_DESCRIPTION, "limit": LINKS_AT_MOST}
    )
    with requests.Session() as session:
        session.trust_env = False
        try:
            response = session.get(
                f"{viewer_url}/dicom-web/series?{query}",
                headers={"Accept": "application/dicom+json"},
                timeout=30,
            )
            response.raise_for_status()
            answer: Sequence[Mapping[str, Any]] = response.json() if response.content else []
        except (requests.RequestException, ValueError) as exc:
            raise ConfigurationInvalid(
                found=f"no answer to a DICOMweb search ({type(exc).__name__})",
                wanted="an Orthanc with its DICOMweb plugin, and a user it knows",
                advice="See ORTHANC, ORTHANC_USER and ORTHANC_PASSWORD_FILE in viewer/README.md.",
            ) from exc
    return answer


def _text(series: Mapping[str, Any], tag: str) -> str:
    values = series.get(tag, {}).get("Value", [])
    return str(values[0]) if values else ""

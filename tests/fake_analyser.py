"""A stand-in for the networks: an analyser module that writes small, valid results or misbehaves on request.

What it does is told by the file `behaviour` in the models folder: "good" (the default), "reject", "no-l3" (until it is set by hand),
"crash", "hang", "slow", "die", "grow", "swell" or "print". "die-once" and "hang-once" misbehave at the first job only. "for 7 hang" means series
that begin with image number 7; several such lines may stand below each other.
"""

import json
import os
import signal
import sys
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ComprehensiveSRStorage, ExplicitVRLittleEndian

from inference.dicom.identity import derive_uid
from inference.domain.earlier_document import EarlierDocument, earlier_reports
from inference.domain.entered_level import EnteredLevel
from inference.domain.errors import LevelNotFound, LevelNotInSeries, ModelUnusable
from inference.domain.seg_encoding import role_in
from orthanc_plugin.node.analysis_port import AnalysisRequest, LoadRequest, NetworkInUse, Progress
from orthanc_plugin.node.job_key import EngineIdentity

SLOW_S = 3.0
DOUBT = "the two networks place it 34 mm apart"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360000002000001e221bc330000000049454e44ae426082"
)


class FakeAnalyser:
    """Two SR objects, a report and a picture per series."""

    def __init__(self, models_folder: Path, profile: str) -> None:
        self._folder = models_folder
        self._profile = profile
        version = models_folder / "version"
        self.identity = EngineIdentity(
            profile_hash=f"fake-{profile}",
            models=(("fake", version.read_text().strip() if version.exists() else "0" * 64),),
            code_version="fake",
        )
        slower = models_folder / "slower"
        self.downgrades = (slower.read_text().strip(),) if slower.exists() else ()
        sha256 = self.identity.models[0][1]
        self.networks = (
            NetworkInUse(name="fake", version="1", sha256=sha256, provider="cpu", asked="cpu"),
        )

    def analyse(self, request: AnalysisRequest, progress: Progress) -> Mapping[str, Path]:
        """Write results, or misbehave."""
        headers = [
            pydicom.dcmread(path, stop_before_pixels=True)
            for path in sorted(request.series_folder.iterdir())
        ]
        progress("fake stage", 0.5)
        self._behave(min(headers, key=lambda header: int(header.InstanceNumber)), request)
        files = {
            named: request.out_folder / f"{named}.dcm"
            for role in ("seg-tissues", "sr")
            for named in (role_in(role, encoding) for encoding in request.encodings)
        }
        for role, path in files.items():
            result = _result(headers[0], request, role)
            result.save_as(path, enforce_file_format=True)
        files["report"] = request.out_folder / "report.json"
        files["report"].write_text(
            json.dumps(
                {
                    "slices": len(headers),
                    "profile": self._profile,
                    "level_outcome": "found" if request.level else "uncertain",
                    "level_reasons": [] if request.level else [DOUBT],
                    "may_lack_level": request.may_lack_level,
                    "body_composition": [
                        {
                            "quantity": "area",
                            "value": 151.25,
                            "unit": "cm2",
                            "structure": "skeletal_muscle",
                        }
                    ],
                    "organs": [{"structure": "liver", "volume_ml": 1534.2, "is_incomplete": False}],
                    "flags": ["height missing: no indices"],
                    "entered": request.entered and asdict(request.entered),
                    "level": _level(headers, request),
                }
            )
        )
        files["picture-l3"] = request.out_folder / "l3.png"
        files["picture-l3"].write_bytes(PNG)
        return files

    def _behave(self, header: Dataset, request: AnalysisRequest) -> None:
        wish = self._folder / "behaviour"
        behaviour = wish.read_text().strip() if wish.exists() else "good"
        if behaviour.endswith("-once"):
            wish.write_text("good")
            behaviour = behaviour.removesuffix("-once")
        if behaviour.startswith("for "):
            by_number = {number: what for _, number, what in map(str.split, behaviour.splitlines())}
            behaviour = by_number.get(str(header.InstanceNumber), "good")
        if behaviour == "no-l3":
            behaviour = "good" if request.level else "reject"
        _BEHAVIOURS[behaviour](header)


def _good(_: Dataset) -> None:
    return


def _reject(_: Dataset) -> None:
    raise LevelNotFound(found="no L3", wanted="L3", advice="Send the abdomen.")


def _crash(header: Dataset) -> None:
    # Foreign errors quote what they choke on: nothing of this text may get anywhere.
    raise ValueError(f"cannot read {header.PatientName} {header.PatientID}")


def _print(header: Dataset) -> None:
    warnings.warn(f"odd value {header.PatientName}", stacklevel=1)
    sys.stdout.write(f"patient {header.PatientName}\n")
    sys.stderr.write(f"patient {header.PatientID}\n")
    sys.stdout.flush()


def _slow(_: Dataset) -> None:
    time.sleep(SLOW_S)


def _hang(_: Dataset) -> None:
    time.sleep(600.0)


def _die(_: Dataset) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def _grow(_: Dataset) -> None:
    _KEPT.append(bytearray(b"x") * (256 << 20))


def _swell(_: Dataset) -> None:
    bytearray(4 << 30)


_KEPT: list[bytearray] = []

_BEHAVIOURS = {
    "good": _good,
    "reject": _reject,
    "crash": _crash,
    "print": _print,
    "slow": _slow,
    "grow": _grow,
    "swell": _swell,
    "hang": _hang,
    "die": _die,
}


def load(request: LoadRequest) -> FakeAnalyser:
    """The analyser, unless the models folder says that it is broken."""
    if (request.models_folder / "broken").exists():
        raise ModelUnusable(found="a broken model", wanted="a whole one", advice="Mend it.")
    return FakeAnalyser(request.models_folder, request.profile)


def _level(headers: Sequence[Dataset], request: AnalysisRequest) -> dict[str, Any]:
    """In the first slice by its number, unless a person set it."""
    by_number = sorted(headers, key=lambda header: int(header.InstanceNumber))
    level = request.level
    if level is None:
        z_mm = float(by_number[0].ImagePositionPatient[2])
        return {"z_mm": z_mm, "confidence": 0.9, "source": ""}
    meant = [
        float(header.ImagePositionPatient[2])
        for header in by_number
        if level.sop_instance_uid in (None, str(header.SOPInstanceUID))
        and level.instance_number in (None, int(header.InstanceNumber))
    ]
    if level == EnteredLevel(entered_by=level.entered_by, entered_at=level.entered_at):
        raise LevelNotInSeries(found="no slice of that name", wanted="one", advice="Look again.")
    z_mm = meant[0] if level.z_mm is None else level.z_mm
    return {"z_mm": z_mm, "confidence": None, "source": level.source}


def _result(source: Dataset, request: AnalysisRequest, role: str) -> Dataset:
    result = Dataset()
    result.file_meta = FileMetaDataset()
    result.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    result.SOPClassUID = ComprehensiveSRStorage
    result.SOPInstanceUID = derive_uid(request.job_key, role, "instance")
    result.StudyInstanceUID = source.StudyInstanceUID
    result.SeriesInstanceUID = derive_uid(request.job_key, role, "series")
    result.PatientID = source.PatientID
    result.PatientName = source.PatientName
    result.Modality = "SR"
    result.Manufacturer = "Habitus"
    result.ContentDate = request.created.strftime("%Y%m%d")
    earlier = earlier_reports(request.predecessors, role) if role.startswith("sr") else ()
    if earlier:
        result.PredecessorDocumentsSequence = [_reference(one) for one in earlier]
    return result


def _reference(earlier: EarlierDocument) -> Dataset:
    study, series, instance = Dataset(), Dataset(), Dataset()
    instance.ReferencedSOPClassUID = earlier.sop_class_uid
    instance.ReferencedSOPInstanceUID = earlier.sop_uid
    series.SeriesInstanceUID = earlier.series_uid
    series.ReferencedSOPSequence = [instance]
    study.StudyInstanceUID = earlier.study_uid
    study.ReferencedSeriesSequence = [series]
    return study

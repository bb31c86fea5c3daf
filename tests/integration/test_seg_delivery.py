"""A real Orthanc passes each form of a segmentation on, or the node sees that the peer does not take it."""

import json
from collections.abc import Iterator, Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian
from pynetdicom import AE

from inference.dicom.ct_series import CtSeries
from inference.dicom.read_series import load_series
from inference.dicom.write_seg import encode_seg
from inference.domain.labelmap import TISSUES
from inference.domain.seg_encoding import SegEncoding
from orthanc_plugin.node.destinations import Destination
from orthanc_plugin.node.orthanc_pacs import OrthancPacs
from orthanc_plugin.node.pacs import SendState
from tests.dicom_peers import SUCCESS, receiver, store
from tests.orthanc_process import (
    DICOM_PORT,
    SENDER,
    OrthancProcess,
    orthanc,
    private_network,
    wait_for,
    why_not,
)
from tests.synthetic_series import result_identity, save_all, small_datasets, small_labels

pytestmark = [pytest.mark.orthanc, pytest.mark.skipif(bool(why_not()), reason=why_not())]

LABELMAP_CLASS = "1.2.840.10008.5.1.4.1.1.66.7"


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancProcess]:
    with private_network(), orthanc(tmp_path_factory.mktemp("seg")) as process:
        yield process


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> CtSeries:
    return load_series(save_all(small_datasets(), tmp_path_factory.mktemp("ct")))


def encoded(series: CtSeries, encoding: SegEncoding) -> bytes:
    labels = small_labels(series.volume.affine_lps, series.volume.shape, TISSUES)
    return encode_seg(labels, series, result_identity(encoding.value), encoding)


def delivered(
    node: OrthancProcess,
    content: bytes,
    transfer_syntaxes: Sequence[str] = (ExplicitVRLittleEndian,),
    further_classes: Sequence[str] = (),
) -> tuple[SendState, list[Dataset]]:
    """How a send ended, and what the peer has."""
    password = node.files.password.read_text().strip()
    with (
        OrthancPacs(node.url, ("habitus", password), 20.0) as pacs,
        receiver(transfer_syntaxes=transfer_syntaxes, further_classes=further_classes) as peer,
    ):
        job_id = pacs.send(Destination(name="pacs"), pacs.store_instance(content))
        wait_for(lambda: pacs.job_state(job_id) is not SendState.RUNNING, 30.0, "the send")
        return pacs.job_state(job_id), peer.received


def test_a_labelmap_reaches_a_peer_that_takes_its_class(
    node: OrthancProcess, series: CtSeries
) -> None:
    content = encoded(series, SegEncoding.LABELMAP)

    state, received = delivered(node, content, further_classes=[LABELMAP_CLASS])

    assert state is SendState.SUCCESS
    assert received[0].PixelData == dcmread(BytesIO(content)).PixelData


def test_a_peer_that_does_not_know_labelmaps_refuses_one_visibly(
    node: OrthancProcess, series: CtSeries
) -> None:
    state, received = delivered(node, encoded(series, SegEncoding.LABELMAP))

    assert (state, received) == (SendState.FAILURE, [])


def offered(content: bytes) -> bool:
    """Whether the Orthanc took the object by C-STORE."""
    labelmap = dcmread(BytesIO(content))
    sender = AE(ae_title=SENDER.ae_title)
    sender.add_requested_context(LABELMAP_CLASS, ExplicitVRLittleEndian)
    association = sender.associate("127.0.0.1", DICOM_PORT, ae_title="HABITUS")
    if not association.is_established:
        return False
    try:
        return store(association, labelmap) == SUCCESS
    except ValueError:
        # No presentation context was accepted.
        return False
    finally:
        association.release()


def test_an_orthanc_takes_labelmaps_when_told_to_accept_unknown_classes(
    node: OrthancProcess, series: CtSeries
) -> None:
    content = encoded(series, SegEncoding.LABELMAP)
    configuration = json.loads(node.files.configuration.read_text())

    by_default = offered(content)
    node.kill()
    changed = configuration | {"UnknownSopClassAccepted": True}
    node.files.configuration.write_text(json.dumps(changed))
    node.start()

    assert (by_default, offered(content)) == (False, True)


@pytest.mark.parametrize(
    "taken",
    [
        [DeflatedExplicitVRLittleEndian],
        [ExplicitVRLittleEndian],
        [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian],
    ],
    ids=["deflated", "plain", "both"],
)
def test_a_deflated_segmentation_reaches_every_peer(
    taken: list[str], node: OrthancProcess, series: CtSeries, tmp_path: Path
) -> None:
    content = encoded(series, SegEncoding.BINARY_DEFLATED)

    state, received = delivered(node, content, taken)

    assert state is SendState.SUCCESS
    assert received[0].file_meta.TransferSyntaxUID in taken
    assert np.array_equal(received[0].pixel_array, dcmread(BytesIO(content)).pixel_array)

"""What the demo sent to its PACS, opened in OHIF by the links that the demo prints: in a real, headless browser."""

import re

import pytest
import requests
from pydicom import Dataset, dcmread

pytest.importorskip("playwright", reason="needs playwright: make test-ohif brings it")

from tests.viewer.conftest import NEEDS_OHIF, TAKES_MINUTES
from tests.viewer.kept_demo import CT_FOLDER, KeptDemo
from tests.viewer.ohif_page import OhifPage
from tests.viewer.painted_image import ct_images, wait_for_the_numbered_image

pytestmark = [NEEDS_OHIF, TAKES_MINUTES]
ORGANS = [
    "Liver",
    "Right kidney",
    "Spleen",
    "Pancreas",
    "Aorta",
    "Inferior vena cava",
    "Right adrenal",
    "Left adrenal",
    "Gallbladder",
    "Esophagus",
    "Stomach",
    "Duodenum",
    "Left kidney",
    "Portal and splenic vein",
]
TISSUES = [
    "Skeletal muscle",
    "Subcutaneous fat (SAT)",
    "Visceral fat (VAT)",
    "Intermuscular fat (IMAT)",
]
COLOURED_PIXELS = 20_000
LATE_IMAGE = """
() => {
  const engine = window.cornerstone.getRenderingEngines()[0];
  const closed = engine.getViewports()[0];
  const { id: viewportId, type, element, options: defaultOptions } = closed;
  const image = window.cornerstone.cache.getImage(closed.getCurrentImageId());
  const reopened = () => {
    engine.enableElement({ viewportId, type, element, defaultOptions });
    return engine.getViewport(viewportId);
  };
  const [late, next] = [reopened(), reopened()];
  [late.imageIds, late.currentImageIdIndex] = [closed.imageIds, closed.currentImageIdIndex];
  late.successCallback(image.imageId, image);
  return next.getRenderer().getViewProps().length;
}
"""
AREA = re.compile(r"^Area: (\S+) cm2$", re.MULTILINE)


def instance_numbers_of(segment_label: str, segmentation: Dataset) -> set[int]:
    """The CT images on which a segment has a frame."""
    (number,) = [
        s.SegmentNumber for s in segmentation.SegmentSequence if s.SegmentLabel == segment_label
    ]
    uids = {
        frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID
        for frame in segmentation.PerFrameFunctionalGroupsSequence
        if frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber == number
    }
    headers = [dcmread(path, stop_before_pixels=True) for path in CT_FOLDER.glob("*.dcm")]
    return {int(header.InstanceNumber) for header in headers if header.SOPInstanceUID in uids}


def test_the_link_shows_every_organ_and_a_click_leads_to_it(demo: KeptDemo, ohif: OhifPage) -> None:
    link = demo.link("SEG", "organs")
    liver = instance_numbers_of("Liver", demo.object_behind(link))

    ohif.open(link)
    ohif.wait_for_text(ORGANS[-1])
    assert ohif.segment_names() == ORGANS

    before = ohif.shown_instance_number()
    assert before not in liver
    ohif.click("Liver")
    ohif.wait_until(lambda: ohif.shown_instance_number() in liver, f"an image of {sorted(liver)}")
    ohif.wait_until(lambda: ohif.coloured_pixels() > COLOURED_PIXELS, "a painted overlay")

    images = ct_images(CT_FOLDER)
    wait_for_the_numbered_image(ohif, images)
    ohif.scroll()
    wait_for_the_numbered_image(ohif, images)


def test_the_link_shows_the_tissues_at_l3(demo: KeptDemo, ohif: OhifPage) -> None:
    link = demo.link("SEG", "L3")
    slab = instance_numbers_of("Skeletal muscle", demo.object_behind(link))

    ohif.open(link)
    ohif.wait_for_text(TISSUES[-1])
    assert ohif.segment_names() == TISSUES

    ohif.click("Skeletal muscle")
    ohif.wait_until(lambda: ohif.shown_instance_number() in slab, f"an image of {sorted(slab)}")
    ohif.wait_until(lambda: ohif.coloured_pixels() > COLOURED_PIXELS, "a painted overlay")

    images = ct_images(CT_FOLDER)
    wait_for_the_numbered_image(ohif, images)
    ohif.scroll()
    wait_for_the_numbered_image(ohif, images)


def test_an_image_that_comes_late_for_a_closed_viewport_is_not_painted(
    demo: KeptDemo, ohif: OhifPage
) -> None:
    ohif.open(demo.link("SEG", "organs"))
    ohif.wait_for_text(ORGANS[-1])
    ohif.wait_until(lambda: ohif.shown_instance_number() > 0, "an image")

    assert ohif.page.evaluate(LATE_IMAGE) == 0


def test_the_report_is_readable_and_has_the_nodes_numbers(demo: KeptDemo, ohif: OhifPage) -> None:
    report = demo.report()
    areas = [m["value"] for m in report["body_composition"] if m["quantity"] == "area"]

    ohif.open(demo.link("SR", "measurements"))
    ohif.wait_until(lambda: AREA.search(ohif.text()), "a line with an area")
    written = [float(number) for number in AREA.findall(ohif.text())]

    assert areas
    for area in areas:
        assert any(number == pytest.approx(area, rel=1e-5) for number in written), area
    assert "For research use only" in ohif.text()
    assert "Finding Site: L3 vertebra" in ohif.text()
    assert "AI body composition measurements" in ohif.text()


def test_the_viewer_only_reads(demo: KeptDemo) -> None:
    for method in ("POST", "PUT", "DELETE"):
        for path in ("/dicom-web/studies", "/wado"):
            answer = requests.request(method, demo.ohif + path, data=b"x", timeout=30)

            assert answer.status_code == 403, (method, path)


def test_a_page_of_another_name_reads_nothing(demo: KeptDemo) -> None:
    answer = requests.get(
        f"{demo.ohif}/dicom-web/studies", headers={"Host": "rebound.example"}, timeout=30
    )

    assert answer.status_code == 421


def test_the_page_cannot_reach_another_host(demo: KeptDemo, ohif: OhifPage) -> None:
    ohif.open(demo.ohif)

    # An address for documentation (RFC 5737): nobody answers there, but the policy answers first.
    reached = ohif.page.evaluate(
        "fetch('http://192.0.2.1/').then(() => 'reached', (error) => error.message)"
    )

    assert reached == "Failed to fetch"
    assert any("Content Security Policy" in text for text in ohif.foreign)
    ohif.foreign.clear()

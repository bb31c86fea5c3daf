"""Draw and write the pictures of one result: the page as DICOM and as PNG, two single pictures for the web page."""

from pathlib import Path

from inference.dicom.ct_series import CtSeries
from inference.dicom.identity import ResultIdentity
from inference.dicom.write_page import encode_page, image_number
from inference.domain.outcome import Analysis
from inference.domain.volume import source_slice
from inference.page.picture_page import Lettering, PageFacts, draw_page
from inference.page.pictures import coronal_picture, level_picture, save_png
from inference.page.views import scene_of


def write_pictures(
    series: CtSeries,
    analysis: Analysis,
    identity: ResultIdentity,
    letters: Lettering,
    folder: Path,
) -> dict[str, Path]:
    """Files by role; `page` is the DICOM object. Without a level there is no picture of it."""
    report = analysis.report
    scene = scene_of(series.volume, analysis)
    slice_index = source_slice(series.volume, scene.level_index)
    facts = PageFacts(
        lettering=letters,
        made_by=f"Habitus {identity.code_version}",
        image_number=image_number(series, slice_index),
    )
    sheet = draw_page(scene, report, facts)
    page = folder / "page.dcm"
    page.write_bytes(encode_page(sheet.pixels, series, slice_index, identity))
    coronal = coronal_picture(scene, report, letters.typeface)
    written = {
        "page": page,
        "picture-page": save_png(sheet.image, folder / "page.png"),
        "picture-coronal": save_png(coronal, folder / "coronal.png"),
    }
    if report.level is not None:
        level = level_picture(scene, report, letters.typeface)
        written["picture-l3"] = save_png(level, folder / "l3.png")
    return written

"""The whole evaluation of a site's folder: tables, pictures, and not a word that names anybody."""

from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.dicom.read_series import load_series
from inference.domain.labelmap import Structure
from inference.domain.volume import Volume
from tests.synthetic_series import save_all
from tests.unit.training.real.phantom import L3_SLICES, models, volume, write_case
from training.evaluate_real import Outputs, evaluate, options_of
from training.real.case import RealCase
from training.real.example_ct import CUT_FIELDS, cut
from training.real.known_cases import KnownCase
from training.real.panels import OURS, THEIRS
from training.real.tables import CaseResult, all_checks
from training.synthetic.series import SeriesHeader, build_datasets

CANARY = "ZQCANARYXK"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A NIfTI case, a DICOM case and one that is refused, in folders named after patients."""
    folder = tmp_path_factory.mktemp("site")
    write_case(folder / f"{CANARY}-a")
    header = SeriesHeader(
        patient_name=CANARY, patient_id=CANARY, study_description=CANARY, series_description=CANARY
    )
    datasets = build_datasets(volume(), header)
    for dataset in datasets:
        dataset.ReferringPhysicianName = dataset.AccessionNumber = CANARY
    paths = save_all(datasets, folder / f"{CANARY}-b")
    z_mm = load_series(paths).volume.affine_lps[2, 3]
    (folder / f"{CANARY}-b" / "l3.txt").write_text(f"z_mm {z_mm + 94}")
    save_all(datasets[:3], folder / f"{CANARY}-c")
    write_case(folder / f"{CANARY}-d")
    (folder / f"{CANARY}-d" / "l3.txt").write_text(f"{CANARY} 5")
    return folder


def outputs(folder: Path, *, is_published: bool = False) -> Outputs:
    return Outputs(
        folder=folder / "out",
        page=folder / "page" / "real.md",
        pictures=folder / "pictures",
        is_published=is_published,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What one evaluation left."""

    folder: Path
    results: list[CaseResult]
    told: str


@pytest.fixture(scope="module")
def run(site: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The site's folder, evaluated."""
    folder, told = tmp_path_factory.mktemp("run"), StringIO()
    with redirect_stdout(told), redirect_stderr(told):
        results = evaluate([site], models(), outputs(folder))
    return Run(folder=folder, results=results, told=told.getvalue())


def test_a_damaged_mask_costs_its_own_comparison_alone(tmp_path: Path) -> None:
    labels = write_case(tmp_path / "cases" / "one") / "labels"
    for name in ("skeletal_muscle", f"{CANARY}-rib"):
        (labels / f"{name}.nii.gz").write_bytes((labels / "liver.nii.gz").read_bytes()[:400])
    told = StringIO()

    with redirect_stderr(told):
        (result,) = evaluate([tmp_path / "cases"], models(), outputs(tmp_path))

    compared = {score.structure for score in result.scored.scores}
    assert Structure.LIVER in compared
    assert Structure.SKELETAL_MUSCLE not in compared
    assert "skeletal_muscle.nii.gz" in told.getvalue()
    assert CANARY not in told.getvalue()


def test_a_sites_folder_gives_tables_and_pictures(run: Run) -> None:
    page = (run.folder / "page" / "real.md").read_text()
    written = {path.name for path in run.folder.rglob("*") if path.is_file()}

    assert [result.case.name for result in run.results] == [
        *("case-001", "case-002", "case-003", "case-004")
    ]
    assert "| case-003 | | `too-few-slices`: found 3 slices |" in page
    assert "states no level" in page
    assert "](../pictures/case-001.png)" in page
    assert "](../pictures/bland-altman.svg)" in page
    assert written == {
        *("cases.csv", "scores.csv", "real.md", "bland-altman.svg"),
        *("case-001.png", "case-002.png", "case-004.png"),
    }


def test_nothing_that_is_written_or_told_names_a_patient(run: Run) -> None:
    assert CANARY not in run.told
    for path in run.folder.rglob("*"):
        assert CANARY not in path.name
        if path.is_file():
            assert CANARY.encode() not in path.read_bytes(), path.name


def test_levels_and_structures_are_compared_over_all_cases(run: Run) -> None:
    errors = [result.scored.level_error_mm for result in run.results]

    assert errors[0] == pytest.approx(0, abs=2)
    assert errors[1] == pytest.approx(0, abs=2)
    assert len(list(all_checks(run.results))) == 3
    assert all(check.holds for check in all_checks(run.results))
    page = (run.folder / "page" / "real.md").read_text()
    assert "| 3 | 3 |" in page
    assert "| liver | 2 |" in page


def test_pictures_are_published_only_where_a_licence_allows_it(site: Path, tmp_path: Path) -> None:
    where = outputs(tmp_path, is_published=True)

    evaluate([site / f"{CANARY}-a"], models(), where)

    assert list(where.pictures.glob("*.png")) == []
    shown = KnownCase(says="", may_show=True)
    hidden = KnownCase(says="", may_show=False)
    assert where.shows(RealCase(name="x", volume=None, known=shown))
    assert not where.shows(RealCase(name="x", volume=None, known=hidden))


def test_the_picture_shows_what_was_found_and_the_level(run: Run) -> None:
    pixels = np.asarray(Image.open(run.folder / "pictures" / "case-001.png").convert("RGB"))

    for colour in (OURS, THEIRS):
        near = (np.abs(pixels.astype(int) - colour) < 16).all(axis=-1)
        assert (near.sum(axis=1) > 100).any(), "a line across a view"
    assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 20


def test_fields_are_cut_about_the_level_and_say_whether_it_is_inside() -> None:
    middle = volume().affine_lps[2, 3] + 3.0 * (sum(L3_SLICES) - 1) / 2
    whole = RealCase(name="x", volume=volume(), l3_z_mm=middle)

    parts = [(field, cut(whole, field)) for field in CUT_FIELDS if field.high_mm != -110]

    assert sum(field.has_l3 for field in CUT_FIELDS) >= 12
    assert sum(not field.has_l3 for field in CUT_FIELDS) >= 4
    for field, part in parts:
        assert isinstance(part.volume, Volume)
        low = part.volume.affine_lps[2, 3]
        high = low + 3.0 * (part.volume.shape[0] - 1)
        assert bool(low <= middle <= high) is field.has_l3, field.name
        assert part.is_l3_absent is not field.has_l3
        k = round((low - volume().affine_lps[2, 3]) / 3.0)
        assert np.array_equal(part.volume.hu, volume().hu[k : k + part.volume.shape[0]])


def test_folders_come_from_the_command_line() -> None:
    options = options_of(["a", "b", "--no-gates"])

    assert options.folders == [Path("a"), Path("b")]
    assert options.no_gates

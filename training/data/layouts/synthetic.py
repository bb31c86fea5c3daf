"""CT made by code, on the fly: synthetic.toml says which seeds, on which grid, from which templates."""

from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid
from training.data.cases import FoundCases, LabelledCase, Source
from training.data.layouts.layout import Layout
from training.data.layouts.pairing import read_table
from training.data.made_sources import MadeGrid, MadeTorso, PaintedPatient

TITLE = "Synthetic CT made from seeds"
TABLE_NAME = "synthetic.toml"
DEFAULTS: dict[str, Any] = {
    "first_seed": 0,
    "cases": 10,
    "spacing_mm": [3.0, 1.5, 1.5],
    "rows_columns": [280, 340],
    "templates": [],
}
MOST_CASES = 100_000


def _path(folder: Path) -> Path:
    return folder if folder.is_file() else folder / TABLE_NAME


def _matches(folder: Path) -> bool:
    return _path(folder).name == TABLE_NAME and _path(folder).is_file()


def _find(folder: Path) -> FoundCases:
    path = _path(folder)
    order = DEFAULTS | read_table(path)
    first, count = order["first_seed"], order["cases"]
    _check(order, first, count)
    templates = [path.parent / str(name) for name in order["templates"]]
    grid = _grid(order)
    cases = []
    for number in range(count):
        seed = first + number
        source: Source = MadeTorso(seed=seed, grid=grid)
        name = f"torso-{seed:07d}"
        if templates:
            template = templates[number % len(templates)]
            source = PaintedPatient(template=template, seed=seed, grid=grid)
            name = f"painted-{seed:07d}"
        cases.append(LabelledCase(name=name, patient=name, source=source))
    return FoundCases(layout="synthetic", title=TITLE, cases=tuple(cases))


def _grid(order: dict[str, Any]) -> MadeGrid:
    try:
        slice_mm, row_mm, column_mm = (float(step) for step in order["spacing_mm"])
        rows, columns = (int(size) for size in order["rows_columns"])
    except (TypeError, ValueError) as problem:
        raise _unusable("a grid that is none", "three steps in mm, two sizes") from problem
    if min(slice_mm, row_mm, column_mm) <= 0.2 or not 16 <= min(rows, columns) <= 1024:
        raise _unusable("a grid out of range", "steps over 0.2 mm, 16 to 1024 rows and columns")
    return MadeGrid(spacing_mm=(slice_mm, row_mm, column_mm), shape_rc=(rows, columns))


def _check(order: dict[str, Any], first: object, count: object) -> None:
    from training.pool import FIRST_UNSEEN_SEED

    if unknown := sorted(order.keys() - DEFAULTS.keys()):
        raise _unusable(f"unknown {', '.join(unknown)}", ", ".join(DEFAULTS))
    if not isinstance(order["templates"], list):
        raise _unusable("templates that are no list", 'templates = ["anatomy.npz"]')
    if not isinstance(first, int) or not isinstance(count, int) or not 0 < count <= MOST_CASES:
        raise _unusable("seeds that are no numbers", f"first_seed, and 1 to {MOST_CASES} cases")
    if not 0 <= first <= FIRST_UNSEEN_SEED - count:
        raise _unusable(
            f"seeds {first} to {first + count - 1}",
            f"seeds below {FIRST_UNSEEN_SEED}: later ones belong to evaluation",
        )


def _unusable(found: str, wanted: str) -> ConfigurationInvalid:
    return ConfigurationInvalid(
        found=found, wanted=wanted, advice="See training/README.md, Your own data."
    )


LAYOUT = Layout(
    name="synthetic",
    title=TITLE,
    looks_like=f"{TABLE_NAME}: first_seed, cases, spacing_mm, rows_columns, templates",
    source="this repository",
    matches=_matches,
    find=_find,
)

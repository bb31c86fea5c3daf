"""Cases of any layout as plain pairs: read once, in our numbers, so that many runs read files and make nothing anew."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from training.data.cases import FoundCases, LabelledCase
from training.data.examine import Progress
from training.label_names import OUR_NUMBERS
from training.nifti import write_nifti
from training.workers import worker_pool

TABLE_NAME = "labels.toml"
TABLE = """title = {title}
images = "images/{{case}}.nii.gz"
labels = "labels/{{case}}.nii.gz"
patient = "^patient-([0-9]+)_"

[numbers]
{numbers}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Order:
    case: LabelledCase
    name: str
    out: Path


def write_plain(found: FoundCases, out: Path, progress: Progress, workers: int = 1) -> list[str]:
    """Names of the cases as written; what was written before stays. Raises TrainingDataUnfit where a case cannot be read."""
    patients = {patient: n for n, patient in enumerate(sorted({c.patient for c in found.cases}))}
    orders = [
        _Order(
            case=case,
            name=f"patient-{patients[case.patient]:04d}_{re.sub('[^A-Za-z0-9-]', '-', case.name)}",
            out=out,
        )
        for case in found.cases
    ]
    _write_all(orders, progress, workers)
    # What only some cases label would read as background in the others.
    names = frozenset.intersection(*(case.source.names for case in found.cases))
    numbers = "\n".join(
        f'{n} = "{name if name in names else ""}"' for name, n in OUR_NUMBERS.items()
    )
    (out / TABLE_NAME).write_text(
        TABLE.format(title=json.dumps(found.title), numbers=numbers), encoding="utf-8"
    )
    return [order.name for order in orders]


def _write_all(orders: Sequence[_Order], progress: Progress, workers: int) -> None:
    if workers == 1:
        for done, order in enumerate(orders, start=1):
            progress(done, len(orders), _write(order))
        return
    with worker_pool(workers) as pool:
        for done, name in enumerate(pool.map(_write, orders), start=1):
            progress(done, len(orders), name)


def _write(order: _Order) -> str:
    image, label = (order.out / kind / f"{order.name}.nii.gz" for kind in ("images", "labels"))
    if not (image.is_file() and label.is_file()):
        read = order.case.read()
        write_nifti(read.volume.hu, read.volume.affine_lps, image)
        write_nifti(read.labels, read.volume.affine_lps, label)
    return order.name

"""What the rules on tissues gain or cost on painted cases, by size of island: `python -m training.tissue_rules --help`."""

import argparse
import math
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from inference.domain.analysis_profile import HuWindows, load_profile
from inference.domain.labelmap import TISSUES, Structure
from inference.domain.volume import Volume
from inference.engine.model_store import SHIPPED_MODELS
from inference.pipeline import load_models
from inference.stages import tissue_rules
from inference.stages.segment_tissue import raw_compartments, tissues_from_compartments
from inference.stages.trunk import Trunk, trunk_in
from training.as_command import exit_status
from training.synthetic.labels import COMPARTMENT_LUT
from training.templates.case import PaintedCase, make_painted_case
from training.templates.patient import Patient
from training.templates.template import Template

FIRST_SEED = 8_000_000
SPACING_MM = (5.0, 1.2, 1.2)
SHAPE_RC = (360, 360)
SIZES_CM2 = (0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0)
CAVITY_SIZES_CM2 = (0.0, 1.0, 2.0, 4.0, 8.0)
NAMES = {1: "muscle", 2: "subcutaneous", 3: "visceral"}
SHOWN = (Structure.SKELETAL_MUSCLE, Structure.SUBCUTANEOUS_FAT, Structure.VISCERAL_FAT)

Planes = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """The slices of one case through L3."""

    volume: Volume
    raw: Planes
    true: Planes
    trunks: Sequence[Trunk]


def at_l3(patient: Patient) -> tuple[float, float]:
    """The field: the L3 body."""
    return patient.l3_extent_mm


def sample_of(case: PaintedCase, raw: Planes) -> Sample:
    """A case with the network's answer."""
    return Sample(
        volume=case.volume,
        raw=raw,
        true=COMPARTMENT_LUT[case.tissue_labels].astype(np.uint8),
        trunks=[trunk_in(hu, SPACING_MM[1:]) for hu in case.volume.hu],
    )


def samples(template: Path, models: Path, count: int) -> Iterator[Sample]:
    """Painted cases whose whole trunk is in the field."""
    loaded, network = (
        Template.read(template),
        load_models(load_profile("l3"), models_folder=models).tissue,
    )
    seed = FIRST_SEED
    while count:
        case = make_painted_case(
            loaded, seed, spacing_mm=SPACING_MM, shape_rc=SHAPE_RC, field=at_l3
        )
        seed += 1
        if not case.is_cut:
            slices = range(len(case.volume.hu))
            yield sample_of(case, raw_compartments(case.volume, slices, network))
            count -= 1


def dice_of(sample: Sample, found: Planes) -> list[float]:
    """Of each shown tissue after the HU windows."""
    pair = [
        tissues_from_compartments(sample.volume, planes, HuWindows()).labels
        for planes in (found, sample.true)
    ]
    scores = []
    for tissue in SHOWN:
        a, b = (labels == TISSUES.index(tissue) + 1 for labels in pair)
        total = int(a.sum()) + int(b.sum())
        scores.append(1.0 if total == 0 else 2.0 * int((a & b).sum()) / total)
    return scores


def ruled(sample: Sample) -> Planes:
    """By the rules as they stand now."""
    return np.stack(
        [
            tissue_rules.tidied(raw, trunk.mask, hu, SPACING_MM[1:])
            for raw, trunk, hu in zip(sample.raw, sample.trunks, sample.volume.hu, strict=True)
        ]
    )


def rows(found: Sequence[Sample]) -> Iterator[tuple[str, list[float]]]:
    """What was tried, and the mean Dice of each tissue."""

    def mean(planes: Sequence[Planes]) -> list[float]:
        scores = [dice_of(sample, one) for sample, one in zip(found, planes, strict=True)]
        return [float(np.mean(column)) for column in zip(*scores, strict=True)]

    kept = dict(tissue_rules.ISLAND_CM2), tissue_rules.CAVITY_CM2
    yield "the network alone", mean([sample.raw for sample in found])
    tissue_rules.ISLAND_CM2.update(dict.fromkeys(kept[0], 0.0))
    tissue_rules.CAVITY_CM2 = 0.0
    yield "inside the trunk", mean([ruled(sample) for sample in found])
    for compartment, name in NAMES.items():
        tissue_rules.ISLAND_CM2.update(dict.fromkeys(NAMES, 0.0))
        for size in SIZES_CM2:
            tissue_rules.ISLAND_CM2[compartment] = size
            row = mean([ruled(sample) for sample in found])
            yield f"{name} alone, islands below {size:g} cm²", row
    tissue_rules.ISLAND_CM2.clear()
    tissue_rules.ISLAND_CM2.update(kept[0])
    for size in CAVITY_SIZES_CM2:
        tissue_rules.CAVITY_CM2 = size
        yield f"as shipped, cavity below {size:g} cm²", mean([ruled(sample) for sample in found])
    tissue_rules.CAVITY_CM2 = kept[1]
    organ_share, tissue_rules.ORGAN_RIM_SHARE = tissue_rules.ORGAN_RIM_SHARE, math.inf
    yield "as shipped, muscle in visceral fat kept", mean([ruled(sample) for sample in found])
    tissue_rules.ORGAN_RIM_SHARE = organ_share
    yield "as shipped", mean([ruled(sample) for sample in found])


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m training.tissue_rules")
    parser.add_argument("--template", type=Path, required=True)
    parser.add_argument("--models", type=Path, default=SHIPPED_MODELS)
    parser.add_argument("--cases", type=int, default=40)
    options = parser.parse_args()
    found = list(samples(options.template, options.models, options.cases))
    out = sys.stdout.write
    out(f"Synthetic: {len(found)} painted cases, slices of {SPACING_MM[0]:g} mm through L3.\n\n")
    out("| rule | muscle | subcutaneous | visceral |\n|---|---|---|---|\n")
    for name, scores in rows(found):
        out(f"| {name} | {' | '.join(f'{score:.4f}' for score in scores)} |\n")
    arms = sum(any(trunk.is_touched_by_arm for trunk in sample.trunks) for sample in found)
    couches = sum(any(trunk.is_touched_by_couch for trunk in sample.trunks) for sample in found)
    out(f"\nSaid to be touched by an arm: {arms}, by a couch: {couches}.\n")
    return 0


if __name__ == "__main__":
    sys.exit(exit_status("tissue-rules", main))

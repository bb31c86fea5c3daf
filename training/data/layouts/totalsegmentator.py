"""TotalSegmentator's data set and its output: s0000/ct.nii.gz with segmentations/liver.nii.gz, or one merged map."""

import json
from collections import defaultdict
from pathlib import Path

from inference.domain.errors import HabitusError
from training.data.cases import FoundCases, LabelledCase, Source
from training.data.layouts.layout import Layout
from training.data.layouts.pairing import nifti_files, stem
from training.data.nifti_sources import NiftiMasks, NiftiPair
from training.data.problems import Problem
from training.label_names import LabelTable, our_name, table_of
from training.nifti import read_header
from training.templates.maps import read_names

TITLE = "TotalSegmentator folders (doi:10.5281/zenodo.6802613, or what the program writes)"
IMAGES = ("ct.nii.gz", "ct.nii")
MASKS = "segmentations"
MERGED = ("segmentations.nii.gz", "labels.nii.gz")


def _image(folder: Path) -> Path | None:
    return next((folder / name for name in IMAGES if (folder / name).is_file()), None)


def _folders(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    if _image(folder) is not None:
        return [folder]
    return [p for p in sorted(folder.iterdir()) if p.is_dir() and _image(p) is not None]


def _matches(folder: Path) -> bool:
    return any(
        (one / MASKS).is_dir() or any((one / name).is_file() for name in MERGED)
        for one in _folders(folder)
    )


def _find(folder: Path) -> FoundCases:
    cases, problems = [], []
    for one in _folders(folder):
        try:
            source = _source(one)
        except HabitusError as problem:
            problems.append(Problem.of(problem, "label").at(one.name))
            continue
        if isinstance(source, Problem):
            problems.append(source.at(one.name))
        else:
            cases.append(LabelledCase(name=one.name, patient=one.name, source=source))
    return FoundCases(
        layout="totalsegmentator", title=TITLE, cases=tuple(cases), problems=tuple(problems)
    )


def _source(folder: Path) -> Source | Problem:
    image = _image(folder)
    assert image is not None
    masks: defaultdict[str, list[Path]] = defaultdict(list)
    for path in nifti_files(folder / MASKS):
        if name := our_name(stem(path)):
            masks[name].append(path)
    if masks:
        return NiftiMasks(image=image, masks={name: tuple(ps) for name, ps in masks.items()})
    merged = next((folder / name for name in MERGED if (folder / name).is_file()), None)
    if merged is None:
        return _no_labels()
    table = _table(merged)
    return _no_names(merged) if table is None else NiftiPair(image=image, label=merged, table=table)


def _table(merged: Path) -> LabelTable | None:
    """Names beside the map or within it: versions 1 and 2 number otherwise, so that none is assumed."""
    beside = merged.with_name(f"{stem(merged)}.json")
    if beside.is_file():
        return table_of(read_names(beside))
    named = read_header(merged).label_names
    return table_of(named) if named else None


def _no_labels() -> Problem:
    return Problem(
        where="label",
        found="a CT without a mask of anything of ours",
        wanted=f"{MASKS}/liver.nii.gz and others, or a merged {MERGED[1]}",
        advice="Bring the masks, or take the folder out.",
    )


def _no_names(merged: Path) -> Problem:
    example = json.dumps({"1": "spleen", "5": "liver"})
    return Problem(
        where=merged.name,
        found="a merged label map that does not say what its numbers mean",
        wanted=f"{stem(merged)}.json beside it, such as {example}, or TotalSegmentator's own header",
        advice="Versions 1 and 2 number otherwise (7 is the aorta or the pancreas): write down which it was.",
    )


LAYOUT = Layout(
    name="totalsegmentator",
    title=TITLE,
    looks_like="s0000/ct.nii.gz, s0000/segmentations/liver.nii.gz (or s0000/segmentations.nii.gz)",
    source="class names: map_to_binary.py and nifti_ext_header.py of wasserth/TotalSegmentator",
    matches=_matches,
    find=_find,
)

"""What only shows when cases are seen together: the same image twice, an organ of a size that no other has."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from inference.domain.labelmap import TISSUES
from training.data.examine import Examination
from training.data.plausible import limits
from training.data.problems import Problem

OF_EXTENT = frozenset(tissue.value for tissue in TISSUES)
"""Their volume is that of the field of view."""
CONSISTENT = 0.6745
"""Makes a median of absolute deviations comparable to a standard deviation (Iglewicz and Hoaglin 1993)."""
LEAST_SPREAD = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class Outlier:
    """An organ far from its like."""

    case: str
    name: str
    volume_ml: float
    median_ml: float
    score: float


def duplicates(examinations: Sequence[Examination]) -> Iterator[Problem]:
    """One CT under several names: it would be trained on and tested on."""
    by_hash: defaultdict[str, list[str]] = defaultdict(list)
    for one in examinations:
        if one.facts is not None:
            by_hash[one.facts.image_hash].append(one.name)
    for names in by_hash.values():
        for name in names[1:]:
            yield Problem(
                case=name,
                where="image",
                found=f"the same voxels as {names[0]}",
                wanted="every CT once",
                advice="Take one of them out; with both a test would not be of unseen images.",
            )


def whole_volumes(examinations: Iterable[Examination]) -> Mapping[str, list[tuple[str, float]]]:
    """Case and millilitres of every structure that lies whole in its field."""
    found: defaultdict[str, list[tuple[str, float]]] = defaultdict(list)
    for one in examinations:
        if one.facts is not None:
            for name, volume_ml in one.facts.volumes_ml.items():
                if name not in one.facts.cut and name not in OF_EXTENT:
                    found[name].append((one.name, volume_ml))
    return found


def outliers(examinations: Iterable[Examination]) -> list[Outlier]:
    """Volumes far from the median of their structure, the farthest first."""
    found = []
    for name, volumes in whole_volumes(examinations).items():
        if len(volumes) < limits("volumes")["least_cases"]:
            continue
        logs = np.log([volume_ml for _, volume_ml in volumes])
        middle = float(np.median(logs))
        spread = max(float(np.median(np.abs(logs - middle))), LEAST_SPREAD)
        for (case, volume_ml), value in zip(volumes, logs, strict=True):
            score = CONSISTENT * (float(value) - middle) / spread
            if abs(score) > limits("volumes")["outlier_z"]:
                found.append(
                    Outlier(
                        case=case,
                        name=name,
                        volume_ml=volume_ml,
                        median_ml=float(np.exp(middle)),
                        score=score,
                    )
                )
    return sorted(found, key=lambda outlier: -abs(outlier.score))


def size_doubts(examinations: Iterable[Examination]) -> Iterator[Problem]:
    """Outliers as warnings."""
    for outlier in outliers(examinations):
        yield Problem(
            case=outlier.case,
            where="label",
            found=f"{outlier.name.replace('_', ' ')} of {outlier.volume_ml:.3g} ml",
            wanted=f"about {outlier.median_ml:.3g} ml, as the other cases",
            advice="See its picture: a half-drawn label, another number, or a true finding.",
            is_error=False,
        )

"""What the numbers of label maps mean, in a file beside them: NIfTI has no place for names that all tools read."""

import json
from collections.abc import Mapping

from inference.domain.labelmap import LabelMap

LABEL_NAMES = "labels.json"


def names_to_json(maps: Mapping[str, LabelMap]) -> str:
    """By file, then by number."""
    names = {
        f"{role}.nii.gz": {str(n): structure.value for n, structure in sorted(m.structures.items())}
        for role, m in maps.items()
    }
    return json.dumps(names, indent=2) + "\n"

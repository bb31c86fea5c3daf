"""A template: one anatomy's labels with what maps lack filled in, ready to be warped; one npz file."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from inference.domain.errors import UnreadableInput

Codes = npt.NDArray[np.uint8]
Float = npt.NDArray[np.float32]

FORM = 4
"""Number of this layout; another one is refused."""
ANGLES = 256
"""Directions in which the hull is measured; bin 0 points to the back, the middle bin to the front."""
DEPTH_STEPS_PER_MM = 8
CANAL_CODE = 99
FIRST_RIB_CODE = 100
"""Part code of rib n is FIRST_RIB_CODE + n; the code of a vertebra is its place in `body_names`, from 1."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Template:
    """Arrays [slice, row, column] at one step; positions are index times step, x to the left, y to the back, z to the head."""

    step_mm: npt.NDArray[np.float64]
    """One number."""
    frame: Codes
    """Tissue of muscles, ribs, pelvis, sacrum; the bed of the spine is filled with what surrounds it."""
    viscera: Codes
    """Tissue of organs, vessels, bowel, lungs."""
    depth: Codes
    """How deep a voxel lies inside its own organ or bone, in 1/8 mm; the viscera's where both layers have one."""
    frame_depth: Codes
    parts: Codes
    """Vertebrae, canal and ribs one by one."""
    parts_depth: Codes
    centre_xy_mm: Float
    """[slice, 2] the smooth line that everything in the plane is measured from."""
    hull_mm: Float
    """[slice, ANGLES] from the centre line to the convex hull of everything labelled."""
    cavity_mm: Float
    """[slice, ANGLES] the same, but from the flanks to the spine along the front of the back's muscles."""
    ribbed: Float
    """[slice, ANGLES] 0..1: how surely ribs lie just inside the hull."""
    rib12_mm: npt.NDArray[np.float64]
    """How far to the right and to the left of the spine the last ribs reach."""
    body_names: npt.NDArray[np.str_]
    """T1 … L5, from the head down: every vertebra that is whole, without S1."""
    body_centre_mm: npt.NDArray[np.float64]
    """[vertebra, 3] x, y, z of the middle of the body."""
    body_height_mm: npt.NDArray[np.float64]
    body_canal_mm: npt.NDArray[np.float64]
    """How far behind the middle of the body the canal begins."""
    body_box_mm: npt.NDArray[np.float64]
    """[vertebra, 2, 3] the whole vertebra's corners relative to the middle of its body."""
    s1_mm: npt.NDArray[np.float64]
    """x, y, z of the middle of the first sacral body."""
    s1_height_mm: npt.NDArray[np.float64]
    source: npt.NDArray[np.str_]
    """Where the maps come from and their licence; travels with everything made from them."""

    def index_of(self, name: str) -> int:
        """The place of a vertebra, or -1."""
        found = np.flatnonzero(self.body_names == name)
        return int(found[0]) if len(found) else -1

    def usual_height_mm(self, name: str) -> float:
        """Of a vertebra's body; of a lumbar one the median of all five, so that a broken one is not always the same."""
        if not name.startswith("L"):
            return float(self.body_height_mm[self.index_of(name)])
        return float(np.median(self.body_height_mm[np.char.startswith(self.body_names, "L")]))

    @property
    def height_mm(self) -> float:
        """From the first to the last slice."""
        return float((self.frame.shape[0] - 1) * self.step_mm)

    def write(self, path: Path) -> None:
        """One compressed file."""
        arrays: dict[str, Any] = {f.name: getattr(self, f.name) for f in fields(self)}
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez_compressed(file, form=np.array(FORM), **arrays)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Never unpickles; raises UnreadableInput."""
        if not path.is_file():
            raise UnreadableInput(
                found=f"no file {path.name}",
                wanted="a file that python -m training.templates build wrote",
                advice="Check the path, or build it.",
            )
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
                if int(stored["form"]) != FORM:
                    raise KeyError("form")
                return cls(**{f.name: stored[f.name] for f in fields(cls)})
        except (OSError, EOFError, KeyError, ValueError, BadZipFile) as problem:
            raise UnreadableInput(
                found=f"no template of form {FORM} in {path.name}",
                wanted="a file that python -m training.templates build wrote",
                advice="Build it again.",
            ) from problem


def angle_bin(angle_rad: Any) -> Any:
    """The fractional direction bin of an angle from the front (0) to the left (positive) and right."""
    return (angle_rad / (2 * np.pi) + 0.5) * ANGLES


BIN_ANGLE_RAD = ((np.arange(ANGLES) / ANGLES - 0.5) * 2 * np.pi).astype(np.float32)
"""The angle of every bin: 0 front, ± pi back, positive to the patient's left."""

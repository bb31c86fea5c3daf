"""Masks that somebody else drew or computed, on the grid of the CT that they belong to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
from scipy import ndimage

from inference.domain.errors import HabitusError, UnreadableInput
from inference.domain.labelmap import Structure
from inference.domain.volume import Affine, Volume
from training.label_names import structure_named
from training.real.names import CANAL_NAMES, L3_NAMES, RIB_PREFIXES, is_known

Mask = npt.NDArray[np.bool_]
SAMPLES = 11
"""Places along each axis of a CT that are looked at."""
LABELLED_SHARE = 0.9


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reference:
    """Masks by plain name; each is read when it is asked for, since a hundred of them fill the memory."""

    readers: Mapping[str, Callable[[], Mask]] = field(default_factory=dict)

    def mask(self, name: str) -> Mask | None:
        """Of that plain name."""
        reader = self.readers.get(name)
        return reader() if reader is not None else None

    def of(self, structure: Structure) -> Mask | None:
        """Of a structure, whatever it is called here; None where nobody drew it."""
        for name in self.readers:
            if structure_named(name) == structure:
                return self.mask(name)
        return None

    @property
    def is_of_nothing_known(self) -> bool:
        """Whether there are masks and none has a name that anything here is compared by."""
        return bool(self.readers) and not any(map(is_known, self.readers))

    @property
    def l3(self) -> Mask | None:
        """The whole third lumbar vertebra."""
        return next((self.mask(name) for name in self.readers if name in L3_NAMES), None)

    @property
    def canal(self) -> Mask | None:
        """The spinal canal or cord."""
        return next((self.mask(name) for name in CANAL_NAMES if name in self.readers), None)

    @property
    def ribs(self) -> Mask | None:
        """Ribs, their cartilages and the breastbone."""
        found: Mask | None = None
        for name in self.readers:
            if name.startswith(RIB_PREFIXES):
                part = self.readers[name]()
                found = part if found is None else found | part
        return found

    def cropped(self, slices: slice) -> "Reference":
        """The same in a part of the slices."""

        def part(reader: Callable[[], Mask]) -> Callable[[], Mask]:
            return lambda: reader()[slices]

        return Reference(readers={name: part(reader) for name, reader in self.readers.items()})

    def without_unreadable(self) -> tuple["Reference", tuple[str, ...]]:
        """What can be read, and what is wrong with the rest."""
        kept, problems = {}, []
        for name, reader in self.readers.items():
            try:
                # Others are never asked for, and a problem names its file, which may be called after anybody.
                if is_known(name):
                    reader()
                kept[name] = reader
            except HabitusError as problem:
                problems.append(str(problem))
        return Reference(readers=kept), tuple(dict.fromkeys(problems))

    def beside(self, other: "Reference") -> "Reference":
        """Both; where both name something, this one's."""
        return Reference(readers={**other.readers, **self.readers})


def remembered(reader: Callable[[], Mask]) -> Callable[[], Mask]:
    """Reads once and keeps a bit per voxel: a mask is asked for by every table and picture."""
    kept: list[tuple[npt.NDArray[np.uint8], tuple[int, ...]]] = []

    def read() -> Mask:
        if not kept:
            mask = reader()
            kept.append((np.packbits(mask), mask.shape))
        bits, shape = kept[0]
        return np.unpackbits(bits, count=int(np.prod(shape))).view(np.bool_).reshape(shape)

    return read


def require_all_labelled(shape: tuple[int, ...], affine_lps: Affine, volume: Volume) -> None:
    """Where a mask's grid ends within the CT nobody knows what lies beyond; raises UnreadableInput."""
    sampled = [np.linspace(0, n - 1, SAMPLES) for n in volume.shape]
    sampled[0] = np.interp(sampled[0], np.arange(volume.shape[0]), volume.places)
    places = np.stack(np.meshgrid(*sampled, indexing="ij")).reshape(3, -1)
    to_mask = np.linalg.inv(affine_lps) @ volume.affine_lps
    at = to_mask[:3, :3] @ places + to_mask[:3, 3:]
    inside = (at > -1) & (at < np.array(shape)[:, None])
    share = float(inside.all(axis=0).mean())
    if 0 < share < LABELLED_SHARE:
        raise UnreadableInput(
            found=f"labels whose grid covers {100 * share:.0f} % of the CT",
            wanted="labels of all of the CT",
            advice="Write them on the grid of that CT, or crop the CT alike.",
        )


def on_grid(mask: Mask, affine_lps: Affine, volume: Volume) -> Mask:
    """A mask of any grid on the volume's, by nearest neighbour; raises UnreadableInput where all of it lies outside."""
    if (
        mask.shape == volume.shape
        and volume.slice_places is None
        and np.allclose(affine_lps, volume.affine_lps, atol=1e-2)
    ):
        return mask
    to_mask = np.linalg.inv(affine_lps) @ volume.affine_lps
    places = volume.places
    result = np.zeros(volume.shape, np.bool_)
    for k, place in enumerate(places):
        # One slice at a time: the places of slices may be uneven.
        start = to_mask @ np.array([place, 0.0, 0.0, 1.0])
        result[k] = ndimage.affine_transform(
            mask.view(np.uint8),
            np.c_[to_mask[:3, 0], to_mask[:3, 1:3]],
            offset=start[:3],
            output_shape=(1, *volume.shape[1:]),
            order=0,
            mode="constant",
        )[0]
    if mask.any() and not result.any():
        # Called an empty reference, it would read as a network that is wrong.
        raise UnreadableInput(
            found="a mask of which nothing lies where the CT is",
            wanted="a mask in the patient space of the CT",
            advice="Write it with the affine of that CT.",
        )
    return result

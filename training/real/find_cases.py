"""Which cases lie in a folder, and what they are called: public ones by name, a site's own by number."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from inference.dicom.read_file import has_dicom_mark
from inference.domain.errors import ConfigurationInvalid
from training.real.known_cases import KnownCase, known_cases
from training.real.read_case import CT_NAMES

EXAMPLE = "example_ct"
ANATOMY_FOLDER = "anatomy"
REAL_FOLDER = "real-ct"


@dataclass(frozen=True, slots=True, kw_only=True)
class FoundCase:
    """Where a case lies."""

    path: Path
    name: str
    known: KnownCase | None

    @property
    def is_example(self) -> bool:
        """Whether it is the example CT, whose parts have a form of their own."""
        return self.name == EXAMPLE


def find_cases(folders: Sequence[Path]) -> list[FoundCase]:
    """All cases of the folders in their order; raises ConfigurationInvalid where there is none.

    A folder's name may name a patient: what is not a public case is numbered in the order of names.
    """
    found, own = [], 0
    for path in (path for folder in folders for path in _paths(folder)):
        name = path.name.removesuffix(".gz").removesuffix(".nii").removesuffix(".dcm")
        known = known_cases().get(name)
        if known is None:
            own += 1
            name = f"case-{own:03d}"
        found.append(FoundCase(path=path, name=name, known=known))
    if not found:
        raise ConfigurationInvalid(
            found="no case in the folders given",
            wanted="folders with ct.nii.gz or DICOM files, one per case",
            advice="Name the folder above them; HABITUS_REAL_CT is taken where none is named.",
        )
    return found


def _paths(folder: Path) -> Iterator[Path]:
    """A folder of cases, a case by itself, or a folder with anatomy/ and real-ct/."""
    if not folder.is_dir():
        raise ConfigurationInvalid(
            found="a folder of cases that is not there",
            wanted="a folder with one folder per case",
            advice="Check the path.",
        )
    example = folder / ANATOMY_FOLDER / f"{EXAMPLE}.nii.gz"
    if example.is_file() or (folder / REAL_FOLDER).is_dir():
        if example.is_file():
            yield example
        if (folder / REAL_FOLDER).is_dir():
            yield from _children(folder / REAL_FOLDER)
    elif any((folder / ct).is_file() for ct in CT_NAMES) or _holds_images(folder):
        yield folder
    else:
        yield from _children(folder)


def _children(folder: Path) -> Iterator[Path]:
    """Folders, and single DICOM files."""
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.suffix == ".dcm":
            yield path


def _holds_images(folder: Path) -> bool:
    """Whether DICOM files lie directly in a folder."""
    return any(path.is_file() and has_dicom_mark(path) for path in folder.iterdir())

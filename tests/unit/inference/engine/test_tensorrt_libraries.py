"""Which of TensorRT's libraries is missing is said exactly, whatever lies in the folder."""

import ctypes
from pathlib import Path

import pytest

from inference.domain.errors import ProviderUnavailable
from inference.engine.tensorrt_libraries import (
    WANTED,
    listing,
    load_libraries,
    missing_libraries,
    version_text,
)

ELEVEN = tuple(name.replace(".10", ".11") for name in WANTED)


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (WANTED, ()),
        ((*WANTED, "libnvinfer.so.10.16.1", "libcudart.so.13"), ()),
        ((), WANTED),
        (WANTED[1:], ("libnvinfer.so.10",)),
        (
            (*WANTED[1:], "libnvinfer.so.11", "libnvinfer.so.11.4.0"),
            ("libnvinfer.so.10 (found libnvinfer.so.11, libnvinfer.so.11.4.0 instead)",),
        ),
        (
            (*WANTED[1:], "libnvinfer.so.10.16.1", "libnvinfer.so"),
            (
                "libnvinfer.so.10 (libnvinfer.so.10.16.1 is there without that name:"
                " ln -s libnvinfer.so.10.16.1 libnvinfer.so.10)",
            ),
        ),
        # The plugin's name begins as the library's: it is not that library.
        (("libnvinfer_plugin.so.10", "libnvonnxparser.so.10"), ("libnvinfer.so.10",)),
        (
            ELEVEN,
            tuple(
                f"{ten} (found {eleven} instead)"
                for ten, eleven in zip(WANTED, ELEVEN, strict=True)
            ),
        ),
    ],
)
def test_what_is_missing_and_what_is_there_instead(
    names: tuple[str, ...], told: tuple[str, ...]
) -> None:
    assert missing_libraries(names) == told


def test_a_link_that_leads_nowhere_is_no_library(tmp_path: Path) -> None:
    for name in WANTED[1:]:
        (tmp_path / name).write_bytes(b"")
    (tmp_path / WANTED[0]).symlink_to("libnvinfer.so.10.16.1")

    assert missing_libraries(listing(tmp_path)) == WANTED[:1]
    assert listing(tmp_path / "not there") == ()


class Loader:
    """Loads anything, and remembers it."""

    def __init__(self, refused: str = "") -> None:
        self.loaded: list[tuple[str, int]] = []
        self.refused = refused

    def __call__(self, name: str, mode: int) -> "Loader":
        if self.refused and name.endswith(self.refused):
            raise OSError("cannot open shared object file")
        self.loaded.append((name, mode))
        return self

    def getInferLibVersion(self) -> int:  # noqa: N802 (TensorRT's name)
        return 101601


def whole(folder: Path) -> Path:
    for name in WANTED:
        (folder / name).write_bytes(b"")
    return folder


def test_they_are_loaded_in_order_for_everybody_to_see(tmp_path: Path) -> None:
    loader = Loader()

    version = load_libraries(whole(tmp_path), loader)

    assert version == "10.16.1"
    assert loader.loaded == [(str(tmp_path / name), ctypes.RTLD_GLOBAL) for name in WANTED]


def test_without_a_folder_the_systems_loader_is_asked() -> None:
    loader = Loader()
    load_libraries(None, loader)

    assert [name for name, _ in loader.loaded] == list(WANTED)
    with pytest.raises(ProviderUnavailable, match=r"no libnvinfer\.so\.10 where the system"):
        load_libraries(None, Loader(refused=WANTED[0]))


def test_nothing_is_loaded_of_a_folder_that_is_not_whole(tmp_path: Path) -> None:
    loader = Loader()
    (whole(tmp_path) / WANTED[2]).rename(tmp_path / ELEVEN[2])

    with pytest.raises(ProviderUnavailable, match=r"found libnvonnxparser\.so\.11 instead"):
        load_libraries(tmp_path, loader)
    assert loader.loaded == []


def test_one_that_does_not_load_is_named(tmp_path: Path) -> None:
    with pytest.raises(ProviderUnavailable, match=r"libnvinfer_plugin\.so\.10, which does not"):
        load_libraries(whole(tmp_path), Loader(refused=WANTED[1]))


def test_a_real_file_that_is_no_library_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ProviderUnavailable, match="which does not load"):
        load_libraries(whole(tmp_path))


def test_versions_are_those_of_the_header() -> None:
    assert version_text(100900) == "10.9.0"

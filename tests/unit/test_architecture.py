"""The house rules that import-linter cannot see."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = (
    "commands",
    "docker",
    "installation",
    "orthanc_plugin",
    "inference",
    "export_onnx",
    "training",
    "viewer",
)
SOURCES = [
    path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))
]  # fmt: skip
LINES_AT_MOST = 500
MODEL_FILE_MB = 5.0
ALL_NETWORKS_MB, WITH_CHECKPOINTS_MB = 30.0, 40.0
"""What a node loads; what a clone brings for `make onnx` besides."""


def test_every_package_folder_has_an_init_except_entry() -> None:
    # A folder without __init__.py is invisible to import-linter; entry/ must stay outside, because Orthanc puts
    # it at sys.path[0].
    folders = {path.parent for path in SOURCES}

    missing = {folder for folder in folders if not (folder / "__init__.py").exists()}

    assert missing <= {ROOT / "orthanc_plugin" / "entry"}


def test_entry_holds_one_file() -> None:
    # Orthanc puts this folder at sys.path[0]: a second module here could shadow the standard library.
    entry = ROOT / "orthanc_plugin" / "entry"

    assert len([path for path in entry.iterdir() if path.suffix == ".py"]) == 1


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_files_stay_short(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LINES_AT_MOST


@pytest.mark.parametrize("package", ["inference.domain", "inference.stages"])
def test_pure_packages_load_no_heavy_library(package: str) -> None:
    modules = sorted(
        path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in (ROOT / package.replace(".", "/")).glob("*.py")
        if path.stem != "__init__"
    )
    code = (
        f"import sys, {', '.join(modules)}\n"
        "print([m for m in ('onnxruntime', 'highdicom', 'pydicom', 'torch') if m in sys.modules])"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert loaded.strip() == "[]"


def test_help_loads_neither_numpy_nor_onnxruntime() -> None:
    code = (
        "import sys, habitus\n"
        "habitus.build_parser().format_help()\n"
        "print([m for m in ('numpy', 'onnxruntime', 'pydicom', 'rich') if m in sys.modules])"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert loaded.strip() == "[]"


def test_the_node_itself_decodes_no_pixels() -> None:
    # A codec may crash on a damaged image: only the engine child has one.
    code = (
        "import sys, orthanc_plugin.node.app\n"
        "print([m for m in sys.modules if m.endswith(('pixel_decoding', 'hounsfield', 'read_series', '.pipeline'))])"
    )

    loaded = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout

    assert loaded.strip() == "[]"


def errors_without(keyword: str, path: Path) -> list[str]:
    """Where a file makes an error with found= and wanted= but without the keyword."""
    calls = [
        (node.lineno, {argument.arg for argument in node.keywords})
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
    ]
    return [
        f"{path.name}:{line}"
        for line, given in calls
        if {"found", "wanted"} <= given and keyword not in given
    ]


@pytest.mark.parametrize(
    "path",
    [*SOURCES, ROOT / "habitus.py", ROOT / "demo.py"],
    ids=lambda path: path.relative_to(ROOT).as_posix(),
)
def test_every_error_says_what_to_do(path: Path) -> None:
    assert errors_without("advice", path) == []


def test_every_test_that_guards_an_invariant_exists() -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(tests/[\w/]+\.py)`", text))

    assert {name for name in named if not (ROOT / name).is_file()} == set()
    assert len(named) > 8


def test_models_are_small_enough_for_a_clone() -> None:
    sizes_mb = {
        path.relative_to(ROOT).as_posix(): path.stat().st_size / 1e6
        for path in (ROOT / "models").glob("[!.]*/*")
    }

    assert {name: size for name, size in sizes_mb.items() if size > MODEL_FILE_MB} == {}
    networks_mb = [size for name, size in sizes_mb.items() if name.endswith(".onnx")]
    assert 0 < sum(networks_mb) <= ALL_NETWORKS_MB
    assert sum(sizes_mb.values()) <= WITH_CHECKPOINTS_MB


def test_every_dependency_is_named_with_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    named = [
        *project["project"]["dependencies"],
        *(d for extra in project["project"]["optional-dependencies"].values() for d in extra),
        *(d for group in project["dependency-groups"].values() for d in group),
    ]
    table = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")

    names = {d.split(">")[0].split("=")[0].split("[")[0] for d in named}

    assert {name for name in names if f"`{name}`" not in table} == set()


def test_every_module_that_is_named_as_a_command_can_be_run() -> None:
    """`python -m training.evaluate_painted` once did nothing and ended with status 0."""
    texts = [
        ROOT / "Makefile",
        *ROOT.glob("*.md"),
        *ROOT.glob("docs/*.md"),
        *ROOT.glob("*/README.md"),
    ]
    named = {
        module
        for path in texts
        for module in re.findall(r"python -m ([a-z_][a-z0-9_.]*[a-z0-9_])", path.read_text("utf-8"))
        if (ROOT / module.split(".")[0]).is_dir()
    }

    silent = [
        module for module in sorted(named) if not _is_command(ROOT / module.replace(".", "/"))
    ]

    assert len(named) > 10
    assert silent == []


def _is_command(place: Path) -> bool:
    entry = place / "__main__.py" if place.is_dir() else place.with_suffix(".py")
    return entry.is_file() and '__name__ == "__main__"' in entry.read_text("utf-8")

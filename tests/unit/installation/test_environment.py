"""The environment of a release: where its packages come from, and what is tried before a release counts as finished."""

from pathlib import Path

import pytest

from inference.domain.errors import ConfigurationInvalid
from installation.environment import make_environment, pip_command
from tests.unit.installation.small_tree import small_tree


def test_a_model_that_is_unusable_ends_the_installation(tmp_path: Path) -> None:
    tree = small_tree(tmp_path / "tree")
    (tree / "habitus.py").write_text(
        "import sys\nif sys.argv[1] == 'models':\n    sys.exit('organs UNUSABLE')\n"
    )

    with pytest.raises(ConfigurationInvalid, match="UNUSABLE"):
        make_environment(tree, "cpu", None)


def test_beside_a_folder_of_wheels_no_registry_is_asked(tmp_path: Path) -> None:
    online = pip_command(tmp_path, "gpu", None)
    offline = pip_command(tmp_path, "gpu", tmp_path / "wheels")

    assert set(offline) - set(online) == {"--no-index", "--find-links", tmp_path / "wheels"}
    assert "--require-hashes" in offline
    assert online[-2:] == ("-r", tmp_path / "requirements" / "gpu.txt")

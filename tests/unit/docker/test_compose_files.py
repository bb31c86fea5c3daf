"""What must be so of the compose file and the image whatever is edited there."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from orthanc_plugin.node.settings_file import load_settings
from tests.containers.readme_commands import commands_of, readme_commands
from tests.orthanc_process import REPOSITORY_ROOT

DOCKER = REPOSITORY_ROOT / "docker"


def compose() -> dict[str, Any]:
    return dict(YAML(typ="safe").load((DOCKER / "compose.yaml").read_text()))


@pytest.mark.parametrize("service", ["orthanc", "node", "viewer", "demo"])
def test_every_container_is_closed(service: str) -> None:
    found = compose()["services"][service]

    assert found["read_only"] is True
    assert found["cap_drop"] == ["ALL"]
    assert found["security_opt"] == ["no-new-privileges:true"]
    assert found["user"] == "10001:10001"
    # Orthanc takes 2.6 s to stop; with less than that it would be killed.
    assert found["stop_grace_period"] == "30s"


def test_the_viewer_sees_no_password_and_no_image() -> None:
    volumes = compose()["services"]["viewer"]["volumes"]

    assert volumes == ["certificate:/var/lib/habitus-certificate:ro"]


def test_nothing_but_dicom_and_https_is_published_to_other_hosts() -> None:
    published = {
        name: [port.rsplit(":", 1)[1] for port in service.get("ports", [])]
        for name, service in compose()["services"].items()
    }

    assert published == {"orthanc": ["4242"], "node": ["9645"], "viewer": ["8443"], "demo": []}
    assert compose()["services"]["node"]["ports"][0].startswith(
        "${HABITUS_METRICS_ADDRESS:-127.0.0.1}:"
    )


def test_the_example_of_settings_names_what_the_compose_files_ask_for() -> None:
    text = (DOCKER / "compose.yaml").read_text() + (DOCKER / "compose.gpu.yaml").read_text()
    asked = dict(re.findall(r"\$\{(HABITUS_\w+):-([^}]+)\}", text))
    lines = (DOCKER / ".env.example").read_text().splitlines()
    given = dict(line.split("=", 1) for line in lines if line and not line.startswith("#"))

    assert given == {name: value for name, value in asked.items() if name in given}
    assert set(asked) - set(given) == {"HABITUS_TENSORRT"}


def test_the_nodes_settings_are_read_and_agree_with_the_image() -> None:
    settings = load_settings(DOCKER / "habitus.toml")
    dockerfile = (DOCKER / "Dockerfile").read_text()

    assert f"-m 700 \\\n    {settings.data_folder} " in dockerfile
    assert "WORKDIR /opt/habitus" in dockerfile
    assert settings.engine.models_folder == Path("/opt/habitus/models")


def test_the_images_version_is_that_of_the_project() -> None:
    project = tomllib.loads((REPOSITORY_ROOT / "pyproject.toml").read_text())["project"]
    versions = re.findall(r"^ARG VERSION=(.+)$", (DOCKER / "Dockerfile").read_text(), re.MULTILINE)

    assert versions == [project["version"]] * 3


def test_all_that_the_image_runs_can_be_imported_from_what_it_holds(tmp_path: Path) -> None:
    stage = (DOCKER / "Dockerfile").read_text().split(" AS runtime\n")[1].split("\nFROM ")[0]
    lines = stage.splitlines()
    copied = [words[1:] for line in lines if (words := line.split())[:1] == ["COPY"]]
    for *sources, target in copied:
        if target.startswith("/") or sources[0].startswith("--"):
            continue
        for source in sources:
            path = REPOSITORY_ROOT / source
            place = (
                tmp_path
                / (target if path.is_dir() else Path(source).parent)
                / ("" if path.is_dir() else path.name)
            )
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)

    program = (
        "import docker.start, docker.health, docker.demo, habitus, commands.synth, commands.doctor,"
        " orthanc_plugin.node.app, inference.pipeline, training.synthetic.demo_series,"
        " training.templates.series"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=tmp_path,
        env={"PYTHONPATH": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_the_readmes_commands_are_found() -> None:
    text = "# A\n## With Docker\n\n```\ncd docker\ndocker compose up -d    # all\n```\n"

    assert commands_of(text) == ["cd docker", "docker compose up -d"]
    assert readme_commands()[0] == "cd docker"
    assert len(readme_commands()) == 5

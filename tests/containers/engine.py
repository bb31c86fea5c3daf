"""buildah and podman with storage of their own, so that nothing of the machine's own containers is touched."""

import os
import resource
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid, InferenceFailed

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / ".containers"
TOOLS = ("buildah", "podman", "runc", "mmdebstrap", "nsenter", "unshare", "ip", "storescu")
AUTHORITIES = Path("/etc/ssl/certs/ca-certificates.crt")
DEBIAN_SOURCES = (
    Path("/etc/apt/sources.list.d/debian.sources"),
    Path("/etc/apt/sources.list"),
)
MACHINE_RELEASE = "bookworm"
"""Whose name is replaced by that of the release wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Engine:
    """Builds images and knows where they lie."""

    folder: Path = FOLDER
    environment: dict[str, str] = field(default_factory=lambda: dict(os.environ))

    def prepare(self) -> None:
        """Storage and settings; raises ConfigurationInvalid where a tool is missing."""
        require_tools()
        self.folder.mkdir(mode=0o700, exist_ok=True)
        storage, containers = self.folder / "storage.conf", self.folder / "containers.conf"
        storage.write_text(
            f'[storage]\ndriver="overlay"\nrunroot="{self.folder}/run"\ngraphroot="{self.folder}/graph"\n'
        )
        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        # crun refuses hybrid control groups; without limits of our own runc may not raise them.
        containers.write_text(
            f'[containers]\ndefault_ulimits=["nofile={most}:{most}","nproc=4000:4000"]\n'
            '[engine]\nruntime="runc"\ncgroup_manager="cgroupfs"\n'
            # podman 4.3 picks CNI otherwise, and service names do not resolve.
            '[network]\nnetwork_backend="netavark"\n'
        )
        self.environment.update(
            CONTAINERS_STORAGE_CONF=str(storage),
            CONTAINERS_CONF=str(containers),
            BUILDAH_ISOLATION="chroot",
            PATH=f"{ROOT / '.venv-containers/bin'}:{os.environ['PATH']}",
        )

    def base(self, release: str) -> str:
        """A minimal Debian as an image, made once from the machine's own package sources."""
        name = f"localhost/habitus-base:{release}"
        if self.run("podman", "image", "exists", name, may_fail=True).returncode == 0:
            return name
        sources = next(path for path in DEBIAN_SOURCES if path.is_file())
        wanted = self.folder / f"debian-{release}{sources.suffix}"
        wanted.write_text(sources.read_text().replace(MACHINE_RELEASE, release))
        archive = self.folder / f"base-{release}.tar"
        # Without ca-certificates the authorities mounted for a build stand in the way of its installation.
        include = "--include=ca-certificates"
        self.run("mmdebstrap", "--variant=minbase", include, release, str(archive), str(wanted))
        self.run("podman", "import", "--quiet", str(archive), name)
        archive.unlink()
        return name

    def build_options(self) -> list[str]:
        """What this machine needs for a build: its network, and the authorities it trusts; OCI's format knows no health check."""
        return [
            "--pull=never",
            "--format",
            "docker",
            "--network=host",
            "--volume",
            f"{AUTHORITIES}:{AUTHORITIES}:ro",
        ]

    def size_mb(self, image: str) -> float:
        """Unpacked, as `docker images` tells it."""
        told = self.run("podman", "image", "inspect", "--format", "{{.Size}}", image)
        return int(told.stdout) / 1e6

    def run(self, *command: str, may_fail: bool = False) -> subprocess.CompletedProcess[str]:
        """From the repository's root; raises InferenceFailed."""
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, check=False
        )
        if done.returncode != 0 and not may_fail:
            raise InferenceFailed(
                found=f"{' '.join(command)[:200]} ended with {done.returncode}: {(done.stdout + done.stderr)[-1500:]}",
                wanted="exit status 0",
            )
        return done


def require_tools() -> None:
    """Raises ConfigurationInvalid."""
    if os.geteuid() != 0:
        raise ConfigurationInvalid(
            found="a user that is not root",
            wanted="root, for network namespaces",
            advice="sudo make container-check",
        )
    found = subprocess.run(["sh", "-c", 'for t; do command -v "$t" >/dev/null || echo "$t"; done', "-", *TOOLS],
        capture_output=True, text=True, check=True).stdout.split()  # fmt: skip
    if found:
        raise ConfigurationInvalid(
            found=f"no {', '.join(found)}",
            wanted="the tools that build and run containers",
            advice="Run make container-check, which installs them.",
        )

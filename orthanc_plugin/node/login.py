"""User and password for REST: where the password lies, and how both are written."""

from pathlib import Path

from requests.auth import HTTPBasicAuth

from inference.domain.errors import ConfigurationInvalid


def basic(user: str, password: str) -> HTTPBasicAuth:
    """In UTF-8, as Orthanc compares it; requests alone writes Latin 1, which has no Korean letter."""
    return HTTPBasicAuth(user.encode(), password.encode())


def password_in(path: Path) -> str:
    """What the file that [orthanc] password_file names holds; raises ConfigurationInvalid."""
    try:
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as exc:
        raise ConfigurationInvalid(
            found=f"no readable {path.name} ({type(exc).__name__})",
            wanted="the file that [orthanc] password_file names",
            advice="Make it, readable by the node's user alone, with the password of [orthanc] user in UTF-8 and nothing else.",
        ) from exc

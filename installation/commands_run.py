"""Runs other programs; what they said becomes an error that says what to do."""

import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from inference.domain.errors import ConfigurationInvalid

_SHOWN = 600


def run(
    command: Sequence[str | Path],
    advice: str,
    *,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> str:
    """What it prints; raises ConfigurationInvalid where it ends with another status than 0."""
    named = Path(command[0]).name
    try:
        done = subprocess.run(
            [str(each) for each in command],
            cwd=folder,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    except OSError as exc:
        raise ConfigurationInvalid(
            found=f"{named} cannot be started ({exc.strerror})", wanted=named, advice=advice
        ) from exc
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip())[-_SHOWN:]
        raise ConfigurationInvalid(
            found=f"{named} ended with {done.returncode}: {said}",
            wanted="exit status 0",
            advice=advice,
        )
    return done.stdout

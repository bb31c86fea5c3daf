"""Which code a checkpoint was made by."""

import subprocess


def code_revision() -> str:
    """The commit of the working tree, or "unknown" where there is no git."""
    try:
        asked = subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return "unknown"
    return asked.stdout.strip() if asked.returncode == 0 else "unknown"

"""Whether results can be put into a folder, asked before minutes of work."""

from pathlib import Path


def check_writable(folder: Path) -> None:
    """Before minutes of work: results could be put there."""
    from tempfile import TemporaryDirectory

    from inference.domain.errors import ConfigurationInvalid

    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    try:
        # Asking for permissions is not enough: root may "write" to /proc and cannot.
        with TemporaryDirectory(prefix=".habitus-", dir=existing):
            return
    except OSError as exc:
        raise ConfigurationInvalid(
            found=f"{existing}, which is no folder we may write to",
            wanted="a folder for the results",
            advice="Name another folder.",
        ) from exc

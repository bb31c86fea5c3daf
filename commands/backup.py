"""habitus backup"""

import argparse
import sys
from pathlib import Path

from commands.copy_progress import CopyProgress
from commands.named_path import named_path


def add_options(backup: argparse.ArgumentParser) -> None:
    """Arguments and help."""
    backup.add_argument("out", type=named_path, metavar="OUT", help="a new folder for the backup")
    backup.add_argument(
        "--settings", type=Path, default=Path("habitus.toml"), help="default: habitus.toml here"
    )
    backup.add_argument(
        "--images",
        type=named_path,
        metavar="ORTHANC_STORAGE",
        help="the images, too: the folder of Orthanc's StorageDirectory; Orthanc must be stopped for it",
    )
    backup.formatter_class = argparse.RawDescriptionHelpFormatter
    backup.epilog = """\
The node may work meanwhile. Run it as the node's user or as root. What is written holds patient data (results, images): it is for its
owner alone (0700, 0600); keep it as you keep images. The folder appears when all is on the disk; settings, passwords and certificates are
not in it (docs/backup.md).

examples:
  habitus backup /mnt/backup/habitus-$(date +%F) --settings /etc/habitus/habitus.toml
  habitus backup /mnt/backup/habitus-$(date +%F) --settings /etc/habitus/habitus.toml --images /var/lib/orthanc/habitus

exit status: 0 whole · 1 taken, but a file that the journal or Orthanc's index names is missing or changed (listed), or the disk failed
and nothing was left · 2 wrong arguments or settings, or Orthanc runs and --images was given
"""


def run(options: argparse.Namespace) -> int:
    """habitus backup"""
    from inference.pipeline import CODE_VERSION
    from orthanc_plugin.node.backup import take_backup
    from orthanc_plugin.node.settings_file import load_settings

    settings = load_settings(options.settings)
    with CopyProgress(sys.stderr) as progress:
        manifest = take_backup(options.out, settings, CODE_VERSION, progress, options.images)
    sys.stdout.write(
        f"{options.out}: {len(manifest.files)} files, journal version {manifest.schema}\n"
    )
    for name in manifest.lost:
        sys.stdout.write(f"missing or changed on the disk, not in the backup: {name}\n")
    if manifest.lost:
        sys.stderr.write(
            f"habitus: found {len(manifest.lost)} files missing or changed that are still named; wanted all of them. "
            "Check the disk, and run those jobs again from the page; the rest of the backup is whole.\n"
        )
    return 1 if manifest.lost else 0

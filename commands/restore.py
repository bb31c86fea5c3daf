"""habitus restore"""

import argparse
import os
import sys
from pathlib import Path

from commands.copy_progress import CopyProgress
from commands.named_path import named_path


def add_options(restore: argparse.ArgumentParser) -> None:
    """Arguments and help."""
    restore.add_argument(
        "backup", type=named_path, metavar="BACKUP", help="a folder that habitus backup wrote"
    )
    restore.add_argument(
        "--settings", type=Path, default=Path("habitus.toml"), help="default: habitus.toml here"
    )
    restore.add_argument(
        "--images",
        type=named_path,
        metavar="ORTHANC_STORAGE",
        help="the images, too, into the folder of Orthanc's StorageDirectory",
    )
    restore.formatter_class = argparse.RawDescriptionHelpFormatter
    restore.epilog = """\
Orthanc and the node must be stopped, and the folders empty: nothing is overwritten. Every byte is checked; a backup that is damaged
leaves the folders as they were. As root, files are given to whoever has the folder, else to the user that had it.

examples:
  habitus restore /mnt/backup/habitus-2026-11-22 --settings /etc/habitus/habitus.toml
  habitus restore /mnt/backup/habitus-2026-11-22 --settings /etc/habitus/habitus.toml --images /var/lib/orthanc/habitus

exit status: 0 restored · 1 the disk failed · 2 wrong arguments or settings, a node that runs, or a folder that is not empty ·
4 a damaged, foreign or newer backup
"""


def run(options: argparse.Namespace) -> int:
    """habitus restore"""
    from orthanc_plugin.node.restore import restore_backup
    from orthanc_plugin.node.settings_file import load_settings

    settings = load_settings(options.settings)
    with CopyProgress(sys.stderr) as progress:
        manifest = restore_backup(options.backup, settings, progress, options.images)
    sys.stdout.write(
        f"restored as of {manifest.began_at}: {len(manifest.of('data'))} files of the node"
        + (f", {len(manifest.of('images'))} of Orthanc\n" if options.images else "\n")
    )
    if manifest.has_images and not options.images:
        sys.stdout.write("its images were left in the backup: --images restores them\n")
    if os.geteuid() == 0 and settings.data_folder.stat().st_uid == 0:
        sys.stdout.write(
            "the files belong to root: give them to the node's user with chown -R before the start\n"
        )
    return 0

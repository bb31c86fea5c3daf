"""python -m orthanc_plugin.node --settings habitus.toml (--standalone | --parent PID)."""

import argparse
import os
import sys
from pathlib import Path

from inference.domain.errors import HabitusError
from orthanc_plugin.node.app import run
from orthanc_plugin.node.logs import configure_logs, logger
from orthanc_plugin.node.process_guard import die_with_parent
from orthanc_plugin.node.settings_in_force import SettingsInForce


def main() -> int:
    """Parse the command line and run the node."""
    parser = argparse.ArgumentParser(prog="python -m orthanc_plugin.node", description=__doc__)
    parser.add_argument("--settings", type=Path, required=True, help="habitus.toml")
    mode = parser.add_mutually_exclusive_group(required=True)
    mode.add_argument("--standalone", action="store_true", help="a unit of its own")
    mode.add_argument("--parent", type=int, metavar="PID", help="the Orthanc that started it")
    arguments = parser.parse_args()
    if arguments.parent is not None:
        die_with_parent(arguments.parent)
    os.umask(0o077)
    configure_logs()
    try:
        run(SettingsInForce(arguments.settings), arguments.parent)
    except HabitusError as error:
        logger().critical("node-not-started", reason=error.code)
        sys.stderr.write(f"{error}\n")
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())

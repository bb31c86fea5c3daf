"""python -m tests.installation (install | bundle): what a hospital does, in a bare Debian root; needs root and mmdebstrap."""

import argparse
import sys
from pathlib import Path

from tests.installation.bundle_trial import try_bundle
from tests.installation.install_trial import try_installation


def main() -> int:
    """Returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m tests.installation", description=__doc__)
    parser.add_argument("trial", choices=("install", "bundle"))
    parser.add_argument("--work", type=Path, required=True, help="folder with 5 GB of room")
    parser.add_argument(
        "--bundles", type=Path, default=Path("out"), help="where make bundle left it"
    )
    parser.add_argument("--out", type=Path, help="page with the bundle's table")
    options = parser.parse_args()
    if options.trial == "install":
        try_installation(options.work)
    else:
        try_bundle(options.bundles, options.work, options.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())

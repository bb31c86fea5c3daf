"""make ohif: serve OHIF for a demo that was left running, or for an Orthanc of yours, until Ctrl-C."""

import argparse
import signal
import sys
from contextlib import suppress

from inference.domain.errors import ConfigurationInvalid, HabitusError
from viewer.install import FOLDER, is_installed
from viewer.links import described, result_links
from viewer.orthanc_access import OrthancAccess, chosen_orthanc
from viewer.serve import running_viewer

PORT = 8180


def main() -> int:
    """Parse the command line, serve; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m viewer", description=__doc__)
    parser.add_argument("--orthanc", default="", help="http://host:port; none: the demo's PACS")
    parser.add_argument("--user", default="", help="a user of that Orthanc")
    parser.add_argument("--password-file", default="", help="file that holds the password")
    parser.add_argument("--port", type=int, default=PORT, help="on 127.0.0.1")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        orthanc = chosen_orthanc(options.orthanc, options.user, options.password_file)
        if orthanc is None:
            sys.stdout.write(
                "OHIF is installed. See the demo in it: make demo KEEP=1. Your own Orthanc: make ohif ORTHANC=http://host:port.\n"
            )
            return 0
        serve(orthanc, options.port)
    except HabitusError as error:
        sys.stderr.write(f"ohif: {error}\n")
        return error.exit_status
    except KeyboardInterrupt:
        return 130
    return 0


def serve(orthanc: OrthancAccess, port: int) -> None:
    """Until Ctrl-C."""
    if not is_installed():
        raise ConfigurationInvalid(
            found="no OHIF under .viewer", wanted="an installed OHIF", advice="Run make ohif."
        )
    with running_viewer(orthanc, port=port, folder=FOLDER / "run") as url:
        sys.stdout.write(described(url, result_links(url)) + "Ctrl-C ends it.\n")
        sys.stdout.flush()
        with suppress(KeyboardInterrupt):
            signal.pause()


if __name__ == "__main__":
    sys.exit(main())

"""Whether a container works, for its health check: python -m docker.health (orthanc | node); exit status 0 or 1."""

import sys

import requests

from docker.start import Places

TIMEOUT_S = 4.0
URLS = {
    "orthanc": "http://127.0.0.1:8042/habitus/health/live",
    "node": "http://127.0.0.1:9645/live",
}


def main() -> int:
    """Ask the container's own process."""
    (role,) = sys.argv[1:]
    session = requests.Session()
    session.trust_env = False
    if role == "orthanc":
        password = Places().password_of("habitus").read_text(encoding="utf-8").strip()
        session.auth = ("habitus", password)
    try:
        return 0 if session.get(URLS[role], timeout=TIMEOUT_S).ok else 1
    except requests.RequestException:
        return 1


if __name__ == "__main__":
    sys.exit(main())

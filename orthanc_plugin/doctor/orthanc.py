"""The live Orthanc: whether it lets us in, its version, our plugin in it, what it says of its settings, its clock."""

import re
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from orthanc_plugin.doctor.finding import Finding, ill, noted, well
from orthanc_plugin.doctor.orthanc_rest import OrthancRest
from orthanc_plugin.node.settings import Settings
from orthanc_plugin.node.site_time import SiteClock

OLDEST = (1, 10, 1)
"""Debian 12's, with which the tests run."""
CLOCKS_APART_S = 5.0
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")


def orthanc(rest: OrthancRest, system: Mapping[str, Any], settings: Settings) -> Iterator[Finding]:
    """After it has let us in."""
    yield _version(rest, str(system["Version"]))
    yield _plugin(rest)
    yield from _own_words(system)
    yield _clock(rest)
    yield _zone(settings)


def _version(rest: OrthancRest, version: str) -> Finding:
    match = _VERSION.match(version)
    if match and tuple(map(int, match.groups())) < OLDEST:
        return ill(
            "orthanc",
            found=f"Orthanc {version}",
            wanted=f"{'.'.join(map(str, OLDEST))} or later",
            advice="Update Orthanc: older ones were never tried with Habitus.",
        )
    return well("orthanc", f"{version} at {rest.entrance.shown}")


def _plugin(rest: OrthancRest) -> Finding:
    reply = rest.ask("GET", "/habitus/status")
    if reply.status == 404:
        plugins = rest.ask("GET", "/plugins").json
        has_python = isinstance(plugins, list) and "python" in plugins
        return ill(
            "plugin",
            found="the Python plugin without ours" if has_python else "no Python plugin",
            wanted="/habitus/status to be answered",
            advice="See PythonScript, and the section Habitus, in Orthanc's configuration; Orthanc's log says why it was"
            " not started."
            if has_python
            else "apt-get install orthanc-python, and name its library among Plugins.",
        )
    if reply.status == 403:
        return ill(
            "plugin",
            found="a user without a role at Habitus",
            wanted="at least viewer",
            advice="Name the user in Habitus.Roles of Orthanc's configuration.",
        )
    if not reply.is_good:
        return ill(
            "plugin",
            found=f"HTTP {reply.status} for /habitus/status",
            wanted="an answer",
            advice="Orthanc's log says why.",
        )
    node = reply.record.get("node", {})
    kind = "starts the node" if node.get("supervised") else "leaves the node to its own unit"
    if node.get("supervised") and not node.get("running"):
        return ill(
            "plugin",
            found=f"a plugin whose node does not stay up ({node.get('starts')} starts, last exit status"
            f" {node.get('last_exit_code')})",
            wanted="one that runs",
            advice="Its last words are in Orthanc's log; habitus doctor run by Orthanc's user may show why.",
        )
    return well("plugin", f"loaded, {kind}")


def _own_words(system: Mapping[str, Any]) -> Iterator[Finding]:
    """What newer versions tell of their configuration; the file says more."""
    if system.get("OverwriteInstances") is True:
        yield ill(
            "OverwriteInstances",
            found="true: an image that is sent again takes the place of the first without a word",
            wanted="false",
            advice="Set it in Orthanc's configuration.",
        )
    if system.get("MaximumStorageSize") or system.get("MaximumPatientCount"):
        yield noted(
            "recycling",
            "Orthanc deletes its oldest patients when its limit is reached; Habitus protects those with open jobs only",
            "Set MaximumStorageSize and MaximumPatientCount to 0 where nothing may go; [retention] deletes by confirmed delivery.",
        )


def _clock(rest: OrthancRest) -> Finding:
    """Orthanc's own route: a Date header would be that of a proxy, and Orthanc sends none."""
    before = time.time()
    text = rest.ask("GET", "/tools/now").body.decode("ascii", "replace").strip()
    ours = (before + time.time()) / 2
    try:
        theirs = datetime.strptime(text[:15], "%Y%m%dT%H%M%S").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return noted("clock", "Orthanc does not tell its time", "Compare the two by hand.")
    apart_s = theirs - ours
    if abs(apart_s) > CLOCKS_APART_S:
        return ill(
            "clock",
            found=f"Orthanc's clock {abs(apart_s):.0f} s {'ahead of' if apart_s > 0 else 'behind'} this machine's",
            wanted=f"at most {CLOCKS_APART_S:.0f} s between them",
            advice="Set both by NTP (timedatectl set-ntp true).",
        )
    return well("clock", "Orthanc's and this machine's agree")


def _zone(settings: Settings) -> Finding:
    clock = SiteClock(zone_name=settings.time_zone)
    text = clock.described(time.time())
    named = [rule.name for rule in settings.rules if rule.hours or rule.window]
    if named and not settings.time_zone:
        return noted(
            "time zone",
            f"rule {named[0]} goes by the time of day, in {text}",
            "Name the site's zone as time_zone in habitus.toml: servers often run in UTC.",
        )
    return well("time zone", text)

"""Mistakes in settings that only show when several keys are seen together."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.datadict import dictionary_VR, keyword_dict

from inference.engine.providers import PROVIDERS
from orthanc_plugin.node.destinations import Destination, DestinationKind, Verification
from orthanc_plugin.node.routing_rules import Mode, Priority, Rule, TagTest
from orthanc_plugin.node.settings import DiskSettings, OrthancAccess, Settings
from orthanc_plugin.node.settings_types import usable_path
from orthanc_plugin.node.toml_places import Place, shown

_NUMBERS = frozenset({"DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"})
_NO_TEXT = frozenset({"AT", "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "UN"})
"""Value representations (PS3.5 6.2) that rules cannot look at: Orthanc tells no text of them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Something in the file that cannot be used."""

    place: Place
    found: str
    instead: str


def contradictions(settings: Settings, profiles: Sequence[str]) -> Iterator[Mistake]:
    """Every one; `profiles` are the names of those that there are."""
    yield from _unknown(settings.engine.profile, profiles, ("engine", "profile"))
    for number, provider in enumerate(settings.engine.providers):
        if provider not in PROVIDERS:
            place = ("engine", "providers", number)
            found = f"{shown(place)} = {provider!r:.60}"
            yield Mistake(place=place, found=found, instead=f"one of {', '.join(PROVIDERS)}")
    yield from _of_login(settings.orthanc)
    yield from _of_disk(settings.disk)
    yield from _repeated([each.name for each in settings.destinations], "destinations")
    yield from _repeated([each.name for each in settings.rules], "rules")
    for number, destination in enumerate(settings.destinations):
        yield from _of_destination(destination, ("destinations", number))
    names = [each.name for each in settings.destinations]
    for number, rule in enumerate(settings.rules):
        yield from _of_rule(rule, names, profiles, ("rules", number))
    yield from _never_asked(settings.rules)


def nearest(name: str, known: Iterable[str]) -> str:
    """The known name that was meant, or else all of them where they are few."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    if close:
        return repr(close[0])
    return f"one of {', '.join(names) or 'none'}" if len(names) <= 20 else "a known name"


def _unknown(name: str, known: Sequence[str], place: Place) -> Iterator[Mistake]:
    if name not in known:
        found = f"{shown(place)} = {name!r:.60}"
        yield Mistake(place=place, found=found, instead=nearest(name, known))


def _repeated(names: Sequence[str], table: str) -> Iterator[Mistake]:
    for number, name in enumerate(names):
        if name in names[:number]:
            yield Mistake(
                place=(table, number, "name"),
                found=f"the same name {name!r} in two {table}",
                instead="each name once",
            )


def _of_login(access: OrthancAccess) -> Iterator[Mistake]:
    if access.password_file is not None and not access.user:
        yield Mistake(
            place=("orthanc", "password_file"),
            found="orthanc.password_file without orthanc.user",
            instead="both",
        )


def _of_disk(disk: DiskSettings) -> Iterator[Mistake]:
    if 0 < disk.high_free_mb < disk.critical_free_mb:
        yield Mistake(
            place=("disk",),
            found=f"disk.critical_free_mb = {disk.critical_free_mb:g} above disk.high_free_mb = {disk.high_free_mb:g}",
            instead="jobs to wait before images are refused",
        )


def _of_destination(destination: Destination, place: Place) -> Iterator[Mistake]:
    if destination.kind is DestinationKind.FOLDER and destination.target is None:
        yield Mistake(
            place=(*place, "kind"),
            found=f"a folder without {shown((*place, 'target'))}",
            instead="target to be the folder's path",
        )
    elif destination.kind is DestinationKind.FOLDER:
        try:
            usable_path(destination.target)
        except ValueError as error:
            found = f"{shown((*place, 'target'))} = {destination.target!r:.60}"
            yield Mistake(place=(*place, "target"), found=found, instead=str(error))
    is_modality = destination.kind is DestinationKind.MODALITY
    if destination.verify is Verification.COMMITMENT and not is_modality:
        yield Mistake(
            place=(*place, "verify"),
            found=f"{shown((*place, 'verify'))} = 'commitment' at a destination of kind {destination.kind}",
            instead="it at a modality alone, or 'auto'",
        )
    if destination.password_file and destination.kind is not DestinationKind.PEER:
        yield Mistake(
            place=(*place, "password_file"),
            found=f"{shown((*place, 'password_file'))} at a destination of kind {destination.kind}",
            instead="it at a peer alone; Orthanc's configuration has the other passwords",
        )


def _of_rule(
    rule: Rule, destinations: Sequence[str], profiles: Sequence[str], place: Place
) -> Iterator[Mistake]:
    if rule.profile is not None:
        yield from _unknown(rule.profile, profiles, (*place, "profile"))
    for number, name in enumerate(rule.destinations or ()):
        yield from _unknown(name, destinations, (*place, "destinations", number))
    for keyword, test in rule.tags.items():
        yield from _of_tag(keyword, test, (*place, "tags", keyword))
    if rule.priority is Priority.OFF_PEAK and rule.window is None:
        yield Mistake(
            place=(*place, "priority"),
            found=f"priority off-peak without {shown((*place, 'window'))}",
            instead='the time of day that is off-peak, such as window = "22:00-06:00"',
        )
    if rule.priority is not Priority.OFF_PEAK and rule.window is not None:
        yield Mistake(
            place=(*place, "window"),
            found=f"{shown((*place, 'window'))} with priority {rule.priority}",
            instead='it with priority = "off-peak" alone; hours is the condition',
        )
    if rule.mode is Mode.SHADOW and rule.destinations is not None:
        yield Mistake(
            place=(*place, "destinations"),
            found=f"{shown((*place, 'destinations'))} with mode shadow",
            instead="none: shadow sends nothing",
        )


def _of_tag(keyword: str, test: TagTest, place: Place) -> Iterator[Mistake]:
    if keyword not in keyword_dict:
        yield Mistake(
            place=place,
            found=f"{shown(place)}, which is no DICOM keyword",
            instead=nearest(keyword, keyword_dict),
        )
        return
    is_range = test.at_least is not None or test.at_most is not None
    if [test.equals is not None, test.matches is not None, is_range].count(True) != 1:
        yield Mistake(
            place=place,
            found=f"{shown(place)} with no test, or with several",
            instead="a text, or one of equals, matches, at_least and at_most (the last two may stand together)",
        )
    kinds = set(dictionary_VR(keyword).split(" or "))
    if kinds <= _NO_TEXT:
        yield Mistake(
            place=place,
            found=f"{shown(place)}, which is never a text (VR {dictionary_VR(keyword)})",
            instead="a tag that is a text or a number",
        )
    elif is_range and not kinds & _NUMBERS:
        yield Mistake(
            place=place,
            found=f"a range of {shown(place)}, which is no number (VR {dictionary_VR(keyword)})",
            instead="equals or matches",
        )
    if test.at_least is not None and test.at_most is not None and test.at_least > test.at_most:
        yield Mistake(
            place=place,
            found=f"{shown(place)} with at_least = {test.at_least:g} above at_most = {test.at_most:g}",
            instead="a range that some number is in",
        )


def _never_asked(rules: Sequence[Rule]) -> Iterator[Mistake]:
    for number, rule in enumerate(rules[:-1]):
        if rule.takes_everything:
            yield Mistake(
                place=("rules", number + 1),
                found=f"rule {rules[number + 1].name!r}, which is never asked: {rule.name!r} before it takes everything",
                instead="the rule without conditions last",
            )
            return

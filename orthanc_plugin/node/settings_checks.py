"""Mistakes in settings that only show when several keys are seen together."""

import difflib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from pydicom.datadict import keyword_dict

from inference.domain.analysis_profile import profile_names
from orthanc_plugin.node.destinations import Destination, DestinationKind, Verification
from orthanc_plugin.node.routing_rules import Mode, Priority, Rule, TagTest
from orthanc_plugin.node.settings import Settings
from orthanc_plugin.node.toml_places import Place, shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Mistake:
    """Something in the file that cannot be used."""

    place: Place
    found: str
    instead: str


def contradictions(settings: Settings) -> Iterator[Mistake]:
    """Every one."""
    yield from _unknown(settings.engine.profile, profile_names(), ("engine", "profile"))
    yield from _repeated([each.name for each in settings.destinations], "destinations")
    yield from _repeated([each.name for each in settings.rules], "rules")
    for number, destination in enumerate(settings.destinations):
        yield from _of_destination(destination, ("destinations", number))
    names = [each.name for each in settings.destinations]
    for number, rule in enumerate(settings.rules):
        yield from _of_rule(rule, names, ("rules", number))
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


def _of_destination(destination: Destination, place: Place) -> Iterator[Mistake]:
    if destination.kind is DestinationKind.FOLDER and destination.target is None:
        yield Mistake(
            place=(*place, "kind"),
            found=f"a folder without {shown((*place, 'target'))}",
            instead="target to be the folder's path",
        )
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


def _of_rule(rule: Rule, destinations: Sequence[str], place: Place) -> Iterator[Mistake]:
    if rule.profile is not None:
        yield from _unknown(rule.profile, profile_names(), (*place, "profile"))
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
    is_range = test.at_least is not None or test.at_most is not None
    if [test.equals is not None, test.matches is not None, is_range].count(True) != 1:
        yield Mistake(
            place=place,
            found=f"{shown(place)} with no test, or with several",
            instead="a text, or one of equals, matches, at_least and at_most (the last two may stand together)",
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

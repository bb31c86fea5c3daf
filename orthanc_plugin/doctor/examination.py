"""The whole examination in order: machine, settings, models, data folder, Orthanc's file, the live Orthanc, destinations."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from inference.domain.analysis_profile import profile_names
from inference.domain.errors import ConfigurationInvalid
from inference.engine.model_store import SHIPPED_MODELS
from orthanc_plugin.doctor import machine
from orthanc_plugin.doctor.data_folder import data_folder
from orthanc_plugin.doctor.engine import engine, models, usual_providers
from orthanc_plugin.doctor.finding import Finding, ill, ill_by, well
from orthanc_plugin.doctor.orthanc import orthanc
from orthanc_plugin.doctor.orthanc_file import (
    orthanc_file,
    read_orthanc_configuration,
    storage,
    table_of,
)
from orthanc_plugin.doctor.orthanc_rest import Entrance, OrthancNotReached, OrthancRest
from orthanc_plugin.doctor.receivers import folders, receivers
from orthanc_plugin.inside.configuration import SECTION
from orthanc_plugin.node.login import password_in
from orthanc_plugin.node.pinned_certificate import fingerprint_of
from orthanc_plugin.node.settings import OrthancAccess, Settings
from orthanc_plugin.node.settings_file import load_settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """What is looked at; without settings only the machine and the models."""

    settings_path: Path | None = None
    models_folder: Path | None = None
    orthanc_path: Path | None = None
    """Orthanc's configuration: a file, or a folder of them."""


def findings(installation: Installation) -> Iterator[Finding]:
    """Everything, one after the other as it is found."""
    yield machine.python()
    yield from machine.runtime()
    if installation.settings_path is None:
        folder = installation.models_folder or SHIPPED_MODELS
        yield from models(folder, profile_names(folder))
        yield from usual_providers()
        yield machine.orthanc_here(is_needed=True)
        yield machine.isolation()
        yield machine.validators()
        yield machine.disk_here()
        return
    yield machine.orthanc_here(is_needed=False)
    try:
        settings = load_settings(installation.settings_path)
    except ConfigurationInvalid as error:
        yield ill_by("settings", error)
        return
    yield well("settings", f"{installation.settings_path}: {_counted(settings)}")
    profiles = (settings.engine.profile, *settings.further_profiles)
    yield from engine(settings.engine, profiles, settings.acceleration)
    yield from data_folder(settings)
    yield from folders(settings)
    whole: dict[str, Any] = {}
    if installation.orthanc_path is not None:
        try:
            whole = read_orthanc_configuration(installation.orthanc_path)
        except ConfigurationInvalid as error:
            yield ill_by("orthanc configuration", error)
        else:
            yield from orthanc_file(whole, installation.settings_path)
            yield from storage(whole, installation.orthanc_path, settings)
    yield from _live(settings, whole)


def _live(settings: Settings, whole: dict[str, Any]) -> Iterator[Finding]:
    yield from _secrets(settings)
    try:
        entrance = entrance_of(settings.orthanc, whole)
    except ConfigurationInvalid as error:
        yield ill_by("orthanc", error)
        return
    with closing(OrthancRest(entrance)) as rest:
        try:
            system = rest.system()
            yield from orthanc(rest, system, settings)
            yield from receivers(rest, settings, str(system["DicomAet"]))
        except OrthancNotReached as error:
            yield ill_by("orthanc", error)


def entrance_of(access: OrthancAccess, whole: dict[str, Any]) -> Entrance:
    """As the settings say; a node inside Orthanc has no login there, then one of Orthanc's file is used."""
    pem = access.certificate_file
    fingerprint = fingerprint_of(pem) if pem is not None else ""
    if access.password_file is not None:
        password = password_in(access.password_file)
        return Entrance(url=access.url, login=(access.user, password), fingerprint=fingerprint)
    users, roles = table_of(whole, "RegisteredUsers"), table_of(table_of(whole, SECTION), "Roles")
    login = next(((user, str(users[user])) for user in roles if user in users), None)
    return Entrance(url=access.url, login=login, fingerprint=fingerprint)


def _secrets(settings: Settings) -> Iterator[Finding]:
    """Files with passwords that others may read."""
    named = [
        settings.orthanc.password_file,
        *(each.password_file for each in settings.destinations),
    ]
    for path in filter(None, named):
        if path.is_file() and path.stat().st_mode & 0o007:
            yield ill(
                f"secret {path.name}",
                found="a file with a password that every user of this machine may read",
                wanted="mode 600",
                advice=f"chmod 600 {path}, and change the password.",
            )


def _counted(settings: Settings) -> str:
    return (
        f"profile {settings.engine.profile}, {len(settings.destinations)} destinations,"
        f" {len(settings.rules)} rules"
    )

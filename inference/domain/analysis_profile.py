"""A profile: which models run, with which windows and tables, and what is written; variation is data."""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid


class UncertainLevel(StrEnum):
    """What is done where L3 was found but is doubted."""

    FLAG = "flag"
    REJECT = "reject"


class WithoutLevel(StrEnum):
    """What is done where nothing can be measured at L3 but organs are asked for."""

    ORGANS = "organs"
    REJECT = "reject"


class LossyPolicy(StrEnum):
    """What is done with images that were compressed with loss."""

    FLAG = "flag"
    REJECT = "reject"


PROFILE_FOLDER = Path(__file__).parent.parent / "profiles"


@dataclass(frozen=True, slots=True, kw_only=True)
class HuWindows:
    """HU limits of each tissue, both ends included (Mourtzakis 2008, Prado 2008)."""

    muscle: tuple[int, int] = (-29, 150)
    low_density_muscle: tuple[int, int] = (-29, 29)
    normal_density_muscle: tuple[int, int] = (30, 150)
    subcutaneous_fat: tuple[int, int] = (-190, -30)
    visceral_fat: tuple[int, int] = (-150, -50)
    intermuscular_fat: tuple[int, int] = (-190, -30)

    def in_words(self) -> tuple[str, ...]:
        """One line per window, for the report."""
        return tuple(
            f"{f.name.replace('_', ' ')}: {low} to {high} HU"
            for f in fields(self)
            for low, high in (getattr(self, f.name),)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """What one analysis does."""

    name: str
    description: str
    level_model: str
    tissue_model: str
    spine_model: str | None = None
    """Second opinion on the level of L3; None: only one network is asked, and results say so."""
    organ_model: str | None = None
    """None: organs are not segmented."""
    organ_grid_shifts: tuple[float, ...] = (0.0, 0.5)
    """Where the organ network is asked: grids moved by so many voxels; one grid takes half the time of two."""
    tables: tuple[str, ...] = ("kr-kim-2021",)
    """Reference tables shown in the report."""
    lossy: LossyPolicy = LossyPolicy.FLAG
    uncertain_level: UncertainLevel = UncertainLevel.FLAG
    """Reject: nothing is measured at an uncertain level."""
    without_level: WithoutLevel = WithoutLevel.ORGANS
    """Organs: they are delivered with the statement that nothing was measured at L3."""
    windows: HuWindows = HuWindows()
    series_rules: str = "axial-soft-tissue"
    """Which rules choose the series of a study: a file of inference/profiles/series."""

    def __post_init__(self) -> None:
        for key, kind in (
            ("lossy", LossyPolicy),
            ("uncertain_level", UncertainLevel),
            ("without_level", WithoutLevel),
        ):
            if (value := getattr(self, key)) not in set(kind):
                raise ConfigurationInvalid(
                    found=f"{self.name}: {key} = {value!r:.40}",
                    wanted=" or ".join(kind),
                    advice="Mend the profile in inference/profiles/.",
                )

    @property
    def content_hash(self) -> str:
        """Hex digest of everything that changes a result."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models this profile runs."""
        named = (self.level_model, self.spine_model, self.tissue_model, self.organ_model)
        return tuple(name for name in named if name)


def profile_names() -> tuple[str, ...]:
    """Names of the shipped profiles."""
    return tuple(sorted(path.stem for path in PROFILE_FOLDER.glob("*.toml")))


def load_profile(name: str) -> Profile:
    """A shipped profile; raises ConfigurationInvalid."""
    if name not in profile_names():
        raise ConfigurationInvalid(
            found=f"profile {name!r:.40}",
            wanted=f"one of {', '.join(profile_names())}",
            advice="Name one of these with --profile or in habitus.toml.",
        )
    return profile_from_toml((PROFILE_FOLDER / f"{name}.toml").read_text(encoding="utf-8"), name)


def with_choices(
    profile: Profile, *, uncertain_level: str = "", without_level: str = ""
) -> Profile:
    """The profile with what a site wants otherwise; empty leaves it as it is."""
    return replace(
        profile,
        uncertain_level=UncertainLevel(uncertain_level or profile.uncertain_level),
        without_level=WithoutLevel(without_level or profile.without_level),
    )


def profile_from_toml(text: str, name: str) -> Profile:
    """A profile from its TOML text; an unknown key is an error."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ConfigurationInvalid(
            found=f"profile {name} that is not TOML ({exc})",
            wanted="a TOML file",
            advice=f"Mend inference/profiles/{name}.toml.",
        ) from exc
    windows = HuWindows(**_known(HuWindows, raw.pop("windows", {}), f"{name}.windows"))
    return Profile(windows=windows, **_known(Profile, {"name": name, **raw}, name))


def _known(kind: type, raw: dict[str, Any], where: str) -> dict[str, Any]:
    """The table unchanged when every key is a field; lists become tuples."""
    names = [f.name for f in fields(kind)]
    if unknown := sorted(set(raw) - set(names)):
        raise ConfigurationInvalid(
            found=f"{where}: unknown key {unknown[0]!r}",
            wanted=f"one of {', '.join(names)}",
            advice="Mend the profile in inference/profiles/.",
        )
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}

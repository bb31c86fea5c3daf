"""A profile: which models run, with which windows and tables, and what is written; variation is data."""

import hashlib
import json
import tomllib
from dataclasses import MISSING, asdict, dataclass, fields, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

from inference.domain.errors import ConfigurationInvalid
from inference.domain.labelmap import Structure


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


class OrganPatches(StrEnum):
    """How a network that nnU-Net trained is asked."""

    EXACT = "exact"
    """As its own predictor asks it."""
    FAST = "fast"
    """Within the body alone, patches overlapping by a quarter in place of a half."""


OWN_PROFILES = "profiles"
"""Folder in that of the models for what a site wants otherwise: an update of the programs leaves it alone."""
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
class Refinement:
    """Organs that a network with prompts redraws slice by slice: [refine] of a profile."""

    model: str
    """A folder of the models with an image encoder and a mask decoder (python -m export_onnx)."""
    organs: tuple[str, ...]
    least_dice: float = 0.7
    """With the 3D mask: a new mask that agrees less is not taken, and the result says so."""
    margin_mm: float = 10.0
    """How far from the 3D mask an organ may be redrawn."""

    def __post_init__(self) -> None:
        rules = {
            f"model {self.model!r:.40}": bool(self.model),
            f"organs {self.organs!r:.80}": bool(self.organs) and set(self.organs) <= set(Structure),
            f"least_dice {self.least_dice!r:.40}": _is_number(self.least_dice)
            and 0 <= self.least_dice <= 1,
            f"margin_mm {self.margin_mm!r:.40}": _is_number(self.margin_mm) and self.margin_mm >= 0,
        }
        for found, holds in rules.items():
            if not holds:
                raise ConfigurationInvalid(
                    found=f"refine.{found}",
                    wanted="a model, organs by name, a Dice of 0 to 1, a margin in mm",
                    advice="Mend [refine] of the profile in inference/profiles/.",
                )


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


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
    fine_organ_model: str | None = None
    """A second network of the same organs on a finer grid: what both say is added up; None: the one is asked alone."""
    fine_organs_about: tuple[str, ...] = ()
    """The second network is asked near these organs alone, where the first finds any; empty: of the whole body."""
    organ_patches: OrganPatches = OrganPatches.EXACT
    """Of a network that nnU-Net trained; our own are asked as they were tested."""
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
    refine: Refinement | None = None
    """Organs to redraw slice by slice; None, as in all profiles that are shipped: none."""

    def __post_init__(self) -> None:
        for key, kind in (
            ("lossy", LossyPolicy),
            ("uncertain_level", UncertainLevel),
            ("without_level", WithoutLevel),
            ("organ_patches", OrganPatches),
        ):
            if (value := getattr(self, key)) not in set(kind):
                raise ConfigurationInvalid(
                    found=f"{self.name}: {key} = {value!r:.40}",
                    wanted=" or ".join(kind),
                    advice="Mend the profile; inference/profiles/abdomen.toml is a whole one.",
                )
        if self.refine is not None and self.organ_model is None:
            raise ConfigurationInvalid(
                found=f"{self.name}: [refine] without organ_model",
                wanted="a network that finds the organs first",
                advice="Name organ_model in the profile, or take [refine] out.",
            )

        if self.fine_organ_model is not None and self.organ_model is None:
            raise ConfigurationInvalid(
                found=f"{self.name}: fine_organ_model without organ_model",
                wanted="a network beside which it is asked",
                advice="Name organ_model in the profile; a fine network alone is named there.",
            )
        if self.fine_organs_about:
            self._require_organs_to_look_about()

    def _require_organs_to_look_about(self) -> None:
        about: object = self.fine_organs_about
        rules = {
            f"fine_organs_about {about!r:.80}": isinstance(about, tuple)
            and all(one in list(Structure) for one in about),
            "fine_organs_about without fine_organ_model": self.fine_organ_model is not None,
        }
        for found, holds in rules.items():
            if not holds:
                raise ConfigurationInvalid(
                    found=f"{self.name}: {found}",
                    wanted="a list of organs by name, and the network that is asked near them",
                    advice="Mend the profile; inference/profiles/abdomen.toml is a whole one.",
                )

    @property
    def content_hash(self) -> str:
        """Hex digest of everything that changes a result."""
        text = json.dumps(asdict(self), sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def models(self) -> tuple[str, ...]:
        """Names of the models this profile runs."""
        organs = (self.organ_model, self.fine_organ_model)
        named = (self.level_model, self.spine_model, self.tissue_model, *organs)
        return tuple(name for name in named if name)


def profile_names(models_folder: Path | None = None) -> tuple[str, ...]:
    """Names of the shipped profiles, and of a site's own beside its models."""
    return tuple(sorted({path.stem for path in _profiles(models_folder)}))


def _profiles(models_folder: Path | None) -> tuple[Path, ...]:
    own = () if models_folder is None else (models_folder / OWN_PROFILES).glob("*.toml")
    return (*PROFILE_FOLDER.glob("*.toml"), *own)


def load_profile(name: str, models_folder: Path | None = None) -> Profile:
    """A shipped profile, or one of a site's own beside its models; raises ConfigurationInvalid."""
    found = [path for path in _profiles(models_folder) if path.stem == name]
    if not found:
        raise ConfigurationInvalid(
            found=f"profile {name!r:.40}",
            wanted=f"one of {', '.join(profile_names(models_folder))}",
            advice=f"Name one of these with --profile or in habitus.toml, or put {OWN_PROFILES}/NAME.toml beside the models.",
        )
    if len(found) > 1:
        raise ConfigurationInvalid(
            found=f"a profile of one's own with the name of a shipped one, {name}",
            wanted="a name of its own",
            advice=f"Call {OWN_PROFILES}/{name}.toml beside the models otherwise.",
        )
    return _read(found[0])


def profile_for(choice: str, models_folder: Path | None = None) -> Profile:
    """By its name, or one of a user's own by its path, which ends with .toml; raises ConfigurationInvalid."""
    path = Path(choice)
    return _read(path) if path.suffix == ".toml" else load_profile(choice, models_folder)


def _read(path: Path) -> Profile:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise ConfigurationInvalid(
            found=f"no profile to read in {path.name:.60}",
            wanted="a TOML file of UTF-8",
            advice="Copy one of inference/profiles and change what should be otherwise.",
        ) from problem
    return profile_from_toml(text, path.stem)


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
    refine = _refinement(raw.pop("refine"), name) if "refine" in raw else None
    known = _known(Profile, {"name": name, **raw}, name)
    needed = {
        f.name for f in fields(Profile) if f.default is MISSING and f.default_factory is MISSING
    }
    if missing := sorted(needed - set(known) - {"windows", "refine"}):
        raise ConfigurationInvalid(
            found=f"{name} without {', '.join(missing)}",
            wanted="a whole profile",
            advice="inference/profiles/abdomen.toml is one to begin with.",
        )
    return Profile(windows=windows, refine=refine, **known)


def _refinement(raw: Any, name: str) -> Refinement:
    wanted = [f.name for f in fields(Refinement) if f.default is MISSING]
    is_whole = isinstance(raw, dict) and set(wanted) <= set(raw)
    if not is_whole or not isinstance(raw["organs"], list) or not isinstance(raw["model"], str):
        raise ConfigurationInvalid(
            found=f"{name}: [refine] that is not whole",
            wanted="a table with the name of a model and a list of organs",
            advice="Mend the profile; inference/profiles/abdomen.toml is a whole one.",
        )
    return Refinement(**_known(Refinement, raw, f"{name}.refine"))


def _known(kind: type, raw: dict[str, Any], where: str) -> dict[str, Any]:
    """The table unchanged when every key is a field; lists become tuples."""
    names = [f.name for f in fields(kind)]
    if unknown := sorted(set(raw) - set(names)):
        raise ConfigurationInvalid(
            found=f"{where}: unknown key {unknown[0]!r}",
            wanted=f"one of {', '.join(names)}",
            advice="Mend the profile; inference/profiles/abdomen.toml is a whole one.",
        )
    return {key: tuple(value) if isinstance(value, list) else value for key, value in raw.items()}

"""What is measured, in which unit, and the result of one analysis; no DICOM here."""

from dataclasses import dataclass, field
from enum import StrEnum

from inference.domain.labelmap import EXPERIMENTAL, Structure
from inference.domain.level_outcome import LevelOutcome
from inference.domain.series_choice import ConsideredSeries


class Unit(StrEnum):
    """Units; the value is the UCUM code."""

    CM2 = "cm2"
    ML = "ml"
    HU = "[hnsf'U]"
    CM2_PER_M2 = "cm2/m2"
    CM2_PER_KG = "cm2/kg"
    CM2_PER_BMI = "cm2.m2/kg"
    PERCENT = "%"
    RATIO = "1"
    MM = "mm"
    M = "m"
    KG = "kg"
    KG_PER_M2 = "kg/m2"
    YEAR = "a"
    KV = "kV"


class Quantity(StrEnum):
    """What a number is; the value is the name used in JSON and REST."""

    AREA = "area"
    VOLUME = "volume"
    MEAN_HU = "mean_hu"
    SD_HU = "sd_hu"
    LOW_DENSITY_AREA = "low_density_area"
    """Muscle of −29..+29 HU (myosteatosis)."""
    LOW_DENSITY_PERCENT = "low_density_percent"
    NORMAL_DENSITY_AREA = "normal_density_area"
    """Muscle of +30..+150 HU."""
    NORMAL_DENSITY_PERCENT = "normal_density_percent"
    INDEX_HEIGHT2 = "area_per_height2"
    """SMI: muscle area over height squared."""
    INDEX_WEIGHT = "area_per_weight"
    INDEX_BMI = "area_per_bmi"
    VAT_SAT_RATIO = "visceral_to_subcutaneous_ratio"
    TOTAL_FAT_AREA = "total_fat_area"
    AREA_SLICE_BELOW = "area_slice_below"
    """The area one slice towards the feet: a stability check."""
    AREA_SLICE_ABOVE = "area_slice_above"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """One number with its unit, of one structure (or of the patient where structure is None)."""

    quantity: Quantity
    value: float
    unit: Unit
    structure: Structure | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """Where the middle of the third lumbar vertebra is."""

    slice_index: int
    """Index into the source volume's slices (0-based, in the volume's own order)."""
    z_mm: float
    """Patient z of the middle of the body (LPS)."""
    confidence: float | None
    """Calibrated probability that the middle of L3 is no farther than 10 mm from z_mm. None where a person set the level."""
    extent_mm: tuple[float, float]
    """Patient z of the lower and upper end of the vertebral body."""
    region_px: tuple[int, int, int, int] | None = None
    """Left, top, right and bottom edge of all measured tissues on that slice, in columns and rows of the image."""
    source: str = ""
    """Who set it by hand and when; empty where the network found it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patient:
    """What the indices need and nothing that identifies anybody."""

    sex: str | None = None
    """"M", "F", or None when unknown or other."""
    age_years: float | None = None
    height_m: float | None = None
    weight_kg: float | None = None
    notes: tuple[str, ...] = ()
    """Why a value is absent, e.g. 'height 170 m is implausible (0.5 to 2.5 m)'."""
    sources: tuple[str, ...] = ()
    """Where each value comes from, e.g. "height: Patient's Size (0010,1020) of the images"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CutOff:
    """One published cut-off beside the patient's value."""

    table: str
    population: str
    citation: str
    quantity: Quantity
    structure: Structure
    value: float
    cut_off: float
    unit: Unit

    @property
    def difference(self) -> float:
        """Value minus cut-off, in the unit of both."""
        return self.value - self.cut_off

    @property
    def is_low(self) -> bool:
        """Low by that table: below the cut-off."""
        return self.value < self.cut_off


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganResult:
    """One organ's numbers and whether the field of view cuts it."""

    structure: Structure
    volume_ml: float
    mean_hu: float | None
    """Mean of the mask eroded by one voxel; None where nothing is left after erosion."""
    sd_hu: float | None
    box_lps_mm: tuple[tuple[float, float, float], tuple[float, float, float]]
    is_incomplete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelUse:
    """Which model produced a result, and on what."""

    name: str
    version: str
    sha256: str
    provider: str
    """The execution provider really in use."""
    task: str = ""
    """What it did, as its manifest says: l3-level, l3-tissue, organs or refine-organs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganRefinement:
    """What a network with prompts made of one organ of the 3D network."""

    structure: Structure
    model: str
    version: str
    dice: float
    """Of the new mask with the 3D one."""
    least_dice: float

    @property
    def is_taken(self) -> bool:
        """Otherwise the 3D mask stays."""
        return self.dice >= self.least_dice

    @property
    def sentence(self) -> str:
        """For whoever reads the result."""
        organ = self.structure.value.replace("_", " ")
        by, dice = f"{self.model} {self.version}", f"Dice {self.dice:.2f} with the 3D mask"
        if self.is_taken:
            return f"{organ}: mask redrawn slice by slice by {by} ({dice})"
        return (
            f"{organ}: {by} disagrees with the 3D mask, which is kept ({dice}, "
            f"wanted {self.least_dice:.2f})"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """All numbers of one series; what the SR, the JSON and the table are written from."""

    patient: Patient
    level: Level | None
    """None where nothing was measured at L3."""
    level_outcome: LevelOutcome = LevelOutcome.FOUND
    level_reasons: tuple[str, ...] = ()
    """Why L3 is uncertain, or not in the field of view."""
    contrast: str = "unknown"
    """Contrast agent as stated by the scanner; muscle density depends on it and on kvp."""
    kvp: float | None = None
    """Tube voltage in kV."""
    body_composition: tuple[Measurement, ...] = ()
    """At mid-L3, except volumes, which are of the slab over the L3 extent."""
    experimental: tuple[Structure, ...] = EXPERIMENTAL
    """Of what was measured, what is on trial."""
    slab_height_mm: float | None = None
    cut_offs: tuple[CutOff, ...] = ()
    organs: tuple[OrganResult, ...] = ()
    refinements: tuple[OrganRefinement, ...] = ()
    """Which organs were redrawn, and which were asked for but kept as they were."""
    organ_patches: tuple[str, ...] = ()
    """How the organ network was asked, on each grid: '3 × 2 × 2 = 12 patches of …'"""
    definitions: tuple[str, ...] = ()
    """What the tissues are, by this profile: 'muscle: -29 to 150 HU', …"""
    flags: tuple[str, ...] = ()
    """What a reader must know: 'height missing: no indices', 'CPU used instead of CUDA', …"""
    models: tuple[ModelUse, ...] = ()
    series_choice: tuple[ConsideredSeries, ...] = ()
    """Every series of the folder: which was taken, and why the others were not."""
    seconds: dict[str, float] = field(default_factory=dict)
    """Wall time per stage."""

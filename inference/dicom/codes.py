"""Every coded concept Habitus writes: structures with their colours, report concepts, units."""

from dataclasses import dataclass

from pydicom.sr.coding import Code

from inference.domain.labelmap import LISTED, Structure
from inference.domain.level_outcome import LevelOutcome
from inference.domain.listed_structures import ListedStructure, listed_structures
from inference.domain.measurement import Quantity, Unit
from inference.domain.report_options import SrTitle

PRIVATE_SCHEME = "99HABITUS"
PRIVATE_SCHEME_NAME = "Habitus private codes"
MANUFACTURER = "Habitus"
RESEARCH_USE = "For research use only. Not for diagnosis."


def concept(value: str, scheme: str, meaning: str) -> Code:
    """A coded concept."""
    # Immutable, unlike highdicom's own concepts, which an object may change when it takes one.
    return Code(value, scheme, meaning)


def private(value: str, meaning: str) -> Code:
    """A concept of our own scheme, where no standard table has one."""
    return concept(value, PRIVATE_SCHEME, meaning)


# CID 7150; (123037004, SCT) of older tools is no longer in it.
ANATOMY = concept("91723000", "SCT", "Anatomical Structure")
TISSUE = concept("85756007", "SCT", "Tissue")
FINDING = concept("49755003", "SCT", "Morphologically Abnormal Structure")
LEFT = concept("7771000", "SCT", "Left")
RIGHT = concept("24028007", "SCT", "Right")
_ABDOMEN = concept("818981001", "SCT", "Abdomen")
_SKELETAL_MUSCLE = concept("127954009", "SCT", "Skeletal muscle")
_KIDNEY = concept("64033007", "SCT", "Kidney")
_ADRENAL = concept("23451007", "SCT", "Adrenal gland")
L3_VERTEBRA = concept("36470004", "SCT", "L3 vertebra")


@dataclass(frozen=True, slots=True, kw_only=True)
class StructureCode:
    """How one structure is named in DICOM and shown."""

    label: str
    kind: Code
    """Segmented Property Type, and Finding Site in the report."""
    rgb: tuple[int, int, int]
    category: Code = ANATOMY
    modifier: Code | None = None
    """Laterality."""
    region: Code | None = None
    """Anatomic region, where the type alone does not tell two fats apart, or is of a finding."""
    region_modifier: Code | None = None
    """Laterality of the region."""

    @property
    def key(self) -> tuple[str, str, str, str]:
        """The code values, by which a segment is told from every other; empty where it has none."""
        kind, side, region, region_side = (
            code.value if code is not None else ""
            for code in (self.kind, self.modifier, self.region, self.region_modifier)
        )
        return kind, side, region, region_side

    @property
    def site(self) -> tuple[Code, Code | None]:
        """Where a finding is, and on which side; anatomy is its own site."""
        if self.region is not None and self.category == FINDING:
            return self.region, self.region_modifier
        return self.kind, self.modifier


STRUCTURE_CODES: dict[Structure, StructureCode] = {
    Structure.LIVER: StructureCode(
        label="Liver", kind=concept("10200004", "SCT", "Liver"), rgb=(221, 130, 101)
    ),
    Structure.KIDNEY_RIGHT: StructureCode(
        label="Right kidney", kind=_KIDNEY, modifier=RIGHT, rgb=(46, 138, 184)
    ),
    Structure.SPLEEN: StructureCode(
        label="Spleen", kind=concept("78961009", "SCT", "Spleen"), rgb=(157, 108, 162)
    ),
    Structure.PANCREAS: StructureCode(
        label="Pancreas", kind=concept("15776009", "SCT", "Pancreas"), rgb=(249, 180, 111)
    ),
    Structure.AORTA: StructureCode(
        label="Aorta", kind=concept("15825003", "SCT", "Aorta"), rgb=(224, 46, 46)
    ),
    Structure.INFERIOR_VENA_CAVA: StructureCode(
        label="Inferior vena cava",
        kind=concept("64131007", "SCT", "Inferior vena cava"),
        rgb=(0, 90, 220),
    ),
    Structure.ADRENAL_RIGHT: StructureCode(
        label="Right adrenal", kind=_ADRENAL, modifier=RIGHT, rgb=(241, 172, 34)
    ),
    Structure.ADRENAL_LEFT: StructureCode(
        label="Left adrenal", kind=_ADRENAL, modifier=LEFT, rgb=(178, 128, 26)
    ),
    Structure.GALLBLADDER: StructureCode(
        label="Gallbladder", kind=concept("28231008", "SCT", "Gallbladder"), rgb=(54, 180, 90)
    ),
    Structure.ESOPHAGUS: StructureCode(
        label="Esophagus", kind=concept("32849002", "SCT", "Esophagus"), rgb=(230, 120, 190)
    ),
    Structure.STOMACH: StructureCode(
        label="Stomach", kind=concept("69695003", "SCT", "Stomach"), rgb=(180, 70, 160)
    ),
    Structure.DUODENUM: StructureCode(
        label="Duodenum", kind=concept("38848004", "SCT", "Duodenum"), rgb=(240, 235, 150)
    ),
    Structure.KIDNEY_LEFT: StructureCode(
        label="Left kidney", kind=_KIDNEY, modifier=LEFT, rgb=(100, 200, 230)
    ),
    # 110765007, 67769002 and 725273006 are not in the DICOM tables; TotalSegmentator and MOOSE use them.
    Structure.PORTAL_SPLENIC_VEIN: StructureCode(
        label="Portal and splenic vein",
        kind=concept("110765007", "SCT", "Portal vein and splenic vein"),
        rgb=(0, 200, 160),
    ),
    Structure.SKELETAL_MUSCLE: StructureCode(
        label="Skeletal muscle", kind=_SKELETAL_MUSCLE, category=TISSUE, rgb=(192, 60, 60)
    ),
    Structure.SUBCUTANEOUS_FAT: StructureCode(
        label="Subcutaneous fat (SAT)",
        kind=concept("67769002", "SCT", "Subcutaneous fatty tissue"),
        category=TISSUE,
        rgb=(255, 242, 120),
    ),
    Structure.VISCERAL_FAT: StructureCode(
        label="Visceral fat (VAT)",
        kind=concept("725273006", "SCT", "Structure of adipose tissue of abdomen"),
        category=TISSUE,
        region=_ABDOMEN,
        rgb=(250, 128, 20),
    ),
    Structure.INTERMUSCULAR_FAT: StructureCode(
        label="Intermuscular fat (IMAT)",
        kind=concept("55603005", "SCT", "Fat"),
        category=TISSUE,
        region=_SKELETAL_MUSCLE,
        rgb=(120, 220, 160),
    ),
}

_SIDES = {"left": LEFT, "right": RIGHT, "": None}


def _of_table(row: ListedStructure) -> StructureCode:
    kind, side = concept(row.code, "SCT", row.meaning), _SIDES[row.side]
    if not row.place:
        return StructureCode(label=row.label, kind=kind, modifier=side, rgb=row.rgb)
    value, _, meaning = row.place.partition(" ")
    return StructureCode(
        label=row.label,
        kind=kind,
        category=FINDING,
        region=concept(value, "SCT", meaning),
        region_modifier=side,
        rgb=row.rgb,
    )


# Codes that the DICOM tables lack are TotalSegmentator's own: docs/decisions/0026-structures-of-a-table.md.
STRUCTURE_CODES |= {listed: _of_table(listed_structures()[listed.value]) for listed in LISTED}

QUANTITY_CODES: dict[Quantity, Code] = {
    Quantity.AREA: concept("42798000", "SCT", "Area"),
    Quantity.VOLUME: concept("118565006", "SCT", "Volume"),
    # Rather than 112031 with a derivation: OHIF's text view does not show the derivation.
    Quantity.MEAN_HU: concept("112181", "DCM", "Mean Attenuation Coefficient"),
    Quantity.SD_HU: concept("112183", "DCM", "Standard Deviation of Attenuation Coefficient"),
    Quantity.LOW_DENSITY_AREA: private("LDA", "Area of low density muscle"),
    Quantity.LOW_DENSITY_PERCENT: private("LDP", "Share of low density muscle"),
    Quantity.NORMAL_DENSITY_AREA: private("NDA", "Area of normal density muscle"),
    Quantity.NORMAL_DENSITY_PERCENT: private("NDP", "Share of normal density muscle"),
    Quantity.INDEX_HEIGHT2: private("SMI", "Skeletal muscle index (area per height squared)"),
    Quantity.INDEX_WEIGHT: private("AREA_WEIGHT", "Area per body weight"),
    Quantity.INDEX_BMI: private("AREA_BMI", "Area per body mass index"),
    Quantity.VAT_SAT_RATIO: private("VAT_SAT", "Visceral to subcutaneous fat area ratio"),
    Quantity.TOTAL_FAT_AREA: private("TFA", "Total fat area"),
    Quantity.AREA_SLICE_BELOW: private("AREA_BELOW", "Area one slice towards the feet"),
    Quantity.AREA_SLICE_ABOVE: private("AREA_ABOVE", "Area one slice towards the head"),
}

UNIT_CODES: dict[Unit, Code] = {
    Unit.CM2: concept("cm2", "UCUM", "square centimeter"),
    Unit.ML: concept("ml", "UCUM", "milliliter"),
    Unit.HU: concept("[hnsf'U]", "UCUM", "Hounsfield unit"),
    Unit.CM2_PER_M2: concept("cm2/m2", "UCUM", "square centimeter per square meter"),
    Unit.CM2_PER_KG: concept("cm2/kg", "UCUM", "square centimeter per kilogram"),
    Unit.CM2_PER_BMI: concept(
        "cm2.m2/kg", "UCUM", "square centimeter per kilogram per square meter"
    ),
    Unit.PERCENT: concept("%", "UCUM", "Percent"),
    Unit.RATIO: concept("1", "UCUM", "no units"),
    Unit.MM: concept("mm", "UCUM", "millimeter"),
    Unit.M: concept("m", "UCUM", "meter"),
    Unit.KG: concept("kg", "UCUM", "kilogram"),
    Unit.KG_PER_M2: concept("kg/m2", "UCUM", "kilogram per square meter"),
    Unit.YEAR: concept("a", "UCUM", "year"),
    Unit.KV: concept("kV", "UCUM", "kilovolt"),
}

# CID 7021 is extensible. With (126000, DCM) OHIF 3.13 opens its annotation viewport, which fails on a group without
# coordinates; with any other title it shows the report as text.
REPORT_TITLES: dict[SrTitle, Code] = {
    SrTitle.HABITUS: private("SR_TITLE", "AI body composition measurements"),
    SrTitle.IMAGING_MEASUREMENT_REPORT: concept("126000", "DCM", "Imaging Measurement Report"),
}
PROCEDURE = concept("25045-6", "LN", "CT unspecified body region")
SEX = concept("121032", "DCM", "Subject Sex")
SEX_CODES = {"M": concept("M", "DCM", "Male"), "F": concept("F", "DCM", "Female")}
AGE = concept("121033", "DCM", "Subject Age")
HEIGHT = concept("8302-2", "LN", "Body height")
WEIGHT = concept("29463-7", "LN", "Body weight")
BODY_MASS_INDEX = concept("60621009", "SCT", "Body mass index")
YES = concept("373066001", "SCT", "Yes")
NO = concept("373067005", "SCT", "No")
AI_FAMILY = concept("123109", "DCM", "Artificial Intelligence")

# CID 7202.
SOURCE_OF_IMAGE = concept("121322", "DCM", "Source image for image processing operation")

# CID 7005.
PROCESSING_EQUIPMENT = concept("109102", "DCM", "Processing Equipment")

PATIENT_SOURCE = private("PATIENT_SOURCE", "Source of the patient data")
PATIENT_NOTE = private("PATIENT_NOTE", "Note on the patient data")
DEFINITION = private("DEF", "Definition of a tissue by its HU window")
FLAG = private("FLAG", "Note on the result")
RESEARCH_NOTE = private("RESEARCH_USE", "Intended use")
LEVEL_Z = private("LEVEL_Z", "Position of the middle of L3 (patient z)")
LEVEL_LOWER = private("LEVEL_LOWER", "Lower end of the L3 body (patient z)")
LEVEL_UPPER = private("LEVEL_UPPER", "Upper end of the L3 body (patient z)")
LEVEL_SLICE = private("LEVEL_SLICE", "Slice of the middle of L3 (0-based, towards the normal)")
LEVEL_CONFIDENCE = private("LEVEL_CONFIDENCE", "Confidence of the L3 level (0 to 1)")
LEVEL_IMAGE = private("LEVEL_IMAGE", "Image number of that slice (Instance Number, or frame)")
LEVEL_SOURCE = private("LEVEL_SOURCE", "Who set the L3 level by hand")
LEVEL_OUTCOME = private("LEVEL_OUTCOME", "Outcome of the search for L3")
LEVEL_REASON = private("LEVEL_REASON", "Why L3 is uncertain, or was not measured")
LEVEL_OUTCOMES = {
    LevelOutcome.FOUND: private("L3_FOUND", "L3 found"),
    LevelOutcome.UNCERTAIN: concept("82334004", "SCT", "Indeterminate"),
    LevelOutcome.NOT_IN_FIELD: private("L3_NOT_IN_FIELD", "L3 not in the field of view"),
}
SLAB_HEIGHT = private("SLAB_HEIGHT", "Height of the measured slab")
COMMENT = concept("121106", "DCM", "Comment")
SLAB_COMMENT = (
    "Areas and densities are of the L3 slice; volumes of the slab whose height is stated with L3"
)
EXPERIMENTAL_COMMENT = "Experimental: not shown to agree with references; do not rely on it"
BOX_CORNERS = {
    "BOX_MIN_X": private("BOX_MIN_X", "Bounding box, right end (patient x)"),
    "BOX_MIN_Y": private("BOX_MIN_Y", "Bounding box, front end (patient y)"),
    "BOX_MIN_Z": private("BOX_MIN_Z", "Bounding box, lower end (patient z)"),
    "BOX_MAX_X": private("BOX_MAX_X", "Bounding box, left end (patient x)"),
    "BOX_MAX_Y": private("BOX_MAX_Y", "Bounding box, back end (patient y)"),
    "BOX_MAX_Z": private("BOX_MAX_Z", "Bounding box, upper end (patient z)"),
}
INCOMPLETE = private("INCOMPLETE", "Cut by the field of view")
# Not (385524004, SCT, "Normal Range Lower Limit"): most tables are of patients, none says what is normal.
CUT_OFF = private("CUT_OFF", "Cut-off")
DIFFERENCE = private("DIFFERENCE", "Value minus cut-off")
CUT_OFF_RESULT = private("CUT_OFF_RESULT", "Result by this cut-off")
CUT_OFF_TABLE = private("CUT_OFF_TABLE", "Reference table")
CUT_OFF_POPULATION = concept("121405", "DCM", "Population description")
CUT_OFF_CITATION = concept("121406", "DCM", "Reference Authority")
CONTRAST = concept("123011", "DCM", "Contrast/Bolus Agent")
KVP = concept("113733", "DCM", "KVP")
LOW = private("LOW", "Below the cut-off")
NOT_LOW = private("NOT_LOW", "Not below the cut-off")
MODEL = private("MODEL", "Model used")


def rgb_of(structure: Structure) -> tuple[int, int, int]:
    """The structure's colour in pictures and segmentations."""
    return STRUCTURE_CODES[structure].rgb

"""A report in which every field is used, for the structured report's tests."""

from inference.domain.labelmap import FLARE22_ORGANS, TISSUES, Structure
from inference.domain.measurement import (
    CutOff,
    Level,
    Measurement,
    ModelUse,
    OrganResult,
    Patient,
    Quantity,
    Report,
    Unit,
)

_UNITS = {
    Quantity.AREA: Unit.CM2,
    Quantity.VOLUME: Unit.ML,
    Quantity.MEAN_HU: Unit.HU,
    Quantity.SD_HU: Unit.HU,
    Quantity.LOW_DENSITY_AREA: Unit.CM2,
    Quantity.LOW_DENSITY_PERCENT: Unit.PERCENT,
    Quantity.NORMAL_DENSITY_AREA: Unit.CM2,
    Quantity.NORMAL_DENSITY_PERCENT: Unit.PERCENT,
    Quantity.INDEX_HEIGHT2: Unit.CM2_PER_M2,
    Quantity.INDEX_WEIGHT: Unit.CM2_PER_KG,
    Quantity.INDEX_BMI: Unit.CM2_PER_BMI,
    Quantity.AREA_SLICE_BELOW: Unit.CM2,
    Quantity.AREA_SLICE_ABOVE: Unit.CM2,
}


def full_report() -> Report:
    """Every quantity of every tissue, 13 organs, cut-offs, notes, flags and models."""
    return Report(
        patient=Patient(
            sex="F",
            age_years=64.0,
            height_m=1.625,
            weight_kg=58.5,
            notes=("height 170 m is implausible (0.5 to 2.5 m)", "a second note"),
            sources=("height: Patient's Size (0010,1020) of the images",),
        ),
        level=Level(
            slice_index=5,
            z_mm=112.5001,
            confidence=0.875,
            extent_mm=(98.25, 126.7512345678),
            region_px=(4, 6, 40, 55),
        ),
        contrast="Iohexol",
        kvp=100.0,
        body_composition=(*_tissues(), *_ratios()),
        slab_height_mm=28.5,
        cut_offs=_cut_offs(),
        organs=tuple(_organ(number, organ) for number, organ in enumerate(FLARE22_ORGANS)),
        definitions=("muscle: -29 to 150 HU", "visceral fat: -150 to -50 HU"),
        flags=("contrast phase unknown: muscle density is not comparable", "근육 지표 참고"),
        models=(
            ModelUse(
                name="l3-level", version="1.0", sha256="a" * 64, provider="CPU", task="l3-level"
            ),
            ModelUse(name="organs", version="2.0", sha256="b" * 64, provider="CUDA", task="organs"),
        ),
    )


def _tissues() -> list[Measurement]:
    return [
        Measurement(quantity=quantity, value=100 * row + column / 7, unit=unit, structure=tissue)
        for row, tissue in enumerate(TISSUES, start=1)
        for column, (quantity, unit) in enumerate(_UNITS.items(), start=1)
    ]


def _ratios() -> list[Measurement]:
    return [
        Measurement(quantity=Quantity.VAT_SAT_RATIO, value=2 / 3, unit=Unit.RATIO),
        Measurement(quantity=Quantity.TOTAL_FAT_AREA, value=312.123456789, unit=Unit.CM2),
    ]


def _cut_offs() -> tuple[CutOff, ...]:
    return tuple(
        CutOff(
            table="kr-kim-2021",
            population="11,845 healthy Koreans, T-score < −2",
            citation="Kim et al., J Gerontol A 2021, doi 10.1093/gerona/glaa065",
            quantity=quantity,
            structure=Structure.SKELETAL_MUSCLE,
            value=value,
            cut_off=cut_off,
            unit=unit,
        )
        for quantity, value, cut_off, unit in (
            (Quantity.AREA, 101.3, 74.2, Unit.CM2),
            (Quantity.INDEX_HEIGHT2, 27.9, 28.4, Unit.CM2_PER_M2),
        )
    )


def _organ(number: int, organ: Structure) -> OrganResult:
    return OrganResult(
        structure=organ,
        volume_ml=1000 / 3 + number,
        mean_hu=None if number == 6 else 40.0 + number / 3,
        sd_hu=None if number == 6 else 12.0 + number / 3,
        box_lps_mm=((-100.5, -50.25, 10.0 + number), (-1.0, 60.125, 200.0 + number)),
        is_incomplete=number % 2 == 0,
    )

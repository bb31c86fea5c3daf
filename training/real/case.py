"""One real CT to be looked at, with whatever is known about it."""

from dataclasses import dataclass, field

from inference.domain.errors import HabitusError
from inference.domain.measurement import Patient
from inference.domain.volume import Volume
from inference.measure_findings import Facts
from inference.stages.segment_tissue import Compartments
from training.real.known_cases import KnownCase
from training.real.reference import Reference

NOTHING_KNOWN = Facts(patient=Patient(), contrast="unknown")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RealCase:
    """Its name names nobody; arrays are in canonical order."""

    name: str
    volume: Volume | None
    """None: the node refuses the series, and there is nothing else to look at."""
    facts: Facts = NOTHING_KNOWN
    rejection: HabitusError | None = None
    """What the node says to these files; with a volume: what it would say, were it not evaluated all the same."""
    reference: Reference = field(default_factory=Reference)
    l3_z_mm: float | None = None
    """Patient z of the middle of the L3 body by the reference; None where nobody said."""
    is_l3_absent: bool = False
    """Whether it is known that L3 is not in the field."""
    known: KnownCase | None = None
    """Of the public cases that this repository names."""
    true_compartments: Compartments | None = None
    """Of a painted case: as the tissue network should answer, in every slice."""
    trouble: str = ""
    """Why part of the reference could not be used."""

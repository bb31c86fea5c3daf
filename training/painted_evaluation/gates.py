"""What is wanted of the models on painted cases, and shares with their exact confidence intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

from scipy import stats

from inference.domain.labelmap import Structure

CONFIDENCE = 0.95

NEAR_SHARE = 0.90
"""L3 within 10 mm, of the cases that hold it whole."""
SILENT_SHARE = 0.01
"""Off by a vertebra without a flag, of all cases."""
NOT_IN_FIELD_SHARE = 0.98
TISSUE_DICE = {
    Structure.SKELETAL_MUSCLE.value: 0.94,
    Structure.SUBCUTANEOUS_FAT.value: 0.96,
    Structure.VISCERAL_FAT.value: 0.96,
}
ORGAN_DICE = {
    Structure.LIVER.value: 0.9,
    Structure.SPLEEN.value: 0.9,
    Structure.KIDNEY_RIGHT.value: 0.9,
    Structure.KIDNEY_LEFT.value: 0.9,
    Structure.AORTA.value: 0.9,
    Structure.STOMACH.value: 0.8,
    Structure.INFERIOR_VENA_CAVA.value: 0.8,
    Structure.GALLBLADDER.value: 0.8,
    Structure.PANCREAS.value: 0.65,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """So many of so many."""

    count: int
    of: int

    @property
    def value(self) -> float | None:
        """None where there is nothing to count."""
        return self.count / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Clopper and Pearson's, exact."""
        if not self.of:
            return 0.0, 1.0
        found = stats.binomtest(self.count, self.of).proportion_ci(CONFIDENCE, method="exact")
        return float(found.low), float(found.high)

    def __str__(self) -> str:
        if self.value is None:
            return "–"
        low, high = self.interval
        return f"{self.value:.1%} ({self.count} of {self.of}; {low:.1%} to {high:.1%})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gate:
    """One wanted limit."""

    what: str
    value: float | None
    """None: nothing to judge by."""
    limit: float
    is_upper: bool = False
    """At most, where others want at least."""

    @property
    def holds(self) -> bool | None:
        """None where there is nothing to judge by."""
        if self.value is None:
            return None
        return self.value <= self.limit if self.is_upper else self.value >= self.limit

    @property
    def in_words(self) -> str:
        """For a table."""
        sign = "≤" if self.is_upper else "≥"
        shown = f"{self.limit:.0%}" if self.what.startswith("L3") else f"{self.limit:.2f}"
        return f"{sign} {shown} {_VERDICT[self.holds]}"


_VERDICT = {True: "holds", False: "**MISSED**", None: "(no cases)"}


def missed(gates: Sequence[Gate]) -> list[Gate]:
    """Those that do not hold."""
    return [gate for gate in gates if gate.holds is False]

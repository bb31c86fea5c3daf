"""How often L3 was found, missed and invented, counted over validation windows."""

import math

from torch import Tensor

SEEN = 0.5
"""A curve above this is a landmark, one below is none."""
CLOSE_MM = 10.0


class LevelCount:
    """Of windows of rows that are so many millimetres apart."""

    def __init__(self, row_mm: float) -> None:
        self._row_mm = row_mm
        self._errors_mm: list[float] = []
        self._absent = 0
        self._false_alarms = 0

    def add(self, curve: Tensor, row: float, rows_in_field: float) -> None:
        """The probability of L3 [row] in a window, its true row, and the rows that hold data."""
        top = int(curve.argmax())
        is_seen = bool(curve[top] > SEEN)
        if 0 <= row < min(len(curve), rows_in_field):
            self._errors_mm.append(abs(top - row) * self._row_mm if is_seen else math.inf)
        else:
            self._absent += 1
            self._false_alarms += int(is_seen)

    def scores(self) -> dict[str, float]:
        """Shares, and what they are shares of."""
        present = len(self._errors_mm)
        return {
            "l3_present": float(present),
            "l3_within_10_mm": sum(e <= CLOSE_MM for e in self._errors_mm) / max(1, present),
            "l3_missed": sum(map(math.isinf, self._errors_mm)) / max(1, present),
            "l3_absent": float(self._absent),
            "l3_false_alarms": self._false_alarms / max(1, self._absent),
        }

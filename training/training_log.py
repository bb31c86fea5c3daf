"""What a training leaves to look at: metrics.jsonl, metrics.csv, TensorBoard events, and one line a person can follow."""

import csv
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

METRICS_NAME = "metrics.jsonl"
TABLE_NAME = "metrics.csv"
EVENTS_NAME = "tensorboard"
BAR_WIDTH = 24
COLUMNS = ("step", "epoch", "elapsed_s", "loss", "rate")


class TrainingLog:
    """Of one run; a run that goes on from an earlier step forgets what came after it."""

    def __init__(self, out: Path, name: str, first_step: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        out.mkdir(parents=True, exist_ok=True)
        self._path = out / METRICS_NAME
        self._table = out / TABLE_NAME
        self._name = name
        kept = [row for row in read_metrics(self._path) if row["step"] <= first_step]
        self._path.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
        self._events = SummaryWriter(str(out / EVENTS_NAME), purge_step=first_step + 1)

    def said(self, text: str) -> None:
        """A line for the terminal; three runs in one log are told apart."""
        sys.stderr.write(f"{self._name:<10} {text}\n")
        sys.stderr.flush()

    def trained(
        self, *, step: int, epoch: float, elapsed_s: float, share: float, loss: float, rate: float
    ) -> None:
        """Between validations; the loss is the mean since the last report."""
        self._append(
            {
                "step": step,
                "epoch": round(epoch, 3),
                "elapsed_s": round(elapsed_s, 1),
                "loss": loss,
                "rate": rate,
            }
        )
        for name, value in (("loss", loss), ("rate", rate), ("epoch", epoch)):
            self._events.add_scalar(name, value, step)
        bar = "█" * round(share * BAR_WIDTH)
        self.said(f"{bar:·<{BAR_WIDTH}} {share:4.0%}  step {step}  loss {loss:.4f}")

    def validated(self, *, step: int, epoch: float, scores: Mapping[str, float]) -> None:
        """Scores on what is kept back."""
        self._append({"step": step, "epoch": round(epoch, 3), "validation": dict(scores)})
        for name, value in scores.items():
            self._events.add_scalar(f"validation/{name}", value, step)
        self._events.flush()
        self._write_table()
        told = "  ".join(f"{name} {value:.3f}" for name, value in scores.items())
        self.said(f"step {step}  {told}")

    def close(self) -> None:
        """Everything is on disk afterwards."""
        self._write_table()
        self._events.close()

    def _append(self, row: Mapping[str, object]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")

    def _write_table(self) -> None:
        rows = read_metrics(self._path)
        scores = list(dict.fromkeys(name for row in rows for name in row.get("validation", {})))
        with self._table.open("w", encoding="utf-8", newline="") as file:
            table = csv.DictWriter(file, [*COLUMNS, *scores], restval="")
            table.writeheader()
            for row in rows:
                plain = {name: row[name] for name in COLUMNS if name in row}
                table.writerow(plain | row.get("validation", {}))


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; none where there is no file. A last line that a kill cut short is left out."""
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows

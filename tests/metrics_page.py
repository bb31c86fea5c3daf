"""A metrics page as tests read it, and the names that files of monitoring/ speak of."""

import re
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

MONITORING = Path(__file__).resolve().parents[1] / "monitoring"
_NAME = re.compile(r"\bhabitus_[a-z0-9_]+")


class MetricsPage:
    """One scrape."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.families = list(text_string_to_metric_families(text))

    def value(self, name: str, **labels: str) -> float | None:
        """Of the one sample with these labels among its own; None where there is none."""
        found = [
            sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        ]
        assert len(found) <= 1, (name, labels, found)
        return found[0] if found else None

    def by_label(self, name: str, label: str) -> dict[str, float]:
        """Values of all samples of a name."""
        return {
            sample.labels[label]: sample.value
            for family in self.families
            for sample in family.samples
            if sample.name == name
        }

    @property
    def names(self) -> set[str]:
        """Of samples, and of families that have none yet."""
        families = {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in self.families
        }
        return families | {sample.name for family in self.families for sample in family.samples}


def metrics_named_in(text: str) -> set[str]:
    """Names of our metrics in rules, a dashboard or a page of documentation."""
    return set(_NAME.findall(text))


def monitoring_files() -> tuple[Path, ...]:
    """What names metrics."""
    names = ("alerts.yml", "alerts_test.yml", "grafana-dashboard.json")
    return tuple(MONITORING / name for name in names)

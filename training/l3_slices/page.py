"""What slice networks are worth, as a table: with the correction parameters and without, seed by seed."""

from collections.abc import Sequence
from statistics import mean

from training.l3_slices.evaluate import errors_of, within_mm
from training.l3_slices.nested import PairedRun


def table(runs: Sequence[PairedRun]) -> str:
    """Markdown; errors in slices on cases that nothing was chosen by."""
    lines = [
        "| run | seed | slice error, mean ± SD | median | slope | R² | within 10 mm | best F1, inner |",
        "|---|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        errors, (near, count) = errors_of(run.results), within_mm(run.results, 10.0)
        best = max(row["f1"] for row in run.per_epoch)
        lines.append(
            f"| {run.name} | {run.seed} | {errors.mean_absolute:.2f} ± {errors.sd_absolute:.2f} | "
            f"{errors.median_absolute:.2f} | {errors.slope:.3f} | {errors.r_squared:.3f} | {near}/{count} | {best:.3f} |"
        )
    return "\n".join(lines) + "\n"


def paired_difference(runs: Sequence[PairedRun], first: str, second: str) -> str:
    """A sentence: what the second one's error is less than the first one's, seed by seed."""
    by_name = {
        name: {run.seed: errors_of(run.results).mean_absolute for run in runs if run.name == name}
        for name in (first, second)
    }
    apart = [by_name[second][seed] - by_name[first][seed] for seed in sorted(by_name[first])]
    told = ", ".join(f"{one:+.2f}" for one in apart)
    return (
        f"Mean slice error of “{second}” less that of “{first}”, seed by seed: {told} "
        f"(mean {mean(apart):+.2f} slices; above 0: “{first}” is better)."
    )


def values_table(sets: dict[str, dict[str, object]]) -> str:
    """What the optimisations chose."""
    names = list(dict.fromkeys(name for values in sets.values() for name in values))
    lines = [f"| | {' | '.join(sets)} |", "|---|" + "---:|" * len(sets)]
    for name in names:
        cells = [_cell(values.get(name, "")) for values in sets.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _cell(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)

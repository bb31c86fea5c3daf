"""Five pictures of a slice at L3: the CT, the truth, the answer, where they differ, and both over the CT."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from matplotlib import use as use_backend
from matplotlib.axes import Axes
from matplotlib.colors import ListedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from inference.dicom.codes import rgb_of
from inference.domain.errors import ConfigurationInvalid
from inference.domain.labelmap import Structure
from inference.stages.grids import PlaneGrid
from training.augment import normalise
from training.checkpoint import load_checkpoint
from training.data.opened import kept_back_cases
from training.source import Source
from training.tasks.tissue_windows import TissuePlane, planes_at_l3

SHOWN_HU = (-200.0, 250.0)
INCH, DPI = 4.0, 110
WRONG_RGB = (0.85, 0.1, 0.1)
NAMES = ("ct", "truth", "answer", "difference", "overlay")
Labels = npt.NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """A slice, what is there and what the network says."""

    case: str
    plane: TissuePlane
    answer: Labels
    labels: tuple[str, ...]


def seen_by(checkpoint: Path, source: Source, case_name: str | None) -> Seen:
    """The middle slice of L3 of a case kept back: the named one, or the first."""
    loaded = load_checkpoint(checkpoint)
    config, spec = loaded.config, loaded.config.specification
    cases = kept_back_cases(source, seed=config.seed, validation_share=config.validation_share)
    named = {case.name: case for case in cases}
    chosen = case_name or next(iter(named))
    if chosen not in named:
        raise ConfigurationInvalid(
            found=f"case {chosen!r:.80}",
            wanted=f"one that was kept back: {', '.join(list(named)[:8])} …",
            advice="Name one of these with --case.",
        )
    rows, columns = config.input_shape
    grid = PlaneGrid((rows, columns), (spec.spacing_mm[0], spec.spacing_mm[1]))
    planes = list(planes_at_l3(named[chosen].read(), grid, spec.labels, 0.0))
    if not planes:
        raise ConfigurationInvalid(
            found=f"{chosen} without L3", wanted="a case that shows it", advice="Name another."
        )
    plane = planes[len(planes) // 2]
    with torch.inference_mode():
        hu = torch.from_numpy(plane.hu)[None, None].float()
        answer = loaded.network(normalise(hu, config)).argmax(1)[0].numpy().astype(np.uint8)
    return Seen(case=chosen, plane=plane, answer=answer, labels=spec.labels)


def write_pictures(seen: Seen, out: Path, note: str) -> list[Path]:
    """One file per picture and all of them side by side; the note stands below."""
    use_backend("Agg")
    out.mkdir(parents=True, exist_ok=True)
    written = []
    for name in NAMES:
        figure = Figure(figsize=(INCH, INCH), layout="constrained")
        _draw(figure.add_subplot(), name, seen)
        written.append(_save(figure, out / f"{name}.png"))
    figure = Figure(figsize=(INCH * len(NAMES), INCH + 0.8), layout="constrained")
    for axes, name in zip(figure.subplots(1, len(NAMES)), NAMES, strict=True):
        _draw(axes, name, seen)
    colours = _colours(seen.labels)
    patches = [
        Patch(color=colours[channel], label=label.replace("_", " "))
        for channel, label in enumerate(seen.labels)
        if channel > 0
    ]
    patches.append(Patch(color=WRONG_RGB, label="truth and answer differ"))
    figure.legend(handles=patches, loc="outside lower center", ncols=len(patches), title=note)
    return [*written, _save(figure, out / "five.png")]


def _draw(axes: Axes, name: str, seen: Seen) -> None:
    colours = _colours(seen.labels)
    shown = {
        "truth": (seen.plane.labels, 1.0),
        "answer": (seen.answer, 1.0),
        "overlay": (seen.answer, 0.45),
    }
    low, high = SHOWN_HU
    axes.imshow(seen.plane.hu, cmap="gray", vmin=low, vmax=high, interpolation="nearest")
    if name in shown:
        labels, alpha = shown[name]
        _fill(axes, labels, ListedColormap(colours), len(colours), alpha)
    if name == "overlay":
        axes.contour(seen.plane.labels > 0, levels=[0.5], colors="white", linewidths=0.7)
    if name == "difference":
        wrong = (seen.plane.labels != seen.answer).astype(np.uint8)
        _fill(axes, wrong, ListedColormap([(0, 0, 0), WRONG_RGB]), 2, 1.0)
    axes.set_title(name if name != "ct" else f"CT ({seen.case})")
    axes.set_axis_off()


def _fill(axes: Axes, labels: Labels, colours: ListedColormap, count: int, alpha: float) -> None:
    masked = np.ma.masked_equal(labels, 0)
    axes.imshow(
        masked, cmap=colours, vmin=-0.5, vmax=count - 0.5, alpha=alpha, interpolation="nearest"
    )


def _colours(labels: tuple[str, ...]) -> list[tuple[float, float, float]]:
    named = [tuple(part / 255 for part in rgb_of(Structure(label))) for label in labels[1:]]
    return [(0.0, 0.0, 0.0), *((red, green, blue) for red, green, blue in named)]


def _save(figure: Figure, path: Path) -> Path:
    figure.savefig(path, dpi=DPI)
    return path

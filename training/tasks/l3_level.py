"""L3 level: projections of torsos, cut to random fields, with a curve per landmark."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from inference.stages.grids import AIR_HU
from inference.stages.projections import (
    COLUMN_MM,
    CORONAL_COLUMNS,
    LANDMARKS,
    ROW_MM,
    SAGITTAL_COLUMNS,
)
from training.augment import (
    Chance,
    flank_shift_mm,
    normalise,
    normalise_varied,
    row_bend,
    row_of,
    vary_hu,
    warp_hu,
)
from training.config import TrainConfig
from training.losses import landmark_curves, landmark_loss
from training.samples import ProjectionSample
from training.source import Source
from training.tasks.level_scores import LevelCount
from training.tasks.store import Example, ExampleStore

BUMP_SD_ROWS = 2.0
SHORTEST_FIELD_ROWS = 30
BEND_KNOT_MM = 60.0


class LevelTask:
    """See training.tasks.task.Task."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self._config = config
        self._device = device
        self._store = ExampleStore(source.folder, ProjectionSample, config, device)
        self._rows = config.input_shape[0]

    def grow(self) -> None:
        self._store.grow()

    def describe(self) -> str:
        return f"Projections of {len(self._store.training)} fields of {self._store.origin()}"

    def data_hash(self) -> str:
        return ""

    def examples(self) -> int:
        return len(self._store.training)

    def batch(self, chance: Chance) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        config, count = self._config, self._config.batch_size
        indices = chance.choice(len(self._store.training), count)
        hu, rows_in_field, landmarks = self._stack(list(self._store.drawn(indices)))
        step = 1 + chance.uniform((count, 1), -config.augmentation.scale, config.augmentation.scale)
        length = self._field_rows(rows_in_field / step, chance)
        first = chance.uniform((count, 1), 0, 1) * (rows_in_field - length * step).clamp(min=0)
        position = torch.arange(self._rows, device=self._device)
        rows = first + position * step
        bend_rows = config.augmentation.elastic_mm / ROW_MM
        rows = rows + row_bend(count, self._rows, bend_rows, BEND_KNOT_MM / ROW_MM, chance)
        hu = self._warp(hu, rows, chance)
        hu = vary_hu(hu, config.augmentation, chance)
        outside = position[None] >= length
        hu = hu.masked_fill(outside[:, None, :, None], AIR_HU)
        targets = self._targets(row_of(landmarks, rows), length)
        return (normalise_varied(hu, config, chance),), targets

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return landmark_loss(logits, *targets)

    def validate(self, network: nn.Module) -> dict[str, float]:
        count, l3 = LevelCount(ROW_MM), LANDMARKS.index("L3")
        for number, example in enumerate(self._store.validation):
            window, row = self._window(example, from_below=number % 2 == 0)
            curve = network(normalise(window, self._config))[0, l3].float().sigmoid()
            count.add(curve, row, example["hu"].shape[1])
        return count.scores()

    def _stack(self, examples: list[Example]) -> tuple[Tensor, Tensor, Tensor]:
        """HU [n, channel, row, column] padded to the tallest, rows in field [n, 1], landmark rows [n, landmark]."""
        tallest = max(example["hu"].shape[1] for example in examples)
        padded = [
            functional.pad(
                example["hu"].to(self._device),
                (0, 0, 0, tallest - example["hu"].shape[1]),
                value=int(AIR_HU),
            )
            for example in examples
        ]
        rows = torch.tensor([[float(e["hu"].shape[1])] for e in examples], device=self._device)
        landmarks = torch.stack([e["landmark_rows"] for e in examples])
        return torch.stack(padded).float(), rows, landmarks.to(self._device)

    def _field_rows(self, available: Tensor, chance: Chance) -> Tensor:
        """Rows kept of each example: all that fit, or a random shorter field."""
        whole = available.clamp(max=float(self._rows)).floor()
        shortest = whole.clamp(max=float(SHORTEST_FIELD_ROWS))
        share = chance.uniform(whole.shape, 0, 1)
        cropped = chance.uniform(whole.shape, 0, 1) < self._config.augmentation.crop_probability
        return torch.where(cropped, (shortest + share * (whole - shortest)).floor(), whole)

    def _warp(self, hu: Tensor, rows: Tensor, chance: Chance) -> Tensor:
        """Both views sampled at the given rows [n, row], shifted, sheared, resized and mirrored along the columns."""
        views = hu.split([CORONAL_COLUMNS, SAGITTAL_COLUMNS], 3)
        mirror = self._config.augmentation.mirror_probability
        return torch.cat(
            [
                self._warp_view(view, rows, slope, probability, chance)
                for view, slope, probability in (
                    (views[0], self._config.augmentation.flank_slope, mirror),
                    (views[1], 0.0, 0.0),
                )
            ],
            3,
        )

    def _warp_view(
        self,
        view: Tensor,
        rows: Tensor,
        flank_slope: float,
        mirror_probability: float,
        chance: Chance,
    ) -> Tensor:
        augmentation, (count, _, height, width) = self._config.augmentation, view.shape
        size = 1 + chance.uniform((count, 1, 1), -augmentation.scale, augmentation.scale)
        mirrored = chance.uniform((count, 1, 1), 0, 1) < mirror_probability
        reach = augmentation.shift_mm / COLUMN_MM
        shift = chance.uniform((count, 1, 1), -reach, reach)
        lean = math.tan(math.radians(augmentation.rotate_deg)) * ROW_MM / COLUMN_MM
        shear = chance.uniform((count, 1, 1), -lean, lean)
        column = torch.arange(width, device=view.device) - (width - 1) / 2
        across = torch.where(mirrored, -column, column) * size + shift
        slope = chance.uniform((count, 1, 1), -flank_slope, flank_slope)
        flanks = flank_shift_mm(COLUMN_MM * across, slope) / ROW_MM
        across = across + shear * (rows - rows.mean(1, keepdim=True))[:, :, None]
        down = rows[:, :, None] + flanks.expand_as(across)
        down = down / ((height - 1) / 2) - 1
        return warp_hu(view, torch.stack([across / ((width - 1) / 2), down], -1))

    def _targets(self, landmarks: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Curves [n, landmark, row] and which landmarks the anatomy has [n, landmark]."""
        exists = landmarks.isfinite()
        inside = exists & (landmarks >= 0) & (landmarks <= length - 1)
        rows = torch.where(inside, landmarks, -torch.ones_like(landmarks))
        return landmark_curves(rows, self._rows, BUMP_SD_ROWS), exists.float()

    def _window(self, example: Example, *, from_below: bool) -> tuple[Tensor, float]:
        """One window [1, channel, row, column] as the node reads it, and L3's row in it."""
        hu = example["hu"].to(self._device).float()
        start = 0 if from_below else max(0, hu.shape[1] - self._rows)
        window = hu[:, start : start + self._rows]
        missing = self._rows - window.shape[1]
        window = functional.pad(window, (0, 0, 0, missing), value=AIR_HU)
        return window[None], float(example["landmark_rows"][LANDMARKS.index("L3")]) - start

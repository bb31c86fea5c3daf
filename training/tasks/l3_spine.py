"""L3 in three dimensions: trunks turned, resized and cut to random fields, with a curve per landmark."""

import math
from functools import partial

import torch
from torch import Tensor, nn

from inference.domain.errors import ConfigurationInvalid
from inference.stages.grids import AIR_HU
from inference.stages.projections import LANDMARKS
from inference.stages.spine_volume import TRUNK_STEP_MM
from training.augment import (
    Chance,
    affine_grid,
    end_field,
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
from training.pool_samples import at_step
from training.samples import TorsoSample
from training.source import Source
from training.tasks.level_scores import LevelCount
from training.tasks.repaint import Repainter
from training.tasks.store import Example, ExampleStore

BUMP_SD_SLICES = 1.5
SHORTEST_FIELD_SLICES = 23
BEND_KNOT_MM = 60.0
NARROWEST_FIELD = 0.7
"""Part of the window's rows and columns that a narrow field of view still fills."""


class SpineTask:
    """See training.tasks.task.Task."""

    def __init__(self, config: TrainConfig, source: Source, device: torch.device) -> None:
        self._config = config
        self._device = device
        on_our_grid = partial(at_step, step_mm=(TRUNK_STEP_MM,) * 3)
        self._store = ExampleStore(source.folder, TorsoSample, config, device, on_our_grid)
        self._repainter = Repainter(config.repainted_share, device)
        self._shape = config.input_shape

    def grow(self) -> None:
        self._store.grow()
        if not all(len(e["landmarks"]) for e in self._store.training):
            raise ConfigurationInvalid(
                found="torsos without landmarks",
                wanted="a pool that says where each vertebra is",
                advice="Make the pool again: python -m training pool --help.",
            )

    def describe(self) -> str:
        return f"{len(self._store.training)} scans of {self._store.origin()}"

    def data_hash(self) -> str:
        return ""

    def examples(self) -> int:
        return len(self._store.training)

    def batch(self, chance: Chance) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        config, count = self._config, self._config.batch_size
        drawn = list(self._store.drawn(chance.choice(len(self._store.training), count)))
        matrix = self._matrices(count, chance)
        windows, rows, lengths = [], [], []
        for example, turn in zip(drawn, matrix, strict=True):
            window, row, length = self._window(example, turn, chance)
            windows.append(window)
            rows.append(row)
            lengths.append(length)
        hu, length = vary_hu(torch.cat(windows), config.augmentation, chance), torch.stack(lengths)
        position = torch.arange(self._shape[0], device=self._device)
        outside = position[None] >= length[:, None]
        hu = hu.masked_fill(outside[:, None, :, None, None], AIR_HU)
        for axis in (3, 4):
            shortest = round(NARROWEST_FIELD * hu.shape[axis])
            hu, _ = end_field(hu, hu, axis, shortest, config.augmentation, chance)
        return (normalise_varied(hu, config, chance),), self._targets(torch.stack(rows), length)

    def loss(self, logits: Tensor, targets: tuple[Tensor, ...]) -> Tensor:
        return landmark_loss(logits, *targets)

    def validate(self, network: nn.Module) -> dict[str, float]:
        count = LevelCount(TRUNK_STEP_MM)
        still = torch.eye(3, device=self._device)
        for number, example in enumerate(self._store.validation):
            slices = example["hu"].shape[0]
            first = 0.0 if number % 2 == 0 else float(max(0, slices - self._shape[0]))
            window, row = self.warped(example["hu"], example, still, first)
            curve = network(normalise(window, self._config))[0, LANDMARKS.index("L3")]
            count.add(curve.float().sigmoid(), float(row[LANDMARKS.index("L3")]), slices - first)
        return count.scores()

    def _matrices(self, count: int, chance: Chance) -> Tensor:
        """Turns about all three axes, size, sides a little different, some mirrored."""
        augmentation = self._config.augmentation
        reach = math.radians(augmentation.rotate_deg)
        result = torch.eye(3, device=self._device).repeat(count, 1, 1)
        for a, b in ((0, 1), (0, 2), (1, 2)):
            angle = chance.uniform((count,), -reach, reach)
            turn = torch.eye(3, device=self._device).repeat(count, 1, 1)
            turn[:, a, a] = turn[:, b, b] = angle.cos()
            turn[:, a, b], turn[:, b, a] = -angle.sin(), angle.sin()
            result = result @ turn
        scale = augmentation.scale
        sides = (1 + chance.uniform((count, 1), -scale, scale)) * (
            1 + 0.3 * chance.uniform((count, 3), -scale, scale)
        )
        mirrored = chance.uniform((count,), 0, 1) < augmentation.mirror_probability
        sides[:, 2] = torch.where(mirrored, -sides[:, 2], sides[:, 2])
        return result * sides[:, None, :]

    def _window(
        self, example: Example, turn: Tensor, chance: Chance
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A window that begins somewhere in the torso, its landmarks' rows, and how many rows are scanned."""
        available = example["hu"].shape[0] / abs(float(turn[0, 0]))
        length = min(available, float(self._shape[0]))
        if chance.host.random() < self._config.augmentation.crop_probability:
            shortest = min(length, float(SHORTEST_FIELD_SLICES))
            length = float(chance.host.uniform(shortest, length))
        length = math.floor(length)
        first = float(chance.host.uniform(0, 1)) * max(0.0, available - length)
        first *= abs(float(turn[0, 0]))
        reach = self._config.augmentation.shift_mm / TRUNK_STEP_MM
        aside = chance.host.uniform(-reach, reach, 2).tolist()
        hu = example["hu"]
        if self._repainter.takes(example, chance):
            hu = self._repainter.hu(example["tissues"], (TRUNK_STEP_MM,) * 3, chance)
        sd_slices = self._config.augmentation.elastic_mm / TRUNK_STEP_MM
        bend = row_bend(1, self._shape[0], sd_slices, BEND_KNOT_MM / TRUNK_STEP_MM, chance)
        bend = bend[:, :, None] + self._flanks(chance)
        window, rows = self.warped(hu, example, turn, first, aside, bend)
        return window, rows, torch.tensor(float(length), device=self._device)

    def _flanks(self, chance: Chance) -> Tensor:
        """Displacement in slices [1, 1, column] of what lies beside the spine."""
        steepest = self._config.augmentation.flank_slope
        columns = self._shape[2]
        aside_mm = TRUNK_STEP_MM * (torch.arange(columns, device=self._device) - (columns - 1) / 2)
        slope = chance.uniform((1, 1, 1), -steepest, steepest)
        return flank_shift_mm(aside_mm, slope) / TRUNK_STEP_MM

    def warped(
        self,
        hu: Tensor,
        example: Example,
        turn: Tensor,
        first: float,
        aside: tuple[float, ...] = (0.0, 0.0),
        bend: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """HU [1, 1, slice, row, column] of a window and the row of every landmark in it; bend [1, slice, column] moves slices."""
        size = torch.tensor(hu.shape, device=self._device, dtype=torch.float32)
        centre = example["body_centre"].to(self._device).clone()
        half = (self._shape[0] - 1) / 2
        centre[0] = first + half * float(turn[0, 0])
        centre[1:] += torch.tensor(aside, device=self._device)
        grid = affine_grid(turn[None], (centre - (size - 1) / 2)[None], hu.shape, self._shape)
        landmarks = example["landmarks"].to(self._device)
        rows = torch.linalg.solve(turn, (landmarks - centre).T)[0] + half
        if bend is not None:
            grid[..., 2] += bend[:, :, None, :] / ((hu.shape[0] - 1) / 2)
            of_the_spine = bend[:, :, bend.shape[2] // 2]
            straight = torch.arange(self._shape[0], device=self._device) + of_the_spine / turn[0, 0]
            rows = row_of(rows[None], straight)[0]
        return warp_hu(hu[None, None].to(self._device).float(), grid), rows

    def _targets(self, rows: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Curves [n, landmark, slice] and which landmarks the anatomy has [n, landmark]."""
        exists = rows.isfinite()
        inside = exists & (rows >= 0) & (rows <= length[:, None] - 1)
        kept = torch.where(inside, rows, -torch.ones_like(rows))
        return landmark_curves(kept, self._shape[0], BUMP_SD_SLICES), exists.float()

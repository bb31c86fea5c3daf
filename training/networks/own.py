"""The four networks of the node: small, made of operators every ONNX runtime has."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from inference.stages.projections import CORONAL_COLUMNS, LANDMARKS


def _plane_block(channels_in: int, channels_out: int, stride: int | tuple[int, int]) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
        nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False),
        nn.BatchNorm2d(channels_out),
        nn.ReLU(inplace=True),
    )


class _ViewStem(nn.Module):
    """One projected view Nx2xRxW -> Nx(2·C)x(R/2): columns are pooled away, rows are kept."""

    def __init__(self, widths: Sequence[int]) -> None:
        super().__init__()
        first, *rest = widths
        blocks = [_plane_block(2, first, (1, 2))]
        channels = first
        for depth, width in enumerate(rest):
            blocks.append(_plane_block(channels, width, (2 if depth == 0 else 1, 2)))
            channels = width
        self.blocks = nn.Sequential(*blocks)

    def forward(self, view: Tensor) -> Tensor:
        features = self.blocks(view)
        return torch.cat([features.mean(3), features.amax(3)], 1)


class _DilatedRows(nn.Module):
    """A residual step along the rows; its dilation lets the network count over many vertebrae."""

    def __init__(self, channels: int, dilation: int) -> None:
        super().__init__()
        self.step = nn.Sequential(
            nn.Conv1d(channels, channels, 5, 1, 2 * dilation, dilation, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
            nn.Conv1d(channels, channels, 1, bias=False),
            nn.BatchNorm1d(channels),
        )

    def forward(self, rows: Tensor) -> Tensor:
        return torch.relu(rows + self.step(rows))


class LevelNet(nn.Module):
    """Projections Nx2x256x192 (coronal and sagittal side by side) -> one curve of logits per landmark, Nx11x256."""

    def __init__(
        self,
        *,
        widths: Sequence[int] = (16, 24, 32, 48),
        channels: int = 80,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 1, 4, 16),
    ) -> None:
        super().__init__()
        self.coronal = _ViewStem(widths)
        self.sagittal = _ViewStem(widths)
        self.fuse = nn.Sequential(
            nn.Dropout(0.1),
            nn.Conv1d(4 * widths[-1], channels, 1, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
        )
        self.count = nn.Sequential(*(_DilatedRows(channels, d) for d in dilations))
        self.upsample = nn.ConvTranspose1d(channels, channels // 2, 2, 2)
        self.curves = nn.Conv1d(channels // 2, len(LANDMARKS), 5, 1, 2)
        # Almost every row holds no landmark: starting there spares the first hundred steps.
        nn.init.constant_(self.curves.bias, -4.0)

    def forward(self, projections: Tensor) -> Tensor:
        views = [
            self.coronal(projections[..., :CORONAL_COLUMNS]),
            self.sagittal(projections[..., CORONAL_COLUMNS:]),
        ]
        rows = self.count(self.fuse(torch.cat(views, 1)))
        return self.curves(torch.relu(self.upsample(rows)))


class SpineNet(nn.Module):
    """Trunk Nx1xDxHxW -> one curve of logits per landmark, Nx11xD: rows and columns are pooled away at every depth."""

    def __init__(
        self,
        *,
        widths: Sequence[int] = (12, 24, 48, 64),
        channels: int = 80,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 1, 4, 16),
    ) -> None:
        super().__init__()
        strides = [(1, 2, 2), (2, 2, 2), (1, 2, 2), (1, 2, 2)]
        inputs = [1, *widths[:-1]]
        self.blocks = nn.ModuleList(
            _trunk_block(i, o, stride) for i, o, stride in zip(inputs, widths, strides, strict=True)
        )
        self.fuse = nn.Sequential(
            nn.Dropout(0.1),
            nn.Conv1d(2 * sum(widths[1:]), channels, 1, bias=False),
            nn.BatchNorm1d(channels),
            nn.ReLU(inplace=True),
        )
        self.count = nn.Sequential(*(_DilatedRows(channels, d) for d in dilations))
        self.upsample = nn.ConvTranspose1d(channels, channels // 2, 2, 2)
        self.curves = nn.Conv1d(channels // 2, len(LANDMARKS), 5, 1, 2)
        nn.init.constant_(self.curves.bias, -4.0)

    def forward(self, trunks: Tensor) -> Tensor:
        features, rows = trunks, []
        for depth, block in enumerate(self.blocks):
            features = block(features)
            if depth > 0:
                rows += [features.mean((3, 4)), features.amax((3, 4))]
        counted = self.count(self.fuse(torch.cat(rows, 1)))
        return self.curves(torch.relu(self.upsample(counted)))


def _trunk_block(channels_in: int, channels_out: int, stride: tuple[int, int, int]) -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.BatchNorm3d(channels_out),
        nn.ReLU(inplace=True),
        nn.Conv3d(channels_out, channels_out, (3, 1, 1), 1, (1, 0, 0), bias=False),
        nn.BatchNorm3d(channels_out),
        nn.ReLU(inplace=True),
    )


class TissueNet(nn.Module):
    """Axial slice Nx1xHxW -> compartment logits Nx4xHxW; all but two thin layers run at half resolution and below."""

    def __init__(
        self,
        *,
        classes: int = 4,
        widths: Sequence[int] = (16, 32, 64, 96, 128),
        thin: int = 8,
    ) -> None:
        super().__init__()
        self.full = nn.Sequential(
            nn.Conv2d(1, thin, 3, 1, 1, bias=False), nn.BatchNorm2d(thin), nn.ReLU(inplace=True)
        )
        inputs = [thin, *widths[:-1]]
        self.encoder = nn.ModuleList(
            _plane_block(i, o, 2) for i, o in zip(inputs, widths, strict=True)
        )
        self.decoder = nn.ModuleList(
            _plane_block(widths[d] + widths[d - 1], widths[d - 1], 1)
            for d in range(len(widths) - 1, 0, -1)
        )
        self.upsample = nn.Upsample(scale_factor=2, mode="nearest")
        self.coarse = nn.ConvTranspose2d(widths[0], thin, 2, 2)
        self.fine = nn.Sequential(
            nn.Conv2d(2 * thin, 2 * thin, 3, 1, 1, bias=False),
            nn.BatchNorm2d(2 * thin),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * thin, classes, 1),
        )

    def forward(self, planes: Tensor) -> Tensor:
        full = self.full(planes)
        features, skips = full, []
        for block in self.encoder:
            features = block(features)
            skips.append(features)
        for block, skip in zip(self.decoder, skips[-2::-1], strict=True):
            features = block(torch.cat([self.upsample(features), skip], 1))
        return self.fine(torch.cat([self.coarse(features), full], 1))


def _volume_step(channels_in: int, channels_out: int, stride: int = 1) -> nn.Module:
    return nn.Sequential(
        nn.Conv3d(channels_in, channels_out, 3, stride, 1, bias=False),
        nn.InstanceNorm3d(channels_out, affine=True),
        nn.LeakyReLU(0.01, inplace=True),
    )


class OrganNet(nn.Module):
    """Volume Nx1xDxHxW -> organ logits Nx15xDxHxW; sides are multiples of 16; skips are added, which halves the cost."""

    def __init__(
        self,
        *,
        classes: int = 15,
        widths: Sequence[int] = (16, 32, 64, 96),
    ) -> None:
        super().__init__()
        self.stem = nn.Sequential(_volume_step(1, widths[0]), _volume_step(widths[0], widths[0]))
        self.encoder = nn.ModuleList(
            nn.Sequential(_volume_step(i, o, 2), _volume_step(o, o)) for i, o in pairwise(widths)
        )
        # One step further down sees most of the patch: left and right, chest and pelvis.
        self.context = nn.Sequential(
            _volume_step(widths[-1], widths[-1], 2),
            nn.ConvTranspose3d(widths[-1], widths[-1], 2, 2),
        )
        self.up = nn.ModuleList(
            nn.ConvTranspose3d(widths[d], widths[d - 1], 2, 2)
            for d in range(len(widths) - 1, 0, -1)
        )
        self.decoder = nn.ModuleList(
            _volume_step(widths[d - 1], widths[d - 1]) for d in range(len(widths) - 1, 0, -1)
        )
        self.head = nn.Conv3d(widths[0], classes, 1)

    def forward(self, volumes: Tensor) -> Tensor:
        features = self.stem(volumes)
        skips = [features]
        for block in self.encoder:
            features = block(features)
            skips.append(features)
        features = features + self.context(features)
        for up, block, skip in zip(self.up, self.decoder, skips[-2::-1], strict=True):
            features = block(up(features) + skip)
        return self.head(features)

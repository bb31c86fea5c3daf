"""Segment Anything (Kirillov et al. 2023) and HQ-SAM (Ke et al. 2023) of transformers, encoders frozen, for slices of CT.

Prompts are points of several kinds, as in Segment Anything's own ONNX export: one batch may mix boxes and points.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import (
    SamConfig,
    SamHQConfig,
    SamHQModel,
    SamModel,
    SamVisionConfig,
    SamVisionModel,
)

from inference.domain.errors import ConfigurationInvalid, UnreadableInput
from inference.stages.prompts import PointKind

FAMILIES: Mapping[str, tuple[Any, Any]] = {
    "sam": (SamModel, SamConfig),
    "sam-hq": (SamHQModel, SamHQConfig),
}
PARTS = ("vision", "prompt_encoder", "mask_decoder")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_SD = (0.229, 0.224, 0.225)
"""What Segment Anything was trained with, of grey values 0 to 1."""
WEIGHTS_NAME = "model.safetensors"
NOT_ARGUMENTS = frozenset(
    {
        "model_type",
        "transformers_version",
        "dtype",
        "architectures",
        "image_embedding_size",
        "scale",
    }
)
"""What a part's configuration says of itself, or makes of other values."""


class PromptedNet(nn.Module):
    """Slices Mx1xHxW of values 0 to 1 and N prompts -> mask logits Nx1xSxS; only the mask decoder learns."""

    def __init__(
        self, *, family: str = "sam", side: int = 128, parts: Mapping[str, Mapping[str, Any]]
    ) -> None:
        super().__init__()
        if family not in FAMILIES:
            raise TypeError(family)
        model_kind, config_kind = FAMILIES[family]
        config = config_kind(**{f"{part}_config": dict(parts[part]) for part in PARTS})
        self.family, self.side = family, side
        self.sam = model_kind(config)
        _draw_as_published(self.sam)
        self.colours = _Colours()
        for frozen in (self.sam.vision_encoder, self.sam.prompt_encoder):
            frozen.requires_grad_(requires_grad=False)
        self.sam.shared_image_embedding.requires_grad_(requires_grad=False)

    @property
    def mask_side(self) -> int:
        """Rows and columns of masks, asked and answered."""
        return 4 * int(self.sam.prompt_encoder.image_embedding_size[0])

    def forward(
        self,
        images: Tensor,
        image_of_prompt: Tensor,
        points: Tensor,
        kinds: Tensor,
        masks: Tensor,
        has_mask: Tensor,
    ) -> Tensor:
        """Each prompt names its image: an image is encoded once, however much is asked about it."""
        embeddings = [one[image_of_prompt] for one in self.encode(images)]
        return self.decode(embeddings, points, kinds, masks, has_mask)

    @torch.no_grad()
    def encode(self, images: Tensor) -> tuple[Tensor, ...]:
        """What the decoder needs of images: one tensor of SAM, two of HQ-SAM."""
        encoder = self.sam.vision_encoder
        seen = encoder(self.colours(images, encoder.patch_embed.image_size))
        if self.family == "sam":
            return (seen.last_hidden_state,)
        # HQ-SAM takes the first layer of global attention: fine edges are gone from later ones.
        return seen.last_hidden_state, seen.intermediate_embeddings[0]

    def decode(
        self,
        embeddings: Sequence[Tensor],
        points: Tensor,
        kinds: Tensor,
        masks: Tensor,
        has_mask: Tensor,
    ) -> Tensor:
        """One mask per prompt, embeddings and prompts in the same order."""
        sparse, dense = self._prompts(points, kinds, masks, has_mask)
        positions = self.sam.get_image_wide_positional_embeddings()
        asked: dict[str, Any] = {
            "image_embeddings": embeddings[0],
            "image_positional_embeddings": positions.expand(len(points), -1, -1, -1),
            "sparse_prompt_embeddings": sparse[:, None],
            "dense_prompt_embeddings": dense,
            "multimask_output": False,
        }
        if self.family == "sam-hq":
            asked |= {"hq_token_only": False, "intermediate_embeddings": [embeddings[1]]}
        return self.sam.mask_decoder(**asked)[0][:, 0]

    def _prompts(
        self, points: Tensor, kinds: Tensor, masks: Tensor, has_mask: Tensor
    ) -> tuple[Tensor, Tensor]:
        """As transformers' own prompt encoder, for kinds that differ within a batch."""
        encoder = self.sam.prompt_encoder
        kinds = kinds[..., None]
        sparse = encoder.shared_embedding(((points + 0.5) / self.side)[:, None])[:, 0]
        sparse = torch.where(kinds == PointKind.NOTHING, encoder.not_a_point_embed.weight, sparse)
        for kind, learned in enumerate(encoder.point_embed):
            sparse = sparse + (kinds == kind) * learned.weight
        shown = has_mask.view(-1, 1, 1, 1)
        nothing = encoder.no_mask_embed.weight.view(1, -1, 1, 1)
        return sparse, shown * encoder.mask_embed(masks) + (1 - shown) * nothing


class EncoderNet(nn.Module):
    """SAM's image encoder with a thin head, slices Nx1xHxW -> logits NxKxHxW: how an encoder of our own is taught."""

    def __init__(
        self, *, classes: int = 14, head_channels: int = 32, vision: Mapping[str, Any]
    ) -> None:
        super().__init__()
        config = SamVisionConfig(**dict(vision))
        self.encoder = SamVisionModel(config).vision_encoder
        self.colours = _Colours()
        self.head = nn.Sequential(
            nn.ConvTranspose2d(config.output_channels, head_channels, 2, 2),
            nn.GELU(),
            nn.Conv2d(head_channels, classes, 1),
        )

    def forward(self, images: Tensor) -> Tensor:
        seen = self.encoder(self.colours(images, self.encoder.patch_embed.image_size))
        logits = self.head(seen.last_hidden_state)
        return functional.interpolate(
            logits, images.shape[2:], mode="bilinear", align_corners=False
        )


class _Colours(nn.Module):
    """One channel of values 0 to 1 as the photographs that Segment Anything was trained on."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1))
        self.register_buffer("sd", torch.tensor(IMAGENET_SD).view(1, 3, 1, 1))

    def forward(self, images: Tensor, shape: Sequence[int]) -> Tensor:
        if tuple(images.shape[2:]) != tuple(shape):
            images = functional.interpolate(images, shape, mode="bilinear", align_corners=False)
        return (images.expand(-1, 3, -1, -1) - self.mean) / self.sd


def _draw_as_published(sam: nn.Module) -> None:
    """Weights that nobody has trained, as Segment Anything's authors draw them: torch's own choice, and positions of SD 1.

    transformers draws all of them with an SD of 0.02, in which kinds of points cannot be told apart, and positions so
    wide that neighbours are strangers. Weights that are loaded overwrite both.
    """
    for part in (sam.prompt_encoder, sam.mask_decoder):
        for layer in part.modules():
            if isinstance(layer, nn.Linear | nn.Conv2d | nn.ConvTranspose2d | nn.Embedding):
                layer.reset_parameters()
    nn.init.normal_(sam.shared_image_embedding.positional_embedding)


def pretrained(family: str, folder: Path, side: int) -> tuple[dict[str, Any], PromptedNet]:
    """Arguments and network of weights in a local folder as transformers writes it; nothing is ever downloaded.

    Raises UnreadableInput and ConfigurationInvalid.
    """
    if family not in FAMILIES:
        raise ConfigurationInvalid(
            found=f"family {family!r:.40}", wanted=f"one of {', '.join(FAMILIES)}", advice=""
        )
    if not (folder / WEIGHTS_NAME).is_file() or not (folder / "config.json").is_file():
        raise UnreadableInput(
            found=f"no config.json with {WEIGHTS_NAME} in {folder.name}",
            wanted=f"weights of {family} as transformers saves them, in safetensors",
            advice="Fetch them yourself where you may, and convert pickles with save_pretrained.",
        )
    model_kind, _ = FAMILIES[family]
    try:
        model = model_kind.from_pretrained(folder, local_files_only=True, use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as exc:
        raise UnreadableInput(
            found=f"weights in {folder.name} that transformers cannot read as {family}",
            wanted="a folder of that family",
            advice="Name the folder of the right family: config.json says which it is.",
        ) from exc
    arguments: dict[str, Any] = {
        "family": family,
        "side": side,
        "parts": {part: _plain(getattr(model.config, f"{part}_config")) for part in PARTS},
    }
    network = PromptedNet(**arguments)
    network.sam.load_state_dict(model.state_dict())
    return arguments, network


def _plain(config: Any) -> dict[str, Any]:
    """Of a part, what differs from its defaults."""
    return {key: value for key, value in config.to_diff_dict().items() if key not in NOT_ARGUMENTS}

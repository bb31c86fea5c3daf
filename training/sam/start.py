"""Where a network with prompts begins: real weights from a local folder, or an encoder taught here."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from inference.domain.errors import UnreadableInput
from inference.domain.manifest import sha256_of
from training.checkpoint import load_checkpoint, save_checkpoint
from training.checkpoint_header import History
from training.config import TrainConfig
from training.networks.prompted import WEIGHTS_NAME, EncoderNet, PromptedNet, pretrained

HASH_LETTERS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """Written, and what a training of it must be configured as."""

    config: TrainConfig
    checkpoint: Path


def start_from_folder(config: TrainConfig, folder: Path, out: Path, revision: str) -> Start:
    """Weights as transformers saves them, of the configured family; the network takes their shape. Raises UnreadableInput."""
    family = str(config.network["family"])
    arguments, network = pretrained(family, folder, config.input_shape[0])
    shaped = replace(config, network=arguments)
    hashed = sha256_of(folder / WEIGHTS_NAME)[:HASH_LETTERS]
    told = f"Weights of {family} in a folder named by the user ({WEIGHTS_NAME}, sha256 {hashed})."
    return _written(shaped, network, told, out, revision)


def start_from_encoder(config: TrainConfig, encoder: Path, out: Path, revision: str) -> Start:
    """A network of the configuration's shape with the image encoder of a checkpoint. Raises UnreadableInput."""
    torch.manual_seed(config.seed)
    network = PromptedNet(**config.network)
    earlier = load_checkpoint(encoder)
    if not isinstance(earlier.network, EncoderNet):
        raise UnreadableInput(
            found=f"{earlier.config.name} in {encoder.name}",
            wanted="a checkpoint of an image encoder",
            advice="Train one: training/configs/small/sam_encoder.toml.",
        )
    try:
        network.sam.vision_encoder.load_state_dict(earlier.network.encoder.state_dict())
    except RuntimeError as exc:
        raise UnreadableInput(
            found=f"an encoder of another shape in {encoder.name}",
            wanted="the shape of [network.parts.vision]",
            advice="Give both configurations the same encoder.",
        ) from exc
    told = (
        f"No real weights: mechanism only. Encoder of {earlier.history.step} steps: "
        f"{earlier.history.training_data}"
    )
    return _written(config, network, told, out, revision)


def _written(
    config: TrainConfig, network: PromptedNet, told: str, out: Path, revision: str
) -> Start:
    history = History(step=0, elapsed_s=0.0, code_revision=revision, training_data=told, metrics={})
    save_checkpoint(network.state_dict(), config, history, out)
    return Start(config=config, checkpoint=out)

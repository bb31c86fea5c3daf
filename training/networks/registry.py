"""Networks by name, rebuilt from their arguments; a library is loaded only for a network that is made of it."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Any

from torch import nn

from inference.domain.errors import ConfigurationInvalid

NETWORKS: Mapping[str, str] = MappingProxyType(
    {
        "LevelNet": "training.networks.own",
        "SpineNet": "training.networks.own",
        "TissueNet": "training.networks.own",
        "OrganNet": "training.networks.own",
        "SliceClassifier": "training.networks.slice_classifier",
        "PlaneUNet": "training.networks.plane_unet",
        "DeepLabV3Plus": "training.networks.deeplab",
        "EncoderNet": "training.networks.prompted",
        "PromptedNet": "training.networks.prompted",
        "EncoderUNet": "training.networks.encoders",
        "ResidualUNet": "training.networks.residual",
        "ResidualSliceUNet": "training.networks.residual",
    }
)
"""The module that has the class or function of the name."""


def build_network(name: str, arguments: Mapping[str, Any]) -> nn.Module:
    """A network by name and keyword arguments; raises ConfigurationInvalid."""
    if name not in NETWORKS:
        raise ConfigurationInvalid(
            found=f"network {name!r}",
            wanted=f"one of {list(NETWORKS)}",
            advice="Mend the training configuration.",
        )
    build = getattr(import_module(NETWORKS[name]), name)
    try:
        network: nn.Module = build(**arguments)
    except TypeError as exc:
        raise ConfigurationInvalid(
            found=f"arguments {sorted(arguments)} for {name}",
            wanted="the keyword arguments of its constructor",
            advice=f"See {NETWORKS[name].replace('.', '/')}.py.",
        ) from exc
    return network


def count_parameters(network: nn.Module) -> int:
    """Trainable numbers in a network."""
    return sum(p.numel() for p in network.parameters())

"""Networks with prompts of a few thousand numbers, and configurations of them for folders of tiny CT."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from training.config import TrainConfig, load_config

CONFIGS = Path(__file__).parents[2] / "training" / "configs"
SIDE = 64
LABELS = ("background", "liver", "spleen")
VISION: dict[str, Any] = {
    "hidden_size": 32,
    "output_channels": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE,
    "patch_size": 8,
    "window_size": 4,
    "global_attn_indexes": [1],
    "num_pos_feats": 16,
    "initializer_range": 0.02,
}


def parts(family: str) -> dict[str, dict[str, Any]]:
    """Arguments of a network of 40,000 numbers."""
    decoder: dict[str, Any] = {
        "hidden_size": 32,
        "mlp_dim": 32,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "iou_head_hidden_dim": 16,
    }
    if family == "sam-hq":
        decoder["vit_dim"] = VISION["hidden_size"]
    asked = {"hidden_size": 32, "image_size": SIDE, "patch_size": 8, "mask_input_channels": 8}
    return {"vision": dict(VISION), "prompt_encoder": asked, "mask_decoder": decoder}


def tiny_config(name: str, **changes: Any) -> TrainConfig:
    """A shipped small configuration on tiny slices."""
    config = load_config(CONFIGS / "small" / f"{name}.toml")
    networks: dict[str, dict[str, Any]] = {
        "sam": {"family": "sam", "side": SIDE, "parts": parts("sam")},
        "sam_hq": {"family": "sam-hq", "side": SIDE, "parts": parts("sam-hq")},
        "sam_encoder": {"classes": 3, "head_channels": 8, "vision": dict(VISION)},
        "slices_unet": {"classes": 3, "widths": [8, 8, 16, 16, 16, 8]},
        "slices_deeplab": {
            "classes": 3,
            "encoder": "resnet10",
            "widths": [8, 16, 16, 32],
            "channels": 16,
        },
    }
    quick: dict[str, Any] = {
        "input_shape": (SIDE, SIDE),
        "labels": LABELS,
        "network": networks[name],
        "batch_size": 4,
        "warmup_steps": 2,
        "learning_rate": 3e-3,
        "report_every_s": 0.0,
        "validation_share": 0.34,
        "options": {**config.options, "step_mm": 0.0, "least_pixels": 4, "cross_entropy": 0.0},
    }
    return replace(config, **(quick | changes))

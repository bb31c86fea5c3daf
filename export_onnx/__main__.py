"""Command line of the export: python -m export_onnx [MODEL ...]."""

import argparse
import sys
import time
from pathlib import Path

from export_onnx.card import CARD_NAME, write_card
from export_onnx.orders import Export, known_export, new_export, replacing_export
from inference.domain.errors import ConfigurationInvalid
from training.as_command import exit_status
from training.specification import CHECKPOINT_NAME

MODELS = Path(__file__).parent.parent / "models"
FIRST_VERSION = "0.1.0"
EXAMPLES = """examples:
  python -m export_onnx                       every model of models/ again, from its checkpoint
  python -m export_onnx organs l3-tissue      these two
  python -m export_onnx --model my-organs --checkpoint runs/organs/checkpoint.safetensors
  python -m export_onnx --model sam-hq --checkpoint runs/sam/sam_hq/checkpoint.safetensors   image encoder, mask decoder
  python -m export_onnx --cards               only the README.md of every model of models/, without torch
  python -m export_onnx --model organs --checkpoint runs/organs/checkpoint.safetensors --replace

The manifest is written only after ONNX Runtime has been shown to agree with the network.
Exit status: 0 done, 2 arguments, 4 unreadable checkpoint, 5 changed checkpoint or manifest, release gate missed, 6 no parity.
"""


def main(arguments: list[str] | None = None) -> int:
    """Parse, export, and turn our own errors into exit codes."""
    options = _parser().parse_args(arguments)

    def command() -> int:
        (_write_cards if options.cards else _export)(options)
        return 0

    return exit_status("export_onnx", command)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m export_onnx",
        description="Checkpoint to ONNX with a proven manifest.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help="folders of models/")
    parser.add_argument("--model", metavar="NAME", help="name for your own checkpoint")
    parser.add_argument("--checkpoint", type=Path, help="your own checkpoint")
    parser.add_argument("--model-version", default=FIRST_VERSION)
    parser.add_argument("--replace", action="store_true", help="replace a model of that name")
    parser.add_argument(
        "--below-gate",
        action="store_true",
        help="export --checkpoint although it misses its release gate",
    )
    parser.add_argument("--cards", action="store_true", help="write the models' README.md again")
    parser.add_argument("--models-folder", type=Path, default=MODELS)
    return parser


def _export(options: argparse.Namespace) -> None:
    # All checkpoints are checked before torch is even imported: a changed byte costs no minutes.
    orders = _orders(options)

    from export_onnx.package import make_model
    from export_onnx.parity import synthetic_slab
    from export_onnx.refiner_package import is_refiner, make_refiner

    slab = synthetic_slab()
    for order in orders:
        started = time.monotonic()
        manifest = (make_refiner if is_refiner(order) else make_model)(order, slab)
        worst = max(manifest.parity.max_abs_error.values())
        sys.stdout.write(
            f"{order.name}: parity {worst:.1e}, {manifest.parameters} parameters, "
            f"{time.monotonic() - started:.1f} s\n"
        )


def _write_cards(options: argparse.Namespace) -> None:
    for name in options.models or _shipped(options.models_folder):
        write_card(options.models_folder / name)
        sys.stdout.write(f"{name}: {CARD_NAME}\n")


def _orders(options: argparse.Namespace) -> list[Export]:
    """What the arguments ask for; raises ConfigurationInvalid or ModelUnusable."""
    folder: Path = options.models_folder
    if bool(options.model) != bool(options.checkpoint) or (options.model and options.models):
        raise ConfigurationInvalid(
            found="half an order",
            wanted="model names alone, or --model with --checkpoint",
            advice="See python -m export_onnx --help.",
        )
    if options.model:
        make = replacing_export if options.replace else new_export
        order = (options.model, options.model_version, options.checkpoint, folder)
        return [make(*order, may_miss_gate=options.below_gate)]
    return [known_export(folder / name) for name in options.models or _shipped(folder)]


def _shipped(models: Path) -> list[str]:
    """Every model folder with a checkpoint; raises ConfigurationInvalid when there is none."""
    names = sorted(path.parent.name for path in models.glob(f"[!.]*/{CHECKPOINT_NAME}"))
    if not names:
        raise ConfigurationInvalid(
            found="no checkpoint in models/",
            wanted="a clone with the shipped checkpoints",
            advice="Train with python -m training all, then export with --model and --checkpoint.",
        )
    return names


if __name__ == "__main__":
    sys.exit(main())

"""What each command of python -m training nnunet does with its arguments, and what it prints."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from inference.domain.errors import ConfigurationInvalid
from training.nnunet.child import ROOT, Order, devices_of, run_child, run_children
from training.nnunet.plans import CASCADE, LOW, write_run_plans
from training.nnunet.train import Trained, all_folds, is_finished, train_folds
from training.nnunet.workspace import (
    SETTINGS_NAME,
    Workspace,
    checked_run,
    new_workspace,
    open_workspace,
    read_json,
    write_json,
)

if TYPE_CHECKING:
    from training.data.cases import FoundCases
    from training.data.splits import Split

EXPORTER = "export_onnx.nnunet"


def _progress(done: int, total: int, name: str) -> None:
    if sys.stderr.isatty():
        end = "\n" if done == total else ""
        sys.stderr.write(f"\r\x1b[K{done}/{total} {name[:60]}{end}")
    elif done == total or done % max(total // 10, 1) == 0:
        sys.stderr.write(f"{done}/{total}\n")
    sys.stderr.flush()


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def convert_step(options: argparse.Namespace) -> int:
    """Any layout → nnUNet_raw."""
    from training.data.layouts.registry import find_cases, guessed_layout, layout_named
    from training.nnunet.convert import convert
    from training.nnunet.label_choice import choice_of

    space = new_workspace(options.work, options.number, options.name)
    choice = choice_of(options.labels, splits_kidneys=options.kidneys_by_side)
    layout = layout_named(options.layout) if options.layout else guessed_layout(options.folder)
    found = find_cases(options.folder, layout)
    for note in (f"layout {layout.name}: {layout.title}", *found.notes):
        sys.stderr.write(f"{note}\n")
    split = _split(options, found)
    done = convert(found, choice, split, space, _progress, workers=options.workers)
    _say(
        f"{space.raw}: {done.training} cases to train on in {max(split.folds, 1)} folds, {done.test} to test, "
        f"labels {', '.join(choice.names)}; data {done.data_hash}"
    )
    return 0


def _split(options: argparse.Namespace, found: FoundCases) -> Split:
    from training.data.splits import k_fold, read_split

    if options.split:
        return read_split(options.split)
    return k_fold(found.cases, options.folds, seed=options.seed, test_share=options.test)


def plan_step(options: argparse.Namespace) -> int:
    """Fingerprint, plans, prepared cases."""
    from training.nnunet.settings import load_settings

    settings = load_settings(options.settings)
    space = open_workspace(options.work)
    planned = run_child(
        Order(
            step="plan",
            arguments={
                "number": space.number,
                "plans_file": str(space.plans_file().resolve()),
                "settings": settings.model_dump(mode="json"),
                "processes": max(options.processes, 1),
            },
        ),
        space,
        processes=options.processes,
    )
    write_json(settings.model_dump(mode="json"), space.work / SETTINGS_NAME)
    for name, facts in planned.items():
        patch = " × ".join(str(size) for size in facts["patch_size"])
        _say(f"{name}: {facts['parameters'] / 1e6:.2f} M parameters, patches of {patch}")
    return 0


def train_step(options: argparse.Namespace) -> int:
    """Folds of a run."""
    from training.nnunet.settings import Settings, validated_training

    space = open_workspace(options.work)
    run = checked_run(options.run)
    training = validated_training(
        Settings.model_validate(read_json(space.work / SETTINGS_NAME)).training,
        epochs=options.epochs,
        iterations_per_epoch=options.iterations,
        batch_size=options.batch_size,
    )
    write_run_plans(space, run, training)
    wanted = Trained(
        run=run,
        configuration=options.configuration,
        folds=folds_of(options.folds, space),
        devices=devices_of(options.device),
        processes=options.processes,
        resumes=options.resume,
        keeps_probabilities=options.probabilities,
    )
    for fold, dice in train_folds(space, wanted).items():
        _say(f"{run} {options.configuration} fold {fold}: mean validation Dice {dice:.4f}")
    if options.configuration == CASCADE:
        _say(
            "A cascade is predicted with here; the node runs single networks, and none is exported."
        )
    return 0


def folds_of(text: str, space: Workspace) -> tuple[int, ...]:
    """all, or numbers; raises ConfigurationInvalid."""
    if text == "all":
        return all_folds(space)
    try:
        return tuple(sorted({int(number) for number in text.split(",")}))
    except ValueError as problem:
        raise ConfigurationInvalid(
            found=f"folds {text!r:.40}",
            wanted="all, or numbers with commas",
            advice="Mend --folds.",
        ) from problem


def best_step(options: argparse.Namespace) -> int:
    """nnU-Net's choice."""
    from training.nnunet.workspace import plans_of

    space = open_workspace(options.work)
    names = options.configurations.split(",")
    folds = folds_of(options.folds, space)
    for name in names:
        _finished_model(space, options.run, name, folds)
    found = run_child(
        Order(
            step="best",
            arguments={
                "dataset": space.dataset,
                "plans": plans_of(options.run),
                "configurations": names,
                "folds": folds,
                "ensembles": not options.no_ensembles,
                "processes": max(options.processes, 1),
            },
        ),
        space,
        processes=options.processes,
    )
    for name, dice in sorted(found["all_results"].items(), key=lambda item: -item[1]):
        _say(f"{dice:.4f} {name}")
    chosen = [model["configuration"] for model in found["best"]["selected_model_or_models"]]
    _say(
        f"best: {' with '.join(chosen)}; mean validation Dice {max(found['all_results'].values()):.4f}"
    )
    return 0


def _finished_model(space: Workspace, run: str, configuration: str, folds: tuple[int, ...]) -> Path:
    model = space.model(checked_run(run), configuration)
    missing = [str(fold) for fold in folds if not is_finished(model / f"fold_{fold}")]
    if missing:
        raise ConfigurationInvalid(
            found=f"{configuration} of run {run} without the folds {', '.join(missing)}",
            wanted="trained and validated folds",
            advice="Run python -m training nnunet train, or name other --folds.",
        )
    return model.resolve()


def predict_step(options: argparse.Namespace) -> int:
    """A folder of images, or one part of it."""
    from training.nnunet.predict import images_in, part_of

    space = open_workspace(options.work)
    names = part_of(list(images_in(options.images)), options.parts, options.part)
    out: Path = options.out.resolve()
    previous = None
    if options.configuration == CASCADE:
        previous = out / LOW
        _predict(options, space, LOW, previous, None, names)
    done = _predict(options, space, options.configuration, out, previous, names)
    _say(f"{options.out}: {done} of {len(names)} cases predicted, {len(names) - done} stood there")
    return 0


def _predict(
    options: argparse.Namespace,
    space: Workspace,
    configuration: str,
    out: Path,
    previous: Path | None,
    names: list[str],
) -> int:
    from training.nnunet.predict import waiting

    folds = folds_of(options.folds, space)
    model = _finished_model(space, options.run, configuration, folds)
    left = waiting(names, out, probabilities=options.probabilities)
    devices = devices_of(options.device)[: max(len(left), 1)]
    orders = [
        Order(
            step="predict",
            arguments={
                "model": str(model),
                "folds": folds,
                "images": str(options.images.resolve()),
                "names": left[n :: len(devices)],
                "out": str(out),
                "previous": str(previous) if previous else None,
                "probabilities": options.probabilities,
            },
        )
        for n in range(len(devices))
        if left
    ]
    answers = run_children(orders, space, processes=options.processes, devices=devices)
    return sum(answer["predicted"] for answer in answers)


def ensemble_step(options: argparse.Namespace) -> int:
    """The mean of several predictions."""
    space = open_workspace(options.work)
    if options.out.exists() or len(options.folders) < 2:
        raise ConfigurationInvalid(
            found=f"{len(options.folders)} folders for {options.out.name}",
            wanted="two or more, and an --out that is not there yet",
            advice="Mend the arguments.",
        )
    arguments = {
        "folders": [str(folder.resolve()) for folder in options.folders],
        "out": str(options.out.resolve()),
        "processes": max(options.processes, 1),
    }
    done = run_child(
        Order(step="ensemble", arguments=arguments), space, processes=options.processes
    )
    _say(f"{options.out}: {done['cases']} cases, the mean of {len(options.folders)} predictions")
    return 0


def evaluate_step(options: argparse.Namespace) -> int:
    """Scores against the truth."""
    from training.nnunet.evaluate import evaluate, to_json, to_markdown

    description = open_workspace(options.work).description()
    scores = evaluate(options.found, options.truth, description, _progress)
    write_json(to_json(scores), options.out)
    table = to_markdown(scores)
    if options.page:
        options.page.parent.mkdir(parents=True, exist_ok=True)
        options.page.write_text(table, encoding="utf-8")
    sys.stdout.write(table)
    return 0


def plots_step(options: argparse.Namespace) -> int:
    """Curves of runs side by side."""
    from training.nnunet.evaluate import SYNTHETIC
    from training.nnunet.plots import draw, read_curves
    from training.nnunet.workspace import NOTES

    space = open_workspace(options.work)
    curves = [
        read_curves(
            space.model(checked_run(run), options.configuration) / f"fold_{options.fold}",
            f"{run}, fold {options.fold}",
        )
        for run in options.runs.split(",")
    ]
    is_synthetic = space.description().get(NOTES, {}).get("is_synthetic")
    draw(curves, options.out, SYNTHETIC if is_synthetic else "")
    for run in curves:
        seconds = sum(run.epoch_s)
        _say(
            f"{run.title}: {len(run.epoch_s)} epochs in {seconds:.0f} s, last training loss "
            f"{run.training_loss[-1]:.3f}, validation {run.validation_loss[-1]:.3f}"
        )
    _say(str(options.out))
    return 0


def slim_step(options: argparse.Namespace) -> int:
    """Without what only a training needs."""
    from training.nnunet.slim import slim

    space = open_workspace(options.work)
    folds = folds_of(options.folds, space)
    model = _finished_model(space, options.run, options.configuration, folds)
    for path, size in slim(model, folds, options.out).items():
        _say(f"{path}: {size / 1e6:.1f} MB")
    return 0


def export_step(options: argparse.Namespace) -> int:
    """By the export tree, which knows training and is not known to it."""
    space = open_workspace(options.work)
    if options.configuration == CASCADE:
        raise ConfigurationInvalid(
            found="a cascade",
            wanted="one network: the node's engine does not feed one network's answer to another",
            advice="Export 3d_fullres; predict with the cascade here.",
        )
    folds = folds_of(options.folds, space)
    model = _finished_model(space, options.run, options.configuration, folds)
    arguments = [
        *(str(model), "--folds", ",".join(map(str, folds))),
        *("--configuration", options.configuration, "--name", options.name),
        *("--model-version", options.model_version, "--models", str(options.models.resolve())),
    ]
    return subprocess.run(
        [sys.executable, "-m", EXPORTER, *arguments], cwd=ROOT, check=False
    ).returncode

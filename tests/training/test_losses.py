"""The weighted loss: a rare label counts more, up to a limit, and a limit of one is the plain loss."""

import pytest

pytest.importorskip("torch", reason="PyTorch is not installed (make test-training)")

import torch

from training.losses import balanced_segmentation_loss, segmentation_loss

pytestmark = pytest.mark.torch


def rare_case(*, is_found: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """10,000 voxels of which ten are label 1, which the network sees or misses."""
    labels = torch.zeros(1, 100, 100, dtype=torch.long)
    labels[0, 0, :10] = 1
    logits = torch.zeros(1, 2, 100, 100)
    logits[:, 0] = 8.0
    if is_found:
        logits[:, 1][labels == 1] = 16.0
    return logits, labels


def test_a_heaviest_label_of_one_is_the_plain_loss() -> None:
    logits, labels = rare_case(is_found=False)

    balanced = balanced_segmentation_loss(logits, labels, 1.0)

    assert balanced.item() == pytest.approx(segmentation_loss(logits, labels).item(), rel=1e-5)


def test_missing_a_rare_label_costs_more_the_heavier_it_may_be() -> None:
    missed, labels = rare_case(is_found=False)

    losses = [balanced_segmentation_loss(missed, labels, w).item() for w in (1.0, 10.0, 100.0)]

    assert losses[1] > 1.01 * losses[0]
    # The square root of 10,000 / 10 is 31.6: a limit above it changes nothing more.
    assert losses[2] > losses[1]
    assert balanced_segmentation_loss(missed, labels, 1e6).item() == pytest.approx(losses[2])


def test_finding_it_costs_little_at_any_weight() -> None:
    found, labels = rare_case(is_found=True)
    missed, _ = rare_case(is_found=False)

    for heaviest in (1.0, 100.0):
        at_best = balanced_segmentation_loss(found, labels, heaviest)
        assert at_best < 0.6 * balanced_segmentation_loss(missed, labels, heaviest)

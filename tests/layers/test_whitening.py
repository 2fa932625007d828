"""The layer made from training images gives white numbers, learns only its bias, and is part of the weights that are kept."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dlcat.layers.whitening import EPSILON, MadeFromInputs, Whitening


def _images(channels: int = 3) -> Tensor:
    """Images whose neighbouring pixels and channels go together, as in photographs."""
    rough = torch.randn(64, channels, 12, 12, generator=torch.Generator().manual_seed(0))
    smooth = nn.functional.avg_pool2d(rough, 3, stride=1) + 0.2 * rough[..., 1:-1, 1:-1]
    return smooth + smooth.mean(1, keepdim=True)


@pytest.mark.parametrize("channels", [1, 3])
def test_its_outputs_for_the_images_it_was_made_from_are_uncorrelated_and_of_one_size(channels: int) -> None:
    images = _images(channels)
    layer = Whitening(channels)
    layer.make_from(images)
    nn.init.zeros_(layer.bias)
    half = layer(images).detach()[:, : 4 * channels].transpose(0, 1).flatten(1).double().numpy()
    second_moments = half @ half.T / half.shape[1]
    np.testing.assert_allclose(second_moments - np.diag(np.diag(second_moments)), 0, atol=1e-4)
    rows = np.lib.stride_tricks.sliding_window_view(images.double().numpy(), (2, 2), (2, 3))
    rows = rows.transpose(0, 2, 3, 1, 4, 5).reshape(-1, 4 * channels)
    variances = np.linalg.svd(rows, compute_uv=False)[::-1] ** 2 / len(rows)
    np.testing.assert_allclose(np.diag(second_moments), variances / (variances + EPSILON), rtol=1e-3)


def test_the_other_half_is_the_opposite() -> None:
    layer = Whitening(3)
    layer.make_from(_images())
    torch.testing.assert_close(layer.weight[:12], -layer.weight[12:])


def test_it_learns_its_bias_only_and_keeps_its_windows_with_the_weights() -> None:
    layer = Whitening(3)
    layer.make_from(_images())
    assert isinstance(layer, MadeFromInputs)
    assert [name for name, _ in layer.named_parameters()] == ["bias"]
    other = Whitening(3)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other(_images()), layer(_images()))

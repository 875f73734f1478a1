"""Convolutions: those that also change the size, and what autocast does with narrow maps."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from skdeepcluster.networks import _convolutions


@pytest.mark.parametrize("kind", ["Conv2d", "ConvTranspose2d"])
@pytest.mark.parametrize("width, narrow", [(1, True), (4, False)])
def test_only_narrow_maps_are_left_alone_by_autocast(kind, width, narrow):
    torch.manual_seed(0)
    layer = getattr(_convolutions, kind)(3, 5, 4, stride=2, padding=1)
    plain = getattr(nn, kind)(3, 5, 4, stride=2, padding=1)
    plain.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 6, width if kind == "ConvTranspose2d" else 2 * width)
    with torch.autocast("cpu", torch.bfloat16):
        z = layer(x)
    assert z.dtype == (torch.float32 if narrow else torch.bfloat16)
    exact = plain(x)
    assert z.shape == exact.shape
    torch.testing.assert_close(z.float(), exact, atol=0 if narrow else 0.02, rtol=0)
    assert torch.equal(layer(x), exact)


def two_steps(layer, x):
    """Convolve and change the size one after the other."""
    if isinstance(layer, _convolutions.UpsampleConv):
        x = F.interpolate(x, scale_factor=2, mode="nearest")
        return F.conv2d(x, layer.weight, layer.bias, padding=1)
    return F.avg_pool2d(F.conv2d(x, layer.weight, padding=1), 2)


RESIZING = [
    lambda: _convolutions.ConvMeanPool(3, 5),
    lambda: _convolutions.UpsampleConv(3, 5),
    lambda: _convolutions.UpsampleConv(3, 5, bias=True),
]


@pytest.mark.parametrize("build", RESIZING)
@pytest.mark.parametrize("sides", [(2, 2), (2, 9), (7, 3), (8, 8)])
def test_convolution_and_change_of_size_at_once(build, sides):
    layer, x = build().double(), torch.randn(4, 3, *sides, dtype=torch.float64, requires_grad=True)
    weigh = torch.randn_like(two_steps(layer, x))
    results = []
    for y in (layer(x), two_steps(layer, x)):
        results.append([y, *torch.autograd.grad((y * weigh).sum(), [x, *layer.parameters()])])
    torch.testing.assert_close(*results, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("build", RESIZING)
@pytest.mark.parametrize("narrow", [True, False])
def test_only_narrow_maps_that_change_size_are_left_alone_by_autocast(build, narrow):
    torch.manual_seed(0)
    layer = build()
    width = (1 if narrow else 4) * (2 if isinstance(layer, _convolutions.ConvMeanPool) else 1)
    x = torch.randn(2, 3, 6, width)
    with torch.autocast("cpu", torch.bfloat16):
        z = layer(x)
    assert z.dtype == (torch.float32 if narrow else torch.bfloat16)
    torch.testing.assert_close(
        z.float(), two_steps(layer, x), atol=1e-5 if narrow else 0.02, rtol=0
    )


@pytest.mark.parametrize("channels", [1, 3])
def test_maps_stay_as_they_are_laid_out(channels):
    x = torch.randn(2, channels, 9, 9)
    last = _convolutions.channels_last(x)
    assert torch.equal(last, x)
    for layer in (_convolutions.Conv2d(channels, 4, 3), _convolutions.UpsampleConv(channels, 4)):
        assert layer(last).is_contiguous(memory_format=torch.channels_last)
        assert not layer(x).is_contiguous(memory_format=torch.channels_last)


def test_maps_of_a_unet_are_resized_convolved_and_cut():
    from skdeepcluster.networks import UNetAutoencoder

    up = UNetAutoencoder((1, 28, 28)).up[0][:2]  # 4 x 4 to 7 x 7
    x = torch.randn(2, 128, 4, 4)
    torch.testing.assert_close(up(x), two_steps(up[0], x)[:, :, :7, :7])


def test_every_network_of_the_package_uses_them():
    from skdeepcluster.networks import (
        CNNAutoencoder,
        ConvDecoder,
        ConvEncoder,
        MixtureConv,
        ResidualDecoder,
        ResidualEncoder,
        ResNet,
        SmallVGG,
        UNetAutoencoder,
    )

    shape = (1, 32, 32)
    networks = [kind(shape) for kind in (CNNAutoencoder, ConvEncoder, MixtureConv, ResidualEncoder)]
    networks += [kind(shape) for kind in (ResNet, SmallVGG, UNetAutoencoder)]
    networks += [kind(6, shape) for kind in (ConvDecoder, ResidualDecoder)]
    safe = (
        _convolutions.Conv2d,
        _convolutions.ConvMeanPool,
        _convolutions.ConvTranspose2d,
        _convolutions.UpsampleConv,
    )
    for network in networks:
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert layers
        assert all(isinstance(layer, safe) for layer in layers), type(network).__name__

"""Convolutions of narrow maps stay in float32 under autocast, all others follow it."""

import pytest
import torch
from torch import nn

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
    safe = (_convolutions.Conv2d, _convolutions.ConvTranspose2d)
    for network in networks:
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
        assert layers
        assert all(isinstance(layer, safe) for layer in layers), type(network).__name__

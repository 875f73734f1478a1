"""Trunks, heads and the rotation task: shapes and counts of the paper, and what they compute."""

from functools import partial

import numpy as np
import pytest
import torch

from skdeepcluster.augmentation import random_geometry
from skdeepcluster.networks import (
    MLP,
    GaussianAssignment,
    NormalizedHead,
    ResNet,
    RotationTask,
    SmallVGG,
    rotations,
)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        yield


def n_parameters(*modules):
    return sum(p.numel() for module in modules for p in module.parameters())


def test_networks_are_as_large_as_the_papers():
    resnet = [ResNet((3, 32, 32)), NormalizedHead(512, 10), RotationTask(512)]
    assert n_parameters(*resnet) == 11_176_014
    assert n_parameters(SmallVGG((1, 32, 32)), NormalizedHead(1024, 10)) == 398_570
    # The basic blocks of 34 layers: 21,282,122 with a head of 10 at this size.
    assert n_parameters(ResNet((3, 32, 32), (3, 4, 6, 3)), NormalizedHead(512, 10)) == 21_282_122


def test_shapes_on_the_way():
    resnet = ResNet((3, 32, 32))
    x = torch.rand(2, 3, 32, 32)
    h = resnet.stem(x)
    assert h.shape == (2, 64, 17, 17)
    sides = []
    for block in resnet.stages:
        h = block(h)
        sides.append(tuple(h.shape[1:]))
    assert sides[1::2] == [(64, 17, 17), (128, 9, 9), (256, 5, 5), (512, 3, 3)]
    assert resnet(x).shape == (2, 512)
    assert SmallVGG((1, 32, 32))(x[:, :1]).shape == (2, 256 * 2 * 2)


@pytest.mark.parametrize("side", [1, 2, 3, 5, 16, 33])
@pytest.mark.parametrize("network", [SmallVGG, ResNet])
def test_any_size_of_image(network, side):
    h = network((2, side, side))(torch.rand(3, 2, side, side))
    assert h.ndim == 2
    assert torch.isfinite(h).all()


@pytest.mark.parametrize("network", [SmallVGG, ResNet])
def test_convolutions_start_with_the_variance_of_their_fan_in(network):
    for module in network((3, 32, 32)).modules():
        if isinstance(module, torch.nn.Conv2d):
            fan_in = module.weight[0].numel()
            n = module.weight.numel()
            variance = module.weight.var().item() * fan_in / 2
            assert abs(variance - 1) < 5 * (2 / n) ** 0.5
            assert module.bias is None


def test_outputs_of_the_head_begin_with_about_the_length_of_features():
    h = torch.randn(200, 3000)
    for std, length in ((None, 1.0), (0.01, 0.01 * 3000**0.5)):
        head = NormalizedHead(3000, 50, std).linear
        assert (head(h).norm(dim=1) / 50**0.5).mean().item() == pytest.approx(length, rel=0.05)
        assert not head.bias.any()


def test_mlp_against_an_independent_calculation():
    network = MLP((3,), (5, 4)).double()
    x = torch.randn(20, 3, dtype=torch.float64)
    h = x.numpy()
    for i in (0, 3):
        h = h @ network.layers[i].weight.detach().numpy().T
        h = (h - h.mean(axis=0)) / np.sqrt(h.var(axis=0) + 1e-5)
        h = np.maximum(h, 0)
    np.testing.assert_allclose(network(x).detach(), h, atol=1e-12)


def test_head_projects_to_the_sphere():
    head = NormalizedHead(6, 4).double()
    h = torch.randn(7, 6, dtype=torch.float64)
    z = head(h).detach().numpy()
    linear = h.numpy() @ head.linear.weight.detach().numpy().T
    expected = linear / np.linalg.norm(linear, axis=1, keepdims=True)
    np.testing.assert_allclose(z, expected, rtol=1e-5)


# ------------------------------------------------------------------ soft assignment


def test_assignment_is_the_posterior_of_gaussians():
    rng = np.random.default_rng(0)
    assignment = GaussianAssignment(4, 3).double()
    means, z = rng.normal(size=(4, 3)), rng.normal(size=(50, 3))
    assignment.means.copy_(torch.from_numpy(means))
    assignment.variance.fill_(0.3)
    density = np.exp(-((z[:, None] - means) ** 2).sum(axis=2) / (2 * 0.3))
    expected = density / density.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(assignment(torch.from_numpy(z)), expected, rtol=1e-4, atol=1e-9)


@pytest.mark.parametrize("variance", [1e-4, 1e-2, 1.0])
def test_the_most_probable_mean_is_the_nearest(variance):
    rng = np.random.default_rng(0)
    assignment = GaussianAssignment(10, 10)
    assignment.means.copy_(torch.eye(10))
    assignment.variance.fill_(variance)
    z = rng.normal(size=(5000, 10)).astype(np.float32)
    z[:100] = 1 + 1e-5 * rng.normal(size=(100, 10))  # nearly as far from all
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    p = assignment(torch.from_numpy(z))
    np.testing.assert_array_equal(p.argmax(dim=1), z.argmax(axis=1))
    np.testing.assert_allclose(p.sum(dim=1), 1, rtol=1e-6)


# ------------------------------------------------------------------ rotation


def test_four_quarter_turns_are_the_identity():
    x = torch.rand(3, 2, 5, 5)
    turned = x
    for _ in range(4):
        turned = rotations(turned.repeat(4, 1, 1, 1))[0][3:6]  # by 90 degrees
    assert torch.equal(turned, x)
    assert torch.equal(rotations(x.repeat(4, 1, 1, 1))[0][:3], x)


def test_labels_are_the_turns_that_were_made():
    x = torch.rand(16, 3, 6, 6)
    turned, label = rotations(x)
    assert label.tolist() == [0] * 4 + [1] * 4 + [2] * 4 + [3] * 4
    for image, k, source in zip(turned, label, x, strict=True):
        np.testing.assert_array_equal(image, np.rot90(source.numpy(), int(k), axes=(1, 2)))


def trunk(x):
    return x.flatten(1)


def test_rotation_task_is_cross_entropy_over_the_turns():
    task = RotationTask(3 * 4 * 4)
    torch.nn.init.normal_(task.linear.weight)
    x = torch.rand(10, 3, 4, 4)
    terms = task(trunk, x, lambda x: x)
    weight, bias = (p.detach().double().numpy() for p in task.parameters())
    losses, right = [], []
    for k in range(4):
        turned = np.rot90(x.double().numpy(), k, axes=(2, 3)).reshape(10, -1)
        logits = turned @ weight.T + bias
        losses += list(np.log(np.exp(logits).sum(axis=1)) - logits[:, k])
        right += list(logits.argmax(axis=1) == k)
    assert terms["loss"].item() == pytest.approx(np.mean(losses), rel=1e-5)
    assert terms["accuracy"].item() == pytest.approx(np.mean(right))


@pytest.mark.parametrize("seed", range(3))
def test_each_turn_of_an_image_is_another_crop_of_it(seed):
    torch.default_generator.manual_seed(seed)
    x = torch.arange(40 * 20 * 12.0).reshape(40, 1, 20, 12)  # a pixel tells where it is from
    seen = []

    def watched(x):
        seen.append(x)
        return trunk(x)

    RotationTask(25)(watched, x, partial(random_geometry, size=5, crops=(5,)))
    (turned,) = seen
    back = [torch.rot90(part, -k, dims=(2, 3)) for k, part in enumerate(turned.chunk(4))]
    corners = torch.stack([part[:, 0, 0, 0] for part in back]).round().long()  # (4, 40)
    assert (corners // 240 == torch.arange(40)).all()
    rows, columns = corners % 240 // 12, corners % 12
    assert rows.max() <= 15
    assert columns.max() <= 7
    # Of 128 places, two crops of an image seldom have the same.
    for k in range(4):
        for other in range(k):
            assert (corners[k] != corners[other]).sum() >= 30


def test_rotation_task_learns_which_way_is_up():
    task = RotationTask(3 * 4 * 4)
    x = torch.rand(40, 3, 4, 4)
    x[:, :, 0] += 2  # the sky
    optimizer = torch.optim.SGD(task.parameters(), lr=0.1, momentum=0.9)
    for _ in range(30):
        terms = task(trunk, x, lambda x: x)
        optimizer.zero_grad()
        terms["loss"].backward()
        optimizer.step()
    assert terms["accuracy"] == 1

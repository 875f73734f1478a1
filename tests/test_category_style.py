"""Objectives and networks of DCCS, against independent calculations and the paper's tables."""

import numpy as np
import pytest
import torch
from scipy.special import expit, softmax
from scipy.stats import entropy
from torch.nn import functional as F

from skdeepcluster.augmentation import sobel, to_grey
from skdeepcluster.networks import (
    CategoryStyleEncoder,
    ConvDecoder,
    ConvEncoder,
    Critic,
    Discriminator,
    MLPDecoder,
    MLPEncoder,
    ResidualBlock,
    ResidualDecoder,
    ResidualEncoder,
)
from skdeepcluster.objectives import (
    augmentation_divergence,
    category_style_prior,
    critic_loss,
    encoder_adversarial_loss,
    gradient_penalty,
    mutual_information_estimate,
    mutual_information_loss,
)


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        yield


def normal(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def tensors(*arrays):
    return [torch.tensor(array, requires_grad=True) for array in arrays]


# ------------------------------------------------------------------ objectives


@pytest.mark.parametrize("seed", range(3))
def test_mutual_information_loss(seed):
    positive, negative = 3 * normal(seed, 20), 3 * normal(seed + 10, 20)
    expected = -(np.log(expit(positive)).sum() + np.log(1 - expit(negative)).sum()) / 40
    a, b = tensors(positive, negative)
    loss = mutual_information_loss(a, b)
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    assert torch.autograd.gradcheck(mutual_information_loss, (a, b))
    assert mutual_information_estimate(expected) == pytest.approx(np.log(2) - expected)


def test_mutual_information_loss_survives_certainty():
    certain = torch.full((4,), 1e4)
    assert mutual_information_loss(certain, -certain) == 0
    assert mutual_information_loss(-certain, certain) == 1e4


def test_the_best_discriminator_finds_the_jensen_shannon_divergence():
    """With logits log p/q of two known distributions, eq. 5 gives their divergence."""
    p, q = np.array([0.7, 0.2, 0.1]), np.array([0.2, 0.3, 0.5])
    counts = 1000
    logits = torch.tensor(np.log(p / q))
    positive = logits.repeat_interleave(torch.tensor((p * counts).round().astype(int)))
    negative = logits.repeat_interleave(torch.tensor((q * counts).round().astype(int)))
    middle = (p + q) / 2
    divergence = (entropy(p, middle) + entropy(q, middle)) / 2
    estimate = mutual_information_estimate(mutual_information_loss(positive, negative))
    assert estimate.item() == pytest.approx(divergence, rel=1e-9)


@pytest.mark.parametrize("seed", range(3))
def test_augmentation_divergence(seed):
    a, b = 3 * normal(seed, 15, 4), 3 * normal(seed + 10, 15, 4)
    expected = entropy(softmax(a, axis=1), softmax(b, axis=1), axis=1).mean()
    a, b = tensors(a, b)
    assert augmentation_divergence(a, b).item() == pytest.approx(expected, rel=1e-12)
    assert augmentation_divergence(a, a).item() == 0
    assert torch.autograd.gradcheck(augmentation_divergence, (a, b))


def test_augmentation_divergence_survives_certainty():
    a = torch.tensor([[1000.0, 0.0, -1000.0]], requires_grad=True)
    b = torch.tensor([[0.0, 10.0, 0.0]], requires_grad=True)
    augmentation_divergence(a, b).backward()
    assert torch.isfinite(a.grad).all()
    assert torch.isfinite(b.grad).all()


def test_prior_is_one_hot_beside_normal_style():
    z = category_style_prior(20_000, 4, 3, sigma=0.1)
    assert z.shape == (20_000, 7)
    category, style = z[:, :4], z[:, 4:]
    assert set(category.unique().tolist()) == {0.0, 1.0}
    assert (category.sum(dim=1) == 1).all()
    np.testing.assert_allclose(category.mean(dim=0), np.full(4, 0.25), atol=0.015)
    np.testing.assert_allclose(style.std(dim=0), np.full(3, 0.1), rtol=0.03)
    np.testing.assert_allclose(style.mean(dim=0), np.zeros(3), atol=0.003)
    assert category_style_prior(5, 4, 0, sigma=0.1).shape == (5, 4)


def test_adversarial_losses():
    value, prior = normal(0, 12), normal(1, 12)
    gradient = normal(2, 12, 5)
    penalty = np.mean((np.sqrt((gradient**2).sum(axis=1)) - 1) ** 2)
    a, b, g = tensors(value, prior, gradient)
    assert gradient_penalty(g).item() == pytest.approx(penalty, rel=1e-12)
    expected = value.mean() - prior.mean() + 7 * penalty
    assert critic_loss(a, b, gradient_penalty(g), 7).item() == pytest.approx(expected, rel=1e-12)
    assert encoder_adversarial_loss(a).item() == pytest.approx(-value.mean(), rel=1e-12)
    assert torch.autograd.gradcheck(gradient_penalty, (g,))
    assert torch.autograd.gradcheck(lambda a, b: critic_loss(a, b, 0.5, 2), (a, b))
    assert torch.autograd.gradcheck(encoder_adversarial_loss, (a,))


def test_gradient_penalty_of_a_flat_critic_is_one_and_has_a_gradient():
    g = torch.zeros(3, 4, requires_grad=True)
    penalty = gradient_penalty(g)
    penalty.backward()
    assert penalty.item() == pytest.approx(1)
    assert torch.isfinite(g.grad).all()


# ------------------------------------------------------------------ critic and discriminator


def test_critic_has_the_sizes_of_table_9():
    assert [tuple(p.shape) for p in Critic(60).parameters()] == [
        (1024, 60), (1024,), (512, 1024), (512,), (1, 512), (1,),
    ]  # fmt: skip


@pytest.mark.parametrize("hidden", [(9,), (16, 8), (7, 6, 5)])
def test_gradient_of_the_critic_is_autograds_and_so_are_its_parameters(hidden):
    critic = Critic(6, hidden).double()
    for bias in critic.layers:
        torch.nn.init.normal_(bias.bias)
    z = torch.tensor(normal(0, 11, 6), requires_grad=True)
    (expected,) = torch.autograd.grad(critic(z).sum(), z, create_graph=True)
    found = critic.input_gradient(z.detach())
    np.testing.assert_allclose(found.detach(), expected.detach(), rtol=1e-10)
    weights = [layer.weight for layer in critic.layers]
    for ours, theirs in zip(
        torch.autograd.grad(gradient_penalty(found), weights),
        torch.autograd.grad(gradient_penalty(expected), weights),
        strict=True,
    ):
        np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("weight", [10, 100])
def test_a_critic_learns_a_slope_of_one(weight):
    """Two points at a distance of 2: the best slope s between them minimises w (s - 1)^2 - 2 s."""
    critic = Critic(2, (64, 32))
    optimizer = torch.optim.Adam(critic.parameters(), 0.002, betas=(0.5, 0.9))
    z, prior = torch.tensor([[-1.0, 0.0]]).expand(64, 2), torch.tensor([[1.0, 0.0]]).expand(64, 2)
    for _ in range(400):
        epsilon = torch.rand(64, 1)
        gradient = critic.input_gradient(epsilon * z + (1 - epsilon) * prior)
        loss = critic_loss(critic(z), critic(prior), gradient_penalty(gradient), weight)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    slope = 1 + 1 / weight
    assert gradient.norm(dim=1).mean().item() == pytest.approx(slope, abs=0.04)
    assert -critic_loss(critic(z), critic(prior)).item() == pytest.approx(2 * slope, abs=0.08)


def test_discriminator_is_the_dense_network_on_the_concatenation():
    net = Discriminator(7, 3, (6, 5)).double()
    x, z = torch.tensor(normal(0, 4, 7)), torch.tensor(normal(1, 4, 3))
    first = torch.cat([net.of_features.weight, net.of_latent.weight], dim=1).detach().numpy()
    h = np.concatenate([x, z], axis=1) @ first.T + net.of_latent.bias.detach().numpy()
    for layer in net.layers:
        h = np.where(h > 0, h, 0.2 * h) @ layer.weight.detach().numpy().T
        h = h + layer.bias.detach().numpy()
    np.testing.assert_allclose(net(x, z).detach(), h[:, 0], rtol=1e-10)
    pairs = net(x, torch.stack([z, z.flip(0)])).detach()
    np.testing.assert_allclose(pairs[0], h[:, 0], rtol=1e-10)
    np.testing.assert_allclose(pairs[1], net(x, z.flip(0)).detach(), rtol=1e-10)


def test_discriminator_has_the_sizes_of_table_10():
    net = Discriminator(3200, 60)
    n = sum(p.numel() for p in net.parameters())
    assert n == 3260 * 1024 + 1024 + 1024 * 512 + 512 + 512 + 1
    deviation = np.sqrt(2 / (3260 + 1024))  # Xavier's, of the one matrix
    assert net.of_features.weight.std().item() == pytest.approx(deviation, rel=0.01)
    assert net.of_latent.weight.std().item() == pytest.approx(deviation, rel=0.02)


# ------------------------------------------------------------------ encoders and decoders


@pytest.mark.parametrize(
    "trunk, side, n_parameters, n_output, n_features",
    [
        (ConvEncoder, 28, 3_472_828, 1024, 5 * 5 * 128),
        (ResidualEncoder, 32, 9_492_156, 512, 4 * 4 * 512),
        (ResidualEncoder, 96, 9_610_620, 512, 6 * 6 * 512),
    ],
)
def test_encoders_are_those_of_tables_6_to_8(trunk, side, n_parameters, n_output, n_features):
    encoder = CategoryStyleEncoder(trunk((1, side, side)), n_output, 10, 50, "grey")
    assert sum(p.numel() for p in encoder.parameters()) == n_parameters
    logits, style, features = encoder(torch.rand(2, 1, side, side))
    assert logits.shape == (2, 10)
    assert style.shape == (2, 50)
    assert features.shape == (2, n_features)
    for name, parameter in encoder.named_parameters():
        if name.endswith("bias"):
            assert not parameter.any()


@pytest.mark.parametrize("side", [4, 6, 8, 12, 16, 20, 28])
def test_small_images_keep_pixels_through_the_convolutions(side):
    output, features = ConvEncoder((1, side, side + 3))(torch.rand(2, 1, side, side + 3))
    assert output.shape == (2, 1024)
    assert features.shape[1] % 128 == 0


def test_images_too_small_for_convolutions_are_named():
    with pytest.raises(ValueError, match=r"4 pixels at least, got images of \(3, 8\)"):
        ConvEncoder((1, 3, 8))
    with pytest.raises(ValueError, match=r"8 pixels .* 3 halvings, got images of \(7, 9\)"):
        ResidualEncoder((1, 7, 9), (8, 16, 32, 32))


@pytest.mark.parametrize("side", [2, 3, 5, 8, 16, 33, 50])
def test_residual_encoders_take_all_sides(side):
    output, features = ResidualEncoder((3, side, side))(torch.rand(2, 3, side, side))
    assert output.shape == (2, 512)
    assert features.shape[1] % 512 == 0


@pytest.mark.parametrize("resample, n_out", [(None, 4), (None, 6), ("down", 6), ("up", 4)])
def test_residual_block_in_plain_operations(resample, n_out):
    block = ResidualBlock(4, n_out, resample).double().eval()
    for norm in (block.norm1, block.norm2):
        for value in (norm.weight, norm.bias, norm.running_mean):
            torch.nn.init.normal_(value)
    if block.shortcut is not None:
        torch.nn.init.normal_(block.shortcut.bias)
    x = torch.tensor(normal(0, 2, 4, 6, 8))

    def normalised(h, norm):
        scale = norm.weight / (norm.running_var + norm.eps).sqrt()
        return (h - norm.running_mean[:, None, None]) * scale[:, None, None] + norm.bias[
            :, None, None
        ]

    def resized(h, when):
        if resample == "up" and when == "up":
            return h.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        if resample == "down" and when == "down":
            return (h[:, :, ::2] + h[:, :, 1::2])[..., ::2] / 4 + (h[:, :, ::2] + h[:, :, 1::2])[
                ..., 1::2
            ] / 4
        return h

    h = resized(F.relu(normalised(x, block.norm1)), "up")
    h = F.conv2d(h, block.conv1.weight, padding=1)
    h = F.conv2d(F.relu(normalised(h, block.norm2)), block.conv2.weight, padding=1)
    skip = resized(x, "up")
    if n_out != 4 or resample is not None:  # the figure resamples after the 1x1 convolution
        skip = F.conv2d(skip, block.shortcut.weight, block.shortcut.bias)
    else:
        assert block.shortcut is None
    expected = resized(h, "down") + resized(skip, "down")
    before = x.clone()
    np.testing.assert_allclose(block(x).detach(), expected.detach(), rtol=1e-9, atol=1e-12)
    assert torch.equal(x, before)


def test_the_first_block_sees_pixels_as_they_are():
    assert ResidualBlock(1, 4, "down", first=True).norm1 is None


def test_category_and_style_of_the_head():
    encoder = CategoryStyleEncoder(MLPEncoder((3,), (5,)), 5, n_clusters=4, n_style=2).eval()
    x = torch.tensor(normal(0, 6, 3)).float()
    logits, style, features = encoder(x)
    assert torch.equal(features, x)
    z = encoder.latent(x).detach()
    np.testing.assert_allclose(z[:, :4], softmax(logits.detach().numpy(), axis=1), rtol=1e-5)
    assert torch.equal(z[:, 4:], style)
    h = encoder.trunk(x)[0]
    both = h @ encoder.head.weight.T + encoder.head.bias
    np.testing.assert_allclose(torch.cat([logits, style], dim=1).detach(), both.detach(), rtol=1e-5)


def test_without_style_z_is_the_category():
    encoder = CategoryStyleEncoder(MLPEncoder((3,), (5,)), 5, n_clusters=4, n_style=0)
    _, style, _ = encoder(torch.rand(6, 3))
    assert style.shape == (6, 0)
    assert encoder.latent(torch.rand(6, 3)).shape == (6, 4)


def test_what_the_trunk_sees_of_images():
    x = torch.rand(2, 3, 8, 8)

    def seen(color, stretch=True):
        return CategoryStyleEncoder(torch.nn.Flatten(), 1, 2, 0, color, stretch).see(x)

    assert torch.equal(seen("color"), 2 * x - 1)
    assert torch.equal(seen("grey"), 2 * to_grey(x) - 1)
    assert torch.equal(seen("grey", stretch=False), to_grey(x))
    assert torch.equal(seen("sobel"), sobel(x))
    assert torch.equal(seen(None), x)


@pytest.mark.parametrize("decoder", [ConvDecoder, ResidualDecoder])
@pytest.mark.parametrize("shape", [(1, 28, 28), (2, 8, 8), (3, 9, 14), (1, 1, 2)])
def test_decoders_meet_the_shape(decoder, shape):
    image = decoder(12, shape)(torch.randn(3, 12))
    assert image.shape == (3, *shape)
    assert (image.abs() <= 1).all()


def test_decoder_of_table_12():
    n = sum(p.numel() for p in ConvDecoder(60, (1, 28, 28)).parameters())
    dense = 60 * 1024 + 2 * 1024 + 1024 * 6272 + 2 * 6272
    assert n == dense + 128 * 64 * 16 + 2 * 64 + 64 * 16 + 2


def test_decoder_of_table_13():
    decoder = ResidualDecoder(60, (1, 32, 32))
    assert [block.conv2.out_channels for block in decoder.up] == [512, 256, 128]
    assert decoder.dense.out_features == 4 * 4 * 512


def test_decoder_of_tables():
    assert MLPDecoder(5, (30,), (8, 6))(torch.randn(4, 5)).shape == (4, 30)

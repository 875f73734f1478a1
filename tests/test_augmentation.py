"""Random distortions: what they must leave alone, and how far they may go."""

import numpy as np
import pytest
import torch

from skdeepcluster.augmentation import random_affine


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        yield


def blob(height, width, row, column, size=1.5):
    """Image of a smooth spot, shape (1, 1, height, width)."""
    rows, columns = torch.meshgrid(
        torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij"
    )
    distance = (rows - row) ** 2 + (columns - column) ** 2
    return torch.exp(-distance / (2 * size**2))[None, None]


def centre(images):
    """Centre of mass of each image: rows and columns, shape (n, 2)."""
    height, width = images.shape[2:]
    mass = images.sum(dim=(1, 2, 3))
    rows = (images.sum(dim=(1, 3)) * (torch.arange(height) + 0.5)).sum(dim=1) / mass
    columns = (images.sum(dim=(1, 2)) * (torch.arange(width) + 0.5)).sum(dim=1) / mass
    return torch.stack([rows, columns], dim=1)


def test_nothing_to_do_is_the_identity():
    x = torch.rand(3, 3, 9, 7)
    np.testing.assert_allclose(random_affine(x, degrees=0, shift=0), x, atol=1e-6)


def test_a_constant_image_stays_constant():
    x = torch.full((4, 1, 8, 8), 0.3)
    np.testing.assert_allclose(random_affine(x, degrees=45, shift=0.5), x, atol=1e-6)


def test_shifts_stay_within_their_bound_and_fill_it():
    height, width, shift = 40, 60, 0.1
    x = blob(height, width, height / 2, width / 2).expand(400, 1, height, width)
    moved = centre(random_affine(x, degrees=0, shift=shift)) - torch.tensor([20.0, 30.0])
    bound = torch.tensor([height * shift, width * shift])
    assert (moved.abs() <= bound + 0.05).all()
    assert (moved.abs().max(dim=0).values > 0.9 * bound).all()
    assert (moved.mean(dim=0).abs() < 0.2 * bound).all()


@pytest.mark.parametrize(("height", "width"), [(41, 41), (30, 60)])
def test_turning_keeps_the_distance_from_the_middle_and_the_shape(height, width):
    middle = torch.tensor([height / 2, width / 2])
    start = middle + torch.tensor([0.0, 10.0])
    x = blob(height, width, *start).expand(200, 1, height, width)
    turned = random_affine(x, degrees=30, shift=0)
    offset = centre(turned) - middle
    np.testing.assert_allclose(offset.norm(dim=1), np.full(200, 10.0), atol=0.1)
    angle = torch.rad2deg(torch.atan2(offset[:, 0], offset[:, 1]))
    assert angle.abs().max() <= 30.1
    assert angle.max() > 25
    assert angle.min() < -25
    # A round spot stays round, on sides of different length too.
    np.testing.assert_allclose(turned.sum(dim=(1, 2, 3)), x.sum(dim=(1, 2, 3)), rtol=0.02)


def test_each_image_has_a_draw_of_its_own():
    x = torch.rand(1, 1, 12, 12).expand(5, 1, 12, 12)
    out = random_affine(x)
    for i in range(4):
        assert not torch.allclose(out[i], out[i + 1])


def test_channels_move_together():
    x = torch.rand(6, 1, 10, 10).expand(6, 3, 10, 10)
    out = random_affine(x)
    np.testing.assert_array_equal(out[:, 0], out[:, 1])
    np.testing.assert_array_equal(out[:, 0], out[:, 2])

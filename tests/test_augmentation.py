"""Random distortions: what they must leave alone, and how far they may go."""

import colorsys

import numpy as np
import pytest
import torch
from scipy import ndimage

from skdeepcluster.augmentation import (
    binarize,
    center_crop,
    color_jitter,
    feature_dropout,
    feature_noise,
    random_affine,
    random_brightness,
    random_geometry,
    random_grey,
    shuffle_channels,
    sobel,
    to_grey,
)


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


def with_coordinates(n, height, width):
    """Random images whose second and third channel tell a pixel's row and column, float64."""
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    noise = np.random.default_rng(0).random((n, height, width))
    return torch.tensor(
        np.stack([noise, *np.broadcast_arrays(rows, columns, noise)[:2]], axis=1), dtype=float
    )


def affine_of(image):
    """Affine map (2, 3) from (1, row, column) of the output to row and column of the input."""
    height, width = image.shape[1:]
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    # Of the inner pixels: those near the border may have been read outside, and are cut.
    inner = np.s_[height // 3 : -(height // 3), width // 3 : -(width // 3)]
    A = np.stack([np.ones_like(rows[inner]), rows[inner], columns[inner]], axis=-1).reshape(-1, 3)
    b = image[1:].numpy()[:, *inner].reshape(2, -1).T
    solution, residuals, *_ = np.linalg.lstsq(A, b, rcond=None)
    assert residuals.max(initial=0) < 1e-12
    return solution.T


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


# ------------------------------------------------------------------ geometry

EVERYTHING = dict(
    area=(0.5, 0.8), horizontal_flip=0.5, vertical_flip=0.5, degrees=15, shift=0.05, shear=0.2
)


@pytest.mark.parametrize(
    "sides, size, options",
    [
        ((24, 24), None, EVERYTHING),
        ((20, 30), (25, 22), EVERYTHING),
        ((24, 24), 32, dict(crops=(12, 16), degrees=25)),
    ],
)
def test_pixels_are_those_that_scipy_reads_at_the_same_places(sides, size, options):
    x = with_coordinates(8, *sides)
    out = random_geometry(x, size, **options)
    height, width = out.shape[2:]
    rows, columns = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    points = np.stack([np.ones_like(rows), rows, columns]).reshape(3, -1)
    for image, distorted in zip(x.numpy(), out, strict=True):
        places = (affine_of(distorted) @ points).reshape(2, height, width)
        expected = ndimage.map_coordinates(image[0], places, order=1, mode="nearest")
        np.testing.assert_allclose(distorted[0], expected, atol=1e-9)


def test_each_distortion_is_the_affine_map_that_it_says():
    """Sides, places, angles and slants, read off what the pixels say of where they were."""
    height, width = 30, 40
    n = 300
    x = with_coordinates(1, height, width).expand(n, -1, -1, -1)
    middle = np.array([height - 1, width - 1]) / 2

    def maps(**options):
        out = random_geometry(x, **options)
        found = np.array([affine_of(image) for image in out])
        linear = found[:, :, 1:]
        return found[:, :, 0] + linear @ middle - middle, linear  # of the centre; (n, 2, 2)

    centre, linear = maps(area=(0.4, 0.9), aspect=(3 / 4, 4 / 3))
    h, w = linear[:, 0, 0] * height, linear[:, 1, 1] * width
    np.testing.assert_allclose(linear[:, [0, 1], [1, 0]], 0, atol=1e-9)
    share = h * w / (height * width)
    assert share.min() == pytest.approx(0.4, abs=0.01)
    assert share.max() == pytest.approx(0.9, abs=0.01)
    assert share.mean() == pytest.approx(0.65, abs=0.03)
    wanted = np.sqrt(height * width * share)  # the side of a square of that area
    fits = np.minimum(width / wanted, 2 / np.sqrt(3)) ** 2
    assert (w / h <= fits + 1e-6).all()
    assert (w / h >= 3 / 4 - 1e-6).all()
    assert (w <= width + 1e-6).all()
    assert (h <= height + 1e-6).all()
    for side, whole, offset in ((h, height, centre[:, 0]), (w, width, centre[:, 1])):
        room = (whole - side) / 2
        assert (np.abs(offset) <= room + 1e-6).all()
        loose = room > 1
        assert np.corrcoef(np.abs(offset[loose]), room[loose])[0, 1] > 0.2

    centre, linear = maps(horizontal_flip=0.5, vertical_flip=0.2)
    np.testing.assert_allclose(centre, 0, atol=1e-9)
    np.testing.assert_allclose(np.abs(linear), np.broadcast_to(np.eye(2), (n, 2, 2)), atol=1e-9)
    assert (linear[:, 1, 1] < 0).mean() == pytest.approx(0.5, abs=0.1)
    assert (linear[:, 0, 0] < 0).mean() == pytest.approx(0.2, abs=0.1)

    centre, linear = maps(degrees=20)
    np.testing.assert_allclose(centre, 0, atol=1e-9)
    np.testing.assert_allclose(
        linear @ linear.transpose(0, 2, 1), np.broadcast_to(np.eye(2), (n, 2, 2)), atol=1e-9
    )
    angle = np.degrees(np.arctan2(linear[:, 0, 1], linear[:, 0, 0]))
    assert 18 < angle.max() <= 20
    assert -20 <= angle.min() < -18

    centre, linear = maps(shear=0.3)
    np.testing.assert_allclose(linear[:, 0], np.broadcast_to([1, 0], (n, 2)), atol=1e-9)
    np.testing.assert_allclose(linear[:, 1, 1], 1, atol=1e-9)
    assert 0.27 < linear[:, 1, 0].max() <= 0.3
    assert -0.3 <= linear[:, 1, 0].min() < -0.27

    centre, linear = maps(shift=0.1)
    np.testing.assert_allclose(linear, np.broadcast_to(np.eye(2), (n, 2, 2)), atol=1e-9)
    assert 2.7 < centre[:, 0].max() <= 3
    assert -4 <= centre[:, 1].min() < -3.6


def test_an_area_of_one_is_the_whole_image_on_any_sides():
    for sides in ((9, 9), (6, 14)):
        x = torch.rand(4, 3, *sides)
        np.testing.assert_allclose(random_geometry(x, area=(1.0, 1.0)), x, atol=1e-5)


def test_squares_of_pixels_are_cut_exactly():
    x = with_coordinates(200, 12, 10)
    out = random_geometry(x, 5, crops=(5,))
    places = out[:, 1:, 0, 0].round().long()
    assert set(places[:, 0].tolist()) == set(range(8))
    assert set(places[:, 1].tolist()) == set(range(6))
    for image, cut, (top, left) in zip(x, out, places.tolist(), strict=True):
        np.testing.assert_allclose(cut, image[:, top : top + 5, left : left + 5], atol=1e-9)


def test_each_side_of_a_square_is_drawn_alike():
    x = with_coordinates(600, 28, 28)
    out = random_geometry(x, 32, crops=(24, 20, 16))
    step = (out[:, 1, 20, 0] - out[:, 1, 10, 0]) / 10 * 32
    sides, counts = np.unique(step.numpy().round(6), return_counts=True)
    assert sides.tolist() == [16, 20, 24]
    assert counts.min() > 150


def test_shrinking_averages_instead_of_skipping():
    """Stripes a pixel wide are grey from afar; reading every fourth pixel would show one alone."""
    x = torch.zeros(6, 1, 64, 64)
    x[..., ::2] = 1
    for options in ({}, {"area": (0.8, 1.0)}, {"crops": (56, 64)}):
        small = random_geometry(x, 16, **options)
        assert small.shape == (6, 1, 16, 16)
        assert (small - 0.5).abs().max() < 0.13


def test_crops_that_cannot_be_are_named():
    x = torch.rand(2, 1, 8, 8)
    with pytest.raises(ValueError, match=r"crops must be sides from 1 to 8, got \(9,\)"):
        random_geometry(x, crops=(9,))
    with pytest.raises(ValueError, match=r"two shares in \(0, 1\], in order, got \(0.5, 2\)"):
        random_geometry(x, area=(0.5, 2))
    with pytest.raises(ValueError, match="exclude each other"):
        random_geometry(x, area=(0.5, 1), crops=(4,))
    with pytest.raises(ValueError, match="side from 1 to 8, got 9"):
        center_crop(x, 9)


def test_a_centre_crop_is_the_middle_of_the_image():
    x = with_coordinates(2, 12, 12)
    np.testing.assert_array_equal(center_crop(x, 6), x[:, :, 3:9, 3:9])
    np.testing.assert_array_equal(center_crop(x, 12), x)
    larger = center_crop(x, 6, 12)
    places = np.clip(3 + (np.arange(12) + 0.5) / 2 - 0.5, 3, 8)
    np.testing.assert_allclose(larger[0, 1], np.broadcast_to(places[:, None], (12, 12)), atol=1e-6)
    assert center_crop(x, 12, 4).shape == (2, 3, 4, 4)


@pytest.mark.parametrize(
    "function",
    [
        lambda x: random_geometry(x, **EVERYTHING),
        lambda x: random_geometry(x, crops=(5, 7), size=12),
        lambda x: color_jitter(x, 0.4, 0.4, 0.4, 0.125),
        lambda x: random_grey(x, 0.5),
        shuffle_channels,
        feature_noise,
        feature_dropout,
    ],
)
def test_draws_are_torchs_and_each_image_has_its_own(function):
    x = torch.rand(1, 3, 12, 12).expand(16, -1, -1, -1)
    before = x.clone()
    torch.default_generator.manual_seed(3)
    first = function(x)
    torch.default_generator.manual_seed(3)
    assert torch.equal(function(x), first)
    assert not torch.equal(function(x), first)
    assert len(torch.unique(first.flatten(1), dim=0)) > 1
    assert first.dtype == x.dtype
    assert first.device == x.device
    assert torch.equal(x, before)


@pytest.mark.gpu
def test_everything_stays_on_the_device():
    x = torch.rand(8, 3, 32, 32, device="cuda")
    out = color_jitter(random_geometry(x, **EVERYTHING), 0.4, 0.4, 0.4, 0.125)
    assert sobel(random_grey(shuffle_channels(out))).device == x.device
    assert center_crop(random_geometry(x, crops=(20,)), 20, 32).device == x.device


# ------------------------------------------------------------------ colours


def test_no_change_of_colours_is_the_identity():
    x = torch.rand(3, 3, 6, 5)
    assert torch.equal(color_jitter(x), x)
    np.testing.assert_allclose(color_jitter(x, (1, 1), (1, 1), (1, 1), 1e-9), x, atol=1e-5)


def luma(image):
    return np.tensordot([0.299, 0.587, 0.114], image, axes=1)


def test_brightness_is_a_factor_of_the_image():
    x = torch.rand(200, 1, 4, 4, dtype=float) * 0.6
    out = color_jitter(x, brightness=0.4)
    factor = (out / x).amax(dim=(1, 2, 3))
    np.testing.assert_allclose(out, x * factor[:, None, None, None])
    assert 0.6 <= factor.min() < 0.63
    assert 1.37 < factor.max() <= 1.4
    np.testing.assert_array_equal(color_jitter(x, brightness=(3.0, 3.0)), (3 * x).clamp(0, 1))


@pytest.mark.parametrize("channels", [1, 3])
def test_contrast_is_a_factor_about_the_grey_mean(channels):
    x = 0.3 + 0.4 * torch.rand(50, channels, 5, 5, dtype=float)
    out = color_jitter(x, contrast=0.4)
    for image, changed in zip(x.numpy(), out.numpy(), strict=True):
        mean = (luma(image) if channels == 3 else image).mean()
        factor = (changed - mean) / (image - mean)
        np.testing.assert_allclose(factor, np.full_like(factor, factor[0, 0, 0]), rtol=1e-6)
        assert 0.6 <= factor[0, 0, 0] <= 1.4


def test_saturation_is_a_factor_about_the_grey_image():
    x = 0.3 + 0.4 * torch.rand(50, 3, 5, 5, dtype=float)
    out = color_jitter(x, saturation=0.4)
    for image, changed in zip(x.numpy(), out.numpy(), strict=True):
        grey = luma(image)
        np.testing.assert_allclose(luma(changed), grey, atol=1e-12)
        factor = (changed - grey) / (image - grey)
        np.testing.assert_allclose(factor, np.full_like(factor, factor[0, 0, 0]), rtol=1e-6)
    grey = color_jitter(x, saturation=(0.0, 0.0))
    np.testing.assert_allclose(grey, to_grey(x).expand_as(x), atol=1e-12)


def test_hue_turns_as_colorsys_does():
    x = torch.rand(40, 3, 3, 3, dtype=float)
    x[0, :, 0, 0] = 0.5  # grey has no hue
    x[0, :, 0, 1] = 0.0
    out = color_jitter(x, hue=0.125)
    turns = []
    for image, changed in zip(x.numpy(), out.numpy(), strict=True):
        h0, *_ = colorsys.rgb_to_hsv(*image[:, 2, 2])
        h1, *_ = colorsys.rgb_to_hsv(*changed[:, 2, 2])
        turn = (h1 - h0 + 0.5) % 1 - 0.5
        turns.append(turn)
        for i, j in np.ndindex(3, 3):
            h, s, v = colorsys.rgb_to_hsv(*image[:, i, j])
            expected = colorsys.hsv_to_rgb((h + turn) % 1, s, v)
            np.testing.assert_allclose(changed[:, i, j], expected, atol=1e-9)
    assert 0.11 < max(turns) <= 0.125
    assert -0.125 <= min(turns) < -0.11


def test_grey_images_have_no_hue_and_no_saturation():
    x = torch.rand(4, 1, 6, 6)
    assert torch.equal(color_jitter(x, saturation=0.4, hue=0.5), x)
    assert to_grey(x) is x


def test_grey_is_the_weighted_sum_and_chance_decides_by_image():
    x = torch.rand(400, 3, 2, 2, dtype=float)
    np.testing.assert_allclose(to_grey(x)[:, 0], [luma(image) for image in x.numpy()])
    out = random_grey(x, probability=0.2)
    changed = (out != x).any(dim=(1, 2, 3))
    np.testing.assert_allclose(out[changed], to_grey(x).expand_as(x)[changed])
    assert torch.equal(out[~changed], x[~changed])
    assert changed.double().mean() == pytest.approx(0.2, abs=0.07)
    assert torch.equal(random_grey(x, 0.0), x)


def test_all_orders_of_channels_come_up():
    x = torch.arange(3.0)[None, :, None, None].expand(600, 3, 2, 2)
    orders, counts = torch.unique(shuffle_channels(x)[:, :, 0, 0], dim=0, return_counts=True)
    assert len(orders) == 6
    assert counts.min() > 60
    assert torch.equal(orders.sort(dim=1).values, torch.arange(3.0).expand(6, 3))


def test_sobel_agrees_with_scipy():
    x = torch.rand(3, 3, 7, 9, dtype=float)
    for image, edges in zip(x.numpy(), sobel(x), strict=True):
        grey = luma(image)
        for axis, found in ((1, edges[0]), (0, edges[1])):
            expected = ndimage.sobel(grey, axis=axis, mode="nearest") / 4
            np.testing.assert_allclose(found, expected, atol=1e-12)


# ------------------------------------------------------------------ tables


def test_noise_has_its_scale_and_dropout_its_share():
    x = torch.full((500, 40), 2.0)
    noise = feature_noise(x, scale=0.3) - x
    assert noise.std() == pytest.approx(0.3, abs=0.01)
    assert noise.mean().abs() < 0.01
    dropped = feature_dropout(x, probability=0.15)
    assert set(dropped.unique().tolist()) == {0.0, 2.0}
    assert (dropped == 0).double().mean() == pytest.approx(0.15, abs=0.01)
    assert torch.equal(feature_dropout(x, 0.0), x)
    assert torch.equal(feature_noise(x, 0.0), x)


def test_brightness_adds_one_number_to_an_image():
    x = torch.full((200, 1, 3, 3), 0.5)
    added = random_brightness(x, 0.2) - x
    assert (added.amax(dim=(1, 2, 3)) == added.amin(dim=(1, 2, 3))).all()
    assert added.abs().max() <= 0.2
    assert added.std() == pytest.approx(0.2 / 3**0.5, rel=0.15)
    assert random_brightness(torch.ones(50, 1, 2, 2)).max() == 1


def test_binary_pixels_keep_their_mean():
    x = torch.rand(1, 1, 8, 8).expand(4000, 1, 8, 8)
    drawn = binarize(x)
    assert set(drawn.unique().tolist()) == {0.0, 1.0}
    assert (drawn.mean(dim=0) - x[0]).abs().max() < 0.05

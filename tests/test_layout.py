"""Layouts and scalings are what scikit-learn's scalers compute, and can be undone."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skdeepcluster import _layout
from skdeepcluster._layout import (
    channel_axis,
    check_image_shape,
    flatten_rows,
    make_preprocessor,
    unfolded_shapes,
)

SHAPES = [(12,), (1,), (3, 4), (1, 1), (5, 4, 1), (1, 5, 4), (2, 2, 3), (3, 2, 2), (5, 4, 3)]

DTYPES = ["uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


def rows(shape, dtype, n=20) -> np.ndarray:
    rng = np.random.default_rng(0)
    return rng.integers(0, 100, (n, int(np.prod(shape)))).astype(dtype)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scaling", ["auto", None])
def test_inverting_undoes_preprocessing(shape, dtype, scaling):
    X = rows(shape, dtype)
    image_shape = shape if len(shape) > 1 else None
    preprocess = make_preprocessor(X, None, image_shape, scaling)
    x = preprocess(torch.from_numpy(X))
    assert x.dtype == torch.float32
    assert x.shape == (20, *preprocess.input_shape)
    assert_allclose(preprocess.invert(x).numpy(), X, atol=1e-4)


@pytest.mark.parametrize("shape", [s for s in SHAPES if len(s) > 1])
def test_pixels_stand_where_they_belong(shape):
    X = np.arange(2 * np.prod(shape)).reshape(2, *shape).astype(np.float32)
    flat, row_shape = flatten_rows(X)
    x = make_preprocessor(flat, row_shape, None, None)(torch.from_numpy(flat)).numpy()
    axis = channel_axis(shape)
    expected = X[:, None] if axis is None else np.moveaxis(X, axis + 1, 1)
    assert_array_equal(x, expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_features_are_standardised(dtype):
    X = rows((5,), dtype)
    X[:, 2] = 7  # constant
    x = make_preprocessor(X, None, None, "auto")(torch.from_numpy(X)).numpy()
    assert_allclose(x, StandardScaler().fit_transform(X.astype(np.float64)), atol=1e-5)


def test_features_are_standardised_in_pieces(monkeypatch):
    X = np.random.default_rng(0).normal(3, 2, (1000, 5))
    whole = make_preprocessor(X, None, None, "auto")
    monkeypatch.setattr(_layout, "_CHUNK", 64)
    pieces = make_preprocessor(X, None, None, "auto")
    assert_allclose(pieces.shift, whole.shift, rtol=1e-12)
    assert_allclose(pieces.factor, whole.factor, rtol=1e-12)


@pytest.mark.parametrize("dtype", ["int16", "int32", "float32", "float64"])
def test_images_are_mapped_to_the_unit_range(dtype):
    X = rows((3, 4), dtype) - 20
    x = make_preprocessor(X, (3, 4), None, "auto")(torch.from_numpy(X)).numpy().reshape(20, 12)
    expected = MinMaxScaler().fit_transform(X.reshape(-1, 1).astype(np.float64))
    assert_allclose(x, expected.reshape(20, 12), atol=1e-6)


def test_8_bit_images_are_divided_by_255_whatever_their_range():
    X = rows((3, 4), "uint8")
    x = make_preprocessor(X, (3, 4), None, "auto")(torch.from_numpy(X)).numpy()
    assert_allclose(x.reshape(20, 12), X / 255, rtol=1e-6)


def test_images_in_the_unit_range_are_left_alone():
    X = rows((3, 4), "float32") / np.float32(128)
    x = make_preprocessor(X, (3, 4), None, "auto")(torch.from_numpy(X)).numpy()
    assert_array_equal(x.reshape(20, 12), X)


@settings(deadline=None, max_examples=50)
@given(
    hnp.arrays(
        np.float64,
        st.tuples(st.integers(1, 8), st.integers(1, 4)),
        elements=st.floats(-1e30, 1e30, width=64),
    ),
    st.booleans(),
)
def test_whatever_comes_in_is_finite_in_float32(X, is_image):
    image_shape = (1, X.shape[1]) if is_image else None
    preprocess = make_preprocessor(X, None, image_shape, "auto")
    x = preprocess(torch.from_numpy(X))
    assert torch.isfinite(x).all()
    scale = np.abs(X).max()
    assert_allclose(preprocess.invert(x).numpy(), X, rtol=1e-5, atol=1e-5 * scale + 1e-30)


def test_a_constant_column_becomes_zero_however_large():
    X = np.full((7, 1), 1e30) / 3
    assert not make_preprocessor(X, None, None, "auto")(torch.from_numpy(X)).any()


def test_values_too_large_for_float32():
    X = np.array([[1.0], [-1e39]])
    with pytest.raises(ValueError, match=r"from -1e\+39 to 1, too large for float32"):
        make_preprocessor(X, None, None, None)


@pytest.mark.parametrize(
    "shape, axis",
    [
        ((4, 5), None),
        ((4, 5, 1), 2),
        ((4, 5, 3), 2),
        ((1, 4, 5), 0),
        ((3, 4, 5), 0),
        ((1, 9, 1), 2),
    ],
)
def test_channel_axis(shape, axis):
    assert channel_axis(shape) == axis


@pytest.mark.parametrize("shape", [(4, 5, 2), (4, 3, 5), (1, 4, 3), (3, 4, 1), (3, 4, 3)])
def test_channels_that_cannot_be_told(shape):
    with pytest.raises(ValueError, match=r"images of shape \(\d, \d, \d\)"):
        channel_axis(shape)


@pytest.mark.parametrize("shape", [(2, 3), [2, 3], np.array([2, 3]), (np.int32(2), 3)])
def test_image_shapes_become_tuples(shape):
    checked = check_image_shape(shape)
    assert checked == (2, 3)
    assert {type(side) for side in checked} == {int}


@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 3, 3), (3, 2, 4)])
@pytest.mark.parametrize("as_list", [False, True])
def test_flattening(shape, as_list):
    X = np.arange(4 * np.prod(shape)).reshape(4, *shape)
    flat, row_shape = flatten_rows(X.tolist() if as_list else X)
    assert_array_equal(flat, X.reshape(4, -1))
    assert row_shape == (None if len(shape) == 1 else shape)


def test_flattening_does_not_copy():
    X = np.zeros((4, 2, 3))
    assert np.shares_memory(flatten_rows(X)[0], X)


@pytest.mark.parametrize(
    "shape, expected",
    [
        ((6,), [(6,)]),
        ((2, 5), [(2, 5), (1, 2, 5), (2, 5, 1)]),
        ((2, 5, 1), [(2, 5), (1, 2, 5), (2, 5, 1)]),
        ((1, 2, 5), [(2, 5), (1, 2, 5), (2, 5, 1)]),
        ((2, 4, 3), [(2, 4, 3)]),
        ((3, 2, 4), [(3, 2, 4)]),
    ],
)
def test_shapes_in_which_rows_may_come(shape, expected):
    X = np.zeros((2, int(np.prod(shape))))
    image_shape = shape if len(shape) > 1 else None
    assert unfolded_shapes(make_preprocessor(X, None, image_shape, None)) == expected

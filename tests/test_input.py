"""What goes in: bad input gets an error that names it, good input of any kind gives the same."""

import re
import warnings
from functools import cache

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from estimators import blobs, brief, every_estimator, has, images, quick, unconverged
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import ConvergenceWarning, NotFittedError
from sklearn.metrics import adjusted_rand_score

METHODS = ("predict", "predict_proba", "transform", "score", "score_samples")

X_GOOD = blobs(30)

nan = X_GOOD.copy()
nan[3, 1] = np.nan
infinite = X_GOOD.copy()
infinite[3, 1] = -np.inf

#: Data that no method takes, and what the message says.
BAD_DATA = {
    "nan": (nan, ValueError, "contains NaN"),
    "infinity": (infinite, ValueError, "contains infinity"),
    "nan in float32": (nan.astype(np.float32), ValueError, "contains NaN"),
    "nan in images": (nan.reshape(30, 2, 2), ValueError, "contains NaN"),
    "nan in objects": (nan.astype(object), ValueError, "contains NaN"),
    "no rows": (np.empty((0, 4)), ValueError, r"0 sample\(s\) \(shape=\(0, 4\)\)"),
    "no columns": (np.empty((30, 0)), ValueError, r"0 feature\(s\) \(shape=\(30, 0\)\)"),
    "a frame without columns": (pd.DataFrame(index=range(30)), ValueError, r"0 feature\(s\)"),
    "a frame of nothing": (pd.DataFrame(), ValueError, r"0 sample\(s\)|0 feature\(s\)"),
    "no images": (np.empty((0, 2, 2)), ValueError, r"0 sample\(s\)"),
    "images without pixels": (np.empty((30, 0, 2)), ValueError, r"0 feature\(s\)"),
    "a number": (np.float64(3), ValueError, "Expected 2D array, got scalar array"),
    "one dimension": (X_GOOD[:, 0], ValueError, "Expected 2D array, got 1D array"),
    "a list of numbers": ([1.0, 2.0, 3.0], ValueError, "Expected 2D array, got 1D array"),
    "five dimensions": (
        np.zeros((30, 2, 2, 1, 1)),
        ValueError,
        r"\(n, H, W, C\) or \(n, C, H, W\), got \(30, 2, 2, 1, 1\)",
    ),
    "five dimensions of lists": (
        np.zeros((3, 2, 2, 1, 1)).tolist(),
        ValueError,
        r"got \(3, 2, 2, 1, 1\)",
    ),
    "complex": (X_GOOD + 1j, ValueError, "Complex data not supported"),
    "complex images": (X_GOOD.reshape(30, 2, 2) + 1j, ValueError, "Complex data not supported"),
    "strings": (np.full((30, 4), "high"), ValueError, "could not convert string|bytes/strings"),
    "bytes": (np.full((30, 4), b"high"), ValueError, "bytes/strings"),
    "objects": (np.full((30, 4), "high", dtype=object), ValueError, "could not convert string"),
    "dicts": (np.full((30, 4), {}, dtype=object), TypeError, "not 'dict'"),
    "dates": (np.full((30, 4), np.datetime64("2020-01-01")), ValueError, "dtype datetime64"),
    "rows of different length": ([[1.0, 2.0], [3.0]], ValueError, "inhomogeneous"),
    "images of different size": ([[[1.0, 2.0]], [[3.0]]], ValueError, "inhomogeneous"),
    "pandas with strings": (
        pd.DataFrame({"a": ["x", "y"], "b": [1, 2]}),
        ValueError,
        "could not convert string",
    ),
    "None": (None, ValueError, "NoneType|got scalar array"),
    "sparse matrix": (scipy.sparse.csr_matrix(X_GOOD), TypeError, "[Ss]parse"),
    "sparse array": (scipy.sparse.coo_array(X_GOOD), TypeError, "[Ss]parse"),
    "too large for float32": (X_GOOD * 1e39, ValueError, "too large for float32"),
    "too large for float64": (
        np.full((30, 4), np.longdouble("1e4000")),
        ValueError,
        "too large for float",
    ),
}

if np.finfo(np.longdouble).max == np.finfo(np.float64).max:
    del BAD_DATA["too large for float64"]

bad_data = pytest.mark.parametrize("X, error, message", list(BAD_DATA.values()), ids=list(BAD_DATA))


@pytest.fixture(scope="module")
def models():
    """A function that gives an estimator fitted on `X_GOOD`, never to be changed."""
    kept = {}

    def fitted(name):
        if name not in kept:
            with warnings.catch_warnings():  # a quick run need not converge
                warnings.simplefilter("ignore", ConvergenceWarning)
                kept[name] = quick(name, n_clusters=3, random_state=0).fit(X_GOOD)
        return kept[name]

    return fitted


# ------------------------------------------------------------------ bad data


@every_estimator
@bad_data
def test_fit_refuses_bad_data(name, X, error, message):
    model = quick(name, n_clusters=2)
    with pytest.raises(error, match=message):
        model.fit(X)
    assert not [key for key in vars(model) if key.endswith("_")]


@pytest.mark.filterwarnings("ignore:X has feature names")
@every_estimator
@bad_data
def test_predictions_refuse_bad_data(name, models, X, error, message):
    # A wrong number of columns may be found before what else is wrong.
    message = f"{message}|features, but"
    for method in METHODS:
        if has(name, method):
            with pytest.raises(error, match=message):
                getattr(models(name), method)(X)


@every_estimator
@pytest.mark.parametrize("method", METHODS)
def test_predictions_need_a_fit(name, method):
    if has(name, method):
        with pytest.raises(NotFittedError, match=f"This {name} instance is not fitted yet"):
            getattr(quick(name), method)(X_GOOD)


@every_estimator
def test_decoding_and_saving_need_a_fit(name, tmp_path):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        quick(name).save(tmp_path / "model")
    if has(name, "inverse_transform"):
        with pytest.raises(NotFittedError, match="not fitted yet"):
            quick(name).inverse_transform(np.zeros((1, 10)))


@every_estimator
@pytest.mark.parametrize("n_features", [1, 3, 5])
def test_predictions_refuse_another_number_of_features(name, models, n_features):
    for method in METHODS:
        if has(name, method):
            with pytest.raises(
                ValueError, match=f"X has {n_features} features, but {name} is expecting 4 features"
            ):
                getattr(models(name), method)(np.zeros((5, n_features)))


@every_estimator
def test_fewer_rows_than_clusters(name):
    with pytest.raises(ValueError, match=r"n_samples=4 should be >= n_clusters=5"):
        quick(name, n_clusters=5).fit(X_GOOD[:4])


@unconverged
@every_estimator
def test_a_row_too_far_from_the_training_data(name):
    X = np.random.default_rng(0).normal(0, 1e-20, (40, 3))
    model = quick(name, n_clusters=2, random_state=0).fit(X)
    far = np.array([[0, 0, 0], [0, 1e30, 0]])
    model.predict(far[:1])
    with pytest.raises(ValueError, match="row 1 gives a result that is not finite"):
        model.predict(far)


@every_estimator
def test_embeddings_are_checked(name, models):
    if not has(name, "inverse_transform"):
        return
    model = models(name)
    Z = model.transform(X_GOOD)
    with pytest.raises(ValueError, match=f"must have {Z.shape[1]} columns, got 3"):
        model.inverse_transform(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="Expected 2D array, got 1D array"):
        model.inverse_transform(Z[0])
    with pytest.raises(ValueError, match="NaN"):
        model.inverse_transform(np.full_like(Z, np.nan))


# ------------------------------------------------------------------ bad parameters

#: Values that no method takes: what they give, and how the message names them.
BAD_PARAMETERS = [
    ("n_clusters", 0, ValueError, "n_clusters must be at least 1, got 0"),
    ("n_clusters", -3, ValueError, "n_clusters must be at least 1, got -3"),
    ("n_clusters", 2.5, TypeError, "n_clusters must be an int, got 2.5"),
    ("n_clusters", 3.0, TypeError, "n_clusters must be an int, got 3.0"),
    ("n_clusters", "3", TypeError, "n_clusters must be an int, got '3'"),
    ("n_clusters", None, TypeError, "n_clusters must be an int, got None"),
    ("n_clusters", True, TypeError, "n_clusters must be an int, got True"),
    ("network", "resnet", ValueError, "network must be one of ('auto', "),
    ("network", None, ValueError, "got None"),
    ("device", "gpu", ValueError, "device='gpu' is not a device's name; expected 'auto', 'cpu'"),
    ("device", "cuda:99", ValueError, "device='cuda:99' is not available on this machine"),
    ("device", "meta", ValueError, "device='meta' is not supported; expected 'auto', 'cpu'"),
    ("device", 0, TypeError, "device must be a string such as 'auto' or 'cpu', got 0"),
    ("batch_size", -1, ValueError, "batch_size must be at least 1, got -1"),
    ("batch_size", 0, ValueError, "batch_size must be at least 1, got 0"),
    ("batch_size", 32.0, TypeError, "batch_size must be an int, got 32.0"),
    ("max_epochs", -1, ValueError, "max_epochs must be at least 0, got -1"),
    ("max_epochs", 1.5, TypeError, "max_epochs must be an int, got 1.5"),
    ("max_time", -1, ValueError, "max_time must be a finite number in [0, inf], got -1"),
    ("max_time", "1h", TypeError, "max_time must be a number, got '1h'"),
    ("learning_rate", 0, ValueError, "learning_rate must be a finite number in (0, inf], got 0"),
    ("learning_rate", np.nan, ValueError, "learning_rate must be a finite number"),
    (
        "precision",
        "float16",
        ValueError,
        "precision must be one of ('auto', 'float32', 'bfloat16')",
    ),
    ("compile", 1, TypeError, "compile must be True or False, got 1"),
    ("deterministic", 1, TypeError, "deterministic must be True or False, got 1"),
    ("scaling", "minmax", ValueError, "scaling must be one of ('auto', None), got 'minmax'"),
    ("image_shape", 28, TypeError, "image_shape must be (H, W), (H, W, C) or (C, H, W)"),
    ("image_shape", (4,), ValueError, "of positive ints, got (4,)"),
    ("image_shape", (2, 2.0), ValueError, "of positive ints, got (2, 2.0)"),
    ("image_shape", (-2, -2), ValueError, "of positive ints, got (-2, -2)"),
    ("image_shape", (3, 2), ValueError, "image_shape=(3, 2) has 6 pixels, but X has 4 features"),
    ("image_shape", (1, 2, 2, 1), ValueError, "of positive ints, got (1, 2, 2, 1)"),
    ("image_shape", "22", ValueError, "of positive ints, got '22'"),
    ("verbose", -1, ValueError, "verbose must be at least 0, got -1"),
    ("verbose", "yes", TypeError, "verbose must be an int, got 'yes'"),
    ("callbacks", 3, TypeError, "callbacks must be a list or None, got 3"),
    ("checkpoint", 3, TypeError, "checkpoint must be a folder's path or None, got 3"),
    ("random_state", "seed", ValueError, "'seed' cannot be used to seed"),
]


@every_estimator
@pytest.mark.parametrize("parameter, value, error, message", BAD_PARAMETERS)
def test_fit_refuses_bad_parameters(name, parameter, value, error, message):
    model = quick(name).set_params(n_clusters=3).set_params(**{parameter: value})
    with pytest.raises(error, match=re.escape(message)):
        model.fit(X_GOOD)


#: Parameters for which an array is a value, or whose error is scikit-learn's.
TAKES_ARRAYS = {"random_state", "weights"}


@every_estimator
def test_fit_refuses_arrays_where_numbers_and_words_belong(name):
    """An array compares number by number: NumPy's own error names neither parameter nor value."""
    for parameter in sorted(quick(name).get_params().keys() - TAKES_ARRAYS):
        model = quick(name).set_params(n_clusters=3).set_params(**{parameter: np.array([1, 2, 3])})
        with pytest.raises((TypeError, ValueError), match=parameter):
            model.fit(X_GOOD)


#: Values of a method's own parameters.
OWN_BAD_PARAMETERS = [
    ("DCCS", "hidden_sizes", (), ValueError, "hidden_sizes must be a tuple of 1 ints at least"),
    ("DCCS", "critic_sizes", 8, ValueError, "critic_sizes must be a tuple of 1 ints at least"),
    ("DCCS", "critic_sizes", (0,), ValueError, "critic_sizes must be at least 1, got 0"),
    ("DCCS", "n_style", -1, ValueError, "n_style must be at least 0, got -1"),
    ("DCCS", "n_critic", 0, ValueError, "n_critic must be at least 1, got 0"),
    ("DCCS", "n_critic", 2.5, TypeError, "n_critic must be an int, got 2.5"),
    ("DCCS", "n_init", 0, ValueError, "n_init must be at least 1, got 0"),
    ("DCCS", "init_epochs", -1, ValueError, "init_epochs must be at least 0, got -1"),
    ("DCCS", "patience", 0, ValueError, "patience must be at least 1, got 0"),
    ("DCCS", "sigma", 0, ValueError, "sigma must be a finite number in (0, inf], got 0"),
    ("DCCS", "beta_mi", -1, ValueError, "beta_mi must be a finite number in [0, inf], got -1"),
    ("DCCS", "beta_aug", "2", TypeError, "beta_aug must be a number, got '2'"),
    ("DCCS", "gradient_penalty", -10, ValueError, "gradient_penalty must be a finite number"),
    ("DCCS", "hue", 0.6, ValueError, "hue must be a finite number in [0, 0.5], got 0.6"),
    ("DCCS", "feature_dropout", 2, ValueError, "feature_dropout must be a finite number in [0, 1]"),
    ("DCCS", "tol", 2, ValueError, "tol must be a finite number in [0, 1], got 2"),
    ("DCCS", "information", "both", ValueError, "information must be one of ('discriminator', "),
    ("DCCS", "color", "rgb", ValueError, "color must be one of ('grey', 'color', 'sobel')"),
    ("DCCS", "horizontal_flip", 0.5, TypeError, "True or False, got 0.5"),
    ("DCCS", "augmentation", "flip", ValueError, "augmentation must be one of ('auto', None)"),
    ("DCCS", "crop_area", (0.4, 1.5), ValueError, "crop_area must be a finite number in (0, 1]"),
    ("DCCS", "crop_area", (0.9, 0.4), ValueError, "crop_area must be in order, got (0.9, 0.4)"),
    ("DCCS", "crop_area", "small", ValueError, "crop_area must be a pair of numbers, got 'small'"),
    ("DCCS", "degrees", 200, ValueError, "degrees must be a finite number in [0, 180], got 200"),
    ("DCCS", "shift", -0.1, ValueError, "shift must be a finite number in [0, 1], got -0.1"),
    ("DCCS", "shear", -0.1, ValueError, "shear must be a finite number in [0, 1], got -0.1"),
    ("DCCS", "brightness", -0.1, ValueError, "brightness must be a finite number in [0, inf]"),
    ("DCCS", "crop_aspect", 1.0, ValueError, "crop_aspect must be a pair of numbers, got 1.0"),
    ("DCCS", "network", "conv", ValueError, "pass image_shape if its rows are images"),
    ("DCCS", "network", "residual", ValueError, "pass image_shape if its rows are images"),
    ("StatDEC", "embedding_dim", 0, ValueError, "embedding_dim must be at least 1, got 0"),
    ("StatDEC", "hidden_sizes", (16,), ValueError, "2 ints at least, got (16,)"),
    ("StatDEC", "hidden_sizes", 16, ValueError, "2 ints at least, got 16"),
    ("StatDEC", "hidden_sizes", (16, 0), ValueError, "hidden_sizes must be at least 1, got 0"),
    ("StatDEC", "hidden_sizes", (16, "x"), TypeError, "hidden_sizes must be an int, got 'x'"),
    ("StatDEC", "lam", 1.5, ValueError, "lam must be a finite number in [0, 1], got 1.5"),
    ("StatDEC", "lam", "half", TypeError, "lam must be a number, got 'half'"),
    ("StatDEC", "beta", -1, ValueError, "beta must be a finite number in [0, inf], got -1"),
    ("StatDEC", "network", "cnn", ValueError, "network='cnn' is for images, but X has feature"),
    ("StatDEC", "network", "unet", ValueError, "network='unet' is for images, but X has feature"),
    ("StatDEC", "gamma", -1, ValueError, "gamma must be a finite number in [0, inf], got -1"),
    ("StatDEC", "alpha", 0, ValueError, "alpha must be a finite number in (0, inf], got 0"),
    ("StatDEC", "tol", 2, ValueError, "tol must be a finite number in [0, 1], got 2"),
    ("StatDEC", "update_interval", 0, ValueError, "update_interval must be at least 1, got 0"),
    ("StatDEC", "weighted_target", "eq5", ValueError, "weighted_target must be one of (True, "),
    ("StatDEC", "weighted_target", 1, ValueError, "weighted_target must be one of (True, "),
    ("StatDEC", "statistics_pooling", "yes", TypeError, "True or False, got 'yes'"),
    ("StatDEC", "pretraining", "sgd", ValueError, "pretraining must be one of ('adam', 'paper')"),
    ("StatDEC", "pretrain_epochs", "many", TypeError, "pretrain_epochs must be an int, got 'many'"),
    ("StatDEC", "layerwise_epochs", -1, ValueError, "layerwise_epochs must be at least 0, got -1"),
    ("StatDEC", "augmentation", "flip", ValueError, "augmentation must be one of (None, 'affine')"),
    ("StatDEC", "augmentation", "affine", ValueError, "pass image_shape if its rows are images"),
    ("MMDC", "targets", "two-hot", ValueError, "targets must be one of ('one-hot', 'random', "),
    ("MMDC", "embedding_dim", 2, ValueError, "embedding_dim must be at least 3, got 2"),
    ("MMDC", "sigma", -0.1, ValueError, "sigma must be a finite number in [0, inf], got -0.1"),
    ("MMDC", "weights", (1, 2), ValueError, "weights must be 3 positive numbers, one a cluster, "),
    ("MMDC", "weights", (1, 2, 0), ValueError, "3 positive numbers, one a cluster, got (1, 2, 0)"),
    ("MMDC", "weights", (1, 2, np.inf), ValueError, "weights must be 3 positive numbers"),
    ("MMDC", "weights", "equal", ValueError, "positive numbers, one a cluster, got 'equal'"),
    ("MMDC", "auxiliary", "jigsaw", ValueError, "auxiliary must be one of ('auto', 'rotation', "),
    ("MMDC", "auxiliary", "rotation", ValueError, "pass image_shape if its rows are images"),
    ("MMDC", "augmentation", "flip", ValueError, "augmentation must be one of ('auto', 'grey', "),
    ("MMDC", "augmentation", "grey", ValueError, "pass image_shape if rows are images"),
    ("MMDC", "sobel", 1, TypeError, "sobel must be True or False, got 1"),
    ("MMDC", "embedding", "both", ValueError, "embedding must be one of ('output', 'features')"),
    ("MMDC", "hidden_sizes", (), ValueError, "hidden_sizes must be a tuple of 1 ints at least"),
    ("MMDC", "hidden_sizes", 16, ValueError, "hidden_sizes must be a tuple of 1 ints at least"),
    ("MMDC", "hidden_sizes", (16, 0), ValueError, "hidden_sizes must be at least 1, got 0"),
    ("MMDC", "crop_size", (), ValueError, "an int or a tuple of 1 ints at least, got ()"),
    ("MMDC", "crop_size", (20, 0), ValueError, "crop_size must be at least 1, got 0"),
    ("MMDC", "crop_size", 0.5, TypeError, "crop_size must be an int, got 0.5"),
    ("MMDC", "input_size", "large", TypeError, "input_size must be an int, got 'large'"),
    ("MMDC", "refine_after", -1, ValueError, "refine_after must be at least 0, got -1"),
    ("MMDC", "refine_after", "end", TypeError, "refine_after must be an int, got 'end'"),
    ("MMDC", "decay_after", None, TypeError, "decay_after must be an int, got None"),
    ("MMDC", "momentum", 1.5, ValueError, "momentum must be a finite number in [0, 1], got 1.5"),
    ("MMDC", "weight_decay", -1, ValueError, "weight_decay must be a finite number in [0, inf]"),
    ("MMDC", "network", "resnet18", ValueError, "pass image_shape if its rows are images"),
    ("MMDC", "max_epochs", "many", TypeError, "max_epochs must be an int, got 'many'"),
    *[
        ("VariationalGMMClustering", *case)
        for case in (
            ("embedding_dim", 0, ValueError, "embedding_dim must be at least 1, got 0"),
            ("embedding_dim", "two", TypeError, "embedding_dim must be an int, got 'two'"),
            ("hidden_sizes", (), ValueError, "1 ints at least, got ()"),
            ("hidden_sizes", (16, 0), ValueError, "hidden_sizes must be at least 1, got 0"),
            ("likelihood", "poisson", ValueError, "likelihood must be one of ('auto', "),
            ("likelihood", "bernoulli", ValueError, "got scaling='auto' and values from"),
            ("lambda_recons", -1, ValueError, "lambda_recons must be a finite number in [0, inf]"),
            ("lambda_recons", "much", TypeError, "lambda_recons must be a number, got 'much'"),
            ("lambda_aug", (), ValueError, "lambda_aug must be a number or (epoch, number) pairs"),
            ("lambda_aug", (1, 2), ValueError, "such as ((0, 0.01), (40, 0.5)), got (1, 2)"),
            ("lambda_aug", ((1, 0.5),), ValueError, "begin at 0 and rise, got ((1, 0.5),)"),
            ("lambda_aug", ((0, 1), (0, 2)), ValueError, "begin at 0 and rise"),
            ("lambda_aug", ((0, -2),), ValueError, "a weight of lambda_aug must be a finite"),
            ("lambda_aug", ((0.5, 1),), TypeError, "an epoch of lambda_aug must be an int"),
            ("aug_weights", "all", ValueError, "aug_weights must be two numbers, got 'all'"),
            ("aug_weights", (1, -1), ValueError, "a weight of aug_weights must be a finite number"),
            ("augmentation", "flip", ValueError, "augmentation must be one of ('auto', None, "),
            ("augmentation", "rotation", ValueError, "pass image_shape if its rows are images"),
            ("augmented_elbo", 1, TypeError, "augmented_elbo must be True or False, got 1"),
            ("posterior_mass", 0, ValueError, "posterior_mass must be a finite number in (0, 1]"),
            ("posterior_mass", 1.5, ValueError, "posterior_mass must be a finite number in (0, 1]"),
            ("n_init", 0, ValueError, "n_init must be at least 1, got 0"),
            ("init_epochs", -1, ValueError, "init_epochs must be at least 0, got -1"),
            ("network", "conv", ValueError, "pass image_shape if its rows are images"),
        )
    ],
]


@pytest.mark.parametrize("name, parameter, value, error, message", OWN_BAD_PARAMETERS)
def test_fit_refuses_bad_parameters_of_its_own(name, parameter, value, error, message):
    with pytest.raises(error, match=re.escape(message)):
        quick(name, n_clusters=3).set_params(**{parameter: value}).fit(X_GOOD)


@pytest.mark.parametrize(
    "given, message",
    [
        ({"sigma": 0.1}, "targets='uniform' has no components: leave sigma as 0, got 0.1"),
        ({"weights": (1, 2, 3)}, "has no components: leave weights as None, got (1, 2, 3)"),
        ({"refine_after": 3}, "refine_after must be 'auto' or None, got 3"),
    ],
)
def test_uniform_targets_refuse_what_speaks_of_components(given, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        quick("MMDC", n_clusters=3, targets="uniform", **given).fit(X_GOOD)


# ------------------------------------------------------------------ the same data in other forms


def read_only_map(X, folder):
    path = folder / "X.npy"
    np.save(path, X)
    return np.load(path, mmap_mode="r")


def strided(X):
    wide = np.zeros((2 * len(X), 2 * X.shape[1]), dtype=X.dtype)
    wide[::2, ::2] = X
    return wide[::2, ::2]


#: Other forms of the same numbers.
FORMS = {
    "Fortran order": lambda X, folder: np.asfortranarray(X),
    "non-contiguous": lambda X, folder: strided(X),
    "negative strides": lambda X, folder: np.ascontiguousarray(X[::-1, ::-1])[::-1, ::-1],
    "read-only": lambda X, folder: np.frombuffer(X.tobytes(), X.dtype).reshape(X.shape),
    "read-only memory map": read_only_map,
    "big-endian": lambda X, folder: X.astype(X.dtype.newbyteorder(">")),
    "pandas": lambda X, folder: pd.DataFrame(X),
    "torch": lambda X, folder: torch.from_numpy(X.copy()),
    "broadcast": lambda X, folder: np.broadcast_to(X, X.shape),
}

#: Forms that carry float64 only.
WIDE_FORMS = {
    "list": lambda X, folder: X.tolist(),
    "objects": lambda X, folder: X.astype(object),
    "list of rows": lambda X, folder: list(X),
    "longdouble": lambda X, folder: X.astype(np.longdouble),
}

forms = pytest.mark.parametrize(
    "form, dtype",
    [(form, dtype) for form in FORMS for dtype in ("float32", "float64", "uint8")]
    + [(form, "float64") for form in WIDE_FORMS],
)


def numbers(dtype) -> np.ndarray:
    X = blobs(40)
    if dtype == "uint8":
        X = (X - X.min()) * 10
    return X.astype(dtype)


@pytest.fixture(scope="module")
def of_plain_arrays():
    """Fits to the numbers as they are, by estimator and dtype."""
    return cache(lambda name, dtype: brief(name, n_clusters=3, random_state=0).fit(numbers(dtype)))


@unconverged
@every_estimator
@forms
def test_the_same_numbers_in_other_forms(name, form, dtype, tmp_path, of_plain_arrays):
    X = numbers(dtype)
    expected = of_plain_arrays(name, dtype)
    other = {**FORMS, **WIDE_FORMS}[form](X, tmp_path)
    model = brief(name, n_clusters=3, random_state=0).fit(other)
    assert_array_equal(model.labels_, expected.labels_)
    assert_array_equal(model.transform(X), expected.transform(X))
    assert_array_equal(expected.transform(other), expected.transform(X))


@every_estimator
def test_one_row_of_reversed_data(name, models):
    """It counts as contiguous, and its stride is negative."""
    X = X_GOOD[::-1]
    for method in ("predict", "transform"):
        answer = getattr(models(name), method)
        assert_array_equal(answer(X[:1]), answer(X_GOOD[-1:]))
        assert_array_equal(answer(X[:1].astype(">f8")), answer(X_GOOD[-1:]))


def few_values(dtype) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 2 if dtype == "bool" else 100, (60, 5))


@pytest.fixture(scope="module")
def of_64_bits():
    """Fits without scaling to the same numbers in 64 bits, by estimator and largest value."""
    return cache(
        lambda name, dtype: brief(name, n_clusters=3, random_state=0, scaling=None).fit(
            few_values(dtype).astype(np.float64)
        )
    )


@unconverged
@every_estimator
@pytest.mark.parametrize(
    "dtype",
    ["bool", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64", "float16", "float32"],
)
def test_the_same_numbers_in_other_types(name, dtype, of_64_bits):
    X = few_values(dtype)
    expected = of_64_bits(name, "bool" if dtype == "bool" else "int")
    model = brief(name, n_clusters=3, random_state=0, scaling=None).fit(X.astype(dtype))
    # Without scaling the networks see the very same numbers.
    assert_array_equal(model.labels_, expected.labels_)
    assert_array_equal(model.transform(X), expected.transform(X))
    # With it they see numbers that may be rounded differently.
    for X_same in (X, X.astype(dtype)):
        model = brief(name, n_clusters=3, random_state=0).fit(X_same)
        assert_array_equal(model.predict(X_same), model.labels_)


@unconverged
@every_estimator
def test_groups_do_not_depend_on_the_type(name):
    X = np.round(blobs() * 100)
    labels = [
        quick(name, n_clusters=3, random_state=0).fit(X.astype(dtype)).labels_
        for dtype in ("float64", "float32", "int32", "int16", ">i4", "float16")
    ]
    for other in labels[1:]:
        assert_array_equal(other, labels[0])


@unconverged
@every_estimator
def test_large_integers_keep_their_differences(name):
    X = (blobs(dtype=np.float64) * 100).astype(np.int64)
    expected = brief(name, n_clusters=3, random_state=0).fit(X).transform(X)
    assert expected.std() > 0.1
    for dtype in (np.int64, np.uint64):
        far = (X + 2**40).astype(dtype)
        # The mean of such numbers is rounded by 10^-4, which training makes more of.
        answer = brief(name, n_clusters=3, random_state=0).fit(far).transform(far)
        assert_allclose(answer, expected, atol=0.02)


@unconverged
@every_estimator
def test_pandas_of_mixed_columns(name):
    X = np.round(blobs(40) * 10)
    frame = pd.DataFrame(
        {
            "a": X[:, 0].astype(np.int16),
            "b": X[:, 1].astype(np.float32),
            "c": pd.array(X[:, 2].astype(int), dtype="Int64"),
            "d": X[:, 3].astype(object),
        }
    )
    model = quick(name, n_clusters=3, random_state=0).fit(frame)
    expected = quick(name, n_clusters=3, random_state=0).fit(X)
    assert_array_equal(model.labels_, expected.labels_)


# ------------------------------------------------------------------ images

LAYOUTS = {
    "(n, H, W)": (None, lambda X: X),
    "(n, H, W, 1)": (1, lambda X: X),
    "(n, 1, H, W)": (1, lambda X: X.transpose(0, 3, 1, 2)),
    "(n, H, W, 3)": (3, lambda X: X),
    "(n, 3, H, W)": (3, lambda X: X.transpose(0, 3, 1, 2)),
}

layouts = pytest.mark.parametrize("layout", list(LAYOUTS))


@unconverged
@every_estimator
@layouts
def test_images_and_rows_are_the_same(name, layout):
    channels, arrange = LAYOUTS[layout]
    X = arrange(images(channels=channels))
    rows = X.reshape(len(X), -1)
    model = brief(name, n_clusters=2, random_state=0).fit(X)
    flat = brief(name, n_clusters=2, random_state=0, image_shape=X.shape[1:]).fit(rows)
    assert_array_equal(flat.labels_, model.labels_)
    assert_array_equal(flat.transform(rows), model.transform(X))
    for fitted in (model, flat):  # either takes both
        assert_array_equal(fitted.predict(X), model.labels_)
        assert_array_equal(fitted.predict(rows), model.labels_)
        assert_array_equal(fitted.predict(X.tolist()), model.labels_)
    assert model.n_features_in_ == rows.shape[1]
    if has(name, "inverse_transform"):
        Z = model.transform(X)
        assert model.inverse_transform(Z).shape == X.shape
        assert flat.inverse_transform(Z).shape == rows.shape


@unconverged
@every_estimator
def test_channels_first_and_last_are_the_same(name):
    X = images(channels=3)
    last = brief(name, n_clusters=2, random_state=0).fit(X)
    first = brief(name, n_clusters=2, random_state=0).fit(X.transpose(0, 3, 1, 2))
    assert_array_equal(first.labels_, last.labels_)
    assert_array_equal(first.transform(X.transpose(0, 3, 1, 2)), last.transform(X))


@unconverged
@every_estimator
def test_grey_images_may_come_with_a_channel_or_without(name):
    X = images()
    expected = brief(name, n_clusters=2, random_state=0).fit(X)
    for other in (X[..., None], X[:, None]):
        model = brief(name, n_clusters=2, random_state=0).fit(other)
        assert_array_equal(model.labels_, expected.labels_)
        assert_array_equal(model.transform(X), expected.transform(X))
        assert_array_equal(model.predict(X), expected.labels_)
        assert_array_equal(expected.predict(other), expected.labels_)


@unconverged
@every_estimator
def test_predictions_refuse_images_of_another_shape(name):
    X = images(channels=3)
    rows = X.reshape(len(X), -1)
    turned = X.transpose(0, 2, 1, 3)
    for fitted in (
        quick(name, n_clusters=2).fit(X),
        quick(name, n_clusters=2, image_shape=(6, 4, 3)).fit(rows),
    ):
        for wrong in (turned, X.transpose(0, 3, 1, 2)):
            with pytest.raises(ValueError, match=r"fitted on rows of shape \(6, 4, 3\)"):
                fitted.predict(wrong)
    features = quick(name, n_clusters=2).fit(rows)
    with pytest.raises(ValueError, match=r"shape \(6, 4, 3\), but .* rows of shape \(72,\)"):
        features.predict(X)


@every_estimator
@pytest.mark.parametrize(
    "shape, message",
    [
        ((10, 5, 6, 2), r"images of shape \(5, 6, 2\) have no axis of 1 or 3 channels"),
        ((10, 3, 6, 1), r"images of shape \(3, 6, 1\) may be \(H, W, C\) or \(C, H, W\)"),
        ((10, 3, 6, 3), r"images of shape \(3, 6, 3\) may be \(H, W, C\) or \(C, H, W\)"),
        ((10, 1, 6, 3), r"images of shape \(1, 6, 3\) may be \(H, W, C\) or \(C, H, W\)"),
    ],
)
def test_ambiguous_images_are_refused(name, shape, message):
    X = np.random.default_rng(0).random(shape)
    with pytest.raises(ValueError, match=message):
        quick(name, n_clusters=2).fit(X)
    with pytest.raises(ValueError, match=message):
        quick(name, n_clusters=2, image_shape=shape[1:]).fit(X.reshape(10, -1))


@every_estimator
def test_image_shape_that_does_not_fit_the_images(name):
    with pytest.raises(ValueError, match=r"image_shape=\(4, 6\) does not fit images of \(6, 4\)"):
        quick(name, n_clusters=2, image_shape=(4, 6)).fit(images())


# ------------------------------------------------------------------ units and scaling


@unconverged
@every_estimator
def test_a_field_of_packed_records(name):
    records = np.zeros(90, [("label", "u1"), ("pixels", "f4", (4,))])
    records["pixels"] = blobs()
    expected = brief(name, n_clusters=3, random_state=0).fit(blobs().astype(np.float32))
    model = brief(name, n_clusters=3, random_state=0).fit(records["pixels"])
    np.testing.assert_array_equal(model.labels_, expected.labels_)
    np.testing.assert_array_equal(model.predict(records["pixels"]), expected.labels_)


@unconverged
@pytest.mark.parametrize("name, parameter, value", [
    ("DCCS", "n_critic", 2), ("DCCS", "n_style", 2), ("MMDC", "input_size", 8),
    ("MMDC", "crop_size", 4), ("MMDC", "embedding_dim", 3), ("StatDEC", "embedding_dim", 3),
    ("VariationalGMMClustering", "embedding_dim", 3),
])  # fmt: skip
def test_integers_may_be_numpys(name, parameter, value):
    labels = [brief(name, n_clusters=2, random_state=0, **{parameter: kind(value)}).fit(images())
              .labels_ for kind in (int, np.int64)]  # fmt: skip
    np.testing.assert_array_equal(*labels)


@unconverged
@every_estimator
def test_units_of_images_do_not_matter(name):
    X = images()
    expected = quick(name, n_clusters=2, random_state=0).fit(X)
    # 8-bit images are divided by 255, floats in [0, 1] are left alone: nearly the same numbers.
    model = quick(name, n_clusters=2, random_state=0).fit(X / 255)
    assert adjusted_rand_score(model.labels_, expected.labels_) == 1
    # Other images are mapped by the range that fit saw.
    whole = np.concatenate([X, np.zeros_like(X[:1]), np.full_like(X[:1], 255)])
    expected = quick(name, n_clusters=2, random_state=0).fit(whole)
    for other in (whole.astype(np.int16) - 128, whole * 1e-3 + 5.0):
        model = quick(name, n_clusters=2, random_state=0).fit(other)
        # The two rows that make the range are like no others: rounding decides about them.
        groups = model.labels_[: len(X)], expected.labels_[: len(X)]
        assert adjusted_rand_score(*groups) == 1


@unconverged
@every_estimator
def test_units_that_are_not_those_of_the_fit_are_told(name):
    eight_bit = images()
    ones = (eight_bit / 255).astype(np.float32)
    for fitted, other in (
        (eight_bit, ones), (ones, eight_bit), (ones, eight_bit.astype(np.float32))
    ):  # fmt: skip
        model = brief(name, n_clusters=3, random_state=0).fit(fitted)
        model.predict(fitted)  # without a warning
        with pytest.warns(UserWarning, match="fitted on images from 0 to .*same units"):
            model.predict(other)
    brief(name, n_clusters=3, scaling=None, augmentation=None).fit(ones).predict(eight_bit)


@unconverged
@every_estimator
def test_units_of_columns_do_not_matter(name):
    X = blobs()
    expected = quick(name, n_clusters=3, random_state=0).fit(X)
    for scaled in (X * [1e-6, 1, 1e6, 1e12] + [0, 1e3, -1e9, 0], X * 1e-30, X * 1e30):
        model = quick(name, n_clusters=3, random_state=0).fit(scaled)
        assert_array_equal(model.labels_, expected.labels_)


#: Settings that learn to decode.
LONGER = {
    "StatDEC": dict(pretrain_epochs=150),
    "VariationalGMMClustering": dict(max_epochs=60),
}


@unconverged
@every_estimator
@pytest.mark.parametrize("kind", ["features", "uint8 images", "unit images", "other images"])
def test_decoding_is_in_units_of_the_data(name, kind):
    if not has(name, "inverse_transform"):
        return
    X = {
        "features": blobs() * [1, 100, 1e4, 1e-3] + [0, 1e5, 0, 7],
        "uint8 images": images(),
        "unit images": images() / 255,
        "other images": images() * 1000.0 - 7,
    }[kind]
    model = quick(name, n_clusters=3, random_state=0, **LONGER.get(name, {})).fit(X)
    decoded = model.inverse_transform(model.transform(X))
    assert decoded.shape == X.shape
    assert decoded.dtype == np.float32
    error = np.square(decoded - X).mean(axis=0)
    assert error.mean() < 0.5 * X.var(axis=0).mean()
    if kind == "features":
        assert (error < 0.5 * X.var(axis=0)).all()


@unconverged
@every_estimator
def test_without_scaling_data_come_as_they_are(name):
    X = blobs()
    model = quick(name, n_clusters=3, random_state=0, scaling=None).fit(X)
    scaled = quick(name, n_clusters=3, random_state=0).fit(X)
    assert not np.allclose(model.transform(X), scaled.transform(X))


# ------------------------------------------------------------------ odd data


@unconverged
@every_estimator
@pytest.mark.parametrize("value", [0.0, 5.0, -1e30])
def test_constant_features(name, value):
    X = blobs()
    X[:, 1] = value
    model = quick(name, n_clusters=3, random_state=0).fit(X)
    assert_array_equal(model.labels_, model.predict(X))
    assert len(set(model.labels_)) == 3


@every_estimator
@pytest.mark.parametrize("value", [0, 7, 255])
def test_nothing_but_one_number(name, value):
    for X in (np.full((20, 4), float(value)), np.full((20, 4, 4), value, dtype=np.uint8)):
        with pytest.warns(ConvergenceWarning):
            model = quick(name, n_clusters=3, random_state=0).fit(X)
        assert len(set(model.labels_)) == 1
        assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-6)


@every_estimator
def test_columns_of_tiny_numbers(name):
    X = blobs() * 1e-300
    with pytest.warns(ConvergenceWarning):
        quick(name, n_clusters=3, random_state=0).fit(X)
    X = images() * 1e-42
    with pytest.warns(ConvergenceWarning):
        quick(name, n_clusters=2, random_state=0).fit(X)


@every_estimator
def test_more_clusters_than_distinct_rows(name):
    X = np.repeat(X_GOOD[:4], 10, axis=0)
    with pytest.warns(ConvergenceWarning) as warned:
        model = quick(name, n_clusters=6, random_state=0).fit(X)
    assert any("was to find 6 clusters, but" in str(warning.message) for warning in warned)
    assert_array_equal(model.labels_, np.repeat(model.labels_[::10], 10))
    assert model.predict_proba(X).shape == (40, 6)


@unconverged
@every_estimator
@pytest.mark.parametrize("batch_size", [1, 2, 29, 30, 31, 10_000])
def test_any_batch_size(name, batch_size):
    for X in X_GOOD, X_GOOD[:29]:
        model = quick(name, n_clusters=3, batch_size=batch_size, random_state=0).fit(X)
        assert_array_equal(model.labels_, model.predict(X))


@unconverged
@every_estimator
def test_one_cluster(name):
    model = quick(name, n_clusters=1, random_state=0).fit(X_GOOD)
    assert_array_equal(model.labels_, np.zeros(30))
    assert_array_equal(model.predict_proba(X_GOOD), np.ones((30, 1)))


@unconverged
@every_estimator
def test_one_column(name):
    X = np.concatenate([np.arange(20), np.arange(1000, 1020)])[:, None]
    model = quick(name, n_clusters=2, random_state=0).fit(X)
    assert_array_equal(model.labels_, np.repeat(model.labels_[[0, -1]], 20))
    assert len(set(model.labels_)) == 2


@unconverged
@every_estimator
@pytest.mark.parametrize("n", [1, 2, 3, 8])
def test_as_many_clusters_as_rows(name, n):
    X = X_GOOD[:n]
    model = quick(name, n_clusters=n, random_state=0).fit(X)
    assert_array_equal(model.labels_, model.predict(X))
    assert model.predict_proba(X).shape == (n, n)


@unconverged
@every_estimator
def test_one_pixel(name):
    X = np.random.default_rng(0).random((20, 1, 1))
    assert quick(name, n_clusters=2, random_state=0).fit(X).labels_.shape == (20,)


@pytest.mark.parametrize("name", ["DCCS", "MMDC"])
@pytest.mark.parametrize("low, high", [(0, 255), (-0.1, 1)])
def test_colours_are_not_changed_where_that_would_cut_them(name, low, high):
    X = np.random.default_rng(0).uniform(low, high, (30, 6, 6, 3))
    with pytest.raises(ValueError, match=r"changes the colours of images in \[0, 1\]"):
        quick(name, scaling=None).fit(X)
    with warnings.catch_warnings(action="ignore", category=ConvergenceWarning):
        quick(name, scaling=None, max_epochs=1).fit(X.clip(0, 1))
        quick(name, max_epochs=1).fit(X)


def test_a_decoder_is_not_asked_for_what_it_cannot_reach():
    X = 2.0 + images()
    with pytest.raises(ValueError, match="values from -1 to 1, and cannot be images with"):
        quick("DCCS", information="decoder", scaling=None).fit(X)


WRONG_AUGMENTATIONS = {
    "more rows": (lambda x: torch.cat([x, x[:2]]), ValueError, "of the shape that it was given"),
    "other pixels": (lambda x: x[..., 1:], ValueError, "of the shape that it was given"),
    "nothing": (lambda x: None, TypeError, "must return a tensor, got a NoneType"),
    "an array": (lambda x: x.numpy(force=True), TypeError, "must return a tensor, got a ndarray"),
}


@every_estimator
@pytest.mark.parametrize("kind", WRONG_AUGMENTATIONS)
def test_what_an_augmentation_returns_is_looked_at(name, kind):
    function, error, message = WRONG_AUGMENTATIONS[kind]
    with pytest.raises(error, match=message):
        brief(name, augmentation=function).fit(blobs(40))


@every_estimator
@unconverged
def test_an_augmentation_may_work_in_place_and_in_another_dtype(name):
    X = images()

    def apart(x):
        return (x + 0.25).double()

    def in_place(x):
        return x.add_(0.25)

    fits = [
        brief(name, augmentation=function, random_state=0).fit(X) for function in (apart, in_place)
    ]
    assert_array_equal(fits[0].transform(X), fits[1].transform(X))

"""Whatever goes in: a result that keeps its promises, or an error that says what is wrong.

An oracle looks at the data alone and says which errors there must be, or may be. Where there must
be none, there must be a result.
"""

import math
import re
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import torch
from estimators import every_estimator, quick
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.exceptions import NotFittedError

from skdeepcluster import augmentation, metrics, objectives, targets
from skdeepcluster._layout import channel_axis
from skdeepcluster.datasets import (
    make_circle_arcs,
    make_long_tailed,
    make_retention_imbalanced,
    make_step_imbalanced,
)

#: Settings with which a fit takes a few hundredths of a second.
SMALL = {
    "DCCS": dict(hidden_sizes=(8,), critic_sizes=(8,), n_style=2, max_epochs=1, network="mlp"),
    "MMDC": dict(hidden_sizes=(8,), max_epochs=2, network="mlp"),
    "StatDEC": dict(hidden_sizes=(8, 8), pretrain_epochs=1, max_epochs=1, embedding_dim=3),
    "VariationalGMMClustering": dict(hidden_sizes=(8,), embedding_dim=2, max_epochs=1),
}

LARGEST = float(np.finfo(np.float32).max)

#: Numbers above which, without scaling, a network or its loss may overflow.
LARGE = 1e6


def many(n: int):
    """Settings of a property that is tried `n` times, the same ones always."""
    return settings(
        max_examples=n,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )


# ------------------------------------------------------------------ data of all kinds

VALUES = {
    "ordinary": lambda rng, shape: rng.normal(size=shape),
    "unit": lambda rng, shape: rng.random(shape),
    "bytes": lambda rng, shape: rng.integers(0, 256, shape).astype(float),
    "constant": lambda rng, shape: np.full(shape, rng.normal() * 100),
    "zeros": lambda rng, shape: np.zeros(shape) * rng.choice([1, -1]),
    "duplicated": lambda rng, shape: rng.normal(size=(2, *shape[1:]))[rng.integers(0, 2, shape[0])],
    "1e30": lambda rng, shape: rng.normal(size=shape) * 1e30,
    "one at 1e30": lambda rng, shape: _with(rng, rng.normal(size=shape), 1e30),
    "near the largest": lambda rng, shape: rng.uniform(-1, 1, shape) * 3.4e38,
    "too large": lambda rng, shape: _with(rng, rng.normal(size=shape), -1e39),
    "subnormal": lambda rng, shape: rng.normal(size=shape) * 1e-40,
    "subnormal in float64": lambda rng, shape: rng.normal(size=shape) * 1e-310,
    "far": lambda rng, shape: rng.normal(size=shape) + 1e9,
    "nan": lambda rng, shape: _with(rng, rng.normal(size=shape), np.nan),
    "infinity": lambda rng, shape: _with(rng, rng.normal(size=shape), rng.choice([1, -1]) * np.inf),
    "scales": lambda rng, shape: rng.normal(size=shape) * 10.0 ** rng.integers(-30, 30, shape[-1:]),
}

DTYPES = ("float64", "float32", "float16", "longdouble", ">f4", ">i2", "uint8", "int8", "int32")
DTYPES += ("int64", "uint64", "bool", "complex128", "object", "str")

LAYOUTS = {
    "plain": lambda X: X,
    "Fortran": np.asfortranarray,
    "strided": lambda X: np.repeat(X, 2, axis=0)[::2],
    "reversed": lambda X: np.ascontiguousarray(X[::-1])[::-1],
    "read-only": lambda X: _read_only(X),
    "list": lambda X: X.tolist(),
    # scikit-learn takes numbers that a frame has as strings.
    "frame": lambda X: pd.DataFrame(X) if X.ndim == 2 and X.dtype.kind != "U" else X,
    "sparse": lambda X: scipy.sparse.csr_array(X) if _may_be_sparse(X) else X,
}


def _with(rng, X, value):
    if X.size:
        X.reshape(-1)[rng.integers(X.size)] = value
    return X


def _read_only(X):
    X = X.copy()
    X.setflags(write=False)
    return X


def _may_be_sparse(X):
    return X.ndim == 2 and X.dtype in (np.float64, np.float32, np.int64) and X.size > 0


def _cast(X, dtype):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        kind = np.dtype(dtype).kind
        if kind in "iu":
            bounds = np.iinfo(dtype)
            X = np.clip(np.nan_to_num(X), float(bounds.min) / 2, float(bounds.max) / 2)
        return X.astype(dtype)


class Data(NamedTuple):
    """An array as a user may pass it, and as it is."""

    given: object
    array: np.ndarray


@st.composite
def data(draw, rows, shapes):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shape = (draw(rows), *draw(shapes))
    # Ordinary numbers are half of the cases: there must be results, too.
    value = draw(st.sampled_from(["ordinary", "bytes", "unit"]) | st.sampled_from(sorted(VALUES)))
    dtype = draw(st.sampled_from(DTYPES[:8]) | st.sampled_from(DTYPES))
    array = _cast(VALUES[value](rng, shape), dtype)
    given = LAYOUTS[draw(st.sampled_from(sorted(LAYOUTS)))](array)
    return Data(given, array)


features = st.tuples(st.integers(1, 6))
pictures = st.one_of(
    st.tuples(st.integers(1, 5), st.integers(1, 5)),
    st.tuples(st.integers(2, 5), st.integers(2, 5), st.sampled_from([1, 3])),
    st.tuples(st.sampled_from([1, 3]), st.integers(2, 5), st.integers(2, 5)),
    st.tuples(st.integers(1, 4), st.integers(1, 4), st.integers(1, 4)),
)
odd_shapes = st.sampled_from([(), (0,), (0, 2), (1, 2, 1, 2)])
shapes = st.one_of(features, features, pictures, odd_shapes)


@st.composite
def cases(draw):
    """Parameters, data to fit, and data to predict."""
    n_clusters, batch_size = draw(st.integers(1, 5)), draw(st.integers(1, 8))
    near = [n_clusters + i for i in (-1, 0, 1)] + [batch_size * j + i for j in (1, 2, 8)
            for i in (-1, 0, 1)]  # fmt: skip
    rows = st.sampled_from([max(0, n) for n in near]) | st.integers(0, 40)
    params = {
        "n_clusters": n_clusters,
        "batch_size": batch_size,
        "scaling": draw(st.sampled_from(["auto", "auto", "auto", None])),
        "precision": draw(st.sampled_from(["float32", "float32", "bfloat16"])),
        "random_state": draw(st.integers(0, 3)),
    }
    X = draw(data(rows, shapes))
    same = st.just(X.array.shape[1:])
    other = draw(data(st.integers(0, 5), st.one_of(same, same, same, shapes)))
    return params, X, other


# ------------------------------------------------------------------ the oracle


TOO_LARGE = "too large|infinity|not finite"


def flaws(X: Data) -> list[str]:
    """What must be refused of data themselves, as patterns of messages."""
    array, found = X.array, []
    if array.ndim > 4:
        found.append(r"must have shape \(n, d\)")
    if isinstance(X.given, list) and not array.size:
        found.append("Expected 2D array|inhomogeneous|0 feature|0 sample|must have shape")
    if array.ndim < 2:
        found.append("Expected 2D array|inhomogeneous")
    if scipy.sparse.issparse(X.given):
        found.append("[Ss]parse")
    if array.size == 0:
        found.append(r"0 sample\(s\)|0 feature\(s\)|minimum of 1 is required")
    if array.dtype.kind == "c":
        found.append("Complex data not supported")
    elif array.dtype.kind in "SU":
        found.append("could not convert|bytes/strings")
    else:
        numbers = array.astype(np.longdouble)
        if np.isnan(numbers).any():
            found.append("NaN")
        if np.isinf(numbers).any():
            found.append("infinity|too large")
        if (np.abs(numbers[np.isfinite(numbers)]) > LARGEST).any():
            found.append(TOO_LARGE)
    return found


def unclear_image(shape: tuple[int, ...]) -> bool:
    """Whether a row is an image whose channels cannot be told."""
    if len(shape) < 2:
        return False
    try:
        channel_axis(shape)
    except ValueError:
        return True
    return False


def must_not_fit(params: dict, X: Data) -> list[str]:
    found = flaws(X)
    if len(X.array) < params["n_clusters"]:
        found.append(f"n_samples={len(X.array)} should be >= n_clusters={params['n_clusters']}")
    if 2 < X.array.ndim <= 4 and unclear_image(X.array.shape[1:]):
        found.append(r"images of shape .*(channels|\(H, W, C\) or \(C, H, W\))")
    return found


def may_diverge(params: dict, X: Data) -> bool:
    """Whether numbers that nobody scales are so large that training cannot be blamed."""
    with np.errstate(all="ignore"):
        return params["scaling"] is None and float(np.abs(X.array.astype(np.float64)).max()) > LARGE


def check_error(error: Exception, patterns: list[str]) -> None:
    message = str(error)
    assert patterns, f"{type(error).__name__}: {message}"
    assert isinstance(error, ValueError | TypeError | FloatingPointError), repr(error)
    assert re.search("|".join(patterns), message), f"{message!r} has none of {patterns}"


# ------------------------------------------------------------------ what must hold


def check_result(model, X: Data) -> None:
    """The identities of a fit, on its own data."""
    n, n_clusters = len(X.array), model.n_clusters
    proba = model.predict_proba(X.given)
    assert model.labels_.shape == (n,)
    assert proba.shape == (n, n_clusters)
    assert_array_equal(model.labels_, model.predict(X.given))
    check_probabilities(proba)
    assert_array_equal(model.labels_, proba.argmax(axis=1))
    Z = model.transform(X.given)
    assert Z.shape[0] == n
    assert np.isfinite(Z).all()
    assert isinstance(model.score(X.given), float)
    assert math.isfinite(model.score(X.given))
    some = slice(n // 2, n // 2 + 1)  # a row by itself
    if not isinstance(X.given, pd.DataFrame):
        assert_array_equal(model.predict_proba(X.given[some]), proba[some])
        assert_array_equal(model.transform(X.given[some]), Z[some])


def check_probabilities(proba) -> None:
    assert np.isfinite(proba).all()
    assert (proba >= 0).all()
    assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)


def check_fit(model, params: dict, X: Data) -> bool:
    """Fit, and check the result or the error; return whether there was a result."""
    refusals = must_not_fit(params, X)
    allowed = [*refusals]
    if not refusals and may_diverge(params, X):
        allowed += ["the loss term .* became", "not finite", "infinity|too large"]
    if params["scaling"] is None and X.array.ndim > 2:  # colours need a range
        allowed.append("changes the colours of images .* got scaling=None and values from")
    problem = None
    try:
        model.fit(X.given)
        check_result(model, X)
    except (ValueError, TypeError, FloatingPointError) as error:
        problem = error
    if problem is not None:
        check_error(problem, allowed)
        if not refusals:  # a score may overflow where a fit did not
            return hasattr(model, "labels_")
        with pytest.raises(NotFittedError, match="not fitted"):
            model.predict(np.zeros((2, 3)))
        return False
    assert not refusals, f"was to be refused: {refusals}"
    return True


def check_predictions(model, X: Data) -> None:
    refusals = flaws(X)
    if X.array.ndim >= 2 and X.array[:1].size != model.n_features_in_:
        refusals.append("features, but|rows of shape")
    if X.array.ndim > 2:
        refusals.append("rows of shape")  # may be images of another kind
    # What float32 does not hold may be in its range when it is scaled: then the answer is finite.
    must = [flaw for flaw in flaws(X) if model.scaling is None or flaw != TOO_LARGE]
    for method in ("predict", "predict_proba", "transform", "score", "score_samples"):
        if not hasattr(model, method):
            continue
        problem = result = None
        try:
            result = np.asarray(getattr(model, method)(X.given))
        except (ValueError, TypeError) as error:
            problem = error
        if problem is not None:
            check_error(problem, [*refusals, "row .* gives a result that is not finite"])
        else:
            assert not must, f"{method} was to refuse: {must}"
            assert np.isfinite(result).all()
            if method == "predict_proba":
                check_probabilities(result)


def states() -> list:
    numpy_state = np.random.get_state()  # noqa: NPY002
    return [torch.get_rng_state().tolist(), numpy_state[1].tolist(), numpy_state[2:]]


few_and_many = pytest.mark.parametrize("n", [20, pytest.param(2_000, marks=pytest.mark.slow)])


@every_estimator
@few_and_many
def test_fit_and_predictions(name, n, record_property):
    count = {"cases": 0, "fitted": 0}

    @many(n)
    @given(cases())
    def check(case):
        params, X, other = case
        before, copy = states(), X.array.copy()
        model = quick(name, **{**SMALL[name], **params})
        fitted = check_fit(model, params, X)
        count["cases"] += 1
        count["fitted"] += fitted
        if fitted:
            check_predictions(model, other)
        assert X.array.tobytes() == copy.tobytes()
        assert states() == before

    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        check()
    print(name, count)
    record_property("count", count)
    assert count["cases"] >= n
    assert count["fitted"] > n / 10  # refusing everything is no answer


# ------------------------------------------------------------------ functions

labels = st.one_of(
    st.lists(st.integers(-3, 3), max_size=8),
    st.lists(st.sampled_from(["a", "b", ""]), max_size=8),
    st.lists(st.sampled_from([0.0, 1.5, math.nan, math.inf, 1e30]), max_size=8),
    st.sampled_from([None, 3, "abc", [[0, 1], [1, 0]], [None, 1], {}, [0, "a"]]),
)


@many(200)
@given(labels, labels)
def test_measures(y_true, y_pred):
    try:
        accuracy = metrics.clustering_accuracy(y_true, y_pred)
    except (ValueError, TypeError) as error:
        assert str(error)  # noqa: PT017 - which of many is not known
        for function in (metrics.class_recall, metrics.balanced_clustering_accuracy):
            with pytest.raises((ValueError, TypeError)):
                function(y_true, y_pred)
        return
    assert 0 < accuracy <= 1
    assert accuracy == metrics.clustering_accuracy(y_pred, y_true)
    assert metrics.clustering_accuracy(y_true, y_true) == 1
    recall = metrics.class_recall(y_true, y_pred)
    assert ((recall >= 0) & (recall <= 1)).all()
    assert_allclose(metrics.balanced_clustering_accuracy(y_true, y_pred), recall.mean())


odd_numbers = st.one_of(
    st.floats(),
    st.integers(-2, 5),
    st.sampled_from([None, "2", True, 1e30, 1e-320, 1e400, 10**400]),
)


@many(150)
@given(
    st.sampled_from([make_long_tailed, make_step_imbalanced, make_retention_imbalanced]),
    labels,
    odd_numbers,
    st.integers(0, 9),
)
def test_samplings(make, y, number, n):
    X = np.arange(len(y) if isinstance(y, list) else n)[:, None]
    try:
        rows, kept = make(X, y, number, random_state=0)
    except (ValueError, TypeError) as error:
        assert str(error)  # noqa: PT017
        return
    assert len(rows) == len(kept)
    assert (np.diff(rows[:, 0]) > 0).all()
    assert_array_equal(kept, np.asarray(y)[rows[:, 0]])
    assert set(kept.tolist()) == set(np.asarray(y).tolist())


@many(100)
@given(odd_numbers | st.integers(1, 50), odd_numbers | st.integers(1, 9), odd_numbers)
def test_arcs(n_samples, n_arcs, noise):
    try:
        X, y = make_circle_arcs(n_samples, n_arcs, noise=noise, random_state=0)
    except (ValueError, TypeError) as error:
        assert re.search("n_samples|n_arcs|noise", str(error))  # noqa: PT017
        return
    assert X.shape == (n_samples, 2)
    assert np.isfinite(X).all() or noise > 1e300
    assert np.ptp(np.bincount(y, minlength=min(n_arcs, n_samples))) <= 1


@st.composite
def tensors(draw, shape, most=1e15):
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    scale = draw(st.sampled_from([0.0, 1e-40, 1e-20, 1.0, 1e3, 1e9, most]))
    x = rng.normal(size=shape).clip(-3, 3) / 3 * scale
    if draw(st.booleans()):
        x[rng.integers(len(x))] = x[0]
    return torch.from_numpy(x.astype(np.float32))


@many(150)
@given(st.data(), st.integers(1, 9), st.integers(1, 5), st.integers(1, 4))
def test_soft_assignments_and_their_targets(draw, n, n_clusters, dim):
    z, centers = draw.draw(tensors((n, dim))), draw.draw(tensors((n_clusters, dim)))
    alpha = draw.draw(st.sampled_from([1e-3, 1.0, 30.0]))
    reading = draw.draw(st.sampled_from(objectives.TARGET_READINGS))
    assert (objectives.squared_distances(z, centers) >= 0).all()
    q = objectives.student_t(z, centers, alpha)
    assert_allclose(q.sum(dim=1), 1, rtol=1e-5)
    weights = objectives.target_weights(q, reading)
    assert weights.isfinite().all()
    assert (weights > 0).all()
    p = objectives.target_distribution(q, weights)
    assert_allclose(p.sum(dim=1), 1, rtol=1e-5)
    log_q = objectives.student_t(z, centers, alpha, log=True)
    assert (objectives.kl_divergence(p, log_q, by_row=True) > -1e-4).all()


@many(150)
@given(st.data(), st.integers(1, 9), st.integers(1, 5))
def test_likelihoods_and_divergences(draw, n, dim):
    a, b = draw.draw(tensors((n, dim), most=1e6)), draw.draw(tensors((n, dim), most=1e6))
    variance = draw.draw(tensors((n, dim), most=1e6)).abs() + 1e-4
    assert objectives.gaussian_log_likelihood(a, b, variance).isfinite().all()
    kl = objectives.gaussian_kl(a, variance, b, torch.ones(dim))
    assert kl.isfinite().all()
    assert (kl > -1e-3 * (1 + kl.abs())).all()
    assert (objectives.bernoulli_log_likelihood(a.sigmoid(), b) <= 1e-6).all()
    assert (objectives.squared_wasserstein(a, variance, b, variance) >= 0).all()
    assert objectives.gradient_penalty(a).isfinite()
    assert objectives.mutual_information_loss(a[:, 0], b[:, 0]) >= 0
    assert objectives.augmentation_divergence(a, b) > -1e-3
    log_q = a.log_softmax(dim=1)
    for mass in (0.0, 0.5, 1.0):
        assert objectives.smallest_set(log_q, mass).any(dim=1).all()


@many(100)
@given(st.data(), st.integers(1, 8))
def test_matching(draw, n):
    cost = draw.draw(tensors((n, n))).numpy()
    chosen = targets.match_targets(cost)
    assert sorted(chosen) == list(range(n))
    assert cost[np.arange(n), chosen].sum() <= np.trace(cost) + 1e-6 * abs(cost).sum()
    found, before = (draw.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n))
                     for _ in range(2))  # fmt: skip
    found, before = np.array(found), np.array(before)
    renamed = targets.match_labels(found, before, 4)
    assert (renamed == before).sum() >= (found == before).sum()
    assert len(set(zip(found.tolist(), renamed.tolist(), strict=True))) == len(set(found.tolist()))


@many(100)
@given(st.data(), st.integers(1, 4), st.integers(1, 7), st.integers(1, 7), st.sampled_from([1, 3]))
def test_distortions(draw, n, height, width, channels):
    rng = np.random.default_rng(draw.draw(st.integers(0, 99)))
    x = rng.random((n, channels, height, width)).astype(np.float32)
    x = torch.from_numpy(x * rng.integers(0, 2))  # black, too
    before = x.clone()
    size = draw.draw(st.integers(1, 9))
    shape = (n, channels, height, width)
    for distorted, expected in (
        (augmentation.random_affine(x, 180.0, 1.0), shape),
        (augmentation.random_geometry(x, size, area=(0.05, 1.0)), (n, channels, size, size)),
        (augmentation.center_crop(x, min(size, height, width), size), (n, channels, size, size)),
        (augmentation.color_jitter(x, 1.0, 1.0, 1.0, 0.5), shape),
        (augmentation.random_grey(x, 0.5), shape),
        (augmentation.random_brightness(x), shape),
        (augmentation.binarize(x), shape),
        (augmentation.shuffle_channels(x), shape),
        (augmentation.to_grey(x), (n, 1, height, width)),
        (augmentation.sobel(x), None),
        (augmentation.feature_noise(x.flatten(1)), None),
        (augmentation.feature_dropout(x.flatten(1), 1.0), None),
    ):
        assert distorted.isfinite().all()
        assert len(distorted) == n
        assert expected is None or tuple(distorted.shape) == expected
    assert torch.equal(x, before)

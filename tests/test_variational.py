"""VariationalGMMClustering: its model against independent calculations, and what it generates."""

import copy
import math

import numpy as np
import pytest
import torch
from estimators import blobs, images
from numpy.testing import assert_allclose, assert_array_equal
from scipy import special, stats
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from benchmarks.settings import parameters
from skdeepcluster import VariationalGMMClustering, _variational
from skdeepcluster.augmentation import feature_noise
from skdeepcluster.datasets import make_circle_arcs
from skdeepcluster.metrics import clustering_accuracy
from skdeepcluster.networks import MixtureConv, MixtureLatent, MixtureMLP
from skdeepcluster.networks._mixture_conv import plan_for
from skdeepcluster.objectives import (
    bernoulli_log_likelihood,
    gaussian_kl,
    gaussian_log_likelihood,
    mixture_elbo,
    smallest_set,
    squared_wasserstein,
)

# Clusters are not what most of these are about: few epochs may leave some empty.
pytestmark = pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")

SMALL = {
    "hidden_sizes": (32, 32),
    "embedding_dim": 3,
    "n_init": 1,
    "max_epochs": 3,
    "random_state": 0,
    "precision": "float32",
}


def make(n_clusters=3, **params):
    return VariationalGMMClustering(n_clusters, **{**SMALL, **params})


def draws(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def tensor(array):
    return torch.as_tensor(array, dtype=torch.float32)


# ------------------------------------------------------------------ terms


@pytest.mark.parametrize("seed", range(3))
def test_likelihoods_against_scipy(seed):
    rng = np.random.default_rng(seed)
    x, mean, variance = rng.random((4, 2, 3)), draws(seed, 4, 2, 3), rng.random((4, 2, 3)) + 0.1
    expected = stats.norm(mean, np.sqrt(variance)).logpdf(x).sum(axis=(1, 2))
    got = gaussian_log_likelihood(tensor(x), tensor(mean), tensor(variance))
    assert_allclose(got, expected, rtol=1e-4)
    pixels = rng.integers(0, 2, (4, 2, 3))
    expected = stats.bernoulli(1 / (1 + np.exp(-mean))).logpmf(pixels).sum(axis=(1, 2))
    assert_allclose(bernoulli_log_likelihood(tensor(pixels), tensor(mean)), expected, rtol=1e-4)


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_bernoulli_is_finite_for_sure_and_wrong_pixels(value):
    x = torch.full((1, 5), value)
    for logit in (-1e4, 0.0, 1e4):
        logits = torch.full((1, 5), logit, requires_grad=True)
        result = bernoulli_log_likelihood(x, logits)
        result.sum().backward()
        assert torch.isfinite(result).all()
        assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("seed", range(3))
def test_kl_against_its_integral(seed):
    rng = np.random.default_rng(seed)
    mean, prior_mean = draws(seed, 2)
    variance, prior_variance = rng.random(2) + 0.2
    grid = np.linspace(-15, 15, 200_001)
    q = stats.norm(mean, np.sqrt(variance))
    p = stats.norm(prior_mean, np.sqrt(prior_variance))
    expected = np.trapezoid(q.pdf(grid) * (q.logpdf(grid) - p.logpdf(grid)), grid)
    one = [tensor([v]) for v in (mean, variance, prior_mean, prior_variance)]
    assert gaussian_kl(*one).item() == pytest.approx(expected, rel=1e-4)
    # Dimensions are independent: their divergences add up.
    assert gaussian_kl(*(v.repeat(3) for v in one)).item() == pytest.approx(3 * expected, rel=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_wasserstein_distance_against_quantiles(seed):
    mean, other = draws(seed, 2)
    std, other_std = np.random.default_rng(seed).random(2) + 0.2
    share = (np.arange(200_000) + 0.5) / 200_000
    apart = stats.norm(mean, std).ppf(share) - stats.norm(other, other_std).ppf(share)
    got = squared_wasserstein(*(tensor([v]) for v in (mean, std, other, other_std)))
    assert got.item() == pytest.approx((apart**2).mean(), rel=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_elbo_against_numpy(seed):
    logits, log_likelihood = draws(seed, 5, 4), draws(seed + 10, 5, 4)
    kl = np.abs(draws(seed + 20, 5, 4))
    q = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    entropy = stats.entropy(q, axis=1)
    expected = (q * (0.3 * log_likelihood - kl)).sum(axis=1) + entropy - np.log(4)
    terms = mixture_elbo(tensor(np.log(q)), tensor(log_likelihood), tensor(kl), 0.3)
    assert_allclose(terms["elbo"], expected, rtol=1e-4, atol=1e-5)
    assert_allclose(terms["entropy"], entropy, rtol=1e-4)


def test_elbo_is_largest_at_the_true_posterior():
    """With z fixed, q(k|x) of Bayes' rule gives the log of the sum over components."""
    log_likelihood, kl = tensor(draws(0, 5, 4)), tensor(np.abs(draws(1, 5, 4)))
    best = (log_likelihood - kl).log_softmax(dim=1)
    expected = (log_likelihood - kl).logsumexp(dim=1) - np.log(4)
    top = mixture_elbo(best, log_likelihood, kl)["elbo"]
    assert_allclose(top, expected, rtol=1e-5, atol=1e-6)
    for seed in range(5):
        other = (best + 0.3 * tensor(draws(seed, 5, 4))).log_softmax(dim=1)
        assert (mixture_elbo(other, log_likelihood, kl)["elbo"] < top).all()


def test_components_without_probability_count_as_nothing():
    log_q = torch.tensor([[0.0, -torch.inf]], requires_grad=True)
    wrong = torch.tensor([[-3.0, torch.nan]])
    terms = mixture_elbo(log_q, wrong, torch.tensor([[1.0, torch.inf]]))
    assert terms["elbo"].item() == pytest.approx(-4 - np.log(2))


@pytest.mark.parametrize("mass", [0.3, 0.9, 0.99, 1.0])
def test_smallest_set_holds_the_mass_and_not_more(mass):
    q = np.random.default_rng(0).dirichlet(np.full(6, 0.5), size=200)
    kept = smallest_set(tensor(np.log(q)), mass).numpy()
    for row, chosen in zip(q, kept, strict=True):
        assert row[chosen].sum() >= mass - 1e-6
        if mass < 1:
            assert row[chosen].sum() - row[chosen].min() < mass
            assert chosen.all() or row[chosen].min() >= row[~chosen].max()


# ------------------------------------------------------------------ the model


def float64_model(net, x):
    """Weights of a fitted MLP, run in float64: q, means and variances, what is decoded."""
    module = {k: v.double().numpy() for k, v in net.module_.state_dict().items()}
    latent = {k: v.double().numpy() for k, v in net.latent_.state_dict().items()}

    def layers(h, name, state, n, last_linear=False):
        for i in range(0, 2 * n, 2):
            h = h @ state[f"{name}.{i}.weight"].T + state[f"{name}.{i}.bias"]
            h = h if last_linear and i == 2 * n - 2 else np.maximum(h, 0)
        return h

    def softplus(v):
        return np.logaddexp(0, v)

    x = x - module["row_mean"].ravel()
    h = layers(x, "assignment", module, 2)
    h = (h - latent["norm.running_mean"]) / np.sqrt(latent["norm.running_var"] + 1e-5)
    logits = h @ latent["assignment.weight"].T + latent["assignment.bias"]
    q = np.exp(logits - logits.max(axis=1, keepdims=True))
    q /= q.sum(axis=1, keepdims=True)
    h = layers(x, "posterior", module, 1) @ latent["features.weight"].T + latent["features.bias"]
    h = np.maximum(h[:, None] + latent["component"], 0)
    out = h @ latent["posterior_out.weight"].T + latent["posterior_out.bias"]
    mean, raw = np.split(out, 2, axis=2)
    prior = latent["prior_out.weight"].T + latent["prior_out.bias"]
    prior_mean, prior_raw = np.split(prior, 2, axis=1)
    floor = 1e-4
    return {
        "q": q,
        "mean": mean,
        "variance": softplus(raw) + floor,
        "prior_mean": prior_mean,
        "prior_variance": softplus(prior_raw) + floor,
        "decode": lambda z: layers(z, "decoder", module, 3, last_linear=True),
    }


def drawn_net(n_clusters, **params):
    """A net with weights so large that components, means and deviations differ between rows."""
    net = make(n_clusters, max_epochs=0, **params).fit(blobs()).net_
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in [*net.module_.parameters(), *net.latent_.parameters()]:
            parameter.normal_(std=(2 / parameter.shape[-1]) ** 0.5)
    return net


def row_elbos(parts, x, z, gaussian):
    """ELBO of each row and component for z of shape (n, K, e), without q."""
    output = parts["decode"](z)
    if gaussian:
        mean, raw = np.split(output, 2, axis=2)
        std = np.sqrt(np.logaddexp(0, raw) + 1e-4)
        likelihood = stats.norm(mean, std).logpdf(x[:, None]).sum(axis=2)
    else:
        log_p = -np.logaddexp(0, -output)
        likelihood = (x[:, None] * log_p + (1 - x[:, None]) * (log_p - output)).sum(axis=2)
    v, s = parts["variance"], parts["prior_variance"]
    kl = 0.5 * (np.log(s / v) + (v + (parts["mean"] - parts["prior_mean"]) ** 2) / s - 1)
    return likelihood, kl.sum(axis=2)


@pytest.mark.parametrize("gaussian", [True, False])
def test_everything_at_prediction_against_float64(gaussian):
    X = blobs() if gaussian else images()
    model = make(max_epochs=5).fit(X)
    x = (X - X.mean(axis=0)) / X.std(axis=0) if gaussian else X.reshape(len(X), -1) / 255
    parts = float64_model(model.net_, x)
    assert_allclose(model.predict_proba(X), parts["q"], rtol=1e-3, atol=1e-6)
    best = parts["mean"][np.arange(len(x)), parts["q"].argmax(axis=1)]
    assert_allclose(model.transform(X), best, rtol=1e-3, atol=1e-4)
    assert_allclose(model.cluster_centers_, parts["prior_mean"], rtol=1e-4, atol=1e-6)
    assert_allclose(model.covariances_, parts["prior_variance"], rtol=1e-4)
    likelihood, kl = row_elbos(parts, x, parts["mean"], gaussian)
    q = parts["q"]
    expected = (q * (likelihood - kl)).sum(axis=1) + stats.entropy(q, axis=1) - np.log(3)
    assert_allclose(model.score_samples(X), expected, rtol=1e-3, atol=1e-3)
    assert model.score(X) == pytest.approx(expected.mean(), rel=1e-3, abs=1e-3)
    decoded = parts["decode"](best)
    if gaussian:
        decoded = decoded[:, :4] * X.std(axis=0) + X.mean(axis=0)
    else:
        decoded = 255 / (1 + np.exp(-decoded.reshape(X.shape)))
    assert_allclose(model.inverse_transform(model.transform(X)), decoded, rtol=1e-3, atol=0.05)
    assert_array_equal(model.reconstruct(X), model.inverse_transform(model.transform(X)))


def loss_parts(net, x, n=400, **changed):
    """Mean and standard error of the terms that training steps draw."""
    for name, value in changed.items():
        setattr(net, name, value)
    net.module_.eval()
    net.latent_.eval()
    with torch.no_grad():
        rows = [net._objective(x, None, 1.0, 0.0) for _ in range(n)]
    losses = np.array([row["loss"].item() for row in rows])
    return losses.mean(), losses.std() / np.sqrt(n)


@pytest.mark.parametrize("seed", range(3))
def test_exact_expectation_against_drawing_components(seed):
    X = blobs()
    model = make(max_epochs=2, random_state=seed).fit(X)
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    torch.manual_seed(seed)
    got, error = loss_parts(model.net_, tensor(x), posterior_mass=1.0)
    parts = float64_model(model.net_, x)
    rng = np.random.default_rng(seed)
    estimates = []
    for _ in range(400):
        noise = rng.normal(size=parts["mean"].shape)
        likelihood, kl = row_elbos(
            parts, x, parts["mean"] + np.sqrt(parts["variance"]) * noise, gaussian=True
        )
        k = (rng.random((len(x), 1)) > parts["q"].cumsum(axis=1)).sum(axis=1)  # one drawn a row
        rows = np.arange(len(x))
        values = likelihood[rows, k] - kl[rows, k] - np.log(parts["q"][rows, k]) - np.log(3)
        estimates.append(values.mean())
    own_error = np.std(estimates) / np.sqrt(len(estimates))
    assert abs(-got - np.mean(estimates)) < 5 * np.hypot(error, own_error)


@pytest.mark.parametrize("mass", [0.999, 1.0])
def test_one_component_without_augmentation_is_a_plain_autoencoder(mass):
    """The ELBO of a variational autoencoder, written out: no components anywhere."""
    X = images()
    plain = {"augmentation": None, "lambda_aug": 0.0, "lambda_recons": 1.0}
    model = make(1, posterior_mass=mass, max_epochs=2, **plain).fit(X)
    net = model.net_
    x = tensor(X[:, None] / 255)
    torch.manual_seed(0)
    loss = net._objective(x, None, 1.0, 0.0)["loss"].item()
    torch.manual_seed(0)
    h = net.module_.posterior((x - net.module_.row_mean).flatten(1))
    h = (net.latent_.features(h) + net.latent_.component[0]).relu()
    mean, raw = net.latent_.posterior_out(h).chunk(2, dim=1)
    q = torch.distributions.Normal(mean, (torch.nn.functional.softplus(raw) + 1e-4).sqrt())
    z = mean + q.stddev * torch.randn(len(x), 1, 3)[:, 0]
    prior = torch.distributions.Normal(
        tensor(model.cluster_centers_[0]), tensor(model.covariances_[0]).sqrt()
    )
    pixels = torch.nn.functional.binary_cross_entropy_with_logits(
        net.module_.decode(z), x, reduction="none"
    )
    kl = torch.distributions.kl_divergence(q, prior).sum(dim=1)
    assert loss == pytest.approx((pixels.sum(dim=(1, 2, 3)) + kl).mean().item(), rel=1e-5)


def test_posterior_mass_of_a_sharp_assignment_changes_little():
    X = blobs()
    model = make(max_epochs=5).fit(X)
    x = tensor((X - X.mean(axis=0)) / X.std(axis=0))
    with torch.no_grad():  # nearly one-hot
        model.net_.latent_.assignment.weight *= 100
    exact, error = loss_parts(model.net_, x, posterior_mass=1.0)
    truncated, other_error = loss_parts(model.net_, x, posterior_mass=0.999)
    assert truncated == pytest.approx(exact, abs=0.02 + 5 * np.hypot(error, other_error))
    model.net_.posterior_mass = 0.5
    row = model.net_._objective(x, None, 1.0, 0.0)
    assert row["decoded"].item() == pytest.approx(1 / 3)


def test_left_out_components_are_not_decoded_and_the_others_sum_to_one(monkeypatch):
    net, x = drawn_net(6, posterior_mass=0.6), draws(0, 90, 4)
    decoded, decode = [], net.module_.decode
    monkeypatch.setattr(net.module_, "decode", lambda z: decoded.append(len(z)) or decode(z))
    torch.manual_seed(0)
    with torch.no_grad():
        row = net._objective(tensor(x), None, 0.7, 0.0)
    torch.manual_seed(0)
    parts = float64_model(net, x)
    noise = torch.randn(parts["mean"].shape).double().numpy()
    z = parts["mean"] + np.sqrt(parts["variance"]) * noise
    likelihood, kl = row_elbos(parts, x, z, gaussian=True)
    expected, n_kept = [], []
    for q, terms in zip(parts["q"], 0.7 * likelihood - kl, strict=True):
        order = np.argsort(-q)
        n_kept.append(1 + np.searchsorted(np.cumsum(q[order]), 0.6))
        kept = order[: n_kept[-1]]
        share = q[kept] / q[kept].sum()
        expected.append(share @ terms[kept] + stats.entropy(share) - np.log(6))
    assert set(n_kept) == {1, 2, 3, 4}
    assert row["loss"].item() == pytest.approx(-np.mean(expected), rel=1e-4)
    sizes = np.ceil(2.0 ** (np.arange(100) / 4))  # four from one size to its double
    assert decoded == [min(sizes[sizes >= sum(n_kept)][0], 6 * 90)]
    assert row["decoded"].item() == pytest.approx(np.mean(n_kept) / 6)


@pytest.mark.parametrize("n_clusters", [1, 3, 12])
def test_few_sizes_of_batches_are_decoded(n_clusters, monkeypatch):
    decoded, decode = set(), MixtureMLP.decode
    monkeypatch.setattr(
        MixtureMLP, "decode", lambda self, z: decoded.add(len(z)) or decode(self, z)
    )
    model = make(n_clusters, posterior_mass=0.9, max_epochs=40, batch_size=40)
    model.fit(draws(0, 320, 4))
    decoded.discard(2)  # what is tried before the training
    assert min(decoded) >= 40
    assert max(decoded) <= 40 * n_clusters
    assert len(decoded) <= 2 + np.ceil(4 * np.log2(n_clusters))


def test_what_fills_up_a_batch_of_the_decoder_changes_no_gradient(monkeypatch):
    def gradients():
        net, x = drawn_net(6, posterior_mass=0.6), draws(0, 90, 4)
        parameters = [*net.module_.parameters(), *net.latent_.parameters()]
        torch.manual_seed(0)
        loss = net._objective(tensor(x), None, 0.7, 0.0)["loss"]
        return torch.autograd.grad(loss, parameters, allow_unused=True)

    filled = gradients()
    monkeypatch.setattr(_variational, "_up_to_few_sizes", lambda n, *_: torch.arange(n))
    for one, other in zip(filled, gradients(), strict=True):
        assert (one is None) == (other is None)
        if one is not None:
            torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_gradient_of_a_truncated_step_is_finite():
    model = make(4, posterior_mass=0.6, max_epochs=2).fit(blobs())
    assert all(np.isfinite(row["loss"]) for row in model.history_)
    assert all(row["decoded"] <= 1 for row in model.history_)
    for parameter in model.net_.latent_.parameters():
        assert torch.isfinite(parameter).all()


# ------------------------------------------------------------------ augmentation and schedules


def augmentation_terms(net, x, augmented):
    """Both terms of eq. 14 in float64."""
    a, b = float64_model(net, x), float64_model(net, augmented)
    distance = (a["mean"] - b["mean"]) ** 2
    distance += (np.sqrt(a["variance"]) - np.sqrt(b["variance"])) ** 2
    l2 = ((a["q"] - b["q"]) ** 2).sum(axis=1).mean()
    return {"l2": l2, "w2": (a["q"][:, :, None] * distance).sum(axis=(1, 2)).mean()}


def test_augmentation_loss_and_its_gradients_against_float64():
    net, x = drawn_net(3), draws(0, 90, 4)
    sides = [x, x + 0.3]
    expected = augmentation_terms(net, *sides)
    assert augmentation_terms(net, *sides[::-1])["w2"] != pytest.approx(expected["w2"], rel=0.005)
    inputs = [tensor(side).requires_grad_() for side in sides]
    terms = net._objective(*inputs, 1.0, 1.0)
    for name, value in expected.items():
        assert terms[name].item() == pytest.approx(value, rel=1e-4)
        gradients = torch.autograd.grad(terms[name], inputs, retain_graph=True)
        for i, gradient in enumerate(gradients):
            step = np.zeros((2, *x.shape))
            step[i] = 1e-6 * gradient.double().numpy() / gradient.norm().item()
            up, down = (augmentation_terms(net, *(sides + s))[name] for s in (step, -step))
            assert gradient.norm().item() == pytest.approx((up - down) / 2e-6, rel=1e-3)


def test_the_paper_s_schedule_of_the_augmentation_loss():
    params = {"augmentation": feature_noise, "aug_weights": (1, 1), "hidden_sizes": (4, 4)}
    model = make(2, lambda_aug="paper", max_epochs=82, **params).fit(blobs(4, centers=2))
    assert [row["lambda_aug"] for row in model.history_] == [0.01] * 40 + [0.5] * 40 + [1.0] * 2
    for row in model.history_:
        elbo = row["log_likelihood"] - row["kl"] + row["entropy"] - np.log(2)
        expected = -elbo + row["lambda_aug"] * (row["l2"] + row["w2"])
        assert row["loss"] == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("name", ["lambda_recons", "lambda_aug"])
@pytest.mark.parametrize(
    "value, error, message",
    [
        (((0, 0.01), (40,)), ValueError, r"must be a number or \(epoch, number\) pairs"),
        ((0, (40, 0.5)), ValueError, r"must be .*, got \(0, \(40, 0\.5\)\)"),
        (((0, (1, 2)),), TypeError, r"must be a number, got \(1, 2\)"),
        (((0, "much"),), TypeError, "must be a number, got 'much'"),
        (("ab",), TypeError, "must be an int, got 'a'"),
        ("Paper", TypeError, "must be a number, got 'Paper'"),
    ],
)
def test_schedules_that_are_none(name, value, error, message):
    with pytest.raises(error, match=f"{name} {message}"):
        make(**{name: value}).fit(blobs())


@pytest.mark.parametrize(
    "value, error, message",
    [
        (1.0, ValueError, r"aug_weights must be two numbers, got 1\.0"),
        ((1, 2, 3), ValueError, r"aug_weights must be two numbers, got \(1, 2, 3\)"),
        ((1, (2, 3)), TypeError, r"weight of aug_weights must be a number, got \(2, 3\)"),
        ("11", TypeError, "weight of aug_weights must be a number, got '1'"),
        ({1.0, 0.25}, ValueError, "aug_weights must be two numbers"),
        ((x for x in (1.0, 0.25)), ValueError, "aug_weights must be two numbers"),
    ],
)
def test_weights_that_are_not_two_numbers(value, error, message):
    with pytest.raises(error, match=message):
        make(aug_weights=value).fit(blobs())


def test_a_schedule_may_be_an_array():
    model = make(lambda_aug=np.array([[0, 0.5], [2, 0.25]]), max_epochs=3).fit(images())
    assert [row["lambda_aug"] for row in model.history_] == [0.5, 0.5, 0.25]
    with pytest.raises(TypeError, match=r"must be an int, got .*0\.5"):
        make(lambda_aug=np.array([[0, 0.5], [0.5, 0.25]])).fit(images())


@pytest.mark.parametrize("again", ["fit", "partial_fit"])
def test_what_is_no_probability_is_refused_in_later_fits_too(again):
    X = np.random.default_rng(0).random((30, 6, 4))
    model = make(2, likelihood="bernoulli", scaling=None, warm_start=True, max_epochs=1).fit(X)
    with pytest.raises(ValueError, match=r"'bernoulli' is for numbers in \[0, 1\].* to 2[0-9]+"):
        getattr(model, again)(255 * X)
    assert np.isfinite(model.score(X))


def test_brightness_is_not_added_where_it_would_make_everything_white():
    X = 255 * np.random.default_rng(0).random((30, 6, 4))
    with pytest.raises(ValueError, match=r"'brightness' changes the colours .* scaling=None"):
        make(2, augmentation="brightness", scaling=None).fit(X)
    make(2, augmentation="brightness", max_epochs=1).fit(X)


def test_weights_follow_their_schedules():
    model = make(
        lambda_recons=((0, 0.5), (2, 0.1)), lambda_aug=((0, 0.0), (1, 3.0)), max_epochs=4
    ).fit(blobs())
    assert [row["lambda_recons"] for row in model.history_] == [0.5, 0.5, 0.1, 0.1]
    assert [row["lambda_aug"] for row in model.history_] == [0.0, 3.0, 3.0, 3.0]
    row = make(lambda_recons=((0, 0.5),)).fit(blobs()).history_[-1]
    elbo = 0.5 * row["log_likelihood"] - row["kl"] + row["entropy"] - np.log(3)
    assert row["loss"] == pytest.approx(-elbo, rel=1e-4)


def test_terms_of_the_augmentation_loss_count_as_asked():
    for weights in ((1, 1), (1, 0), (0, 1), (1, 0.5)):
        model = make(augmentation=feature_noise, aug_weights=weights, lambda_aug=2.0).fit(blobs())
        row = model.history_[-1]
        elbo = row["log_likelihood"] - row["kl"] + row["entropy"] - np.log(3)
        expected = -elbo + 2 * (weights[0] * row["l2"] + weights[1] * row["w2"])
        assert row["loss"] == pytest.approx(expected, rel=1e-4)
        assert row["l2"] > 0
        assert row["w2"] > 0


def test_an_augmentation_that_changes_nothing_has_no_loss():
    model = make(augmentation=lambda x: x.clone()).fit(blobs())
    assert model.history_[-1]["l2"] == model.history_[-1]["w2"] == 0


def test_augmented_rows_join_the_bound_only_if_asked():
    far = {"augmentation": lambda x: x + 100.0, "lambda_aug": 0.0}
    without = make(augmented_elbo=False, **far).fit(blobs()).history_[-1]["log_likelihood"]
    assert make(augmented_elbo=True, **far).fit(blobs()).history_[-1]["log_likelihood"] < without


@pytest.mark.parametrize("name", ["rotation", "brightness", "affine", "strokes", "auto", None])
def test_augmentations_by_name(name):
    model = make(2, augmentation=name).fit(images())
    assert ("l2" in model.history_[-1]) == (name is not None)
    assert_array_equal(model.labels_, model.predict(images()))


def read_at(augment, side=30, n=400):
    """Where distorted images are read, by x and y from the middle: centres, and derivatives.

    The maps are affine: four pixels in the middle, which keep clear of the border, say it all.
    """
    place = torch.arange(side, dtype=torch.float64) - (side - 1) / 2
    x = torch.stack(torch.meshgrid(place, place, indexing="xy")).expand(n, 2, side, side)
    half = side // 2
    middle = augment(x)[:, :, half - 1 : half + 1, half - 1 : half + 1]  # (n, 2, y, x)
    across, down = (middle.diff(dim=dim).mean(dim=(2, 3)) for dim in (3, 2))
    return middle.mean(dim=(2, 3)).numpy(), torch.stack([across, down], dim=2).numpy()


@pytest.mark.parametrize(
    "name, degrees, shift, shear, flips",
    [
        ("rotation", 3, 0, 0, False),
        ("affine", 3, 0.2, 0.2, True),
        ("strokes", 10, 0.1, 0.2, False),
    ],
)
def test_named_augmentations_keep_their_bounds(name, degrees, shift, shear, flips):
    augment = make(2, augmentation=name, max_epochs=0).fit(images()).net_.augment
    torch.manual_seed(0)
    centre, linear = read_at(augment)
    # A turn of a shear of a flip.
    angle = np.arctan(linear[:, 1, 0] / linear[:, 0, 0])
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    rest = turn.transpose(2, 1, 0) @ linear
    flip = np.sign(rest[:, [0, 1], [0, 1]])
    assert_allclose(rest[:, [0, 1], [0, 1]], flip, atol=1e-9)
    assert_allclose(rest[:, 1, 0], 0, atol=1e-9)
    slant = rest[:, 0, 1] * flip[:, 1]
    for values, bound in (
        (np.degrees(angle), degrees),
        (centre[:, 0], 30 * shift),
        (centre[:, 1], 30 * shift),
        (slant, shear),
    ):
        assert np.abs(values).max() <= bound + 1e-9
        assert values.max() >= 0.95 * bound - 1e-9
        assert values.min() <= -0.95 * bound + 1e-9
    assert len(np.unique(flip, axis=0)) == (4 if flips else 1)
    assert flips or (flip == 1).all()


def test_brightness_makes_pixels_black_or_white():
    net = make(2, augmentation="brightness", max_epochs=0).fit(images()).net_
    torch.manual_seed(0)
    x = torch.full((200, 1, 64, 64), 0.5)
    augmented = net.augment(x)
    assert set(augmented.unique().tolist()) == {0, 1}
    white = augmented.mean(dim=(1, 2, 3)).numpy()  # of 4096 pixels: a deviation of 0.008
    assert white.min() == pytest.approx(0.3, abs=0.03)
    assert white.max() == pytest.approx(0.7, abs=0.03)


@pytest.mark.parametrize(
    "X, given, expected",
    [
        (images(), {}, "bernoulli"),
        (images() / 255, {}, "bernoulli"),
        (images().reshape(60, 24), {"image_shape": (6, 4)}, "bernoulli"),
        (images(channels=3), {}, "gaussian"),
        (images() / 255, {"scaling": None}, "gaussian"),
        (blobs(), {}, "gaussian"),
    ],
)
def test_likelihood_by_the_kind_of_rows(X, given, expected):
    auto, chosen = (
        make(2, likelihood=likelihood, max_epochs=1, **given).fit(X)
        for likelihood in ("auto", expected)
    )
    assert auto.net_.likelihood == expected
    assert_array_equal(auto.score_samples(X), chosen.score_samples(X))


def test_likelihood_is_weighed_by_the_size_of_images():
    weight = make(2).fit(images()).history_[-1]["lambda_recons"]
    assert weight == pytest.approx((784 / 24) ** 0.25)
    assert make(2).fit(blobs()).history_[-1]["lambda_recons"] == 1


# ------------------------------------------------------------------ starts and resuming


def test_the_best_start_goes_on():
    """With no further step, the model is that of the start with the most information."""
    X = blobs()
    model = make(n_init=4, init_epochs=3, max_epochs=0, learning_rate=0.01).fit(X)
    ends = [row for row in model.history_ if "information" in row]
    assert [row["epoch"] for row in ends] == [3, 6, 9, 12]
    q = model.predict_proba(X).astype(float)
    own = stats.entropy(q.mean(axis=0)) - stats.entropy(q, axis=1).mean()
    assert own == pytest.approx(max(row["information"] for row in ends), abs=1e-4)


class Steps(Callback):
    """Counts the steps of each phase."""

    def on_train_begin(self, net, **kwargs):
        self.counts = {}

    def on_batch_end(self, net, **kwargs):
        self.counts[net.phase_] = self.counts.get(net.phase_, 0) + 1


TINY = {"hidden_sizes": (4, 4), "batch_size": 2}


def test_a_start_of_many_rows_has_two_hundred_steps():
    steps = Steps()
    make(n_init=2, max_epochs=0, callbacks=[steps], **TINY).fit(blobs(402))
    assert list(steps.counts.values()) == [200, 200]


@pytest.fixture
def short_starts(monkeypatch):
    """Starts of 20 steps in place of 200."""
    monkeypatch.setattr("skdeepcluster._variational.START_STEPS", 20)


@pytest.mark.parametrize(
    "n_rows, given, n_epochs, n_steps",
    [
        (60, {}, 1, 20),  # of 30
        (40, {}, 1, 20),
        (26, {}, 2, 26),  # of 13 each
        (60, {"init_epochs": 1}, 1, 30),
    ],
)
def test_starts_end_in_mid_epoch_or_are_whole_epochs(
    short_starts, n_rows, given, n_epochs, n_steps
):
    X, steps = blobs(n_rows), Steps()
    params = {"n_init": 3, "max_epochs": 0, "learning_rate": 0.01, "callbacks": [steps]}
    model = make(**TINY, **params, **given).fit(X)
    assert list(steps.counts.values()) == [n_steps] * 3
    assert len(model.history_) == 3 * n_epochs
    information = [row["information"] for row in model.history_ if "information" in row]
    assert len(set(information)) == 3
    q = model.predict_proba(X).astype(float)
    own = stats.entropy(q.mean(axis=0)) - stats.entropy(q, axis=1).mean()
    assert own == pytest.approx(max(information), abs=1e-4)


def test_a_run_that_ends_in_its_first_start_keeps_what_was_trained():
    """Later starts would replace it by weights that nothing has trained."""

    class Stop(Callback):
        def on_epoch_end(self, net, **kwargs):
            if len(net.history) == 2:
                self.weights = net.latent_.assignment.weight.detach().clone()
                raise KeyboardInterrupt

    stop = Stop()
    model = make(n_init=3, init_epochs=4, max_epochs=4, callbacks=[stop])
    with pytest.warns(ConvergenceWarning):
        model.fit(blobs())
    assert_array_equal(model.net_.latent_.assignment.weight.detach(), stop.weights)
    assert model.n_iter_ == 0


class Stop(Callback):
    """Interrupts as a user would, once."""

    def __init__(self, after):
        self.after = after

    def on_batch_end(self, net, **kwargs):
        self.after -= kwargs["training"]
        if self.after == 0:
            net.interrupt_.requested = True


@pytest.mark.parametrize("after", [3, 16, 20, 40, 50])
def test_a_run_that_is_interrupted_ends_as_if_it_had_not_been(after, tmp_path):
    X = blobs()
    params = {"n_init": 3, "init_epochs": 2, "max_epochs": 3, "augmentation": feature_noise}
    params["lambda_aug"] = ((0, 0.1), (1, 2.0))
    expected = make(**params).fit(X)
    with pytest.raises(KeyboardInterrupt):
        make(**params, checkpoint=tmp_path, callbacks=[Stop(after)]).fit(X)
    model = make(**params, checkpoint=tmp_path).fit(X)
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))
    assert_array_equal(model.cluster_centers_, expected.cluster_centers_)
    losses = [[row["loss"] for row in m.history_] for m in (model, expected)]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("after", [12, 20, 31])
def test_a_start_of_many_rows_goes_on_where_it_was_interrupted(after, short_starts, tmp_path):
    X = blobs(60)
    params = {"n_init": 2, "max_epochs": 1, **TINY}
    with pytest.raises(KeyboardInterrupt):
        make(**params, checkpoint=tmp_path, callbacks=[Stop(after)]).fit(X)
    steps = Steps()
    model = make(**params, checkpoint=tmp_path, callbacks=[steps]).fit(X)
    assert sum(steps.counts.values()) == 20 + 20 + 30 - after
    expected = make(**params).fit(X)
    assert_array_equal(model.labels_, expected.labels_)
    assert_array_equal(model.predict_proba(X), expected.predict_proba(X))


# ------------------------------------------------------------------ generating


@pytest.fixture(scope="module")
def separated():
    X = blobs()
    params = {"hidden_sizes": (64, 64), "embedding_dim": 4, "n_init": 3, "init_epochs": 15}
    return make(learning_rate=0.01, max_epochs=40, **params).fit(X), X


def test_samples_come_from_the_cluster_asked_for(separated):
    model, _ = separated
    for cluster in range(3):
        X, labels = model.sample(100, cluster=cluster)
        assert_array_equal(labels, cluster)
        assert (model.predict(X) == cluster).mean() >= 0.95


def test_samples_are_like_those_of_a_mixture(separated):
    model, X = separated
    drawn, labels = model.sample(300)
    assert drawn.shape == (300, 4)
    assert drawn.dtype == np.float32
    assert (np.diff(labels) >= 0).all()  # grouped, as scikit-learn's mixtures do
    assert (np.bincount(labels, minlength=3) > 60).all()
    assert_array_equal(model.sample(300)[0], drawn)  # random_state is an int
    # In the units of X, near its clusters.
    for cluster in range(3):
        own = X[model.labels_ == cluster].mean(axis=0)
        assert_allclose(drawn[labels == cluster].mean(axis=0), own, atol=0.5)
    assert not np.array_equal(
        make(max_epochs=0).fit(X).sample(3)[0],
        make(max_epochs=0, random_state=None).fit(X).sample(3)[0],
    )


def test_samples_of_images_have_their_shape():
    X, labels = make(2).fit(images()).sample(3)
    assert X.shape == (3, 6, 4)
    assert labels.shape == (3,)
    assert X.min() >= 0
    assert X.max() <= 255


@pytest.mark.parametrize("space", ["z", "k"])
def test_interpolation_goes_from_end_to_end(separated, space):
    model, _ = separated
    e = model.transform(blobs()).shape[1]
    assert model.cluster_centers_.shape == model.covariances_.shape == (3, e)
    path = model.interpolate(0, 2, space=space, steps=5)
    assert path.shape == (5, 4)
    ends = model.inverse_transform(model.cluster_centers_[[0, 2]])
    assert_allclose(path[[0, -1]], ends, atol=1e-4)
    points = model.cluster_centers_ if space == "z" else np.eye(3)
    assert_allclose(model.interpolate(points[0], points[2], space=space, steps=5), path, atol=1e-4)
    middle = model.interpolate((points[0] + points[2]) / 2, 1, space=space, steps=1)
    assert_allclose(middle[0], path[2], atol=1e-3)


def test_mixed_components_are_no_mixed_means_where_the_prior_has_hidden_layers():
    X = blobs(n_features=2)
    model = make(network="toy", embedding_dim="auto", max_epochs=1).fit(X)
    state = {k: v.double().numpy() for k, v in model.net_.latent_.state_dict().items()}
    share = np.linspace(0, 1, 5)[:, None]
    mixed = (1 - share) * np.eye(3)[0] + share * np.eye(3)[2]
    h = mixed @ state["prior_hidden.0.weight"].T + state["prior_hidden.0.bias"]
    out = np.maximum(h, 0.2 * h) @ state["prior_out.weight"].T + state["prior_out.bias"]
    path = model.interpolate(0, 2, space="k", steps=5)
    assert_allclose(path, model.inverse_transform(out[:, :2]), rtol=1e-4, atol=1e-4)
    straight = model.interpolate(0, 2, space="z", steps=5)
    assert_allclose(path[[0, -1]], straight[[0, -1]], rtol=1e-4, atol=1e-4)
    assert np.abs(path - straight)[1:-1].max(axis=1).min() > 0.01


@pytest.mark.slow
def test_samples_of_digits_come_from_the_cluster_asked_for():
    from sklearn.datasets import load_digits

    kept = []
    for seed in range(3):
        model = VariationalGMMClustering(10, random_state=seed).fit(load_digits().images)
        X, labels = model.sample(2000)
        kept.append((model.predict(X) == labels).mean())
    assert np.mean(kept) >= 0.95


def test_generative_methods_refuse(separated):
    model, _ = separated
    with pytest.raises(ValueError, match="from 0 to 2, got 3"):
        model.sample(2, cluster=3)
    with pytest.raises(ValueError, match="n_samples must be at least 1, got 0"):
        model.sample(0)
    with pytest.raises(TypeError, match=r"cluster must be an int, got 0\.5"):
        model.sample(2, cluster=0.5)
    with pytest.raises(ValueError, match=r"shape \(4,\) in space 'z', got the shape \(2,\)"):
        model.interpolate([0, 1], 1)
    with pytest.raises(ValueError, match="weights that sum to one"):
        model.interpolate([1, 1, 1], 1, space="k")
    with pytest.raises(ValueError, match=r"space must be one of \('z', 'k'\), got 'x'"):
        model.interpolate(0, 1, space="x")


def test_what_was_fitted_generates_whatever_the_parameters_are_now(separated):
    model = copy.deepcopy(separated[0])
    drawn, way = model.sample(300), model.interpolate(0, 2, space="k")
    for n_clusters in (2, 5):
        model.set_params(n_clusters=n_clusters)
        for got, expected in zip(model.sample(300), drawn, strict=True):
            assert_array_equal(got, expected)
        assert_array_equal(model.interpolate(0, 2, space="k"), way)
        assert set(model.sample(3, cluster=2)[1]) == {2}
        with pytest.raises(ValueError, match="from 0 to 2, got 3"):
            model.sample(2, cluster=3)


@pytest.mark.parametrize("end", [["a", "b", "c", "d"], [np.nan] * 4])
def test_ends_that_are_no_points(separated, end):
    with pytest.raises(ValueError, match=r"a must be a component or numbers|NaN"):
        separated[0].interpolate(end, 0)


# ------------------------------------------------------------------ networks


@pytest.mark.parametrize(
    "shape", [(1, 28, 28), (3, 32, 32), (1, 8, 8), (1, 16, 16), (3, 96, 96), (1, 33, 20), (1, 1, 1)]
)
def test_convolutional_networks_give_back_the_shape_of_the_input(shape):
    network = MixtureConv(shape, embedding_dim=4, n_outputs=2)
    h, h_posterior = network.encode(torch.rand(2, *shape))
    assert h.shape == h_posterior.shape
    assert h.shape[0] == 2
    assert network.decode(torch.rand(2, 4)).shape == (2, 2 * shape[0], *shape[1:])


def test_table_ii():
    """Sizes that the table prints."""
    grey = MixtureConv((1, 28, 28))
    x, sides = torch.rand(1, 1, 28, 28), []
    for layer in grey.assignment:
        x = layer(x)
        if isinstance(layer, torch.nn.Conv2d):
            sides.append((x.shape[1], x.shape[2]))
    assert sides == [(64, 26), (64, 24), (64, 22), (128, 10), (128, 8), (128, 6), (256, 2)]
    widths = [m.out_features for m in grey.decoder if isinstance(m, torch.nn.Linear)]
    assert widths == [512, 3 * 3 * 256]
    assert grey.posterior is not None
    colour = MixtureConv((3, 32, 32))
    assert colour.encode(torch.rand(1, 3, 32, 32))[0].shape[1] == 4 * 4 * 192
    assert colour.posterior is None  # one encoder for both
    assert colour.prior_sizes == (64, 64)
    faces = MixtureConv.faces((3, 32, 32))
    assert faces.encode(torch.rand(1, 3, 32, 32))[0].shape[1] == 2 * 2 * 32
    toy = MixtureMLP.toy((2,))
    assert (toy.posterior_sizes, toy.prior_sizes) == ((10,), (120,))
    assert toy.assignment[0].out_features == 120
    assert plan_for((1, 28, 28)).posterior == (256, 512)
    with pytest.raises(ValueError, match=r"32 x 32 pixels, got \(28, 28\)"):
        MixtureConv.faces((1, 28, 28))


def steps_of(decoder, z):
    """Shapes and kernels after each step of a decoder; the activations between them."""
    shapes, activations = [], []
    for layer in decoder:
        z = layer(z)
        if isinstance(layer, torch.nn.Linear):
            shapes.append((*z.shape[1:],))
        elif isinstance(layer, torch.nn.ConvTranspose2d):
            shapes.append((*z.shape[1:], *layer.kernel_size))
        elif not isinstance(layer, torch.nn.Unflatten):
            activations.append(getattr(layer, "negative_slope", 0.0))
    return shapes, activations


@pytest.mark.parametrize(
    "network, embedding_dim, expected, slope",
    [
        (
            MixtureConv((1, 28, 28)),
            32,
            [(512,), (2304,), (128, 6, 6, 3, 3), (128, 8, 8, 3, 3), (128, 10, 10, 3, 3),
             (64, 12, 12, 3, 3), (64, 24, 24, 3, 3), (64, 26, 26, 3, 3), (1, 28, 28, 3, 3)],
            0.0,
        ),
        (
            MixtureConv((3, 32, 32), n_outputs=2),
            32,
            [(3072,), (192, 9, 9, 3, 3), (192, 11, 11, 3, 3), (96, 13, 13, 3, 3),
             (96, 26, 26, 3, 3), (96, 28, 28, 3, 3), (96, 30, 30, 3, 3), (6, 32, 32, 3, 3)],
            0.2,
        ),
        (
            MixtureConv.faces((3, 32, 32), n_outputs=2),
            32,
            [(512,), (64, 8, 8, 3, 3), (32, 16, 16, 3, 3), (6, 32, 32, 5, 5)],
            0.2,
        ),
        (MixtureMLP.toy((2,)), 2, [(120,), (120,), (4,)], 0.2),
    ],
    ids=["grey", "colour", "faces", "toy"],
)  # fmt: skip
def test_decoders_of_table_ii_layer_by_layer(network, embedding_dim, expected, slope):
    """The last step has a channel's mean, and where there is one its variance."""
    with torch.no_grad():
        shapes, activations = steps_of(network.decoder, torch.rand(1, embedding_dim))
    assert shapes == expected
    assert activations == [slope] * (len(expected) - 1)


@pytest.mark.parametrize("seed", range(3))
def test_one_layer_for_features_and_component_is_a_layer_on_their_concatenation(seed):
    torch.manual_seed(seed)
    latent = MixtureLatent(3, 5, 5, embedding_dim=2, posterior_sizes=(7, 6))
    h = torch.randn(4, 5)
    mean, variance = latent.posterior(latent.project(h))
    weight = torch.cat([latent.features.weight, latent.component.T], dim=1)
    for k in range(3):
        both = torch.cat([h, torch.eye(3)[k].repeat(4, 1)], dim=1)
        hidden = (both @ weight.T + latent.features.bias).relu()
        out = latent.posterior_out(latent.hidden[0](hidden).relu())
        assert_allclose(mean[:, k].detach(), out[:, :2].detach(), rtol=1e-4, atol=1e-6)
    assert (variance > 0).all()


@pytest.mark.parametrize(
    "network, shape", [("conv", (32, 32, 3)), ("faces", (32, 32)), ("faces", (32, 32, 3))]
)
def test_networks_of_table_ii_for_colours_and_faces_are_fitted(network, shape):
    X = np.random.default_rng(0).random((8, *shape))
    model = make(2, network=network, embedding_dim="auto", max_epochs=1, batch_size=8).fit(X)
    assert model.reconstruct(X).shape == X.shape
    assert_array_equal(model.predict(X), model.labels_)


PARTS_OF_THE_OBJECTIVE = [
    {},
    *({"posterior_mass": mass} for mass in (0.9, 1.0)),
    {"lambda_aug": ((0, 0), (2, 1))},
]


@pytest.mark.filterwarnings("ignore:The .grad attribute")  # what torch reads while it compiles
@pytest.mark.parametrize("params", PARTS_OF_THE_OBJECTIVE)
def test_compiled_the_objective_is_the_same(params, monkeypatch):
    compile_ = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compile_(function, backend="eager"))
    plain, compiled = (
        make(2, compile=c, max_epochs=4, **params).fit(images()) for c in (False, True)
    )
    for one, other in zip(plain.history_, compiled.history_, strict=True):
        assert other["loss"] == pytest.approx(one["loss"], rel=1e-5)


@pytest.mark.parametrize("network", ["mlp", "conv"])
def test_the_assignment_alone_is_that_of_both_encoders(network):
    model = make(2, network=network, max_epochs=1).fit(images())
    x = torch.rand(5, 1, 6, 4)
    module = model.net_.module_
    assert_array_equal(module.encode_assignment(x).numpy(force=True),
                       module.encode(x)[0].numpy(force=True))  # fmt: skip
    seen = []
    module.posterior.register_forward_hook(lambda *args: seen.append(args))
    model.predict(images())
    assert not seen
    model.transform(images())
    assert seen


@pytest.mark.parametrize("network", ["conv", "toy"])
def test_networks_by_name(network):
    X = images() if network == "conv" else blobs(n_features=2)
    model = make(2, network=network, embedding_dim="auto", max_epochs=1).fit(X)
    assert model.transform(X).shape[1] == (32 if network == "conv" else 2)
    assert_array_equal(model.predict(X), model.labels_)


def test_a_network_of_ones_own():
    class Own(torch.nn.Module):
        posterior_sizes = (12,)

        def __init__(self, shape):
            super().__init__()
            self.down = torch.nn.Linear(24, 9)
            self.up = torch.nn.Linear(3, 24)

        def encode(self, x):
            return self.down(x.flatten(1)).relu()

        def decode(self, z):
            return self.up(z).unflatten(1, (1, 6, 4))

    model = make(2, network=Own).fit(images())
    assert model.net_.latent_.features.out_features == 12
    assert_array_equal(model.predict(images()), model.labels_)
    with pytest.raises(ValueError, match=r"decode must give the shape \(2, 2, 6, 4\)"):
        make(2, network=Own, likelihood="gaussian").fit(images())
    Own.prior_sizes = (7,)
    model = make(2, network=Own).fit(images())
    assert [layer.out_features for layer in model.net_.latent_.prior_hidden] == [7]
    Own.posterior_sizes = ()
    with pytest.raises(ValueError, match="network's posterior_sizes must be a tuple of 1 ints"):
        make(2, network=Own).fit(images())
    Own.posterior_sizes = (12,)
    Own.encode = lambda self, x: x
    with pytest.raises(ValueError, match=r"features of shape \(n, f\), .*\[\(2, 1, 6, 4\)"):
        make(2, network=Own).fit(images())


# ------------------------------------------------------------------ numbers that stay finite


@pytest.mark.parametrize("value", [0, 255])
def test_pixels_all_black_or_all_white(value):
    X = np.full((30, 4, 4), value, dtype=np.uint8)
    X[:, 0, 0] = np.arange(30) % 2 * 255
    model = make(2, max_epochs=20, learning_rate=0.01).fit(X)
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.sample(5)[0]).all()


def test_a_mask_of_probabilities_is_not_one_of_pixels():
    with pytest.raises(ValueError, match="numbers in \\[0, 1\\]"):
        make(2, likelihood="bernoulli", scaling=None).fit(blobs())
    X = np.random.default_rng(0).random((30, 5))
    model = make(2, likelihood="bernoulli", scaling=None).fit(X)
    assert model.inverse_transform(model.transform(X)).max() <= 1


@pytest.mark.slow
@pytest.mark.parametrize("hidden_sizes", [(32, 32), "auto"])
def test_ten_thousand_steps_at_ten_times_the_learning_rate(hidden_sizes):
    """They end well, or by an error that names what is no longer finite."""
    from sklearn.datasets import load_digits

    X = load_digits().images
    default = VariationalGMMClustering()
    epochs = math.ceil(10_000 / math.ceil(len(X) / default.batch_size))
    params = {"learning_rate": 10 * default.learning_rate, "max_epochs": epochs, "n_init": 1}
    model = VariationalGMMClustering(10, hidden_sizes=hidden_sizes, random_state=0, **params)
    try:
        model.fit(X)
    except FloatingPointError:
        with pytest.raises(FloatingPointError, match="the loss term"):
            raise
        return
    assert np.isfinite(model.predict_proba(X)).all()
    assert np.isfinite(model.score_samples(X)).all()
    assert np.isfinite(model.sample(100)[0]).all()


@pytest.mark.slow
def test_arcs_of_circles_are_found():
    X, y = make_circle_arcs(random_state=0)
    params = parameters("VGMM toy", "circle_arcs")
    models = (VariationalGMMClustering(5, random_state=seed, **params) for seed in range(5))
    assert np.mean([clustering_accuracy(y, model.fit_predict(X)) for model in models]) > 0.95


@pytest.mark.gpu
def test_posterior_mass_on_cuda_agrees_with_the_cpu():
    X = blobs()
    on_cpu = make(device="cpu", posterior_mass=0.99).fit(X)
    on_cuda = make(device="cuda", posterior_mass=0.99).fit(X)
    losses = [[row["loss"] for row in m.history_] for m in (on_cpu, on_cuda)]
    # Different random numbers, the same objective.
    assert_allclose(losses[0], losses[1], rtol=0.5)
    assert_array_equal(on_cuda.labels_, on_cuda.predict(X))


# ------------------------------------------------------------------ normalised features


def test_assignments_of_normalised_features_against_numpy():
    """Rows of a batch in training, and running estimates of them at prediction."""
    torch.manual_seed(0)
    latent = MixtureLatent(3, 5, 5, embedding_dim=2, posterior_sizes=(7,), batch_norm=True)
    h = draws(1, 6, 5) * 3 + 10
    weight, bias = (p.detach().double().numpy() for p in latent.assignment.parameters())

    def expected(mean, variance):
        return special.log_softmax((h - mean) / np.sqrt(variance + 1e-5) @ weight.T + bias, axis=1)

    got = latent.train().log_assignment(tensor(h)).detach()
    assert_allclose(got, expected(h.mean(axis=0), h.var(axis=0)), atol=1e-5)
    mean, variance = 0.1 * h.mean(axis=0), 0.9 + 0.1 * h.var(axis=0, ddof=1)
    got = latent.eval().log_assignment(tensor(h)).detach()
    assert_allclose(got, expected(mean, variance), atol=1e-4)


def test_what_features_have_in_common_moves_no_assignment_of_normalised_ones():
    torch.manual_seed(0)
    h = tensor(draws(0, 50, 8))
    for batch_norm in (True, False):
        latent = MixtureLatent(4, 8, 8, 2, (7,), batch_norm=batch_norm).train()
        same = torch.allclose(latent.log_assignment(h), latent.log_assignment(h + 5), atol=1e-4)
        assert same == batch_norm


def test_a_batch_of_one_row_takes_the_running_estimates():
    latent = MixtureLatent(3, 5, 5, 2, (7,), batch_norm=True)
    latent.train().log_assignment(tensor(draws(0, 20, 5)))
    row = tensor(draws(1, 1, 5))
    assert torch.equal(latent.train().log_assignment(row), latent.eval().log_assignment(row))
    X = blobs(9)  # eight steps at least: batches of one and of two
    assert np.isfinite(make(2, batch_size=1).fit(X).predict_proba(X)).all()


def test_components_live_through_the_first_epochs():
    """By the entropy of the mean of q(k|x), in the mean of five seeds."""
    from sklearn.datasets import load_digits

    X = load_digits().images
    left = {}
    for batch_norm in (True, False):
        params = {"batch_norm": batch_norm, "n_init": 1, "max_epochs": 12}
        models = (VariationalGMMClustering(10, random_state=s, **params) for s in range(5))
        shares = (model.fit(X).predict_proba(X).mean(axis=0) for model in models)
        left[batch_norm] = np.mean([np.exp(stats.entropy(share)) for share in shares])
    assert left[True] > 7 > left[False]  # of ten


# ------------------------------------------------------------------ centring


@pytest.mark.parametrize("given", [{}, {"n_init": 2, "init_epochs": 1}, {"network": "conv"}])
def test_encoders_see_differences_from_the_mean_of_the_rows(given):
    X = images()
    model = make(max_epochs=1, **given).fit(X)
    mean = model.net_.module_.row_mean.numpy()
    assert_allclose(mean[0], X.mean(axis=0) / 255, rtol=1e-4)
    net, x = model.net_, tensor(X[:, None] / 255)
    with torch.no_grad():
        expected = net.module_.encode(x)
        net.module_.row_mean += 0.25
        for got, h in zip(net.module_.encode(x + 0.25), expected, strict=True):
            assert_allclose(got, h, rtol=1e-4, atol=1e-5)


def test_what_goes_on_keeps_the_mean_of_its_first_rows():
    X = blobs()
    shifted = X + 5
    model = make(max_epochs=1, warm_start=True, scaling=None).fit(X)
    mean = model.net_.module_.row_mean.clone()
    assert_allclose(mean, X.mean(axis=0), rtol=1e-4, atol=1e-5)
    assert torch.equal(model.fit(shifted).net_.module_.row_mean, mean)
    pieces = make(scaling=None).partial_fit(X).partial_fit(shifted)
    assert torch.equal(pieces.net_.module_.row_mean, mean)

"""DCCS: what its parts and switches do, its score, its stopping, and that it clusters."""

import colorsys
from copy import deepcopy

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose, assert_array_equal
from scipy.stats import entropy
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from sklearn.exceptions import ConvergenceWarning
from skorch.callbacks import Callback

from skdeepcluster import DCCS
from skdeepcluster._dccs import automatic_network, has_converged
from skdeepcluster.metrics import clustering_accuracy
from skdeepcluster.networks import ConvEncoder, MLPEncoder, ResidualEncoder

# Runs of a few steps may leave a cluster empty.
pytestmark = pytest.mark.filterwarnings("ignore:DCCS (was to find|has collapsed)")

# A fixed number of epochs is meant, so that none of these warns of no convergence.
SMALL = {
    "hidden_sizes": (32, 32),
    "critic_sizes": (32, 32),
    "n_style": 5,
    "n_init": 1,
    "learning_rate": 0.003,
    "max_epochs": 10,
    "tol": 0,
    "random_state": 0,
    "precision": "float32",
}


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(240, n_features=6, centers=4, cluster_std=1.0, random_state=3)


@pytest.fixture(scope="module")
def digits():
    data = load_digits()
    return data.images[:200], data.target[:200]


class SmallTrunk(torch.nn.Module):
    """A convolution, its mean maps as output, its pixels as features."""

    def __init__(self, shape):
        super().__init__()
        self.conv = torch.nn.Conv2d(shape[0], 6, 3, stride=2, padding=1)
        self.norm = torch.nn.BatchNorm2d(6)

    def forward(self, x):
        h = self.norm(self.conv(x)).relu()
        return h.mean(dim=(2, 3)), h.flatten(1)


IMAGES = {**SMALL, "network": SmallTrunk, "max_epochs": 2}


# ------------------------------------------------------------------ gradients and steps


class Weights(Callback):
    """Which modules' weights each step changes."""

    def __init__(self):
        self.changed = []
        self.before = None

    def weights(self, net):
        return {
            name: torch.cat([p.detach().flatten() for p in getattr(net, name + "_").parameters()])
            for name in net._modules
        }

    def on_grad_computed(self, net, **kwargs):
        now = self.weights(net)
        if self.before is not None:
            self.changed.append({k for k in now if not torch.equal(now[k], self.before[k])})
        self.before = now


@pytest.mark.parametrize("n_critic", [1, 4])
@pytest.mark.parametrize("information", ["discriminator", "decoder"])
def test_critic_and_encoder_are_trained_in_turns(blobs, n_critic, information):
    """A step of one changes nothing in the other: weights are compared between the steps."""
    watch = Weights()
    params = SMALL | {"max_epochs": 1, "n_critic": n_critic, "information": information}
    DCCS(4, callbacks=[watch], **params).fit(blobs[0])
    cycle = [{"critic"}] * n_critic + [{"module", information}]
    assert [set(changed) for changed in watch.changed] == (cycle * 8)[:-1]


def test_batch_norm_predicts_with_the_statistics_of_the_rows(blobs):
    """Not with those of distorted rows, or of rows drawn for the critic."""
    X = blobs[0]
    model = DCCS(4, **SMALL, feature_noise=5.0).fit(X)
    linear, norm = model.net_.module_.trunk.layers[:2]
    h = (X - X.mean(axis=0)) / X.std(axis=0) @ linear.weight.detach().double().numpy().T
    assert_allclose(norm.running_mean, h.mean(axis=0), atol=1e-4)
    assert_allclose(norm.running_var, h.var(axis=0, ddof=1), rtol=1e-4)
    assert norm.momentum == 0.1  # as it was


def test_rows_in_any_order_settle_the_same_statistics():
    """More rows than one batch of that pass has, sorted by their group and shuffled.

    A batch's mean is 1/sqrt(512) deviations from that of all rows, and what it leaves in the
    statistics is of its square, 0.002. The variance of n rows in c batches is off by a share of
    (c - 1 - chi^2_{c-1}) / (n - c): below 0.02 but for one unit in a million.
    """
    X, y = make_blobs(1536, n_features=6, centers=4, cluster_std=1.0, random_state=3)
    orders = np.argsort(y, kind="stable"), np.random.default_rng(0).permutation(len(X))
    models = [DCCS(4, **SMALL | {"max_epochs": 0}).fit(X[order]) for order in orders]
    for model in models:
        linear, norm = model.net_.module_.trunk.layers[:2]
        h = (X - X.mean(axis=0)) / X.std(axis=0) @ linear.weight.detach().double().numpy().T
        assert_allclose(norm.running_mean, h.mean(axis=0), atol=1e-5)
        assert_allclose(norm.running_var, h.var(axis=0, ddof=1), rtol=0.02)
    first, second = (model.net_.module_.trunk.layers[4] for model in models)
    deviation = second.running_var.sqrt()
    assert_allclose(first.running_mean / deviation, second.running_mean / deviation, atol=0.01)
    first, second = (model.predict_proba(X) for model in models)
    assert_allclose(first, second, atol=0.01)


def test_no_gradient_reaches_the_other_side(blobs):
    class Watch(Callback):
        def __init__(self):
            self.seen = []

        def on_grad_computed(self, net, **kwargs):
            reached = set()
            for name in net._modules:
                for parameter in getattr(net, name + "_").parameters():
                    if parameter.grad is not None:
                        reached.add(name)
                        # Added to zero, and looked at whole, in the step that comes next.
                        parameter.grad = None if name == "critic" else parameter.grad
            self.seen.append(reached)

        def on_batch_end(self, net, **kwargs):
            for name in net._modules:
                getattr(net, name + "_").zero_grad(set_to_none=True)

    watch = Watch()
    DCCS(4, callbacks=[("watch", watch)], **SMALL | {"max_epochs": 1, "n_critic": 2}).fit(blobs[0])
    assert watch.seen == [{"critic"}, {"critic"}, {"module", "discriminator"}] * 8


def test_both_optimisers_are_adam_as_in_the_paper(blobs):
    class Settings(Callback):
        def __init__(self):
            self.seen = set()

        def on_batch_end(self, net, **kwargs):
            for optimizer in (net.encoder_optimizer_, net.critic_optimizer_):
                (group,) = optimizer.param_groups
                assert isinstance(optimizer, torch.optim.Adam)
                self.seen.add((group["betas"], group["lr"], group["weight_decay"]))

    settings = Settings()
    params = SMALL | {"max_epochs": 1, "learning_rate": 0.002}
    DCCS(4, callbacks=[settings], **params).fit(blobs[0])
    assert settings.seen == {((0.5, 0.9), 0.002, 0)}


def test_terms_in_history(blobs):
    model = DCCS(4, **SMALL).fit(blobs[0])
    assert model.n_iter_ == len(model.history_) == 10
    for row in model.history_:
        assert row["phase"] == "clustering"
        total = (
            0.5 * row["mutual_information"] + 1.0 * row["augmentation"] + 2.0 * row["adversarial"]
        )
        assert row["loss"] == pytest.approx(total, rel=1e-4, abs=1e-5)
        assert row["augmentation"] >= 0
        assert row["gradient_penalty"] >= 0
    assert model.history_[-1]["wasserstein"] < model.history_[0]["wasserstein"]
    assert model.history_[-1]["mutual_information"] < np.log(2)


@pytest.mark.parametrize(
    "params, terms",
    [
        ({"beta_mi": 0, "beta_aug": 0}, set()),  # M1
        ({"beta_aug": 0}, {"mutual_information"}),  # M2
        ({"beta_mi": 0}, {"augmentation"}),  # M3
        ({"augmentation": None}, {"mutual_information"}),
        ({"information": "decoder"}, {"reconstruction", "augmentation"}),
    ],
)
def test_weights_of_zero_leave_parts_out(blobs, params, terms):
    model = DCCS(4, **SMALL | {"max_epochs": 1} | params).fit(blobs[0])
    always = {"epoch", "phase", "loss", "adversarial", "wasserstein", "gradient_penalty", "seconds"}
    assert set(model.history_[0]) == always | terms
    assert hasattr(model.net_, "discriminator_") == ("mutual_information" in terms)
    assert hasattr(model.net_, "decoder_") == ("reconstruction" in terms)


def test_weights_reach_the_objective(blobs):
    for params, weights in (
        ({"beta_mi": 3.0, "beta_aug": 0.5, "beta_adv": 1.5}, (3.0, 0.5, 1.5)),
        ({"information": "decoder"}, (5.0, 1.0, 2.0)),
        ({"information": "decoder", "beta_reconstruction": 7.0}, (7.0, 1.0, 2.0)),
    ):
        row = DCCS(4, **SMALL | {"max_epochs": 1} | params).fit(blobs[0]).history_[0]
        information = row.get("mutual_information", row.get("reconstruction"))
        parts = information, row["augmentation"], row["adversarial"]
        assert row["loss"] == pytest.approx(np.dot(weights, parts), rel=1e-4)


def test_decoder_learns_to_reconstruct(blobs):
    model = DCCS(4, information="decoder", **SMALL | {"max_epochs": 20}).fit(blobs[0])
    errors = [row["reconstruction"] for row in model.history_]
    assert errors[-1] < 0.5 * errors[0]
    assert errors[-1] < 0.8  # of standardised columns


# ------------------------------------------------------------------ objectives


def in_float64(critic):
    """Calculate a critic's values of rows (n, e)."""
    layers = [(a.weight.detach().double().numpy(), a.bias.detach().double().numpy())
              for a in critic.layers]  # fmt: skip

    def value(h):
        for weight, bias in layers[:-1]:
            h = h @ weight.T + bias
            h = np.where(h > 0, h, 0.2 * h)
        return (h @ layers[-1][0].T + layers[-1][1])[:, 0]

    return value


def test_the_critics_objective(blobs):
    """Equation 11, its gradient by central differences."""
    net = DCCS(4, **SMALL | {"max_epochs": 0}, gradient_penalty=7.0).fit(blobs[0]).net_
    z, prior, between = np.random.default_rng(0).normal(size=(3, 20, 9))
    value, step = in_float64(net.critic_), 1e-5 * np.eye(9)
    gradient = np.stack([(value(between + e) - value(between - e)) / 2e-5 for e in step], axis=1)
    penalty = np.mean((np.linalg.norm(gradient, axis=1) - 1) ** 2)
    wasserstein = value(prior).mean() - value(z).mean()
    net.critic_.double()
    terms = net._critic_objective(*map(torch.tensor, (z, prior, between)))
    assert terms["loss"].item() == pytest.approx(7 * penalty - wasserstein, rel=1e-7)
    assert terms["wasserstein"].item() == pytest.approx(wasserstein, rel=1e-12)
    assert terms["gradient_penalty"].item() == pytest.approx(penalty, rel=1e-7)


def test_the_augmentations_objective_is_the_divergence_of_the_distorted_from_the_plain(blobs):
    net = DCCS(4, **SMALL | {"max_epochs": 0}).fit(blobs[0]).net_  # in evaluation mode
    x, augmented = torch.tensor(np.random.default_rng(0).normal(size=(2, 20, 6))).float()
    z, z_augmented = (net.assign(each).detach().double().numpy() for each in (x, augmented))
    expected = entropy(z, z_augmented, axis=1).mean()
    assert expected != pytest.approx(entropy(z_augmented, z, axis=1).mean(), rel=0.01)
    x.requires_grad_()
    augmented.requires_grad_()
    term = net._objective(x, augmented)["augmentation"]
    assert term.item() == pytest.approx(expected, rel=1e-4)
    term.backward()
    for each in (x, augmented):
        assert (each.grad.abs().sum(dim=1) > 0).all()


# ------------------------------------------------------------------ the prior


class Given(Callback):
    """What the critic is given in each of its steps: z, draws from the prior, points between."""

    def __init__(self):
        self.steps = []

    def on_train_begin(self, net, **kwargs):
        net.critic_.register_forward_pre_hook(self.keep)
        self.input_gradient, net.critic_.input_gradient = net.critic_.input_gradient, self.gradient

    def keep(self, critic, args):
        self.last = args[0].detach()

    def gradient(self, between):
        self.steps.append((*self.last.chunk(2), between))
        return self.input_gradient(between)


@pytest.fixture(scope="module")
def wide_style(blobs):
    """A fit with sigma=0.3, and what its critic was given."""
    given = Given()
    model = DCCS(4, **SMALL, sigma=0.3, beta_aug=0, callbacks=[given]).fit(blobs[0])
    return model, [torch.cat(each).double().numpy() for each in zip(*given.steps, strict=True)]


def test_the_slope_is_looked_at_between_a_row_and_a_draw(wide_style):
    z, prior, between = wide_style[1]
    assert len(z) == 10 * 8 * 4 * 64  # epochs, cycles, steps, rows
    to_z = z - prior
    epsilon = ((between - prior) * to_z).sum(axis=1) / (to_z**2).sum(axis=1)
    expected = epsilon[:, None] * z + (1 - epsilon[:, None]) * prior
    assert_allclose(between, expected, atol=1e-6)
    assert -1e-6 < epsilon.min() < 0.01
    assert 0.99 < epsilon.max() < 1 + 1e-6
    assert epsilon.mean() == pytest.approx(0.5, abs=0.02)
    assert epsilon.std() == pytest.approx(np.sqrt(1 / 12), abs=0.02)
    assert epsilon.reshape(-1, 64).std(axis=1).min() > 0.2  # each row has its own


def test_sigma_is_the_deviation_of_the_style(wide_style, blobs):
    model, (_, prior, _) = wide_style
    assert set(prior[:, :4].ravel()) == {0.0, 1.0}
    assert_allclose(prior[:, :4].sum(axis=1), 1)
    assert_allclose(prior[:, 4:].std(axis=0), np.full(5, 0.3), rtol=0.03)
    style = model.transform(blobs[0])[:, 4:]
    assert style.std(axis=0).mean() == pytest.approx(0.3, abs=0.1)


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_the_critic_matches_the_prior(seed):
    """On rows without groups: with the critic categories are even and certain, without not."""
    X = np.random.default_rng(seed).normal(size=(400, 8))
    params = SMALL | {"max_epochs": 70, "random_state": seed, "learning_rate": 0.002}
    matched = DCCS(4, beta_aug=0, **params).fit(X)
    proba = matched.predict_proba(X)
    assert_allclose(proba.mean(axis=0), np.full(4, 0.25), atol=0.02)
    assert proba.max(axis=1).mean() > 0.85
    style = matched.transform(X)[:, 4:]
    assert style.std(axis=0).mean() == pytest.approx(0.1, abs=0.02)
    free = DCCS(4, beta_aug=0, **params | {"beta_adv": 0, "max_epochs": 10}).fit(X)
    assert free.transform(X)[:, 4:].std(axis=0).mean() > 0.3
    assert free.history_[-1]["wasserstein"] > 5 * matched.history_[-1]["wasserstein"]


def test_blobs_are_found_and_kmeans_on_categories_agrees(blobs):
    X, y = blobs
    model = DCCS(4, **SMALL | {"max_epochs": 20}).fit(X)
    assert clustering_accuracy(y, model.labels_) > 0.95
    z = model.transform(X)
    assert z.shape == (240, 9)
    assert_array_equal(z[:, :4], model.predict_proba(X))
    names = model.get_feature_names_out().tolist()
    assert names == [f"dccs_category{i}" for i in range(4)] + [f"dccs_style{i}" for i in range(5)]
    assert deepcopy(model).set_params(n_clusters=5).get_feature_names_out().tolist() == names
    for part in (z, z[:, :4]):
        labels = KMeans(4, n_init=10, random_state=0).fit_predict(part)
        assert clustering_accuracy(model.labels_, labels) > 0.95


def test_without_style(blobs):
    X, y = blobs
    model = DCCS(4, **SMALL | {"n_style": 0, "max_epochs": 20}).fit(X)
    assert model.transform(X).shape == (240, 4)
    assert clustering_accuracy(y, model.labels_) > 0.9


# ------------------------------------------------------------------ score and stopping


def test_score_is_minus_the_critics_estimate(blobs):
    """An independent calculation in float64, with draws of its own from the prior."""
    X = blobs[0]
    model = DCCS(4, **SMALL).fit(X)
    critic = in_float64(model.net_.critic_)
    rng = np.random.default_rng(0)
    prior = np.column_stack([np.eye(4)[rng.integers(4, size=100_000)],
                             0.1 * rng.normal(size=(100_000, 5))])  # fmt: skip
    estimate = critic(prior).mean() - critic(model.transform(X).astype(float)).mean()
    assert model.score(X) == pytest.approx(-estimate, abs=0.003)


def test_convergence_is_an_end_of_the_fall():
    fall = list(np.geomspace(4, 0.2, 30))
    assert not has_converged(fall, 0.05, 5)
    assert has_converged([*fall, *[0.2] * 10], 0.05, 5)
    assert has_converged([*fall, *[0.2, 0.22] * 5], 0.05, 5)
    assert not has_converged([1.0] * 20, 0.05, 5)  # it has not come down
    assert not has_converged([0.1, 0.5, 1.0, 1.0, 1.0, 1.0], 0.05, 2)
    assert not has_converged([1.0, 0.1, 0.1], 0.05, 2)  # too few to compare


def test_convergence_at_its_two_bounds():
    """The mean has come down to half of the highest, and falls by less than the tolerance."""
    assert has_converged([2, 1, 1, 0.875, 0.875], 0.25, 2)
    assert not has_converged([2, 1, 1, 0.75, 0.75], 0.25, 2)
    assert has_converged([2, 1, 1, 1, 1], 0.25, 2)
    assert not has_converged([1.99, 1, 1, 1, 1], 0.25, 2)
    assert has_converged([2, -1, -1, -1.125, -1.125], 0.25, 2)
    assert not has_converged([2, -1, -1, -1.25, -1.25], 0.25, 2)


def test_training_ends_with_the_first_epoch_that_no_longer_falls(blobs):
    # Of this seed, because twice the tolerance would end it earlier.
    params = SMALL | {"tol": 0.05, "patience": 2, "max_epochs": 100, "random_state": 7}
    model = DCCS(4, **params).fit(blobs[0])  # without a warning
    estimate = np.array([row["wasserstein"] for row in model.history_])
    smooth = (estimate[1:] + estimate[:-1]) / 2
    low = smooth <= np.maximum.accumulate(estimate)[1:] / 2
    level = smooth[2:] > 0.95 * smooth[:-2]
    over = np.flatnonzero(low[2:] & level)  # 0 is the fourth epoch
    assert over.tolist() == [model.n_iter_ - 4]
    assert 4 < model.n_iter_ < 100


def test_a_run_that_has_not_converged_warns(blobs):
    params = SMALL | {"tol": 0.05, "max_epochs": 2}
    with pytest.warns(ConvergenceWarning, match="did not converge within max_epochs=2"):
        model = DCCS(4, **params).fit(blobs[0])
    assert not model.net_.converged_


def test_tol_ends_training(blobs):
    model = DCCS(4, **SMALL | {"tol": 1.0, "patience": 2, "max_epochs": 100}).fit(blobs[0])
    assert 4 <= model.n_iter_ < 100
    assert model.net_.converged_


# ------------------------------------------------------------------ starts


class Heads(Callback):
    """The encoder's and the critic's last weights after each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.weights = []

    def on_epoch_end(self, net, **kwargs):
        modules = net.module_.head, net.critic_.layers[-1]
        self.weights.append([m.weight.detach().numpy().copy() for m in modules])


STARTS = SMALL | {"n_init": 3, "init_epochs": 4, "max_epochs": 0}


@pytest.mark.parametrize("seed", range(3))
def test_the_start_that_distortions_change_least_goes_on(blobs, seed):
    heads = Heads()
    model = DCCS(4, **STARTS | {"random_state": seed, "callbacks": [heads]}).fit(blobs[0])
    history = model.history_
    assert [row["phase"] for row in history] == ["start"] * 12
    assert [row["epoch"] for row in history if "invariance" in row] == [4, 8, 12]
    loss = np.array([row["augmentation"] for row in history]).reshape(3, 4)[:, 2:].mean(axis=1)
    assert_allclose([history[i]["invariance"] for i in (3, 7, 11)], -loss, rtol=1e-12)
    best = heads.weights[4 * loss.argmin() + 3]
    assert_array_equal(model.net_.module_.head.weight.detach(), best[0])
    assert_array_equal(model.net_.critic_.layers[-1].weight.detach(), best[1])
    assert model.n_iter_ == 0


@pytest.mark.parametrize("without", [{"beta_aug": 0}, {"augmentation": None}])
def test_without_distortions_there_is_one_start(blobs, without):
    model = DCCS(4, **STARTS | without | {"max_epochs": 1}).fit(blobs[0])
    assert [row["phase"] for row in model.history_] == ["clustering"]


def test_the_estimates_of_starts_are_what_the_run_has_come_down_from(blobs):
    # Of this seed, because the estimates of the run alone would not have ended it.
    params = STARTS | {"n_init": 2, "init_epochs": 30, "max_epochs": 60, "learning_rate": 1e-3}
    model = DCCS(4, **params | {"tol": 1.0, "patience": 2}).fit(blobs[0])
    estimates = [row["wasserstein"] for row in model.history_]
    run = estimates[60:]
    assert len(run) == model.n_iter_ == 4  # twice the patience
    assert has_converged(estimates, 1.0, 2)
    assert not has_converged(run, 1.0, 2)


# ------------------------------------------------------------------ networks


def test_networks_by_the_shape_of_an_input():
    assert automatic_network((30,)) == "mlp"
    assert automatic_network((1, 2, 8)) == "mlp"
    assert automatic_network((1, 8, 8)) == "conv"
    assert automatic_network((1, 28, 28)) == "conv"
    assert automatic_network((3, 32, 32)) == "residual"
    assert automatic_network((3, 96, 96)) == "residual"


@pytest.mark.parametrize(
    "network, kind", [("auto", ConvEncoder), ("mlp", MLPEncoder), ("residual", ResidualEncoder)]
)
def test_networks_by_name(digits, network, kind):
    params = SMALL | {"max_epochs": 0}
    model = DCCS(2, network=network, **params).fit(digits[0][:16])
    assert isinstance(model.net_.module_.trunk, kind)


def test_the_default_on_features_is_the_head_of_supplement_f(blobs):
    net = DCCS(4, max_epochs=0, random_state=0).fit(blobs[0]).net_
    kinds = [torch.nn.Linear, torch.nn.BatchNorm1d, torch.nn.ReLU]
    layers = net.module_.trunk.layers
    assert [type(layer) for layer in layers] == 3 * kinds
    assert [layer.out_features for layer in layers[::3]] == [500, 500, 2000]
    assert net.discriminator_.of_features.in_features == blobs[0].shape[1]


def test_images_of_16_pixels_get_the_networks_of_28():
    X = np.random.default_rng(0).random((40, 16, 16))
    model = DCCS(3, max_epochs=0, random_state=0).fit(X)
    net = model.net_
    assert isinstance(net.module_.trunk, ConvEncoder)
    assert net.module_.trunk.dense.in_features == 128 * 2 * 2  # 16, 7, 2
    assert net.module_.head.in_features == 1024
    assert net.discriminator_.of_features.in_features == 128 * 2 * 2
    assert [layer.out_features for layer in net.critic_.layers] == [1024, 512, 1]
    assert (net.augment.crop_area, net.augment.degrees, net.augment.shift) == ((0.4, 1.0), 0, 0)
    assert model.transform(X).shape == (40, 53)
    assert_array_equal(model.predict(X), model.labels_)
    small = DCCS(3, max_epochs=0, random_state=0).fit(X[:, 4:12, 4:12])
    assert small.transform(X[:, :8, :8]).shape == (40, 13)
    assert len(small.get_feature_names_out()) == 13


@pytest.mark.parametrize(
    "name, error, message",
    [
        ("critic_sizes", ValueError, "critic_sizes must be a tuple of 1 ints at least, got array"),
        ("crop_area", ValueError, "crop_area must be a pair of numbers, got array"),
        ("degrees", TypeError, "degrees must be a number, got array"),
        ("shift", TypeError, "shift must be a number, got array"),
        ("shear", TypeError, "shear must be a number, got array"),
        ("contrast", TypeError, "contrast must be a number, got array"),
        ("n_style", TypeError, "n_style must be an int, got array"),
    ],
)
def test_arrays_for_what_may_be_auto_are_refused(digits, name, error, message):
    with pytest.raises(error, match=message):
        DCCS(5, **IMAGES | {name: np.array([0.5, 0.6])}).fit(digits[0])


def test_custom_network(digits):
    X = digits[0]
    model = DCCS(5, **IMAGES).fit(X)
    assert model.net_.discriminator_.of_features.in_features == 6 * 4 * 4
    assert model.net_.module_.head.in_features == 6
    alone = DCCS(5, **IMAGES | {"network": lambda shape: torch.nn.Flatten()}).fit(X)
    assert alone.net_.discriminator_.of_features.in_features == 64


def test_network_with_a_wrong_output_is_an_error(blobs):
    with pytest.raises(ValueError, match=r"2 inputs gave the shapes \(2,\) and \(2,\)"):
        DCCS(4, **SMALL, network=lambda shape: torch.nn.Flatten(0)).fit(blobs[0][:, :1])


# ------------------------------------------------------------------ images


@pytest.mark.parametrize("color, channels", [("grey", 1), ("color", 3), ("sobel", 2)])
def test_colours(color, channels):
    X = np.random.default_rng(0).random((60, 8, 8, 3))
    model = DCCS(3, color=color, **IMAGES).fit(X)
    assert model.net_.module_.trunk.conv.in_channels == channels
    assert_array_equal(model.predict(X), model.labels_)
    decoding = DCCS(3, color=color, information="decoder", **IMAGES).fit(X)
    assert decoding.net_.decoder_(torch.zeros(1, 8)).shape == (1, channels, 8, 8)


def test_augmentation_sees_scaled_images_in_colour_and_only_in_training():
    seen = []

    def watched(x):
        seen.append((tuple(x.shape[1:]), x.min().item() >= 0, x.max().item() <= 1))
        return x + 0.0

    X = np.random.default_rng(0).integers(0, 256, (60, 8, 8, 3)).astype(np.uint8)
    model = DCCS(3, augmentation=watched, **IMAGES).fit(X)
    assert seen == [((3, 8, 8), True, True)] * 16  # one encoder's step in each of 8 cycles
    assert model.history_[-1]["augmentation"] == pytest.approx(0, abs=1e-4)
    model.predict(X)
    assert len(seen) == 16


#: Nothing is distorted but what is named beside.
NOTHING = dict(crop_area=(1.0, 1.0), degrees=0, shift=0, shear=0, channel_shuffle=False)
NOTHING |= dict(brightness=0, contrast=0, saturation=0, hue=0)


def test_the_augmentation_does_what_its_parameters_say():
    X = np.random.default_rng(0).random((40, 8, 8, 3))
    x = torch.tensor(X.transpose(0, 3, 1, 2), dtype=torch.float32)

    def distorted(**params):
        return DCCS(3, **{**NOTHING, **params})._augment((3, 8, 8))(x)

    assert_allclose(distorted(), x, atol=1e-5)
    flipped = distorted(horizontal_flip=True)
    mirrored = np.isclose(flipped, x.flip(3), atol=1e-5).all(axis=(1, 2, 3))
    kept = np.isclose(flipped, x, atol=1e-5).all(axis=(1, 2, 3))
    assert (mirrored ^ kept).all()
    assert 8 < mirrored.sum() < 32
    for params in (
        {"crop_area": (0.4, 0.8)},
        {"degrees": 30},
        {"shift": 0.2},
        {"shear": 0.3},
        {"brightness": 0.4},
        {"contrast": 0.4},
        {"saturation": 0.4},
        {"hue": 0.125},
        {"channel_shuffle": True},
    ):
        assert not np.allclose(distorted(**params), x, atol=1e-2)
    small, large = DCCS()._augment((1, 8, 8)), DCCS()._augment((1, 28, 28))
    assert (small.crop_area, small.degrees, small.shift) == ((1.0, 1.0), 15, 0.1)
    assert (small.shear, small.brightness, small.contrast) == (0.2, 0, 0)
    assert (large.crop_area, large.degrees, large.shift) == ((0.4, 1.0), 0, 0)
    assert (large.shear, large.brightness, large.contrast) == (0, 0.4, 0.4)
    assert DCCS(crop_area=[0.5, 0.6])._augment((1, 28, 28)).crop_area == (0.5, 0.6)
    table = torch.zeros(500, 6)
    noisy = DCCS(3, feature_noise=0.3, feature_dropout=0.0)._augment((6,))(table)
    assert noisy.std().item() == pytest.approx(0.3, rel=0.1)
    dropped = DCCS(3, feature_noise=0.0, feature_dropout=0.3)._augment((6,))(table + 1)
    assert set(dropped.unique().tolist()) == {0.0, 1.0}
    assert (dropped == 0).double().mean().item() == pytest.approx(0.3, abs=0.05)
    both = DCCS(3, feature_noise=0.3, feature_dropout=0.3)._augment((6,))(table + 1)
    assert (both == 0).double().mean().item() == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("scaling", ["auto", None])
def test_columns_are_distorted_by_their_own_spread(scaling):
    """Noise is a share of a column's deviation, and what is hidden becomes its mean."""
    spread, mean = np.array([100, 1, 0.01, 0]), np.array([1000, 0, -3, 7])
    X = (np.random.default_rng(0).normal(size=(2000, 4)) * spread + mean).astype(np.float32)
    seen, sources = [], []

    class Look(Callback):
        def on_train_begin(self, net, X=None, y=None, **kwargs):
            self.rows = X[:2000]
            sources.append(self.rows.numpy())

        def on_epoch_begin(self, net, **kwargs):
            seen.append(net.augment_(self.rows).numpy())

    params = {**SMALL, "max_epochs": 1, "scaling": scaling, "callbacks": [Look()]}
    for noise, dropout in ((0.3, 0.0), (0.0, 0.5)):
        DCCS(2, **{**params, "feature_noise": noise, "feature_dropout": dropout}).fit(X)
    noisy, hidden = seen
    X = sources[0]  # as the network sees it
    if scaling == "auto":
        assert_allclose(X.std(axis=0), [1, 1, 1, 0], rtol=1e-4)
    assert_allclose((noisy - X).std(axis=0), 0.3 * X.std(axis=0), rtol=0.1, atol=1e-6)
    for column in range(3):
        changed = hidden[:, column] != X[:, column]
        assert 0.45 < changed.mean() < 0.55
        of_column = X[:, column].mean(dtype=np.float64)
        assert_allclose(hidden[changed, column], of_column, rtol=1e-4, atol=1e-4)


def by_default(x, *names):
    """Distort images by the defaults of some parameters alone."""
    params = {k: v for k, v in NOTHING.items() if k not in names}
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        return DCCS(3, **params)._augment(x.shape[1:])(torch.tensor(x)).numpy()


def alike(image):
    """A thousand copies of an image (3, 28, 28), or of one colour."""
    return np.broadcast_to(image, (1000, 3, 28, 28)).copy()


def color(*channels):
    return np.reshape(channels, (3, 1, 1))


def luma(x):
    return np.tensordot(x, [0.299, 0.587, 0.114], axes=(1, 0))[:, None]


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_factors_are_those_of_the_paper_by_default(name):
    x = alike(np.random.default_rng(0).uniform(0.35, 0.65, (3, 28, 28)))
    fixed = {"brightness": 0 * x, "contrast": luma(x).mean(axis=(2, 3), keepdims=True),
             "saturation": luma(x)}[name]  # fmt: skip
    out = by_default(x, name)
    factor = np.sum((out - fixed) * (x - fixed), axis=(1, 2, 3), keepdims=True)
    factor /= np.sum((x - fixed) ** 2, axis=(1, 2, 3), keepdims=True)
    assert_allclose(out, fixed + factor * (x - fixed), atol=1e-6)
    assert 0.6 <= factor.min() < 0.61
    assert 1.39 < factor.max() <= 1.4


def test_hue_turns_by_an_eighth_by_default():
    x = alike(color(0.8, 0.5, 0.2))
    before = colorsys.rgb_to_hsv(0.8, 0.5, 0.2)
    after = np.array([colorsys.rgb_to_hsv(*image[:, 0, 0]) for image in by_default(x, "hue")])
    turn = (after[:, 0] - before[0] + 0.5) % 1 - 0.5
    assert -0.125 - 1e-6 < turn.min() < -0.12
    assert 0.12 < turn.max() < 0.125 + 1e-6
    assert_allclose(after[:, 1:], [before[1:]] * 1000, atol=1e-6)


def test_crops_are_those_of_the_paper_by_default():
    """Slopes of ramps tell the sides of what was cropped."""
    down, across = np.mgrid[:28, :28] / 27
    out = by_default(alike(np.stack([across, down, 0 * down])), "crop_area")
    width = 27 * (out[:, 0, 14, 18] - out[:, 0, 14, 9]) / 9
    height = 27 * (out[:, 1, 18, 14] - out[:, 1, 9, 14]) / 9
    assert 0.4 - 1e-6 < (width * height).min() < 0.41
    assert 0.98 < (width * height).max() < 1 + 1e-6
    assert 3 / 4 - 1e-6 < (width / height).min() < 0.77
    assert 1.3 < (width / height).max() < 4 / 3 + 1e-6


def test_channels_are_shuffled_after_the_jitter():
    """One colour about its own brightness, and only then in another order."""
    x = alike(color(0.6, 0.4, 0.4))
    low, _, high = np.sort(by_default(x, "contrast", "channel_shuffle")[:, :, 0, 0], axis=1).T
    factor = (high - low) / 0.2
    grey = 0.4 + 0.2 * 0.299
    assert_allclose(low, grey + factor * (0.4 - grey), atol=1e-6)
    place = by_default(x, "channel_shuffle")[:, :, 0, 0].argmax(axis=1)
    assert np.bincount(place, minlength=3).min() > 250  # of 333


def test_bfloat16_agrees_with_float32_roughly(blobs):
    X, y = blobs
    for precision in ("float32", "bfloat16"):
        params = SMALL | {"precision": precision, "max_epochs": 20}
        assert clustering_accuracy(y, DCCS(4, **params).fit_predict(X)) > 0.9


@pytest.mark.slow
def test_digits_are_clustered_better_than_by_kmeans():
    data = load_digits()
    labels = DCCS(10, random_state=0).fit_predict(data.images)
    assert clustering_accuracy(data.target, labels) > 0.9


@pytest.mark.slow
def test_compiled_objective_agrees(blobs):
    plain = DCCS(4, **SMALL).fit(blobs[0])
    compiled = DCCS(4, compile=True, **SMALL).fit(blobs[0])
    for name in ("wasserstein", "augmentation"):
        assert_allclose(
            [row[name] for row in compiled.history_],
            [row[name] for row in plain.history_],
            rtol=0.1,
            atol=0.02,
        )


@pytest.mark.gpu
def test_cuda_finds_the_same_blobs(blobs):
    X, y = blobs
    model = DCCS(4, device="cuda", **SMALL | {"max_epochs": 20}).fit(X)
    assert clustering_accuracy(y, model.labels_) > 0.9
    assert_array_equal(model.predict(X), model.labels_)

"""StatDEC: what its switches do, its score, and that it clusters."""

import copy
import os
import pickle
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.cluster import KMeans
from sklearn.datasets import load_digits, make_blobs
from skorch.callbacks import Callback

from skdeepcluster import StatDEC, _statdec
from skdeepcluster.metrics import clustering_accuracy
from skdeepcluster.networks import MLPAutoencoder

# A fixed number of epochs is meant, so that none of these warns of no convergence.
SMALL = {
    "hidden_sizes": (32, 32, 32),
    "layerwise_epochs": 2,
    "pretrain_epochs": 15,
    "max_epochs": 6,
    "update_interval": 5,
    "tol": 0,
    "random_state": 0,
    "precision": "float32",
}


@pytest.fixture(scope="module")
def blobs():
    return make_blobs(240, n_features=6, centers=4, cluster_std=1.5, random_state=3)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600], y[:600]


def phases(model):
    return [row["phase"] for row in model.history_]


def standardised(X):
    return (X - X.mean(axis=0)) / X.std(axis=0)


def in_float64(module):
    return {name: value.double().numpy() for name, value in module.state_dict().items()}


def layers(state, prefix, h, extra=None):
    """Encoder or decoder of the MLP; `extra` joins before the ReLU of the third layer."""
    for i in range(4):
        h = h @ state[f"{prefix}.{i}.weight"].T + state[f"{prefix}.{i}.bias"]
        if extra is not None and i == 2:
            h = h + extra
        h = h if i == 3 else np.maximum(h, 0)
    return h


def assignments(z, centers, alpha=1.0):
    """Eq. 3."""
    distance = ((z[:, None] - centers) ** 2).sum(axis=2)
    kernel = (1 + distance / alpha) ** (-(alpha + 1) / 2)
    return kernel / kernel.sum(axis=1, keepdims=True)


def weights_of(q, gamma=2.0):
    """u + v of eq. 5, whose sums are over a cluster's members."""
    weights = q.sum(axis=0)
    for j in range(q.shape[1]):
        own = q[q.argmax(axis=1) == j, j]
        weights[j] -= np.sqrt(len(q) / len(own)) * ((1 - own) ** gamma * np.log(own)).sum()
    return weights


def target_of(q):
    """Eq. 4."""
    p = q**2 / weights_of(q)
    return p / p.sum(axis=1, keepdims=True)


@pytest.mark.slow
def test_default_finds_blobs_as_well_as_kmeans():
    X, y = make_blobs(300, n_features=5, centers=4, cluster_std=1.0, random_state=1)
    labels = StatDEC(n_clusters=4, random_state=0).fit_predict(X)
    kmeans = KMeans(4, n_init=10, random_state=0).fit_predict(X)
    assert clustering_accuracy(y, labels) >= clustering_accuracy(y, kmeans) - 0.02


def test_phases_and_terms_in_history(blobs):
    model = StatDEC(4, **SMALL).fit(blobs[0])
    names = phases(model)
    assert names == ["layer-wise"] * 8 + ["autoencoder"] * 15 + ["clustering"] * 6
    assert model.n_iter_ == 6
    for row in model.history_:
        assert row["reconstruction"] > 0
        if row["phase"] == "clustering":
            assert row["loss"] == pytest.approx(0.1 * row["kl"] + 0.9 * row["reconstruction"])
            assert sum(row["cluster_sizes"]) == len(blobs[0])
            assert 0 <= row["label_change"] <= 1


def test_pretraining_lowers_the_reconstruction_error(blobs):
    model = StatDEC(4, **SMALL).fit(blobs[0])
    errors = [r["reconstruction"] for r in model.history_ if r["phase"] == "autoencoder"]
    assert errors[-1] < errors[0]
    assert errors[-1] < 1  # better than predicting the mean of standardised columns


def test_zero_epochs_skip_phases_and_leave_kmeans_on_embeddings(blobs):
    params = SMALL | {"layerwise_epochs": 0, "max_epochs": 0}
    model = StatDEC(4, **params).fit(blobs[0])
    assert set(phases(model)) == {"autoencoder"}
    z = model.transform(blobs[0])
    distance = ((z[:, None] - model.cluster_centers_[None]) ** 2).sum(axis=2)
    np.testing.assert_array_equal(distance.argmin(axis=1), model.labels_)
    for k in range(4):  # centres of k-means are the means of their members
        np.testing.assert_allclose(
            model.cluster_centers_[k], z[model.labels_ == k].mean(axis=0), atol=1e-4
        )


def test_dec_leaves_the_decoder_as_pretraining_made_it(blobs):
    params = SMALL | {"weighted_target": False, "statistics_pooling": False}
    before = StatDEC(4, **params | {"max_epochs": 0}).fit(blobs[0]).net_.module_
    dec = StatDEC(4, lam=1.0, **params).fit(blobs[0]).net_.module_
    idec = StatDEC(4, lam=0.1, **params).fit(blobs[0]).net_.module_
    for name, value in before.decoder.state_dict().items():
        np.testing.assert_array_equal(dec.decoder.state_dict()[name], value)
    assert not torch.equal(idec.decoder[0].weight, before.decoder[0].weight)
    assert not torch.equal(dec.encoder[0].weight, before.encoder[0].weight)


def test_lam_zero_only_reconstructs(blobs):
    params = SMALL | {"max_epochs": 0, "statistics_pooling": False}
    before = StatDEC(4, **params).fit(blobs[0])
    after = StatDEC(4, **params | {"max_epochs": 6}, lam=0.0).fit(blobs[0])
    # Nothing pulls at the centres.
    np.testing.assert_array_equal(after.cluster_centers_, before.cluster_centers_)


def test_every_reading_of_the_target_reaches_the_objective(blobs):
    kls = {}
    for reading in (True, False, "members", "inverse", "mean", "all", "squared", "dec"):
        model = StatDEC(4, weighted_target=reading, **SMALL | {"max_epochs": 1}).fit(blobs[0])
        kls[reading] = model.history_[-1]["kl"]
    assert kls[True] == kls["members"]
    assert kls[False] == kls["dec"]
    different = [kls[r] for r in ("members", "inverse", "mean", "all", "squared", "dec")]
    assert len(set(different)) == 6


def test_pooling_changes_the_reconstruction_but_not_the_pretraining(blobs):
    with_pooling = StatDEC(4, **SMALL).fit(blobs[0])
    without = StatDEC(4, statistics_pooling=False, **SMALL).fit(blobs[0])
    assert without.net_.module_.pooling is None
    pooling = with_pooling.net_.module_.pooling
    assert pooling.project.weight.abs().max() > 0
    assert pooling.n_seen.max() > 0
    np.testing.assert_allclose(pooling.share.sum(), 1, atol=0.05)


def test_target_is_refreshed_every_interval(blobs):
    # 8 steps an epoch: with an interval of 8 the labels of two refreshes lie one epoch apart.
    rare = StatDEC(4, **SMALL | {"update_interval": 1000}).fit(blobs[0])
    assert {row["label_change"] for row in rare.history_ if "label_change" in row} == {1.0}
    often = StatDEC(4, **SMALL | {"update_interval": 8}).fit(blobs[0])
    assert [r["label_change"] for r in often.history_ if "label_change" in r][-1] < 1


def test_target_is_that_of_the_whole_set_at_each_refresh(blobs):
    seen = []

    class Recorder(Callback):
        def on_batch_begin(self, net, **kwargs):
            if net.phase_.name == "clustering":
                state = in_float64(net.module_), in_float64(net.assignment_)["centers"]
                seen.append((net.target_.numpy().copy(), *state))

    X = blobs[0]
    StatDEC(4, callbacks=[Recorder()], **SMALL | {"max_epochs": 3}).fit(X)
    assert len(seen) == 24
    for step, (target, state, centers) in enumerate(seen):
        if step % 5 == 0:
            q = assignments(layers(state, "encoder", standardised(X)), centers)
            np.testing.assert_allclose(target, target_of(q), rtol=1e-4, atol=1e-7)
            assert step == 0 or not np.array_equal(target, seen[step - 1][0])
        else:
            np.testing.assert_array_equal(target, seen[step - 1][0])


@pytest.mark.parametrize(
    ("gamma", "alpha"), [(2.0, 1.0), (0.0, 1.0), (5.0, 1.0), (2.0, 0.3), (2.0, 4.0)]
)
def test_gamma_and_alpha_are_those_of_the_equations(blobs, gamma, alpha):
    X = blobs[0]
    model = StatDEC(4, gamma=gamma, alpha=alpha, **SMALL | {"max_epochs": 0}).fit(X)
    z, centers = model.transform(X).astype(float), model.cluster_centers_.astype(float)
    q = assignments(z, centers, alpha)
    np.testing.assert_allclose(model.predict_proba(X), q, rtol=1e-5)
    np.testing.assert_allclose(model.net_.weights_, weights_of(q, gamma), rtol=1e-5)


def test_a_joint_loop_by_hand_ends_with_the_same_weights(blobs):
    start, batches = {}, []

    def weights(net):
        return copy.deepcopy({**net.module_.state_dict(), **net.assignment_.state_dict()})

    class Recorder(Callback):
        def on_batch_begin(self, net, batch=None, **kwargs):
            if net.phase_.name == "clustering":
                start.update({} if start else weights(net))
                batches.append(batch.index)

    X = blobs[0]
    params = SMALL | {"update_interval": 4, "max_epochs": 2}
    model = StatDEC(4, callbacks=[Recorder()], lam=0.3, learning_rate=0.002, **params).fit(X)
    assert len(batches) == 16
    assert sorted(torch.cat(batches[:8]).tolist()) == list(range(240))

    x = torch.tensor(standardised(X), dtype=torch.float32)
    w = {name: value.clone().requires_grad_() for name, value in start.items()}
    optimizer = torch.optim.Adam(w.values(), lr=0.002)

    def linear(name, h):
        return h @ w[f"{name}.weight"].T + w[f"{name}.bias"]

    def soft(x):
        h = x
        for i in range(3):
            h = linear(f"encoder.{i}", h).relu()
        z = linear("encoder.3", h)
        kernel = 1 / (1 + ((z[:, None] - w["centers"]) ** 2).sum(dim=2))
        return z, kernel / kernel.sum(dim=1, keepdim=True)

    for step, rows in enumerate(batches):
        if step % 4 == 0:
            p = torch.tensor(target_of(soft(x)[1].detach().double().numpy())).float()
        z, q = soft(x[rows])
        h = linear("decoder.1", linear("decoder.0", z).relu()).relu()
        phi = linear("pooling.shared", h).relu()
        sizes = q.sum(dim=0)
        assert (sizes >= 2).all()  # all statistics are those of the batch
        means = (q.T @ phi) / sizes[:, None]
        spread = q[:, :, None] * (phi[:, None] - means).square()  # (b, K, f)
        variances = spread.sum(dim=0) / sizes[:, None]
        statistics = torch.cat([sizes[:, None] / len(rows), means, variances], dim=1)
        h = linear("decoder.2", h) + q @ statistics @ w["pooling.project.weight"].T
        output = linear("decoder.3", h.relu())
        kl = (p[rows] * (p[rows] / q).log()).sum(dim=1).mean()
        error = (output - x[rows]).square().mean() / x.square().mean()
        optimizer.zero_grad()
        (0.3 * kl + 0.7 * error).backward()
        optimizer.step()

    fitted = weights(model.net_)
    for name in dict(model.net_.module_.named_parameters()) | {"centers": None}:
        moved = (fitted[name] - start[name]).abs().max()
        assert moved > 0.003, name
        np.testing.assert_allclose(fitted[name], w[name].detach(), atol=1e-5, err_msg=name)


@pytest.mark.parametrize(
    ("n", "batch_size", "interval"),
    [(30, 256, 80), (1797, 256, 80), (61_440, 256, 80), (61_441, 256, 81), (10_000, 10, 334)],
)
def test_the_automatic_interval_is_80_steps_or_a_third_of_an_epoch(n, batch_size, interval):
    assert StatDEC(batch_size=batch_size)._update_interval(n) == interval
    assert StatDEC(batch_size=batch_size, update_interval=7)._update_interval(n) == 7


@pytest.mark.parametrize(
    ("pretraining", "n", "layerwise", "whole"),
    [
        ("adam", 4, 0, 250),  # at most
        ("adam", 1000, 0, 150),  # 1,200 steps, eight an epoch
        ("adam", 1797, 0, 159),  # 30 sqrt(n) are 1,272
        ("adam", 70_000, 0, 29),  # 7,937 steps, 274 an epoch
        ("adam", 10**7, 0, 10),  # at least
        ("paper", 1797, 12_500, 25_000),
        ("paper", 70_000, 365, 730),
        ("paper", 10**8, 1, 1),
    ],
)
def test_automatic_epochs_of_pretraining(pretraining, n, layerwise, whole):
    model = StatDEC(pretraining=pretraining)
    assert model._pretraining_epochs(n) == (layerwise, whole)
    model.set_params(layerwise_epochs=3)
    assert model._pretraining_epochs(n) == (3, whole)


def test_tol_ends_training(blobs):
    model = StatDEC(4, **SMALL | {"tol": 0.9, "max_epochs": 50, "update_interval": 4}).fit(blobs[0])
    assert model.n_iter_ == 1  # the second refresh, after four of the epoch's eight steps


def test_score_is_minus_the_objective(blobs):
    """An independent calculation in float64 from the fitted weights."""
    X = blobs[0]
    model = StatDEC(4, **SMALL).fit(X)
    x, state = standardised(X), in_float64(model.net_.module_)
    z = layers(state, "encoder", x)
    np.testing.assert_allclose(model.transform(X), z, rtol=1e-3, atol=1e-4)
    q = assignments(z, model.cluster_centers_)
    np.testing.assert_allclose(model.predict_proba(X), q, rtol=1e-3, atol=1e-5)
    p = q**2 / model.net_.weights_.double().numpy()
    p /= p.sum(axis=1, keepdims=True)
    statistics = np.column_stack(
        [state["pooling.share"], state["pooling.mean"], state["pooling.variance"]]
    )
    output = layers(state, "decoder", z, q @ statistics @ state["pooling.project.weight"].T)
    kl = (p * np.log(p / q)).sum(axis=1).mean()
    error = ((output - x) ** 2).mean() / (x**2).mean()
    assert model.score(X) == pytest.approx(-(0.1 * kl + 0.9 * error), rel=1e-3)
    unit = X.std(axis=0), X.mean(axis=0)
    decoded = model.inverse_transform(z)
    np.testing.assert_allclose(decoded, output * unit[0] + unit[1], rtol=1e-2, atol=1e-2)


def test_custom_network_is_first_class(digits):
    X, _ = digits

    class Tiny(torch.nn.Module):
        def __init__(self, shape):
            super().__init__()
            self.down = torch.nn.Conv2d(shape[0], 4, 3, stride=2)
            self.code = torch.nn.Linear(36, 3)
            self.up = torch.nn.Linear(3, 64)

        def encode(self, x):
            return self.code(self.down(x).relu().flatten(1))

        def decode(self, z, q=None):
            return self.up(z).unflatten(1, (1, 8, 8))

    params = {k: v for k, v in SMALL.items() if k != "hidden_sizes"}
    model = StatDEC(5, network=Tiny, image_shape=(8, 8), **params).fit(X)
    assert "layer-wise" not in phases(model)
    assert model.transform(X).shape == (600, 3)
    assert model.get_feature_names_out().tolist() == ["statdec0", "statdec1", "statdec2"]
    np.testing.assert_array_equal(model.predict(X), model.labels_)


def test_network_with_a_wrong_embedding_is_an_error(blobs):
    class Wrong(MLPAutoencoder):
        def encode(self, x):
            return super().encode(x).sum(dim=1)

    with pytest.raises(ValueError, match=r"shape \(n, e\), but 2 inputs gave the shape \(2,\)"):
        StatDEC(4, network=Wrong, **SMALL).fit(blobs[0])


# One epoch of pre-training is too short for clusters that last.
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_augmentation_distorts_training_but_not_prediction(digits):
    X, _ = digits
    seen = []

    def watched(x):
        seen.append(tuple(x.shape[1:]))
        return x + 0.0

    params = SMALL | {"layerwise_epochs": 0, "pretrain_epochs": 1, "max_epochs": 1}
    model = StatDEC(5, image_shape=(8, 8), augmentation=watched, **params).fit(X)
    assert seen == [(1, 8, 8)] * 16
    model.predict(X)
    assert len(seen) == 16
    StatDEC(5, image_shape=(8, 8), augmentation="affine", **params).fit(X)


def test_affine_augmentation_needs_images(blobs):
    with pytest.raises(ValueError, match="feature vectors: pass image_shape"):
        StatDEC(4, augmentation="affine", **SMALL).fit(blobs[0])


def test_paper_pretraining_divides_its_learning_rate(blobs, monkeypatch):
    rates = []

    class Rates(Callback):
        def on_epoch_end(self, net, **kwargs):
            rates.append((net.phase_.name, net.optimizer_.param_groups[0]["lr"]))

    sooner = replace(_statdec.PRETRAININGS["paper"], decay_steps=40)  # five epochs of eight steps
    monkeypatch.setitem(_statdec.PRETRAININGS, "paper", sooner)
    params = SMALL | {"pretraining": "paper", "max_epochs": 1, "layerwise_epochs": 6}
    StatDEC(4, callbacks=[Rates()], **params).fit(blobs[0])
    for phase in ("layer-wise", "autoencoder"):
        own = [rate for name, rate in rates if name == phase]
        assert own[:5] == pytest.approx([0.01] * 4 + [0.001])
    assert rates[-1] == ("clustering", 0.001)


def test_first_steps_of_the_papers_pretraining(blobs):
    """Descent with momentum on half the squared error of an input, in float64."""
    states, batches = [], []

    class Recorder(Callback):
        def on_batch_begin(self, net, batch=None, **kwargs):
            states.append(in_float64(net.module_))
            batches.append(batch.index.numpy())

    params = SMALL | {"pretraining": "paper", "layerwise_epochs": 0, "pretrain_epochs": 1}
    params |= {"hidden_sizes": (9, 8), "max_epochs": 0}
    StatDEC(4, callbacks=[Recorder()], **params).fit(blobs[0])
    x = standardised(blobs[0])
    names = [f"{part}.{i}" for part in ("encoder", "decoder") for i in range(3)]
    linear = {"encoder.2", "decoder.2"}  # no ReLU behind them
    velocity = {name: 0.0 for name in states[0]}
    for rows, state, after in zip(batches, states, states[1:], strict=False):
        inputs = [x[rows]]
        for name in names:
            h = inputs[-1] @ state[f"{name}.weight"].T + state[f"{name}.bias"]
            inputs.append(h if name in linear else np.maximum(h, 0))
        gradient = (inputs[-1] - x[rows]) / len(rows)
        for name, h, output in zip(names[::-1], inputs[-2::-1], inputs[:0:-1], strict=True):
            gradient = gradient if name in linear else gradient * (output > 0)
            for key, slope in (("weight", gradient.T @ h), ("bias", gradient.sum(axis=0))):
                key = f"{name}.{key}"
                velocity[key] = 0.9 * velocity[key] + slope
                np.testing.assert_allclose(
                    after[key], state[key] - 0.01 * velocity[key], rtol=0, atol=1e-6
                )
            gradient = gradient @ state[f"{name}.weight"]
        assert np.abs(after["decoder.2.weight"] - state["decoder.2.weight"]).max() > 1e-3


def test_what_is_added_to_all_rows_does_not_matter(digits):
    X = (digits[0] / 16).astype(np.float32)
    shift = np.random.default_rng(0).random(64, dtype=np.float32)
    params = SMALL | {"pretrain_epochs": 2, "max_epochs": 0, "layerwise_epochs": 0}
    params |= {"scaling": None, "image_shape": (8, 8)}
    plain, shifted = StatDEC(4, **params).fit(X), StatDEC(4, **params).fit(X + shift)
    np.testing.assert_allclose(
        plain.net_.module_.row_mean.numpy().ravel(), X.mean(axis=0), rtol=1e-5
    )
    # The unit of the reconstruction error differs, but Adam takes no notice of units.
    np.testing.assert_allclose(plain.transform(X), shifted.transform(X + shift), atol=2e-3)
    decoded = [model.inverse_transform(model.cluster_centers_) for model in (plain, shifted)]
    np.testing.assert_allclose(decoded[0] + shift, decoded[1], atol=2e-3)


@pytest.mark.parametrize(("pretraining", "hidden"), [("adam", 0.2), ("paper", 0.0)])
def test_pretraining_hides_a_fifth_of_the_inputs(blobs, pretraining, hidden):
    seen = {"autoencoder": [], "clustering": []}

    class Watched(MLPAutoencoder):
        def encode(self, x):
            if self.training:
                seen[net[0].phase_.name].append((x - self.row_mean == 0).float().mean().item())
            return super().encode(x)

    class Net(Callback):
        def on_train_begin(self, net_, **kwargs):
            net.append(net_)

    net = []
    params = SMALL | {"layerwise_epochs": 0, "pretrain_epochs": 4, "callbacks": [Net()]}
    params = {k: v for k, v in params.items() if k != "hidden_sizes"}
    StatDEC(4, network=Watched, pretraining=pretraining, **params).fit(blobs[0])
    assert np.mean(seen["autoencoder"]) == pytest.approx(hidden, abs=0.03)
    assert np.max(seen["clustering"]) == 0


@pytest.mark.parametrize(
    ("row_mean", "found"), [(torch.zeros(2), r"\(2,\)"), (torch.nn.Parameter(torch.zeros(6)), "no")]
)
def test_a_row_mean_of_another_kind_is_named(blobs, row_mean, found):
    class Other(MLPAutoencoder):
        def __init__(self, shape):
            super().__init__(shape, hidden=(8, 8))
            del self.row_mean
            if isinstance(row_mean, torch.nn.Parameter):
                self.row_mean = row_mean
            else:
                self.register_buffer("row_mean", row_mean)

        def _encode(self, x, n_layers):
            h = x
            for layer in self.encoder[:n_layers]:
                h = layer(h)
            return h

    params = {k: v for k, v in SMALL.items() if k != "hidden_sizes"}
    with pytest.raises(ValueError, match=rf"row_mean .* an input's shape \(6,\), got {found}"):
        StatDEC(4, network=Other, **params).fit(blobs[0])


@pytest.fixture(scope="module")
def bright():
    """Colour images of 32 pixels: squares of 8 pixels in random colours."""
    squares = np.random.default_rng(0).random((400, 3, 4, 4), dtype=np.float32)
    return squares.repeat(8, axis=2).repeat(8, axis=3).reshape(400, -1)


# Steps of Adam that all push the mean of bright images the same way would silence the first layer.
def test_bright_images_leave_units_alive(bright):
    params = {"pretrain_epochs": 10, "max_epochs": 0, "scaling": None, "precision": "float32"}
    params["hidden_sizes"] = (100, 100)
    for seed in range(3):
        model = StatDEC(4, random_state=seed, image_shape=(3, 32, 32), **params).fit(bright)
        h = torch.from_numpy(bright) - model.net_.module_.row_mean.flatten()
        with torch.no_grad():
            for layer in model.net_.module_.encoder[:-1]:
                h = layer(h).relu()
                assert (h > 0).any(dim=0).float().mean() > 0.7


def test_warns_where_embeddings_coincide(digits):
    class Blind(MLPAutoencoder):
        def encode(self, x):
            return super().encode(x) * (x.flatten(1)[:, 20:21] > 0.5)

    X = digits[0]
    params = SMALL | {"layerwise_epochs": 0}
    shared = (X[:, 20] / 16 <= 0.5).mean()  # all of these are different, and embedded at zero
    with pytest.warns(match=f"{shared:.0%} of the rows shared their embedding with a different"):
        StatDEC(4, network=Blind, image_shape=(8, 8), **params).fit(X)
    doubled = np.repeat(X[:100], 3, axis=0)  # nothing to say of rows that are the same
    StatDEC(4, image_shape=(8, 8), **params).fit(doubled)


def test_bfloat16_agrees_with_float32_roughly(blobs):
    X, y = blobs
    params = SMALL | {"layerwise_epochs": 0, "pretrain_epochs": 80}
    for precision in ("float32", "bfloat16"):
        labels = StatDEC(4, **params | {"precision": precision}).fit_predict(X)
        assert clustering_accuracy(y, labels) > 0.9


@pytest.mark.slow
def test_compiled_objective_agrees(blobs):
    plain = StatDEC(4, **SMALL).fit(blobs[0])
    compiled = StatDEC(4, compile=True, **SMALL).fit(blobs[0])
    np.testing.assert_allclose(
        [r["reconstruction"] for r in compiled.history_],
        [r["reconstruction"] for r in plain.history_],
        rtol=1e-2,
    )


@pytest.mark.gpu
def test_a_model_fitted_on_cuda_opens_without_it(blobs, tmp_path):
    X, _ = blobs
    model = StatDEC(4, device="cuda", **SMALL).fit(X)
    model.save(tmp_path / "model.safetensors")
    (tmp_path / "model.pickle").write_bytes(pickle.dumps(model))
    np.save(tmp_path / "X.npy", X)
    code = (
        "import pickle, sys, numpy as np; from skdeepcluster import load; folder = sys.argv[1];"
        "X = np.load(folder + '/X.npy');"
        "a = load(folder + '/model.safetensors', device='cpu').predict(X);"
        "b = pickle.load(open(folder + '/model.pickle', 'rb')).predict(X);"
        "np.save(folder + '/labels.npy', np.stack([a, b]))"
    )
    without_cuda = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], env=without_cuda, check=True)
    for labels in np.load(tmp_path / "labels.npy"):
        assert (labels == model.labels_).mean() > 0.99

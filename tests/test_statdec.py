"""StatDEC: what its switches do, its score, and that it clusters."""

import os
import pickle
import subprocess
import sys

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


def test_tol_ends_training(blobs):
    model = StatDEC(4, **SMALL | {"tol": 0.9, "max_epochs": 50, "update_interval": 4}).fit(blobs[0])
    assert model.n_iter_ == 1  # the second refresh, after four of the epoch's eight steps


def test_score_is_minus_the_objective(blobs):
    """An independent calculation in float64 from the fitted weights."""
    X = blobs[0]
    model = StatDEC(4, **SMALL).fit(X)
    x = (X - X.mean(axis=0)) / X.std(axis=0)
    state = {k: v.double().numpy() for k, v in model.net_.module_.state_dict().items()}

    def layers(prefix, h, extra=None):
        for i in range(4):
            h_next = h @ state[f"{prefix}.{i}.weight"].T + state[f"{prefix}.{i}.bias"]
            if extra is not None and i == 2:
                h_next = h_next + extra
            h = h_next if i == 3 else np.maximum(h_next, 0)
        return h

    z = layers("encoder", x)
    np.testing.assert_allclose(model.transform(X), z, rtol=1e-3, atol=1e-4)
    kernel = 1 / (1 + ((z[:, None] - model.cluster_centers_) ** 2).sum(axis=2))
    q = kernel / kernel.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), q, rtol=1e-3, atol=1e-5)
    p = q**2 / model.net_.weights_.double().numpy()
    p /= p.sum(axis=1, keepdims=True)
    statistics = np.column_stack(
        [state["pooling.share"], state["pooling.mean"], state["pooling.variance"]]
    )
    output = layers("decoder", z, q @ statistics @ state["pooling.project.weight"].T)
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

    monkeypatch.setattr(_statdec, "PAPER_DECAY_STEPS", 40)  # five epochs of eight steps
    params = SMALL | {"pretraining": "paper", "max_epochs": 1, "layerwise_epochs": 6}
    StatDEC(4, callbacks=[Rates()], **params).fit(blobs[0])
    for phase in ("layer-wise", "autoencoder"):
        own = [rate for name, rate in rates if name == phase]
        assert own[:5] == pytest.approx([0.01] * 4 + [0.001])
    assert rates[-1] == ("clustering", 0.001)


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

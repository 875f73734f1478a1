"""The convolutional and variational autoencoders, and StatDEC with them."""

import copy

import numpy as np
import pytest
import torch
from estimators import images
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from skorch.callbacks import Callback

import skdeepcluster
from skdeepcluster import StatDEC
from skdeepcluster._training._data import Preprocessor, TensorSource
from skdeepcluster._training._statistics import settle_statistics
from skdeepcluster.metrics import clustering_accuracy
from skdeepcluster.networks import (
    CNNAutoencoder,
    MLPAutoencoder,
    UNetAutoencoder,
    VariationalAutoencoder,
)
from skdeepcluster.networks._convolutions import BatchNorm
from skdeepcluster.objectives import kl_divergence, standard_normal_divergence

QUICK = {
    "hidden_sizes": (16, 16, 16),
    "embedding_dim": 4,
    "pretrain_epochs": 2,
    "max_epochs": 2,
    "tol": 0,
    "random_state": 0,
    "precision": "float32",
}

#: Small ones, by the name that `network` takes.
SMALL = {
    "cnn": lambda shape, **params: CNNAutoencoder(shape, 4, (3, 4, 5, 6), **params),
    "unet": lambda shape, **params: UNetAutoencoder(shape, 4, (3, 4, 5), **params),
    "vae": lambda shape, **params: VariationalAutoencoder(shape, 4, (8, 7, 6), **params),
}

every_network = pytest.mark.parametrize("name", sorted(SMALL))
convolutional = pytest.mark.parametrize("name", ["cnn", "unet"])

# So few epochs may leave a cluster empty.
pytestmark = pytest.mark.filterwarnings("ignore:StatDEC (was to find|has collapsed)")


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        yield


def assignments(n, n_clusters):
    rng = np.random.default_rng(0)
    return torch.tensor(rng.dirichlet(np.ones(n_clusters), size=n), dtype=torch.float32)


@pytest.mark.parametrize("name", [*sorted(SMALL), "mlp"])
def test_networks_see_and_decode_differences_from_the_mean(name):
    build = SMALL.get(name, lambda shape: MLPAutoencoder(shape, 4, (8, 7, 6)))
    network, x, mean = build((3, 9, 9)).eval(), torch.rand(5, 3, 9, 9), torch.randn(3, 9, 9)
    z, decoded = network.encode(x), network.decode(network.encode(x))
    network.row_mean.copy_(mean)
    torch.testing.assert_close(network.encode(x + mean), z)
    torch.testing.assert_close(network.decode(z), decoded + mean)


# ------------------------------------------------------------------ shapes and layers


@settings(deadline=None, max_examples=25)
@given(st.sampled_from([1, 3]), st.integers(1, 37), st.integers(1, 37))
def test_images_of_any_size_fit(channels, height, width):
    x = torch.rand(2, channels, height, width)
    for name in ("cnn", "unet"):
        network = SMALL[name](x.shape[1:], n_clusters=3)
        z = network.encode(x)
        assert z.shape == (2, 4)
        assert network.decode(z).shape == x.shape
        assert network.decode(z, assignments(2, 3)).shape == x.shape
        assert network(x).shape == x.shape


def layers(network, kind):
    return [module for module in network.modules() if isinstance(module, kind)]


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_layers_of_the_cnn_are_those_of_the_paper(shape):
    network = CNNAutoencoder(shape, n_clusters=10)
    encoder = layers(network.encoder, torch.nn.Conv2d)
    decoder = layers(network, torch.nn.ConvTranspose2d)
    assert len(encoder) == 4
    assert len(decoder) == 3
    assert all(layer.kernel_size == (4, 4) for layer in [*encoder, *decoder])
    assert len(layers(network, torch.nn.BatchNorm2d)) == 4 + 3  # none on the output
    assert len(layers(network, torch.nn.ReLU)) == 4 + 2  # and one after the decoder's linear layer
    assert network.encode(torch.rand(2, *shape)).shape == (2, 10)


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_layers_of_the_unet_are_those_of_the_paper(shape):
    network = UNetAutoencoder(shape, n_clusters=10)
    for layer in layers(network.down, torch.nn.Conv2d):
        assert layer.kernel_size == (5, 5)
        assert layer.stride == (2, 2)
    for layer in layers(network.up, torch.nn.Conv2d):
        assert layer.kernel_size == (3, 3)
        assert layer.stride == (1, 1)
    # all maps of the encoder's layer i enter the decoder's layer n - i
    inputs = [layer.in_channels for layer in layers(network.up, torch.nn.Conv2d)]
    assert inputs == [128, 64 + 64, 32 + 32]
    skips = network.encoding(torch.rand(2, *shape)).skips
    sides = [-(-shape[1] // 2), -(-shape[1] // 4)]
    assert [tuple(skip.shape) for skip in skips] == [
        (2, 32, sides[0], sides[0]),
        (2, 64, sides[1], sides[1]),
    ]


@convolutional
def test_pooling_sits_on_the_second_hidden_layer_of_the_decoder(name):
    network = SMALL[name]((1, 28, 28), n_clusters=3)
    # 28, 14, 7, 4: the linear layer makes maps of 4 by 4, the next layer of 7 by 7
    assert network.pooling.shared.in_features == 4 * 7 * 7


@every_network
def test_pooling_joins_without_effect_and_then_has_one(name):
    network = SMALL[name]((1, 12, 12), n_clusters=3).eval()
    z, q = torch.randn(5, 4), assignments(5, 3)
    np.testing.assert_array_equal(network.decode(z, q).detach(), network.decode(z).detach())
    torch.nn.init.normal_(network.pooling.project.weight)
    assert not torch.allclose(network.decode(z, q), network.decode(z))
    without = SMALL[name]((1, 12, 12))
    assert without.pooling is None
    without.decode(z, q)


@every_network
def test_pooling_reaches_the_clusters_of_a_row_alone(name):
    """With hard assignments, another cluster's statistics change nothing for a row."""
    network = SMALL[name]((1, 12, 12), n_clusters=2).eval()
    torch.nn.init.normal_(network.pooling.project.weight)
    z, q = torch.randn(4, 4), torch.eye(2)[[0, 0, 1, 1]]
    before = network.decode(z, q).detach()
    network.pooling.mean[1] += 1
    after = network.decode(z, q).detach()
    np.testing.assert_array_equal(after[:2], before[:2])
    assert (after[2:] != before[2:]).flatten(1).any(dim=1).all()


@every_network
def test_gradients_reach_all_parameters(name):
    network = SMALL[name]((1, 12, 12), n_clusters=3)
    torch.nn.init.normal_(network.pooling.project.weight)
    x = torch.rand(20, 1, 12, 12)
    encoding = network.encoding(x) if name != "cnn" else None
    code, more = (network.encode(x), ()) if encoding is None else (encoding.code, encoding.skips)
    output = network.decode(code, assignments(20, 3), *([more] if more else []))
    ((output - x) ** 2).sum().backward()
    for parameter_name, parameter in network.named_parameters():
        assert parameter.grad is not None, parameter_name
        assert parameter.grad.abs().sum() > 0, parameter_name


@convolutional
@pytest.mark.parametrize("n", [1, 2])
def test_a_batch_of_one_value_a_channel_can_be_trained_on(name, n):
    network = SMALL[name]((1, 3, 3), n_clusters=2)
    output = network.decode(network.encode(torch.rand(n, 1, 3, 3)), assignments(n, 2))
    assert torch.isfinite(output).all()


@convolutional
@pytest.mark.parametrize("shape", [(1, 6, 4), (3, 10, 3), (1, 8, 8), (1, 5, 1)])
def test_bfloat16_is_finite_on_narrow_images(name, shape):
    """Memory that was freed with NaN in it must not come back in anyone's maps."""
    network = {"cnn": CNNAutoencoder, "unet": UNetAutoencoder}[name](shape, 4)
    for n in (5, 40, 225):
        for _ in range(3):
            for size in (500, 5000, 50_000, 500_000):
                torch.full((size,), float("nan"))
            with torch.autocast("cpu", torch.bfloat16):
                output = network(torch.rand(n, *shape))
            output.float().square().mean().backward()
            assert torch.isfinite(output).all()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())


def test_batch_norm_of_one_value_takes_the_running_estimates():
    norm = BatchNorm(2)
    norm(torch.randn(50, 2, 3, 3) * 4 + 1)
    running = norm.running_mean.clone(), norm.running_var.clone()
    x = torch.randn(1, 2, 1, 1)
    expected = (x.flatten() - running[0]) / (running[1] + norm.eps).sqrt()
    np.testing.assert_allclose(norm(x).flatten().detach(), expected, rtol=1e-5)
    np.testing.assert_array_equal(norm.running_mean, running[0])
    y = torch.randn(7, 2, 1, 1)
    expected = (y - y.mean(dim=0)) / (y.var(dim=0, correction=0) + norm.eps).sqrt()
    np.testing.assert_allclose(norm(y).detach(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: CNNAutoencoder((7,)), r"must be \(C, H, W\), got \(7,\)"),
        (lambda: UNetAutoencoder((28, 28)), r"must be \(C, H, W\), got \(28, 28\)"),
        (lambda: CNNAutoencoder((1, 8, 8), channels=(2, 3)), r"four numbers, got \(2, 3\)"),
        (lambda: UNetAutoencoder((1, 8, 8), channels=(2,)), r"three numbers, got \(2,\)"),
    ],
)
def test_bad_parameters_of_networks(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ------------------------------------------------------------------ running statistics


@convolutional
def test_clustering_begins_with_the_statistics_of_whole_rows(name):
    X = images(60, 10, 7)
    network = StatDEC(3, network=name, **QUICK | {"max_epochs": 0}).fit(X).net_.module_
    settled = copy.deepcopy(network.state_dict())
    convolution, norm = layers(network, torch.nn.Conv2d)[0], layers(network, BatchNorm)[0]
    assert norm.momentum == 0.1
    x = torch.tensor(X[:, None] / 255, dtype=torch.float32) - network.row_mean
    padding = layers(network, torch.nn.ZeroPad2d)[0]
    maps = convolution(padding(x)).detach().double().transpose(0, 1).flatten(1)
    np.testing.assert_allclose(norm.running_mean, maps.mean(dim=1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(norm.running_var, maps.var(dim=1), rtol=1e-4)
    # The others are those of a pass of all rows, but for one that sees skips dropped at random.
    for layer in [network.train(), *layers(network, BatchNorm)]:
        layer.momentum = 1.0
    network(x + network.row_mean)
    for key, value in network.state_dict().items():
        if not key.startswith(("up.1", "n_seen")) and not key.endswith("tracked"):
            np.testing.assert_allclose(value, settled[key], rtol=1e-3, atol=1e-5, err_msg=key)


def source_of(rows):
    return TensorSource(rows, Preprocessor.identity(rows.shape[1]), "cpu")


def test_settled_statistics_are_plain_means_over_batches_of_all_kinds_of_rows():
    rows = np.arange(1200, dtype=np.float32).reshape(600, 2)  # in an order that must not matter
    norms = [torch.nn.BatchNorm1d(2, momentum=m) for m in (0.3, None)]
    frozen = torch.nn.BatchNorm1d(2)
    frozen.train = lambda mode=True: frozen
    torch.nn.Module.train(frozen, False)
    frozen.running_mean.fill_(7)
    module = torch.nn.Sequential(torch.nn.Dropout(0.5), *norms, frozen)
    module(torch.full((5, 2), 1e9))
    before, sizes = torch.get_rng_state(), []

    def run(x):
        sizes.append(len(x))
        module(x)

    settle_statistics(module, source_of(rows), run, 3, rows=250)
    assert sizes == [200, 200, 200]
    np.testing.assert_allclose(norms[0].running_mean, rows.mean(axis=0), rtol=1e-5)
    # Batches that were neighbours would have a ninth of the variance.
    np.testing.assert_allclose(norms[0].running_var, rows.var(axis=0), rtol=0.05)
    np.testing.assert_allclose(norms[1].running_mean, 0, atol=1e-5)
    np.testing.assert_allclose(norms[1].running_var, 200 / 199, rtol=1e-4)
    assert [norm.momentum for norm in norms] == [0.3, None]
    assert frozen.running_mean.tolist() == [7, 7]
    assert not any(layer.training for layer in module.modules())
    assert torch.equal(torch.get_rng_state(), before)


def test_a_single_row_settles_nothing():
    norm = torch.nn.BatchNorm1d(2)
    norm(torch.randn(9, 2))
    before = norm.running_mean.clone()
    settle_statistics(norm, source_of(np.ones((1, 2), dtype=np.float32)), norm, 0)
    assert torch.equal(norm.running_mean, before)


# ------------------------------------------------------------------ skips


def test_skips_of_a_share_of_the_rows_are_their_means_in_training():
    network = UNetAutoencoder((1, 12, 12), 4, (3, 4, 5), skip_dropout=0.3)
    x = torch.rand(500, 1, 12, 12)
    encoding = network.encoding(x)
    dropped = [
        (skip == mean).flatten(1).all(dim=1)
        for skip, mean in zip(encoding.skips, network.skip_means, strict=True)
    ]
    assert torch.equal(dropped[0], dropped[1])  # all skips of a row, or none
    assert abs(dropped[0].float().mean().item() - 0.3) < 5 * (0.3 * 0.7 / 500) ** 0.5


def test_running_means_of_skips_are_those_of_the_data():
    network = UNetAutoencoder((1, 12, 12), 4, (3, 4, 5))
    x = torch.rand(8, 1, 12, 12)
    network.eval()
    assert not network.skip_means[0].any()
    expected = [skip.mean(dim=0) for skip in network.encoding(x).skips]
    assert network.n_seen == 0
    network.train()
    for layer in network.modules():  # with its running estimates, to compare with the above
        if isinstance(layer, torch.nn.BatchNorm2d):
            layer.eval()
    for part in x.split(4):
        network.encoding(part)
    for mean, skip in zip(network.skip_means, expected, strict=True):
        np.testing.assert_allclose(mean, skip.detach(), rtol=1e-5, atol=1e-6)


def test_without_skips_their_means_are_decoded():
    network = SMALL["unet"]((1, 12, 12))
    network.encoding(torch.rand(50, 1, 12, 12))
    network.eval()
    z = torch.randn(6, 4)
    means = tuple(mean.expand(6, *mean.shape) for mean in network.skip_means)
    expected = network.decode(z, None, means)
    np.testing.assert_array_equal(network.decode(z).detach(), expected.detach())
    zeros = tuple(torch.zeros_like(mean) for mean in means)
    assert not torch.allclose(network.decode(z, None, zeros), expected)


@pytest.mark.parametrize("seed", [0, *(pytest.param(s, marks=pytest.mark.slow) for s in (1, 2))])
def test_the_embedding_of_a_unet_holds_the_image_when_skips_are_dropped(seed):
    """Decoded from the embedding alone; a plain UNet leaves the image to its skips."""
    X = load_digits().images[:300]
    error = {}
    for share in (0.0, 0.5):
        model = StatDEC(
            10,
            network=lambda shape, share=share: UNetAutoencoder(
                shape, 10, (8, 16, 32), skip_dropout=share
            ),
            pretrain_epochs=25,
            max_epochs=0,
            statistics_pooling=False,
            random_state=seed,
            precision="float32",
        ).fit(X)
        decoded = model.inverse_transform(model.transform(X))
        error[share] = ((decoded - X) ** 2).mean() / X.var(axis=0).mean()
    assert error[0.5] < 0.7  # of the variance: the mean image has 1
    assert error[0.0] > 1.3 * error[0.5]


# ------------------------------------------------------------------ the variational encoder


def test_divergence_is_that_of_normal_distributions():
    rng = np.random.default_rng(0)
    mean, log_variance = rng.normal(size=(2, 5, 3))
    # by quadrature of each dimension's integrand
    t = np.linspace(-30, 30, 200_001)[:, None, None]
    sigma = np.exp(log_variance / 2)
    log_p = -((t - mean) ** 2) / (2 * sigma**2) - np.log(sigma * np.sqrt(2 * np.pi))
    log_r = -(t**2) / 2 - np.log(np.sqrt(2 * np.pi))
    expected = np.trapezoid(np.exp(log_p) * (log_p - log_r), t[:, 0, 0], axis=0).sum(axis=1)
    got = standard_normal_divergence(torch.tensor(mean), torch.tensor(log_variance))
    np.testing.assert_allclose(got, expected, rtol=1e-9)


def test_gradient_of_the_divergence():
    mean, log_variance = torch.randn(2, 4, 3, dtype=torch.float64).requires_grad_().unbind()
    assert torch.autograd.gradcheck(standard_normal_divergence, (mean, log_variance))


def test_codes_are_draws_around_the_embedding():
    network = VariationalAutoencoder((6,), 2, (8, 8))
    x = torch.randn(1, 6).expand(20_000, 6)
    encoding = network.encoding(x)
    mean, variance = encoding.z[0], encoding.divergence
    hidden = network.encoder[1](network.encoder[0](x[:1]).relu()).relu()
    log_variance = network.log_variance(hidden)[0]
    deviation = (log_variance / 2).exp()
    np.testing.assert_allclose(mean.detach(), network.encode(x[:1])[0].detach(), rtol=1e-5)
    error = ((encoding.code.mean(dim=0) - mean) / deviation).abs()
    assert (error < 5 / 20_000**0.5).all()
    np.testing.assert_allclose(
        encoding.code.std(dim=0).detach(), deviation.detach(), rtol=5 / 40_000**0.5
    )
    expected = standard_normal_divergence(mean[None], log_variance[None])
    np.testing.assert_allclose(variance[0].detach(), expected[0].detach(), rtol=1e-5)


def test_out_of_training_the_code_is_the_embedding():
    network = VariationalAutoencoder((6,), 2, (8, 8)).eval()
    encoding = network.encoding(torch.randn(5, 6))
    np.testing.assert_array_equal(encoding.code.detach(), encoding.z.detach())


def test_layers_of_the_variational_autoencoder_can_be_trained_one_by_one():
    X = np.random.default_rng(0).normal(size=(80, 5))
    model = StatDEC(3, network="vae", layerwise_epochs=1, **QUICK).fit(X)
    assert [row["phase"] for row in model.history_[:4]] == ["layer-wise"] * 4


# ------------------------------------------------------------------ the estimator


@pytest.fixture(scope="module", params=["cnn", "unet", "unet colour", "vae", "vae colour"])
def fitted(request):
    """An estimator with each network, of 8-bit images; those of the CNN are in colour, too."""
    name, *color = request.param.split()
    X = images(60, 10, 7, channels=3 if color or name == "cnn" else None)
    return StatDEC(3, network=name, **QUICK).fit(X), X


def test_labels_are_the_predictions(fitted):
    model, X = fitted
    np.testing.assert_array_equal(model.predict(X), model.labels_)
    np.testing.assert_allclose(model.predict_proba(X).sum(axis=1), 1, rtol=1e-5)
    assert model.transform(X).shape == (60, 4)
    assert model.get_feature_names_out().shape == (4,)


def test_the_same_seed_gives_the_same_answers(fitted):
    model, X = fitted
    again = StatDEC(3, network=model.network, **QUICK).fit(X)
    np.testing.assert_array_equal(again.transform(X), model.transform(X))


def test_rows_stand_alone(fitted):
    model, X = fitted
    rng = np.random.default_rng(0)
    many = rng.integers(0, 256, (1500, *X.shape[1:]), dtype=np.uint8)
    Z = model.transform(many)
    whole = {
        "transform": Z,
        "predict_proba": model.predict_proba(many),
        "inverse_transform": model.inverse_transform(Z),
    }
    for rows in ([0], [1499], rng.permutation(1500)[:3], rng.permutation(1500)[:1100]):
        np.testing.assert_array_equal(model.transform(many[rows]), whole["transform"][rows])
        np.testing.assert_array_equal(model.predict_proba(many[rows]), whole["predict_proba"][rows])
        decoded = model.inverse_transform(Z[rows])
        np.testing.assert_array_equal(decoded, whole["inverse_transform"][rows])


def test_decoded_rows_have_the_shape_and_units_of_the_data(fitted):
    model, X = fitted
    Z = model.transform(X)
    decoded = model.inverse_transform(Z)
    assert decoded.shape == X.shape
    q = torch.tensor(model.predict_proba(X)).double()
    network = copy.deepcopy(model.net_.module_).double()
    expected = network.decode(torch.tensor(Z).double(), q).detach().numpy()
    expected = 255 * (expected[:, 0] if X.ndim == 3 else expected.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(decoded, expected, atol=0.01)


def test_saved_and_loaded(fitted, tmp_path):
    model, X = fitted
    model.save(tmp_path / "model")
    same = skdeepcluster.load(tmp_path / "model")
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))
    np.testing.assert_array_equal(
        same.inverse_transform(model.cluster_centers_),
        model.inverse_transform(model.cluster_centers_),
    )
    assert same.score(X) == model.score(X)


@every_network
@pytest.mark.parametrize("saving", [True, False])  # False: the file is that of the phase's end
def test_an_interrupted_run_ends_as_if_nothing_had_happened(name, saving, tmp_path):
    X = images()
    whole = StatDEC(3, network=name, **QUICK).fit(X)

    class Stop(Exception):
        pass

    def stop(net, **kwargs):
        if net.phase_.name == "clustering" and net.step_count_ == 3:
            if saving:
                net._save()
            raise Stop

    callback = Callback()
    callback.on_batch_end = stop
    model = StatDEC(3, network=name, checkpoint=tmp_path, callbacks=[callback], **QUICK)
    with pytest.raises(Stop):
        model.fit(X)
    resumed = model.set_params(callbacks=None).fit(X)
    np.testing.assert_array_equal(resumed.transform(X), whole.transform(X))


def test_assignments_are_those_of_the_mean_whatever_is_drawn():
    expected, found = [], []

    class Recorder(Callback):
        def on_batch_begin(self, net, batch=None, **kwargs):
            if net.phase_.name == "clustering":
                with torch.no_grad():
                    log_q = net.assignment_(net.module_.encode(batch.x))
                    expected.append(kl_divergence(net.target_[batch.index], log_q).item())

        def on_batch_end(self, net, kl=None, **kwargs):
            if kl is not None:
                found.append(kl.item())

    StatDEC(3, network="vae", callbacks=[Recorder()], **QUICK).fit(images())
    assert len(found) == 16
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-7)


def test_score_has_the_part_of_the_prior():
    X = np.random.default_rng(0).normal(size=(80, 5))
    model = StatDEC(3, network="vae", beta=0.5, **QUICK).fit(X)
    score = model.score(X)
    encoding = model.net_.encoding(torch.tensor((X - X.mean(0)) / X.std(0)).float())
    divergence = encoding.divergence.mean().item()
    model.net_.beta = 0.0
    assert model.score(X) - score == pytest.approx(0.9 * 0.5 * divergence / 5, rel=1e-4)


@pytest.mark.parametrize("network", ["mlp", "cnn", "unet"])
def test_score_rates_what_the_embedding_holds(network):
    """Not what the skips of a UNet carry past it."""
    X = np.random.default_rng(0).random((40, 8, 8))
    model = StatDEC(3, network=network, **QUICK | {"lam": 0.0}).fit(X)
    error = ((model.inverse_transform(model.transform(X)) - X) ** 2).mean()
    assert model.score(X) == pytest.approx(-error / (X**2).mean(), rel=1e-4)


@pytest.mark.parametrize("share", [-0.1, 2, np.nan])
def test_share_of_skips_that_are_dropped(share):
    with pytest.raises(ValueError, match=r"skip_dropout must be a finite number in \[0, 1\]"):
        UNetAutoencoder((1, 8, 8), skip_dropout=share)


@pytest.mark.parametrize("network", [CNNAutoencoder, UNetAutoencoder])
def test_images_have_a_side(network):
    with pytest.raises(ValueError, match=r"1 at least in each place, got \(1, 0, 8\)"):
        network((1, 0, 8))


def test_terms_of_the_variational_objective_in_history():
    X = images()
    model = StatDEC(2, network="vae", beta=0.3, **QUICK).fit(X)
    for row in model.history_:
        assert row["divergence"] > 0
    row = model.history_[-1]
    error = row["reconstruction"] + 0.3 * row["divergence"] / 24  # numbers of an image
    assert row["loss"] == pytest.approx(0.1 * row["kl"] + 0.9 * error, rel=1e-5)


def test_a_larger_beta_brings_embeddings_nearer_to_the_prior():
    X = load_digits().images[:400]
    divergence = [
        StatDEC(3, network="vae", **QUICK | {"beta": beta, "pretrain_epochs": 20, "max_epochs": 0})
        .fit(X)
        .history_[-1]["divergence"]
        for beta in (0.0, 0.01, 10.0)
    ]
    assert divergence[0] > divergence[1] > divergence[2]


@convolutional
def test_convolutions_are_for_images(name):
    with pytest.raises(ValueError, match=f"network='{name}' is for images.*pass image_shape"):
        StatDEC(3, network=name, **QUICK).fit(np.zeros((20, 5)))


@every_network
def test_dec_needs_no_decoder(name):
    params = QUICK | {"lam": 1.0, "statistics_pooling": False, "weighted_target": False}
    model = StatDEC(3, network=name, **params).fit(images())
    assert "reconstruction" not in model.history_[-1]


@every_network
@pytest.mark.parametrize(("precision", "seed"), [("float32", 0), ("float32", 1), ("bfloat16", 2)])
def test_two_kinds_of_images_are_told_apart(name, precision, seed):
    X = images(40)
    params = QUICK | {"pretrain_epochs": 10, "precision": precision, "random_state": seed}
    labels = StatDEC(2, network=name, **params).fit_predict(X)
    assert clustering_accuracy(np.arange(40) % 2, labels) == 1


def test_a_network_of_ones_own_may_have_an_encoding():
    class Noisy(MLPAutoencoder):
        def encoding(self, x):
            z = self.encode(x)
            return skdeepcluster.networks.Encoding(z, z + torch.randn_like(z))

    model = StatDEC(3, network=lambda shape: Noisy(shape, 4, (8, 8), 3), **QUICK)
    assert model.fit(images()).labels_.shape == (60,)


@pytest.mark.gpu
@every_network
def test_on_cuda(name):
    X = images(80, 12, 12)
    params = QUICK | {"pretrain_epochs": 20, "max_epochs": 5}
    model = StatDEC(2, network=name, device="cuda", **params).fit(X)
    assert clustering_accuracy(np.arange(80) % 2, model.labels_) == 1
    model.inverse_transform(model.transform(X))


@every_network
@pytest.mark.parametrize("pooling", [False, True])
def test_compiled_as_a_whole_the_objective_is_the_same(name, pooling, monkeypatch):
    compile_ = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda function: compile_(function, backend="eager", fullgraph=True)
    )
    X = images(60, 12, 12)  # of 8 by 8 the UNet would embed five numbers, which may all be zero
    n_clusters = 2 if pooling else None
    params = QUICK | {"network": lambda shape: SMALL[name](shape, n_clusters=n_clusters)}
    params |= {"pretrain_epochs": 1, "statistics_pooling": pooling}
    plain, compiled = (StatDEC(2, compile=c, **params).fit(X) for c in (False, True))
    for one, other in zip(plain.history_, compiled.history_, strict=True):
        assert other["reconstruction"] == pytest.approx(one["reconstruction"], rel=1e-5)


@convolutional
def test_sizes_of_dense_layers_do_not_matter_to_convolutions(name):
    X = images(40, 6, 6)
    one, other = (
        StatDEC(2, network=name, **QUICK | {"hidden_sizes": sizes}).fit(X)
        for sizes in ((16,), (16, 16, 16))
    )
    np.testing.assert_array_equal(one.transform(X), other.transform(X))
    with pytest.raises(ValueError, match=r"2 ints at least, got \(16,\)"):
        StatDEC(2, network="vae", **QUICK | {"hidden_sizes": (16,)}).fit(X)

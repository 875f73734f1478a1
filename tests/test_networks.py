"""Networks: shapes, and statistics pooling against an independent calculation."""

import copy

import numpy as np
import pytest
import torch

from skdeepcluster.networks import MLPAutoencoder, StatisticsPooling, StudentTAssignment


@pytest.fixture(autouse=True)
def _seed():
    with torch.random.fork_rng():
        torch.default_generator.manual_seed(0)
        yield


def assignments(n, n_clusters, seed=0):
    rng = np.random.default_rng(seed)
    return torch.tensor(rng.dirichlet(np.ones(n_clusters), size=n))


class TestStatisticsPooling:
    def make(self, n_clusters=3, **params):
        pool = StatisticsPooling(4, 6, n_clusters, width=5, **params).double()
        torch.nn.init.normal_(pool.project.weight)
        return pool

    def test_statistics_are_weighted_means_and_variances(self):
        pool, q = self.make(), assignments(50, 3)
        phi = torch.randn(50, 5, dtype=torch.float64) + 100  # far from 0: variances must survive
        share, mean, variance = pool.statistics(phi, q)
        for k in range(3):
            weights = q[:, k].numpy()
            expected = np.average(phi.numpy(), axis=0, weights=weights)
            spread = np.average((phi.numpy() - expected) ** 2, axis=0, weights=weights)
            np.testing.assert_allclose(mean[k], expected, rtol=1e-10)
            np.testing.assert_allclose(variance[k], spread, rtol=1e-8)
            assert share[k].item() == pytest.approx(weights.mean())

    def test_a_row_receives_its_clusters_statistics(self):
        pool, q = self.make(), assignments(30, 3)
        h = torch.randn(30, 4, dtype=torch.float64)
        out = pool(h, q).detach()
        share, mean, variance = pool.statistics(pool.shared(h).relu(), q)
        for i in (0, 7):
            row = sum(
                q[i, k] * torch.cat([share[k : k + 1], mean[k], variance[k]]) for k in range(3)
            )
            np.testing.assert_allclose(out[i], (pool.project.weight @ row).detach())

    def test_it_joins_without_effect(self):
        pool = StatisticsPooling(4, 6, 3)
        assert not pool(torch.randn(10, 4), assignments(10, 3).float()).any()

    def test_an_empty_cluster_lends_its_running_estimate(self):
        pool = self.make()
        full = assignments(40, 3)
        pool.statistics(torch.randn(40, 5, dtype=torch.float64), full)
        before = pool.mean[2].clone(), pool.variance[2].clone()
        q = full[:10].clone()
        q[:, 2] = 0.01  # 0.1 of a sample in all
        _, mean, variance = pool.statistics(torch.randn(10, 5, dtype=torch.float64), q)
        np.testing.assert_array_equal(mean[2], before[0])
        np.testing.assert_array_equal(variance[2], before[1])
        np.testing.assert_array_equal(pool.mean[2], before[0])
        assert pool.share[2] < 0.3  # that it is small is known all the same

    def test_first_batch_is_taken_whole(self):
        pool = self.make()
        _, mean, _ = pool.statistics(torch.ones(20, 5, dtype=torch.float64), assignments(20, 3))
        np.testing.assert_allclose(pool.mean, mean)

    def test_running_estimates_approach_those_of_the_data(self):
        pool, q = self.make(momentum=0.02), assignments(2000, 3)
        phi = torch.randn(2000, 5, dtype=torch.float64).square()
        for _ in range(20):
            for index in torch.randperm(2000).chunk(20):
                pool.statistics(phi[index], q[index])
        expected = (q.T / q.sum(dim=0)[:, None]) @ phi
        np.testing.assert_allclose(pool.mean, expected, atol=0.15)

    def test_evaluation_does_not_depend_on_the_batch(self):
        pool, q = self.make(), assignments(30, 3)
        h = torch.randn(30, 4, dtype=torch.float64)
        pool(h, q)
        pool.eval()
        alone = torch.cat([pool(h[i : i + 1], q[i : i + 1]) for i in range(30)])
        np.testing.assert_allclose(alone.detach(), pool(h, q).detach(), rtol=1e-6)

    def test_evaluation_changes_no_estimate(self):
        pool = self.make().eval()
        before = copy.deepcopy(pool.state_dict())
        pool(torch.randn(30, 4, dtype=torch.float64), assignments(30, 3))
        for name, value in pool.state_dict().items():
            np.testing.assert_array_equal(value, before[name])

    def test_gradients_reach_features_and_assignments(self):
        pool = self.make()
        h = torch.randn(30, 4, dtype=torch.float64, requires_grad=True)
        q = assignments(30, 3).requires_grad_()
        pool(h, q).square().sum().backward()
        assert h.grad.abs().sum() > 0
        assert q.grad.abs().sum() > 0
        assert torch.isfinite(q.grad).all()

    def test_statistics_are_not_coarse_under_autocast(self):
        pool, q = self.make().float(), assignments(50, 3).float()
        h = torch.randn(50, 4) + 20
        with torch.autocast("cpu", torch.bfloat16):
            pool(h, q)
            phi = pool.shared(h).relu().float()
        pool.n_seen.zero_()
        pool.statistics(phi, q)
        expected = pool.variance.clone()
        pool.n_seen.zero_()
        with torch.autocast("cpu", torch.bfloat16):
            out = pool(h, q)
        np.testing.assert_allclose(pool.variance, expected, rtol=1e-4)
        assert out.dtype == torch.float32

    def test_gradients_are_finite_with_an_empty_cluster(self):
        pool = self.make()
        q = torch.tensor([[1.0, 0.0, 0.0]] * 5, dtype=torch.float64, requires_grad=True)
        pool(torch.ones(5, 4, dtype=torch.float64), q).sum().backward()
        assert torch.isfinite(q.grad).all()


class TestMLPAutoencoder:
    @pytest.mark.parametrize("shape", [(7,), (1, 5, 4), (3, 4, 4)])
    def test_shapes(self, shape):
        network = MLPAutoencoder(shape, embedding_dim=2, hidden=(6, 5, 4), n_clusters=3)
        x = torch.randn(9, *shape)
        z = network.encode(x)
        assert z.shape == (9, 2)
        assert network.decode(z).shape == x.shape
        assert network.decode(z, assignments(9, 3).float()).shape == x.shape

    def test_layers_are_those_of_the_paper(self):
        network = MLPAutoencoder((784,))
        assert [layer.out_features for layer in network.encoder] == [500, 500, 1000, 10]
        assert [layer.out_features for layer in network.decoder] == [1000, 500, 500, 784]

    def test_pooling_sits_on_the_second_hidden_layer_of_the_decoder(self):
        network = MLPAutoencoder((784,), n_clusters=10)
        assert network.pooling.shared.in_features == 500
        assert network.pooling.project.out_features == network.decoder[2].out_features

    def test_embedding_and_output_are_not_rectified(self):
        network = MLPAutoencoder((7,), embedding_dim=3, hidden=(6, 5))
        x = torch.randn(200, 7)
        assert (network.encode(x) < 0).any()
        assert (network.decode(network.encode(x)) < 0).any()

    def test_layer_autoencoder_reconstructs_the_clean_input_of_its_layer(self):
        network = MLPAutoencoder((7,), embedding_dim=3, hidden=(6, 5))
        x = torch.randn(20, 7)
        output, target = network.layer_autoencoder(0, x, 0.5)
        np.testing.assert_array_equal(target, x)
        assert (output < 0).any()  # the input may be negative, so may be its reconstruction
        output, target = network.layer_autoencoder(1, x, 0.5)
        np.testing.assert_allclose(target, network.encoder[0](x).relu().detach())
        assert (output >= 0).all()

    @pytest.mark.parametrize(("index", "hidden"), [(0, (80, 5)), (1, (40, 80))])
    def test_layer_autoencoder_hides_what_enters_the_layer_and_what_leaves_it(self, index, hidden):
        network = MLPAutoencoder((40,), hidden=hidden)
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
            one = torch.eye(40)
            if index == 1:
                network.encoder[0].weight.copy_(one)
            # Two units for each number; its reconstruction tells which of them are there.
            network.encoder[index].weight.copy_(torch.cat([one, one]))
            network.decoder[-1 - index].weight.copy_(torch.cat([one, 3 * one], dim=1))
        output, target = network.layer_autoencoder(index, torch.ones(2500, 40), 0.25)
        assert (target == 1).all()
        # What is left is scaled up, by either dropout.
        found, counts = np.unique((output * 0.75**2).detach().round(decimals=4), return_counts=True)
        np.testing.assert_array_equal(found, [0, 1, 3, 4])
        there, both = 0.75, 0.75**2
        one_alone = there * 0.75 * 0.25
        expected = np.array([1 - there * both - 2 * one_alone, one_alone, one_alone, there * both])
        # Within five standard deviations, were all numbers drawn for themselves
        bound = 5 * np.sqrt(expected * (1 - expected) / output.numel())
        assert (np.abs(counts / output.numel() - expected) < bound).all()

    def test_layers_share_no_parameters_and_cover_all(self):
        network = MLPAutoencoder((7,), hidden=(6, 5))
        seen = [p for i in range(network.n_layers) for p in network.layer_parameters(i)]
        assert len({id(p) for p in seen}) == len(seen)
        assert {id(p) for p in seen} == {id(p) for p in network.parameters()}

    def test_a_layers_loss_reaches_only_its_own_parameters(self):
        network = MLPAutoencoder((7,), hidden=(6, 5))
        output, target = network.layer_autoencoder(1, torch.randn(20, 7), 0.2)
        (output - target).square().sum().backward()
        own = {id(p) for p in network.layer_parameters(1)}
        for parameter in network.parameters():
            assert (parameter.grad is not None) == (id(parameter) in own)

    def test_pooling_needs_two_hidden_layers(self):
        with pytest.raises(ValueError, match=r"two sizes at least, got \(6,\)"):
            MLPAutoencoder((7,), hidden=(6,), n_clusters=2)


def test_assignment_keeps_float32_under_autocast():
    assignment = StudentTAssignment(3, 2)
    with torch.autocast("cpu", torch.bfloat16):
        log_q = assignment(torch.randn(4, 2).bfloat16())
    assert log_q.dtype == torch.float32
    np.testing.assert_allclose(log_q.exp().sum(dim=1).detach(), np.ones(4), rtol=1e-5)

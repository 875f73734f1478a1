"""VariationalGMMClustering: a variational autoencoder whose prior is a mixture of Gaussians."""

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from skdeepcluster._base import DeepClusterer
from skdeepcluster._training import Batch, ClusteringNet, Phase
from skdeepcluster.networks import MixtureConv, MixtureLatent, MixtureMLP
from skdeepcluster.networks._mixture import bounded_variance
from skdeepcluster.objectives import (
    bernoulli_log_likelihood,
    gaussian_kl,
    gaussian_log_likelihood,
    mixture_elbo,
    smallest_set,
    squared_wasserstein,
)


class VariationalGMMNet(ClusteringNet):
    """The training side of :class:`VariationalGMMClustering`; see there for the parameters."""

    def __init__(
        self,
        module,
        *,
        input_shape,
        n_clusters,
        embedding_dim,
        likelihood,
        lambda_recons,
        lambda_aug,
        aug_terms,
        augment,
        augmented_elbo,
        posterior_mass,
        max_epochs,
        learning_rate,
        **kwargs,
    ):
        self.input_shape = input_shape
        self.n_clusters = n_clusters
        self.embedding_dim = embedding_dim
        self.likelihood = likelihood
        self.lambda_recons = lambda_recons
        self.lambda_aug = lambda_aug
        self.aug_terms = aug_terms
        self.augment = augment
        self.augmented_elbo = augmented_elbo
        self.posterior_mass = posterior_mass
        super().__init__(module, max_epochs=max_epochs, lr=learning_rate, **kwargs)

    def initialize_module(self):
        """Build encoder and decoder and, for their features, the latent side."""
        super().initialize_module()
        module = self.module_
        module.eval()  # a look at the shapes must not move the statistics of batch norm
        parameter = next(module.parameters(), torch.empty(0))
        with torch.no_grad():
            features = self.encode(torch.zeros(2, *self.input_shape, device=parameter.device))
            output = module.decode(torch.zeros(2, self.embedding_dim, device=parameter.device))
        sizes = [h.shape[1] if h.ndim == 2 and len(h) == 2 else None for h in features]
        if len(sizes) != 2 or None in sizes:
            raise ValueError(
                "network.encode must map a batch of n inputs to features of shape (n, f), or to "
                "two such tensors, but 2 inputs gave the shapes "
                f"{[tuple(h.shape) for h in features]}."
            )
        n_outputs = 2 if self.likelihood == "gaussian" else 1
        expected = (2, n_outputs * self.input_shape[0], *self.input_shape[1:])
        if tuple(output.shape) != expected:
            raise ValueError(
                f"network.decode must give the shape {expected} for 2 embeddings and the "
                f"likelihood {self.likelihood!r}, got {tuple(output.shape)}."
            )
        self.latent_ = MixtureLatent(
            self.n_clusters,
            *sizes,
            self.embedding_dim,
            getattr(module, "posterior_sizes", (256,)),
            getattr(module, "prior_sizes", ()),
            getattr(module, "negative_slope", 0.0),
        )
        return self

    #: The end of the schedule is the end that is meant.
    fixed_schedule = True

    @property
    def inference_cost(self) -> int:
        """Convolutions hold up to 64 or 96 numbers for a pixel."""
        return 64 if isinstance(self.module_, MixtureConv) else 1

    # ------------------------------------------------------------------ the model

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features for q(k|x) and for q(z|x,k), the same ones where the network has but one."""
        h = self.module_.encode(x)
        return h if isinstance(h, tuple | list) else (h, h)

    def infer(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """log q(k|x) of shape (n, K), means and variances of q(z|x,k), each (n, K, e) (eq. 11)."""
        h, h_posterior = self.encode(x)
        mean, variance = self.latent_.posterior(self.latent_.project(h_posterior))
        return self.latent_.log_assignment(h), mean, variance

    def log_likelihood(self, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Log p(x|z) of each row (eq. 9), from what the decoder gave."""
        output = output.float()
        if self.likelihood == "bernoulli":
            return bernoulli_log_likelihood(x, output)
        mean, raw = output.chunk(2, dim=1)
        return gaussian_log_likelihood(x, mean, bounded_variance(raw))

    def decode_mean(self, z: torch.Tensor) -> torch.Tensor:
        """Mean of p(x|z), shape (n, *input_shape)."""
        output = self.module_.decode(z).float()
        return output.sigmoid() if self.likelihood == "bernoulli" else output.chunk(2, dim=1)[0]

    def row_elbo(self, x: torch.Tensor) -> torch.Tensor:
        """ELBO of each row (eq. 13) with z at the posteriors' means and every component."""
        log_q, mean, variance = self.infer(x)
        output = self.module_.decode(mean.flatten(0, 1))  # (n K, ...)
        repeated = x.repeat_interleave(self.n_clusters, dim=0)
        log_likelihood = self.log_likelihood(repeated, output).unflatten(0, log_q.shape)
        kl = gaussian_kl(mean, variance, *self.latent_.prior())
        return mixture_elbo(log_q, log_likelihood, kl)["elbo"]

    # ------------------------------------------------------------------ training

    def phases(self) -> list[Phase]:
        """One: there is no pre-training."""
        return [Phase("clustering", self.max_epochs)]

    def configure_phase(self) -> None:
        """Make Adam, for encoder, decoder and latent side alike."""
        parameters = [*self.module_.parameters(), *self.latent_.parameters()]
        self.optimizer_ = torch.optim.Adam(parameters, lr=self.lr, fused=True)

    def begin_epoch(self) -> None:
        """Read the schedules."""
        self._read_schedules()

    def _read_schedules(self) -> None:
        self.weights_ = {
            "recons": self.lambda_recons(self.phase_epoch_),
            "aug": self.lambda_aug(self.phase_epoch_),
        }

    def training_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One step on eq. 18."""
        x, augmented = batch.x, None
        if self.augment is not None:
            augmented = self.augment(x)
        terms = self.compiled(self._objective)(
            x, augmented, self.weights_["recons"], self.weights_["aug"]
        )
        self.descend(terms["loss"], batch, self.optimizer_)
        return {name: term.detach() for name, term in terms.items()}

    def end_epoch(self, means: dict[str, float]) -> dict:
        """Weights of the epoch."""
        return {"lambda_recons": self.weights_["recons"], "lambda_aug": self.weights_["aug"]}

    def load_method_state(self, state: dict) -> None:
        """Read the schedules of the epoch that goes on."""
        self._read_schedules()

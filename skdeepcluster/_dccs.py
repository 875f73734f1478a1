"""DCCS: clustering by a representation of category and style."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from skdeepcluster._base import DeepClusterer
from skdeepcluster._training import Batch, ClusteringNet, Phase
from skdeepcluster._validation import check_boolean, check_choice, check_integer, check_real
from skdeepcluster.augmentation import (
    color_jitter,
    feature_dropout,
    feature_noise,
    random_geometry,
    shuffle_channels,
)
from skdeepcluster.networks import (
    CategoryStyleEncoder,
    ConvDecoder,
    ConvEncoder,
    Critic,
    Discriminator,
    MLPDecoder,
    MLPEncoder,
    ResidualDecoder,
    ResidualEncoder,
)
from skdeepcluster.networks._encoders import COLOR_CHANNELS
from skdeepcluster.objectives import (
    augmentation_divergence,
    category_style_prior,
    critic_loss,
    encoder_adversarial_loss,
    gradient_penalty,
    mutual_information_loss,
)

CLUSTERING = "clustering"

#: Both Adam optimisers' running means.
BETAS = (0.5, 0.9)

#: Draws from the prior whose mean value by the critic is what `score` compares with.
SCORE_DRAWS = 1 << 14


class DCCSNet(ClusteringNet):
    """The training side of :class:`DCCS`; see there for the parameters."""

    inference_cost = 16  # the maps of the first convolutions

    def __init__(
        self,
        module,
        *,
        decoder,
        n_clusters,
        n_style,
        sigma,
        beta_mi,
        beta_aug,
        beta_adv,
        penalty_weight,
        n_critic,
        critic_sizes,
        tol,
        patience,
        max_epochs,
        learning_rate,
        augment,
        **kwargs,
    ):
        self.decoder = decoder
        self.n_clusters = n_clusters
        self.n_style = n_style
        self.sigma = sigma
        self.beta_mi = beta_mi
        self.beta_aug = beta_aug
        self.beta_adv = beta_adv
        self.penalty_weight = penalty_weight
        self.n_critic = n_critic
        self.critic_sizes = critic_sizes
        self.tol = tol
        self.patience = patience
        self.augment = augment
        super().__init__(module, max_epochs=max_epochs, lr=learning_rate, **kwargs)

    def initialize_module(self):
        """Build encoder and critic, and what makes z tell of x: discriminator or decoder."""
        super().initialize_module()
        n_latent = self.n_clusters + self.n_style
        self.critic_ = Critic(n_latent, self.critic_sizes)
        if self.beta_mi == 0:
            return self
        if self.decoder is None:
            n_features = self.module_.n_features
            self.discriminator_ = Discriminator(n_features, n_latent, self.critic_sizes)
        else:
            self.decoder_ = self.decoder(n_latent)
        return self

    @property
    def fixed_schedule(self) -> bool:
        """Whether the run is to take all of its epochs, whatever the critic says."""
        return self.tol == 0

    def phases(self) -> list[Phase]:
        """One alone: all is trained together from the start."""
        return [Phase(CLUSTERING, self.max_epochs)]

    def configure_phase(self) -> None:
        """Make the two optimisers: encoder and discriminator, critic."""
        partner = self._partner
        trained = [*self.module_.parameters(), *(partner.parameters() if partner else ())]
        adam = partial(torch.optim.Adam, lr=self.lr, betas=BETAS, fused=True)
        self.encoder_optimizer_ = adam(trained)
        self.critic_optimizer_ = adam(list(self.critic_.parameters()))

    @property
    def _partner(self) -> nn.Module | None:
        return getattr(self, "discriminator_", None) or getattr(self, "decoder_", None)

    # ------------------------------------------------------------------ steps

    def training_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """A cycle: `n_critic` steps of the critic and one of the encoder (Algorithm 1)."""
        x, rows = self._draw_rows(batch)
        terms = self._train_critic(rows, batch)
        return terms | self._train_encoder(x, batch)

    def _draw_rows(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        """Rows of the encoder's step, and of the critic's steps one after the other.

        Few rows make small batches, too small to compare two distributions by: they are filled up
        with rows drawn at random, from which the critic's batches come as well.
        """
        n = len(self.source_)
        size = max(2, min(self.batch_size, n))
        wanted = size * (1 + self.n_critic) - len(batch.x)
        drawn = self.source_[torch.randint(n, (wanted,), device=self.source_.rows.device)]
        more, rows = drawn.split([size - len(batch.x), size * self.n_critic])
        return torch.cat([batch.x, more]), rows

    def _prior(self, n: int) -> torch.Tensor:
        return category_style_prior(
            n, self.n_clusters, self.n_style, self.sigma, device=self.device
        )

    def _train_critic(self, rows: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        # The encoder stands still meanwhile: one pass serves all steps.
        with torch.no_grad(), self.autocast():
            z = self.module_.latent(rows)  # (n_critic m, e)
        prior = self._prior(len(z))
        epsilon = torch.rand(len(z), 1, device=z.device)
        between = epsilon * z + (1 - epsilon) * prior
        m = len(z) // self.n_critic
        sums = []
        for z_t, prior_t, between_t in zip(
            z.split(m), prior.split(m), between.split(m), strict=True
        ):
            value, value_prior = self.critic_(torch.cat([z_t, prior_t])).split(m)
            penalty = gradient_penalty(self.critic_.input_gradient(between_t))
            estimate = -critic_loss(value, value_prior)
            self.descend(self.penalty_weight * penalty - estimate, batch, self.critic_optimizer_)
            sums.append(torch.stack([estimate.detach(), penalty.detach()]))
        estimate, penalty = torch.stack(sums).mean(dim=0)
        return {"wasserstein": estimate, "gradient_penalty": penalty}

    def _train_encoder(self, x: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        augmented = self.augment(x) if self.beta_aug and self.augment is not None else None
        self.critic_.requires_grad_(False)  # it only judges here
        try:
            terms = self._objective(x, augmented)
            self.descend(terms["loss"], batch, self.encoder_optimizer_)
        finally:
            self.critic_.requires_grad_(True)
        return {name: term.detach() for name, term in terms.items()}

    def _objective(self, x, augmented) -> dict[str, torch.Tensor]:
        """Encoder's and discriminator's objective (eqs. 12 and 13)."""
        m = len(x)
        with self.autocast():
            both = x if augmented is None else torch.cat([x, augmented])
            logits, style, features = self.module_(both)
        logits = logits.float()
        z = torch.cat([logits[:m].softmax(dim=1), style[:m].float()], dim=1)  # (m, e)
        adversarial = encoder_adversarial_loss(self.critic_(z))
        terms = {"adversarial": adversarial}
        loss = self.beta_adv * adversarial
        if augmented is not None:
            terms["augmentation"] = augmentation_divergence(logits[:m], logits[m:])
            loss = loss + self.beta_aug * terms["augmentation"]
        if self.beta_mi:
            name = "mutual_information" if self.decoder is None else "reconstruction"
            terms[name] = self._information(x, z, features[:m])
            loss = loss + self.beta_mi * terms[name]
        return {"loss": loss, **terms}

    def _information(self, x, z, features) -> torch.Tensor:
        if self.decoder is not None:
            with self.autocast():
                output = self.decoder_(z)
            return F.mse_loss(output.float(), self.module_.see(x))
        # Rows come in random order: each meets another one's z.
        pairs = torch.stack([z, z.roll(1, 0)])
        with self.autocast():
            positive, negative = self.discriminator_(features, pairs).float()
        return mutual_information_loss(positive, negative)

"""DCCS: clustering by a representation of category and style."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted
from torch import nn
from torch.nn import functional as F

from skdeepcluster._base import QUICK_SECONDS, DeepClusterer
from skdeepcluster._incremental import IncrementalMixin
from skdeepcluster._layout import check_colors, in_color, value_range
from skdeepcluster._training import CLUSTERING, Batch, StartingNet, TensorSource
from skdeepcluster._training._data import n_batches
from skdeepcluster._training._sampling import column_moments, standardised_moments
from skdeepcluster._training._statistics import settle_statistics
from skdeepcluster._validation import (
    check_boolean,
    check_choice,
    check_image,
    check_integer,
    check_real,
    check_sizes,
    says,
)
from skdeepcluster.augmentation import (
    color_jitter,
    feature_dropout,
    feature_noise,
    random_geometry,
    shuffle_channels,
)
from skdeepcluster.augmentation._given import checked
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
from skdeepcluster.networks._encoders import COLOR_CHANNELS, SMALL_SIDE, SMALLEST_SIDE
from skdeepcluster.networks._probe import as_pair, probe
from skdeepcluster.networks._whole_batch import own_rows, whole_batch
from skdeepcluster.objectives import (
    augmentation_divergence,
    category_style_prior,
    critic_loss,
    encoder_adversarial_loss,
    gradient_penalty,
    mutual_information_loss,
)

#: Both Adam optimisers' running means.
BETAS = (0.5, 0.9)

#: Draws from the prior whose mean value by the critic is what `score` compares with.
SCORE_DRAWS = 1 << 14

#: Side in pixels from which images get residual blocks.
RESIDUAL_SIDE = 32

#: What "auto" stands for, in general and for images below `SMALL_SIDE`. There a crop would leave
#: too few pixels, and a long style would hold all that tells rows apart.
AUTOMATIC = {
    "n_style": (50, 10),
    "critic_sizes": ((1024, 512), (256, 128)),
    "crop_area": ((0.4, 1.0), (1.0, 1.0)),
    "degrees": (0.0, 15.0),
    "shift": (0.0, 0.1),
    "shear": (0.0, 0.2),
    "brightness": (0.4, 0.0),
    "contrast": (0.4, 0.0),
    "n_init": (1, 3),
}

#: Epochs of the paper, which counts the critic's mini-batches: 3,000, of which every fifth
#: mini-batch trains the encoder.
PAPER_EPOCHS = 3000 // 5

#: Cycles of the quick preset.
QUICK_CYCLES = 400

#: Sizes of "conv" for small images.
SMALL_CONV = {"maps": (32, 64), "width": 256}


class DCCSNet(StartingNet):
    """The training side of :class:`DCCS`; see there for the parameters."""

    inference_cost = 16  # the maps of the first convolutions
    _transient = (*StartingNet._transient, "augment_")

    def __init__(
        self,
        module,
        *,
        decoder,
        n_clusters,
        n_style,
        sigma,
        information_weight,
        beta_aug,
        beta_adv,
        penalty_weight,
        n_critic,
        critic_sizes,
        tol,
        patience,
        n_init,
        init_epochs,
        max_epochs,
        learning_rate,
        augment,
        **kwargs,
    ):
        self.decoder = decoder
        self.n_clusters = n_clusters
        self.n_style = n_style
        self.sigma = sigma
        self.information_weight = information_weight
        self.beta_aug = beta_aug
        self.beta_adv = beta_adv
        self.penalty_weight = penalty_weight
        self.n_critic = n_critic
        self.critic_sizes = critic_sizes
        self.tol = tol
        self.patience = patience
        self.n_init = n_init
        self.init_epochs = init_epochs
        self.augment = augment
        super().__init__(module, max_epochs=max_epochs, lr=learning_rate, **kwargs)

    def fresh_modules(self) -> dict[str, nn.Module]:
        """Build encoder and critic, and what makes z tell of x: discriminator or decoder."""
        encoder = self.initialized_instance(self.module, self.get_params_for("module"))
        n_latent = self.n_clusters + self.n_style
        modules = {"module": encoder, "critic": Critic(n_latent, self.critic_sizes)}
        if self.information_weight == 0:
            return modules
        if self.decoder is not None:
            return modules | {"decoder": self.decoder(n_latent)}
        discriminator = Discriminator(encoder.n_features, n_latent, self.critic_sizes)
        return modules | {"discriminator": discriminator}

    @property
    def fixed_schedule(self) -> bool:
        """Whether the run is to take all of its epochs, whatever the critic says."""
        return self.tol == 0

    def configure_phase(self) -> None:
        """Make the two optimisers: encoder and discriminator, critic."""
        self.augment_ = self.augment
        if isinstance(self.augment, FeatureAugmentation):
            self.augment_ = self.augment.measured(self.source_)
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
        """Take `n_critic` steps of the critic and one of the encoder (Algorithm 1)."""
        size = self._step_size(batch)
        missing = size - len(batch.x)
        drawn = self._draw_rows(missing + self.n_critic * size)
        terms = self._train_critic(drawn[missing:], batch)
        return terms | self._train_encoder(torch.cat([batch.x, drawn[:missing]]), batch)

    def assign(self, x: torch.Tensor) -> torch.Tensor:
        """Return the category representations Z_c (b, K)."""
        return self.module_(x)[0].softmax(dim=1)

    def _step_size(self, batch: Batch) -> int:
        """Count the rows of a step.

        Few rows make small batches, too small to compare two distributions by: steps then have more
        rows than the batch.
        """
        # A batch may hold one row more than `batch_size`.
        return max(2, len(batch.x), min(self.batch_size, len(self.source_)))

    def _draw_rows(self, n: int) -> torch.Tensor:
        """Take rows at random."""
        source = self.source_
        return source[torch.randint(len(source), (n,), device=source.index_device)]

    def _prior(self, n: int) -> torch.Tensor:
        return category_style_prior(
            n, self.n_clusters, self.n_style, self.sigma, device=self.device
        )

    def _train_critic(self, rows: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        # The encoder stands still meanwhile: one pass serves all steps.
        z = self.latent_for_critic(rows)  # (n_critic m, e)
        prior = self._prior(len(z))
        epsilon = torch.rand(len(z), 1, device=z.device)
        between = epsilon * z + (1 - epsilon) * prior
        m = len(z) // self.n_critic
        sums = []
        for z_t, prior_t, between_t in zip(
            z.split(m), prior.split(m), between.split(m), strict=True
        ):
            terms = self.mean_over_rows(self._critic_objective, z_t, prior_t, between_t)
            self.descend(terms.pop("loss"), batch, self.critic_optimizer_)
            sums.append(torch.stack([term.detach() for term in terms.values()]))
        estimate, penalty = torch.stack(sums).mean(dim=0)
        return {"wasserstein": estimate, "gradient_penalty": penalty}

    @torch.no_grad()
    def latent_for_critic(self, rows: torch.Tensor) -> torch.Tensor:
        """Encode the rows of all the critic's steps of a cycle together."""
        with self.autocast():
            return self.all_rows(self.module_.latent, rows)

    def _critic_objective(self, z, prior, between) -> dict[str, torch.Tensor]:
        """Compute the objective of the critic (eq. 11)."""
        value, value_prior = self.critic_(torch.cat([z, prior])).split(len(z))
        penalty = gradient_penalty(self.critic_.input_gradient(between))
        return {
            "loss": critic_loss(value, value_prior, penalty, self.penalty_weight),
            "wasserstein": -critic_loss(value, value_prior),
            "gradient_penalty": penalty,
        }

    def _train_encoder(self, x: torch.Tensor, batch: Batch) -> dict[str, torch.Tensor]:
        augmented = self.augment_(x) if self.beta_aug and self.augment_ is not None else None
        self.critic_.requires_grad_(False)  # it only judges here
        try:
            terms = self.mean_over_rows(self.compiled(self._objective), x, augmented)
            self.descend(terms["loss"], batch, self.encoder_optimizer_)
        finally:
            self.critic_.requires_grad_(True)
        return {name: term.detach() for name, term in terms.items()}

    def _objective(self, x, augmented) -> dict[str, torch.Tensor]:
        """Compute the objective of encoder and discriminator (eqs. 12 and 13)."""
        with self.autocast():
            logits, style, features = self.module_(x)
        logits = logits.float()
        z = torch.cat([logits.softmax(dim=1), style.float()], dim=1)  # (m, e)
        adversarial = encoder_adversarial_loss(self.critic_(z))
        terms = {"adversarial": adversarial}
        loss = self.beta_adv * adversarial
        if augmented is not None:
            # A pass of its own: batch norm over both kinds of rows would give x another z than the
            # critic was trained on.
            with self.autocast():
                logits_augmented = self.module_(augmented)[0].float()
            terms["augmentation"] = augmentation_divergence(logits, logits_augmented)
            loss = loss + self.beta_aug * terms["augmentation"]
        if self.information_weight:
            name = "mutual_information" if self.decoder is None else "reconstruction"
            terms[name] = self._information(x, z, features)
            loss = loss + self.information_weight * terms[name]
        return {"loss": loss, **terms}

    def _information(self, x, z, features) -> torch.Tensor:
        if self.decoder is not None:
            with self.autocast():
                output = self.decoder_(z)
            return F.mse_loss(output.float(), self.module_.see(x))
        # Rows come in random order: each meets another one's z.
        pairs = torch.stack([z, own_rows(whole_batch(z).roll(1, 0))])
        with self.autocast():
            positive, negative = self.discriminator_(features, pairs).float()
        return mutual_information_loss(positive, negative)

    # ------------------------------------------------------------------ progress

    def end_epoch(self, means: dict[str, float]) -> dict:
        """End the run when the smoothed estimate does not fall any more."""
        if self.phase_.name == CLUSTERING and self.tol > 0:
            estimates = self._epochs("wasserstein", means)  # of the starts, too
            compared = self.phase_epoch_ + 1 >= 2 * self.patience
            self.phase_over_ = compared and has_converged(estimates, self.tol, self.patience)
        return super().end_epoch(means)

    start_measure = "invariance"

    def rate_start(self, means: dict[str, float]) -> float:
        """Return minus the mean of L_Aug (eq. 7) over the last third of the start.

        Clusters that share two classes between them cut through rows that are alike, so that
        distortions lead from one to the other.
        """
        last = -(-self.init_epochs // 3)
        return -float(np.mean(self._epochs("augmentation", means)[-last:]))

    def _epochs(self, term: str, means: dict[str, float]) -> list[float]:
        """Return a term by epoch, with the one that ends now."""
        return [row[term] for row in self.history[:-1]] + [means[term]]

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train, then settle what batch normalisation will predict with."""
        super().fit_loop(X, y, epochs, **fit_params)
        self._settle_statistics()
        return self

    def _settle_statistics(self) -> None:
        """Let batch normalisation, which moved with the distorted rows, see the rows themselves.

        It is their z that the critic has seen, and that predictions are about.
        """
        run = partial(self.mean_over_rows, self._look)
        settle_statistics(self.module_, self.source_, run, self.seed)
        self._set_training(False)

    def _look(self, x: torch.Tensor) -> dict:
        self.module_(x)
        return {}

    def value_of_prior(self) -> float:
        """Mean of the critic's values over many draws from the prior, alike at each call."""
        n = -(-SCORE_DRAWS // self.n_clusters)  # of each category
        total = 0.0
        with torch.no_grad():
            for category in range(self.n_clusters):
                generator = torch.Generator().manual_seed(category)
                style = torch.randn(n, self.n_style, generator=generator, dtype=torch.float32)
                z = torch.zeros(n, self.n_clusters + self.n_style, dtype=torch.float32)
                z[:, category] = 1
                z[:, self.n_clusters :] = self.sigma * style
                total += self.critic_(z.to(self.device)).cpu().double().mean().item()
        return total / self.n_clusters


def has_converged(estimates: list[float], tol: float, patience: int) -> bool:
    """Whether the critic's estimate, smoothed, has come down and does not fall any more.

    It first grows, while the critic learns, and only then tells of the encoder. So it counts once
    its mean over `patience` epochs is half of its highest, and has converged when that mean is less
    than a share `tol` below the one of the `patience` epochs before.
    """
    if len(estimates) < 2 * patience:
        return False
    recent, before = np.mean(estimates[-patience:]), np.mean(estimates[-2 * patience : -patience])
    return bool(recent <= 0.5 * max(estimates) and recent > before - tol * abs(before))


# ---------------------------------------------------------------------- encoders


def build_encoder(trunk, input_shape, n_clusters, n_style, color, stretch) -> CategoryStyleEncoder:
    """Build a trunk for what it sees of an input, and the head for what it gives.

    Raises
    ------
    ValueError
        If the trunk's output is not of shape (n, e).
    """
    seen = seen_shape(input_shape, color)
    trunk = trunk(seen)
    h, features = as_pair(probe(trunk, trunk, seen))
    if h.ndim != 2 or len(h) != 2 or len(features) != 2:
        raise ValueError(
            "network's module must map a batch of n inputs to an output of shape (n, e), or to a "
            f"pair of it and features (n, f), but 2 inputs gave the shapes {tuple(h.shape)} and "
            f"{tuple(features.shape)}."
        )
    encoder = CategoryStyleEncoder(trunk, h.shape[1], n_clusters, n_style, color, stretch)
    encoder.n_features = features[0].numel()
    return encoder


def seen_shape(input_shape: tuple[int, ...], color: str | None) -> tuple[int, ...]:
    """Shape of what the trunk sees of an input; `color` is None where there is none."""
    if color is None or color == "color":
        return input_shape
    return (COLOR_CHANNELS[color], *input_shape[1:])


def is_small_image(input_shape: tuple[int, ...]) -> bool:
    """Whether inputs are images that get smaller networks, and others of `AUTOMATIC`."""
    return len(input_shape) == 3 and min(input_shape[1:]) < SMALL_SIDE


def automatic_network(input_shape: tuple[int, ...]) -> str:
    """Which of the paper's networks suits inputs of a shape."""
    if len(input_shape) == 1 or min(input_shape[1:]) < SMALLEST_SIDE:
        return "mlp"
    return "conv" if min(input_shape[1:]) < RESIDUAL_SIDE else "residual"


@dataclass(frozen=True)
class ImageAugmentation:
    """The paper's augmentation T (supplement B), of images in [0, 1]."""

    crop_area: tuple[float, float]
    crop_aspect: tuple[float, float]
    degrees: float
    shift: float
    shear: float
    horizontal_flip: bool
    brightness: float
    contrast: float
    saturation: float
    hue: float
    channel_shuffle: bool

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        x = random_geometry(
            x,
            area=self.crop_area,
            aspect=self.crop_aspect,
            degrees=self.degrees,
            shift=self.shift,
            shear=self.shear,
            horizontal_flip=0.5 * self.horizontal_flip,
        )
        x = color_jitter(x, self.brightness, self.contrast, self.saturation, self.hue)
        return shuffle_channels(x) if self.channel_shuffle and x.shape[1] > 1 else x


@dataclass(frozen=True)
class FeatureAugmentation:
    """Noise and dropout relative to the columns' spread and means.

    `columns` are their means and deviations, each (d,) once they were measured.
    """

    noise: float
    dropout: float
    standardised: bool
    columns: tuple[float, float] | tuple[torch.Tensor, torch.Tensor] = (0.0, 1.0)

    def measured(self, source: TensorSource) -> Self:
        """Return what distorts the rows of a fit."""
        moments = standardised_moments if self.standardised else column_moments
        return replace(self, columns=moments(source))

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        mean, deviation = self.columns
        return feature_dropout(feature_noise(x, self.noise * deviation), self.dropout, mean)


class DCCS(IncrementalMixin, DeepClusterer):
    r"""Clustering by a category-style representation.

    An encoder maps a row to :math:`z = (z_c, z_s)`: a softmax :math:`z_c` over the clusters, and a
    style vector :math:`z_s` for how rows of one cluster differ. It is trained from random weights
    by three objectives at once,

    .. math:: L^Q = \beta_{MI} L_{MI} + \beta_{Aug} L_{Aug} + \beta_{Adv} L^Q_{Adv}

    - :math:`L_{MI}`: a discriminator tells pairs of a row and its own z from pairs with another
      row's z, which keeps in z what distinguishes rows;
    - :math:`L_{Aug}`: the divergence of :math:`z_c` between a row and a random distortion of it,
      which keeps style out of :math:`z_c`;
    - :math:`L^Q_{Adv}`: a critic estimates the Wasserstein distance of z from a prior, one-hot
      categories of equal weight beside normal styles, which the encoder lowers: so clusters are of
      about equal size, and :math:`z_c` close to one-hot.

    A step is a cycle: the critic is trained on `n_critic` batches, then encoder and discriminator
    on one.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters K.
    network : {"auto", "conv", "residual", "mlp"} or callable, default="auto"
        The encoder's trunk. "conv" is two convolutions and a dense layer (smaller ones for images
        below 16 pixels a side), "residual" has residual blocks, "mlp" dense layers. "auto" is "mlp"
        for feature vectors; for images "conv", from 32 pixels a side "residual", below 4 "mlp". A
        callable maps the shape of what it will see (after `color`) to a module, which maps a batch
        (n, ...) to outputs (n, e), or to a pair of these and features (n, f) that the
        discriminator sees instead.
    hidden_sizes : tuple of int, default=(500, 500, 2000)
        Sizes of the layers of "mlp".
    n_style : "auto" or int, default="auto"
        Size of the style part :math:`z_s`; may be 0. "auto" is 50, but 10 for images below 16
        pixels a side: more would hold what tells such images apart, and leave nothing to the
        categories.
    sigma : float, default=0.1
        Standard deviation :math:`\sigma` of the style in the prior.
    information : {"discriminator", "decoder"}, default="discriminator"
        What keeps information in z. "decoder" reconstructs what the encoder sees from z instead,
        with the mean squared error for :math:`L_{MI}` and `beta_reconstruction` for its weight.
    beta_mi : float, default=0.5
        Weight :math:`\beta_{MI}`. 0 leaves the discriminator out.
    beta_reconstruction : float, default=5.0
        Weight of the decoder's objective.
    beta_aug : float, default=1.0
        Weight :math:`\beta_{Aug}`. 0 leaves augmentation out. The documentation shows how to choose
        it by looking at z.
    beta_adv : float, default=2.0
        Weight :math:`\beta_{Adv}` of the critic in the encoder's objective. The critic is trained
        whatever it is. What counts is the weights' proportion: where `beta_aug` is large against
        it, clusters stay merged for long. The paper has 0.5, 2 (4 for photographs) and 1 for the
        three weights, with a tenth of the learning rate and up to 600 epochs.
    gradient_penalty : float, default=10.0
        Weight :math:`\lambda` of the critic's gradient penalty.
    n_critic : int, default=4
        Critic's steps for one of the encoder.
    critic_sizes : "auto" or tuple of int, default="auto"
        Hidden layers of critic and discriminator. "auto" is (1024, 512), but (256, 128) for images
        below 16 pixels a side.
    color : {"grey", "color", "sobel"}, default="grey"
        How the encoder sees images: grey, as they are, or the gradients of their brightness.
    augmentation : "auto", None or callable, default="auto"
        Random distortion T. "auto" is for images what the following parameters say, for feature
        vectors noise and dropout. A callable maps a batch of scaled rows, (n, C, H, W) or (n, d),
        to another; images are in [0, 1] and, where they are, in colour.
    crop_area : "auto" or (float, float), default="auto"
        Smallest and largest area of a random crop, as a share of the image; it is resized to the
        image's sides. "auto" is (0.4, 1), but the whole image below 16 pixels a side: less would
        leave some five pixels.
    crop_aspect : (float, float), default=(3/4, 4/3)
        Smallest and largest width of a crop by its height.
    degrees, shift, shear : "auto" or float, default="auto"
        Largest turn, in degrees, largest shift, as a share of the side, and largest shear, in
        pixels across for a pixel down, either way. "auto" is none, but 15 degrees, 0.1 and 0.2
        below 16 pixels a side, in place of crops.
    horizontal_flip : bool, default=False
        Whether half of the images are mirrored. It suits photographs and clothes, not writing.
    brightness, contrast : "auto" or float, default="auto"
        They are changed by factors from 1 minus to 1 plus this number. "auto" is 0.4, but 0 below
        16 pixels a side.
    saturation : float, default=0.4
        The same, of the colours.
    hue : float, default=0.125
        Largest turn of the colours, as a share of the circle.
    channel_shuffle : bool, default=True
        Whether the channels of colour images are exchanged at random.
    feature_noise : float, default=0.3
        Standard deviation of the noise on feature vectors, in standard deviations of a column.
    feature_dropout : float, default=0.0
        Share of the features that is replaced by the column's mean.
    tol : float, default=0.05
        Training ends when the critic's estimate of the Wasserstein distance has come down and its
        mean over `patience` epochs falls by less than this share. 0 takes all epochs.
    patience : int, default=10
        Epochs over which the estimate is smoothed and compared.
    n_init : "auto" or int, default="auto"
        Number of starts from different random weights: each is trained for `init_epochs`, and the
        one with the smallest :math:`L_{Aug}` over the last third of these goes on. "auto" is 1, but
        3 for images below 16 pixels a side. Without distortions there is always one.
    init_epochs : int, default=15
        Epochs of a start, where there are several.
    image_shape : tuple of int or None, default=None
        How a row of a two-dimensional X unfolds: ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``. None:
        rows are feature vectors.
    scaling : "auto" or None, default="auto"
        "auto" divides 8-bit images by 255, leaves float images in [0, 1] as they are, maps others
        to [0, 1] by the range seen in `fit`, and standardises columns of features; images are then
        stretched to [-1, 1] for the encoder. None leaves all as it is; "auto" augmentation expects
        images in [0, 1].
    max_epochs : int, default=50
        Bound of the epochs of the run, which come after those of the starts. An epoch has each row
        once in an encoder's step.
    max_time : float or None, default=None
        Seconds after which `fit` ends with what it has.
    warm_start : bool, default=False
        Whether a further `fit` goes on with what was fitted: from its weights and without new
        starts, with its scaling. Parameters that shape the networks must be as they were; others
        may change.
    batch_size : int, default=64
        Rows in a step of the critic or the encoder, or all rows where there are fewer.
    learning_rate : float, default=0.001
        Learning rate of both Adam optimisers. The paper has 0.0001, with up to 600 epochs of ours
        (3,000 of its own, in which mini-batches train the critic or, every fifth, the encoder).
    device : str, default="auto"
        "auto" is CUDA, then MPS, then the CPU; else a device's name such as "cuda:1".
    precision : "auto", "float32" or "bfloat16", default="auto"
        Of the forward passes in training. "auto" is bfloat16 where the hardware multiplies it.
        Prediction is always in float32.
    compile : bool, default=False
        Whether the encoder's objective is compiled by torch.
    deterministic : bool, default=False
        Whether only operations may run that give the same bits each time. On a CPU all do. On CUDA
        it takes time, and `fit` raises a ValueError unless the environment says
        ``CUBLAS_WORKSPACE_CONFIG=:4096:8``. On MPS nothing is promised.
    callbacks : list of skorch callbacks or None, default=None
        They see every epoch.
    checkpoint : str, path or None, default=None
        Folder for resuming. The run keeps a file there, named after its parameters and data, and
        renews it every minute; the same call goes on from it, or returns at once what it had
        finished. Callbacks do not count: what they hold is not in the file, and a run that one of
        them ended is finished.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 a line an epoch.
    random_state : int, RandomState or None, default=None
        Seed. The same one gives the same labels on the CPU of one machine, with the same number of
        threads; sums on a GPU may round differently from run to run.

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int
        Cluster of each row.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the encoder, ``net_.critic_`` the critic.
    n_iter_ : int
        Epochs of the run, without those of the starts.
    history_ : list of dict
        A row an epoch: "epoch", "phase" ("start" or "clustering"), the terms of the objective
        ("loss", "adversarial", "augmentation", "mutual_information" or "reconstruction"),
        "wasserstein", the critic's estimate of the distance from the prior, which tells of progress
        without labels, "gradient_penalty" and "seconds"; at the end of a start "invariance", by
        which starts are compared.
    n_features_in_ : int
        Numbers in a row.
    feature_names_in_ : ndarray of str
        Names of X's columns, where it has such.

    Notes
    -----
    Embeddings of a network trained elsewhere are feature vectors like others: the default network
    is the head that the paper puts on a frozen one (supplement F).

    In an epoch of few rows a step's batch is filled up with rows drawn at random, as those of the
    critic's steps are. The encoder passes of a cycle's critic steps are one pass, for the encoder
    stands still meanwhile; batch norm then sees all of these rows at once.

    References
    ----------
    .. [1] J. Zhao, D. Lu, K. Ma, Y. Zhang, Y. Zheng, "Deep Image Clustering with Category-Style
       Representation", ECCV 2020, arXiv:2007.10004 (DCCS).

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import DCCS
    >>> X, _ = make_blobs(200, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (64, 64), "critic_sizes": (64, 64), "max_epochs": 10, "tol": 0}
    >>> model = DCCS(n_clusters=3, random_state=0, **quick)
    >>> model.fit_predict(X).shape
    (200,)
    >>> model.transform(X).shape  # 3 categories, 50 numbers of style
    (200, 53)
    """

    _networks = ("auto", "conv", "residual", "mlp")

    def __init__(
        self,
        n_clusters=8,
        *,
        network="auto",
        hidden_sizes=(500, 500, 2000),
        n_style="auto",
        sigma=0.1,
        information="discriminator",
        beta_mi=0.5,
        beta_reconstruction=5.0,
        beta_aug=1.0,
        beta_adv=2.0,
        gradient_penalty=10.0,
        n_critic=4,
        critic_sizes="auto",
        color="grey",
        augmentation="auto",
        crop_area="auto",
        crop_aspect=(3 / 4, 4 / 3),
        degrees="auto",
        shift="auto",
        shear="auto",
        horizontal_flip=False,
        brightness="auto",
        contrast="auto",
        saturation=0.4,
        hue=0.125,
        channel_shuffle=True,
        feature_noise=0.3,
        feature_dropout=0.0,
        tol=0.05,
        patience=10,
        n_init="auto",
        init_epochs=15,
        image_shape=None,
        scaling="auto",
        max_epochs=50,
        max_time=None,
        warm_start=False,
        batch_size=64,
        learning_rate=0.001,
        device="auto",
        precision="auto",
        compile=False,
        deterministic=False,
        callbacks=None,
        checkpoint=None,
        verbose=0,
        random_state=None,
    ):
        self.n_clusters = n_clusters
        self.network = network
        self.hidden_sizes = hidden_sizes
        self.n_style = n_style
        self.sigma = sigma
        self.information = information
        self.beta_mi = beta_mi
        self.beta_reconstruction = beta_reconstruction
        self.beta_aug = beta_aug
        self.beta_adv = beta_adv
        self.gradient_penalty = gradient_penalty
        self.n_critic = n_critic
        self.critic_sizes = critic_sizes
        self.color = color
        self.augmentation = augmentation
        self.crop_area = crop_area
        self.crop_aspect = crop_aspect
        self.degrees = degrees
        self.shift = shift
        self.shear = shear
        self.horizontal_flip = horizontal_flip
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.channel_shuffle = channel_shuffle
        self.feature_noise = feature_noise
        self.feature_dropout = feature_dropout
        self.tol = tol
        self.patience = patience
        self.n_init = n_init
        self.init_epochs = init_epochs
        self.image_shape = image_shape
        self.scaling = scaling
        self.max_epochs = max_epochs
        self.max_time = max_time
        self.warm_start = warm_start
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.device = device
        self.precision = precision
        self.compile = compile
        self.deterministic = deterministic
        self.callbacks = callbacks
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    # ------------------------------------------------------------------ methods of its own

    def score(self, X: ArrayLike, y: Any = None) -> float:
        r"""Minus the critic's estimate of the distance of X's representations from the prior.

        .. math:: E_X[C(z)] - E_{\tilde z}[C(\tilde z)]

        It is the higher the better, and about zero at best. Comparable between fits of the same
        parameters but `random_state`, `learning_rate`, `max_epochs` and the like: what changes z,
        the prior or the critic (`n_clusters`, `n_style`, `sigma`, `gradient_penalty`,
        `critic_sizes`) changes what is measured, and `beta_mi` and `beta_aug` what else the encoder
        has to give way to. A critic that has learnt too little underestimates the distance.

        Parameters
        ----------
        X : array-like, rows as in `fit`
        y : None
            Ignored.

        Returns
        -------
        float

        References
        ----------
        DCCS, eqs. 8 and 11, section 4.2.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import DCCS
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16,), "critic_sizes": (16,), "n_style": 2, "max_epochs": 10}
        >>> model = DCCS(3, tol=0, learning_rate=0.003, random_state=0, **quick).fit(X)
        >>> isinstance(model.score(X), float)
        True
        """
        source = self._source(X)
        net = self.net_
        values = self._map(source, lambda x: net.critic_(net.module_.latent(x)))
        return float(values.astype(np.float64).mean() - net.prior_value_)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Names of the columns of `transform`: categories, then style.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import DCCS
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16,), "critic_sizes": (16,), "n_style": 2, "max_epochs": 10}
        >>> model = DCCS(3, tol=0, learning_rate=0.003, random_state=0, **quick).fit(X)
        >>> list(model.get_feature_names_out())
        ['dccs_category0', 'dccs_category1', 'dccs_category2', 'dccs_style0', 'dccs_style1']
        """
        check_is_fitted(self)
        n_style = self.net_.n_style
        parts = (("category", self._embedding_dim - n_style), ("style", n_style))
        return np.array(
            [f"{type(self).__name__.lower()}_{part}{i}" for part, n in parts for i in range(n)],
            dtype=object,
        )

    # ------------------------------------------------------------------ the base class's questions

    @classmethod
    def _preset(cls, name, input_shape, n_samples):
        is_image = len(input_shape) == 3
        if name == "paper":
            photographs = in_color(input_shape)
            return {
                "beta_aug": 4.0 if photographs else 2.0,
                "horizontal_flip": photographs,
                "beta_adv": 1.0,
                "learning_rate": 1e-4,
                "max_epochs": PAPER_EPOCHS,
            }
        large = is_image and automatic_network(input_shape) == "residual"
        return {
            "network": "conv" if large else "auto",
            "n_init": 1,
            "max_epochs": math.ceil(QUICK_CYCLES / n_batches(n_samples, 64)),
            "max_time": QUICK_SECONDS,
        }

    def _check_own_parameters(self) -> None:
        check_sizes("hidden_sizes", self.hidden_sizes)
        if not says(self.critic_sizes, "auto"):
            check_sizes("critic_sizes", self.critic_sizes)
        if not says(self.n_style, "auto"):
            check_integer("n_style", self.n_style, minimum=0)
        check_integer("n_critic", self.n_critic, minimum=1)
        check_integer("patience", self.patience, minimum=1)
        if not says(self.n_init, "auto"):
            check_integer("n_init", self.n_init, minimum=1)
        check_integer("init_epochs", self.init_epochs, minimum=0)
        check_real("sigma", self.sigma, exclusive=True)
        for name in ("beta_mi", "beta_reconstruction", "beta_aug", "beta_adv", "gradient_penalty"):
            check_real(name, getattr(self, name))
        for name in ("saturation", "feature_noise"):
            check_real(name, getattr(self, name))
        check_real("hue", self.hue, maximum=0.5)
        for name in ("feature_dropout", "tol"):
            check_real(name, getattr(self, name), maximum=1.0)
        check_choice("information", self.information, ("discriminator", "decoder"))
        check_choice("color", self.color, tuple(COLOR_CHANNELS))
        check_boolean("horizontal_flip", self.horizontal_flip)
        check_boolean("channel_shuffle", self.channel_shuffle)
        if not callable(self.augmentation):
            check_choice("augmentation", self.augmentation, ("auto", None))
        if not says(self.crop_area, "auto"):
            _check_range("crop_area", self.crop_area, maximum=1.0)
        _check_range("crop_aspect", self.crop_aspect)
        bounds = {"degrees": 180.0, "shift": 1.0, "shear": 1.0}
        for name in (*bounds, "brightness", "contrast"):
            if not says(getattr(self, name), "auto"):
                check_real(name, getattr(self, name), maximum=bounds.get(name, np.inf))

    def _check_rows(self, X, input_shape):
        if self.scaling == "auto" or len(input_shape) == 1:
            return
        if self._jitters(input_shape):
            check_colors(X, self.augmentation)
        if self.information == "decoder":
            low, high = value_range(X)
            if max(-low, high) > 1:
                raise ValueError(
                    "information='decoder' ends in values from -1 to 1, and cannot be images "
                    f"with values from {low:g} to {high:g} and scaling=None: pass scaling='auto'."
                )

    def _jitters(self, input_shape: tuple[int, ...]) -> bool:
        """Whether the colours of images of this shape are changed."""
        if self.augmentation != "auto":
            return False
        grey = [self._automatic_value(name, input_shape) for name in ("brightness", "contrast")]
        return any(grey) or (in_color(input_shape) and bool(self.saturation or self.hue))

    def _make_net(self, input_shape, n_samples, **common) -> DCCSNet:
        is_image = len(input_shape) == 3
        color = self.color if is_image else None
        name = automatic_network(input_shape) if self.network == "auto" else self.network
        if name in ("conv", "residual"):
            check_image("network", name, input_shape)
        n_style = self._automatic_value("n_style", input_shape)
        trunk = self.network
        if not callable(trunk):
            trunk = {
                "conv": partial(ConvEncoder, **SMALL_CONV if is_small_image(input_shape) else {}),
                "residual": ResidualEncoder,
                "mlp": partial(MLPEncoder, hidden=tuple(self.hidden_sizes)),
            }[name]
        build = partial(
            build_encoder,
            trunk,
            input_shape,
            n_clusters=self.n_clusters,
            n_style=n_style,
            color=color,
            stretch=self.scaling == "auto",
        )
        critic_sizes = self._automatic_value("critic_sizes", input_shape)
        decodes = self.information == "decoder"
        augment = self._augment(input_shape)
        distorts = augment is not None and self.beta_aug > 0
        return DCCSNet(
            build,
            decoder=self._decoder(input_shape, name) if decodes else None,
            n_clusters=self.n_clusters,
            n_style=n_style,
            sigma=float(self.sigma),
            information_weight=float(self.beta_reconstruction if decodes else self.beta_mi),
            beta_aug=float(self.beta_aug),
            beta_adv=float(self.beta_adv),
            penalty_weight=float(self.gradient_penalty),
            n_critic=int(self.n_critic),  # a NumPy integer is no size to torch
            critic_sizes=tuple(critic_sizes),
            tol=float(self.tol),
            patience=self.patience,
            # Distortions are what starts are compared by
            n_init=self._automatic_value("n_init", input_shape) if distorts else 1,
            init_epochs=self.init_epochs,
            max_epochs=self.max_epochs,
            learning_rate=float(self.learning_rate),  # a NumPy float cannot be checkpointed
            augment=augment,
            **common,
        )

    def _decoder(self, input_shape: tuple[int, ...], name) -> Callable:
        """Return what builds a decoder of what the encoder sees, for a size of z."""
        if len(input_shape) == 1:
            hidden = tuple(self.hidden_sizes)[::-1]
            return partial(MLPDecoder, output_shape=input_shape, hidden=hidden)
        decoder = ResidualDecoder if name == "residual" else ConvDecoder
        return partial(decoder, output_shape=seen_shape(input_shape, self.color))

    def _augment(self, input_shape: tuple[int, ...]) -> Callable | None:
        if self.augmentation != "auto":
            return checked(self.augmentation)
        if len(input_shape) == 1:
            standardised = self.scaling == "auto"
            return FeatureAugmentation(self.feature_noise, self.feature_dropout, standardised)
        chosen = {name: self._automatic_value(name, input_shape) for name in AUTOMATIC}
        return ImageAugmentation(
            tuple(chosen["crop_area"]),
            tuple(self.crop_aspect),
            float(chosen["degrees"]),
            float(chosen["shift"]),
            float(chosen["shear"]),
            bool(self.horizontal_flip),
            chosen["brightness"],
            chosen["contrast"],
            self.saturation,
            self.hue,
            bool(self.channel_shuffle),
        )

    def _automatic_value(self, name: str, input_shape: tuple[int, ...]):
        """Return a parameter's value, which "auto" leaves to the shape of an input."""
        value = getattr(self, name)
        return AUTOMATIC[name][is_small_image(input_shape)] if says(value, "auto") else value

    def _collect(self) -> None:
        self._embedding_dim = self.n_clusters + self.net_.n_style
        if not hasattr(self.net_, "prior_value_"):
            self.net_.prior_value_ = self.net_.value_of_prior()

    def _own_state(self) -> dict:
        return {"prior_value": self.net_.prior_value_}

    def _load_own_state(self, state) -> None:
        self.net_.prior_value_ = float(state["prior_value"])

    def _embed(self, x):
        return self.net_.module_.latent(x)


def _check_range(name: str, value, maximum: float = np.inf) -> None:
    """Raise unless `value` is two positive numbers in order."""
    if not isinstance(value, tuple | list) or len(value) != 2:
        raise ValueError(f"{name} must be a pair of numbers, got {value!r}.")
    for number in value:
        check_real(name, number, maximum=maximum, exclusive=True)
    if value[0] > value[1]:
        raise ValueError(f"{name} must be in order, got {value!r}.")

"""VariationalGMMClustering: a variational autoencoder whose prior is a mixture of Gaussians."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils.validation import check_is_fitted
from torch import nn

from skdeepcluster._base import QUICK_SECONDS, DeepClusterer
from skdeepcluster._incremental import IncrementalMixin
from skdeepcluster._layout import check_colors, value_range
from skdeepcluster._training import START, Batch, StartingNet
from skdeepcluster._training._data import n_batches
from skdeepcluster._training._sampling import center, sample_mean
from skdeepcluster._training._seeding import draw_seed
from skdeepcluster._validation import (
    check_boolean,
    check_choice,
    check_image,
    check_integer,
    check_real,
    check_sizes,
    says,
)
from skdeepcluster.augmentation import binarize, random_brightness, random_geometry
from skdeepcluster.augmentation._given import checked
from skdeepcluster.networks import MixtureConv, MixtureLatent, MixtureMLP
from skdeepcluster.networks._mixture import bounded_variance
from skdeepcluster.networks._probe import as_pair, probe
from skdeepcluster.objectives import (
    bernoulli_log_likelihood,
    gaussian_kl,
    gaussian_log_likelihood,
    mixture_elbo,
    smallest_set,
    squared_wasserstein,
)

#: Numbers in a row from which on the MLP is the larger one.
LARGE_INPUT = 256

#: Steps, about, of a start.
START_STEPS = 200

#: Steps and hidden layers of the quick preset.
QUICK_STEPS, QUICK_SIZES = 1000, (128, 128)

#: Schedule of the augmentation loss: from which epoch on, which weight.
PAPER_LAMBDA_AUG = ((0, 0.01), (40, 0.5), (80, 1.0))

#: That of the likelihood for colour images.
PAPER_COLOUR_RECONS = ((0, 0.5), (40, 0.1))

#: Size of an image for which the likelihood has the weight 1.
MNIST_PIXELS = 784

#: Where `posterior_mass` is below 1, how many sizes of batches the decoder may meet between one and
#: its double. A CPU prepares for each new size, which takes as long as a batch, and keeps what it
#: made.
SIZES_PER_OCTAVE = 4


def _brightness(x: torch.Tensor) -> torch.Tensor:
    return binarize(random_brightness(x, 0.2))


#: Distortions by name.
AUGMENTATIONS = {
    "rotation": partial(random_geometry, degrees=3.0),
    "brightness": _brightness,
    "affine": partial(
        random_geometry,
        shift=0.2,
        degrees=3.0,
        shear=0.2,
        horizontal_flip=0.5,
        vertical_flip=0.5,
    ),
    "strokes": partial(random_geometry, shift=0.1, degrees=10.0, shear=0.2),
}
AUTOMATIC = "strokes"


class Posterior(NamedTuple):
    """q(k|x) and, for every component, q(z|x,k), of n rows (eq. 11)."""

    log_q: torch.Tensor  # (n, K)
    mean: torch.Tensor  # (n, K, e), as variance and std
    variance: torch.Tensor
    std: torch.Tensor

    def first(self, n: int) -> Posterior:
        """Leave the first n rows."""
        return Posterior(*(part[:n] for part in self))

    def halves(self) -> tuple[Posterior, Posterior]:
        """Part rows from their augmented versions, which come after them."""
        a, b = zip(*(part.chunk(2) for part in self), strict=True)
        return Posterior(*a), Posterior(*b)


class VariationalGMMNet(StartingNet):
    """The training side of :class:`VariationalGMMClustering`; see there for the parameters."""

    def __init__(
        self,
        module,
        *,
        input_shape,
        n_clusters,
        embedding_dim,
        batch_norm,
        likelihood,
        lambda_recons,
        lambda_aug,
        aug_weights,
        augment,
        augmented_elbo,
        posterior_mass,
        n_init,
        init_epochs,
        init_steps,
        max_epochs,
        learning_rate,
        **kwargs,
    ):
        self.input_shape = input_shape
        self.n_clusters = n_clusters
        self.embedding_dim = embedding_dim
        self.batch_norm = batch_norm
        self.likelihood = likelihood
        self.lambda_recons = lambda_recons
        self.lambda_aug = lambda_aug
        self.aug_weights = aug_weights
        self.augment = augment
        self.augmented_elbo = augmented_elbo
        self.posterior_mass = posterior_mass
        self.n_init = n_init
        self.init_epochs = init_epochs
        self.init_steps = init_steps
        super().__init__(module, max_epochs=max_epochs, lr=learning_rate, **kwargs)

    def fresh_modules(self) -> dict[str, nn.Module]:
        """Build encoder and decoder and, for their features, the latent side."""
        module = self.initialized_instance(self.module, self.get_params_for("module"))
        return {"module": module, "latent": self._make_latent(module)}

    def _make_latent(self, module) -> MixtureLatent:
        sizes = self._check_module(module)
        return MixtureLatent(
            self.n_clusters,
            *sizes,
            self.embedding_dim,
            getattr(module, "posterior_sizes", (256,)),
            getattr(module, "prior_sizes", ()),
            getattr(module, "negative_slope", 0.0),
            batch_norm=self.batch_norm,
        )

    def _check_module(self, module) -> list[int]:
        """Return how many features there are for q(k|x) and for q(z|x,k), or raise."""
        for name, default in (("posterior_sizes", (256,)), ("prior_sizes", ())):
            sizes = getattr(module, name, default)
            check_sizes(f"network's {name}", sizes, least=len(default))
        features = as_pair(probe(module, module.encode, self.input_shape))
        output = probe(module, module.decode, (self.embedding_dim,))
        if len(features) != 2 or any(h.ndim != 2 or len(h) != 2 for h in features):
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
        return [h.shape[1] for h in features]

    #: The end of the schedule is the end that is meant.
    fixed_schedule = True

    # ------------------------------------------------------------------ the model

    def encode(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Features for q(k|x) and for q(z|x,k), the same ones where the network has but one."""
        return as_pair(self.module_.encode(x))

    def log_assignment(self, x: torch.Tensor) -> torch.Tensor:
        """Return log q(k|x) of shape (b, K), without the features for q(z|x,k) where it can."""
        encode = getattr(self.module_, "encode_assignment", None)
        return self.latent_.log_assignment(self.encode(x)[0] if encode is None else encode(x))

    def assign(self, x: torch.Tensor) -> torch.Tensor:
        """Return q(k|x) of shape (b, K)."""
        return self.log_assignment(x).exp()

    def infer(self, x: torch.Tensor) -> Posterior:
        """Return q(k|x) and q(z|x,k)."""
        h, h_posterior = self.encode(x)
        mean, variance = self.latent_.posterior(self.latent_.project(h_posterior))
        return Posterior(self.latent_.log_assignment(h), mean, variance, variance.sqrt())

    def observed(self, x: torch.Tensor) -> torch.Tensor:
        """Return x as the likelihood takes it: black and white pixels in [0, 1].

        A distortion of the user's, or a row that `fit` has not seen, may leave that, where the
        likelihood has no bound.
        """
        return x.clamp(0, 1) if self.likelihood == "bernoulli" else x

    def log_likelihood(self, x: torch.Tensor, output: torch.Tensor) -> torch.Tensor:
        """Log p(x|z) of each row (eq. 9) as `observed`, from what the decoder gave."""
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
        posterior = self.infer(x)
        x = self.observed(x)
        # One after the other: all at once would take K times the memory, and no less time.
        outputs = (self.module_.decode(posterior.mean[:, k]) for k in range(self.n_clusters))
        log_likelihood = torch.stack([self.log_likelihood(x, out) for out in outputs], dim=1)
        kl = gaussian_kl(posterior.mean, posterior.variance, *self.latent_.prior())
        return mixture_elbo(posterior.log_q, log_likelihood, kl)["elbo"]

    # ------------------------------------------------------------------ training

    def configure_phase(self) -> None:
        """Make Adam, for encoder, decoder and latent side alike."""
        parameters = [*self.module_.parameters(), *self.latent_.parameters()]
        self.optimizer_ = torch.optim.Adam(parameters, lr=self.lr, fused=True)

    def begin_phase(self) -> None:
        """Center the encoder, and begin a start or the run."""
        if self.phase_ is self.phases_[0] and not self.warm_:
            center(self.module_, sample_mean(self.source_))
        row_mean = getattr(self.module_, "row_mean", None)
        row_mean = None if row_mean is None else row_mean.clone()
        super().begin_phase()
        if row_mean is not None:  # what was drawn anew has none
            self.module_.row_mean.copy_(row_mean)

    def begin_epoch(self) -> None:
        """Read the schedules."""
        self.weights_ = {
            "recons": _at(self.lambda_recons, self.epochs_before_ + self.phase_epoch_),
            "aug": _at(self.lambda_aug, self.epochs_before_ + self.phase_epoch_),
        }

    def training_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """One step on eq. 18."""
        x, augmented = batch.x, None
        if self.augment is not None:
            augmented = self.augment(x)
        weights = self.weights_["recons"], self.weights_["aug"]
        terms = self.mean_over_rows(self.compiled(self._objective), x, augmented, *weights)
        self.descend(terms["loss"], batch, self.optimizer_)
        if self.phase_.name == START and self.step_count_ + 1 == self.init_steps:
            self.phase_over_ = True
        return {name: term.detach() for name, term in terms.items()}

    def _objective(self, x, augmented, recons, aug) -> dict[str, torch.Tensor]:
        both = x if augmented is None else torch.cat([x, augmented])
        with self.autocast():
            posterior = self.infer(both)  # of n or 2 n rows
        n = len(both) if self.augmented_elbo else len(x)
        terms = self._elbo(both[:n], posterior.first(n), recons)
        loss = -terms.pop("elbo")
        if augmented is not None:
            terms |= self._augmentation_terms(*posterior.halves())
            assignments, posteriors = self.aug_weights
            loss = loss + aug * (assignments * terms["l2"] + posteriors * terms["w2"])
        return {"loss": loss, **terms}

    def _elbo(self, x, posterior: Posterior, recons) -> dict[str, torch.Tensor]:
        """Means over the batch of eq. 13 and its parts."""
        log_q, mean, variance, std = posterior
        kl = gaussian_kl(mean, variance, *self.latent_.prior())  # (n, K)
        z = torch.addcmul(mean, std, torch.randn_like(std))  # (n, K, e)
        x = self.observed(x)  # before rows are repeated
        if self.posterior_mass < 1:
            # Finding them waits for a GPU once a step, for far fewer passes of the decoder.
            kept = smallest_set(log_q.detach(), self.posterior_mass)
            rows, components = kept.nonzero(as_tuple=True)
            log_q = log_q.masked_fill(~kept, -math.inf).log_softmax(dim=1)
            again = _up_to_few_sizes(len(rows), kept.numel(), x.device)
            repeated = rows[again]
            with self.autocast():
                output = self.module_.decode(z[repeated, components[again]])
            pairs = self.log_likelihood(x[repeated], output)[: len(rows)]
            log_likelihood = torch.zeros_like(kl).index_put((rows, components), pairs)
            share = kept.float().mean()
        else:
            with self.autocast():
                output = self.module_.decode(z.flatten(0, 1))
            x = x.repeat_interleave(self.n_clusters, dim=0)
            log_likelihood = self.log_likelihood(x, output).unflatten(0, kl.shape)
            share = kl.new_ones(())
        terms = mixture_elbo(log_q, log_likelihood, kl, recons)
        return {name: rows.mean() for name, rows in terms.items()} | {"decoded": share}

    def _augmentation_terms(self, rows: Posterior, augmented: Posterior) -> dict[str, torch.Tensor]:
        """Both terms of eq. 14."""
        q = rows.log_q.exp()
        distance = squared_wasserstein(rows.mean, rows.std, augmented.mean, augmented.std)  # (n, K)
        return {
            "l2": (q - augmented.log_q.exp()).square().sum(dim=1).mean(),
            "w2": (q * distance).sum(dim=1).mean(),
        }

    def end_epoch(self, means: dict[str, float]) -> dict:
        """Weights of the epoch, and what a start that ends here has come to."""
        row = {"lambda_recons": self.weights_["recons"], "lambda_aug": self.weights_["aug"]}
        return row | super().end_epoch(means)

    start_measure = "information"

    def rate_start(self, means: dict[str, float]) -> float:
        """Mutual information of rows and components, in nats.

        After a few steps it tells starts apart, where the loss tells how far the decoder has come:
        a component that died, or that shares its rows with another, lowers it.
        """
        log_q = self.map_rows(self.source_, self.log_assignment).cpu().double()  # MPS has none
        q = log_q.exp()
        mean = q.mean(dim=0)
        return ((q * log_q).sum(dim=1).mean() - torch.xlogy(mean, mean).sum()).item()

    # ------------------------------------------------------------------ resuming

    def load_method_state(self, state: dict) -> None:
        """Restore the best start, and read the schedules of the epoch that goes on."""
        super().load_method_state(state)
        self.begin_epoch()


class VariationalGMMClustering(IncrementalMixin, DeepClusterer):
    r"""Clustering by a variational autoencoder whose prior is a mixture of Gaussians.

    A row is taken to be made in three steps (eqs. 6 to 9): a component, a point of the latent space
    near it, and the row from that point,

    .. math::

        p(x, z, k) = p_\theta(x|z) \, p_\beta(z|k) \, p(k), \quad p(k) = 1/K, \quad
        p_\beta(z|k) = \mathcal{N}(\mu_\beta(e_k), \mathrm{diag}\, \sigma_\beta^2(e_k))

    Networks infer both: :math:`q(k, z|x) = q(k|x) \, q(z|x, k)` (eq. 11). All are trained at once,
    from scratch, on

    .. math::

        L = - \overline{\mathrm{ELBO}} + \lambda_{aug} L_{aug}

    .. math::

        \mathrm{ELBO}(x) = \sum_k q(k|x) \left[ \lambda_{recons} \log p(x|z_k)
            - \mathrm{KL}(q(z|x,k) \,\|\, p(z|k)) - \log q(k|x) \right] - \log K

    .. math::

        L_{aug} = a \, \overline{\sum_k (q(k|x) - q(k|\hat x))^2}
            + b \, \overline{\sum_k q(k|x) \, W_2^2(q(z|x,k), q(z|\hat x,k))}

    where :math:`\hat x` is a random distortion of x, a bar is the mean over rows, of the ELBO over
    the distorted ones as well (`augmented_elbo`), and a and b are `aug_weights`.

    How it works: :math:`z_k` is drawn from :math:`q(z|x,k)` for every component, and decoded for
    those that hold 0.999 of :math:`q(k|x)` (`posterior_mass`). The expectation over components is a
    sum (eq. 13), exact where the mass is 1: nothing discrete is ever drawn. What does not depend on
    k is computed once a row. The weights follow the schedules given, an epoch at a time.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of components K. It need not be the number of classes.
    network : "auto", "mlp", "conv", "faces", "toy" or callable, default="auto"
        "mlp" is :class:`~skdeepcluster.networks.MixtureMLP` with `hidden_sizes`; "auto" is the
        same. "conv" is :class:`~skdeepcluster.networks.MixtureConv`, the paper's Table II for
        images of 28 x 28 grey or 32 x 32 coloured pixels and one in its manner for others; "faces"
        is Table II's column for 32 x 32 faces, "toy" the one for two-dimensional data. A callable
        gets the shape of one input, ``(d,)`` or ``(C, H, W)``, and returns a module with
        ``encode(x)``, which gives features (n, f), or a pair of them for q(k|x) and for q(z|x,k),
        and ``decode(z)``, which gives the logits of pixels, of the shape of the input, or for the
        Gaussian likelihood twice as many channels (or features): means, and what variances are made
        of by a softplus. It may have ``posterior_sizes`` and ``prior_sizes``, hidden layers of
        q(z|x,k) and p(z|k), and ``negative_slope``, that of their activations;
        ``encode_assignment(x)``, the features for q(k|x) alone, which `predict` then takes; and
        ``inference_cost``, how many times larger than an input its maps are.
    embedding_dim : int or "auto", default="auto"
        Size of z. "auto" is 32 for the paper's image networks, 2 for "toy", 10 for others.
    hidden_sizes : tuple of int or "auto", default="auto"
        Sizes of the MLP's hidden layers. "auto" is (128, 128) for less than 256 numbers in a row,
        else (500, 500).
    batch_norm : bool, default=True
        Whether the features that q(k|x) is computed from are normalised over the batch, without a
        scale or shift of their own. The paper's are not; see Notes.
    likelihood : "auto", "bernoulli" or "gaussian", default="auto"
        Of p(x|z): independent pixels of black and white, for numbers in [0, 1], or Gaussians with
        learnt variances. "auto" is "bernoulli" for grey images that are scaled to [0, 1], else
        "gaussian".
    lambda_recons : "auto", float or sequence of (int, float), default="auto"
        Weight :math:`\lambda_{recons}` of the likelihood. A sequence of pairs is a schedule: from
        which epoch on (the first is 0), which weight; it begins again with every start and `fit`,
        and calls of `partial_fit` are its epochs. "auto": see Notes. The paper has 1 for MNIST
        and ``((0, 0.5), (40, 0.1))`` for CIFAR-10.
    lambda_aug : "paper", float or sequence of (int, float), default=2.0
        Weight :math:`\lambda_{aug}`, or its schedule. "paper" is the paper's,
        ``((0, 0.01), (40, 0.5), (80, 1.0))``; see Notes.
    aug_weights : (float, float), default=(1.0, 0.25)
        Weights of the two terms of :math:`L_{aug}` within it; the paper's are 1 and 1, or with 0
        for one of them those of Table V.
    augmentation : "auto", None, str or callable, default="auto"
        How :math:`\hat x` is made. "rotation" turns by up to 3 degrees (the paper's MNIST),
        "brightness" adds up to 0.2 to an image and makes its pixels black or white at random
        (Fashion-MNIST), "affine" shifts by up to 0.2 of the side, turns by up to 3 degrees, shears
        by up to 0.2 and flips both ways (CIFAR-10, STL-10). "strokes", which "auto" is for images,
        turns by up to 10 degrees, shifts by up to 0.1 and shears by up to 0.2. None, which "auto"
        is for features, leaves :math:`L_{aug}` out. A callable maps a batch (n, C, H, W), or
        (n, d), to another.
    augmented_elbo : bool, default=True
        Whether the augmented rows are in the ELBO, too.
    posterior_mass : float, default=0.999
        Share of q(k|x), above 0: components outside the smallest set that holds it are left out of
        a row's expectation, and the others made to sum to one. 1 is exact, as in the paper. Take 1
        for a decoder of your own with batch normalisation or dropout.
    n_init : int, default=1
        Number of starts from different random weights, as with
        :class:`sklearn.mixture.GaussianMixture`: each is trained for `init_epochs`, and the one
        whose components then tell most about the rows, by their mutual information, goes on. That
        tells starts apart where components may die, without `batch_norm` above all.
    init_epochs : int or "auto", default="auto"
        Epochs of a start, where there are several. "auto" makes about 200 steps: whole epochs of
        few rows, and of 20,000 and more a part of one.
    image_shape : tuple of int or None, default=None
        How a row of a two-dimensional X unfolds: ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``. None:
        rows are feature vectors.
    scaling : "auto" or None, default="auto"
        "auto" divides 8-bit images by 255, leaves float images in [0, 1] as they are, maps others
        to [0, 1] by the range seen in `fit`, and standardises columns of features. None leaves all.
    max_epochs : int, default=250
        Epochs of the run: nothing ends it earlier.
    max_time : float or None, default=None
        Seconds after which `fit` ends with what it has.
    warm_start : bool, default=False
        Whether a further `fit` goes on with what was fitted: from its weights and without new
        starts, with its scaling. Parameters that shape the networks must be as they were; others
        may change.
    batch_size : int, default=100
        Largest batch. An epoch has eight steps at least, so that few rows make smaller batches.
    learning_rate : float, default=0.001
        Learning rate of Adam. The paper has 0.001 for MNIST and Fashion-MNIST, else 0.0001.
    device : str, default="auto"
        "auto" is CUDA, then MPS, then the CPU; else a device's name such as "cuda:1".
    precision : "auto", "float32" or "bfloat16", default="auto"
        Of the forward passes in training. "auto" is bfloat16 where the hardware multiplies it.
        Prediction is always in float32.
    compile : bool, default=False
        Whether the objective is compiled by torch.
    deterministic : bool, default=False
        Whether only operations may run that give the same bits each time. On a CPU all do. On CUDA
        it takes time, and `fit` raises a ValueError unless the environment says
        ``CUBLAS_WORKSPACE_CONFIG=:4096:8``. On MPS nothing is promised.
    callbacks : list of skorch callbacks or None, default=None
        They see every epoch.
    checkpoint : str, path or None, default=None
        Folder for resuming. The run keeps a file there, named after its parameters and data, and
        renews it every minute; the same call goes on from it, or returns at once what it had
        finished.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 a line an epoch.
    random_state : int, RandomState or None, default=None
        Seed. The same one gives the same labels on the CPU of one machine, with the same number of
        threads; sums on a GPU may round differently from run to run.

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int
        Most probable component of each row.
    cluster_centers_ : ndarray of shape (n_clusters, embedding dimension), float32
        Means of the learnt prior p(z|k).
    covariances_ : ndarray of shape (n_clusters, embedding dimension), float32
        Its variances, the diagonals of the covariances.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` encodes and decodes, ``net_.latent_`` holds q and p(z|k).
    n_iter_ : int
        Epochs of the run, without those of the starts.
    history_ : list of dict
        A row an epoch: "epoch", "phase" ("start" or "clustering"), the means of "loss", of the
        ELBO's parts "log_likelihood", "kl" and "entropy", of "l2" and "w2" where rows are
        augmented, and of "decoded", the share of components that were in the expectation; the
        weights "lambda_recons" and "lambda_aug"; "seconds"; at the end of a start "information",
        the mutual information of rows and components in nats.
    n_features_in_ : int
        Numbers in a row.
    feature_names_in_ : ndarray of str
        Names of X's columns, where it has such.

    See Also
    --------
    sklearn.mixture.GaussianMixture : A mixture of Gaussians in the space of X itself.

    Notes
    -----
    The likelihood of an image grows with its pixels, what a component may tell, log K, does not:
    on small images a component hardly pays, on large ones it is lost beside what z tells.
    ``lambda_recons="auto"`` is the fourth root of 784 over the numbers in an image, which is 1 for
    MNIST as in the paper, 1.9 for images of 8 x 8, and 0.7 for 32 x 32 in colour; for features it
    is 1.

    In the first steps what the decoder makes of a component by chance outweighs the entropy of
    q(k|x) by far, and all rows move to the same few components, which nothing undoes: of ten, six
    or all died so. ``batch_norm=True`` takes from q(k|x) the part that all rows have in common, but
    for one bias a component, and leaves what tells them apart.

    Clusters are found slowly: components begin as mixtures of classes, and exchange rows over
    hundreds of epochs, as long as :math:`L_{aug}` keeps q(k|x) soft. A shorter run is a worse one.

    References
    ----------
    .. [1] V. Prasad, D. Das, B. Bhowmick, "Variational Clustering: Leveraging Variational
       Autoencoders for Image Clustering", arXiv:2005.04613, eqs. 6 to 18.

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import VariationalGMMClustering
    >>> X, _ = make_blobs(200, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (64, 64), "max_epochs": 30}
    >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
    >>> model.predict_proba(X).shape
    (200, 3)
    >>> drawn, labels = model.sample(5, cluster=1)
    >>> drawn.shape, labels
    ((5, 2), array([1, 1, 1, 1, 1]))
    """

    _networks = ("auto", "mlp", "conv", "faces", "toy")
    _before: ClassVar = {"batch_norm": False}

    def __init__(
        self,
        n_clusters=8,
        *,
        network="auto",
        embedding_dim="auto",
        hidden_sizes="auto",
        batch_norm=True,
        likelihood="auto",
        lambda_recons="auto",
        lambda_aug=2.0,
        aug_weights=(1.0, 0.25),
        augmentation="auto",
        augmented_elbo=True,
        posterior_mass=0.999,
        n_init=1,
        init_epochs="auto",
        image_shape=None,
        scaling="auto",
        max_epochs=250,
        max_time=None,
        warm_start=False,
        batch_size=100,
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
        self.embedding_dim = embedding_dim
        self.hidden_sizes = hidden_sizes
        self.batch_norm = batch_norm
        self.likelihood = likelihood
        self.lambda_recons = lambda_recons
        self.lambda_aug = lambda_aug
        self.aug_weights = aug_weights
        self.augmentation = augmentation
        self.augmented_elbo = augmented_elbo
        self.posterior_mass = posterior_mass
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

    def score_samples(self, X: ArrayLike) -> np.ndarray:
        r"""ELBO of each row with z at the means of its posteriors, the higher the better.

        Every component counts, and nothing is drawn at random. It ranks rows, and models of one
        kind, but is no strict bound of :math:`\log p(x)`: the likelihood at the mean is more than
        its mean over draws of z. :math:`\lambda_{recons}` and :math:`L_{aug}` are left out.

        Parameters
        ----------
        X : array-like, rows as in `fit`

        Returns
        -------
        ndarray of shape (n,), float32
            In nats; of a density in the units that `scaling` makes, if the likelihood is Gaussian.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import VariationalGMMClustering
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
        >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
        >>> model.score_samples(X).shape
        (60,)
        """
        return self._map(self._source(X), lambda x: self.net_.row_elbo(x))

    def score(self, X: ArrayLike, y: Any = None) -> float:
        """Mean of :meth:`score_samples`, the higher the better.

        Comparable between runs with the same likelihood and scaling of X; not between others.

        Parameters
        ----------
        X : array-like, rows as in `fit`
        y : None
            Ignored.

        Returns
        -------
        float

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import VariationalGMMClustering
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
        >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
        >>> bool(model.score(X) == model.score_samples(X).astype(float).mean())
        True
        """
        return float(self.score_samples(X).astype(np.float64).mean())

    def inverse_transform(self, Z: ArrayLike) -> np.ndarray:
        """Decode embeddings: means of p(x|z).

        Parameters
        ----------
        Z : array-like of shape (n, embedding dimension)

        Returns
        -------
        ndarray of shape (n, *shape of a row of X), float32
            In the units of X.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import VariationalGMMClustering
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
        >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
        >>> model.inverse_transform(model.cluster_centers_).shape
        (3, 2)
        """
        return self._decode(self._check_embedding(Z), self.net_.decode_mean)

    def reconstruct(self, X: ArrayLike) -> np.ndarray:
        """Encode and decode rows, by their most probable component.

        Parameters
        ----------
        X : array-like, rows as in `fit`

        Returns
        -------
        ndarray of shape (n, *shape of a row of X), float32
            In the units of X.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import VariationalGMMClustering
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
        >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
        >>> model.reconstruct(X).shape
        (60, 2)
        """
        return self.inverse_transform(self.transform(X))

    def sample(
        self, n_samples: int = 1, cluster: int | None = None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Draw rows from the learnt model (Fig. 6).

        A component is drawn, if not given, and a point from its prior p(z|k); the row is the mean
        of p(x|z), as pictures of such models show it. With an int as `random_state` the same call
        gives the same rows.

        Parameters
        ----------
        n_samples : int, default=1
        cluster : int or None, default=None
            The component to draw from; None draws one for each row.

        Returns
        -------
        X : ndarray of shape (n_samples, *shape of a row of X), float32
            In the units of X, grouped by component.
        labels : ndarray of shape (n_samples,), int
            The components.

        Raises
        ------
        ValueError
            If `n_samples` is not positive, or there is no such component.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import VariationalGMMClustering
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
        >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
        >>> rows, labels = model.sample(4, cluster=2)
        >>> rows.shape, labels.tolist()
        ((4, 2), [2, 2, 2, 2])
        """
        check_is_fitted(self)
        check_integer("n_samples", n_samples, minimum=1)
        rng = np.random.default_rng(draw_seed(self.random_state))
        if cluster is None:
            labels = np.sort(rng.integers(len(self.cluster_centers_), size=n_samples))
        else:
            labels = np.full(n_samples, self._check_cluster("cluster", cluster))
        noise = rng.standard_normal((n_samples, self._embedding_dim))
        Z = self.cluster_centers_[labels] + np.sqrt(self.covariances_[labels]) * noise
        return self.inverse_transform(Z), labels

    def interpolate(
        self, a: int | ArrayLike, b: int | ArrayLike, *, space: str = "z", steps: int = 10
    ) -> np.ndarray:
        """Go from one cluster to another, in the latent space or between the components (Fig. 7).

        Parameters
        ----------
        a, b : int or array-like
            Where to start and where to end: components, or in space "z" points of shape (embedding
            dimension,), in space "k" weights of components of shape (n_clusters,) that sum to one.
        space : "z" or "k", default="z"
            "z" goes straight from mean to mean of the priors. "k" mixes the vectors :math:`e_k`
            that the prior's network takes, and decodes the mean that comes out. Where that network
            has no hidden layers, as beside "mlp" and Table II's for 28 x 28 grey pixels, its mean
            is linear in them: both ways are then one. They differ for "toy", "faces", and "conv" on
            colour images.
        steps : int, default=10
            Number of rows, ends included.

        Returns
        -------
        ndarray of shape (steps, *shape of a row of X), float32
            In the units of X.

        Raises
        ------
        ValueError
            If there is no such component, or a point has another shape.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import VariationalGMMClustering
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "n_init": 1, "max_epochs": 20, "learning_rate": 0.01}
        >>> model = VariationalGMMClustering(3, random_state=0, **quick).fit(X)
        >>> model.interpolate(0, 1, steps=5).shape
        (5, 2)
        >>> model.interpolate(0, 1, space="k", steps=5).shape
        (5, 2)
        """
        check_is_fitted(self)
        check_choice("space", space, ("z", "k"))
        check_integer("steps", steps, minimum=1)
        start, end = (self._end(name, value, space) for name, value in (("a", a), ("b", b)))
        share = np.linspace(0, 1, steps)[:, None]
        points = ((1 - share) * start + share * end).astype(np.float32)
        if space == "k":
            with torch.no_grad():
                points, _ = self.net_.latent_.prior(torch.from_numpy(points).to(self.net_.device))
            points = points.cpu().numpy()
        return self.inverse_transform(points)

    def _end(self, name: str, value: Any, space: str) -> np.ndarray:
        vectors = self.cluster_centers_ if space == "z" else np.eye(len(self.cluster_centers_))
        if np.ndim(value) == 0:
            return vectors[self._check_cluster(name, value)]
        try:
            point = np.asarray(value, dtype=np.float64)
        except ValueError as error:
            raise ValueError(f"{name} must be a component or numbers, got {value!r}.") from error
        if point.shape != vectors.shape[1:]:
            raise ValueError(
                f"{name} must be a component or an array of shape {vectors.shape[1:]} in space "
                f"{space!r}, got the shape {point.shape}."
            )
        if space == "k" and (point.min() < 0 or abs(point.sum() - 1) > 1e-3):
            raise ValueError(f"{name} must be weights that sum to one, got {value!r}.")
        return point

    def _check_cluster(self, name: str, value: Any) -> int:
        check_integer(name, value, minimum=0)
        last = len(self.cluster_centers_) - 1
        if value > last:
            raise ValueError(f"{name} must be a component from 0 to {last}, got {value}.")
        return int(value)

    # ------------------------------------------------------------------ the base class's questions

    @classmethod
    def _preset(cls, name, input_shape, n_samples):
        if name == "quick":
            return {
                "hidden_sizes": QUICK_SIZES,
                "max_epochs": math.ceil(QUICK_STEPS / n_batches(n_samples, 100)),
                "max_time": QUICK_SECONDS,
            }
        paper = {
            "batch_norm": False,
            "lambda_aug": "paper",
            "aug_weights": (1.0, 1.0),
            "augmented_elbo": False,
            "posterior_mass": 1.0,
        }
        if len(input_shape) == 1:
            toy = {"network": "toy"} if input_shape == (2,) else {}
            return paper | toy | {"batch_size": 30, "learning_rate": 1e-4}
        if input_shape[0] == 1:  # MNIST
            return paper | {"network": "conv", "augmentation": "rotation", "lambda_recons": 1.0}
        return paper | {  # CIFAR-10
            "network": "conv",
            "augmentation": "affine",
            "lambda_recons": PAPER_COLOUR_RECONS,
            "batch_size": 30,
            "learning_rate": 1e-4,
        }

    def _check_own_parameters(self) -> None:
        if not says(self.embedding_dim, "auto"):
            check_integer("embedding_dim", self.embedding_dim, minimum=1)
        if not says(self.hidden_sizes, "auto"):
            check_sizes("hidden_sizes", self.hidden_sizes, also="'auto' or ")
        check_boolean("batch_norm", self.batch_norm)
        check_choice("likelihood", self.likelihood, ("auto", "bernoulli", "gaussian"))
        if not says(self.lambda_recons, "auto"):
            _schedule("lambda_recons", self.lambda_recons)
        if not says(self.lambda_aug, "paper"):
            _schedule("lambda_aug", self.lambda_aug)
        if not isinstance(self.aug_weights, Sequence | np.ndarray) or len(self.aug_weights) != 2:
            raise ValueError(f"aug_weights must be two numbers, got {self.aug_weights!r}.")
        for weight in self.aug_weights:
            check_real("a weight of aug_weights", weight)
        if not callable(self.augmentation):
            check_choice("augmentation", self.augmentation, ("auto", None, *AUGMENTATIONS))
        check_boolean("augmented_elbo", self.augmented_elbo)
        check_integer("n_init", self.n_init, minimum=1)
        if not says(self.init_epochs, "auto"):
            check_integer("init_epochs", self.init_epochs, minimum=0)
        check_real("posterior_mass", self.posterior_mass, maximum=1.0, exclusive=True)

    def _check_rows(self, X, input_shape):
        is_image = len(input_shape) == 3
        if self.scaling is None and is_image and says(self.augmentation, "brightness"):
            check_colors(X, self.augmentation)
        if self.likelihood == "bernoulli" and not (is_image and self.scaling == "auto"):
            low, high = value_range(X)
            if self.scaling == "auto" or low < 0 or high > 1:
                raise ValueError(
                    "likelihood='bernoulli' is for numbers in [0, 1]: for images with "
                    "scaling='auto', or with scaling=None for data that are so already, got "
                    f"scaling={self.scaling!r} and values from {low:g} to {high:g}."
                )

    def _make_net(self, input_shape, n_samples, **common) -> VariationalGMMNet:
        likelihood = self._likelihood_for(input_shape)
        embedding_dim = self._embedding_dim_for(input_shape)
        init_epochs, init_steps = self._start_for(n_samples)
        return VariationalGMMNet(
            self._module_for(input_shape, embedding_dim, 2 if likelihood == "gaussian" else 1),
            input_shape=input_shape,
            n_clusters=self.n_clusters,
            embedding_dim=embedding_dim,
            batch_norm=self.batch_norm,
            likelihood=likelihood,
            lambda_recons=self._recons_for(input_shape),
            lambda_aug=PAPER_LAMBDA_AUG
            if says(self.lambda_aug, "paper")
            else _schedule("lambda_aug", self.lambda_aug),
            aug_weights=tuple(float(weight) for weight in self.aug_weights),
            augment=self._augment_for(input_shape),
            augmented_elbo=self.augmented_elbo,
            posterior_mass=float(self.posterior_mass),
            n_init=self.n_init,
            init_epochs=init_epochs,
            init_steps=init_steps,
            max_epochs=self.max_epochs,
            learning_rate=float(self.learning_rate),  # a NumPy float cannot be checkpointed
            **common,
        )

    def _likelihood_for(self, input_shape) -> str:
        if self.likelihood != "auto":
            return self.likelihood
        grey = len(input_shape) == 3 and input_shape[0] == 1
        return "bernoulli" if grey and self.scaling == "auto" else "gaussian"

    def _embedding_dim_for(self, input_shape) -> int:
        if self.embedding_dim != "auto":
            return int(self.embedding_dim)
        return {"conv": 32, "faces": 32, "toy": 2}.get(str(self.network), 10)

    def _module_for(self, input_shape, embedding_dim, n_outputs):
        if callable(self.network):
            return partial(self.network, input_shape)
        if self.network in ("conv", "faces"):
            check_image("network", self.network, input_shape)
        if self.network in ("auto", "mlp"):
            hidden = self.hidden_sizes
            if hidden == "auto":
                hidden = (128, 128) if math.prod(input_shape) < LARGE_INPUT else (500, 500)
            hidden = tuple(hidden)
            return partial(MixtureMLP, input_shape, embedding_dim, hidden, n_outputs)
        builder = {"conv": MixtureConv, "faces": MixtureConv.faces, "toy": MixtureMLP.toy}
        return partial(builder[self.network], input_shape, embedding_dim, n_outputs)

    def _recons_for(self, input_shape):
        if not says(self.lambda_recons, "auto"):
            return _schedule("lambda_recons", self.lambda_recons)
        images = len(input_shape) == 3
        return ((0, (MNIST_PIXELS / math.prod(input_shape)) ** 0.25 if images else 1.0),)

    def _start_for(self, n_samples: int) -> tuple[int, int | None]:
        """Epochs of a start, and the steps that end it before they are done."""
        if self.init_epochs != "auto":
            return self.init_epochs, None
        n_steps = n_batches(n_samples, self.batch_size)
        return math.ceil(START_STEPS / n_steps), START_STEPS if n_steps > START_STEPS else None

    def _augment_for(self, input_shape):
        if callable(self.augmentation) or self.augmentation is None:
            return checked(self.augmentation)
        if self.augmentation == "auto":
            return AUGMENTATIONS[AUTOMATIC] if len(input_shape) == 3 else None
        check_image("augmentation", self.augmentation, input_shape)
        return AUGMENTATIONS[self.augmentation]

    def _collect(self) -> None:
        with torch.no_grad():
            mean, variance = self.net_.latent_.prior()
        self._embedding_dim = mean.shape[1]
        self.cluster_centers_ = mean.cpu().numpy().copy()
        self.covariances_ = variance.cpu().numpy().copy()

    def _embed(self, x):
        log_q, mean, *_ = self.net_.infer(x)
        return mean[torch.arange(len(x), device=x.device), log_q.argmax(dim=1)]


def _up_to_few_sizes(n: int, most: int, device: torch.device) -> torch.Tensor:
    """Return 0, ..., n - 1, and again from 0, so that few sizes occur, which are `most` at most."""
    octaves = math.ceil(math.log2(n) * SIZES_PER_OCTAVE) / SIZES_PER_OCTAVE
    size = min(max(n, math.ceil(2**octaves)), most)
    return torch.arange(size, device=device) % n


def _at(schedule: tuple[tuple[int, float], ...], epoch: int) -> float:
    """Return the value of the last step that began at `epoch` (from 0) or before."""
    return [value for start, value in schedule if start <= epoch][-1]


def _schedule(name: str, value: Any) -> tuple[tuple[int, float], ...]:
    """Return a weight or its schedule as (first epoch, weight) pairs, or raise."""
    if not np.iterable(value) or isinstance(value, str):
        check_real(name, value)
        return ((0, float(value)),)
    pairs = [tuple(pair) if np.iterable(pair) else () for pair in value]
    if not pairs or any(len(pair) != 2 for pair in pairs):
        raise ValueError(
            f"{name} must be a number or (epoch, number) pairs such as ((0, 0.01), (40, 0.5)), "
            f"got {value!r}."
        )
    if isinstance(value, np.ndarray) and value.dtype.kind == "f":  # whose epochs are floats, too
        pairs = [(int(start) if start == int(start) else start, weight) for start, weight in pairs]
    starts = [start for start, _ in pairs]
    for start, weight in pairs:
        check_integer(f"an epoch of {name}", start, minimum=0)
        check_real(f"a weight of {name}", weight)
    if starts[0] != 0 or sorted(set(starts)) != starts:
        raise ValueError(f"{name} must have epochs that begin at 0 and rise, got {value!r}.")
    return tuple((int(start), float(weight)) for start, weight in pairs)

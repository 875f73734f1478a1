"""StatDEC: deep embedded clustering with statistics pooling and a weighted target."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch.nn import functional as F

from skdeepcluster._base import QUICK_SECONDS, DeepClusterer
from skdeepcluster._layout import in_color
from skdeepcluster._training import CLUSTERING, Batch, ClusteringNet, Phase
from skdeepcluster._training._data import inference_batch_size, n_batches
from skdeepcluster._training._kmeans import kmeans
from skdeepcluster._training._sampling import TOGETHER, center, evenly_spread, sample_mean
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
from skdeepcluster.augmentation import random_affine
from skdeepcluster.augmentation._given import checked
from skdeepcluster.networks import (
    CNNAutoencoder,
    Encoding,
    MLPAutoencoder,
    StudentTAssignment,
    UNetAutoencoder,
    VariationalAutoencoder,
)
from skdeepcluster.networks._probe import probe
from skdeepcluster.objectives import (
    TARGET_READINGS,
    kl_divergence,
    target_distribution,
    target_weights,
)

LAYERWISE, AUTOENCODER = "layer-wise", "autoencoder"

#: Share of numbers that pre-training hides.
DROPOUT = 0.2

#: Steps of the quick preset: of pre-training, and of clustering at most.
QUICK_PRETRAINING_STEPS, QUICK_STEPS = 600, 300

#: Steps between two targets (MNIST).
PAPER_INTERVAL = 80

#: Rows of which the target is computed at once.
TARGET_ROWS = 1 << 16

#: Share of rows that share their embedding with a different row from which `fit` warns.
COINCIDING = 0.1


@dataclass(frozen=True)
class Pretraining:
    """How the autoencoder is trained before it clusters.

    Parameters
    ----------
    optimizer : callable
        Makes the optimiser of parameters.
    decay_steps : int or None
        Steps after which the learning rate is divided by 10, again and again; None: it falls
        linearly to zero.
    hidden : float
        Share of the numbers that the whole autoencoder does not see. (Of a layer's inputs and
        outputs it is always `DROPOUT`.)
    squared : bool
        Whether the loss is half the squared error of an input, not the relative mean square.
    layer_steps, steps : int
        Steps of each layer, and of the whole at least.
    steps_by_root : float, default=0
        Steps of the whole by the square root of the number of rows.
    bounds : pair of float, default=(1, inf)
        Of the epochs of the whole.
    """

    optimizer: Callable[..., torch.optim.Optimizer]
    decay_steps: int | None
    hidden: float
    squared: bool
    layer_steps: int
    steps: int
    steps_by_root: float = 0.0
    bounds: tuple[float, float] = (1, math.inf)

    def schedule(self, optimizer: torch.optim.Optimizer, n_steps: int):
        """Make the schedule of the learning rate in a phase of so many steps."""
        if self.decay_steps is None:
            return torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, n_steps)
        return torch.optim.lr_scheduler.StepLR(optimizer, self.decay_steps)

    def epochs(self, n_samples: int, batch_size: int) -> tuple[int, int]:
        """Epochs of each layer, and of the whole."""
        an_epoch = n_batches(n_samples, batch_size)
        wanted = max(self.steps, self.steps_by_root * math.sqrt(n_samples))
        whole = np.clip(math.ceil(wanted / an_epoch), *self.bounds)
        return math.ceil(self.layer_steps / an_epoch), int(whole)


#: By the name that the parameter `pretraining` has; SGD's schedule is the paper's.
PRETRAININGS = {
    "adam": Pretraining(
        optimizer=partial(torch.optim.Adam, lr=0.001, fused=True),
        decay_steps=None,
        hidden=DROPOUT,
        squared=False,
        layer_steps=0,
        steps=1200,
        steps_by_root=30,
        bounds=(10, 250),
    ),
    "paper": Pretraining(
        optimizer=partial(torch.optim.SGD, lr=0.01, momentum=0.9, fused=True),
        decay_steps=20_000,
        hidden=0.0,  # the layer-wise part hides some
        squared=True,  # what the learning rate is for
        layer_steps=100_000,
        steps=200_000,
    ),
}


class StatDECNet(ClusteringNet):
    """The training side of :class:`StatDEC`; see there for the parameters."""

    def __init__(
        self,
        module,
        *,
        input_shape,
        n_clusters,
        alpha,
        lam,
        beta,
        statistics_pooling,
        reading,
        gamma,
        update_interval,
        tol,
        pretraining,
        layerwise_epochs,
        pretrain_epochs,
        max_epochs,
        learning_rate,
        augment,
        **kwargs,
    ):
        self.input_shape = input_shape
        self.n_clusters = n_clusters
        self.alpha = alpha
        self.lam = lam
        self.beta = beta
        self.statistics_pooling = statistics_pooling
        self.reading = reading
        self.gamma = gamma
        self.update_interval = update_interval
        self.tol = tol
        self.pretraining = pretraining
        self.layerwise_epochs = layerwise_epochs
        self.pretrain_epochs = pretrain_epochs
        self.augment = augment
        super().__init__(module, max_epochs=max_epochs, lr=learning_rate, **kwargs)

    def initialize_module(self):
        """Build the autoencoder and, for its embedding, the centres."""
        super().initialize_module()
        self.power_ = None  # known once there are data
        z = probe(self.module_, self.module_.encode, self.input_shape)
        if z.ndim != 2 or len(z) != 2:
            raise ValueError(
                "network.encode must map a batch of n inputs to embeddings of shape (n, e), "
                f"but 2 inputs gave the shape {tuple(z.shape)}."
            )
        self.assignment_ = StudentTAssignment(self.n_clusters, z.shape[1], self.alpha)
        return self

    @property
    def fixed_schedule(self) -> bool:
        """Whether the run is to take all of its epochs: no share of changed labels ends it."""
        return self.tol == 0

    # ------------------------------------------------------------------ phases

    def phases(self) -> list[Phase]:
        """Layer after layer, the whole autoencoder, then clustering."""
        n_layers = getattr(self.module_, "n_layers", 0) if self.layerwise_epochs else 0
        layers = [Phase(LAYERWISE, self.layerwise_epochs, stage=i) for i in range(n_layers)]
        return [
            *layers,
            Phase(AUTOENCODER, self.pretrain_epochs),
            Phase(CLUSTERING, self.max_epochs),
        ]

    def configure_phase(self) -> None:
        """Make the phase's optimiser; before the first, look at a sample of the rows."""
        if self.power_ is None:
            mean, square = sample_mean(self.source_, lambda x: torch.stack([x, x.square()], dim=1))
            self.power_ = square.mean().item() or 1.0
            if not self.warm_:
                center(self.module_, mean)
        if self.phase_.name == CLUSTERING:
            parameters = [*self.module_.parameters(), *self.assignment_.parameters()]
            self.optimizer_ = torch.optim.Adam(parameters, lr=self.lr, fused=True)
            return
        if self.phase_.name == LAYERWISE:
            parameters = self.module_.layer_parameters(self.phase_.stage)
        else:
            parameters = list(self.module_.parameters())
        self.optimizer_ = self.pretraining.optimizer(parameters)
        n_steps = max(1, self.phase_.max_epochs * len(self.iterator_))
        self.schedulers_ = [self.pretraining.schedule(self.optimizer_, n_steps)]

    def begin_phase(self) -> None:
        """Place the centres by k-means, when clustering begins."""
        if self.phase_.name != CLUSTERING:
            return
        if not self.warm_:
            self._settle_statistics()
            self._place_centers()
        self.previous_ = None
        self.refresh_target()

    def _settle_statistics(self) -> None:
        """Let batch normalisation, which has seen inputs with hidden numbers, see whole ones."""

        def look(x):
            self.decode(self.encoding(x), None)
            return {}

        rows = inference_batch_size(self.input_shape, 1, self.inference_cost)
        run = partial(self.mean_over_rows, look)
        settle_statistics(self.module_, self.source_, run, self.seed, rows)

    def _place_centers(self) -> None:
        z = self.map_rows(self.source_, lambda x: self.module_.encode(x).float()).cpu().numpy()
        if not np.isfinite(z).all():
            raise FloatingPointError(
                "embeddings are not finite when clustering begins. A shorter pre-training or "
                "precision='float32' may help."
            )
        self.coinciding_ = self._coinciding(z)
        start = self.on_main(lambda: kmeans(z, self.n_clusters, self.seed).cluster_centers_)
        with torch.no_grad():
            self.assignment_.centers.copy_(torch.as_tensor(start))

    def _coinciding(self, z: np.ndarray) -> float:
        """Share of sampled rows that share their embedding with a different row."""
        numbers = evenly_spread(self.source_)
        _, group, counts = np.unique(
            z[numbers.numpy()], axis=0, return_inverse=True, return_counts=True
        )
        group = group.ravel()  # some versions of NumPy keep the axis
        suspect = np.flatnonzero(counts[group] > 1)
        rows_of = defaultdict(list)  # hashes of the rows, by embedding
        for i in torch.from_numpy(suspect).split(TOGETHER):
            rows = self.source_[numbers[i]].cpu().numpy()
            for k, row in zip(group[i.numpy()], rows, strict=True):
                rows_of[k].append(hash(row.tobytes()))
        shared = sum(len(rows) for rows in rows_of.values() if len(set(rows)) > 1)
        return shared / len(numbers)

    # ------------------------------------------------------------------ steps

    def training_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        """Reconstruct, or reconstruct and cluster (eq. 1)."""
        if self.phase_.name == LAYERWISE:
            return self._pretraining_step(self._layer_objective, batch.x, batch)
        if self.phase_.name == AUTOENCODER:
            return self._pretraining_step(
                self._autoencoder_objective, self._augmented(batch), batch
            )
        return self._clustering_step(batch)

    def assign(self, x: torch.Tensor) -> torch.Tensor:
        """Return Student's t assignments (b, K) (eq. 3)."""
        return self.assignment_(self.module_.encode(x)).exp()

    def encoding(self, x: torch.Tensor) -> Encoding:
        """Embed a batch, with what else its decoder needs."""
        if hasattr(self.module_, "encoding"):
            return self.module_.encoding(x)
        z = self.module_.encode(x)
        return Encoding(z, z)

    def decode(self, encoding: Encoding, q: torch.Tensor | None) -> torch.Tensor:
        """Reconstruct a batch from its encoding, with the statistics of its clusters if wanted."""
        q = q if self.statistics_pooling else None
        if encoding.skips:
            return self.module_.decode(encoding.code, q, encoding.skips)
        return self.module_.decode(encoding.code, q)

    def _augmented(self, batch: Batch) -> torch.Tensor:
        return batch.x if self.augment is None else self.augment(batch.x)

    def _pretraining_step(self, objective, x, batch) -> dict[str, torch.Tensor]:
        terms = self.mean_over_rows(objective, x)
        self.descend(terms.pop("loss"), batch, self.optimizer_)
        for scheduler in self.schedulers_:
            scheduler.step()
        return {name: term.detach() for name, term in terms.items()}

    def _layer_objective(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        with self.autocast():
            output, target = self.module_.layer_autoencoder(self.phase_.stage, x, DROPOUT)
        return self._pretraining_terms(output, target, self.power_ if self.phase_.stage == 0 else 1)

    def _autoencoder_objective(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        seen = self._corrupted(x) if self.pretraining.hidden else x
        with self.autocast():
            encoding = self.encoding(seen)
            output = self.decode(encoding, None)
        return self._pretraining_terms(output, x, self.power_, encoding.divergence)

    def _corrupted(self, x: torch.Tensor) -> torch.Tensor:
        mean = getattr(self.module_, "row_mean", 0.0)  # stands where a number is hidden
        return F.dropout(x - mean, self.pretraining.hidden) + mean

    def _pretraining_terms(self, output, target, unit, divergence=None) -> dict[str, torch.Tensor]:
        loss, terms = self.error(output, target, unit, divergence)
        if self.pretraining.squared:
            loss = loss * (unit * target[0].numel() / 2)
        return {"loss": loss, **terms}

    def error(
        self, output, x, unit, divergence=None, by_row=False
    ) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        """Mean square of the error, by a unit, and what a prior adds; then these two by name."""
        error = F.mse_loss(output.float(), x.float(), reduction="none" if by_row else "mean")
        error = (error.flatten(1).mean(dim=1) if by_row else error) / unit
        terms = {"reconstruction": error}
        if divergence is not None:
            terms["divergence"] = divergence if by_row else divergence.mean()
            error = error + self.beta * terms["divergence"] / math.prod(self.input_shape)
        return error, terms

    def _clustering_step(self, batch: Batch) -> dict[str, torch.Tensor]:
        x = self._augmented(batch)
        p = self.target_.index_select(0, batch.index)
        terms = self.mean_over_rows(self.compiled(self._objective), x, p)
        self.descend(terms["loss"], batch, self.optimizer_)
        if (self.step_count_ + 1) % self.update_interval == 0:
            self.refresh_target()
            self._set_training(True)
        return {name: term.detach() for name, term in terms.items()}

    def _objective(self, x: torch.Tensor, p: torch.Tensor) -> dict[str, torch.Tensor]:
        with self.autocast():
            encoding = self.encoding(x)
        log_q = self.assignment_(encoding.z)  # (b, K)
        kl = kl_divergence(p, log_q)
        if self.lam == 1:
            return {"loss": kl, "kl": kl}
        with self.autocast():
            output = self.decode(encoding, log_q.exp())
        error, terms = self.error(output, x, self.power_, encoding.divergence)
        return {"loss": self.lam * kl + (1 - self.lam) * error, "kl": kl, **terms}

    def refresh_target(self) -> None:
        """Compute P for all rows (eqs. 4 and 5), and end the phase if labels hardly changed."""

        def assign(x):
            with self.autocast():
                z = self.module_.encode(x)
            return self.assignment_(z).exp()

        self.target_ = None  # as large as the next one
        q = self.map_rows(self.source_, assign)  # (n, K)
        self.weights_ = target_weights(q, self.reading, self.gamma)
        labels = q.argmax(dim=1)
        for rows in q.split(TARGET_ROWS):  # in place, for the same reason
            rows.copy_(target_distribution(rows, self.weights_))
        self.target_ = q
        if self.previous_ is not None:
            self.label_change_ = (labels != self.previous_).float().mean().item()
            self.phase_over_ = self.label_change_ < self.tol
        else:
            self.label_change_ = 1.0
        self.previous_ = labels
        self.sizes_ = torch.bincount(labels, minlength=self.n_clusters).tolist()

    def end_epoch(self, means: dict[str, float]) -> dict:
        """Share of labels that changed at the last refresh, and the clusters' sizes then."""
        if self.phase_.name != CLUSTERING:
            return {}
        return {"label_change": self.label_change_, "cluster_sizes": self.sizes_}

    # ------------------------------------------------------------------ resuming

    #: Nothing is known of embeddings that clustering did not begin from.
    coinciding_ = 0.0

    _own = ("target_", "weights_", "previous_", "label_change_", "sizes_", "coinciding_")
    _transient = (*ClusteringNet._transient, "target_", "previous_")

    def method_state(self) -> dict:
        """Targets and labels of the last refresh."""
        if self.phase_.name != CLUSTERING:
            return {}
        return {name: getattr(self, name) for name in self._own}


class StatDEC(DeepClusterer):
    r"""Deep embedded clustering with statistics pooling and a weighted target.

    An autoencoder :math:`z = f(x)`, :math:`x' = g(z, q)` is trained to reconstruct, k-means places
    centres :math:`m_j` among its embeddings, and both are then trained on

    .. math::

        L = \lambda \, \frac{1}{n} \sum_{ij} p_{ij} \log \frac{p_{ij}}{q_{ij}}
            + (1 - \lambda) \, \frac{\lVert X - X' \rVert^2}{\lVert X \rVert^2}

    where :math:`q_{ij}` is the Student's t assignment of row i to centre j, and the target
    :math:`p_{ij} \propto q_{ij}^2 / (u_j + v_j)` sharpens it, with less weight for frequent
    clusters: of the :math:`n_j` rows that are assigned to a cluster

    .. math::

        u_j = \sum_i q_{ij}, \qquad
        v_j = - \sqrt{n / n_j} \, \sum_{i \in j} (1 - q_{ij})^\gamma \log q_{ij}

    (:func:`~skdeepcluster.objectives.target_weights` has other readings of this).

    How it works: the autoencoder is trained first, layer by layer or at once. In the clustering
    phase its decoder sees the mean, variance and size of a row's cluster beside the embedding
    (:class:`~skdeepcluster.networks.StatisticsPooling`). The target is computed for all rows every
    `update_interval` steps; training ends when less than the share `tol` of the labels changed
    between two of these.

    DEC is ``StatDEC(lam=1, weighted_target=False, statistics_pooling=False)``, IDEC the same with
    ``lam=0.1``, VDEC is IDEC with ``network="vae"``. The paper's StatDEC-2 is
    ``statistics_pooling=False``, StatDEC-3 is ``weighted_target=False``, StatDEC+CNN is
    ``network="cnn", weighted_target=False``, StatDEC+UNet is ``network="unet"`` and StatDEC+VAE is
    ``network="vae"``.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters K.
    network : {"auto", "mlp", "vae", "cnn", "unet"} or callable, default="auto"
        The autoencoder. "auto" is "mlp", :class:`~skdeepcluster.networks.MLPAutoencoder`, and "vae"
        is :class:`~skdeepcluster.networks.VariationalAutoencoder`, both with `hidden_sizes`; for
        images "cnn" is :class:`~skdeepcluster.networks.CNNAutoencoder` and "unet"
        :class:`~skdeepcluster.networks.UNetAutoencoder`. A callable gets the shape of one input,
        ``(d,)`` or ``(C, H, W)``, and returns a module with ``encode(x) -> z`` and ``decode(z, q)
        -> x'``, where q is None, or the soft assignments if `statistics_pooling` is on; with
        ``n_layers``, ``layer_parameters`` and ``layer_autoencoder`` as the MLP has them it is
        pre-trained layer by layer, too; with ``encoding`` its decoder may see more than the
        embedding, see :class:`~skdeepcluster.networks.Encoding`.
    embedding_dim : int, default=10
        Size of the embedding.
    hidden_sizes : tuple of int, default=(500, 500, 1000)
        Sizes of the hidden layers of "mlp" and "vae"; the other networks take no notice of them.
    statistics_pooling : bool, default=True
        Whether the decoder sees the statistics of a row's cluster (eq. 6). In "cnn" and "unet" what
        this takes in memory and time grows with the images' area.
    weighted_target : bool or str, default=True
        How the target weighs clusters. True is the reading "members" of eq. 5, False the target of
        DEC; "inverse", "mean", "all" and "squared" are the other readings of
        :func:`~skdeepcluster.objectives.target_weights`.
    gamma : float, default=2.0
        Focusing exponent :math:`\gamma` of eq. 5.
    lam : float, default=0.1
        Weight :math:`\lambda` of clustering against reconstruction, from 0 to 1. The clustering
        term is a mean over rows; the reconstruction term is the squared error relative to the
        inputs' mean square, so that the same weight means the same for any size and unit of input.
    beta : float, default=0.1
        Weight of the divergence of "vae" from its prior: the reconstruction term grows by `beta`
        times the divergence in nats per number of an input. That is the evidence lower bound of a
        normal decoder whose variance is half of `beta` times the inputs' mean square.
    alpha : float, default=1.0
        Degrees of freedom :math:`\alpha` of the t kernel (eq. 3).
    update_interval : int or "auto", default="auto"
        Steps between two computations of the target. "auto" is 80, as in the paper, but a third of
        an epoch at least, so that the cost of a row does not grow with their number.
    tol : float, default=0.001
        Share :math:`\delta` of changed labels below which training ends. 0 takes all epochs.
    pretraining : "adam" or "paper", default="adam"
        Optimiser and schedule of pre-training. "adam": see Notes. "paper": stochastic gradient
        descent with momentum 0.9, learning rate 0.01 divided by 10 every 20,000 steps.
    layerwise_epochs : int or "auto", default="auto"
        Epochs for each layer, as a denoising autoencoder with dropout of 0.2. "auto": none with
        "adam", 100,000 steps with "paper". Networks of dense layers alone ("mlp" and "vae") are
        trained so; others begin with the whole autoencoder, whatever is given here.
    pretrain_epochs : int or "auto", default="auto"
        Epochs for the whole autoencoder. "auto": see Notes; with "paper" 200,000 steps.
    augmentation : None, "affine" or callable, default=None
        Random distortion of the images that the whole autoencoder and the clustering are trained
        on; targets are those of the undistorted images. "affine" turns by up to 10 degrees and
        shifts by up to a tenth of the side. A callable maps a batch (n, C, H, W) to another.
    image_shape : tuple of int or None, default=None
        How a row of a two-dimensional X unfolds: ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``. None:
        rows are feature vectors.
    scaling : "auto" or None, default="auto"
        "auto" divides 8-bit images by 255, leaves float images in [0, 1] as they are, maps others
        to [0, 1] by the range seen in `fit`, and standardises columns of features. None leaves all.
    max_epochs : int, default=150
        Bound of the clustering phase.
    max_time : float or None, default=None
        Seconds after which `fit` ends with what it has.
    warm_start : bool, default=False
        Whether a further `fit` goes on with what was fitted: from its weights and centres, without
        pre-training, with its scaling. Parameters that shape the networks must be as they were;
        others may change.
    batch_size : int, default=256
        Largest batch. An epoch has eight steps at least, so that few rows make smaller batches.
    learning_rate : float, default=0.001
        Learning rate of Adam in the clustering phase.
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
        They see every phase; ``net.history[-1]["phase"]`` tells which. Rows of pre-training have
        no "loss": what watches that (skorch's `EarlyStopping`) must leave them alone.
    checkpoint : str, path or None, default=None
        Folder for resuming. The run keeps a file there, named after its parameters and data, and
        renews it every minute; the same call goes on from it, or returns at once what it had
        finished. Callbacks do not count: what they hold is not in the file, and a run that one of
        them ended is finished.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 a line an epoch.
    random_state : int, RandomState or None, default=None
        Seed. The same one gives the same labels on the CPU of one machine, with the same number of
        threads; sums on a GPU may round differently from run to run, see `deterministic`.

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int
        Cluster of each row.
    cluster_centers_ : ndarray of shape (n_clusters, embedding dimension), float32
        Centres in the embedding.
    net_ : skorch.NeuralNet
        The trained net; ``net_.module_`` is the autoencoder.
    n_iter_ : int
        Epochs of the clustering phase.
    history_ : list of dict
        A row an epoch: "epoch", "phase" ("layer-wise", "autoencoder" or "clustering"), the terms of
        the objective ("reconstruction", in pre-training by Adam from inputs of which a fifth is
        hidden, "kl", "loss", with "vae" the "divergence" in nats),
        "seconds"; while clustering also "label_change", the share of labels that changed between
        the last two targets, and "cluster_sizes".
    n_features_in_ : int
        Numbers in a row.
    feature_names_in_ : ndarray of str
        Names of X's columns, where it has such.

    Warns
    -----
    ConvergenceWarning
        If a tenth or more of the rows (of a sample) shared their embedding with a different row
        when clustering began.

    See Also
    --------
    sklearn.cluster.KMeans : What the centres start from, here on embeddings.

    Notes
    -----
    The default pre-training trains the whole autoencoder at once, by Adam with a learning rate that
    falls linearly from 0.001 to zero, to reconstruct inputs of which dropout hides a fifth of the
    numbers. It takes about 30 sqrt(n) steps, 1,200 at least, within bounds of 10 and 250 epochs, so
    that few rows get more epochs than many. With ``pretraining="paper"`` dropout is part of the
    layer-wise training alone, which comes before that of the whole autoencoder. What batch
    normalisation predicts with is then taken of the rows as they are.

    References
    ----------
    .. [1] "Learning Statistical Representation with Joint Deep Embedded Clustering",
       arXiv:2109.05232 (StatDEC), eqs. 1 to 14.
    .. [2] J. Xie, R. Girshick, A. Farhadi, "Unsupervised Deep Embedding for Clustering Analysis",
       ICML 2016 (DEC).
    .. [3] X. Guo, L. Gao, X. Liu, J. Yin, "Improved Deep Embedded Clustering with Local Structure
       Preservation", IJCAI 2017 (IDEC).

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import StatDEC
    >>> X, _ = make_blobs(200, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (100, 100), "pretrain_epochs": 20}
    >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
    >>> model.predict_proba(X).shape
    (200, 3)
    >>> model.transform(X).shape
    (200, 10)
    """

    _networks = ("auto", "mlp", "vae", "cnn", "unet")

    def __init__(
        self,
        n_clusters=8,
        *,
        network="auto",
        embedding_dim=10,
        hidden_sizes=(500, 500, 1000),
        statistics_pooling=True,
        weighted_target=True,
        gamma=2.0,
        lam=0.1,
        beta=0.1,
        alpha=1.0,
        update_interval="auto",
        tol=0.001,
        pretraining="adam",
        layerwise_epochs="auto",
        pretrain_epochs="auto",
        augmentation=None,
        image_shape=None,
        scaling="auto",
        max_epochs=150,
        max_time=None,
        warm_start=False,
        batch_size=256,
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
        self.statistics_pooling = statistics_pooling
        self.weighted_target = weighted_target
        self.gamma = gamma
        self.lam = lam
        self.beta = beta
        self.alpha = alpha
        self.update_interval = update_interval
        self.tol = tol
        self.pretraining = pretraining
        self.layerwise_epochs = layerwise_epochs
        self.pretrain_epochs = pretrain_epochs
        self.augmentation = augmentation
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

    def inverse_transform(self, Z: ArrayLike) -> np.ndarray:
        """Decode embeddings.

        With ``network="unet"`` the skips are their running means: there is no image to take them
        from.

        Parameters
        ----------
        Z : array-like of shape (n, embedding dimension)

        Returns
        -------
        ndarray of shape (n, *shape of a row of X), float32
            In the units of X.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If Z has another number of columns, NaN or infinity, or decodes to what is not finite.

        References
        ----------
        StatDEC, section III-B: the decoder, with the statistics of eq. 6 as far as it has them.

        Examples
        --------
        What the centres look like:

        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import StatDEC
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
        >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
        >>> model.inverse_transform(model.cluster_centers_).shape
        (3, 2)
        """
        Z = self._check_embedding(Z)
        net = self.net_

        def decode(z):
            return net.module_.decode(
                z, net.assignment_(z).exp() if net.statistics_pooling else None
            )

        return self._decode(Z, decode)

    def score(self, X: ArrayLike, y: Any = None) -> float:
        r"""Minus the objective on X, the higher the better.

        The target is that of the training set's cluster frequencies, so that a row's part does not
        depend on the other rows; a UNet decodes without the row's own skips, as in
        `inverse_transform`. Comparable between runs with the same `lam`, `alpha`, `beta`,
        `weighted_target`, `gamma`, `n_clusters`, kind of network (variational or not) and scaling
        of X; not between others, because these change the objective itself.

        Parameters
        ----------
        X : array-like, rows as in `fit`
        y : None
            Ignored.

        Returns
        -------
        float

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as in `fit`, or a row's objective is not finite.

        References
        ----------
        StatDEC, eqs. 1 to 5.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import StatDEC
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
        >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
        >>> model.score(X) < 0
        True
        """
        return float(-self._map(self._source(X), self._row_objective).astype(np.float64).mean())

    # ------------------------------------------------------------------ the base class's questions

    @classmethod
    def _preset(cls, name, input_shape, n_samples):
        if name == "paper":
            photographs = in_color(input_shape)
            return {
                "pretraining": "paper",
                "update_interval": 100 if photographs else 80,
                "batch_size": 128 if photographs else 256,
            }
        steps = n_batches(n_samples, 256)
        return {
            "pretrain_epochs": math.ceil(QUICK_PRETRAINING_STEPS / steps),
            "max_epochs": math.ceil(QUICK_STEPS / steps),
            "max_time": QUICK_SECONDS,
        }

    def _check_own_parameters(self) -> None:
        check_integer("embedding_dim", self.embedding_dim, minimum=1)
        check_boolean("statistics_pooling", self.statistics_pooling)
        check_choice("weighted_target", self.weighted_target, (True, False, *TARGET_READINGS))
        check_real("gamma", self.gamma)
        check_real("lam", self.lam, maximum=1.0)
        check_real("beta", self.beta)
        check_real("alpha", self.alpha, exclusive=True)
        if not says(self.update_interval, "auto"):
            check_integer("update_interval", self.update_interval, minimum=1)
        check_real("tol", self.tol, maximum=1.0)
        check_choice("pretraining", self.pretraining, tuple(PRETRAININGS))
        for name in ("layerwise_epochs", "pretrain_epochs"):
            if not says(getattr(self, name), "auto"):
                check_integer(name, getattr(self, name), minimum=0)
        # Pooling sits on the decoder's second hidden layer.
        dense = self.network in ("auto", "mlp", "vae")
        least = 2 if self.statistics_pooling and dense else 0
        check_sizes("hidden_sizes", self.hidden_sizes, least=least)
        if not callable(self.augmentation):
            check_choice("augmentation", self.augmentation, (None, "affine"))

    def _make_net(self, input_shape, n_samples, **common) -> StatDECNet:
        if self.augmentation == "affine":
            check_image("augmentation", self.augmentation, input_shape)
        layerwise_epochs, pretrain_epochs = self._pretraining_epochs(n_samples)
        reading = {True: "members", False: "dec"}.get(self.weighted_target, self.weighted_target)
        return StatDECNet(
            self._module(input_shape),
            input_shape=input_shape,
            n_clusters=self.n_clusters,
            alpha=float(self.alpha),
            lam=float(self.lam),
            beta=float(self.beta),
            statistics_pooling=self.statistics_pooling,
            reading=reading,
            gamma=float(self.gamma),
            update_interval=self._update_interval(n_samples),
            tol=float(self.tol),
            pretraining=PRETRAININGS[self.pretraining],
            layerwise_epochs=layerwise_epochs,
            pretrain_epochs=pretrain_epochs,
            max_epochs=self.max_epochs,
            learning_rate=float(self.learning_rate),  # a NumPy float cannot be checkpointed
            augment=random_affine if self.augmentation == "affine" else checked(self.augmentation),
            **common,
        )

    def _module(self, input_shape) -> partial:
        """Return what builds the network."""
        if callable(self.network):
            return partial(self.network, input_shape)
        common = {
            "embedding_dim": self.embedding_dim,
            "n_clusters": self.n_clusters if self.statistics_pooling else None,
        }
        convolutional = {"cnn": CNNAutoencoder, "unet": UNetAutoencoder}.get(self.network)
        if convolutional is None:
            network = VariationalAutoencoder if self.network == "vae" else MLPAutoencoder
            return partial(network, input_shape, hidden=tuple(self.hidden_sizes), **common)
        check_image("network", self.network, input_shape)
        return partial(convolutional, input_shape, **common)

    def _update_interval(self, n_samples: int) -> int:
        if self.update_interval != "auto":
            return int(self.update_interval)
        return max(PAPER_INTERVAL, math.ceil(n_batches(n_samples, self.batch_size) / 3))

    def _pretraining_epochs(self, n_samples: int) -> tuple[int, int]:
        """Epochs a layer, and of the whole."""
        automatic = PRETRAININGS[self.pretraining].epochs(n_samples, self.batch_size)
        given = self.layerwise_epochs, self.pretrain_epochs
        return tuple(
            auto if value == "auto" else value for auto, value in zip(automatic, given, strict=True)
        )

    def _own_warnings(self, net) -> list[str]:
        if net.coinciding_ < COINCIDING:
            return []
        return [
            f"{net.coinciding_:.0%} of the rows shared their embedding with a different row when "
            "clustering began: units of the network have died, or it is too narrow. Train it for "
            "longer, on scaled inputs, or pass another network or random_state."
        ]

    def _collect(self) -> None:
        self._embedding_dim = self.net_.assignment_.centers.shape[1]
        self.cluster_centers_ = self.net_.assignment_.centers.detach().cpu().numpy().copy()

    def _own_state(self) -> dict:
        net = self.net_
        return {"weights": net.weights_.tolist(), "mean_square": net.power_}

    def _load_own_state(self, state) -> None:
        self.net_.weights_ = torch.tensor(state["weights"]).reshape(self.n_clusters)
        self.net_.power_ = float(state["mean_square"])

    def _embed(self, x):
        return self.net_.module_.encode(x)

    def _row_objective(self, x):
        net = self.net_
        encoding = net.encoding(x)
        log_q = net.assignment_(encoding.z)
        q = log_q.exp()
        p = target_distribution(q, net.weights_.to(q.device))
        kl = kl_divergence(p, log_q, by_row=True)
        # A UNet's skips carry the image past the embedding, which is what is to be rated.
        output = net.decode(encoding._replace(skips=()), q)
        error, _ = net.error(output, x, net.power_, encoding.divergence, by_row=True)
        return net.lam * kl + (1 - net.lam) * error

"""MMDC: multi-modal deep clustering, with an auxiliary task on the same trunk."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor
from torch.nn import functional as F

from skdeepcluster._base import QUICK_SECONDS, DeepClusterer
from skdeepcluster._layout import check_colors, in_color
from skdeepcluster._training import CLUSTERING, Batch, ClusteringNet, Phase
from skdeepcluster._training._data import TRAINING_BLOCK, n_batches
from skdeepcluster._training._kmeans import kmeans
from skdeepcluster._validation import (
    check_boolean,
    check_choice,
    check_image,
    check_integer,
    check_real,
    check_sizes,
    says,
)
from skdeepcluster._views import FeatureViews, ImageViews, crop_sides, make_views
from skdeepcluster.augmentation import sobel
from skdeepcluster.networks import (
    MLP,
    GaussianAssignment,
    NormalizedHead,
    ResNet,
    RotationTask,
    SmallVGG,
)
from skdeepcluster.networks._probe import probe
from skdeepcluster.objectives import squared_distances
from skdeepcluster.targets import (
    match_labels,
    match_targets,
    mixture_means,
    sample_mixture,
    sample_sphere,
)

#: Images, or rows, that the quick preset is trained on, each as often as it comes.
QUICK_ROWS = 40_000

#: Smallest variance of the soft assignment, in units of the squared radius of the sphere.
MIN_VARIANCE = 1e-4

#: Standard deviation of the head's weights in the beginning, on the trunks of the paper.
PAPER_HEAD_STD = 0.01

#: The paper's batches.
BATCH_SIZE = 128

#: Few images make smaller batches, for about so many steps an epoch, and get more epochs than the
#: paper's, for so many steps in all, up to four times as many.
STEPS = 50
MIN_STEPS = 1500

#: Rows whose distances to all means are held at once.
MEASURED = 1024

#: Restarts of the k-means in each epoch of the refinement.
REFINEMENT_RESTARTS = 5

#: How far the clusters' sizes may be from those of the targets, as a share of the rows that would
#: have to move, before the assumption on sizes is said to be contradicted.
CONTRADICTION = 0.2


@dataclass(frozen=True)
class Schedule:
    """What the paper does with images of one kind; epochs stand as shares of all."""

    max_epochs: int
    decay_after: float
    decay_factor: float
    refine_after: float


MNIST = Schedule(50, decay_after=40 / 50, decay_factor=10, refine_after=20 / 50)
NATURAL = Schedule(400, decay_after=350 / 400, decay_factor=5, refine_after=350 / 400)


class MMDCNet(ClusteringNet):
    """The training side of :class:`MMDC`; see there for the parameters."""

    def __init__(
        self,
        module,
        *,
        input_shape,
        n_clusters,
        targets,
        embedding_dim,
        sigma,
        weights,
        auxiliary_task,
        views,
        sobel,
        head_std,
        max_epochs,
        learning_rate,
        momentum,
        weight_decay,
        decay_after,
        decay_factor,
        refine_after,
        **kwargs,
    ):
        self.input_shape = input_shape
        self.n_clusters = n_clusters
        self.targets = targets
        self.embedding_dim = embedding_dim
        self.sigma = sigma
        self.weights = weights
        self.auxiliary_task = auxiliary_task
        self.views = views
        self.sobel = sobel
        self.head_std = head_std
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.decay_after = decay_after
        self.decay_factor = decay_factor
        self.refine_after = refine_after
        super().__init__(module, max_epochs=max_epochs, lr=learning_rate, **kwargs)

    def initialize_module(self):
        """Build the trunk, the heads for its features, and the place for the means."""
        super().initialize_module()
        if len(self.input_shape) == 3:
            self.module_.to(memory_format=torch.channels_last)
        x = probe(self.module_, self.views.center, self.input_shape)
        h = probe(self.module_, self.features, x.shape[1:])
        if h.ndim != 2 or len(h) != 2:
            raise ValueError(
                "network must map a batch of n inputs to features of shape (n, f), "
                f"but 2 inputs of the shape {tuple(x.shape[1:])} gave the shape {tuple(h.shape)}."
            )
        self.head_ = NormalizedHead(h.shape[1], self.embedding_dim, self.head_std)
        self.assignment_ = GaussianAssignment(self.n_clusters, self.embedding_dim)
        if self.auxiliary_task is not None:
            self.auxiliary_ = self.auxiliary_task(h.shape[1])
            if self._auxiliary_name == CLUSTERING:
                raise ValueError(
                    f"auxiliary must make a task of another name, got {CLUSTERING!r}: this is how "
                    "the history calls the task that it takes turns with."
                )
        return self

    # ------------------------------------------------------------------ the network

    def features(self, x: Tensor) -> Tensor:
        """Map what `views` made of inputs to features (b, f)."""
        if self.sobel:
            x = sobel(x)
        if x.ndim == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return self.module_(x)

    def output(self, x: Tensor) -> Tensor:
        """Map what `views` made of inputs to embeddings (b, d) on the unit sphere."""
        return self.head_(self.features(x))

    def embed(self, x: Tensor) -> Tensor:
        """Map inputs to the embeddings of their centre crops, as the assignment of targets does."""
        return self.output(self.views.center(x))

    def assign(self, x: Tensor) -> Tensor:
        """Return assignments (b, K) to the means, of which the nearest is eq. 3."""
        return self.assignment_(self.embed(x))

    @property
    def has_clusters_(self) -> bool:
        """Targets spread over the sphere have no means: k-means finds some in the end."""
        return super().has_clusters_ and self.targets != "uniform"

    @property
    def inference_cost(self) -> int:
        """Numbers in the first feature maps of an image by its own; no bound on large GPUs."""
        if len(self.input_shape) < 3 or self.device.type == "cuda":
            return 1
        return max(1, 64 * self.views.size**2 // math.prod(self.input_shape))

    # ------------------------------------------------------------------ phases and epochs

    fixed_schedule = True

    def phases(self) -> list[Phase]:
        """One phase; with an auxiliary task, every epoch of it is followed by one of clustering."""
        return [Phase(CLUSTERING, self.max_epochs * self.n_tasks)]

    @property
    def n_tasks(self) -> int:
        """Clustering, and the auxiliary task if there is one; the paper counts `task_epoch_`."""
        return 1 if self.auxiliary_task is None else 2

    @property
    def task_(self) -> str:
        """Whose turn it is."""
        if self.phase_epoch_ % self.n_tasks + 1 == self.n_tasks:
            return CLUSTERING
        return self._auxiliary_name

    @property
    def _auxiliary_name(self) -> str:
        return getattr(self.auxiliary_, "name", "auxiliary")

    @property
    def _refines(self) -> bool:
        return self.refine_after is not None and self.task_epoch_ >= self.refine_after

    def configure_phase(self) -> None:
        """Make the optimiser of both tasks: no decay of biases and of batch normalisation.

        Before that, look at a sample of the rows, if what distorts them asks for it.
        """
        self.augment_ = self.views.measured(self.source_).augment
        parameters = [p for name in self._modules for p in getattr(self, f"{name}_").parameters()]
        groups = [
            {"params": [p for p in parameters if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.optimizer_ = torch.optim.SGD(
            [group for group in groups if group["params"]],
            lr=self.lr,
            momentum=self.momentum,
            fused=self.device.type in ("cpu", "cuda"),
        )
        # A head has no gradients before its task's turn, and the fused step wants all or none of
        # the buffers; zeros are what an average of nothing is.
        for parameter in parameters:
            self.optimizer_.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)
        self.optimizer_.register_step_pre_hook(self._keep_idle_moving)

    def _keep_idle_moving(self, optimizer: torch.optim.Optimizer, *_) -> None:
        """Give zero gradients to what the task leaves out: the other's head keeps its momentum.

        A head that has not had its turn yet stays as it is.
        """
        if self.phase_epoch_ == 0:
            return
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                # Without a gradient the optimiser would pass it over. What is frozen stays so.
                if parameter.grad is None and parameter.requires_grad:
                    parameter.grad = torch.zeros_like(parameter)

    def _take_start(self) -> None:
        """Copy the weights, and the means of targets of the same kind.

        Raises
        ------
        ValueError
            If they do not fit.
        """
        if self.start_.targets != self.targets:
            raise ValueError(
                f"targets={self.targets!r} cannot go on from a fit with "
                f"targets={self.start_.targets!r}: fit with warm_start=False."
            )
        super()._take_start()

    def begin_phase(self) -> None:
        """Draw the targets, and give them to the rows at random (eq. 2)."""
        n = len(self.source_)
        if self.targets == "uniform":
            points, index = sample_sphere(n, self.embedding_dim), torch.arange(n)
            component = torch.zeros(n, dtype=torch.int64)
        else:
            means = self.assignment_.means.cpu().clone()
            if not self.warm_:
                means = mixture_means(self.targets, self.n_clusters, self.embedding_dim)
            points, component, index = sample_mixture(means, n, self.sigma, self.weights)
            self.assignment_.means.copy_(means)
        self._keep(points=points, component=component, index=index)
        self.change_ = 0.0
        self.refined_ = False

    def _keep(self, **state: Tensor) -> None:
        """Keep targets on the device: different points, their components, the rows' numbers."""
        for name, value in state.items():
            setattr(self, f"{name}_", value.to(self.device))

    def begin_epoch(self) -> None:
        """Set the learning rate, and refine the targets before the epoch's first task."""
        decay = self.decay_factor if self.task_epoch_ >= self.decay_after else 1
        for group in self.optimizer_.param_groups:
            group["lr"] = self.lr / decay
        if self._refines and self.phase_epoch_ % self.n_tasks == 0:
            self.refine()

    def refine(self) -> None:
        """Give rows the means of the clusters that k-means finds, whatever their sizes."""
        with self.autocast():
            z = self._embeddings()
        labels = self.on_main(
            lambda: kmeans(z, self.n_clusters, self.seed, REFINEMENT_RESTARTS).labels_
        )
        previous = self.component_[self.index_].cpu().numpy()
        index = match_labels(labels.astype(np.int64), previous, self.n_clusters)
        self.change_ = float((index != previous).mean())
        means = self.assignment_.means.clone()
        component = torch.arange(self.n_clusters)
        self._keep(points=means, component=component, index=torch.from_numpy(index))
        self.refined_ = True

    def _embeddings(self) -> np.ndarray:
        z = self.map_rows(self.source_, self.embed).cpu().numpy()
        if not np.isfinite(z).all():
            raise FloatingPointError(
                f"embeddings are not finite after {self.task_epoch_} epochs. A smaller learning "
                "rate may help, or precision='float32'."
            )
        return z

    # ------------------------------------------------------------------ steps

    def training_step(self, batch: Batch) -> dict[str, Tensor]:
        """One step of the task whose turn it is (algorithm 1)."""
        # A single row has no variance: batch normalisation then takes what it has seen so far.
        self._switch(len(batch.x) > 1)
        if self.task_ != CLUSTERING:
            return self._auxiliary_step(batch)
        return self._clustering_step(batch)

    def _switch(self, training: bool) -> None:
        """Set the mode of all modules, if it is another one: walking through them takes time."""
        if self.module_.training != training:
            self._set_training(training)

    def _auxiliary_step(self, batch: Batch) -> dict[str, Tensor]:
        terms = self.compiled(self._auxiliary_terms)(batch.x)
        self.descend(terms["loss"], batch, self.optimizer_)
        return {name: term.detach().clone() for name, term in terms.items()}

    def _auxiliary_terms(self, x: Tensor) -> dict[str, Tensor]:
        with self.autocast():
            return self.auxiliary_(self._shared_features, x, self.views.crop)

    def _shared_features(self, x: Tensor) -> Tensor:
        return self.all_rows(self.features, x)

    def _clustering_step(self, batch: Batch) -> dict[str, Tensor]:
        before = self.index_[batch.index]
        after, terms, distances = before, {}, None
        if not self._refines:
            distances = self._begin_distances(batch.x, self.points_[before])
        # On a GPU this is under way while the targets are assigned on the CPU.
        z = self.compiled(self._augmented_output)(batch.x)
        if distances is not None:
            after, terms["change"] = self._assign_targets(batch.index, before, distances)
        loss = F.mse_loss(z, self.points_[after])
        self.descend(loss, batch, self.optimizer_)
        return {"loss": loss.detach(), **terms}

    def _augmented_output(self, x: Tensor) -> Tensor:
        x = self.augment_(x)
        with self.autocast():
            return self.all_rows(self.output, x)

    @torch.no_grad()
    def _begin_distances(self, x: Tensor, points: Tensor) -> Callable[[], np.ndarray]:
        """Begin to measure how far centre crops lie from targets; what is returned waits for it.

        Distances are of embeddings, (b, b).
        """
        training = self.module_.training
        self._switch(False)
        with self.autocast():
            z = self.all_rows(self.compiled(self.embed), x)
        self._switch(training)
        exact = "donot_use_mm_for_euclid_dist"
        return _to_host(torch.cdist(z.float(), points, compute_mode=exact))

    def _assign_targets(
        self, rows: Tensor, before: Tensor, distances: Callable[[], np.ndarray]
    ) -> tuple[Tensor, Tensor]:
        """Give the batch's targets to its rows anew (eq. 1); return the share that changed, too."""
        cost = distances()
        if not np.isfinite(cost).all():  # the loss tells
            return before, before.new_zeros((), dtype=torch.float32)
        after = before[_to_device(match_targets(cost), self.device)]
        self.index_[rows] = after
        changed = self.component_[after] != self.component_[before]
        return after, changed.float().mean()

    def end_epoch(self, means: dict[str, float]) -> dict:
        """Share of rows whose component changed, and how many rows each component has."""
        if self.task_ != CLUSTERING:
            return {}
        row = {"learning_rate": self.optimizer_.param_groups[0]["lr"]}
        if self._refines:
            row["change"] = self.change_
        if self.targets != "uniform":
            row["target_sizes"] = self._target_sizes().tolist()
        return row

    def _target_sizes(self) -> Tensor:
        return torch.bincount(self.component_[self.index_], minlength=self.n_clusters)

    # ------------------------------------------------------------------ the end

    def fit_loop(self, X, y=None, epochs=None, **fit_params):
        """Train, then measure how far embeddings lie from their means."""
        super().fit_loop(X, y, epochs, **fit_params)
        z = self._embeddings()
        if self.targets == "uniform":
            centers = self.on_main(lambda: kmeans(z, self.n_clusters, self.seed).cluster_centers_)
            self.assignment_.means.copy_(torch.as_tensor(centers))
        else:
            self.target_sizes_ = self._target_sizes().cpu().numpy()
        means, parts = self.assignment_.means.cpu(), torch.as_tensor(z).split(MEASURED)
        squared = torch.cat([squared_distances(part, means).amin(dim=1) for part in parts])
        variance = squared.double().mean().item() / z.shape[1]
        self.assignment_.variance.fill_(max(MIN_VARIANCE, variance))
        return self

    _own = ("points_", "component_", "index_")
    _transient = (*ClusteringNet._transient, *_own, "augment_")

    def method_state(self) -> dict:
        """Targets, and which row has which."""
        state = {"change_": self.change_, "refined_": self.refined_}
        return state | {name: getattr(self, name) for name in self._own}


def _to_host(x: Tensor) -> Callable[[], np.ndarray]:
    """Begin to copy a tensor to the CPU; what is returned waits for it."""
    if x.device.type != "cuda":
        return lambda: x.cpu().numpy()
    host = torch.empty(x.shape, dtype=x.dtype, pin_memory=True)
    host.copy_(x, non_blocking=True)
    done = torch.cuda.Event()
    # The copy waits its turn on the tensor's own device, which need not be the current one.
    done.record(torch.cuda.current_stream(x.device))

    def wait() -> np.ndarray:
        done.synchronize()
        return host.numpy()

    return wait


def _to_device(x: np.ndarray, device: torch.device) -> Tensor:
    """Copy an array to the device; on a GPU behind what is under way there, without a wait for it.

    From memory that is not pinned, a copy would wait until the device has nothing else to do.
    """
    tensor = torch.from_numpy(x)
    if device.type != "cuda":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


class MMDC(DeepClusterer):
    r"""Multi-modal deep clustering: images are aligned with targets drawn from a mixture.

    A network with outputs :math:`f_\theta(x)` on the unit sphere and n targets :math:`t_i`, drawn
    once from K Gaussians and projected to the sphere, are brought together by

    .. math::

        \min_{\theta, P} \frac{1}{n} \sum_i \ell(f_\theta(x_i), t_{P(i)}), \qquad
        c_i = \operatorname{argmin}_k \lVert f_\theta(x_i) - \mu_k \rVert

    with P a permutation and :math:`c_i` the cluster of row i (eqs. 1 to 3).

    How it works: each row has a target. In each mini-batch the rows exchange theirs so that the
    embeddings of the centre crops lie as near to them as possible (Hungarian method), then one step
    of gradient descent moves the embeddings of randomly distorted images towards them, by the mean
    squared error over all elements. With an auxiliary task, each such epoch follows an epoch in
    which the same trunk learns to predict rotations. As targets are equally many for each cluster,
    a refinement gives that up in the end: each epoch begins with k-means on the embeddings of all
    rows, and rows get the mean of their cluster as target.

    Photographs are here colour images of 32 pixels a side and more. What "auto" stands for is
    listed in the notes.

    Parameters
    ----------
    n_clusters : int, default=8
        Number of clusters K.
    network : {"auto", "vgg", "resnet18", "resnet34", "mlp"} or callable, default="auto"
        The trunk: :class:`~skdeepcluster.networks.SmallVGG`,
        :class:`~skdeepcluster.networks.ResNet` or :class:`~skdeepcluster.networks.MLP`. A callable
        gets the shape of what the trunk sees, ``(C, input_size, input_size)`` or ``(d,)``, and
        returns a module that maps it to features (n, f); the linear head to the sphere is added to
        it.
    hidden_sizes : tuple of int, default=(512, 512)
        Sizes of the MLP's layers.
    targets : {"one-hot", "random", "uniform"}, default="one-hot"
        Means :math:`\mu_k` of the mixture: unit vectors, or random points of the sphere (Fig. 4).
        "uniform" are targets all over the sphere: noise as targets (NAT). That mixture has no
        components: clusters are then those of k-means on the embeddings in the end.
    embedding_dim : int or "auto", default="auto"
        Dimension d of the sphere's space; "auto" is K.
    sigma : float, default=0.0
        Variance :math:`\sigma` of the Gaussians.
    weights : array-like of shape (n_clusters,) or None, default=None
        Proportions :math:`\alpha_k` of the mixture, up to a factor; None is :math:`1 / K`. They are
        those of the targets alone: a row's cluster is that of the nearest mean always.
    auxiliary : {"auto", "rotation"}, callable or None, default="auto"
        Task that takes turns with clustering. A callable makes a module like
        :class:`~skdeepcluster.networks.RotationTask` from the number of features; its name must
        not be "clustering".
    augmentation : {"auto", "grey", "colour", "noise"}, callable or None, default="auto"
        The random transformation g. "grey" are crops turned by up to 25 degrees, "colour" are crops
        flipped at random, with brightness, contrast, saturation and hue changed and a fifth of them
        made grey; "noise" adds to features normal noise of their columns' deviation, which with
        ``scaling=None`` is that of some thousands of the rows. "auto" is what fits the data. A
        callable distorts a batch of crops (n, C, input_size, input_size), or of
        features; None leaves the crops as they are.
    crop_size : int, tuple of int or "auto", default="auto"
        Sides of the random square crops, in pixels; the first is that of the centre crop for
        assignment and prediction. "auto" is 5/8 of the shorter side for colour images (20 of 32),
        6/7, 5/7 and 4/7 of it for grey ones (24, 20 and 16 of 28), and the whole, 7/8 and 6/8 for
        images of less than 16 pixels a side.
    input_size : int or "auto", default="auto"
        Side to which crops are resized, in pixels. "auto" is the power of two that
        the largest crop fits into, above 32 the multiple of 32.
    sobel : bool, default=False
        Whether the trunk sees the gradients of the brightness instead of the image (Table III).
    refine_after : int, "auto" or None, default="auto"
        Epochs before the refinement; None leaves it out. There is none with uniform targets,
        either.
    embedding : {"output", "features"}, default="output"
        What `transform` returns: the points on the sphere, or the trunk's features.
    image_shape : tuple of int or None, default=None
        How a row of a two-dimensional X unfolds: ``(H, W)``, ``(H, W, C)`` or ``(C, H, W)``. None:
        rows are feature vectors.
    scaling : "auto" or None, default="auto"
        "auto" divides 8-bit images by 255, leaves float images in [0, 1] as they are, maps others
        to [0, 1] by the range seen in `fit`, and standardises columns of features. None leaves all;
        the augmentation "colour" then needs images in [0, 1].
    max_epochs : int or "auto", default="auto"
        Epochs of clustering.
    max_time : float or None, default=None
        Seconds after which `fit` ends with what it has.
    warm_start : bool, default=False
        Whether a further `fit` goes on with what was fitted: from its weights and means, with
        targets drawn anew, with its scaling. Parameters that shape the networks must be as they
        were; others may change.
    batch_size : int or "auto", default="auto"
        Largest batch. Few rows make smaller ones: an epoch has eight steps at least. The time of an
        assignment grows with the cube of the size: it is short up to about 256.
    learning_rate : float or "auto", default="auto"
        Of stochastic gradient descent, for both tasks.
    decay_after : int or "auto", default="auto"
        Epochs after which the learning rate is divided, by 5 for photographs and by 10 for others.
    momentum : float, default=0.9
        Of stochastic gradient descent.
    weight_decay : float, default=0.0005
        Of matrices and convolutions; biases and batch normalisation have none.
    device : str, default="auto"
        "auto" is CUDA, then MPS, then the CPU; else a device's name such as "cuda:1".
    precision : "auto", "float32" or "bfloat16", default="auto"
        Of the forward passes in training. "auto" is bfloat16 where the hardware multiplies it.
        Prediction is always in float32.
    compile : bool, default=False
        Whether the passes of the training are compiled by torch.
    deterministic : bool, default=False
        Whether only operations may run that give the same bits each time. On a CPU all do. On CUDA
        it takes time, and `fit` raises a ValueError unless the environment says
        ``CUBLAS_WORKSPACE_CONFIG=:4096:8``. On MPS nothing is promised.
    callbacks : list of skorch callbacks or None, default=None
        They see the epochs of both tasks; ``net.history[-1]["phase"]`` tells which.
    checkpoint : str, path or None, default=None
        Folder for resuming. The run keeps a file there, named after its parameters and data, and
        renews it every minute; the same call goes on from it, or returns at once what it had
        finished. Callbacks do not count: what they hold is not in the file, and a run that one of
        them ended is finished.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 a line an epoch.
    random_state : int, RandomState or None, default=None
        Seed. On the CPU of one machine, with as many threads, the same one gives the same labels,
        and so does a run that was resumed. On a GPU, sums are not always taken in the same order,
        so that two runs may come to differ.

    Attributes
    ----------
    labels_ : ndarray of shape (n,), int
        Cluster of each row.
    cluster_centers_ : ndarray of shape (n_clusters, embedding_dim), float32
        Means of the mixture; with uniform targets, centres of k-means.
    net_ : skorch.NeuralNet
        The fitted net: `module_` is the trunk, `head_` the linear layer to the sphere,
        `auxiliary_` the auxiliary task, if there is one.
    n_iter_ : int
        Epochs of clustering.
    history_ : list of dict
        One an epoch, of either task: "phase" ("clustering" or "rotation"), the mean of each term,
        "seconds"; of clustering "change", the share of rows whose component changed,
        "target_sizes", how many rows then have each component, and "learning_rate".
    n_features_in_ : int
        Numbers in a row.
    feature_names_in_ : ndarray of str
        Names of the columns, where X had some.

    Warns
    -----
    ConvergenceWarning
        If clusters are empty; if there was no refinement, and their sizes are far from those that
        targets had been drawn for: then the refinement, or `weights`, are for these data.

    See Also
    --------
    StatDEC : Trains an autoencoder, and takes feature vectors as readily.

    Notes
    -----
    This is what "auto" stands for:

    =================  =================  =================  =================
    parameter          photographs        other images       features
    =================  =================  =================  =================
    `network`          "resnet18"         "vgg"              "mlp"
    `auxiliary`        "rotation"         None               None
    `max_epochs`       400                50                 50
    `refine_after`     7/8 of the epochs  2/5 of the epochs  2/5 of the epochs
    `decay_after`      7/8 of the epochs  4/5 of the epochs  4/5 of the epochs
    `learning_rate`    0.05               0.05               0.05
    `batch_size`       128                128                128
    =================  =================  =================  =================

    The learning rate is 0.01 for photographs without an auxiliary task, which 0.05 is too much for.
    Of few images batches are smaller, down to 32, for about fifty steps an epoch; unless they are
    photographs, there are then up to four times as many epochs, for 1500 steps in all, and the
    refinement comes after 4/5 of them. Refinement and decay wait for one epoch at least.

    Probabilities are those of Gaussians about the means, of one variance that is the mean squared
    residual of the training rows; the most probable cluster is the nearest mean always.

    Without a refinement (`refine_after=None`) the clusters are of about equal size, or as `weights`
    say.

    References
    ----------
    G. Shiran, D. Weinshall, "Multi-Modal Deep Clustering: Unsupervised Partitioning of Images"
    (2020), arXiv:1912.02678. Noise as targets: P. Bojanowski, A. Joulin, "Unsupervised Learning by
    Predicting Noise" (2017).

    Examples
    --------
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import MMDC
    >>> X, _ = make_blobs(200, n_features=6, centers=3, random_state=0)
    >>> model = MMDC(3, hidden_sizes=(32, 32), max_epochs=10, random_state=0).fit(X)
    >>> model.predict_proba(X).shape
    (200, 3)
    """

    _networks = ("auto", "vgg", "resnet18", "resnet34", "mlp")
    _net_class = MMDCNet
    _automatic = ("max_epochs", "batch_size", "learning_rate")

    def __init__(
        self,
        n_clusters=8,
        *,
        network="auto",
        hidden_sizes=(512, 512),
        targets="one-hot",
        embedding_dim="auto",
        sigma=0.0,
        weights=None,
        auxiliary="auto",
        augmentation="auto",
        crop_size="auto",
        input_size="auto",
        sobel=False,
        refine_after="auto",
        embedding="output",
        image_shape=None,
        scaling="auto",
        max_epochs="auto",
        max_time=None,
        warm_start=False,
        batch_size="auto",
        learning_rate="auto",
        decay_after="auto",
        momentum=0.9,
        weight_decay=0.0005,
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
        self.targets = targets
        self.embedding_dim = embedding_dim
        self.sigma = sigma
        self.weights = weights
        self.auxiliary = auxiliary
        self.augmentation = augmentation
        self.crop_size = crop_size
        self.input_size = input_size
        self.sobel = sobel
        self.refine_after = refine_after
        self.embedding = embedding
        self.image_shape = image_shape
        self.scaling = scaling
        self.max_epochs = max_epochs
        self.max_time = max_time
        self.warm_start = warm_start
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.decay_after = decay_after
        self.momentum = momentum
        self.weight_decay = weight_decay
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
        r"""Minus the mean squared distance to the nearest mean, the higher the better.

        Comparable between runs with the same `n_clusters`, `targets`, `embedding_dim` and `sigma`;
        not between others, because these change what there is to be near to. It does not see the
        clusters' sizes: a run that put all rows into one cluster may have a good score.

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
        >>> from skdeepcluster import MMDC
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> model = MMDC(3, hidden_sizes=(16,), max_epochs=10, random_state=0).fit(X)
        >>> -4 <= model.score(X) <= 0  # on the unit sphere
        True
        """
        return float(-self._map(self._source(X), self._residual).astype(np.float64).mean())

    # ------------------------------------------------------------------ the base class's questions

    @classmethod
    def _preset(cls, name, input_shape, n_samples):
        if name == "paper":
            return {"batch_size": BATCH_SIZE}
        quick = {"max_epochs": math.ceil(QUICK_ROWS / n_samples), "max_time": QUICK_SECONDS}
        if len(input_shape) == 3:
            quick |= {"network": "vgg", "auxiliary": None}
        else:
            # Fifty epochs are enough for rows of features, be they ever so few.
            quick["max_epochs"] = min(quick["max_epochs"], MNIST.max_epochs)
        return quick

    def _check_own_parameters(self) -> None:
        check_choice("targets", self.targets, ("one-hot", "random", "uniform"))
        if not says(self.embedding_dim, "auto"):
            least = self.n_clusters if self.targets == "one-hot" else 1
            check_integer("embedding_dim", self.embedding_dim, minimum=least)
        check_real("sigma", self.sigma)
        self._mixture_weights()
        if not callable(self.auxiliary):
            check_choice("auxiliary", self.auxiliary, ("auto", "rotation", None))
        if not callable(self.augmentation):
            check_choice(
                "augmentation", self.augmentation, ("auto", "grey", "colour", "noise", None)
            )
        check_boolean("sobel", self.sobel)
        check_choice("embedding", self.embedding, ("output", "features"))
        check_sizes("hidden_sizes", self.hidden_sizes)
        if not says(self.crop_size, "auto"):
            check_sizes("crop_size", crop_sides(self.crop_size), also="'auto', an int or ")
        if not says(self.input_size, "auto"):
            check_integer("input_size", self.input_size, minimum=1)
        for name in ("refine_after", "decay_after"):
            value = getattr(self, name)
            if not says(value, "auto") and not (name == "refine_after" and value is None):
                check_integer(name, value, minimum=0)
        check_real("momentum", self.momentum, maximum=1.0)
        check_real("weight_decay", self.weight_decay)
        if self.targets == "uniform":
            self._check_uniform()

    def _check_uniform(self) -> None:
        """Refuse what speaks of components that uniform targets do not have."""
        if self.sigma != 0:
            raise ValueError(
                f"targets='uniform' has no components: leave sigma as 0, got {self.sigma!r}."
            )
        if self.weights is not None:
            raise ValueError(
                f"targets='uniform' has no components: leave weights as None, got {self.weights!r}."
            )
        if self.refine_after not in ("auto", None):
            raise ValueError(
                "targets='uniform' has no components to refine: refine_after must be 'auto' or "
                f"None, got {self.refine_after!r}."
            )

    def _mixture_weights(self) -> Tensor | None:
        if self.weights is None:
            return None
        weights = np.asarray(self.weights)
        right = weights.shape == (self.n_clusters,) and weights.dtype.kind in "iuf"
        if not right or not np.isfinite(weights).all() or (weights <= 0).any():
            raise ValueError(
                f"weights must be {self.n_clusters} positive numbers, one a cluster, "
                f"got {self.weights!r}."
            )
        return torch.from_numpy(weights / weights.sum())

    def _check_rows(self, X, input_shape):
        if self.scaling == "auto" or len(input_shape) == 1 or callable(self.augmentation):
            return
        if self.augmentation == "colour" or (self.augmentation == "auto" and in_color(input_shape)):
            check_colors(X, self.augmentation)

    def _make_net(self, input_shape, n_samples, **common) -> MMDCNet:
        photographs = _are_photographs(input_shape)
        batch_size, schedule = self._batch_size_and_schedule(input_shape, n_samples)
        views = self._views(input_shape)
        trunk, head_std = self._trunk(self._seen_shape(input_shape, views), photographs)
        auxiliary = self._auxiliary(input_shape, photographs)
        max_epochs = schedule.max_epochs if self.max_epochs == "auto" else self.max_epochs
        learning_rate = self.learning_rate
        if learning_rate == "auto":
            learning_rate = 0.01 if photographs and auxiliary is None else 0.05
        return self._net_class(
            trunk,
            input_shape=input_shape,
            n_clusters=self.n_clusters,
            targets=self.targets,
            embedding_dim=self.n_clusters if self.embedding_dim == "auto" else self.embedding_dim,
            sigma=float(self.sigma),
            weights=self._mixture_weights(),
            auxiliary_task=auxiliary,
            views=views,
            sobel=self.sobel,
            head_std=head_std,
            max_epochs=max_epochs,
            learning_rate=float(learning_rate),  # a NumPy float cannot be checkpointed
            momentum=float(self.momentum),
            weight_decay=float(self.weight_decay),
            decay_after=_epochs_before(self.decay_after, schedule.decay_after, max_epochs),
            decay_factor=schedule.decay_factor,
            refine_after=None
            if self.targets == "uniform"
            else _epochs_before(self.refine_after, schedule.refine_after, max_epochs),
            **common | {"batch_size": batch_size},
        )

    def _batch_size_and_schedule(self, input_shape, n_samples: int) -> tuple[int, Schedule]:
        """Return the paper's, or for few images smaller batches, and more epochs that refine later.

        Photographs have the paper's schedule always.
        """
        photographs = _are_photographs(input_shape)
        schedule = NATURAL if photographs else MNIST
        if self.batch_size != "auto":
            return self.batch_size, schedule
        batch_size = TRAINING_BLOCK * max(1, round(n_samples / (STEPS * TRAINING_BLOCK)))
        if len(input_shape) == 1 or batch_size >= BATCH_SIZE:
            return BATCH_SIZE, schedule
        if photographs:
            return batch_size, schedule
        wanted = math.ceil(MIN_STEPS / n_batches(n_samples, batch_size))
        epochs = min(max(wanted, MNIST.max_epochs), 4 * MNIST.max_epochs)
        return batch_size, replace(MNIST, max_epochs=epochs, refine_after=MNIST.decay_after)

    def _views(self, input_shape) -> ImageViews | FeatureViews:
        if self.sobel:
            check_image("sobel", self.sobel, input_shape)
        return make_views(
            input_shape,
            self.augmentation,
            self.crop_size,
            self.input_size,
            standardised=self.scaling == "auto",
        )

    def _seen_shape(self, input_shape, views: ImageViews | FeatureViews) -> tuple[int, ...]:
        """Return the shape of what the trunk sees of an input."""
        if len(input_shape) == 1:
            return input_shape
        return (2 if self.sobel else input_shape[0], views.size, views.size)

    def _auxiliary(self, input_shape, photographs: bool) -> Callable | None:
        if self.auxiliary == "auto":
            return RotationTask if photographs else None
        if self.auxiliary == "rotation":
            check_image("auxiliary", self.auxiliary, input_shape)
            return RotationTask
        return self.auxiliary

    def _trunk(self, seen: tuple[int, ...], photographs: bool) -> tuple[Callable, float | None]:
        """Return what makes the trunk for inputs of the shape `seen`, and how its head begins."""
        name = self.network
        if callable(name):
            return partial(name, seen), None
        if name == "auto":
            name = "mlp" if len(seen) == 1 else "resnet18" if photographs else "vgg"
        if name == "mlp":
            return partial(MLP, seen, tuple(self.hidden_sizes)), None
        check_image("network", name, seen)
        if name == "vgg":
            return partial(SmallVGG, seen), PAPER_HEAD_STD
        blocks = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}[name]
        return partial(ResNet, seen, blocks), PAPER_HEAD_STD

    def _collect(self) -> None:
        self.cluster_centers_ = self.net_.assignment_.means.cpu().numpy().copy()

    @property
    def _embedding_dim(self) -> int:
        linear = self.net_.head_.linear
        return linear.in_features if self.embedding == "features" else linear.out_features

    def _own_warnings(self, net) -> list[str]:
        # An untrained network's clusters say nothing of what was assumed.
        if net.refined_ or self.targets == "uniform" or self.n_iter_ == 0:
            return []
        sizes = np.bincount(self.labels_, minlength=self.n_clusters)
        moved = np.abs(sizes - net.target_sizes_).sum() / (2 * len(self.labels_))
        if moved <= CONTRADICTION:
            return []
        if net.refine_after is None:
            advice = "Pass refine_after='auto', or weights."
        else:
            advice = (
                f"No refinement took place: it begins after {net.refine_after} epochs, and there "
                f"were {self.n_iter_}. Pass a smaller refine_after, or give it more time or epochs."
            )
        return [
            f"MMDC had targets for clusters of {net.target_sizes_.tolist()} rows, but found "
            f"{sizes.tolist()}. {advice}"
        ]

    def _embed(self, x):
        net = self.net_
        h = net.features(net.views.center(x))
        return h if self.embedding == "features" else net.head_(h)

    def _residual(self, x):
        net = self.net_
        return squared_distances(net.embed(x), net.assignment_.means).amin(dim=1)


def _are_photographs(input_shape: tuple[int, ...]) -> bool:
    """Whether inputs are what the paper calls natural images: coloured, of 32 pixels and more."""
    return in_color(input_shape) and min(input_shape[1:]) >= 32


def _epochs_before(given: int | str | None, share: float, max_epochs: int) -> int | None:
    """Return the epochs before a change: those given, or a share of all, but one at least."""
    return max(1, round(share * max_epochs)) if given == "auto" else given

"""The scikit-learn side that all methods share: parameters, validation, fitted attributes."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.base import (
    BaseEstimator,
    ClassNamePrefixFeaturesOutMixin,
    ClusterMixin,
    TransformerMixin,
    clone,
)
from sklearn.exceptions import ConvergenceWarning
from sklearn.utils.validation import check_array, check_is_fitted, validate_data
from torch.utils.data import DataLoader, Dataset, IterableDataset

from skdeepcluster import _persistence
from skdeepcluster._layout import (
    check_image_shape,
    flatten_rows,
    make_preprocessor,
    unfolded_shapes,
    warn_of_units,
)
from skdeepcluster._rows import DatasetRows, spooled, tensor_dtype
from skdeepcluster._training import CLUSTERING, ClusteringNet, Preprocessor, TensorSource
from skdeepcluster._training._data import make_source
from skdeepcluster._training._device import PRECISIONS, resolve_device, resolve_precision
from skdeepcluster._training._fingerprint import fingerprint
from skdeepcluster._training._group import agree, shared_group
from skdeepcluster._training._seeding import (
    check_deterministic,
    deterministic_operations,
    draw_seed,
    for_training,
    in_turn,
    seeded,
)
from skdeepcluster._validation import check_boolean, check_choice, check_integer, check_real, says

#: Parameters that do not shape the result of a run, and so not the name of its checkpoint.
_INCIDENTAL = {
    "device",
    "compile",
    "deterministic",
    "callbacks",
    "checkpoint",
    "max_time",
    "verbose",
    "warm_start",
}

#: A run has collapsed where the largest cluster is more than this many times as large as the others
#: are on average: more unequal than the classes of any sampling that the papers have (1:100).
COLLAPSED = 100

#: Seconds after which the quick preset ends a run, however large the rows are.
QUICK_SECONDS = 120

#: How many sizes of clusters a warning lists.
SIZES_SHOWN = 10


class DeepClusterer(ClusterMixin, ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator):
    """What all deep clustering estimators have in common; not an estimator by itself.

    A method has a constructor with the common parameters and its own, and says

    - `_networks`: the names that `network` takes;
    - `_check_own_parameters`: checks of its own parameters;
    - `_make_net`: the net that does the work, which knows the soft assignments of a batch;
    - `_embed`: the embedding of a batch;
    - `_collect`: fitted attributes of its own.
    """

    _networks: tuple[str, ...] = ("auto",)

    #: Which of `max_epochs`, `batch_size` and `learning_rate` may be "auto"; the net then has the
    #: number.
    _automatic: tuple[str, ...] = ()

    #: What models were like that were saved before a parameter was there.
    _before: ClassVar[dict[str, Any]] = {}

    # ------------------------------------------------------------------ scikit-learn's methods

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Cluster X.

        Parameters
        ----------
        X : array-like of shape (n, d), (n, H, W), (n, H, W, C) or (n, C, H, W)
            Feature vectors, or images; images may also come as rows of shape (n, d) with
            `image_shape`. Any real dtype; float32, float64 and 8-bit images are not copied, and
            memory maps stay on the disk. Or a :class:`torch.utils.data.Dataset` of such rows or
            images, or of tuples that begin with one: see Notes.
        y : None
            Ignored.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError
            If a parameter or X is not as it must be; the message names the value. If X has fewer
            rows than `n_clusters`.
        TypeError
            If a parameter has a wrong type.
        FloatingPointError
            If a term of the objective stops being finite; the message names it and the epoch.
        CheckpointError
            If the checkpoint is damaged or cannot be written; the message names the file.
        KeyboardInterrupt
            On Ctrl-C, at the end of the step, after the checkpoint was written.

        Warns
        -----
        ConvergenceWarning
            If the run ended before it converged, with empty clusters, or collapsed: the largest
            cluster has more than 100 times as many rows as the others have on average. (Of 10
            clusters it then holds more than 91.7 % of the rows, of 2 more than 99 %.) Classes that
            differ by a factor of 100 are no reason to warn.

        Notes
        -----
        A `fit` that raises leaves the estimator as it was, fitted or not.

        A dataset gives what the array of its items would give, for `fit` as for `predict` and the
        others. Items of one shape and dtype are read by number when they are wanted (several at
        once by ``__getitems__``, where the dataset has it), and none is kept: each epoch reads all
        of them, and ``scaling="auto"`` reads them once or twice before (of 8-bit images nothing).
        StatDEC and VariationalGMMClustering also read some thousands of them for means, DCCS and
        MMDC where features are to be distorted.
        The same number must give the same item always. An
        :class:`~torch.utils.data.IterableDataset` has no numbers: it is read once to its end, into
        a temporary file that goes with the call.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import StatDEC
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 2, "tol": 0}
        >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
        >>> model.n_iter_, model.labels_.shape
        (2, (60,))
        """
        with self._as_it_was_on_error():
            net = self._fit(X)
        self._warn_about(net)
        return self

    @contextmanager
    def _as_it_was_on_error(self) -> Iterator[None]:
        """Undo what was set on the estimator, if the block raises."""
        before = dict(vars(self))
        try:
            yield
        except BaseException:
            vars(self).clear()
            vars(self).update(before)
            raise

    def _fit(self, X: Any, one_epoch: bool = False) -> ClusteringNet:
        """Fit to X, or go on with one epoch of it where X is a piece of the data."""
        self._check_parameters()
        fitted = hasattr(self, "net_")
        start = self.net_ if fitted and (one_epoch or self.warm_start) else None
        X, row_shape = self._check_X(X, reset=start is None)
        if len(X) < self.n_clusters and (start is None or not one_epoch):
            raise ValueError(f"n_samples={len(X)} should be >= n_clusters={self.n_clusters}.")
        preprocess = self._preprocessor_for(X, row_shape, start)
        self._check_rows(X, preprocess.input_shape)
        device = resolve_device(self.device)
        check_deterministic(self.deterministic, device)
        seed = agree(draw_seed(self.random_state), lambda: self._alike(X, preprocess, start))
        if start is not None and not one_epoch and self._was_cut(X, row_shape, seed, start):
            start = None  # its checkpoint has more than the weights
        if start is not None and one_epoch:
            seed = (seed + self.n_iter_) % 2**31  # not the same noise for each piece
        group = shared_group()
        source = make_source(X, preprocess, device, group)
        path = None if one_epoch else self._checkpoint_path(X, row_shape, seed, start)
        with (
            in_turn(group is None),  # those of a group wait for each other
            for_training(),
            seeded(seed, device),
            deterministic_operations(self.deterministic),
        ):
            net = self._make_net(
                preprocess.input_shape, len(X), **self._common(seed, device), checkpoint=path
            )
            if one_epoch:
                net.one_epoch_, net.max_epochs = True, 1
            if start is not None:
                net.go_on_from(start, self.n_iter_ if one_epoch else 0)
            net.fit(source)
        self._preprocess = preprocess
        if start is None:
            self._row_shape = row_shape or X.shape[1:]
            self._prepared_by = self._preparation()
        self._keep(net, source, self.history_ if start is not None and one_epoch else [])
        return net

    def _preprocessor_for(
        self, X: Any, row_shape: tuple[int, ...] | None, start: ClusteringNet | None
    ) -> Preprocessor:
        """Make what prepares rows, or take that of the fit that this one goes on from."""
        if start is None:
            return make_preprocessor(X, row_shape, self.image_shape, self.scaling)
        self._check_row_shape(row_shape)
        self._check_preparation()
        return self._preprocess

    def _common(self, seed: int, device: torch.device) -> dict[str, Any]:
        """Return the arguments that the nets of all methods take."""
        return {
            "seed": seed,
            "device": device,
            "precision": resolve_precision(self.precision, device),
            "batch_size": self.batch_size,
            "compile": self.compile,
            "max_time": self.max_time,
            "callbacks": self.callbacks,
            "verbose": self.verbose,
        }

    def _keep(self, net: ClusteringNet, source: TensorSource, before: list[dict]) -> None:
        """Set the fitted attributes, with the rows of history that were `before` this fit."""
        self.net_ = net
        rows = net.plain_history()
        self.history_ = before + [{**row, "epoch": len(before) + row["epoch"]} for row in rows]
        self.n_iter_ = sum(row["phase"] == CLUSTERING for row in self.history_)
        self._collect()
        net.trim_for_prediction()
        self.labels_ = self._map(source, net.assign).argmax(axis=1)
        net.leave_group()

    def _alike(
        self, X: np.ndarray, preprocess: Preprocessor, start: ClusteringNet | None
    ) -> dict[str, object]:
        """Return what processes that share a run must have in common, in words.

        What decides when they wait for each other is among it: who differs there waits for ever.
        """
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in _INCIDENTAL}
        array = isinstance(X, np.ndarray)
        rows = X[:: max(1, len(X) // 16)] if array else X[:16]
        numbers = [rows, preprocess.shift, preprocess.factor]
        params.pop("random_state", None)  # the first process's counts
        return {
            "kind of X": "an array" if array else "a dataset",
            "shape of X": X.shape,
            "rows of X": fingerprint(type(self).__name__, {"rows": numbers}, X[:1]),
            "parameters": fingerprint(type(self).__name__, params, X[:0]),
            "compile": self.compile,
            "deterministic": self.deterministic,
            "callbacks": _kinds(self.callbacks or ()),
            "use of a checkpoint": "none" if self.checkpoint is None else "a folder",
            "start": "a new one" if start is None else f"a fit of {self.n_iter_} epochs",
        }

    def predict(self, X: ArrayLike) -> np.ndarray:
        """Assign rows to the most probable cluster.

        Parameters
        ----------
        X : array-like, rows as in `fit`

        Returns
        -------
        ndarray of shape (n,), int

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as in `fit` (another number of features or shape of an image, NaN or
            infinity, no rows), or so large that the result is not finite.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import StatDEC
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
        >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
        >>> bool((model.predict(X) == model.labels_).all())
        True
        """
        return self.predict_proba(X).argmax(axis=1)

    def predict_proba(self, X: ArrayLike) -> np.ndarray:
        """Soft assignments of rows to clusters.

        Parameters
        ----------
        X : array-like, rows as in `fit`

        Returns
        -------
        ndarray of shape (n, n_clusters), float32
            Rows sum to one.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as in `fit` (another number of features or shape of an image, NaN or
            infinity, no rows), or so large that the result is not finite.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import StatDEC
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
        >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
        >>> model.predict_proba(X)[:2].sum(axis=1).round(3).tolist()
        [1.0, 1.0]
        """
        return self._map(self._source(X), self.net_.assign)

    def transform(self, X: ArrayLike) -> np.ndarray:
        """Embed rows.

        Parameters
        ----------
        X : array-like, rows as in `fit`

        Returns
        -------
        ndarray of shape (n, embedding dimension), float32

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        ValueError
            If X is not as in `fit` (another number of features or shape of an image, NaN or
            infinity, no rows), or so large that the result is not finite.

        Examples
        --------
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import StatDEC
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
        >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
        >>> model.transform(X).shape
        (60, 10)
        """
        return self._map(self._source(X), self._embed)

    def save(self, path: str | Path) -> None:
        """Write the fitted estimator to one safetensors file, whole or not at all.

        The file holds tensors, and as JSON the parameters and what else `predict` needs; nothing in
        it is ever executed. :func:`skdeepcluster.load` reads it. `callbacks`, `checkpoint` and a
        `RandomState` are not kept, and a `network` or another function that you passed must be
        passed to `load` again.

        Parameters
        ----------
        path : str or path
            The file to write.

        Raises
        ------
        NotFittedError
            If the estimator is not fitted.
        TypeError
            If a parameter is neither a plain value nor a function, or the estimator is of a class
            that `load` does not know.
        ValueError
            If parameters that shape the networks were changed after `fit`.
        OSError
            If the file cannot be written.

        Examples
        --------
        >>> import tempfile
        >>> import skdeepcluster
        >>> from sklearn.datasets import make_blobs
        >>> from skdeepcluster import StatDEC
        >>> X, _ = make_blobs(60, centers=3, random_state=0)
        >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
        >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model.safetensors")
        ...     same = skdeepcluster.load(f"{folder}/model.safetensors")
        >>> bool((same.predict(X) == model.labels_).all())
        True
        """
        check_is_fitted(self)
        _persistence.save(self, path)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags

    @property
    def _n_features_out(self) -> int:
        return self._embedding_dim

    # ------------------------------------------------------------------ what a method provides

    @classmethod
    def _preset(cls, name: str, input_shape: tuple[int, ...], n_samples: int) -> dict[str, Any]:
        """Return parameters for inputs (d,) or (C, H, W), by the name of a preset.

        "paper" are those of the paper, where they are not the defaults. "quick" makes a run of a
        minute or two on a processor, whatever the number of rows: first a look, not a result.
        """
        raise NotImplementedError

    def _check_own_parameters(self) -> None:
        raise NotImplementedError

    def _check_rows(self, X: Any, input_shape: tuple[int, ...]) -> None:
        """Refuse rows for inputs (d,) or (C, H, W) that the method cannot be trained on."""

    def _make_net(self, input_shape: tuple[int, ...], n_samples: int, **common) -> ClusteringNet:
        raise NotImplementedError

    def _embed(self, x: torch.Tensor) -> torch.Tensor:
        """Return embeddings (b, e) of a batch of inputs."""
        raise NotImplementedError

    def _collect(self) -> None:
        """Set the fitted attributes of the method's own, from `net_`."""

    def _own_warnings(self, net: ClusteringNet) -> list[str]:
        """Return what else the user must know of a run."""
        return []

    def _own_state(self) -> dict:
        """Return what `save` must keep beside modules and common attributes, for JSON."""
        return {}

    def _load_own_state(self, state: dict) -> None:
        """Restore it into `net_`."""

    def _empty_net(
        self, input_shape: tuple[int, ...], n_samples: int, device: torch.device | None = None
    ) -> ClusteringNet:
        """Return a net that was not trained, for `load` to fill."""
        device = resolve_device(self.device) if device is None else device
        factories = torch.device("meta") if device.type == "meta" else nullcontext()
        drawn = nullcontext() if device.type == "meta" else seeded(0, device)
        with for_training(), drawn, factories:
            net = self._make_net(
                input_shape, n_samples, seed=0, device=device, batch_size=self.batch_size
            )
            return net.initialize()

    # ------------------------------------------------------------------ validation

    def _check_parameters(self) -> None:
        check_integer("n_clusters", self.n_clusters, minimum=1)
        if not self._is_automatic("max_epochs"):
            check_integer("max_epochs", self.max_epochs, minimum=0)
        if not self._is_automatic("batch_size"):
            check_integer("batch_size", self.batch_size, minimum=1)
        if not isinstance(self.verbose, bool | np.bool_):
            check_integer("verbose", self.verbose, minimum=0)
        if not self._is_automatic("learning_rate"):
            check_real("learning_rate", self.learning_rate, exclusive=True)
        if self.max_time is not None:
            check_real("max_time", self.max_time)
        if isinstance(self.network, torch.nn.Module):
            raise TypeError(
                "network must be a name or a callable that builds a new module from the shape of "
                f"one input, got the module {type(self.network).__name__} itself."
            )
        if not callable(self.network):
            check_choice("network", self.network, self._networks)
        if self.image_shape is not None:
            check_image_shape(self.image_shape)
        check_choice("scaling", self.scaling, ("auto", None))
        check_choice("precision", self.precision, PRECISIONS)
        check_boolean("compile", self.compile)
        check_boolean("deterministic", self.deterministic)
        check_boolean("warm_start", self.warm_start)
        if not isinstance(self.device, str):
            raise TypeError(
                f"device must be a string such as 'auto' or 'cpu', got {self.device!r}."
            )
        if self.checkpoint is not None and not isinstance(self.checkpoint, str | Path):
            raise TypeError(f"checkpoint must be a folder's path or None, got {self.checkpoint!r}.")
        if self.callbacks is not None and not isinstance(self.callbacks, list | tuple):
            raise TypeError(f"callbacks must be a list or None, got {self.callbacks!r}.")
        self._check_own_parameters()

    def _is_automatic(self, name: str) -> bool:
        value = getattr(self, name)
        return name in self._automatic and says(value, "auto")

    def _check_X(self, X: Any, reset: bool) -> tuple[np.ndarray, tuple[int, ...] | None]:
        """Validate rows and return them as (n, D), and the shape that an image had."""
        if isinstance(X, DataLoader):
            raise TypeError("X must be an array or a dataset, got a DataLoader: pass its dataset.")
        if isinstance(X, IterableDataset):
            X = spooled(X)
        elif isinstance(X, Dataset):
            rows = DatasetRows(X)
            validate_data(self, rows[:1], reset=reset)
            return rows, rows.row_shape
        X, row_shape = flatten_rows(X)
        X = validate_data(self, X, reset=reset, ensure_min_samples=1)
        dtype = tensor_dtype(X.dtype)
        if dtype != X.dtype.newbyteorder("="):
            with np.errstate(over="ignore"):  # what float64 cannot hold is refused below
                X = X.astype(dtype)
        unusual = any(stride < 0 or stride % X.itemsize for stride in X.strides)
        if not X.dtype.isnative or unusual:  # torch takes neither
            # Copied always: a single row may count as contiguous though its stride is negative.
            X = np.array(X, dtype=X.dtype.newbyteorder("="), order="C")
        return X, row_shape

    def _checkpoint_of(self, X: Any) -> Path | None:
        """Return where a first fit to X, of an int as `random_state`, has its checkpoint."""
        X, row_shape = clone(self)._check_X(X, reset=True)
        return self._checkpoint_path(X, row_shape, draw_seed(self.random_state), None)

    def _checkpoint_path(
        self, X: np.ndarray, row_shape: tuple | None, seed: int, start: ClusteringNet | None
    ) -> Path | None:
        if self.checkpoint is None:
            return None
        params = {k: v for k, v in self.get_params(deep=False).items() if k not in _INCIDENTAL}
        # A generator's repr names its address; the seed drawn from it is what counts.
        if self.random_state is not None:
            params["random_state"] = seed
        params["row_shape"] = row_shape  # images and features may be the same numbers
        if start is not None:  # the same call goes on from elsewhere
            params["start"] = [getattr(start, module + "_") for module in start._modules]
        name = type(self).__name__
        return Path(self.checkpoint) / f"{name}-{fingerprint(name, params, X)}.checkpoint"

    def _was_cut(
        self, X: np.ndarray, row_shape: tuple | None, seed: int, last: ClusteringNet
    ) -> bool:
        """Whether the last fit was this call, was ended by `max_time`, and has a checkpoint."""
        if self.checkpoint is None or last.stopped_by_ != "max_time":
            return False

        def has_checkpoint() -> bool:
            path = self._checkpoint_path(X, row_shape, seed, None)
            return path == last.checkpoint and path.is_file()

        group = shared_group()
        return has_checkpoint() if group is None else group.from_main(has_checkpoint)

    # ------------------------------------------------------------------ inference

    def _source(self, X: Any) -> TensorSource:
        check_is_fitted(self)
        X, row_shape = self._check_X(X, reset=False)
        self._check_row_shape(row_shape)
        if self._prepared_by["scaling"] == "auto" and isinstance(X, np.ndarray):
            warn_of_units(X, self._preprocess)
        return make_source(X, self._preprocess, self.net_.device)

    def _check_row_shape(self, row_shape: tuple[int, ...] | None) -> None:
        shapes = unfolded_shapes(self._preprocess)
        if row_shape is not None and row_shape not in shapes:
            raise ValueError(
                f"X has rows of shape {row_shape}, but the estimator was fitted on rows of "
                f"shape {' or '.join(map(str, shapes))}."
            )

    def _preparation(self) -> dict[str, Any]:
        """Return the parameters that say how rows become inputs."""
        shape = None if self.image_shape is None else check_image_shape(self.image_shape)
        return {"scaling": self.scaling, "image_shape": shape}

    def _check_preparation(self) -> None:
        """Refuse parameters that a fit which goes on would leave aside."""
        for name, now in self._preparation().items():
            before = self._prepared_by[name]
            if now != before:
                raise ValueError(
                    f"{name} was {before!r} in the fit that this one goes on from, and is {now!r}: "
                    "scaling and layout stay. Leave it as it was, or begin anew."
                )

    def _map(self, source: TensorSource, function: Callable, cost: int | None = None) -> np.ndarray:
        with deterministic_operations(self.deterministic):
            result = self.net_.map_rows(source, function, cost).cpu().numpy()
        finite = np.isfinite(result).reshape(len(result), -1).all(axis=1)
        if not finite.all():
            raise ValueError(
                f"row {finite.argmin()} gives a result that is not finite: its values are too "
                "large for float32, or too far from those that the estimator was fitted on."
            )
        return result

    def _decode(self, Z: np.ndarray, function: Callable) -> np.ndarray:
        """Map checked embeddings to inputs by `function`, and these to rows in the units of X."""
        source = TensorSource(Z, Preprocessor.identity(Z.shape[1]), self.net_.device)
        # A few numbers grow to a whole row.
        cost = math.ceil(self.net_.inference_cost * self.n_features_in_ / Z.shape[1])
        rows = self._map(source, lambda z: self._preprocess.invert(function(z)), cost)
        return rows.reshape(len(Z), *self._row_shape)

    def _check_embedding(self, Z: Any) -> np.ndarray:
        check_is_fitted(self)
        Z = check_array(Z, dtype=np.float32)
        if Z.shape[1] != self._embedding_dim:
            raise ValueError(
                f"embeddings must have {self._embedding_dim} columns, got {Z.shape[1]}."
            )
        return np.ascontiguousarray(Z)

    # ------------------------------------------------------------------ convergence

    def _warn_about(self, net: ClusteringNet) -> None:
        sizes = np.bincount(self.labels_, minlength=self.n_clusters)
        found = int((sizes > 0).sum())
        name = type(self).__name__
        if net.stopped_by_ == "max_time":
            _warn(f"{name} was ended by max_time={self.max_time} s before it converged.")
        elif not net.converged_ and net.max_epochs > 0 and net.stopped_by_ is None:
            _warn(
                f"{name} did not converge within max_epochs={net.max_epochs}. "
                "Increase max_epochs or tol."
            )
        elif net.stopped_by_ == "callback" and self.n_iter_ == 0 and net.max_epochs > 0:
            _warn(f"a callback ended {name} before it began to cluster.")
        if found < self.n_clusters:
            collapsed = "all rows are in one cluster" if found == 1 else f"{found} have rows"
            _warn(f"{name} was to find {self.n_clusters} clusters, but {collapsed}.")
        largest = int(sizes.max())
        others = int(sizes.sum()) - largest
        if found > 1 and COLLAPSED * others < (self.n_clusters - 1) * largest:
            _warn(
                f"{name} has collapsed: {largest} of {sizes.sum()} rows are in one of "
                f"{self.n_clusters} clusters, which have {_listed(sizes)} rows. If the data are "
                "not as unequal as that, try another random_state, learning_rate or n_clusters."
            )
        for message in self._own_warnings(net):
            _warn(message)


def _kinds(callbacks: Iterable) -> list[str]:
    """Name the classes of callbacks, which skorch takes with names of their own as well."""
    bare = [each[1] if isinstance(each, tuple) else each for each in callbacks]
    return [(each if isinstance(each, type) else type(each)).__name__ for each in bare]


def _warn(message: str) -> None:
    warnings.warn(message, ConvergenceWarning, stacklevel=4)


def _listed(sizes: np.ndarray) -> str:
    """List sizes of clusters, the largest first, as many as a reader takes in."""
    shown = [str(size) for size in np.sort(sizes)[::-1]]
    more = len(shown) - SIZES_SHOWN
    return ", ".join(shown[:SIZES_SHOWN]) + (f" and {more} more sizes" if more > 0 else "")

"""Deep clustering methods as scikit-learn estimators."""

from pathlib import Path
from typing import Any

from skdeepcluster import _persistence
from skdeepcluster._base import DeepClusterer
from skdeepcluster._dccs import DCCS
from skdeepcluster._mmdc import MMDC
from skdeepcluster._persistence import LoadError
from skdeepcluster._statdec import StatDEC
from skdeepcluster._training._checkpoint import CheckpointError
from skdeepcluster._training._group import data_parallel
from skdeepcluster._variational import VariationalGMMClustering

__version__ = "0.1.0.dev0"
__all__ = [
    "DCCS",
    "MMDC",
    "CheckpointError",
    "LoadError",
    "StatDEC",
    "VariationalGMMClustering",
    "data_parallel",
    "load",
]

_ESTIMATORS = {cls.__name__: cls for cls in (DCCS, MMDC, StatDEC, VariationalGMMClustering)}


def load(path: str | Path, **params: Any) -> DeepClusterer:
    """Read an estimator that its `save` wrote, without executing anything from the file.

    Parameters
    ----------
    path : str or path
        The file.
    **params
        Parameters in place of the saved ones, such as ``device="cpu"``. Functions (a `network` of
        your own) are not in the file and must be passed here.

    Returns
    -------
    DCCS, MMDC, StatDEC or VariationalGMMClustering
        The fitted estimator.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    LoadError
        If the file is not a saved estimator, is damaged, or does not fit together.

    See Also
    --------
    joblib.load : For files of joblib or pickle, which may run any code.

    References
    ----------
    The format of the weights: `safetensors <https://github.com/huggingface/safetensors>`_.

    Examples
    --------
    >>> import tempfile
    >>> from sklearn.datasets import make_blobs
    >>> from skdeepcluster import StatDEC, load
    >>> X, _ = make_blobs(60, centers=3, random_state=0)
    >>> quick = {"hidden_sizes": (16, 16), "pretrain_epochs": 5, "max_epochs": 0}
    >>> model = StatDEC(n_clusters=3, random_state=0, **quick).fit(X)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     model.save(f"{folder}/model.safetensors")
    ...     same = load(f"{folder}/model.safetensors", device="cpu")
    >>> bool((same.labels_ == model.labels_).all())
    True
    """
    return _persistence.load(path, _ESTIMATORS, **params)

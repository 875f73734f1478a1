"""Deep clustering methods as scikit-learn estimators."""

from pathlib import Path

from skdeepcluster import _persistence
from skdeepcluster._dccs import DCCS
from skdeepcluster._mmdc import MMDC
from skdeepcluster._persistence import LoadError
from skdeepcluster._statdec import StatDEC
from skdeepcluster._training._checkpoint import CheckpointError
from skdeepcluster._variational import VariationalGMMClustering

__version__ = "0.1.0.dev0"
__all__ = [
    "DCCS",
    "MMDC",
    "CheckpointError",
    "LoadError",
    "StatDEC",
    "VariationalGMMClustering",
    "load",
]

_ESTIMATORS = {cls.__name__: cls for cls in (DCCS, MMDC, StatDEC, VariationalGMMClustering)}


def load(path: str | Path, **params):
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
    object
        The fitted estimator.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    LoadError
        If the file is not a saved estimator, is damaged, or does not fit together.
    """
    return _persistence.load(path, _ESTIMATORS, **params)

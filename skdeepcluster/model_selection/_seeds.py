"""Clones that differ in their seeds, whatever they are nested in."""

from typing import Any

import numpy as np
from sklearn.base import clone


def reseeded(estimator: Any, seeds: np.random.RandomState) -> Any:
    """Return a clone with a new seed in each parameter that is one, at any depth.

    Parameters
    ----------
    estimator : estimator
        It need not have a seed.
    seeds : RandomState
        Where seeds are drawn from; it is advanced.
    """
    names = sorted(
        name
        for name in estimator.get_params(deep=True)
        if name == "random_state" or name.endswith("__random_state")
    )
    new = {name: int(seeds.randint(2**31 - 1)) for name in names}
    return clone(estimator).set_params(**new)

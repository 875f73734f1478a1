"""Toy data that KMeans cannot cluster."""

import numpy as np
from numpy.random import RandomState
from sklearn.utils import check_random_state

from skdeepcluster._validation import LARGEST_INTEGER, check_integer, check_real

#: Where an arc begins and ends, in half circles from the point next to the origin.
ARC = (0.25, 1.1)


def make_circle_arcs(
    n_samples: int = 10_000,
    n_arcs: int = 5,
    *,
    noise: float = 0.05,
    random_state: int | RandomState | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Make points on the arcs of circles that bend about each other like the arms of a whirl.

    Each arc is part of a circle of radius 1 that goes through the origin. It begins an eighth of
    the circle behind the origin, is somewhat shorter than half of the circle, and bends around the
    outer end of the next arc.

    Parameters
    ----------
    n_samples : int, default=10000
        Number of points, spread over the arcs as evenly as possible.
    n_arcs : int, default=5
        Number of arcs; the paper's picture has five.
    noise : float, default=0.05
        Standard deviation of the points about their arc.
    random_state : int, RandomState or None, default=None

    Returns
    -------
    X : ndarray of shape (n_samples, 2), float64
        In random order.
    y : ndarray of shape (n_samples,), int
        The arc of each point.

    Raises
    ------
    ValueError
        If there is to be less than one point or arc, or more than an int64 counts, or `noise` is
        negative or not finite.
    TypeError
        If a number of points or arcs is no int, or `noise` no number.

    References
    ----------
    Variational Clustering, section V-A and Fig. 3, after the picture in N. Dilokthanakul et al.,
    "Deep Unsupervised Clustering with Gaussian Mixture Variational Autoencoders" (2016); neither
    gives the circles, so these are ours.

    Examples
    --------
    >>> from skdeepcluster.datasets import make_circle_arcs
    >>> X, y = make_circle_arcs(100, random_state=0)
    >>> X.shape, sorted(set(y.tolist()))
    ((100, 2), [0, 1, 2, 3, 4])
    """
    check_integer("n_samples", n_samples, minimum=1, maximum=LARGEST_INTEGER)
    check_integer("n_arcs", n_arcs, minimum=1, maximum=LARGEST_INTEGER)
    check_real("noise", noise)
    rng = check_random_state(random_state)
    y = rng.permutation(np.arange(n_samples) % n_arcs)
    direction = 2 * np.pi * y / n_arcs
    angle = direction + np.pi * (1 + rng.uniform(*ARC, n_samples))
    X = np.column_stack([np.cos(angle), np.sin(angle)])
    X += np.column_stack([np.cos(direction), np.sin(direction)])
    return X + rng.normal(scale=noise, size=X.shape), y

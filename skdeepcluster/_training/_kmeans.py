"""k-means on embeddings, for methods that start from it."""

import numpy as np
from sklearn.cluster import KMeans
from threadpoolctl import threadpool_limits

#: Restarts from k-means++, of which the tightest is kept.
RESTARTS = 20

#: Rows that the restarts look at, at least, and by cluster; more are drawn from at random, and see
#: one last run.
RESTART_ROWS, RESTART_ROWS_BY_CLUSTER = 10_000, 100


def kmeans(z: np.ndarray, n_clusters: int, seed: int, restarts: int = RESTARTS) -> KMeans:
    """Fit scikit-learn's k-means, on one thread and so alike for the same seed always.

    Parameters
    ----------
    z : ndarray of shape (n, e)
        Embeddings.
    n_clusters : int
    seed : int
    restarts : int, default=20

    Returns
    -------
    KMeans
        Fitted to all rows.
    """
    # With three threads and more, sums of its come in no fixed order.
    with threadpool_limits(limits=1, user_api="openmp"):
        n_rows = max(RESTART_ROWS, RESTART_ROWS_BY_CLUSTER * n_clusters)
        if len(z) <= n_rows:
            return KMeans(n_clusters, n_init=restarts, random_state=seed).fit(z)
        some = np.random.default_rng(seed).choice(len(z), n_rows, replace=False)
        best = KMeans(n_clusters, n_init=restarts, random_state=seed).fit(z[some])
        start = best.cluster_centers_
        last = KMeans(n_clusters, init=start, n_init=1, copy_x=False, random_state=seed)
        return last.fit(z)

"""What some tables look at in a fitted estimator beside its labels; labels score, no more."""

import numpy as np
import torch
from scipy import ndimage
from sklearn.cluster import KMeans
from torch.nn import functional as F

from benchmarks._common import scores


def representation(model, data, seed):
    """k-means on Z, Z_c and Z_s (Table 4 of DCCS)."""
    z, k = model.transform(data.X), model.n_clusters
    parts = {"Z": z, "Z_c": z[:, :k], "Z_s": z[:, k:]}
    return {
        f"k-means on {name}": scores(data.y, KMeans(k, n_init=10, random_state=seed).fit_predict(p))
        for name, p in parts.items()
        if p.shape[1]
    }


def features(model, data, seed):
    """k-means and a linear probe on the penultimate layer (Table IV of MMDC)."""
    H = model.set_params(embedding="features").transform(data.X)
    labels = KMeans(model.n_clusters, n_init=10, random_state=seed).fit_predict(H)
    n_train = int(len(H) * 5 / 6)
    return {
        "k-means on features": scores(data.y, labels),
        "linear probe": {"acc": _linear_probe(H, data.y, n_train, model.net_.device)},
    }


def _linear_probe(H, y, n_train, device, epochs=100):
    """Accuracy on the rows after `n_train` of a linear classifier trained on those before."""
    torch.manual_seed(0)
    H = torch.from_numpy(H).to(device)
    y = torch.from_numpy(y.astype(np.int64)).to(device)
    linear = torch.nn.Linear(H.shape[1], int(y.max()) + 1, device=device)
    optimizer = torch.optim.SGD(linear.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-5)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs)
    for _ in range(epochs):
        for rows in torch.randperm(n_train, device=device).split(128):
            loss = F.cross_entropy(linear(H[rows]), y[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        scheduler.step()
    with torch.no_grad():
        return (linear(H[n_train:]).argmax(dim=1) == y[n_train:]).float().mean().item()


def recalled(model, data, seed, n=200):
    """Share of draws from each cluster that `predict` puts into it."""
    hits = []
    for cluster in range(model.n_clusters):
        X, _ = model.sample(n, cluster=cluster)
        hits.append(float((model.predict(X) == cluster).mean()))
    return {"recalled": {"acc": float(np.mean(hits)), "worst": min(hits)}}


def bound(model, data, seed):
    """Mean ELBO of the rows, of every component, whatever the training left out."""
    return {"bound": {"elbo": model.score(data.X_scored)}}


def distortions(model, data, seed):
    """Labels predicted for distorted images; `kept` are those of the undistorted ones."""
    found, undistorted = {}, None
    for name, X in _distorted(data.X_scored, seed):
        labels = model.predict(X)
        undistorted = labels if undistorted is None else undistorted
        kept = float((labels == undistorted).mean())
        found[name] = scores(data.y_scored, labels) | {"kept": kept}
    return found


def _distorted(X, seed):
    """8-bit images by the name of what was done to them."""
    rng = np.random.default_rng(seed)
    yield "undistorted", X
    yield "inverted", 255 - X
    yield "thick", ndimage.grey_dilation(X, size=(1, 2, 2))
    yield "rotated", ndimage.rotate(X, 15, axes=(2, 1), reshape=False, order=1)
    for share in (0.1, 0.3):
        noisy = X + rng.normal(0, 255 * share, X.shape)
        yield f"noise {share}", noisy.clip(0, 255).round().astype(np.uint8)


EXTRAS = {f.__name__: f for f in (representation, features, recalled, bound, distortions)}

#: Estimators that an extra is for; all of the package where there are none.
_FOR = {
    "representation": ("DCCS",),
    "features": ("MMDC", "RotNet"),
    "recalled": ("VariationalGMMClustering",),
    "bound": ("VariationalGMMClustering",),
}


def suiting(names, estimator: str) -> list[str]:
    """Those of the extras that look at an estimator of this name."""
    return [name for name in names if estimator in _FOR.get(name, (estimator,))]

"""What StatDEC's clusters of photographs are of: ``python -m benchmarks.thumbnails --data FOLDER``.

CIFAR-10's first images, reduced to thumbnails of a few pixels, are clustered by k-means, and these
clusters compared with StatDEC's: their NMI beside that with the classes, and how much of the
variance of the embeddings is linear in a thumbnail's colours.
"""

import argparse

import torch
from sklearn.cluster import KMeans
from sklearn.linear_model import LinearRegression
from sklearn.metrics import normalized_mutual_info_score

from benchmarks import _common
from skdeepcluster import StatDEC

NAME = "thumbnails"
SIDES = (1, 2, 4, 8)


def thumbnails(images, side):
    """Colours of `side` x `side` blocks of an image, (n, 3 side²), in [0, 1]."""
    n, height, width, _ = images.shape
    blocks = images.reshape(n, side, height // side, side, width // side, 3)
    return blocks.mean(axis=(2, 4)).reshape(n, -1) / 255


def row_of(images, target, seed):
    model = StatDEC(10, random_state=seed).fit(images)
    embedding, found = model.transform(images), {}
    for side in SIDES:
        small = thumbnails(images, side)
        clusters = KMeans(10, n_init=10, random_state=seed).fit_predict(small)
        explained = LinearRegression().fit(small, embedding).score(small, embedding)
        found[str(side)] = {
            "nmi": normalized_mutual_info_score(model.labels_, clusters),
            "variance_explained": explained,
            **{f"kmeans_{k}": v for k, v in _common.scores(target, clusters).items()},
        }
    return {**_common.scores(target, model.labels_), "thumbnails": found}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with cifar10.npz")
    parser.add_argument("--n", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    images, target = _common.load("cifar10", args.data)
    key = {"seed": args.seed, "n": args.n}
    row = key | row_of(images[: args.n], target[: args.n], args.seed) | _common.stamp()
    rows = [r for r in _common.read(NAME).get("rows", []) if not key.items() <= r.items()]
    _common.write(NAME, {"rows": [*rows, row]})
    print(row)


if __name__ == "__main__":
    main()

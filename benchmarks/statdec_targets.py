"""The readings of eq. 5 side by side: ``python -m benchmarks.statdec_targets``.

On digits and on the first 10,000 images of MNIST, as they are and long-tailed 1:100 (class k keeps
n_max * 100^(-k/9) images), all readings start from one pre-trained autoencoder a seed. Balanced
accuracy is the mean recall over classes after the Hungarian map; the recall of the three smallest
classes is what the weighting is for.
"""

import argparse

import torch

from benchmarks import _common
from benchmarks.statdec_table import pretrain, run
from skdeepcluster.datasets import make_long_tailed
from skdeepcluster.metrics import class_recall
from skdeepcluster.objectives import TARGET_READINGS


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with mnist.npz")
    parser.add_argument("--dataset", default="digits", help="digits or mnist")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    dataset, name = args.dataset, f"statdec_targets_{args.dataset}"
    result = {"rows": _common.read(name).get("rows", [])}
    X, y = _common.load(dataset, args.data)
    X, y = X[:10_000], y[:10_000]
    for seed in args.seeds:
        for sampling in ("balanced", "long-tailed"):
            group = [r for r in result["rows"] if (r["sampling"], r["seed"]) == (sampling, seed)]
            if len(group) == len(TARGET_READINGS):
                continue
            # Readings are compared from one autoencoder: a group is measured whole.
            result["rows"] = [r for r in result["rows"] if r not in group]
            rows, target = X, y
            if sampling == "long-tailed":
                rows, target = make_long_tailed(X, y, 100, random_state=seed)
            module, _ = pretrain(rows, 10, seed, {"image_shape": X.shape[1:]})
            for reading in TARGET_READINGS:
                model, seconds = run({"weighted_target": reading}, module, rows, 10, seed)
                recall = class_recall(target, model.labels_)
                sizes = [r["cluster_sizes"] for r in model.history_]
                row = {
                    "dataset": dataset,
                    "sampling": sampling,
                    "seed": seed,
                    "reading": reading,
                    "n": len(rows),
                    "seconds": seconds,
                    "epochs": model.n_iter_,
                    "balanced_acc": float(recall.mean()),
                    "recall_smallest": float(recall[-3:].mean()),
                    "first_sizes": sorted(sizes[0]) if sizes else [],
                    "last_sizes": sorted(sizes[-1]) if sizes else [],
                    **_common.scores(target, model.labels_),
                    **_common.stamp(),
                }
                result["rows"].append(row)
                print(row, flush=True)
                _common.write(name, result)
    for sampling in ("balanced", "long-tailed"):
        for reading in TARGET_READINGS:
            rows = [r for r in result["rows"]
                    if (r["dataset"], r["sampling"], r["reading"])
                    == (dataset, sampling, reading)]  # fmt: skip
            cells = [_common.summary([r[score] for r in rows])
                     for score in ("acc", "balanced_acc", "recall_smallest", "nmi")]  # fmt: skip
            print(f"{dataset:7} {sampling:12} {reading:8}", *cells)


if __name__ == "__main__":
    main()

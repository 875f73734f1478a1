"""ClustPy's IDEC on images, timed and scored: the rival's side of the comparison.

It runs in an environment of ClustPy's own (ClustPy, torch, scikit-learn; nothing of
skdeepcluster) and prints one JSON line on standard output; progress bars and ClustPy's
own messages go to standard error::

    python clustpy_idec.py --data mnist.npz --n 20000 --seed 0 \\
        --pretrain-epochs 20 --epochs 30 --threads 2

What is timed is ``IDEC.fit`` alone: neither imports, nor loading and scaling the
images, nor scoring. Labels are read from the file after the clock and the memory gauge
have stopped.
"""

import argparse
import contextlib
import json
import os
import platform
import sys
import time


def parse_arguments():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", required=True, help="npz file with the keys data and target")
    parser.add_argument("--n", type=int, default=20_000, help="take the first N images")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pretrain-epochs", type=int, default=100, help="ClustPy's default: 100")
    parser.add_argument("--epochs", type=int, default=150, help="ClustPy's default: 150")
    parser.add_argument("--batch-size", type=int, default=256)
    parser.add_argument("--layers", type=int, nargs="+", default=[500, 500, 2000])
    parser.add_argument("--embedding-size", type=int, default=10)
    parser.add_argument("--n-clusters", type=int, default=10)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument(
        "--scaling",
        choices=["znorm", "unit"],
        default="znorm",
        help="znorm: (x - mean) / std over all pixels of all images, as in "
        "ClustPy's MNIST examples; unit: [0, 1]",
    )
    return parser.parse_args()


def load_images(path, n, scaling):
    """The first n images, float32, flattened: (n, H * W * C)."""
    import numpy as np

    with np.load(path) as file:
        images = file["data"][:n]
    images = images.reshape(len(images), -1).astype(np.float32) / np.float32(255)
    if scaling == "znorm":
        mean = images.mean(dtype=np.float64)
        std = images.std(dtype=np.float64)
        images -= np.float32(mean)
        images /= np.float32(std)
    return images


def timed(owner, name, seconds, phase):
    """Replace a method by itself with a clock around it."""
    method = getattr(owner, name)

    def wrapper(*args, **kwargs):
        start = time.perf_counter()
        try:
            return method(*args, **kwargs)
        finally:
            seconds[phase] = seconds.get(phase, 0.0) + time.perf_counter() - start

    setattr(owner, name, wrapper)


def peak_rss_mb():
    """Largest resident set of this process so far, in MB (10^6 bytes).

    ``ru_maxrss`` may hold the peak of the process that started this one (Linux keeps it
    over exec), so the kernel's figure for this address space comes first.
    """
    try:
        with open("/proc/self/status") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024 / 1e6
    except OSError:
        pass
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def clustering_accuracy(y_true, y_pred):
    """Share of rows in agreement, clusters matched one to one with classes at best."""
    from scipy.optimize import linear_sum_assignment
    from sklearn.metrics.cluster import contingency_matrix

    counts = contingency_matrix(y_true, y_pred)
    rows, columns = linear_sum_assignment(counts, maximize=True)
    return float(counts[rows, columns].sum() / len(y_true))


def scores(y_true, y_pred):
    from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

    return {
        "acc": clustering_accuracy(y_true, y_pred),
        "nmi": float(normalized_mutual_info_score(y_true, y_pred)),
        "ari": float(adjusted_rand_score(y_true, y_pred)),
    }


def main():
    args = parse_arguments()
    # ClustPy's KMeans takes its threads from OpenMP, not from torch: this has to stand
    # before the first import.
    os.environ["OMP_NUM_THREADS"] = str(args.threads)
    import clustpy
    import numpy as np
    import scipy
    import sklearn
    import torch
    from clustpy.deep import IDEC
    from clustpy.deep import dec as dec_module
    from clustpy.deep.neural_networks import FeedforwardAutoencoder

    torch.set_num_threads(args.threads)
    images = load_images(args.data, args.n, args.scaling)
    seconds = {}
    timed(FeedforwardAutoencoder, "fit", seconds, "pretraining")
    timed(dec_module._DEC_Module, "fit", seconds, "clustering")
    model = IDEC(
        n_clusters=args.n_clusters,
        batch_size=args.batch_size,
        pretrain_epochs=args.pretrain_epochs,
        clustering_epochs=args.epochs,
        neural_network=(
            FeedforwardAutoencoder,
            {"layers": [images.shape[1], *args.layers, args.embedding_size]},
        ),
        embedding_size=args.embedding_size,
        device=torch.device("cpu"),
        random_state=args.seed,
    )

    rss_before = peak_rss_mb()
    start = time.perf_counter()
    with contextlib.redirect_stdout(sys.stderr):
        model.fit(images)
    total = time.perf_counter() - start
    rss_peak = peak_rss_mb()

    with np.load(args.data) as file:
        target = file["target"][: args.n]
    # labels_ are from the KMeans that ClustPy runs on the final embedding, dec_labels_
    # from IDEC's own assignment.
    final = scores(target, model.labels_)
    result = {
        "method": "clustpy.deep.IDEC",
        "n": len(images),
        "seed": args.seed,
        "pretrain_epochs": args.pretrain_epochs,
        "epochs": args.epochs,
        "batch_size": args.batch_size,
        "layers": [images.shape[1], *args.layers, args.embedding_size],
        "scaling": args.scaling,
        "seconds": total,
        "seconds_pretraining": seconds.get("pretraining", 0.0),
        "seconds_clustering": seconds.get("clustering", 0.0),
        "seconds_rest": total - sum(seconds.values()),
        **final,
        "idec_assignment": scores(target, model.dec_labels_),
        "peak_rss_mb": rss_peak,
        "rss_before_fit_mb": rss_before,
        "threads": torch.get_num_threads(),
        "versions": {
            "python": platform.python_version(),
            "clustpy": clustpy.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "scipy": scipy.__version__,
            "scikit-learn": sklearn.__version__,
        },
    }
    print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()

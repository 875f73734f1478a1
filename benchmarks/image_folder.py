"""How long a folder of 60,000 small PNG files takes: ``python -m benchmarks.image_folder``.

Writes CIFAR-10 as PNG files, a folder a class, to a temporary folder, and reads them back by
`load_image_folder`; what comes back is compared with what was written.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from benchmarks import _common
from skdeepcluster.datasets import load_image_folder


def write_files(X, y, folder):
    for label in np.unique(y):
        (folder / str(label)).mkdir()
    for i, (image, label) in enumerate(zip(X, y, strict=True)):
        Image.fromarray(image).save(folder / str(label) / f"{i:05}.png")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", default=".", help="folder with NAME.npz")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--jobs", type=int, nargs="+", default=[1, 2])
    args = parser.parse_args()
    X, y = _common.load(args.dataset, args.data)
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        write_files(X, y, Path(folder))
        for n_jobs in args.jobs:
            started, cpu = time.perf_counter(), time.process_time()
            images = load_image_folder(folder, X.shape[1:3], labels=True, n_jobs=n_jobs)
            row = {
                "n_jobs": n_jobs,
                "n": len(images.data),
                "seconds": time.perf_counter() - started,
                "cpu_seconds": time.process_time() - cpu,
            }
            rows.append(row)
            print(row, flush=True)
            order = np.array([int(Path(name).stem) for name in images.filenames])
            assert (images.data == X[order]).all()
            assert (images.target == y[order]).all()
    _common.write("image_folder", {"dataset": args.dataset, "rows": rows})


if __name__ == "__main__":
    main()

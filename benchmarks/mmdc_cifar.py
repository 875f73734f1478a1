"""The paper's CIFAR-10 run on a GPU, in pieces: ``python -m benchmarks.mmdc_cifar --data FOLDER``.

400 epochs of ResNet-18 on all 60,000 images, each a rotation epoch and a clustering epoch, in
bfloat16 and channels last. `--graphs` compiles the passes and replays them as CUDA graphs.

Nothing is fetched. FOLDER has ``cifar10.npz`` (data, target), or pieces ``cifar10_0.npz`` and so on
that ``--split`` makes of it, of about 27 MB each. A call ends by itself after `--budget` seconds;
the next one with the same `--work` goes on from there, on the same machine or on another one that
the folder was brought to: ``--pack`` cuts the checkpoints in it into files of 15 MB beside them,
which the next call puts together again.

On a CPU, 2 epochs of 2,000 images show that it works:
``python -m benchmarks.mmdc_cifar --data FOLDER --n 2000 --epochs 2 --seeds 0``.
"""

import math
from pathlib import Path

import numpy as np
import torch

from benchmarks import _common, mmdc_table

PIECE_ROWS = 10_000
PACKED = 15_000_000


def split(folder):
    """Write ``cifar10.npz`` of a folder as pieces beside it."""
    X, target = _common.load("cifar10", folder)
    for i in range(math.ceil(len(X) / PIECE_ROWS)):
        rows = slice(i * PIECE_ROWS, (i + 1) * PIECE_ROWS)
        np.savez_compressed(Path(folder) / f"cifar10_{i}.npz", data=X[rows], target=target[rows])


def load(folder):
    """Images and targets, from the whole file or from the pieces in order."""
    if (Path(folder) / "cifar10.npz").exists():
        return _common.load("cifar10", folder)
    pieces = [_common.load(f"cifar10_{i}", folder) for i in range(6)]
    return tuple(np.concatenate(part) for part in zip(*pieces, strict=True))


def pack(work):
    """Cut each checkpoint into numbered parts."""
    for path in work.glob("*.checkpoint"):
        content = path.read_bytes()
        for i in range(math.ceil(len(content) / PACKED)):
            part = content[i * PACKED : (i + 1) * PACKED]
            path.with_name(f"{path.name}.{i:03}").write_bytes(part)


def unpack(work):
    """Put parts together to checkpoints, where there are none."""
    for first in work.glob("*.checkpoint.000"):
        path = first.with_suffix("")
        if not path.exists():
            parts = sorted(work.glob(f"{path.name}.???"))
            path.write_bytes(b"".join(part.read_bytes() for part in parts))


def use_graphs():
    """Let compiled passes be replayed as CUDA graphs, one for each size of a batch."""
    import torch._dynamo
    import torch._inductor.config

    torch._inductor.config.triton.cudagraphs = True
    torch._dynamo.config.automatic_dynamic_shapes = False


def main():
    options = mmdc_table.parser()
    options.description = __doc__.splitlines()[0]
    options.add_argument("--split", action="store_true", help="write the data in pieces, and end")
    options.add_argument("--pack", action="store_true", help="cut checkpoints, and end")
    options.add_argument("--graphs", action="store_true", help="compile, and use CUDA graphs")
    args = options.parse_args()
    if args.split:
        return split(args.data)
    if args.pack:
        return pack(args.work)
    unpack(args.work)
    X, target = load(args.data)
    n_train = 50_000
    if args.n is not None:
        X, target, n_train = X[: args.n], target[: args.n], int(args.n * 0.8)
    if args.graphs:
        use_graphs()
    torch.backends.cudnn.benchmark = True  # shapes do not change
    params = {"max_epochs": args.epochs or 400, "compile": args.graphs}
    name = "mmdc_cifar10" + ("" if args.epochs is None else f"_{args.epochs}_epochs")
    return mmdc_table.all_rows(name, X, target, args, n_train if args.features else None, **params)


if __name__ == "__main__":
    main()

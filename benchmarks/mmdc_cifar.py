"""The paper's CIFAR-10 run on a GPU, in pieces: ``python -m benchmarks.mmdc_cifar --data FOLDER``.

400 epochs of ResNet-18 on all 60,000 images, each a rotation epoch and a clustering epoch, in
bfloat16 and channels last. `--graphs` compiles the passes and replays them as CUDA graphs.

Nothing is fetched. FOLDER has ``cifar10.npz`` (data, target), or pieces ``cifar10_0.npz`` and so on
that ``--split`` makes of it, of about 27 MB each. A call ends by itself after `--budget` seconds;
the next one with the same `--work` goes on from there, on the same machine or on another one that
the folder was brought to.

For a machine that has no network, takes at most 64 MiB at once and gives back files of at most
16 MiB, an example:

1. Here, ``--split``. There, a call for each two pieces, which copies them to a folder that stays.
2. There, ``--data THAT --work WORK --seeds 0 --budget SECONDS``. The checkpoint of a ResNet-18 with
   its momentum is about 90 MB, more than can come back in one file or at once.
3. There, ``--work WORK --pack --out OUT --parts 0 1 2``: parts of the checkpoint, of 15 MB each,
   and the labels from before the refinement and the result file, which are small. Then the same
   with ``--parts 3 4 5`` and so on, until the call says that these were the last. This must be done
   before the machine is given back.
4. Here, all parts into one folder. On the next machine, bring the pieces of the data, then the
   parts, three at a time, to one folder: it is the next call's `--work`, which puts them together.

On a CPU, 2 epochs of 2,000 images, of which the second one is refined, show that it works:
``python -m benchmarks.mmdc_cifar --data FOLDER --n 2000 --epochs 2 --seeds 0``.
"""

import math
import re
import shutil
from pathlib import Path

import numpy as np
import torch

from benchmarks import _common, mmdc_table

PIECE_ROWS = 10_000
PACKED = 15_000_000
PART = re.compile(r"(?P<name>.*\.checkpoint)\.(?P<number>\d{3})of(?P<count>\d{3})")


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


def pack(work, out, numbers=None):
    """Cut each checkpoint into numbered parts, and put beside them what else must travel.

    `numbers` are the parts to write; None writes all.
    """
    out.mkdir(parents=True, exist_ok=True)
    for path in work.glob("*.checkpoint"):
        content = path.read_bytes()
        count = math.ceil(len(content) / PACKED)
        for i in range(count) if numbers is None else numbers:
            part = content[i * PACKED : (i + 1) * PACKED]
            if part:
                (out / f"{path.name}.{i:03}of{count:03}").write_bytes(part)
        last = numbers is None or max(numbers) >= count - 1
        print(f"{path.name}: {count} parts" + (", these were the last" if last else ""))
    small = [*work.glob("*-before.npy"), *_common.RESULTS.glob("mmdc_cifar10*.json")]
    for path in small:
        if path.parent.resolve() != out.resolve():
            shutil.copy(path, out)


def unpack(work):
    """Put parts together to checkpoints, where there are none; none may be missing."""
    names = {match["name"] for path in work.iterdir() if (match := PART.fullmatch(path.name))}
    for name in names:
        path = work / name
        if path.exists():
            continue
        parts = sorted(work.glob(f"{name}.???of???"))
        count = int(PART.fullmatch(parts[0].name)["count"])
        expected = [f"{name}.{i:03}of{count:03}" for i in range(count)]
        if [part.name for part in parts] != expected:
            missing = sorted(set(expected) - {part.name for part in parts})
            raise FileNotFoundError(f"{work} has not the {count} parts of one {name}: {missing}.")
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
    options.add_argument("--pack", action="store_true", help="write what must travel, and end")
    options.add_argument("--out", type=Path, help="folder for --pack; --work if not given")
    options.add_argument("--parts", type=int, nargs="+", help="which parts --pack writes, else all")
    options.add_argument("--graphs", action="store_true", help="compile, and use CUDA graphs")
    args = options.parse_args()
    if args.split:
        return split(args.data)
    if args.pack:
        return pack(args.work, args.out or args.work, args.parts)
    args.work.mkdir(parents=True, exist_ok=True)
    unpack(args.work)
    X, target = load(args.data)
    n_train = 50_000
    if args.n is not None:
        X, target, n_train = X[: args.n], target[: args.n], int(args.n * 0.8)
    if args.graphs:
        use_graphs()
    torch.backends.cudnn.benchmark = True  # shapes do not change
    params = {"max_epochs": args.epochs or 400, "compile": args.graphs}
    if args.epochs is not None and args.epochs < 5:  # where 7/8 of them are all
        params["refine_after"] = max(1, args.epochs - 1)
    name = "mmdc_cifar10" + ("" if args.epochs is None else f"_{args.epochs}_epochs")
    return mmdc_table.all_rows(name, X, target, args, n_train if args.features else None, **params)


if __name__ == "__main__":
    main()

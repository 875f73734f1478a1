"""One queue of the runs that want a GPU, for a machine that is there for a short while.

It needs no network. Calls go on from each other on that machine's own disk (`--work`), and each
ends in time (`--budget`); rows have their share of the time, and what did not finish is reported as
cut short. For a machine that takes at most 64 MiB at once and gives back a few files of 16 MiB:

1. Here: ``gpu --data DATA --pieces PIECES`` writes the data in pieces of less than 64 MiB.
2. There, with some of the pieces in each call: ``gpu --data PIECES --take FOLDER`` keeps them.
3. There: ``gpu --data FOLDER --work WORK --out OUT --budget 540``, again and again. OUT gets the
   result files and the weights, as `save` writes them, in parts; what does not fit in one call
   (`--files`, `--mb`) comes with the next.
4. Here: ``gpu --collect FOLDER`` takes the results over, and puts the weights together.

With `--device cpu`, `--n` and `--set` the queue can be tried anywhere.
"""

import argparse
import ast
import json
import math
import re
import shutil
from pathlib import Path

from benchmarks import data
from benchmarks.papers import add_running, row_of, run_rows
from benchmarks.report import as_text, papers_tables
from benchmarks.results import merge

#: Setting, data, protocol, and seconds of a seed at most; in the order of their need.
QUEUE = (
    ("MMDC", "cifar10", "joined", None),
    ("DCCS paper, 5e-4", "mnist", "joined", 240.0),
    ("DCCS paper, 5e-4", "fashion_mnist", "joined", 240.0),
    ("DCCS paper, 5e-4", "cifar10", "joined", 240.0),
    ("VGMM paper", "mnist", "joined", 180.0),
    ("VGMM paper", "fashion_mnist", "joined", 180.0),
    ("StatDEC-1 paper", "mnist", "split", 180.0),
)

PART_BYTES = 15_000_000
PART = re.compile(r"(?P<name>.+)\.(?P<number>\d{2})of(?P<count>\d{2})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pieces", type=Path, help="write the data there in pieces, and end")
    parser.add_argument("--take", type=Path, help="copy the pieces there, and end")
    parser.add_argument("--collect", type=Path, help="take over what came back, and end")
    parser.add_argument("--only", type=int, nargs="+", help="numbers in the queue, from 0")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--n", type=int, help="the first so many images, for a try")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="for a try")
    parser.add_argument("--max-time", type=float, help="seconds of a row, not the queue's")
    parser.add_argument("--every", type=int, default=25, help="epochs between scores; 0 for none")
    parser.add_argument("--graphs", action="store_true", help="compile, and use CUDA graphs")
    parser.add_argument("--out", type=Path, help="folder for what is to come back")
    parser.add_argument("--files", type=int, default=8, help="in OUT at most")
    parser.add_argument("--mb", type=float, default=60.0, help="in OUT at most, in 10^6 bytes")
    add_running(parser)
    parser.set_defaults(device="cuda", work="gpu_work")


def main(args: argparse.Namespace) -> int:
    if args.pieces:
        return _write_pieces(args)
    if args.take:
        args.take.mkdir(parents=True, exist_ok=True)
        for path in Path(args.data).glob("*of*.npz"):
            shutil.copy(path, args.take)
        return 0
    if args.collect:
        merge(sorted(args.collect.glob("papers_*.json")), _results(args))
        join(args.collect)
        return 0
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    failed = run_rows(queue(args), args, weights=lambda row: str(work / _file_of(row)))
    if args.out:
        send(work, _results(args), args.out, args.files, args.mb * 1e6)
    print(as_text(papers_tables(args.results)))
    return failed


def queue(args) -> list[dict]:
    """Rows in the queue's order; a seed of all before the next."""
    changes = {k: ast.literal_eval(v) for k, v in (item.split("=", 1) for item in args.set)}
    chosen = QUEUE if args.only is None else [QUEUE[i] for i in args.only]
    return [
        row_of(setting, name, args, seed, protocol=protocol, set=changes,
               max_time=args.max_time or seconds)
        for seed in range(args.seeds)
        for setting, name, protocol, seconds in chosen
    ]  # fmt: skip


def _results(args):
    from benchmarks import _common

    return Path(args.results or _common.RESULTS)


def _write_pieces(args):
    chosen = QUEUE if args.only is None else [QUEUE[i] for i in args.only]
    for name in dict.fromkeys(entry[1] for entry in chosen):
        for path in data.write_pieces(name, args.data, args.pieces):
            print(path, path.stat().st_size)
    return 0


def _file_of(row):
    """File name of a row's weights."""
    words = f"{row['setting']} {row['data']} {row['seed']}"
    return re.sub(r"[^A-Za-z0-9]+", "-", words) + ".safetensors"


# ---------------------------------------------------------------------- what comes back


def send(work: Path, results: Path, out: Path, files: int, n_bytes: float) -> None:
    """Put into `out` the result files, and parts of weights that were not sent before."""
    out.mkdir(parents=True, exist_ok=True)
    for path in sorted(results.glob("papers_*.json")):
        shutil.copy(path, out)
    used = [path.stat().st_size for path in out.iterdir()]
    ledger = work / "sent.json"
    sent = json.loads(ledger.read_text()) if ledger.exists() else {}
    left = 0
    for path in sorted(work.glob("*.safetensors")):
        content = path.read_bytes()
        stamp = [len(content), path.stat().st_mtime_ns]
        count = math.ceil(len(content) / PART_BYTES)
        for i in range(count):
            name = f"{path.name}.{i:02}of{count:02}"
            part = content[i * PART_BYTES : (i + 1) * PART_BYTES]
            if sent.get(name) == stamp:
                continue
            if len(used) >= files or sum(used) + len(part) > n_bytes:
                left += 1
                continue
            (out / name).write_bytes(part)
            used.append(len(part))
            sent[name] = stamp
    ledger.write_text(json.dumps(sent))
    print(f"{out} has {len(used)} files; {left} parts of weights are left for the next call")


def join(folder: Path) -> None:
    """Put weights together from their parts, where all are there."""
    names = {match["name"]: match for p in folder.iterdir() if (match := PART.fullmatch(p.name))}
    for name, match in sorted(names.items()):
        count = int(match["count"])
        parts = [folder / f"{name}.{i:02}of{count:02}" for i in range(count)]
        missing = [part.name for part in parts if not part.exists()]
        if missing:
            print(f"{name} lacks {', '.join(missing)}")
            continue
        (folder / name).write_bytes(b"".join(part.read_bytes() for part in parts))
        print(folder / name)

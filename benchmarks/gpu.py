"""One queue of the runs that want a GPU, for a machine that is there for a short while.

It needs no network. Calls go on from each other on that machine's own disk, and each ends in time
(`--budget`); rows have their share of the time, and what did not finish or not even begin is
reported as cut short.
All that a call leaves for the next one is in WORK: checkpoints, results, weights, and what of them
was sent. Where the code is copied anew for each call, WORK and the data must be where that deletes
nothing; git ignores ``gpu_work``. For a machine that takes at most 64 MiB at once and gives back a
few files of 16 MiB:

1. Here: ``gpu --data DATA --pieces PIECES`` writes the data in pieces of less than 64 MiB.
2. There, with some of the pieces in each call: ``gpu --data PIECES --take gpu_work/data`` keeps
   them.
3. There: ``gpu --data gpu_work/data --out OUT --budget 540 --graphs``, again and again. OUT gets
   the rows of this queue and the weights, as `save` writes them, in parts; what does not fit in one
   call (`--files`, `--mb`) comes with the next.
4. Here: ``gpu --collect FOLDER`` takes the rows over, and puts the weights together.

With `--device cpu`, `--n` and `--set` the queue can be tried anywhere.
"""

import argparse
import ast
import hashlib
import json
import math
import re
import shutil
from pathlib import Path

from benchmarks import _common, data
from benchmarks.papers import add_running, cut_short, row_of, run_rows
from benchmarks.report import as_text, papers_tables
from benchmarks.results import Results, finished, merge

#: Setting, data, protocol, and seconds of a seed at most; in the order of their need. Together they
#: are what half an hour has beside starts and transfers; none comes to its own end in that.
QUEUE = (
    ("MMDC", "cifar10", "joined", 540.0),
    ("DCCS paper, 5e-4", "mnist", "joined", 180.0),
    ("DCCS paper, 5e-4", "fashion_mnist", "joined", 180.0),
    ("DCCS paper, 5e-4", "cifar10", "joined", 180.0),
    ("VGMM conv", "mnist", "joined", 120.0),
    ("VGMM conv", "fashion_mnist", "joined", 120.0),
    ("VGMM conv", "cifar10", "joined", 120.0),
    ("StatDEC-1 paper", "mnist", "split", 180.0),
)

#: What lists the parts that were sent.
SENT = "sent.json"

PART_BYTES = 15_000_000
#: A digest tells the weights of a run from those that an earlier call had of it.
PART = re.compile(r"(?P<name>.+)\.(?P<digest>[0-9a-f]{8})\.(?P<number>\d{2})of(?P<count>\d{2})")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--pieces", type=Path, help="write the data there in pieces, and end")
    parser.add_argument("--take", type=Path, help="copy the pieces there, and end")
    parser.add_argument("--collect", type=Path, help="take over what came back, and end")
    parser.add_argument("--only", type=int, nargs="+", help="numbers in the queue, from 0")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--n", type=int, help="the first so many images, for a try")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="for a try")
    parser.add_argument("--max-time", type=float, help="seconds of a row, not the queue's; inf")
    parser.add_argument("--every", type=int, default=25, help="epochs between scores; 0 for none")
    parser.add_argument("--graphs", action="store_true", help="compile, and use CUDA graphs")
    parser.add_argument("--out", type=Path, help="folder for what is to come back")
    parser.add_argument("--again", action="store_true", help="weights that were sent, too")
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
        results = Path(args.results or _common.RESULTS)
        merge(sorted(args.collect.glob("papers_*.json")), results)
        join(args.collect)
        return 0
    work = Path(args.work)
    work.mkdir(parents=True, exist_ok=True)
    args.results = args.results or work / "results"
    failed = run_rows(queue(args), args, weights=lambda row: str(work / _file_of(row)))
    everything = queue(argparse.Namespace(**vars(args) | {"only": None}))
    for row in everything:
        results = Results(f"papers_{row['data']}", args.results)
        if results.find(row) is None and row not in failed:
            results.put(cut_short("papers", row, {}, 0.0))
    if args.out:
        if args.again:
            (work / SENT).unlink(missing_ok=True)
        send(everything, work, args.results, args.out, args.files, args.mb * 1e6)
    print(as_text(papers_tables(args.results)))
    return len(failed)


def queue(args) -> list[dict]:
    """Rows in the queue's order; a seed of all before the next."""
    changes = {k: ast.literal_eval(v) for k, v in (item.split("=", 1) for item in args.set)}
    chosen = QUEUE if args.only is None else [QUEUE[i] for i in args.only]
    return [
        row_of(setting, name, args, seed, protocol=protocol, set=changes,
               max_time=_seconds(args.max_time, seconds))
        for seed in range(args.seeds)
        for setting, name, protocol, seconds in chosen
    ]  # fmt: skip


def _seconds(asked, shared):
    """Of a row: what was asked for, None for as long as it takes, or its share."""
    if asked is None:
        return shared
    return None if asked == math.inf else asked


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


def send(asked: list[dict], work: Path, results, out: Path, files: int, n_bytes: float) -> None:
    """Put into `out` the rows that were asked for, and parts of weights that were not sent before.

    Weights of runs that are finished go first. Those of others are sent again when the run has gone
    on.
    """
    out.mkdir(parents=True, exist_ok=True)
    ended, others = [], []
    for asked_row in asked:
        name = f"papers_{asked_row['data']}"
        row = Results(name, results).find(asked_row)
        if row is not None:
            Results(name, out).put(row)
            (ended if finished(row) else others).append(work / _file_of(asked_row))
    used = [path.stat().st_size for path in out.iterdir()]
    ledger = work / SENT
    sent = set(json.loads(ledger.read_text())) if ledger.exists() else set()
    left = 0
    for path in filter(Path.exists, ended + others):
        for name, part in _parts(path):
            if name in sent:
                continue
            if len(used) >= files or sum(used) + len(part) > n_bytes:
                left += 1
                continue
            (out / name).write_bytes(part)
            used.append(len(part))
            sent.add(name)
    ledger.write_text(json.dumps(sorted(sent)))
    print(f"{out} has {len(used)} files; {left} parts of weights are left for the next call")


def _parts(path):
    """Names and contents of the parts of a file."""
    content = path.read_bytes()
    digest = hashlib.blake2b(content, digest_size=4).hexdigest()
    count = math.ceil(len(content) / PART_BYTES)
    for i in range(count):
        part = content[i * PART_BYTES : (i + 1) * PART_BYTES]
        yield f"{path.name}.{digest}.{i:02}of{count:02}", part


def join(folder: Path) -> None:
    """Put weights together from their parts, where all are there; of several the latest."""
    found = {}
    for path in sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime_ns):
        if match := PART.fullmatch(path.name):
            parts = found.setdefault(match["name"], {}).setdefault(match["digest"], set())
            parts.add((int(match["number"]), int(match["count"]), path))
    for name, versions in sorted(found.items()):
        whole = [sorted(parts) for parts in versions.values() if len(parts) == max(parts)[1]]
        if not whole:
            latest = list(versions.values())[-1]
            print(f"{name} has {len(latest)} of {max(latest)[1]} parts")
            continue
        (folder / name).write_bytes(b"".join(path.read_bytes() for *_, path in whole[-1]))
        print(folder / name)

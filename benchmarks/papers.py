"""The rows of the papers' tables, and of comparisons of our own, that this package can run."""

import argparse
import ast
import time

import torch

from benchmarks import child, data, runs
from benchmarks.extras import suiting
from benchmarks.report import as_text, papers_tables
from benchmarks.results import Results, as_asked, finished, surroundings
from benchmarks.settings import SETTINGS
from benchmarks.tables import tables

#: Share of a budget, and seconds at least, that are kept for what comes after training: labels,
#: scores, weights.
RESERVE, RESERVE_S = 0.06, 3.0

#: A row is not begun with less time than this.
LEAST_S = 5.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--table", nargs="+", help=f"of {', '.join(tables())}; all if not given")
    parser.add_argument("--dataset", nargs="+", help="of those that the tables have")
    parser.add_argument("--sampling", nargs="+", help="such as 'long-tailed 100'; none: all images")
    parser.add_argument("--methods", nargs="+", choices=SETTINGS, help="settings, not all")
    parser.add_argument("--protocol", choices=["joined", "split"], help="in place of the table's; "
                        "split runs have lines where the table's are split alone")  # fmt: skip
    parser.add_argument("--seeds", type=int, default=1, help="how many, from --first-seed on")
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--n", type=int, help="rows to fit on at most; all if not given")
    parser.add_argument("--set", nargs="*", default=[], metavar="NAME=VALUE", help="parameters")
    parser.add_argument("--max-time", type=float, help="seconds of a row's fit, over all calls")
    parser.add_argument("--every", type=int, default=1, help="epochs between scores; 0 for none")
    add_running(parser)


def add_running(parser: argparse.ArgumentParser) -> None:
    """What commands have in common that run rows."""
    parser.add_argument("--data", default=".", help="folder with NAME.npz, or pieces of it")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or auto")
    parser.add_argument("--precision", default="auto", choices=["auto", "float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--budget", type=float, help="seconds of this call; the next one goes on")
    parser.add_argument("--work", default="checkpoints", help="folder for checkpoints")
    parser.add_argument("--results", help="folder of the result files")


def main(args: argparse.Namespace) -> int:
    rows = rows_of(args)
    if not rows:
        raise SystemExit("no row of these tables has such data, sampling and methods")
    failed = run_rows(rows, args)
    print(as_text(papers_tables(args.results, args.table)))
    return len(failed)


def rows_of(args) -> list[dict]:
    """What the tables ask for, each row once, seed by seed: one seed is whole before the next."""
    changes = {k: ast.literal_eval(v) for k, v in (item.split("=", 1) for item in args.set)}
    found = {}
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for table in _chosen(args):
            for (name, sampling), entries in table.entries.items():
                if (args.dataset and name not in args.dataset) or (
                    args.sampling and (sampling or "none") not in args.sampling
                ):
                    continue
                for entry in entries:
                    if args.methods and entry.setting not in args.methods:
                        continue
                    protocol = args.protocol or table.protocols[name, sampling]
                    row = row_of(entry.setting, name, args, seed, sampling=sampling, set=changes,
                                 protocol=protocol)  # fmt: skip
                    extras = suiting(table.extras, SETTINGS[entry.setting].estimator)
                    found.setdefault(str(row), (row, set()))[1].update(extras)
    return [row | {"extras": sorted(extras)} for row, extras in found.values()]


def row_of(setting, name, args, seed, **more) -> dict:
    """What is run, and is the key of its result."""
    row = {"setting": setting, "set": {}, "data": name, "sampling": None, "protocol": "joined",
           "n": args.n, "seed": seed, "device": _device(args.device), "precision": args.precision,
           "threads": args.threads, "max_time": args.max_time}  # fmt: skip
    return row | more


def _chosen(args):
    known = tables()
    unknown = set(args.table or ()) - set(known)
    if unknown:
        raise SystemExit(f"no such table: {', '.join(sorted(unknown))}")
    return [known[name] for name in args.table or known]


def _device(name):
    if name != "auto":
        return name
    return "cuda" if torch.cuda.is_available() else "cpu"


def run_rows(rows: list[dict], args, command: str = "papers", weights=None) -> list[dict]:
    """Run what is not finished, until the budget ends; return the rows that failed."""
    deadline = None if args.budget is None else time.monotonic() + args.budget
    reserve = 0.0 if args.budget is None else max(RESERVE_S, RESERVE * args.budget)
    failed, earlier = [], _Earlier(args.data)
    for row in rows:
        row = dict(row)
        extras = row.pop("extras", [])
        results = Results(f"{command}_{row['data']}", args.results)
        present = earlier.find(results, row)
        done = present["out"]["extras"] if present else []
        if finished(present) and set(extras) <= set(done):
            continue
        extras = sorted({*extras, *done})
        left = None if deadline is None else deadline - time.monotonic()
        if left is not None and left < reserve + LEAST_S:
            break
        spec = {
            "command": command, "row": row, "folder": str(args.data), "extras": extras,
            "work": str(args.work) if args.work else None, "every": args.every,
            "until": None if left is None else time.time() + left - reserve, "before": present,
            "weights": weights(row) if weights else None, "graphs": getattr(args, "graphs", False),
        }  # fmt: skip
        print(_named(row), flush=True)
        started = time.monotonic()
        try:
            result = child.run("row", spec, left)
        except child.ChildFailed as error:
            failed.append(row)
            if isinstance(error, child.OutOfTime):
                about = earlier.about(row) | (present or {})
                results.put(cut_short(command, row, about, time.monotonic() - started))
            print(f"  no result: {error}", flush=True)
            continue
        results.put(result)
        print(f"  {_shown(result)}", flush=True)
    return failed


class _Earlier:
    """Rows of result files that have what would run now: its parameters, and its data."""

    def __init__(self, folder):
        self.folder = folder
        self._known = {}  # numbers of classes and hashes: reading takes a while

    def find(self, results, row):
        """The row of that key, if there is one that need not run anew."""
        present = results.find(row)
        if present is None or "ran" not in present:  # of an earlier form, it had to be ended
            return present
        try:
            about = self.about(row)
        except FileNotFoundError:  # nothing could run here
            return present
        if as_asked(present, about):
            return present
        print(f"{_named(row)}: not as it was measured, so anew", flush=True)
        return None

    def about(self, row):
        """What a row is to run, and on what."""
        n_classes, on = self._on(row)
        return {"ran": runs.what(row, n_classes), "on": on}

    def _on(self, row):
        seed = row["seed"] if row["sampling"] else 0  # of the sampling
        key = (row["data"], row["n"], row["sampling"], row["protocol"], seed)
        if key not in self._known:
            name, n, sampling, protocol, seed = key
            rows = data.select(name, self.folder, n=n, sampling=sampling, protocol=protocol,
                               seed=seed)  # fmt: skip
            self._known[key] = rows.n_classes, runs.on_what(row, rows)
        return self._known[key]


def cut_short(command: str, row: dict, about: dict, seconds: float) -> dict:
    """Return a row whose process had to be ended, with what there is of it and what it took.

    `about` is what the row had before, or else what it was to run.
    """
    present = {"command": command, "row": row, "with": surroundings(row["device"]),
               "out": {"extras": []}} | about  # fmt: skip
    spent = present["out"].get("seconds", {})
    out = {"seconds": spent | {"fit": spent.get("fit", 0.0) + seconds}, "stop_reason": "budget"}
    return present | {"out": present["out"] | out, "complete": False}


def _named(row):
    where = " ".join(filter(None, [row["data"], row["sampling"], row["protocol"]]))
    return f"{row['setting']} on {where}, seed {row['seed']}"


def _shown(result):
    out = result["out"]
    numbers = {k: round(out[k], 4) for k in ("acc", "nmi", "ari", "balanced_acc")}
    whole = "" if result["complete"] else ", cut short"
    seconds = f"{out['seconds']['fit']:.0f} s, {out['peak_mb']:.0f} MB"
    return f"{numbers} {out['epochs']} epochs, {seconds}, {out['stop_reason']}{whole}"

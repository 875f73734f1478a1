"""``python -m benchmarks COMMAND``: what is measured, kept and written down.

papers   the rows of the papers' tables, and comparisons of our own
peers    other packages on the same data, epochs and seeds, in turns
speed    images a second against loops by hand, bare passes and the machine's products
scale    time and memory by rows, features, clusters and sides of images
gpu      one queue of the runs that want a GPU, in calls that go on from each other
report   docs/results.md and its pictures, from the result files
"""

import argparse
import importlib
import json
import signal
import sys
from pathlib import Path

COMMANDS = {
    "papers": "the rows of the papers' tables",
    "peers": "other packages",
    "speed": "images a second",
    "scale": "growth of cost",
    "gpu": "runs that want a GPU",
    "report": "the results page",
}

#: Modules whose `answer` a child process calls, see `child.run`: it takes what one file says, and
#: what it returns goes into another.
CHILDREN = {"row": "runs", "scale-row": "scale"}


def main(words: list[str] | None = None) -> int:
    words = sys.argv[1:] if words is None else words
    if words and words[0] in CHILDREN:
        module = importlib.import_module(f"benchmarks.{CHILDREN[words[0]]}")
        spec_file, out_file = map(Path, words[1:])
        out_file.write_text(json.dumps(module.answer(json.loads(spec_file.read_text()))))
        return 0
    parser = argparse.ArgumentParser(
        "python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    for name, about in COMMANDS.items():
        # Only what is asked for is imported
        module = importlib.import_module(f"benchmarks.{name}") if name in words else None
        command = commands.add_parser(name, help=about, description=module and module.__doc__)
        if module:
            module.add_arguments(command)
    args = parser.parse_args(words)
    return importlib.import_module(f"benchmarks.{args.command}").main(args)


def _end(*_):
    sys.exit(128 + signal.SIGTERM)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)  # as Ctrl-C: what runs a child ends it, too
    sys.exit(main())

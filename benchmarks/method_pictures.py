"""Pictures of the method pages: ``python -m benchmarks.method_pictures [NAME ...]``.

Runs the code that each page in docs/methods shows, with an empty `quick`, that is with the method's
defaults, and keeps the picture that it saves in docs/images.
"""

import argparse
import contextlib
import re
import time
from pathlib import Path

import torch
from sklearn.datasets import load_digits

from benchmarks import _common

DOCS = Path(__file__).parents[1] / "docs"
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def draw(page: Path) -> dict:
    """Run a page's example, its second block, among the pictures; tell how well its model did."""
    settings, example, *_ = BLOCK.findall(page.read_text(encoding="utf-8"))
    if not settings.startswith("quick = "):
        raise ValueError(f"the first block of {page} must set quick, got {settings!r}.")
    namespace = {"quick": {}}
    started = time.process_time()
    with contextlib.chdir(DOCS / "images"):
        exec(compile(example, str(page), "exec"), namespace)
    model = namespace["model"]
    return {
        "method": type(model).__name__,
        "seed": model.random_state,
        "cpu_seconds": time.process_time() - started,
        **_common.scores(load_digits().target, model.labels_),
    }


def main() -> None:
    """Draw the pictures asked for, or all."""
    pages = {
        page.stem: page
        for page in sorted((DOCS / "methods").glob("*.md"))
        if page.name != "index.md"  # compares the methods, and has no example
    }
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(pages)}")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    rows = {row["page"]: row for row in _common.read("method_pictures").get("rows", [])}
    for name in args.names or pages:
        rows[name] = {"page": name, **_common.stamp(), **draw(pages[name])}
        print(rows[name])
        _common.write("method_pictures", {"rows": list(rows.values())})


if __name__ == "__main__":
    main()

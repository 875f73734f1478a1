"""What the README and the documentation show runs as shown."""

import re
import shlex
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from estimators import unconverged
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning

from skdeepcluster._cli import main

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(text, language):
    """The fenced blocks of a language, each with the number of its first line."""
    fence = re.compile(rf"^```{language}\n(.*?)^```$", re.MULTILINE | re.DOTALL)
    return [(text[: m.start(1)].count("\n"), m[1]) for m in fence.finditer(text)]


@unconverged  # the pages train small networks briefly
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_python_blocks_run_from_top_to_bottom(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for line, source in blocks(page.read_text(encoding="utf-8"), "python"):
        # The newlines make a traceback name the line of the page
        exec(compile("\n" * line + source, str(page), "exec"), namespace)


def test_commands_of_the_command_line_page_run(tmp_path, monkeypatch):
    """Word for word, on a few small files and with a network that is trained for a moment."""
    monkeypatch.chdir(tmp_path)
    for folder in ("photographs", "more-photographs"):
        Path(folder).mkdir()
        for i, image in enumerate(load_digits().images[:60]):
            Image.fromarray((image * 15).astype(np.uint8)).save(f"{folder}/{i:04}.png")
    columns = np.random.default_rng(0).normal(size=(60, 4)) + np.repeat(np.eye(4) * 9, 15, axis=0)
    pd.DataFrame(columns, columns=["a", "b", "c", "price"]).to_csv("measurements.csv", index=False)
    small = "--max-epochs 2 --pretrain-epochs 2 --hidden-sizes 16,16 --tol 0 --random-state 0"
    text = (ROOT / "docs" / "command-line.md").read_text(encoding="utf-8")
    commands = [line for _, block in blocks(text, "bash") for line in block.splitlines()]
    assert len(commands) == 4
    for number, line in enumerate(commands):
        program, *words = shlex.split(line)
        assert program == "skdeepcluster"
        if words[0] == "fit":
            words += [*shlex.split(small), *(["--overwrite"] if number else [])]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            assert main(words) == 0
    assert len(Path("more.csv").read_text().splitlines()) == 61
    assert Path("more.html").stat().st_size > 0


@pytest.mark.parametrize(
    "page",
    [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"],
    ids=lambda page: page.name,
)
def test_links_within_the_repository_lead_somewhere(page):
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


@pytest.mark.parametrize("section", ["Quick start", "Tests"])
def test_set_up_is_one_command_and_the_first_block_of_its_section(section):
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    body = text.split(f"\n## {section}\n")[1].split("\n## ")[0]
    first = re.search(r"^```(\w*)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL)
    assert first[1] == "bash"
    assert len(first[2].splitlines()) == 1

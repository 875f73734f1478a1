"""What the README and the documentation show runs as shown."""

import re
from pathlib import Path

import pytest
from estimators import unconverged

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

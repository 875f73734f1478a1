"""Tables and paragraphs of the results page."""

import textwrap


def table(heads: list[str], rows: list[list[str]]) -> list[str]:
    """Lines of a Markdown table."""
    return [
        "| " + " | ".join(cell.strip(" ;") for cell in cells) + " |"
        for cells in (heads, ["---"] * len(heads), *rows)
    ]


def paragraph(text: str) -> str:
    """Text in lines of 120 characters at most."""
    return textwrap.fill(text, 120, break_long_words=False, break_on_hyphens=False)

"""Formulas as MathML, which browsers draw by themselves: no script, and nothing to fetch.

docutils brings the translator from LaTeX; Sphinx does not offer it.
"""

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.util import logging

logger = logging.getLogger(__name__)


def translate(node: nodes.Element, as_block: bool) -> str:
    """Return a formula's MathML."""
    try:
        # docutils knows the dots by their other name only
        return tex2mathml(node.astext().replace(r"\dots", r"\ldots"), as_block=as_block)
    except (MathError, SyntaxError) as error:
        logger.warning("cannot translate the formula %s: %s", node.astext(), error, location=node)
        return ""


def inline(writer, node: nodes.math) -> None:
    """Write a formula within a line."""
    writer.body.append(translate(node, as_block=False))
    raise nodes.SkipNode


def block(writer, node: nodes.math_block) -> None:
    """Write a formula on lines of its own, in a frame that a wide one is scrolled in."""
    writer.body.append(f'<div class="formula">{translate(node, as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app) -> dict:
    """Register the translator."""
    app.add_html_math_renderer("mathml", (inline, None), (block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}

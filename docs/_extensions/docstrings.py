"""What autodoc and numpydoc are to make of the package's docstrings."""

import re
from typing import Any

#: A shape as Python writes it, such as (n, *input_shape) or (n, n_clusters_); docutils would see
#: emphasis begin, or a link.
IN_SHAPE = re.compile(r"(?<=, )\*(?=[a-z]\w*[, )'])|(?<=[a-z])_(?=[,)])")


def skip_foreign(app, what: str, name: str, item: Any, skip: bool, options: Any) -> bool | None:
    """Leave out members that scikit-learn, skorch, torch or Python define and document."""
    function = getattr(item, "fget", item)  # a property has its module on its function
    module = getattr(function, "__module__", None) or ""
    return None if module.startswith("skdeepcluster") else True


def escape_shapes(app, what: str, name: str, item: Any, options: Any, lines: list[str]) -> None:
    """Make docutils take shapes as text."""
    for i, line in enumerate(lines):
        if not line.lstrip().startswith((">>> ", "... ")):
            lines[i] = IN_SHAPE.sub(r"\\\g<0>", line)


def setup(app) -> dict:
    """Connect both."""
    app.setup_extension("sphinx.ext.autodoc")  # whose events these are
    app.connect("autodoc-skip-member", skip_foreign)
    app.connect("autodoc-process-docstring", escape_shapes, priority=900)  # after numpydoc
    return {"parallel_read_safe": True, "parallel_write_safe": True}

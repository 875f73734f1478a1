"""How Sphinx builds the documentation; CONTRIBUTING.md says by which command."""

import sys
from pathlib import Path

import skdeepcluster

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE / "_extensions"))

project = "skdeepcluster"
author = "The skdeepcluster developers"
copyright = author
version = release = skdeepcluster.__version__

extensions = [
    "docstrings",
    "mathml",
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx_gallery.gen_gallery",
]
exclude_patterns = ["_build", "examples"]
templates_path = ["_templates"]

# ---------------------------------------------------------------- reference

autosummary_generate = True
# A module's public names are those of its __all__, wherever they are defined
autosummary_ignore_module_all = False
autosummary_imported_members = True
autodoc_typehints = "none"  # the docstrings have them, with shapes
numpydoc_show_class_members = False

# ---------------------------------------------------------------- pages

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
html_math_renderer = "mathml"

html_theme = "pydata_sphinx_theme"
html_title = "skdeepcluster"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sourcelink = False
html_copy_source = False
html_theme_options = {
    "navbar_end": ["theme-switcher"],
    "footer_end": [],
    "show_prev_next": False,
    "header_links_before_dropdown": 5,
}
# Pages that have none below or beside them need no menu at the side
html_sidebars = {
    page: [] for page in ("index", "start", "from-papers-to-code", "results", "changes")
}

# ---------------------------------------------------------------- gallery

sphinx_gallery_conf = {
    "examples_dirs": "examples",
    "gallery_dirs": "gallery",
    "within_subsection_order": "FileNameSortKey",
    "doc_module": ("skdeepcluster",),
    "backreferences_dir": None,
    "abort_on_example_error": True,
    "show_memory": False,
    "write_computation_times": False,
    "min_reported_time": 1e9,  # on whose machine?
    "download_all_examples": False,
    "remove_config_comments": True,
    "image_srcset": ["2x"],
}


#: Pages that may be absent: results are made from measurements.
OPTIONAL = ("results", "large-data")


def leave_out_absent(app, docname: str, source: list[str]) -> None:
    """Drop such pages from the menus where they are not there."""
    for page in OPTIONAL:
        if not (HERE / f"{page}.md").exists():
            source[0] = source[0].replace(f"\n{page}\n", "\n")


def setup(app) -> None:
    """Connect what stands above."""
    app.connect("source-read", leave_out_absent)

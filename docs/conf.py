"""The site: `make docs` builds it, warnings are errors, and what a reader opens needs no network."""

import logging
import os
import sys
from importlib.util import find_spec
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))  # _pages and _site, which are no package
os.environ.setdefault("MPLBACKEND", "agg")

from nmf_scratch import __version__  # noqa: E402

project, author, release = "nmf-scratch", "nmf-scratch contributors", __version__
copyright = f"{author}, MIT licence"
language = "en_GB"
extensions = [
    "myst_parser",
    "numpydoc",
    "sphinx.ext.autodoc",
    "sphinx.ext.mathjax",
    "sphinx.ext.viewcode",
    "sphinx_copybutton",
    "sphinx_gallery.gen_gallery",
    "sphinxcontrib.bibtex",
    "_site",
]
root_doc = "index"
exclude_patterns = ["README.md", "gallery", "_build", "auto_gallery/*.ipynb", "auto_gallery/*.py"]
nitpicky = True
show_warning_types = True

# Pages in Markdown. Anchors are those that code hosts give.
myst_enable_extensions = ["dollarmath"]
myst_fence_as_directive = ["math"]
myst_heading_anchors = 4
myst_dmath_double_inline = False

# Mathematics: one file of MathJax, drawn as SVG in the colour of the text; no fonts to fetch.
MATHJAX = Path(find_spec("sphinx-mathjax-offline").origin).parent / "static" / "mathjax" / "tex-svg-full.js"
mathjax_path = MATHJAX.name
mathjax3_config = {"options": {"enableMenu": False}, "svg": {"fontCache": "global"}}

# Docstrings.
default_role = "literal"
autodoc_default_options = {"members": True, "member-order": "bysource", "ignore-module-all": True}
autodoc_typehints = "none"  # the docstrings say types, shapes and units
numpydoc_show_class_members = False
nitpick_ignore_regex = [("py:class", r"(collections|matplotlib|numpy|pandas)\..*")]
imported = "cycler|linear_sum_assignment|LinearOperator|FuncAnimation|ConciseDateFormatter"
numpydoc_validation_exclude = {rf"\.({imported})$"}
numpydoc_validation_checks = {"PR02", "PR03"}  # unknown parameters, and parameters in another order

# Gallery.
logging.getLogger("matplotlib.animation").setLevel(logging.ERROR)  # without ffmpeg Pillow serves
sphinx_gallery_conf = {
    "examples_dirs": "gallery",
    "gallery_dirs": "auto_gallery",
    "filename_pattern": r"/plot_",
    "matplotlib_animations": (True, "jshtml"),
    "abort_on_example_error": True,
    "download_all_examples": False,
    "remove_config_comments": True,
    "show_memory": False,
    "min_reported_time": 10**6,
    "backreferences_dir": None,
    "write_computation_times": False,
    "show_signature": False,
}

# Papers.
bibtex_bibfiles = ["references.bib"]
bibtex_default_style = "unsrtalpha"

html_theme = "furo"
html_title = "nmf-scratch"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_search_summary = False  # they would show formulas as they are typed, and need a server
html_show_sphinx = False
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"top_of_page_buttons": []}
pygments_style, pygments_dark_style = "a11y-high-contrast-light", "a11y-high-contrast-dark"
copybutton_selector = "div.highlight-python pre, div.highlight-sh pre, div.highlight-console pre"
copybutton_prompt_text = "$ "

"""The site: README, notebooks as committed, API reference and the lecturer's page, by Sphinx and MyST-NB.

``sphinx-build -W -c docs . docs/build/html`` in the clone. The sources are where they are in the clone, so that
links work there and here. Nothing is executed, and nothing is fetched: formulas become MathML.
"""

from __future__ import annotations

import sys
from pathlib import Path

from docutils import nodes
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import temlib  # noqa: E402

project = "temlib"
author = "The temlib developers"
copyright = "the temlib developers, GPL-3.0-or-later"  # noqa: A001
version = release = temlib.__version__

extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
root_doc = "README"
include_patterns = ["README.md", "CHANGELOG.md", "docs/*.md", "notebooks/*.ipynb", "temlib/data/*/CARD.md"]
exclude_patterns = ["docs/build", "**/.ipynb_checkpoints"]
html_theme = "furo"
html_title = f"temlib {version}"
html_extra_path = ["index.html"]
html_static_path = ["static"]
html_css_files = ["tables.css"]
html_copy_source = False
html_show_sourcelink = False
html_theme_options = {"sidebar_hide_name": False}

nb_execution_mode = "off"
nb_ipywidgets_js: dict[str, dict] = {}
myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
napoleon_google_docstring = False
napoleon_use_rtype = False
napoleon_preprocess_types = False
suppress_warnings = ["ref.python"]  # attributes of several classes have one name

_CONTENTS = """
```{toctree}
:hidden:
:caption: Notebooks
:glob:

notebooks/*
```

```{toctree}
:hidden:
:caption: Teach

docs/lecturer
docs/glossary
```

```{toctree}
:hidden:
:caption: Reference

docs/evidence
docs/develop
docs/api
docs/clusters
docs/formats
docs/robustness
CHANGELOG
temlib/data/bundled/CARD
temlib/data/labelled/CARD
```
"""


def add_contents(_app: Sphinx, name: str, source: list[str]) -> None:
    """Give the README the table of contents that GitHub would show as text."""
    if name == root_doc:
        source[0] += _CONTENTS


def inline_math(translator, node: nodes.math) -> None:
    """Write a formula within a line as MathML."""
    translator.body.append(tex2mathml(node.astext(), as_block=False))
    raise nodes.SkipNode


def block_math(translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own as MathML."""
    translator.body.append(f'<div class="math">{tex2mathml(node.astext(), as_block=True)}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    """Tell Sphinx."""
    app.connect("source-read", add_contents)
    app.add_html_math_renderer("mathml", (inline_math, None), (block_math, None))


html_math_renderer = "mathml"

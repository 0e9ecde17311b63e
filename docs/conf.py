"""How Sphinx makes the site: ``make docs``.

The source folder is the project, not this one, so that links which leave ``docs/`` are links between pages: the
READMEs of the experiments are pages too, and code that is linked leads to its listing. Nothing is fetched.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import download_reference, pending_xref
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

project, author = "gemsnn", "the gemsnn developers"
copyright = "the gemsnn developers, Apache License 2.0"
root_doc = "docs/index"
include_patterns = ["docs/**.md", "docs/**.rst", "experiments/*/README.md", "CONTRIBUTING.md", "CHANGELOG.md"]
exclude_patterns = ["docs/_build", ".*", "runs", "build", "dist", "shared", "gemsnn", "tests", "benchmarks"]

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]

html_theme = "furo"
html_title = "gemsnn"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_sphinx = False
html_additional_pages = {"index": "to-start.html"}
templates_path = ["_templates"]
pygments_style, pygments_dark_style = "friendly", "monokai"

# -- pages and notebooks ---------------------------------------------------------------------------------------

myst_heading_anchors = 3
nb_execution_mode = "cache"  # a page is not run again while its cells and the library are as they were
library = hashlib.sha256(b"".join(path.read_bytes() for path in sorted((ROOT / "gemsnn").rglob("*.py"))))
nb_execution_cache_path = str(ROOT / "docs" / "_build" / f"cells-{library.hexdigest()[:16]}")
nb_execution_timeout = 600
nb_execution_in_temp = True
nb_execution_raise_on_error = True
nb_merge_streams = True

# -- reference -------------------------------------------------------------------------------------------------

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_description_target = "documented"
autodoc_preserve_defaults = True
napoleon_google_docstring, napoleon_numpy_docstring = True, False
napoleon_use_ivar = True  # fields stand once, in the docstring of their class
python_use_unqualified_type_names = True

MODULES = "gemsnn/"
"""Where code lies whose modules the reference has."""


class LinksOutOfPages(SphinxTransform):
    """Links of pages to what is no page: a module leads to its place in the reference, a folder is only named."""

    default_priority = 400

    def apply(self, **kwargs: Any) -> None:
        """Replace the nodes; other files stay what they are, downloads."""
        page = Path(self.env.doc2path(self.env.docname))
        for node in list(self.document.findall(download_reference)):
            code = (page.parent / node["reftarget"]).resolve().relative_to(ROOT)
            if code.suffix == ".py" and code.as_posix().startswith(MODULES):
                name = ".".join(code.with_suffix("").parts).removesuffix(".__init__")
                there = pending_xref(
                    "", *node.children, refdomain="py", reftype="mod", reftarget=name, refdoc=self.env.docname,
                    refexplicit=True, refwarn=True,
                )  # fmt: skip
                there.source, there.line = node.source, node.line
                node.replace_self(there)
        for node in list(self.document.findall(pending_xref)):
            if node.get("refdomain") in (None, "doc") and (page.parent / node["reftarget"]).is_dir():
                node.replace_self(nodes.inline("", "", *node.children))


def without_numbers(
    app: Sphinx, what: str, name: str, thing: object, skip: bool, options: object
) -> bool | None:
    """Leave out what Python itself says of a named tuple's fields: the class's docstring says what they are."""
    return True if str(getattr(thing, "__doc__", "")).startswith("Alias for field number") else None


def setup(app: Sphinx) -> dict[str, Any]:
    """Called by Sphinx."""
    app.add_transform(LinksOutOfPages)
    app.connect("autodoc-skip-member", without_numbers)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

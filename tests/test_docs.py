"""The site of ``make docs``, without building it: every page is reached, and what tutorials name exists.

The build itself runs every cell of the tutorials and takes warnings for errors; here it is seconds.
"""

from __future__ import annotations

import ast
import importlib
import re
from pathlib import Path

import pytest
from pages import cells

import gemsnn

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TREES = re.compile(r"^```\{toctree\}\n(.*?)^```", re.DOTALL | re.MULTILINE)
TUTORIALS = sorted((DOCS / "tutorials").glob("*.md"))


def entries(page: Path) -> set[str]:
    """What the trees of a page name, from the project's folder on, without a suffix."""
    found = set()
    for tree in TREES.findall(page.read_text()):
        for line in tree.splitlines():
            if line and not line.startswith(":"):
                place = (page.parent / line).resolve().relative_to(ROOT).as_posix()
                names = ROOT.glob(place + ".md") if "*" in place else [ROOT / place]
                found |= {name.relative_to(ROOT).with_suffix("").as_posix() for name in names}
    return found


def calls(code: ast.AST) -> set[str]:
    """``gemsnn.x.y`` wherever it is read, in full."""
    found = set()
    for node in ast.walk(code):
        names, inner = [], node
        while isinstance(inner, ast.Attribute):
            names, inner = [inner.attr, *names], inner.value
        if isinstance(inner, ast.Name) and inner.id == "gemsnn" and names:
            found.add(".".join(names))
    return found


def test_every_page_is_reached():
    """From docs/index.md by its trees, and by those of the pages that it leads to; and all that is led to exists."""
    reached, coming = set(), {"docs/index"}
    while coming:
        name = coming.pop()
        reached.add(name)
        page = ROOT / f"{name}.md"
        if page.exists():
            coming |= entries(page) - reached
        else:
            assert (ROOT / f"{name}.rst").exists(), name
    pages = [
        *DOCS.glob("*.md"),
        *DOCS.glob("*/*.md"),
        *DOCS.glob("*/*.rst"),
        *ROOT.glob("experiments/*/README.md"),
    ]
    pages = [page for page in pages if "_build" not in page.parts]
    assert len(pages) > 40
    assert {page.relative_to(ROOT).with_suffix("").as_posix() for page in pages} - reached == set()


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_what_tutorials_name_exists(page):
    """Their cells parse, each name of the package that they import or read is there."""
    text = page.read_text()
    assert text.startswith("---\nfile_format: mystnb\n"), "the build runs a page only with this heading"
    code = cells(text)
    assert len(code) >= 4
    assert "matplotlib" in text
    code = ast.parse("\n".join(code))
    for node in ast.walk(code):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gemsnn":
            module = importlib.import_module(node.module or "")
            for alias in node.names:
                if not hasattr(module, alias.name):
                    importlib.import_module(f"{node.module}.{alias.name}")
    for name in calls(code):
        value: object = gemsnn
        for part in name.split("."):
            value = getattr(value, part)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # torch 2.13 in numpy 2.4
def test_the_idea_runs_and_is_as_it_says(tmp_path, monkeypatch):
    """The cheapest tutorial: its compartments lie where its own enumeration does, and nowhere above the truth."""
    plt = pytest.importorskip("matplotlib.pyplot")
    monkeypatch.chdir(tmp_path)
    with plt.rc_context({"backend": "agg"}):
        scope: dict = {}
        for cell in cells((DOCS / "tutorials" / "idea.md").read_text()):
            exec(compile(cell, "docs/tutorials/idea.md", "exec"), scope)
        plt.close("all")
    assert scope["prior"].exp().sum().item() == pytest.approx(1)
    found = list(zip(scope["means"], scope["errors"], strict=True))
    for (mean, error), exact in zip(found, scope["exact"], strict=False):
        assert abs(mean - exact) < 5 * error
    assert scope["means"] == sorted(scope["means"])
    assert all(mean < scope["truth"] + 5 * error for mean, error in found)

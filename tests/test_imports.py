"""The arrows of the house: a module imports only what stands above it."""

import ast
from pathlib import Path

import pytest

import gemsnn

ORDER = [
    "errors", "rows", "specs", "types", "machine", "store", "rng", "data", "model", "rules", "kernels", "scoring",
    "learn", "bridges", "plots", "report", "runs", "bench", "reproduce", "streaming", "serve", "commands",
]  # fmt: skip
BELOW_DATA = {"errors", "machine", "rows", "specs", "types", "rng", "data"}
NOT_DATA = {"model", "rules", "kernels", "scoring", "bench"}
ROOT = Path(gemsnn.__file__).parent


def imported(file: Path) -> set[str]:
    """The top-level parts of gemsnn that a file imports."""
    parts = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "gemsnn":
            rest = node.module.split(".")[1:]
            parts |= {rest[0]} if rest else {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            parts |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("gemsnn.")}
    return parts


def test_imports_point_one_way():
    files = [
        file
        for file in ROOT.rglob("*.py")
        if file.parent != ROOT or file.stem not in ("__init__", "__main__")
    ]
    assert len(files) > 20
    for file in files:
        part = file.relative_to(ROOT).parts[0].removesuffix(".py")
        above = set(ORDER[: ORDER.index(part) + 1])
        assert imported(file) <= above, f"{file.name} imports {imported(file) - above} from below itself"
        assert part != "data" or imported(file) <= BELOW_DATA
        assert part not in NOT_DATA or "data" not in imported(file)


@pytest.mark.parametrize(
    "name", ["Progress", "Course", "Pending", "Moment", "add_terms", "Params", "Rule", "Kernel"]
)
def test_a_name_means_one_thing(name):
    """These meant two things or more; of the compiled steps' own named tuples only their room is asked."""
    found = [
        file.relative_to(ROOT).as_posix()
        for file in ROOT.rglob("*.py")
        for node in ast.parse(file.read_text()).body
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and node.name.strip("_") == name
    ]
    assert len([file for file in found if file != "kernels/cpu/work.py"]) <= 1, found

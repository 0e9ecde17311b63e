"""``gemsnn bench``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal

from gemsnn import console
from gemsnn.bench import figures as bench_figures
from gemsnn.bench import suite
from gemsnn.data import datasets


def make(_: Sequence[str]) -> Callable[..., int]:
    """The command."""
    return bench


def bench(
    task: Literal["paper", "batch", "infer", "digits", "growth", "peers", "all"] = "paper",
    kernels: str | None = None,
    json: bool = False,
    repeat: int = 5,
    quick: bool = False,
    figures: Path | None = None,
    with_peers: bool = False,
) -> int:
    """Measure time and memory of the kernels, against the reference and this machine's matrix products.

    Args:
        task: the sizes to measure.
        kernels: names with commas between them; by default all.
        json: print one JSON object a line.
        repeat: repeats of which the best counts.
        quick: tiny sizes, to see that all works.
        figures: a folder for figures of time against K, T, H and M.
        with_peers: task peers: measure other libraries too, in an environment of their own (made at first use).
    """
    if figures is not None:
        bench_figures.check(task)
    presentations = datasets.load(datasets.DataSpec(), progress=console.bar).train
    rows = []
    try:
        for row in suite.run(presentations, task, kernels, repeat=repeat, quick=quick, with_peers=with_peers):
            rows.append(row)
            if json:
                print(suite.write_json(row), flush=True)
    finally:
        if rows and not json:
            suite.print_table(rows)
        if rows and figures is not None:
            for path in bench_figures.draw(rows, figures):
                console.say(f"figure: {path}")
    return 0

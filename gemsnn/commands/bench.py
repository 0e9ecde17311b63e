"""``gemsnn bench``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

from gemsnn.bench import suite
from gemsnn.bench.cases import TaskName
from gemsnn.commands import flags
from gemsnn.data import datasets
from gemsnn.runs import console
from gemsnn.specs.needs import needs, one_of
from gemsnn.store.files import make_folder


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("bench", bench, words)


def bench(
    task: TaskName | Literal["all"] = "paper",
    kernels: str | None = None,
    json: bool = False,
    repeat: int = 5,
    quick: bool = False,
    figures: Annotated[Path | None, needs(one_of("task", "paper", "growth", "all"))] = None,
    with_peers: Annotated[bool, needs(one_of("task", *suite.WITH_PEERS, "all"))] = False,
) -> int:
    """Measure time and memory of the kernels, against the reference and this machine's matrix products.

    Args:
        task: the sizes to measure.
        kernels: names with commas between them; by default all.
        json: print one JSON object a line.
        repeat: repeats of which the best counts.
        quick: tiny sizes, to see that all works.
        figures: a folder for figures of time against K, T, H and M.
        with_peers: tasks peers and conv: measure other libraries too, in an environment of their own (made at first
            use).
    """
    suite.check(task, kernels, repeat=repeat, with_peers=with_peers)
    if figures is not None:
        make_folder(figures)
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
            from gemsnn.bench import figures as bench_figures  # matplotlib takes a second

            for path in bench_figures.draw(rows, figures):
                console.say(f"figure: {path}")
    return 0

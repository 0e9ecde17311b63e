"""``gemsnn export``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import tyro

from gemsnn.bridges import nir
from gemsnn.commands import flags
from gemsnn.runs import loading


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("export", export, words)


def export(run: tyro.conf.Positional[Path], out: tyro.conf.Positional[Path]) -> int:
    """Write a trained network as a graph that other libraries read (NIR), exactly; docs/bridges.md says how to run it.

    Args:
        run: the run folder, or a model file.
        out: the file to write, such as digits.nir; an existing one is replaced.
    """
    graph = loading.load(run).to_nir()
    nir.save(out, graph)
    ends = [
        f"{name} {tuple(shape.tolist())}"
        for part in (graph.input_type, graph.output_type)
        for name, shape in part.items()
    ]
    print(f"{out}: {len(graph.nodes)} nodes, {len(graph.edges)} edges; ends: {', '.join(ends)}")
    return 0

"""A graph of one's own in TOML: tables of populations and of projections.

In settings they are ``[[network.graph.population]]`` and ``[[network.graph.projection]]``; ``--graph FILE`` takes a
file whose tables are called ``[[population]]`` and ``[[projection]]``::

    [[population]]
    name = "edges"
    channels = 16          # behind a convolution, which gives height and width; elsewhere shape = 128, or [16, 17, 17]
    feedback = true

    [[population]]
    name = "output"
    visible = true         # as many neurons as the data has classes

    [[projection]]
    source = "inputs"
    target = "edges"
    kind = "convolutional"
    kernel = 5
    stride = 2

    [[projection]]
    source = "edges"
    target = "output"
"""

from __future__ import annotations

import difflib
from typing import Any

import msgspec

from gemsnn.errors import InputError
from gemsnn.model.basis import BasisKind, BasisSpec
from gemsnn.model.graph import INPUTS, Graph, Population, Projection
from gemsnn.model.neurons import NEURONS
from gemsnn.model.projections import KINDS, Convolutional, Pooling, Sheet
from gemsnn.store import parsing
from gemsnn.types import AnyPath, Layout


class PopulationTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A population, see :class:`gemsnn.model.graph.Population`.

    A visible one has its size from the data, one behind a convolution (``channels``) or a pooling from what it hears.
    """

    name: str
    shape: int | tuple[int, ...] | None = None
    channels: int | None = None
    neuron: str = "independent"
    visible: bool = False
    feedback: bool = False
    rate: float | None = None


class ProjectionTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """A projection, see :class:`gemsnn.model.graph.Projection`, with the fields of its kind.

    ``basis``, ``basis_count``, ``basis_offset`` and ``memory`` are those of the network where they are not given.
    """

    source: str
    target: str
    kind: str = "dense"
    density: float | None = None
    kernel: int | None = None
    stride: int | None = None
    padding: int | None = None
    window: int | None = None
    gain: float | None = None
    basis: BasisKind | None = None
    basis_count: int | None = None
    basis_offset: float | None = None
    memory: int | None = None


class Drawing(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All tables of a graph."""

    population: tuple[PopulationTable, ...]
    projection: tuple[ProjectionTable, ...]


def read(path: AnyPath) -> Drawing:
    """The graph of a TOML file.

    Raises:
        InputError: it is missing or no TOML, or a table or a key is not one of ours.
    """
    tables = parsing.parse_toml(parsing.read_text(path), str(path))
    try:
        return msgspec.convert(tables, Drawing)
    except msgspec.ValidationError as error:
        raise InputError(f"{path}: {error}") from None


def graph_of(drawing: Drawing, layout: Layout, usual: BasisSpec) -> Graph:
    """The graph for inputs and classes of this layout, with the network's usual basis.

    Raises:
        InputError: a name is unknown, a field belongs to another kind, or something does not fit.
    """
    projections = tuple(_projection(table, usual) for table in drawing.projection)
    inputs = (layout.channels, layout.height, layout.width)
    sheets = {INPUTS: Sheet(*inputs, of_inputs=True)}
    populations = []
    for table in drawing.population:
        shape = _shape(table, layout, [each for each in projections if each.target == table.name], sheets)
        neuron = _named(NEURONS, table.neuron, f"the neuron of population {table.name!r}")
        made = Population(table.name, shape, neuron, table.visible, table.feedback, table.rate)
        populations.append(made)
        sheets[table.name] = made.sheet
    return Graph(inputs, tuple(populations), projections)


def _shape(
    table: PopulationTable, layout: Layout, heard: list[Projection], sheets: dict[str, Sheet]
) -> tuple[int, ...]:
    """A population's shape, where it is not given from the populations above it that it hears."""
    if table.visible:
        if (table.shape, table.channels) != (None, None):
            raise InputError(
                f"the visible population {table.name!r} has a neuron for every class of the data; leave out its shape"
            )
        return (layout.classes,)
    if table.shape is not None and table.channels is None:
        return (table.shape,) if isinstance(table.shape, int) else table.shape
    for each in heard:
        senders = sheets.get(each.source)
        if senders is None or table.shape is not None:
            continue
        if isinstance(each.kind, Pooling) and table.channels is None:
            return each.kind.result(senders)
        if isinstance(each.kind, Convolutional) and table.channels is not None:
            return each.kind.result(senders, table.channels)
    raise InputError(
        f"the population {table.name!r} needs a shape, a number of neurons or [channels, height, width]; or channels, "
        "behind a convolution of a population above it; behind a pooling nothing"
    )


OF_KIND = {
    "dense": (),
    "masked": ("density",),
    "convolutional": ("kernel", "stride", "padding"),
    "pooling": ("window", "gain"),
}
"""The fields of a projection's table that belong to each kind."""


def _projection(table: ProjectionTable, usual: BasisSpec) -> Projection:
    name = f"the projection {table.source}->{table.target}"
    kind = _named(KINDS, table.kind, f"the kind of {name}")
    given = {field: getattr(table, field) for fields in OF_KIND.values() for field in fields}
    given = {field: value for field, value in given.items() if value is not None}
    wrong = [field for field in given if field not in OF_KIND[table.kind]]
    if wrong:
        raise InputError(f"{name} is {table.kind}, which has no {wrong[0]}; leave it out")
    basis = BasisSpec(
        usual.kind if table.basis is None else table.basis,
        usual.count if table.basis_count is None else table.basis_count,
        usual.taps if table.memory is None else table.memory,
        usual.offset if table.basis_offset is None else table.basis_offset,
    )
    return Projection(table.source, table.target, kind(**given), None if basis == usual else basis)


def _named(known: dict[str, Any], name: str, what: str) -> Any:
    if name not in known:
        near = difflib.get_close_matches(name[:80], list(known), n=1, cutoff=0.0)[0]
        raise InputError(
            f"{what} must be one of {', '.join(known)}, not {name[:80]!r}; the nearest is {near!r}"
        )
    return known[name]

"""Settings: the same dataclasses fill from TOML files and from the command line's flags.

A TOML file has one table for each part of :class:`Settings`; every key is optional, and a key that does not
exist is an error that names the nearest one that does.
"""

from __future__ import annotations

import dataclasses
import difflib
import typing
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import tomli_w
import torch
from tyro.constructors import PrimitiveConstructorSpec

from gemsnn.data.augment import AugmentSpec
from gemsnn.data.datasets import DataSpec
from gemsnn.errors import InputError
from gemsnn.kernels import KernelName, Learning
from gemsnn.learn.train import TrainSpec
from gemsnn.machine import devices
from gemsnn.model import topology
from gemsnn.model.basis import BasisKind, BasisSpec
from gemsnn.model.spec import FeedbackOf, NetworkSpec, Output
from gemsnn.model.topology import Readouts, TopologyName
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.rules.own import Own
from gemsnn.runs import drawing
from gemsnn.runs.drawing import Drawing
from gemsnn.scoring.answers import Wanted
from gemsnn.specs import checks
from gemsnn.specs import fields as specs
from gemsnn.specs.checks import Count, NotNegative, Probability, Range
from gemsnn.specs.needs import given, needs, one_of, without
from gemsnn.store import parsing
from gemsnn.types import AnyPath, Layout


def _numbers(words: Sequence[str]) -> tuple[int, ...]:
    return tuple(int(word) for word in words[0].split(",") if word.strip())


Numbers = Annotated[
    tuple[int, ...],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="N1,N2,..",
        instance_from_str=_numbers,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(map(str, value))],
    ),
]
"""Whole numbers: ``1,2,5`` on the command line."""


def _groups(words: Sequence[str]) -> tuple[int | str, ...]:
    found = (word.strip() for word in words[0].split(",") if word.strip())
    return tuple(int(word) if word.lstrip("-").isdigit() else word for word in found)


Groups = Annotated[
    tuple[int | str, ...],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="H1,H2,..",
        instance_from_str=_groups,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(map(str, value))],
    ),
]
"""Hidden groups: ``128,64`` on the command line, ``[128, 64]`` in TOML; or convolutions, ``16x5s2,256``."""

Drawn = Annotated[
    Drawing | None,
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="FILE",
        instance_from_str=lambda words: drawing.read(words[0]),
        is_instance=lambda value: value is None or isinstance(value, Drawing),
        str_from_instance=lambda value: ["none" if value is None else "a graph"],
    ),
]
"""A graph: a TOML file on the command line, tables in TOML; see :mod:`gemsnn.runs.drawing`."""

OF_TOPOLOGY = needs(without("graph"))


RENAMED = {("evaluate", "vote_compartments"): "votes"}
"""Keys that older files have, by table and name, and what they are called now."""


@dataclass(frozen=True)
class NetworkChoice:
    """The network, up to what the data decides (inputs and classes).

    Attributes:
        hidden: neurons of each hidden group; with topology conv also convolutions, 16x5s2 for 16 channels of a kernel
            5 x 5 at every second place.
        topology: who may listen to whom.
        readouts: each-layer gives every hidden group visible neurons of its own, with the same target, to learn from;
            the last ones answer.
        graph: populations and projections of one's own, in place of a topology.
        density: share of synapses kept, for the topology sparse.
        basis: the synapses' filters.
        basis_count: filters per synapse, L.
        basis_offset: how raised cosines lie in the memory: the lags d of their peaks are even in log(d + offset), so 1
            crowds them at short lags, and an offset much larger than the memory spaces them evenly.
        memory: how many steps back a synapse hears, D.
        readout_memory: how many steps back output neurons hear; by default as all.
        readout_count: filters of their synapses; by default as of all.
        feedback: which neurons hear their own past spikes.
        feedback_count: filters of that feedback.
        weight_scale: spread of the initial weights, relative to 1 / sqrt(synapses of the neuron).
        hidden_rate: a hidden neuron's initial spike probability.
        visible_rate: an output neuron's initial spike probability; by default 1 / V, of spike trains their mean rate.
        output: whether visible neurons spike independently, or one at a time in a winner-take-all circuit.
        dtype: floating point type.
        kernel: the code that runs the network; auto takes the fastest that serves the case.
        device: where it runs: cpu, cuda, or cuda:1 for the second card.
    """

    hidden: Annotated[Groups, Range(1, checks.MOST), OF_TOPOLOGY] = (256,)
    topology: Annotated[TopologyName, OF_TOPOLOGY] = "feedforward"
    readouts: Annotated[Readouts, needs(one_of("topology", "feedforward", "conv")), OF_TOPOLOGY] = "last"
    graph: Drawn = None
    density: Annotated[float, Range(above=0, high=1), needs(one_of("topology", "sparse"))] = 0.1
    basis: BasisKind = "raised-cosine"
    basis_count: Count = 4
    basis_offset: Annotated[float, Range(above=-1), needs(one_of("basis", "raised-cosine"))] = 1.0
    memory: Count = 10
    readout_memory: Annotated[Count | None, OF_TOPOLOGY] = None
    readout_count: Annotated[Count | None, OF_TOPOLOGY] = None
    feedback: Annotated[FeedbackOf, OF_TOPOLOGY] = "hidden"
    feedback_count: Annotated[Count, needs(one_of("feedback", "hidden", "all"))] = 2
    weight_scale: NotNegative = 1.0
    hidden_rate: Annotated[Probability, needs(given("hidden")), OF_TOPOLOGY] = 0.1
    visible_rate: Annotated[Probability | None, OF_TOPOLOGY] = None
    output: Annotated[Output, OF_TOPOLOGY] = "winner-take-all"
    dtype: Literal["float32", "float64"] = "float32"
    kernel: KernelName = "auto"
    device: str = devices.CPU

    def __post_init__(self) -> None:
        """Check now, on the smallest data, what any network of these settings needs."""
        checks.fields(self)
        devices.check_name(self.device)
        for group in self.hidden:
            if isinstance(group, str):
                topology.convolution(group)
        if self.topology != "conv" and self.graph is None:  # these fit some data and not other
            self.spec(Layout(1, 1, 1, 1, 1), 0.0)

    def _readout(self, synapse: BasisSpec) -> BasisSpec | None:
        """The filters of synapses onto output neurons, where they are others than those of all synapses."""
        taps, count = self.readout_memory or synapse.taps, self.readout_count or synapse.count
        found = BasisSpec(self.basis, count, taps, self.basis_offset)
        return None if found == synapse else found

    def spec(self, layout: Layout, warm_up: float) -> NetworkSpec:
        """The network for inputs and classes of this layout, and this warm-up; see :meth:`Settings.network_spec`."""
        synapse = BasisSpec(self.basis, self.basis_count, self.memory, self.basis_offset)
        return NetworkSpec(
            inputs=layout.inputs,
            visible=layout.classes,
            hidden=self.hidden,
            topology=self.topology,
            density=self.density,
            synapse=synapse,
            self_filter=BasisSpec(self.basis, self.feedback_count, self.memory, self.basis_offset),
            feedback=self.feedback,
            weight_scale=self.weight_scale,
            hidden_rate=self.hidden_rate,
            visible_rate=self.visible_rate,
            output=self.output,
            warm_up=warm_up,
            sheet=(layout.channels, layout.height, layout.width),
            readouts=self.readouts,
            readout=self._readout(synapse),
            custom=None if self.graph is None else drawing.graph_of(self.graph, layout, synapse),
        )


@dataclass(frozen=True)
class EvaluateSpec:
    """The final evaluation.

    Attributes:
        votes: compartments that answer on the test part, K_I; the scores of fewer come with it.
        decoder: how they answer: each votes for a class; or all output spikes are counted together (rates); or the
            output potentials tell each class's likelihood, of the mixture of compartments at each step, a memory's
            length of steps counted as one (mixture) or all of them (pooled), or of each compartment's course
            (likelihood). With auto it is the one of the first four whose answers to the validation part have the
            lowest NLL, as they are and at temperature taken together.
        answer: which readouts answer, where a network has several: the last, or all, each with a weight that is chosen
            on the validation part.
    """

    votes: Count = 20
    decoder: Wanted = "auto"
    answer: Annotated[Literal["last", "all"], needs(one_of("readouts", "each-layer"), given("graph"))] = (
        "last"
    )

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)


@dataclass(frozen=True)
class Settings:
    """Everything that shapes a run; by default the settings of the recipe ``best``."""

    data: DataSpec = field(default_factory=lambda: DataSpec(warm_up=0.5))
    network: NetworkChoice = field(default_factory=NetworkChoice)
    rule: RuleSpec = field(default_factory=lambda: RuleSpec("one-hop"))
    optimiser: OptimiserSpec = field(default_factory=lambda: OptimiserSpec("adam", lr=0.001))
    train: TrainSpec = field(default_factory=TrainSpec)
    evaluate: EvaluateSpec = field(default_factory=EvaluateSpec)
    augment: AugmentSpec = field(default_factory=AugmentSpec)

    def __post_init__(self) -> None:
        """Check the parts' types."""
        checks.fields(self)

    def network_spec(self, layout: Layout) -> NetworkSpec:
        """The network of these settings for inputs and classes of this layout."""
        return self.network.spec(layout, self.data.warm_up)

    @property
    def learning(self) -> Learning:
        """How a batch is learned."""
        return Learning(self.rule, self.optimiser, self.train.compartments, self.train.update_steps)


FORMER = Settings(
    DataSpec(warm_up=0.0),
    NetworkChoice(hidden=(64,), topology="layered", memory=20, output="independent"),
    RuleSpec("gem-cv"),
    OptimiserSpec("adam", lr=0.003),
    TrainSpec(compartments=5, epochs=15, keep="last"),
    EvaluateSpec(decoder="votes"),
)
"""The defaults until 0.1: what is meant where the file of a run of an older version lacks a setting."""


def caution(settings: Settings) -> str | None:
    """What a person should know of these settings before they are learned with; ``None`` for nothing."""
    rule = settings.rule
    if settings.train.compartments > 1 or rule.value.needs != {"signal"} or settings.network.hidden == ():
        return None
    if rule.value.signal(torch.tensor([-1.0])).hidden.any():
        return None
    return (
        f"with one compartment the rule {rule.name} teaches hidden neurons nothing: all that it tells them is how "
        "compartments differ; give more --compartments"
    )


def tables(settings: Settings) -> dict[str, dict[str, Any]]:
    """Settings as plain tables, every key of them; what is ``None`` is left out, for TOML has no such value."""

    def plain(value: Any) -> Any:
        if isinstance(value, msgspec.Struct):
            return msgspec.json.decode(msgspec.json.encode(value))  # lists, as a file has them
        if dataclasses.is_dataclass(value):
            pairs = ((item.name, getattr(value, item.name)) for item in dataclasses.fields(value))
            return {name: plain(entry) for name, entry in pairs if entry is not None}
        if isinstance(value, tuple):
            return list(value)
        return str(value) if isinstance(value, (Path, Own)) else value

    return plain(settings)


def dump(settings: Settings) -> str:
    """Settings as TOML, see :func:`tables`."""
    return tomli_w.dumps(tables(settings))


def load_run(path: AnyPath) -> Settings:
    """The settings of a run from its TOML file, which holds all there were when it was written.

    Raises:
        InputError: as :func:`load`.
    """
    path = Path(path)
    return from_tables(parsing.parse_toml(parsing.read_text(path), str(path)), str(path), usual=FORMER)


def load(path: AnyPath) -> Settings:
    """Settings from a TOML file; what it lacks is the default.

    Raises:
        InputError: the file is missing or no TOML, or a key or a value is not one of ours.
    """
    path = Path(path)
    return parse(parsing.read_text(path), str(path))


def parse(content: str, where: str) -> Settings:
    """Settings from TOML; ``where`` names its source in errors.

    Raises:
        InputError: it is no TOML, or a key or a value is not one of ours.
    """
    return from_tables(parsing.parse_toml(content, where), where)


def from_tables(tables: dict[str, Any], where: str, *, usual: Settings | None = None) -> Settings:
    """Settings from parsed TOML tables; ``where`` names their source in errors.

    What they lack is as in ``usual``, by default :class:`Settings` as they are.
    """
    return of_tables(read_tables(tables, where), usual)


def of_tables(parts: dict[str, dict[str, Any]], usual: Settings | None = None) -> Settings:
    """Settings from values by table and key, as :func:`read_tables` gives them."""
    base = Settings() if usual is None else usual
    return dataclasses.replace(
        base, **{name: dataclasses.replace(getattr(base, name), **values) for name, values in parts.items()}
    )


def read_tables(tables: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """The values that parsed TOML tables hold, by table and key; numbers are not checked yet.

    Args:
        tables: the tables.
        where: names their source in errors.

    Raises:
        InputError: a table, a key or a type is not one of ours.
    """
    parts = {item.name: _part_type(item.name) for item in dataclasses.fields(Settings)}
    _check_keys(tables, list(parts), where, "table")
    found = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{where}: [{name}] must be a table, not a value")
        table = {RENAMED.get((name, str(key)), str(key)): value for key, value in table.items()}
        keys = [item.name for item in dataclasses.fields(parts[name])]
        _check_keys(table, keys, f"{where}: [{name}]", "key")
        try:
            part = msgspec.convert(table, specs.unchecked(parts[name]), dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise InputError(f"{where}: [{name}]: {error}") from None
        found[name] = {key: getattr(part, key) for key in table}
    return found


def _part_type(name: str) -> type:
    return typing.get_type_hints(Settings)[name]


def _decode(kind: type, value: Any) -> Any:
    if not (issubclass(kind, Path) and isinstance(value, str) and "\0" not in value):
        raise TypeError(f"Expected a path, got {value!r}")
    return Path(value)


def _check_keys(found: dict[str, Any], known: list[str], where: str, what: str) -> None:
    for key in found:
        if key not in known:
            nearest = difflib.get_close_matches(key[:80], known, n=1, cutoff=0.0)[0]
            raise InputError(
                f"{where} has an unknown {what} {key[:80]!r}; the nearest valid one is {nearest!r}"
            )

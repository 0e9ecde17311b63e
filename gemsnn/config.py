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
from tyro.constructors import PrimitiveConstructorSpec

from gemsnn import parsing
from gemsnn.basis import BasisKind, BasisSpec
from gemsnn.data.datasets import DataSpec
from gemsnn.errors import InputError
from gemsnn.evaluate import Decoder
from gemsnn.kernels import KernelName, Learning
from gemsnn.network import FeedbackOf, NetworkSpec, Output
from gemsnn.optimisers import OptimiserSpec
from gemsnn.rules import RuleSpec
from gemsnn.topology import TopologyName
from gemsnn.train import MOST, TrainSpec
from gemsnn.types import Layout


def _sizes(words: Sequence[str]) -> tuple[int, ...]:
    return tuple(int(word) for word in words[0].split(",") if word.strip())


Groups = Annotated[
    tuple[int, ...],
    PrimitiveConstructorSpec(
        nargs=1,
        metavar="H1,H2,..",
        instance_from_str=_sizes,
        is_instance=lambda value: isinstance(value, tuple),
        str_from_instance=lambda value: [",".join(map(str, value))],
    ),
]
"""Sizes of hidden groups: ``128,64`` on the command line, ``[128, 64]`` in TOML; empty for none."""


@dataclass(frozen=True)
class NetworkChoice:
    """The network, up to what the data decides (inputs and classes).

    Attributes:
        hidden: neurons of each hidden group.
        topology: who may listen to whom.
        density: share of synapses kept, for the topology sparse.
        basis: the synapses' filters.
        basis_count: filters per synapse, L.
        memory: how many steps back a synapse hears, D.
        feedback: which neurons hear their own past spikes.
        feedback_count: filters of that feedback.
        weight_scale: spread of the initial weights, relative to 1 / sqrt(synapses of the neuron).
        hidden_rate: a hidden neuron's initial spike probability.
        output: whether visible neurons spike independently, or one at a time in a winner-take-all circuit.
        dtype: floating point type.
        kernel: the code that runs the network; auto takes the fastest that serves the case.
    """

    hidden: Groups = (64,)
    topology: TopologyName = "layered"
    density: float = 0.1
    basis: BasisKind = "raised-cosine"
    basis_count: int = 4
    memory: int = 20
    feedback: FeedbackOf = "hidden"
    feedback_count: int = 2
    weight_scale: float = 1.0
    hidden_rate: float = 0.1
    output: Output = "independent"
    dtype: Literal["float32", "float64"] = "float32"
    kernel: KernelName = "auto"

    def __post_init__(self) -> None:
        """Check now, on the smallest data, what any network of these settings needs."""
        self.spec(Layout(1, 1, 1, 1, 1))

    def spec(self, layout: Layout) -> NetworkSpec:
        """The network for inputs and classes of this layout."""
        return NetworkSpec(
            inputs=layout.inputs,
            visible=layout.classes,
            hidden=self.hidden,
            topology=self.topology,
            density=self.density,
            synapse=BasisSpec(self.basis, self.basis_count, self.memory),
            self_filter=BasisSpec(self.basis, self.feedback_count, self.memory),
            feedback=self.feedback,
            weight_scale=self.weight_scale,
            hidden_rate=self.hidden_rate,
            output=self.output,
        )


@dataclass(frozen=True)
class EvaluateSpec:
    """The final evaluation.

    Attributes:
        vote_compartments: compartments that answer on the test part, K_I; the scores of fewer come with it.
        decoder: how they answer: each votes for a class, or their hidden spikes tell each class's likelihood.
    """

    vote_compartments: int = 20
    decoder: Decoder = "votes"

    def __post_init__(self) -> None:
        """Check the number."""
        if not 1 <= self.vote_compartments <= MOST:
            raise InputError(
                f"vote_compartments must be at least 1 and at most {MOST}, not {self.vote_compartments}"
            )


@dataclass(frozen=True)
class Settings:
    """Everything that shapes a run."""

    data: DataSpec = field(default_factory=DataSpec)
    network: NetworkChoice = field(default_factory=NetworkChoice)
    rule: RuleSpec = field(default_factory=RuleSpec)
    optimiser: OptimiserSpec = field(default_factory=OptimiserSpec)
    train: TrainSpec = field(default_factory=TrainSpec)
    evaluate: EvaluateSpec = field(default_factory=EvaluateSpec)

    @property
    def learning(self) -> Learning:
        """How a batch is learned."""
        return Learning(self.rule, self.optimiser, self.train.compartments, self.train.update_steps)


def dump(settings: Settings) -> str:
    """Settings as TOML, every key of them; what is ``None`` is left out, for TOML has no such value."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value):
            pairs = ((item.name, getattr(value, item.name)) for item in dataclasses.fields(value))
            return {name: plain(entry) for name, entry in pairs if entry is not None}
        if isinstance(value, tuple):
            return list(value)
        return str(value) if isinstance(value, Path) else value

    return tomli_w.dumps(plain(settings))


def load(path: Path) -> Settings:
    """Settings from a TOML file.

    Raises:
        InputError: the file is missing or no TOML, or a key or a value is not one of ours.
    """
    return parse(parsing.read_text(path), str(path))


def parse(content: str, where: str) -> Settings:
    """Settings from TOML; ``where`` names its source in errors.

    Raises:
        InputError: it is no TOML, or a key or a value is not one of ours.
    """
    return from_tables(parsing.parse_toml(content, where), where)


def from_tables(tables: dict[str, Any], where: str) -> Settings:
    """Settings from parsed TOML tables; ``where`` names their source in errors."""
    parts = {item.name: _part_type(item.name) for item in dataclasses.fields(Settings)}
    _check_keys(tables, list(parts), where, "table")
    filled = {}
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise InputError(f"{where}: [{name}] must be a table, not a value")
        keys = [item.name for item in dataclasses.fields(parts[name])]
        _check_keys(table, keys, f"{where}: [{name}]", "key")
        try:
            filled[name] = msgspec.convert(table, parts[name], dec_hook=_decode)
        except msgspec.ValidationError as error:
            raise InputError(f"{where}: [{name}]: {error}") from None
    return Settings(**filled)


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

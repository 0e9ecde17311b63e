"""Every public constructor holds its fields to what they are declared to be; new specs are found by themselves."""

from __future__ import annotations

import dataclasses
import importlib
import math
import pkgutil
import types
import typing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Union

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gemsnn
from gemsnn.bench.cases import Case
from gemsnn.data.arrivals import ArrivalSpec
from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.camera import EmulatorSpec
from gemsnn.data.events import make_events
from gemsnn.data.generated import emulate_set
from gemsnn.data.grid import Grid
from gemsnn.data.reading import Reading
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.kernels import Learning
from gemsnn.model.batches import collate
from gemsnn.model.graph import Graph, Population, Projection
from gemsnn.model.network import NetworkSpec
from gemsnn.rows import SpikeRows
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.runs.config import EvaluateSpec, NetworkChoice, Settings
from gemsnn.specs import checks
from gemsnn.specs.checks import MOST, Range
from gemsnn.types import Layout, Presentation

LAYOUT = Layout(2, 3, 3, 4, 1000)


def spike_set(lengths: tuple[int, ...] = (3, 1, 2), **fields: Any) -> SpikeSet:
    bins = [np.ones((n, LAYOUT.inputs), np.uint8) for n in lengths]
    made = SpikeSet.from_bins(bins, list(range(len(lengths))), LAYOUT, counts=False)
    return dataclasses.replace(made, **fields)


NEEDED: dict[type, dict[str, Any]] = {
    ArrivalSpec: {"layout": LAYOUT},
    Case: {
        "task": "paper", "network": NetworkSpec(2, 2), "compartments": 1, "batch": 1, "steps": 1, "learning": None,
    },
    Grid: {"window": (4, 4), "cells": (2, 2), "span": (4, 4)},
    Graph: {
        "inputs": (2, 3, 3),
        "populations": (Population("a", (3,)), Population("b", (4,), visible=True)),
        "projections": (Projection("inputs", "a"), Projection("a", "b")),
    },
    Population: {"name": "a", "shape": (3,)},
    Projection: {"source": "inputs", "target": "a"},
    Learning: {"rule": RuleSpec(), "optimiser": OptimiserSpec(), "compartments": 1},
    NetworkSpec: {"inputs": 2, "visible": 2},
    Reading: {
        "layout": LAYOUT, "steps": 4, "counts": False, "pad": True, "sensor": (5, 4), "corner": (2, 1),
        "names": ("a", "b", "c", "d"),
    },
    SpikeSet: {field.name: getattr(spike_set(), field.name) for field in dataclasses.fields(SpikeSet)},
    Splits: dict.fromkeys(("train", "validation", "test"), spike_set()),
}  # fmt: skip
"""What a constructor must be given."""

RESULTS = {
    "gemsnn.specs.checks.Range": "the checks' own",
    "gemsnn.store.checkpoints.Checkpoints": "a folder's path and nothing else",
    "gemsnn.commands.flags.Plain": "a command's note of a parameter of its own",
    "gemsnn.runs.certificate.Promised": "what certificate.promised returns",
    "gemsnn.rows.SpikeRows": "made by its own functions; a set of recordings checks what it is given",
    "gemsnn.data.packing.RawEvents": "made by its own functions, of checked events",
    "gemsnn.data.raw.Augmented": "what raw.learned makes of a checked set",
    "gemsnn.data.raw.Epoch": "what a part is in one epoch",
    "gemsnn.data.unheld.Asked": "made by unheld.look_at, of pairs that it has gone through",
    "gemsnn.data.unheld.Unheld": "what unheld.look_at returns",
    "gemsnn.data.building.Item": "a note that a loader makes for itself",
    "gemsnn.data.sets.catalogue.Entry": "what the library says of a data set",
    "gemsnn.data.parts.Listing": "what a loader of the library says of its files",
    "gemsnn.model.links.Link": "what building a network makes",
    "gemsnn.kernels.block.wires.Wire": "made by the kernel, of a network",
    "gemsnn.runs.layers.Layered": "what layers come to, made by layers.resolve",
    "gemsnn.rules.contract.Rule": "checked where it is taken for a setting (gemsnn.rules.own.made)",
    "gemsnn.specs.fields.Written": "a note beside a setting's declaration",
    "gemsnn.specs.needs.Condition": "made by the functions of its module, where settings are declared",
    "gemsnn.specs.needs.Given": "what a command line's flags said",
    "gemsnn.specs.needs.Needs": "made by the functions of its module, where settings are declared",
    "gemsnn.scoring.metrics.Reliability": "what a metric returns",
    "gemsnn.runs.facts.Facts": "what a run folder holds",
    "gemsnn.runs.models.Model": "what loading a run folder returns",
    "gemsnn.runs.trained.Trained": "what every model is",
    "gemsnn.runs.prediction.Prediction": "what a model returns",
    "gemsnn.runs.prediction.Winners": "what a model returns",
    "gemsnn.runs.run.Run": "a folder's path and nothing else",
    "gemsnn.store.records.RunFolder": "a folder's path and nothing else",
    "gemsnn.report.reading.Run": "what reading a folder returns",
    **{
        f"gemsnn.scoring.scores.{name}": "what scoring returns"
        for name in (
            "Alone", "AnswerScores", "AtCompartments", "AtStep", "Baseline", "Calibration", "Cell", "Costs", "Errors",
            "Extreme", "Extremes", "Kept", "Messages", "Mute", "NeuroBench", "Rates", "Scores", "SynapticOperations",
            "Tempered", "ValidationScores",
        )
    },
}  # fmt: skip
"""Frozen dataclasses that users are given or never see, and do not make."""


def discovered() -> dict[str, type]:
    """The frozen dataclasses of the package, by their full names."""
    found = {}
    for info in pkgutil.walk_packages(gemsnn.__path__, "gemsnn."):
        if info.name.endswith("__main__"):
            continue
        for value in vars(importlib.import_module(info.name)).values():
            if isinstance(value, type) and dataclasses.is_dataclass(value) and value.__module__ == info.name:
                assert value.__dataclass_params__.frozen, value  # type: ignore[attr-defined]
                found[f"{info.name}.{value.__name__}"] = value
    return found


SPECS = {
    name: cls
    for name, cls in discovered().items()
    if name not in RESULTS and not cls.__name__.startswith("_")  # a module makes those for itself
}
FIELDS = [
    (cls, field, kind)
    for cls in SPECS.values()
    for field, kind in typing.get_type_hints(cls, include_extras=True).items()
    if typing.get_origin(kind) is not typing.ClassVar
]
ids = [f"{cls.__name__}.{field}" for cls, field, _ in FIELDS]


def make(cls: type, **fields: Any) -> Any:
    return cls(**NEEDED.get(cls, {}) | fields)


def parts(kind: Any, ranges: tuple[Range, ...] = ()) -> list[tuple[Any, tuple[Range, ...]]]:
    """What an annotation is made of: plain types, literals and tuples, each with its ranges."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Annotated:
        return parts(inner[0], (*ranges, *(entry for entry in inner[1:] if isinstance(entry, Range))))
    if origin in (Union, types.UnionType):
        return [part for entry in inner for part in parts(entry, ranges)]
    return [(kind, ranges)]


def test_the_specs_are_found():
    assert len(SPECS) > 15
    assert set(RESULTS) < set(discovered())
    names = {cls.__name__ for cls in SPECS.values()}
    assert names >= {
        "ArrivalSpec", "BasisSpec", "BinSpec", "DataSpec", "EmulatorSpec", "EvaluateSpec", "Learning", "NetworkChoice",
        "NetworkSpec", "OnlineSpec", "OptimiserSpec", "RuleSpec", "Settings", "SpikeSet", "StreamSpec", "SweepSpec",
        "TrainSpec",
    }  # fmt: skip


@pytest.mark.parametrize(("cls", "field", "kind"), FIELDS, ids=ids)
def test_every_whole_number_has_a_range(cls, field, kind):
    """An annotation ``int`` alone would let a negative number of things through."""
    for plain, ranges in parts(kind):
        inner = typing.get_args(plain) if typing.get_origin(plain) is tuple else (plain,)
        for entry, limits in (part for kind in inner for part in parts(kind, ranges)):
            assert entry is not int or limits, "give it a Range"


WRONG: list[Any] = [
    object(), "no such name", "", b"bytes", 1.5, math.nan, math.inf, -math.inf, -1, 0, 7, True, None, [], (), (1, "x"),
    {"a": 1}, 1j, np.float32("nan"), np.array([1, 2]), torch.tensor(1), 2**70, -(2**70), RuleSpec, [1.5], ("x",),
]  # fmt: skip


def allows(value: Any, kind: Any, ranges: tuple[Range, ...]) -> bool:
    """Whether one part of an annotation allows a value: a second opinion, with none of the checks' code but ranges."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return any(type(value) is type(other) and value == other for other in inner)
    if origin is tuple:
        if not isinstance(value, (tuple, list)):
            return False
        if inner[-1] is ...:
            inner = (inner[0],) * len(value)
        pairs = zip(value, inner, strict=False)
        return len(value) == len(inner) and all(
            any(allows(entry, *part) for part in parts(kind, ranges)) for entry, kind in pairs
        )
    if origin is np.ndarray:
        wanted = np.dtype(typing.get_args(inner[1])[0])
        return isinstance(value, np.ndarray) and value.dtype == wanted
    if kind in (int, float):
        if isinstance(value, (bool, np.bool_, complex)) or not isinstance(value, (int, float, np.number)):
            return False
        if kind is int and not isinstance(value, (int, np.integer)):
            return False
        return math.isfinite(value) and all(value in limit for limit in ranges)
    if kind is Path:
        return isinstance(value, (str, Path))
    return value is None if kind is type(None) else isinstance(value, origin or kind)


@pytest.mark.parametrize(("cls", "field", "kind"), FIELDS, ids=ids)
def test_wrong_values_are_refused_by_name(cls, field, kind):
    """Of each field: wrong types, names, and the numbers just beyond its range."""
    wrong = list(WRONG)
    for plain, ranges in parts(kind):
        step = 1 if int in (plain, *typing.get_args(plain)) else 1e-6
        for limit in ranges:
            beyond = [limit.low - step, limit.above, limit.high + step, limit.below]
            beyond = [int(value) if step == 1 and math.isfinite(value) else value for value in beyond]
            wrong += [(value,) for value in beyond] if typing.get_origin(plain) is tuple else beyond
    refused = 0
    for value in wrong:
        if any(allows(value, plain, ranges) for plain, ranges in parts(kind)):
            continue
        with pytest.raises(InputError) as caught:
            make(cls, **{field: value})
        message = str(caught.value)
        assert message.startswith(f"{field} must "), message
        assert "\n" not in message
        refused += 1
    assert refused > 8


def number(kind: type, ranges: tuple[Range, ...]) -> st.SearchStrategy:
    """Numbers within, mostly the smallest and largest."""
    low = max([limit.low for limit in ranges] + [limit.above for limit in ranges] + [-1e6])
    high = min([limit.high for limit in ranges] + [limit.below for limit in ranges] + [1e6])
    between = st.integers(math.ceil(low), math.floor(high)) if kind is int else st.floats(low, high)
    return between.filter(lambda value: all(value in limit for limit in ranges))


def strategy(kind: Any, ranges: tuple[Range, ...]) -> st.SearchStrategy | None:
    """Values that one part of an annotation allows; ``None`` for what only the needed values show."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin is Literal:
        return st.sampled_from(inner)
    if kind is bool:
        return st.booleans()
    if kind in (int, float):
        return number(kind, ranges)
    if kind is type(None):
        return st.none()
    return None


CHANGED_TOGETHER = {
    "Case.task", "BasisSpec.count", "NetworkChoice.basis_count", "NetworkChoice.feedback_count", "NetworkChoice.memory",
    "SweepSpec.votes", "ArrivalSpec.max_gap_us", "ArrivalSpec.reorder_us", "RuleSpec.sparsity", "RuleSpec.rule",
    "RuleSpec.readout", "EmulatorSpec.width", "EmulatorSpec.height", "EmulatorSpec.duration_us", "EmulatorSpec.step_us",
    "EmulatorSpec.swing_x_px", "EmulatorSpec.swing_y_px", "NetworkSpec.inputs", "NetworkSpec.visible", "BasisSpec.taps",
    "NetworkSpec.visible_rate", "DataSpec.data", "SpikeSet.counts", "RuleSpec.average", "RuleSpec.kappa",
    "RuleSpec.gamma", "NetworkSpec.readouts", "NetworkChoice.readouts", "NetworkSpec.topology", "NetworkSpec.sheet",
    "RuleSpec.resample", "Grid.window", "Grid.cells", "Grid.span", "BinSpec.pool", "ArrivalSpec.grid",
    "NetworkChoice.readout_memory", "NetworkChoice.readout_count",
}  # fmt: skip
"""Fields that depend on others, so that not every value of their range passes alone."""

ALONE = [
    (cls, field, kind)
    for cls, field, kind in FIELDS
    if f"{cls.__name__}.{field}" not in CHANGED_TOGETHER and strategy(*parts(kind)[0]) is not None
]


@pytest.mark.parametrize(
    ("cls", "field", "kind"), ALONE, ids=[f"{cls.__name__}.{field}" for cls, field, _ in ALONE]
)
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_right_values_pass(cls, field, kind, data):
    choices = [found for part in parts(kind) if (found := strategy(*part)) is not None]
    value = data.draw(st.one_of(choices))
    assert getattr(make(cls, **{field: value}), field) == value


def test_needed_values_pass():
    for cls in SPECS.values():
        made = make(cls)
        assert dataclasses.replace(made) is not made


def test_numbers_of_numpy_and_lists_become_plain():
    spec = NetworkSpec(inputs=np.int64(3), visible=2, hidden=[4, np.int32(5)], weight_scale=np.float32(0.5))  # type: ignore[arg-type]
    assert (type(spec.inputs), spec.hidden, type(spec.weight_scale)) == (int, (4, 5), float)
    assert hash(spec) == hash(NetworkSpec(3, 2, (4, 5), weight_scale=0.5))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (lambda: RuleSpec("gemm"), r"rule must be one of .*, not 'gemm'; the nearest is 'gem'"),  # type: ignore[arg-type]
        (lambda: RuleSpec(readout="last"), "the nearest is 'last-step'"),  # type: ignore[arg-type]
        (lambda: NetworkSpec(2, 2, topology="ful"), "the nearest is 'full'"),  # type: ignore[arg-type]
        (lambda: NetworkSpec(2, 2, output="wta"), "the nearest is 'winner-take-all'"),  # type: ignore[arg-type]
        (lambda: NetworkSpec(2, 2, feedback="hiden"), "the nearest is 'hidden'"),  # type: ignore[arg-type]
        (lambda: NetworkChoice(basis="cosine"), "the nearest is 'raised-cosine'"),  # type: ignore[arg-type]
        (lambda: BinSpec(polarity="tow"), "the nearest is 'two'"),  # type: ignore[arg-type]
        (lambda: EvaluateSpec(decoder="vote"), "the nearest is 'votes'"),  # type: ignore[arg-type]
        (lambda: Settings(rule=OptimiserSpec()), "rule must be a RuleSpec"),  # type: ignore[arg-type]
        (lambda: EmulatorSpec(blur_px=0), "blur_px must be above 0, not 0"),
        (lambda: EvaluateSpec(MOST + 1), f"votes must be at least 1 and at most {MOST}"),
        (lambda: BinSpec(crop=(0, 0, 26)), "crop must hold 4 values, not 3"),  # type: ignore[arg-type]
        (lambda: BinSpec(crop=(-1, 0, 26, 26)), "crop must be at least 0 and at most 32768, not -1"),
        (lambda: BinSpec(crop=(0, 0, 26, 0)), "crop must be at least 1 and at most 32768, not 0"),
    ],
)
def test_messages(wrong, said):
    with pytest.raises(InputError, match=said):
        wrong()


def test_a_choice_between_whole_numbers():
    assert checks.choice(4, Literal[4, 8], "scale") == 4
    for value in (5, True, "4", 4.0):
        with pytest.raises(InputError, match="scale must be one of 4, 8, not"):
            checks.choice(value, Literal[4, 8], "scale")


@dataclass(frozen=True)
class _Forgotten:
    count: int


def test_the_walk_would_notice_a_spec_without_checks():
    with pytest.raises(pytest.fail.Exception):
        test_wrong_values_are_refused_by_name(_Forgotten, "count", int)


# -- what is no dataclass ----------------------------------------------------------------------------------


@pytest.mark.parametrize("field", Layout._fields)
@pytest.mark.parametrize("value", [0, -1, 1.0, True, None, "3", 2**31])
def test_layouts(field, value):
    """Also those that ``_replace`` makes."""
    with pytest.raises(InputError, match=f"{field} of a layout must be (a whole number|at least 1)"):
        Layout(**(LAYOUT._asdict() | {field: value}))
    with pytest.raises(InputError, match=f"{field} of a layout"):
        LAYOUT._replace(**{field: value})
    assert LAYOUT._replace(width=5) == Layout(2, 3, 5, 4, 1000)
    assert type(Layout(*(np.int64(3),) * 5).inputs) is int  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"labels": np.arange(2)}, r"address must have the shape \[2\] for 2 labels, not \[3\]"),
        ({"labels": np.arange(6) % 4}, r"address must have the shape \[6\] for 6 labels"),
        ({"labels": np.array([0, 1, 4])}, "the label 4 is out of range"),
        ({"labels": np.array([0, 1, -1])}, "the label -1 is out of range"),
        ({"labels": np.array([0.0, 1, 2])}, "labels must be an array of int64, not an array of float64"),
        ({"labels": [0, 1, 2]}, "labels must be an array of int64"),
        ({"address": np.array([0, -1, 2])}, "address must not be negative, and -1 is"),
        ({"starts": np.array([0, 3, 4])}, r"starts must have the shape \[4\]"),
        ({"starts": np.array([0, 3, 4, 5])}, "starts must rise from 0 to the 6 steps"),
        ({"starts": np.array([0, 4, 3, 6])}, "starts must rise from 0"),
        ({"starts": np.array([0, 3, 3, 6])}, "starts must rise from 0"),
        ({"starts": np.array([1, 3, 4, 6])}, "starts must rise from 0"),
        ({"rows": SpikeRows.of(np.full((6, 18), 2, np.uint8))}, "rows must not hold numbers of events"),
        ({"layout": LAYOUT._replace(width=9)}, "rows must be of the 54 inputs of the layout, not of 18"),
        ({"layout": LAYOUT._replace(classes=2)}, "the label 2 is out of range"),
        ({"rows": np.ones((6, 18))}, "rows must be a SpikeRows"),
    ],
)  # fmt: skip
def test_spike_sets(changed, said):
    with pytest.raises(InputError, match=said):
        spike_set(**changed)


ONE = np.zeros((2, LAYOUT.inputs), np.uint8)


@pytest.mark.parametrize(
    ("bins", "labels", "said"),
    [
        ([ONE] * 4, [0, 1, 2], "labels must be as many as the 4 recordings of bins, not 3"),
        ([ONE] * 4, [0, 1, 2, 3, 0, 1], "labels must be as many as the 4 recordings of bins, not 6"),
        ([ONE], [0.5], "labels must be whole numbers"),
        ([ONE.astype(float)], [0], "recording 0 of bins must be an array of uint8"),
        ([ONE[0]], [0], "recording 0 of bins must be an array of uint8"),
        ([ONE.tolist()], [0], "recording 0 of bins must be an array of uint8"),
        ([ONE, ONE[:, 1:]], [0, 0], "recording 1 of bins has 17 inputs where 18 are expected"),
        ([ONE + 2], [0], "recording 0 of bins holds 2 in a bin; bins are 0 or 1 unless counts is set"),
        ([ONE[:0]], [0], "a step or more a recording"),
    ],
)
def test_bins_and_labels_that_do_not_fit(bins, labels, said):
    with pytest.raises(InputError, match=said):
        SpikeSet.from_bins(bins, labels, LAYOUT, counts=False)


def test_positions_that_are_none():
    for positions in ([3], [-4], np.array([True, False]), np.array([0.0])):
        with pytest.raises(InputError, match="positions must be those of 3 recordings"):
            spike_set().select(positions)
    assert len(spike_set().select(np.array([True, False, True]))) == 2
    np.testing.assert_array_equal(spike_set().bins(-1), spike_set().bins(2))
    with pytest.raises(IndexError, match="position 3 of 3"):
        spike_set().bins(3)


def test_parts_of_another_layout():
    other = dataclasses.replace(spike_set(), layout=LAYOUT._replace(bin_us=5))
    with pytest.raises(InputError, match="test must have the layout of train"):
        Splits(spike_set(), spike_set(), other)


SHOWN = Presentation(torch.zeros(3, 2, dtype=torch.uint8), torch.zeros(3, 4, dtype=torch.uint8), 1, 7)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"spikes": torch.zeros(3, 5, dtype=torch.uint8)}, r"spikes of a presentation must be uint8 \[T, 2\]"),
        ({"spikes": torch.zeros(3, 2)}, r"spikes .* not float32 \[3, 2\]"),
        ({"spikes": torch.zeros(0, 2, dtype=torch.uint8)}, "spikes .* with T >= 1"),
        ({"spikes": [[0, 1]]}, r"spikes .* not \[\[0, 1\]\]"),
        ({"target": torch.zeros(3, 3, dtype=torch.uint8)}, r"target of a presentation must be uint8 \[T, 4\]"),
        ({"target": torch.zeros(2, 4, dtype=torch.uint8)}, "target .* as many steps as its spikes, 3, not 2"),
        ({"label": 4}, "label of a presentation must be at least 0 and at most 3, not 4"),
        ({"label": -1}, "label of a presentation"),
        ({"label": 1.0}, "label of a presentation"),
        ({"address": -1}, "address of a presentation"),
    ],
)  # fmt: skip
def test_presentations_side_by_side(changed, said):
    with pytest.raises(InputError, match=said):
        collate([SHOWN, SHOWN._replace(**changed)])
    assert collate([SHOWN, SHOWN], warm_up=0.4).begin.tolist() == [1, 1]


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        (0, np.array([1, 2]), "t of events|x of events must be an array of 2 numbers"),
        (1, np.array([1.0, 2.0, 3.0]), "x of events must be whole numbers, not float64"),
        (1, np.array([1, 2, 2**15]), "x of events must lie in -32768 .. 32767, not in 1 .. 32768"),
        (2, np.array([1, 2]), "y of events must be an array of 3 numbers"),
        (2, [1, 2], "y of events must be an array of 3 numbers"),
        (2, np.zeros((3, 1), int), "y of events must be an array of 3 numbers"),
        (3, np.array([0, 1, 2]), "on of events must lie in 0 .. 1, not in 0 .. 2"),
    ],
)
def test_events_of_columns(column, value, said):
    columns: list[Any] = [np.arange(3), np.arange(3), np.arange(3), np.array([0, 1, 1])]
    assert len(make_events(*columns)) == 3
    columns[column] = value
    with pytest.raises(InputError, match=said):
        make_events(*columns)


def test_events_to_bin():
    events = make_events(np.array([5, 3]), *np.zeros((2, 2), int), np.ones(2, bool))
    for wrong in (events, np.zeros(3), [1, 2]):
        with pytest.raises(InputError, match="events must be"):
            bin_events(wrong, BinSpec(), width=2, height=2)  # type: ignore[arg-type]


def test_images_to_emulate():
    images, labels = np.zeros((2, 4, 4), np.uint8), np.array([0, 1])
    for name, given_images, given_labels, index in (
        ("images", images[0], labels, None),
        ("images", images.astype(float), labels, None),
        ("labels", images, labels[:1], None),
        ("labels", images, labels.astype(float), None),
        ("index", images, labels, np.arange(3)),
    ):
        with pytest.raises(InputError, match=f"^{name} must be"):
            emulate_set(given_images, given_labels, EmulatorSpec(), BinSpec(), classes=2, seed=0, index=index)

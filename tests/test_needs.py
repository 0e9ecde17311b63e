"""Settings that another one gives their effect: refused where they have none, and truly without effect there."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from gemsnn import kernels
from gemsnn.commands import bench, evaluate, info, predict, report, reproduce, stream, train
from gemsnn.commands.cli import main
from gemsnn.model import network as networks
from gemsnn.model.batches import collate
from gemsnn.rules import optimisers
from gemsnn.runs import layers
from gemsnn.runs.config import FORMER, Settings
from gemsnn.specs import fields as specs
from gemsnn.specs import needs
from gemsnn.streaming import StreamSpec
from gemsnn.types import Layout, Presentation, class_target

OF_SETTINGS = {
    "root": ("/x", [], ["--data", "nmnist"]),
    "validation": ("0.2", [], ["--data", "nmnist", "--root", "/x"]),
    "scale": ("8", [], ["--data", "mnist-dvs", "--root", "/x"]),
    "deflicker": (None, [], ["--data", "mnist-dvs", "--root", "/x"]),
    "deflicker_seed": ("3", [], ["--data", "mnist-dvs", "--root", "/x", "--deflicker"]),
    **{
        name: (value, [], ["--data", "events", "--root", "/x"])
        for name, value in {
            "sensor": "346x260",
            "class_from": "^[a-z]+",
            "labels": "/x/labels.csv",
            "window_ms": "250",
            "time_unit": "ms",
        }.items()
    },
    "skip_damaged": (None, ["--data", "images", "--root", "/x"], ["--data", "nmnist", "--root", "/x"]),
    "swap_polarity": ("0.5", ["--polarity", "merged"], []),
    "answer": ("all", [], ["--hidden", "4,3", "--readouts", "each-layer"]),
    "density": ("0.5", [], ["--topology", "sparse"]),
    "basis_offset": ("30", ["--basis", "exponential"], []),
    "feedback_count": ("3", ["--feedback", "none"], []),
    "hidden_rate": ("0.2", ["--hidden", ""], []),
    "kappa": ("0.5", [], ["--compartments", "2"]),
    "patience": ("3", ["--keep", "last"], []),
    "readout": ("last-step", ["--update-every", "1"], ["--rule", "gem"]),
    "baseline_decay": ("0.5", [], ["--rule", "ml"]),
    "sparsity": ("0.5", [], ["--rule", "ml"]),
    "sparsity_rate": ("0.2", ["--rule", "ml"], ["--rule", "ml", "--sparsity", "0.5"]),
    "resample": ("0.5", ["--compartments", "1"], ["--compartments", "2"]),
    "beta1": ("0.5", ["--optimiser", "sgd"], []),
    "beta2": ("0.5", ["--optimiser", "sgd"], []),
    "epsilon": ("0.1", ["--optimiser", "sgd"], []),
}
"""By name: a value, words with which it has no effect, and words with which it has one."""

STREAM, BENCH, REPRODUCE = ["stream", "--model", "x", "--input", "y"], ["bench"], ["reproduce", "k-sweep"]
GRAPH = """
[network]
[[network.graph.population]]
name = "output"
visible = true
[[network.graph.projection]]
source = "inputs"
target = "output"
"""
OF_TOPOLOGY = {
    "hidden": "5", "topology": "full", "readouts": "each-layer", "feedback": "none", "output": "winner-take-all",
    "visible_rate": "0.2", "readout_memory": "5", "readout_count": "2",
}  # fmt: skip
"""What has an effect but where a graph of one's own is given, with a value."""

OF_COMMANDS = {
    "lr": [*STREAM, "--lr", "0.1"],
    "false_alarms": [*STREAM, "--false-alarms", "0.1"],
    "rule": [*STREAM, "--rule", "x:y"],
    "update_every": [*STREAM, "--update-every", "3"],
    "max_lag_ms": [*STREAM, "--speed", "max", "--max-lag-ms", "3"],
    "save_every": [*STREAM, "--save-every", "3"],
    "figures": [*BENCH, "--task", "infer", "--figures", "x"],
    "shard": ["predict", "x", "y", "--shard", "3"],
    "with_peers": [*BENCH, "--with-peers"],
    "compartments_list": [*REPRODUCE, "--quick", "--compartments-list", "1,2"],
    "seeds": [*REPRODUCE, "--quick", "--seeds", "2"],
}


def declared(command) -> set[str]:
    hints = needs.hints_of(command)
    return set(needs.declared({name: kind for name, kind in hints.items() if not specs.is_group(kind)}))


def test_every_declaration_is_tried_below():
    assert set(needs.declared(specs.declarations(Settings))) == set(OF_SETTINGS) | set(OF_TOPOLOGY)
    found = set(needs.declared(specs.declarations(StreamSpec)))
    for command in (
        bench.bench, evaluate.evaluate_run, info.info, predict.predict, report.write, reproduce.reproduce,
        stream.stream, train.train,
    ):  # fmt: skip
        found |= declared(command)
    assert found == set(OF_COMMANDS)


def test_names_of_settings_are_their_own():
    """A flag has no prefix, and a condition names another setting alone."""
    names = [name for part in needs.hints_of(Settings).values() for name in needs.hints_of(part)]
    assert len(names) == len(set(names))
    for kind in (Settings, StreamSpec):
        hints = specs.declarations(kind)
        for found in needs.declared(hints).values():
            assert {condition.other for need in found for condition in need.conditions} <= set(hints)


def bound(words: list[str]) -> layers.Layered:
    return train.bind(words).keywords["settings"]


def words_of(name: str) -> list[str]:
    value, without, _ = OF_SETTINGS[name]
    return [*without, needs.flag(name), *([] if value is None else [value])]


@pytest.mark.parametrize("name", OF_SETTINGS)
def test_a_flag_without_effect_is_refused(name, capsys):
    assert main(["train", *words_of(name)]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"gemsnn: {needs.flag(name)} has no effect: it needs --")
    assert told.count("\n") == 1
    _, _, fitting = OF_SETTINGS[name]
    flag = words_of(name)[words_of(name).index(needs.flag(name)) :]
    assert name in bound([*fitting, *flag]).layers[-1].values


@pytest.mark.parametrize("name", [*OF_TOPOLOGY, "hidden_rate"])
def test_what_a_graph_leaves_without_effect(name, tmp_path, capsys):
    (tmp_path / "graph.toml").write_text(GRAPH)
    flag = [needs.flag(name), OF_TOPOLOGY.get(name, "0.2")]
    assert main(["train", "--config", str(tmp_path / "graph.toml"), *flag]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"gemsnn: {flag[0]} has no effect: it needs ")
    if name != "readouts":
        assert "no --graph" in told
        assert name in bound(flag).layers[-1].values


@pytest.mark.parametrize("name", OF_COMMANDS)
def test_flags_of_other_commands_too(name, capsys):
    assert main(OF_COMMANDS[name]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"gemsnn: {needs.flag(name)} has no effect: it needs ")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    "words",
    [["--seed", "1"], ["--compartments", "2"], ["--evaluate-every", "2"], ["--quick", "--votes", "3"]],
)
def test_what_a_sweep_sets_itself_is_refused(words, capsys):
    assert main([*REPRODUCE, *words]) == 2
    assert "the sweep sets it" in capsys.readouterr().err


LAYOUT = Layout(1, 2, 2, 3, 1000)


def learned(values: dict[str, Any]) -> tuple[torch.Tensor, ...]:
    """What a batch teaches a small network with these settings."""
    settings = specs.filled(Settings, specs.flat(FORMER) | {"hidden": (3,)} | values)
    network = networks.build(settings.network_spec(LAYOUT), seed=0, dtype=torch.float64)
    params = networks.init(network, 0)
    draws = torch.Generator().manual_seed(1)
    rows = [
        Presentation(
            (torch.rand(8, 4, generator=draws) < 0.5).to(torch.uint8), class_target(label, 8, 3), label, label
        )
        for label in (0, 2)
    ]
    state = optimisers.init(settings.optimiser, params)
    _, kernel = kernels.choose("reference", network, settings.learning)
    for _ in range(2):
        found = kernel.learn(
            network, params, state, settings.learning, collate(rows), seed=3, lr=settings.optimiser.lr
        )
        params, state = found.params, found.optimiser
    return params.weights["joint"], params.bias


VALUES: dict[str, tuple[Any, list[dict[str, Any]], dict[str, Any]]] = {
    "density": (0.5, [{}, {"topology": "full"}, {"topology": "feedforward"}], {"topology": "sparse"}),
    "basis_offset": (30.0, [{"basis": "exponential"}], {}),
    "feedback_count": (3, [{"feedback": "none"}], {}),
    "hidden_rate": (0.2, [{"hidden": ()}], {}),
    "kappa": (
        0.5,
        [
            {"compartments": 1, "rule": rule}
            for rule in ("gem", "gem-cv", "one-hop", "one-hop-gem", "one-hop-cv")
        ],
        {"compartments": 1, "rule": "mb"},
    ),
    "readout": ("last-step", [{"update_every": 1}], {}),
    "baseline_decay": (0.5, [{}, {"rule": "iw"}], {"rule": "ml"}),
    "sparsity": (0.5, [], {"rule": "ml"}),
    "sparsity_rate": (0.2, [{"rule": "ml"}], {"rule": "ml", "sparsity": 0.5}),
    "resample": (0.9, [{"compartments": 1, "rule": "gem"}], {"rule": "gem"}),
    "beta1": (0.5, [{"optimiser": "sgd"}], {}),
    "beta2": (0.5, [{"optimiser": "sgd"}], {}),
    "epsilon": (0.1, [{"optimiser": "sgd"}], {}),
}


@pytest.mark.parametrize("name", VALUES)
def test_what_is_declared_is_true(name):
    """Where a need is not met the setting changes no weight; where it is, it does."""
    value, without, fitting = VALUES[name]
    need = needs.declared(specs.declarations(Settings))[name][0]  # of what a graph leaves, see above
    usual = specs.flat(FORMER)
    for values in without:
        assert not need.met(usual | values)
        for before, after in zip(learned(values), learned(values | {name: value}), strict=True):
            assert torch.equal(before, after)
    assert need.met(usual | fitting)
    changed = zip(learned(fitting), learned(fitting | {name: value}), strict=True)
    assert not all(torch.equal(before, after) for before, after in changed)


@pytest.mark.parametrize("rule", ["iw", "iw-ovis", "mb", "ml"])
def test_rules_that_heed_the_log_weights_of_one_compartment(rule):
    values = {"compartments": 1, "rule": rule}
    assert not torch.equal(learned(values)[0], learned(values | {"kappa": 0.5})[0])

"""Convolutions, readouts and graphs of one's own, from flags and from TOML."""

import json

import pytest
import torch

from gemsnn.commands.cli import main
from gemsnn.errors import InputError
from gemsnn.model import network as networks
from gemsnn.model.graph import Graph, Population, Projection
from gemsnn.model.neurons import CIRCUIT
from gemsnn.model.projections import Convolutional, Masked, Pooling
from gemsnn.runs import config, drawing
from gemsnn.runs.loading import load_model
from gemsnn.types import Layout

pytestmark = pytest.mark.usefixtures("undrawn")

LAYOUT = Layout(2, 9, 12, 4, 1000)
GRAPH = """
[[population]]
name = "edges"
channels = 3
feedback = true

[[population]]
name = "pool"

[[population]]
name = "mixed"
shape = 5
rate = 0.2

[[population]]
name = "output"
visible = true
neuron = "winner-take-all"

[[projection]]
source = "inputs"
target = "edges"
kind = "convolutional"
kernel = 3
stride = 2

[[projection]]
source = "edges"
target = "pool"
kind = "pooling"
window = 2
gain = 0.5

[[projection]]
source = "pool"
target = "mixed"
kind = "masked"
density = 0.5

[[projection]]
source = "mixed"
target = "mixed"

[[projection]]
source = "mixed"
target = "output"
memory = 5
basis_count = 2
basis_offset = 30.0
"""


def settings_of(content: str) -> config.Settings:
    nested = content.replace("[[", "[[network.graph.")
    return config.parse("[network]\nmemory = 8\n" + nested, "here")


def test_a_graph_in_toml_is_the_graph_in_python():
    settings = settings_of(GRAPH)
    found = settings.network_spec(LAYOUT).graph
    basis = settings.network_spec(LAYOUT).synapse
    wanted = Graph(
        (2, 9, 12),
        (
            Population("edges", (3, 5, 6), feedback=True),
            Population("pool", (3, 2, 3)),
            Population("mixed", (5,), rate=0.2),
            Population("output", (4,), CIRCUIT, visible=True),
        ),
        (
            Projection("inputs", "edges", Convolutional(3, 2)),
            Projection("edges", "pool", Pooling(2, 0.5)),
            Projection("pool", "mixed", Masked(0.5)),
            Projection("mixed", "mixed"),
            Projection("mixed", "output", basis=type(basis)(basis.kind, 2, 5, 30.0)),
        ),
    )
    assert found == wanted
    network = networks.build(settings.network_spec(LAYOUT))
    assert [link.shape for link in network.links] == [(3, 2, 3, 3, 4), None, (5, 18, 4), (5, 5, 4), (4, 5, 2)]
    assert not network.links[3].mask.diagonal().any()
    assert config.parse(config.dump(settings), "again") == settings


def test_a_graph_from_a_file_is_trained_saved_and_gone_on_with(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.toml").write_text(GRAPH)
    words = "--limit 30 --bin-us 100000 --batch 8 --epochs 1 --votes 2 --compartments 2 --update-every presentation"
    words += " --rule gem-cv --out run"
    assert main(["train", "--graph", "net.toml", *words.split()]) == 0
    before = load_model("run").params
    assert list(before.weights) == ["inputs->edges", "pool->mixed", "mixed->mixed", "mixed->output"]
    (tmp_path / "net.toml").unlink()  # the run has it
    assert main(["train", "--resume", "run", "--epochs", "2"]) == 0
    after = load_model("run").params
    assert all(not torch.equal(leaf, after.weights[name]) for name, leaf in before.weights.items())
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["status"] == "finished"
    capsys.readouterr()


WRONG = {
    "no TOML": ("[[population", "cannot be read as TOML|is no TOML|TOML"),
    "a key": (GRAPH.replace("kernel = 3", "kernal = 3"), "unknown field `kernal`"),
    "a kind": (GRAPH.replace('"pooling"', '"poling"'), "the nearest is 'pooling'"),
    "a neuron": (
        GRAPH.replace('"winner-take-all"', '"wta"'),
        "the neuron of population 'output' must be one of",
    ),
    "a field": (GRAPH.replace("gain = 0.5", "kernel = 2"), "is pooling, which has no kernel"),
    "a name": (GRAPH.replace('source = "pool"', 'source = "pol"'), "ends at 'pol', which is no population"),
    "a shape": (GRAPH.replace("shape = 5", ""), "the population 'mixed' needs a shape"),
    "a visible shape": (GRAPH.replace("visible = true", "visible = true\nshape = 4"), "leave out its shape"),
    "a kernel": (GRAPH.replace("kernel = 3", "kernel = 30\npadding = 0"), "does not fit into 9 x 12 places"),
    "no visible one": (GRAPH.replace("visible = true", "shape = 4"), "needs a visible population"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_wrong_with_a_graph_is_told_in_a_sentence(name, tmp_path):
    content, said = WRONG[name]
    (tmp_path / "net.toml").write_text(content)
    with pytest.raises(InputError, match=said) as told:
        drawing.graph_of(drawing.read(tmp_path / "net.toml"), LAYOUT, config.BasisSpec())
    assert "\n" not in str(told.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--topology conv --hidden 4y5", "such as 16x5s2"),
        ("--hidden 4x5s2 --topology layered", "take topology conv"),
        ("--topology full --readouts each-layer", "--readouts has no effect"),
        (
            "--topology feedforward --hidden 9,8 --rule one-hop --readouts last",
            "hidden1 has none; give every group a readout",
        ),
        ("--topology conv --hidden 0x3", "channels of a convolution must be at least 1"),
    ],
)
def test_hidden_groups_and_readouts_that_cannot_be(words, said, capsys):
    assert main(["train", *words.split()]) == 2
    assert said in capsys.readouterr().err


def test_every_layer_learns_from_its_own_readout(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = "--limit 30 --bin-us 100000 --batch 8 --epochs 1 --votes 2 --compartments 1 --update-every presentation"
    words += (
        " --topology conv --hidden 4x5s2,6x3s2,9 --readouts each-layer --answer all --rule one-hop --out run"
    )
    words += " --warm-up 0"  # 20 bins of 80 hold events
    assert main(["train", *words.split()]) == 0
    model = load_model("run")
    begun = networks.init(model.network, 0)
    assert [name for name in begun.weights if "readout" in name] == ["hidden1->readout1", "hidden2->readout2"]
    same = [name for name, leaf in begun.weights.items() if torch.equal(leaf, model.params.weights[name])]
    assert not same
    capsys.readouterr()

"""Output neurons that hear further back than all others, or less far: the filters, and who has them."""

import pytest
import torch

from gemsnn import kernels
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS
from gemsnn.model import network as networks
from gemsnn.model.basis import bank
from gemsnn.model.spec import NetworkSpec
from gemsnn.runs.config import NetworkChoice
from gemsnn.types import Layout

LAYOUT = Layout(1, 1, 4, 3, 1000)


def spec_of(**settings) -> NetworkSpec:
    return NetworkChoice(hidden=(5,), **settings).spec(LAYOUT, 0.0)


@pytest.mark.parametrize("topology", ["feedforward", "layered", "full", "sparse"])
def test_synapses_onto_output_neurons_have_filters_of_their_own(topology):
    spec = spec_of(topology=topology, memory=6, basis_count=2, readout_memory=12, readout_count=3)
    network = networks.build(spec, seed=0, dtype=torch.float64)
    wide, narrow = bank(spec.readout), bank(spec.synapse)  # type: ignore[arg-type]
    assert wide.shape == (3, 12)
    assert not network.is_joint
    for link in network.links:
        onto_output = link.listeners.start >= spec.hidden_neurons
        assert torch.equal(link.taps, (wide if onto_output else narrow).to(link.taps))
    assert {link.name.split("->")[1] for link in network.links} == {"hidden", "output"}


@pytest.mark.parametrize("readouts", ["last", "each-layer"])
def test_all_readouts_have_them(readouts):
    spec = NetworkChoice(hidden=(5, 4), readouts=readouts, readout_memory=3, readout_count=1).spec(
        LAYOUT, 0.0
    )
    wires = [wire for wire in spec.graph.projections if wire.target not in ("hidden1", "hidden2")]
    assert len(wires) == (1 if readouts == "last" else 2)
    assert all(wire.basis == spec.readout for wire in wires)


def test_the_same_filters_change_nothing():
    assert spec_of(memory=6, readout_memory=6) == spec_of(memory=6)
    assert spec_of(readout_count=4) == spec_of()


def test_more_filters_than_steps_are_refused():
    with pytest.raises(InputError, match="a basis needs count <= taps, not count 4 and taps 3"):
        NetworkChoice(readout_memory=3)


def test_every_kernel_serves_them():
    spec = spec_of(memory=2, basis_count=1, readout_memory=5, readout_count=1, feedback="none")
    network = networks.build(spec, seed=0, dtype=torch.float64)
    assert network.memory == 5
    served = [name for name in KERNELS if kernels.choose(name, network)[0] == name]
    assert {"reference", "block", "cpu"} <= set(served)

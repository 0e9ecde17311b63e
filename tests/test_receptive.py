"""Receptive fields: the weights of chosen neurons at the lag at which they are largest."""

from __future__ import annotations

import torch
from cases import make_network

from gemsnn.model.receptive import receptive_fields


def test_the_strongest_hidden_neurons_at_their_largest_lag():
    network, params = make_network(6, (4,), 2)
    weight = torch.zeros_like(params.weights["joint"])
    weight[4, 6 + 2], weight[5, 6 + 0] = 1.0, 3.0  # output 0 hears hidden 2, output 1 hears hidden 0 more
    weight[0, 1, -1], weight[2, 3, 0] = 2.0, -2.0  # hidden 0 hears input 1 late, hidden 2 input 3 early
    found = receptive_fields(network, params._replace(weights={"joint": weight}), 3)
    assert found.kind == "hidden"
    assert found.neuron.tolist()[:2] == [0, 2]
    for place, (inputs, function, size) in enumerate(((1, -1, 2.0), (3, 0, -2.0))):
        lag = int(network.taps[function].argmax())
        assert found.lag[place] == lag + 1
        expected = torch.zeros(6)
        expected[inputs] = size * float(network.taps[function, lag])
        torch.testing.assert_close(found.field[place], expected)


def test_without_hidden_neurons_the_outputs_are_shown():
    for hidden in ((), (4,)):
        network, params = make_network(6, hidden, 2)
        weight = torch.zeros_like(params.weights["joint"])
        weight[len(hidden) * 4 + 1, 2] = 1.0  # no output hears a hidden neuron
        found = receptive_fields(network, params._replace(weights={"joint": weight}), 12)
        assert (found.kind, found.neuron.tolist()) == ("output", [0, 1])
        assert found.field[1].nonzero().tolist() == [[2]]
        assert not found.field[0].any()

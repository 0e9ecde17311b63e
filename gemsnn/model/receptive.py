"""What neurons look for: the weights with which they hear the sensor, as pictures can show them."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn.model.links import JOINT
from gemsnn.model.network import Network, Params


class Fields(NamedTuple):
    """Receptive fields of some neurons.

    Attributes:
        kind: ``"hidden"`` or ``"output"`` neurons.
        field: ``[n, M]``, by how much a spike of an input moves the neuron's potential ``lag`` steps later.
        neuron: int64 ``[n]``, their numbers among those of their kind.
        lag: int64 ``[n]``, in steps, from 1.
    """

    kind: str
    field: Tensor
    neuron: Tensor
    lag: Tensor


def receptive_fields(network: Network, params: Params, most: int) -> Fields:
    """The fields of the ``most`` hidden neurons with the strongest synapses to outputs, or else of the first outputs.

    A synapse acts ``d`` steps later by ``k(d) = sum_l w_l f_l(d)``. A field is ``k`` at the lag at which the sum of
    ``|k|`` over the inputs is largest. The strength of a hidden neuron is the sum of ``|k|`` over the outputs, at
    the lag at which that is largest; where no output hears a hidden neuron, or there is none, the outputs' own
    fields are taken. Only of joint networks: synapses that many places share have no field of one neuron.
    """
    spec = network.spec
    hidden, inputs, weight = spec.hidden_neurons, spec.inputs, params.weights[JOINT]
    to_outputs = _kernels(network, weight[hidden:, inputs : inputs + hidden])
    strength = to_outputs.abs().sum(0).amax(-1) if hidden else torch.zeros(0)
    if hidden and bool(strength.any()):
        kind, chosen = "hidden", strength.argsort(descending=True, stable=True)[:most]
        rows = chosen
    else:
        kind, chosen = "output", torch.arange(min(most, spec.visible))
        rows = hidden + chosen
    fields, lags = [], []
    for row in rows.tolist():  # one at a time: all lags of all of them would be large
        kernel = _kernels(network, weight[row, :inputs])
        lag = int(kernel.abs().sum(0).argmax())
        fields.append(kernel[:, lag])
        lags.append(lag + 1)
    return Fields(kind, torch.stack(fields).float(), chosen, torch.tensor(lags))


def _kernels(network: Network, weight: Tensor) -> Tensor:
    """``k(d) = sum_l w_l f_l(d)``: weights ``[.., L]`` to ``[.., D]``."""
    return weight @ network.taps.to(weight)

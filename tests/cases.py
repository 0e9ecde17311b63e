"""Small networks and presentations that several tests share."""

from __future__ import annotations

import torch

from gemsnn import rng
from gemsnn.model import network as networks
from gemsnn.model.basis import BasisSpec
from gemsnn.model.network import Network, NetworkSpec, Params
from gemsnn.types import Presentation


def make_network(
    inputs: int = 3,
    hidden: tuple[int, ...] = (2,),
    visible: int = 2,
    *,
    topology: str = "layered",
    feedback: str = "all",
    dtype: torch.dtype = torch.float64,
    taps: int = 3,
    count: int = 2,
    seed: int = 0,
    scale: float = 3.0,
    output: str = "independent",
) -> tuple[Network, Params]:
    """A network with every kind of parameter away from zero."""
    spec = NetworkSpec(
        inputs=inputs,
        visible=visible,
        hidden=hidden,
        topology=topology,
        density=0.6,
        synapse=BasisSpec(count=count, taps=taps),
        self_filter=BasisSpec("exponential", count=1, taps=max(1, taps - 1)),
        feedback=feedback,
        weight_scale=scale,
        hidden_rate=0.4,
        output=output,
    )
    network = networks.build(spec, seed=seed, dtype=dtype)
    params = networks.init(network, seed)
    own = torch.from_numpy(rng.generator(seed, "own").standard_normal(tuple(params.feedback.shape)))
    return network, params._replace(feedback=own.to(dtype) * network.own[:, None])


def make_presentation(
    steps: int, inputs: int, visible: int, *, index: int = 0, rate: float = 0.4, seed: int = 0
) -> Presentation:
    """Random inputs and a random target."""
    draw = rng.generator(seed, "presentation", index)
    return Presentation(
        torch.from_numpy((draw.random((steps, inputs)) < rate).astype("uint8")),
        torch.from_numpy((draw.random((steps, visible)) < 0.5).astype("uint8")),
        int(draw.integers(visible)),
        index,
    )

"""Parameters of dense networks as the compiled steps want them: weights sender by sender, small ones lag by lag."""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn.kernels.cpu.work import Small
from gemsnn.kernels.joint import Joint
from gemsnn.rules.optimisers import OptimiserState


def sender_major(weight: Tensor) -> Tensor:
    """``[N, J, L]`` as ``[J, L, N]``, contiguous: a view where memory already lies so, else a copy."""
    return weight.permute(1, 2, 0).contiguous()


def laid_out(params: Joint) -> Joint:
    """The same parameters, their weights a view of sender-major memory."""
    return params._replace(weight=sender_major(params.weight).permute(2, 0, 1))


def state_laid_out(optimiser: OptimiserState) -> OptimiserState:
    """The same state of an optimiser, its moments likewise."""
    return OptimiserState(
        optimiser.updates, *(None if each is None else laid_out(each) for each in optimiser[1:])
    )


def small_of(params: Joint) -> Small:
    """A copy of the small parameters, as the compiled steps want them."""
    return Small(params.feedback.T.clone().contiguous().numpy(), params.bias.clone().numpy())


def params_of(weight: Tensor, small: Small) -> Joint:
    """Parameters whose weights are a view of ``[J, L, N]``."""
    feedback, bias = map(torch.from_numpy, small)
    return Joint(weight.permute(2, 0, 1), feedback.T.contiguous(), bias)

import pytest
import torch

from gemsnn.errors import InputError
from gemsnn.model.network import Params
from gemsnn.rules import optimisers
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.store import trees


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_steps_equal_torchs(name):
    draw = torch.Generator().manual_seed(0)

    def drawn() -> Params:
        leaves = [torch.randn(3, 2, generator=draw, dtype=torch.float64) for _ in range(4)]
        return Params({"a": leaves[0], "b": leaves[1]}, *leaves[2:])

    params = drawn()
    spec = OptimiserSpec(name, lr=0.1, beta1=0.8, beta2=0.95)
    theirs = [leaf.clone().requires_grad_() for leaf in trees.leaves(params)]
    optimiser = (
        torch.optim.SGD(theirs, lr=0.1, maximize=True)
        if name == "sgd"
        else torch.optim.Adam(theirs, lr=0.1, betas=(0.8, 0.95), maximize=True)
    )
    state = optimisers.init(spec, params)
    for _ in range(7):
        slope = drawn()
        state, params = optimisers.update(spec, state, params, slope, lr=0.1)
        for leaf, grad in zip(theirs, trees.leaves(slope), strict=True):
            leaf.grad = grad
        optimiser.step()
    assert state.updates == 7
    for ours, other in zip(trees.leaves(params), theirs, strict=True):
        torch.testing.assert_close(ours, other.detach())


@pytest.mark.parametrize("numbers", [{"lr": -1.0}, {"beta1": 1.0}, {"beta2": -0.1}])
def test_bad_numbers_are_refused(numbers):
    with pytest.raises(InputError):
        OptimiserSpec(**numbers)

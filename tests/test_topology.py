import pytest
import torch

from gemsnn.errors import InputError
from gemsnn.model import links
from gemsnn.model import network as networks
from gemsnn.model.network import NetworkSpec

M, HIDDEN, V = 4, (3, 2), 2
N = sum(HIDDEN) + V
FIRST, SECOND, VISIBLE = slice(0, 3), slice(3, 5), slice(5, 7)


def mask_of(name, inputs, hidden, visible, **more):
    seed = more.pop("seed", 0)
    spec = NetworkSpec(inputs=inputs, visible=visible, hidden=hidden, topology=name, **more)
    return networks.build(spec, seed=seed).mask


def heard(group: slice) -> slice:
    return slice(M + group.start, M + group.stop)


@pytest.mark.parametrize("name", ["layered", "full", "feedforward", "sparse"])
def test_no_neuron_listens_to_itself(name):
    mask = mask_of(name, M, HIDDEN, V, density=0.9)
    assert mask.shape == (N, M + N)
    assert not mask[:, M:].diagonal().any()


def test_layered():
    mask = mask_of("layered", M, HIDDEN, V)
    assert mask[:, :M].all()
    assert mask[FIRST, heard(FIRST)].sum() == 6
    assert mask[SECOND, heard(FIRST)].all()
    assert not mask[FIRST, heard(SECOND)].any()
    assert mask[VISIBLE, M : M + 5].all()
    assert not mask[:, heard(VISIBLE)].any()


def test_full_and_feedforward():
    full = mask_of("full", M, HIDDEN, V)
    assert full.sum() == N * (M + N) - N
    forward = mask_of("feedforward", M, HIDDEN, V)
    assert forward.sum() == 3 * M + 2 * 3 + 2 * 2
    assert forward[FIRST, :M].all()
    assert forward[SECOND, heard(FIRST)].all()
    assert forward[VISIBLE, heard(SECOND)].all()
    assert mask_of("feedforward", M, (), V)[:, :M].all()


def test_sparse_keeps_its_share_of_layered():
    layered = mask_of("layered", 200, (50,), 10)
    sparse = mask_of("sparse", 200, (50,), 10, density=0.3, seed=1)
    assert not (sparse & ~layered).any()
    share, synapses = float(sparse.sum() / layered.sum()), int(layered.sum())
    assert abs(share - 0.3) < 5 * (0.3 * 0.7 / synapses) ** 0.5  # fails for one seed in 2 million
    assert torch.equal(sparse, mask_of("sparse", 200, (50,), 10, density=0.3, seed=1))
    assert not torch.equal(sparse, mask_of("sparse", 200, (50,), 10, density=0.3, seed=2))


def test_a_mask_of_the_wrong_kind_is_refused():
    with pytest.raises(InputError, match=r"mask must be bool of shape"):
        links.without_self(torch.ones(3, 5), 2)
    with pytest.raises(InputError, match=r"mask must be bool of shape"):
        links.without_self(torch.ones(3, 4, dtype=torch.bool), 2)

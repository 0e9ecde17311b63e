"""A network of GLM neurons: what it is (spec), what it learns (params), what moves with time (state).

``step`` advances K compartments of B presentations by one time step. Potentials are strictly causal: what
spikes at step t is heard from step t + 1 on.

``u[i, t] = sum_j sum_l w[i, j, l] a[j, l, t] + sum_l wf[i, l] b[i, l, t] + bias[i]``
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.model import basis, glm, topology
from gemsnn.model.basis import BasisSpec
from gemsnn.model.topology import TopologyName
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, NotNegative, Probability, Range
from gemsnn.types import Batch, Presentation, collate

FeedbackOf = Literal["hidden", "all", "none"]
Output = Literal["independent", "winner-take-all"]
LARGEST_WEIGHTS = 2**30
"""A network of more is refused: with the moments of its optimiser it would not fit a common machine's memory."""


@dataclass(frozen=True)
class NetworkSpec:
    """A network's architecture and initialisation.

    Attributes:
        inputs: exogenous inputs M.
        hidden: sizes of the hidden groups; their sum is H.
        visible: visible neurons V.
        topology: see :mod:`gemsnn.model.topology`.
        density: share of synapses of the topology ``sparse``.
        synapse: the basis of the synapses.
        self_filter: the basis of a neuron's feedback from its own spikes.
        feedback: which neurons have that feedback. Visible neurons are clamped while they learn, so with
            ``"all"`` they see their own answer and learn to repeat it; hence the default ``"hidden"``.
        weight_scale: initial synaptic weights are normal with standard deviation ``weight_scale /
            sqrt(number of synapses of the neuron)``.
        hidden_rate: initial spike probability of a hidden neuron without input, set by its bias.
        visible_rate: the same of a visible neuron; ``None`` means ``1 / V``, or ``1 / (V + 1)`` in a circuit.
        output: whether visible neurons spike independently or in one winner-take-all circuit; see
            :mod:`gemsnn.model.glm`.
        warm_up: share of each recording before which the visible neurons are free and their target is no evidence,
            in learning as in testing; see :func:`gemsnn.types.first_observed`.
    """

    inputs: Count
    visible: Count
    hidden: Annotated[tuple[int, ...], Range(1, checks.MOST)] = (64,)
    topology: TopologyName = "layered"
    density: Annotated[float, Range(above=0, high=1)] = 0.1
    synapse: BasisSpec = field(default_factory=BasisSpec)
    self_filter: BasisSpec = field(default_factory=lambda: BasisSpec(count=2))
    feedback: FeedbackOf = "hidden"
    weight_scale: NotNegative = 1.0
    hidden_rate: Probability = 0.1
    visible_rate: Probability | None = None
    output: Output = "independent"
    warm_up: Annotated[float, Range(0, below=1)] = 0.0

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        weights = self.neurons * (self.inputs + self.neurons) * self.synapse.count
        if weights > LARGEST_WEIGHTS:
            raise InputError(
                f"a network of {self.inputs} inputs and {self.neurons} neurons would have {weights} weights, more than "
                f"{LARGEST_WEIGHTS}; make it smaller"
            )
        if self.output == "winner-take-all" and (self.visible_rate or 0) * self.visible >= 1:
            raise InputError(
                f"visible_rate must be below 1 / {self.visible}, since the visible neurons of a circuit spike one "
                f"at a time, not {self.visible_rate}"
            )

    @property
    def hidden_neurons(self) -> int:
        """H."""
        return sum(self.hidden)

    @property
    def neurons(self) -> int:
        """N = H + V."""
        return self.hidden_neurons + self.visible


class Params(NamedTuple):
    """What is learned.

    Attributes:
        weight: ``[N, J, L]``, zero where there is no synapse.
        feedback: ``[N, Lf]``, zero where a neuron has no feedback.
        bias: ``[N]``.
    """

    weight: Tensor
    feedback: Tensor
    bias: Tensor


class Network(NamedTuple):
    """A spec with what follows from it, on one device and in one dtype.

    Attributes:
        spec: the architecture.
        mask: bool ``[N, J]``, who listens to whom.
        own: bool ``[N]``, which neurons have feedback.
        taps: ``[L, D]``, the synapses' basis.
        own_taps: ``[Lf, Df]``, the feedback's basis.
    """

    spec: NetworkSpec
    mask: Tensor
    own: Tensor
    taps: Tensor
    own_taps: Tensor


class State(NamedTuple):
    """What moves with time: the last spikes, oldest first, as far back as the longest filter.

    Attributes:
        inputs: ``[B, D, M]``.
        neurons: ``[B, K, max(D, Df), N]``.
    """

    inputs: Tensor
    neurons: Tensor


class Step(NamedTuple):
    """What happened in one step.

    Attributes:
        spikes: ``[B, K, N]``.
        potential: ``[B, K, N]``.
        input_trace: ``[B, M, L]``, the same for every compartment.
        neuron_trace: ``[B, K, N, L]``.
        own_trace: ``[B, K, N, Lf]``.
    """

    spikes: Tensor
    potential: Tensor
    input_trace: Tensor
    neuron_trace: Tensor
    own_trace: Tensor


def build(
    spec: NetworkSpec,
    *,
    mask: Tensor | None = None,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
    device: torch.device | str = "cpu",
) -> Network:
    """Make the network of a spec; ``mask`` (bool ``[N, J]``) replaces the named topology.

    Raises:
        InputError: the mask has the wrong shape.
    """
    if mask is None:
        mask = topology.mask(
            spec.topology, spec.inputs, spec.hidden, spec.visible, density=spec.density, seed=seed
        )
    elif mask.shape != (spec.neurons, spec.inputs + spec.neurons):
        raise InputError(
            f"the mask has the shape {list(mask.shape)} where the network needs [{spec.neurons}, "
            f"{spec.inputs + spec.neurons}]; give the settings and the checkpoint of one run"
        )
    own = torch.zeros(spec.neurons, dtype=torch.bool)
    own[: {"hidden": spec.hidden_neurons, "all": spec.neurons, "none": 0}[spec.feedback]] = True
    return Network(
        spec=spec,
        mask=topology.without_self(mask, spec.inputs).to(device),
        own=own.to(device),
        taps=basis.bank(spec.synapse).to(device, dtype),
        own_taps=basis.bank(spec.self_filter).to(device, dtype),
    )


def check_params(network: Network, params: Params) -> None:
    """Raise :class:`InputError` unless parameters have the shapes and the type of the network, and finite values."""
    spec = network.spec
    shapes = (
        (*network.mask.shape, spec.synapse.count),
        (spec.neurons, spec.self_filter.count),
        (spec.neurons,),
    )
    for name, leaf, shape in zip(Params._fields, params, shapes, strict=True):
        if leaf.shape != shape or leaf.dtype != network.taps.dtype:
            raise InputError(
                f"the parameter {name} is {leaf.dtype} {list(leaf.shape)} where the network needs "
                f"{network.taps.dtype} {list(shape)}; give the settings and the checkpoint of one run"
            )
        if not leaf.isfinite().all():
            raise InputError(f"the parameter {name} is not finite; train again")


def check_batch(network: Network, batch: Batch) -> None:
    """Raise :class:`InputError` unless a batch has the network's inputs and visible neurons."""
    spec = network.spec
    for name, found, wanted in (
        ("inputs", batch.spikes.shape[2], spec.inputs),
        ("visible neurons", batch.target.shape[2], spec.visible),
    ):
        if found != wanted:
            raise InputError(
                f"the presentations have {found} {name} and the network {wanted}; give the data it was made for"
            )


def init(network: Network, seed: int) -> Params:
    """Initial parameters: normal weights, no feedback, biases for the wanted rates."""
    spec, like = network.spec, network.taps
    shape = (spec.neurons, network.mask.shape[1], spec.synapse.count)
    normal = torch.from_numpy(rng.generator(seed, "weights").standard_normal(shape)).to(like)
    synapses = network.mask.sum(1).clamp(min=1) * spec.synapse.count
    weight = normal * network.mask[:, :, None] * (spec.weight_scale / synapses.sqrt().to(like))[:, None, None]
    odds = torch.full((spec.neurons,), spec.hidden_rate / (1 - spec.hidden_rate))
    if spec.output == "winner-take-all":
        rate = 1 / (spec.visible + 1) if spec.visible_rate is None else spec.visible_rate
        odds[spec.hidden_neurons :] = rate / (1 - spec.visible * rate)
    else:
        rate = 1 / max(spec.visible, 2) if spec.visible_rate is None else spec.visible_rate
        odds[spec.hidden_neurons :] = rate / (1 - rate)
    return Params(weight, weight.new_zeros(spec.neurons, spec.self_filter.count), odds.log().to(like))


def batch(network: Network, presentations: Iterable[Presentation]) -> Batch:
    """Presentations side by side as this network takes them: observed from the end of its warm-up on.

    Raises:
        InputError: see :func:`gemsnn.types.collate`, or they have other inputs or classes than the network.
    """
    rows = collate(presentations, warm_up=network.spec.warm_up)
    check_batch(network, rows)
    return rows


def initial_state(network: Network, batch: int, compartments: int) -> State:
    """Silence before the first step."""
    memory = max(network.taps.shape[1], network.own_taps.shape[1])
    return State(
        network.taps.new_zeros(batch, network.taps.shape[1], network.spec.inputs),
        network.taps.new_zeros(batch, compartments, memory, network.spec.neurons),
    )


def step(
    network: Network,
    params: Params,
    state: State,
    inputs: Tensor,
    uniform: Tensor,
    *,
    clamp: Tensor,
    observed: Tensor,
    alive: Tensor,
) -> tuple[State, Step]:
    """Advance K compartments of B presentations by one step.

    Args:
        network: the network.
        params: its parameters.
        state: the last spikes.
        inputs: ``[B, M]``, the inputs' spikes of this step (heard from the next step on).
        uniform: ``[B, K, N]``, numbers in (0, 1).
        clamp: ``[B, V]``, what the visible neurons do where they are observed.
        observed: bool ``[B]``; where false they are free.
        alive: bool ``[B]``; where false the step is padding and nothing spikes.

    Returns:
        The new state, and what happened.
    """
    m, d, d_own = network.spec.inputs, network.taps.shape[1], network.own_taps.shape[1]
    input_trace = basis.trace(state.inputs, network.taps)
    neuron_trace = basis.trace(state.neurons[:, :, -d:], network.taps)
    own_trace = basis.trace(state.neurons[:, :, -d_own:], network.own_taps)
    potential = (
        glm.drive(params.weight[:, :m], input_trace)[:, None]
        + glm.drive(params.weight[:, m:], neuron_trace)
        + glm.feedback(params.feedback, own_trace)
        + params.bias
    )
    spikes = spike(network, uniform, potential)
    free = spikes[:, :, network.spec.hidden_neurons :]
    spikes[:, :, network.spec.hidden_neurons :] = torch.where(
        observed[:, None, None], clamp[:, None].to(spikes), free
    )
    spikes = spikes * alive[:, None, None]
    heard = (inputs.to(spikes) * alive[:, None])[:, None]
    after = State(
        torch.cat([state.inputs[:, 1:], heard], 1),
        torch.cat([state.neurons[:, :, 1:], spikes[:, :, None]], 2),
    )
    return after, Step(spikes, potential, input_trace, neuron_trace, own_trace)


def spike(network: Network, uniform: Tensor, potential: Tensor) -> Tensor:
    """Free spikes ``[.., N]``; a circuit uses the number of its first neuron."""
    hidden = network.spec.hidden_neurons
    if network.spec.output == "independent":
        return glm.spike(uniform, potential)
    return torch.cat(
        [
            glm.spike(uniform[..., :hidden], potential[..., :hidden]),
            glm.choose(uniform[..., hidden], potential[..., hidden:]),
        ],
        -1,
    )


def error(network: Network, spikes: Tensor, potential: Tensor) -> Tensor:
    """The local score ``d log p(s | u) / du_i = s_i - p_i`` of every neuron, ``[.., N]``."""
    if network.spec.output == "independent":
        return glm.error(spikes, potential)
    hidden = network.spec.hidden_neurons
    visible = spikes[..., hidden:] - glm.choice_probability(potential[..., hidden:])
    return torch.cat([glm.error(spikes[..., :hidden], potential[..., :hidden]), visible], -1)


def evidence(network: Network, spikes: Tensor, potential: Tensor) -> Tensor:
    """``log p(x | u)`` of all visible neurons' spikes in nats: the new evidence of each compartment.

    Args:
        network: the network.
        spikes: ``[.., N]``, the visible ones clamped to the target.
        potential: ``[.., N]``.

    Returns:
        ``[..]``.
    """
    visible = slice(network.spec.hidden_neurons, None)
    if network.spec.output == "winner-take-all":
        return glm.log_choice(spikes[..., visible], potential[..., visible])
    return glm.log_prob(spikes[..., visible], potential[..., visible]).sum(-1)


def local_gradient(network: Network, now: Step, observed: Tensor) -> Params:
    """``grad log p(s_i | u_i)`` of every neuron, synapse by synapse: error times trace.

    Visible neurons that are not observed (bool ``[B]``) have said nothing, so their gradient is zero.

    Returns:
        Params with leading dimensions ``[B, K]``.
    """
    score = error(network, now.spikes, now.potential)
    score[:, :, network.spec.hidden_neurons :] *= observed[:, None, None]
    compartments = score.shape[1]
    inputs = now.input_trace[:, None].expand(-1, compartments, -1, -1)
    trace = torch.cat([inputs, now.neuron_trace], 2)
    return Params(
        score[..., None, None] * trace[:, :, None] * network.mask[:, :, None],
        score[..., None] * now.own_trace * network.own[:, None],
        score,
    )

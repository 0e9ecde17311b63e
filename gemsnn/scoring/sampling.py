"""Fixed weights, sampled compartments: what K runs of a network say of a batch.

Two situations, never mixed. ``clamped``: the visible neurons do what the target says, and each compartment
returns how probable it found that. ``free``: the visible neurons spike as they like, and each compartment
votes for the class whose neuron spiked most. Where no neuron hears the visible ones, a free run is also a
clamped run for every target at once: ``class_evidence`` tells how probable each class's target was in it.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from gemsnn import rng
from gemsnn.errors import InputError
from gemsnn.kernels.contract import Kernel
from gemsnn.model import step as stepping
from gemsnn.model.network import Network, Params
from gemsnn.types import Batch

Weights = tuple[int, ...]
"""How much each readout of a network counts in an answer, in whole numbers; none where the last one alone answers."""


class Free(NamedTuple):
    """What compartments do when the visible neurons are free.

    Attributes:
        votes: int64 ``[B, K, T]``, the class each compartment would name after each step; where a presentation
            has ended, its last vote stands.
        counts: int64 ``[B, K, T, C]``, see :func:`spike_counts`.
        spikes: uint8 ``[B, K, T, N]``.
        potential: ``[B, K, T, N]``.
    """

    votes: Tensor
    counts: Tensor
    spikes: Tensor
    potential: Tensor


def home(*found: Tensor) -> tuple[Tensor, ...]:
    """What scores are made of, on the CPU, wherever it has been computed."""
    return tuple(each.cpu() for each in found)


def free_seed(seed: int) -> int:
    """The seed of the noise of runs whose visible neurons are free: of whole presentations and of streams alike."""
    return rng.derive(seed, "prediction")


def tie_seed(seed: int) -> int:
    """The seed that breaks ties between the votes of runs with this noise."""
    return rng.derive(seed, "ties")


def clamped(
    network: Network, params: Params, batch: Batch, compartments: int, *, kernel: Kernel, seed: int
) -> Tensor:
    """``v^k = sum_t sum_{i visible} log p(x[i, t] | u^k[i, t])`` in nats, ``[B, K]`` (kappa = 1)."""
    run = kernel.rollout(network, params, batch, compartments, seed=seed, clamp=True)
    evidence = stepping.answered(network, run.spikes.to(run.potential), run.potential)
    return (evidence * batch.observed[:, None]).sum(2)


def free(
    network: Network, params: Params, batch: Batch, compartments: int, *, kernel: Kernel, seed: int,
    readouts: Weights = (),
) -> Free:  # fmt: skip
    """Run K compartments with free visible neurons and take their votes after every step.

    ``readouts`` are the weights of :func:`said`.
    """
    run = kernel.rollout(network, params, batch, compartments, seed=seed, clamp=False)
    counts = spike_counts(said(network, run.spikes, readouts), batch)
    return Free(votes(counts, batch, seed=tie_seed(seed)), counts, run.spikes, run.potential)


class Ended(NamedTuple):
    """What compartments say at the end of presentations.

    Attributes:
        votes: int64 ``[B, K]``.
        counts: int64 ``[B, K, C]``, output spikes where they are observed.
    """

    votes: Tensor
    counts: Tensor


def ended(
    network: Network, params: Params, batch: Batch, compartments: range, *, kernel: Kernel, seed: int,
    readouts: Weights = (),
) -> Ended:  # fmt: skip
    """Run the compartments with these numbers and take their votes at the end: to the bit those of :func:`free`."""
    count, first = len(compartments), compartments.start
    run = kernel.rollout(network, params, batch, count, seed=seed, clamp=False, first=first)
    spoken = said(network, run.spikes, readouts)
    counts = (spoken * batch.observed[:, None, :, None]).sum(2, dtype=torch.int64)
    found = counts.new_empty(counts.shape[:2])
    for length in batch.length.unique().tolist():
        rows = batch.length == length
        last = range(length - 1, length)
        address = batch.address[rows]
        found[rows] = most(counts[rows][:, :, None], address, last, seed=tie_seed(seed), first=first)[..., 0]
    return Ended(found, counts)


def said(network: Network, spikes: Tensor, readouts: Weights = ()) -> Tensor:
    """What the readouts say of each class: ``sum_r w_r s_r,c``, in the type of the spikes ``[.., N]``, ``[.., C]``.

    Without weights that is the last readout's spikes.

    Raises:
        InputError: there are not as many weights as readouts.
    """
    if not readouts:
        return spikes[..., network.spec.answer]
    check_weights(network, readouts)
    shared = spikes[..., network.spec.hidden_neurons :].unflatten(-1, (len(readouts), network.spec.visible))
    return (shared * shared.new_tensor(readouts)[:, None]).sum(-2, dtype=spikes.dtype)


def check_weights(network: Network, readouts: Weights) -> None:
    """Raise :class:`InputError` unless these can be the weights of a network's readouts."""
    wanted = len(network.graph.visible)
    if readouts and (len(readouts) != wanted or min(readouts) < 0 or not 0 < sum(readouts) < 128):
        raise InputError(
            f"readouts must be {wanted} whole weights, not negative, whose sum is 1 to 127, not {readouts}"
        )


def spike_counts(visible: Tensor, batch: Batch) -> Tensor:
    """Spikes ``[B, K, T, C]`` so far, where they would be observed: int64 ``[B, K, T, C]``."""
    return (visible * batch.observed[:, None, :, None]).to(torch.int64).cumsum(2)


def spoken(found: Free) -> Tensor:
    """Output spikes of each compartment at the end, int64 ``[B, K, C]``, in memory of their own."""
    return found.counts[:, :, -1].clone()


def hidden_rates(network: Network, found: Free, batch: Batch) -> Tensor:
    """Spikes of each hidden neuron per observed step of a compartment, float64 ``[B, H]``; 0 where none is observed."""
    seen = batch.observed[:, None, :, None]
    spikes = found.spikes[..., : network.spec.hidden_neurons] * seen
    steps = found.spikes.shape[1] * batch.observed.sum(1, keepdim=True)
    return spikes.sum((1, 2), dtype=torch.float64) / steps.clamp(min=1)


def votes(counts: Tensor, batch: Batch, *, seed: int) -> Tensor:
    """The class whose visible neuron has spiked most so far, ties broken at random.

    Args:
        counts: ``[B, K, T, V]``, see :func:`spike_counts`.
        batch: gives lengths and addresses.
        seed: addresses the ties' random numbers.

    Returns:
        int64 ``[B, K, T]``.
    """
    presentations, compartments, steps, _ = counts.shape
    chosen = most(counts, batch.address, range(steps), seed=seed)
    last = torch.minimum(torch.arange(steps, device=counts.device), batch.length[:, None] - 1)
    return chosen.gather(2, last[:, None].expand(presentations, compartments, steps))


def most(counts: Tensor, address: Tensor, steps: range, *, seed: int, first: int = 0) -> Tensor:
    """The neuron with most spikes, ties broken at random: int64 ``[B, K, C]`` of whole numbers ``[B, K, C, V]``.

    Args:
        counts: at C steps.
        address: int64 ``[B]``.
        steps: those C steps; with the address and the seed they address the ties' random numbers.
        seed: see above.
        first: the number of the first compartment.
    """
    _, compartments, _, classes = counts.shape
    ties = rng.uniforms(seed, address, steps, compartments, classes, first=first, device=counts.device)
    ties = ties.transpose(1, 2)
    return (counts.double() + ties).argmax(-1)


def deaf_to_visible(network: Network) -> bool:
    """Whether no neuron hears a visible neuron, itself included, so that visible spikes move no potential."""
    hidden = network.spec.hidden_neurons
    if network.is_joint:
        heard = bool(network.mask[:, network.spec.inputs + hidden :].any())
    else:
        heard = any(link.neurons.stop > hidden for link in network.links)
    return not (heard or bool(network.own[hidden:].any()))


def class_log_probs(network: Network, potential: Tensor, readouts: Weights = ()) -> Tensor:
    """``l_c[t] = sum_{i visible} log p(x_c[i, t] | u[i, t])``, float64 ``[.., C]``, nats.

    ``x_c`` is the target of class ``c`` (:func:`gemsnn.types.class_target`): neuron c alone spikes. Of several readouts
    the last one's neurons are meant, or, with weights, ``sum_r w_r l_r``.

    Args:
        network: one that is :func:`deaf_to_visible`.
        potential: ``[.., N]`` of a free run.
        readouts: the weights.
    """
    check_weights(network, readouts)
    return stepping.answered_alone(network, potential.double(), readouts)


def check_targets(network: Network, batch: Batch) -> None:
    """Raise :class:`InputError` unless the presentations' targets are those of their classes."""
    classes, steps = network.spec.visible, batch.target.shape[1]
    shown = torch.arange(steps, device=batch.length.device) < batch.length[:, None]
    own = torch.nn.functional.one_hot(batch.label, classes)[:, None] * shown[..., None]
    if not torch.equal(own.to(batch.target.dtype), batch.target[..., -classes:]):
        raise InputError(
            "this decoder needs presentations whose targets are those of their classes; use the decoder votes or rates"
        )


def class_evidence(network: Network, potential: Tensor, batch: Batch, readouts: Weights = ()) -> Tensor:
    """``v^k_c[t]``: the sum of :func:`class_log_probs` over the observed steps so far, float64 ``[B, K, T, C]``, nats.

    Raises:
        InputError: see :func:`check_targets`.
    """
    check_targets(network, batch)
    each = class_log_probs(network, potential, readouts)
    return (each * batch.observed[:, None, :, None]).cumsum(2)

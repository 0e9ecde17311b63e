"""How far a training has come, as values and as a checkpoint's tensors and facts."""

from __future__ import annotations

from typing import Annotated, Any, NamedTuple

import msgspec
import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.model import network as networks
from gemsnn.model.network import Network, Params
from gemsnn.rules.optimisers import OptimiserState

Numbers = dict[str, float]
RECORDED = ("loss", "bound", "hidden_rate", "ess")


class Learner(NamedTuple):
    """Everything that training changes.

    Attributes:
        params: the network's parameters.
        optimiser: the optimiser's state.
        batches: batches learned so far; with the seed, this addresses all that comes next.
    """

    params: Params
    optimiser: OptimiserState
    batches: int


class Best(NamedTuple):
    """The weights of the epoch that has answered the validation part best so far.

    Attributes:
        params: its weights.
        epoch: which it was, from 1.
        losses: ``[n]``, see :func:`gemsnn.learn.judging.losses`.
    """

    params: Params
    epoch: int
    losses: Tensor


class TrainingState(NamedTuple):
    """How far a training has come: all that it takes to go on as if it had never stopped.

    Attributes:
        learner: what has been learned.
        window: the numbers of the batches since the last training record.
        seconds: what it has taken so far.
        best: the best weights so far; ``None`` where nobody asks.
        ahead: whether they answer better than those of the last epoch by more than chance makes them, so that they, and
            not the learner's own, are to answer.
    """

    learner: Learner
    window: tuple[Numbers, ...] = ()
    seconds: float = 0.0
    best: Best | None = None
    ahead: bool = False

    @property
    def answering(self) -> Learner:
        """The learner with the weights that are to answer."""
        if self.best is None or not self.ahead:
            return self.learner
        return self.learner._replace(params=self.best.params)


def learner_tensors(network: Network, learner: Learner, best: Best | None = None) -> dict[str, Tensor]:
    """A learner as named tensors, for a checkpoint: ``params.weights.inputs->hidden``, ``params.bias.hidden``, ..

    Moments of an optimiser are called ``first`` and ``second`` in the place of ``params``, and the weights of the best
    epoch ``best``, where they are others than the learner's own; its losses are ``best_losses``.
    """
    groups = {"params": learner.params, "first": learner.optimiser.first, "second": learner.optimiser.second}
    if best is not None and best.params is not learner.params:
        groups["best"] = best.params
    named = {
        f"{group}.{name}": leaf
        for group, tree in groups.items()
        if tree is not None
        for name, leaf in networks.named(network, tree).items()
    }
    return named if best is None else {**named, "best_losses": best.losses}


class _Facts(msgspec.Struct):
    """What a checkpoint tells beside its tensors, as far as training goes on from it."""

    batches: Annotated[int, msgspec.Meta(ge=0)]
    updates: Annotated[int, msgspec.Meta(ge=0)]
    window: tuple[dict[str, float], ...] = ()
    seconds: float = 0.0
    best_epoch: Annotated[int, msgspec.Meta(ge=0)] = 0
    ahead: bool = False


def facts_of(state: TrainingState) -> dict[str, Any]:
    """What a checkpoint tells of a training beside its tensors; :func:`state_from` takes it."""
    learner, best = state.learner, state.best
    return {
        "batches": learner.batches,
        "updates": learner.optimiser.updates,
        "window": list(state.window),
        "seconds": state.seconds,
        **({} if best is None else {"best_epoch": best.epoch, "ahead": state.ahead}),
    }


def state_from(network: Network, tensors: dict[str, Tensor], facts: dict[str, Any]) -> TrainingState:
    """The state of a training that a checkpoint's tensors and facts tell of.

    Raises:
        InputError: a tensor or a fact is missing, or is not what it should be.
    """
    try:
        told = msgspec.convert(facts, _Facts)
    except msgspec.ValidationError as error:
        raise InputError(f"the checkpoint's facts are damaged ({error}); train again") from None
    if any(numbers.keys() != set(RECORDED) for numbers in told.window):
        raise InputError(
            "the checkpoint's facts are damaged (a number of its window is missing); train again"
        )
    learner = learner_from(network, tensors, batches=told.batches, updates=told.updates)
    if not told.best_epoch:
        return TrainingState(learner, told.window, told.seconds)
    losses = tensors.get("best_losses")
    if losses is None or losses.ndim != 1 or losses.dtype != torch.float64 or not losses.isfinite().all():
        raise InputError("the checkpoint's losses of its best epoch are missing or damaged; train again")
    best = Best(_of_group(network, tensors, "best") or learner.params, told.best_epoch, losses)
    return TrainingState(learner, told.window, told.seconds, best, told.ahead)


def learner_from(network: Network, tensors: dict[str, Tensor], *, batches: int, updates: int) -> Learner:
    """The learner of a checkpoint's tensors.

    Raises:
        InputError: a tensor is missing.
    """
    params, first, second = (_of_group(network, tensors, group) for group in ("params", "first", "second"))
    if params is None or (first is None) != (second is None):
        raise InputError("the checkpoint lacks some of the network's parameters; train again")
    return Learner(params, OptimiserState(updates, first, second), batches)


def _of_group(network: Network, tensors: dict[str, Tensor], group: str) -> Params | None:
    """The parameters that a group of a checkpoint's tensors holds; ``None`` without the group."""
    found = {
        name.removeprefix(f"{group}."): leaf for name, leaf in tensors.items() if name.startswith(f"{group}.")
    }
    return networks.from_named(network, found) if found else None

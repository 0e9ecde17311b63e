"""What a kernel does: whole batches of presentations at once, learning or running.

Every kernel computes the same numbers as the reference, which composes :mod:`gemsnn.model.network` and
:mod:`gemsnn.rules.base` and nothing else. What a kernel cannot serve it refuses in a sentence.
"""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.kernels.team import ALONE, Team
from gemsnn.model.logspace import log_mean_exp
from gemsnn.model.network import Network, Params
from gemsnn.rules import own
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec, OptimiserState
from gemsnn.specs import checks
from gemsnn.specs.checks import Count
from gemsnn.types import Batch


@dataclass(frozen=True)
class Learning:
    """How a batch of presentations is learned.

    Attributes:
        rule: the rule.
        optimiser: what its direction does.
        compartments: K.
        update_every: steps between updates; ``None`` for one update a presentation.
    """

    rule: RuleSpec
    optimiser: OptimiserSpec
    compartments: Count
    update_every: Count | None = None

    def __post_init__(self) -> None:
        """Check the fields once; a rule of one's own is asked for signals once.

        Raises:
            InputError: a field is wrong, or the rule is not known or cannot be used.
        """
        checks.fields(self)
        rule = self.rule.value
        if isinstance(self.rule.rule, own.Own):
            own.probe(rule, self.compartments)

    @property
    def resamples(self) -> bool:
        """Whether compartments may be replaced: never where there is one alone."""
        return self.rule.resample > 0 and self.compartments > 1


class Learned(NamedTuple):
    """What learning a batch brought.

    Attributes:
        params: the new parameters.
        optimiser: the new optimiser state.
        log_likelihood: ``[B, K]``, the evidence of each compartment summed over the presentation, in nats; where
            compartments were replaced, of all that were compartment k.
        log_weights: ``[B, K]``, the rule's log-weights at the end.
        hidden_rate: ``[B]``, mean spikes per hidden neuron, compartment and (live) step.
        log_estimates: l of :mod:`gemsnn.rules.resampling`, ``[B, K]`` in nats; ``None`` where compartments are never
            replaced, and ``log_likelihood`` is the same.
    """

    params: Params
    optimiser: OptimiserState
    log_likelihood: Tensor
    log_weights: Tensor
    hidden_rate: Tensor
    log_estimates: Tensor | None = None

    @property
    def bound(self) -> Tensor:
        """The log of the estimate of ``p(x)``, ``log mean_k exp l[k]``, ``[B]`` in nats: the K-sample bound."""
        found = self.log_likelihood if self.log_estimates is None else self.log_estimates
        return log_mean_exp(found, 1, check=False)


class Rollout(NamedTuple):
    """What fixed weights do with a batch.

    Attributes:
        spikes: uint8 ``[B, K, T, N]``, zero in the padding.
        potential: ``[B, K, T, N]``.
    """

    spikes: Tensor
    potential: Tensor


class Kernel(Protocol):
    """The signatures every kernel implements."""

    def refuses(self, network: Network, learning: Learning | None) -> str | None:
        """Why this kernel cannot serve the case (``learning`` is ``None`` for rollouts); ``None`` if it can."""
        ...

    def learn(
        self,
        network: Network,
        params: Params,
        optimiser: OptimiserState,
        learning: Learning,
        batch: Batch,
        *,
        seed: int,
        lr: float,
        team: Team = ALONE,
    ) -> Learned:
        """Run the batch with the visible neurons clamped to its target where observed, and learn from it.

        Where the ``team`` is not alone, the batch is its share of the presentations, and the learning's compartments
        are its share of K.
        """
        ...

    def rollout(
        self,
        network: Network,
        params: Params,
        batch: Batch,
        compartments: int,
        *,
        seed: int,
        clamp: bool,
        first: int = 0,
    ) -> Rollout:
        """Run the batch with fixed parameters, the visible neurons clamped to the target where observed, or free.

        The compartments are those with the numbers ``first, first + 1, ..`` of a run of more, to the bit.
        """
        ...


def check_kernel(kernel: Any) -> None:
    """Whether a kernel, maybe one of a person's own, has each function of :class:`Kernel` and its named arguments.

    Raises:
        InputError: something is missing, which is named.
    """
    named = getattr(kernel, "__name__", type(kernel).__name__)
    for name in ("refuses", "learn", "rollout"):
        function = getattr(kernel, name, None)
        if not callable(function):
            raise InputError(
                f"the kernel {named} lacks the function {name}; see gemsnn.kernels.contract.Kernel"
            )
        taken = inspect.signature(function).parameters
        if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in taken.values()):
            continue  # handed on to another kernel, which says itself what it takes
        of_contract = inspect.signature(getattr(Kernel, name)).parameters.values()
        wanted = [each.name for each in of_contract if each.kind is inspect.Parameter.KEYWORD_ONLY]
        wanted = [
            each for each in wanted if each != "team"
        ]  # which is given where several processes learn alone
        missing = [each for each in wanted if each not in taken]
        if missing:
            raise InputError(
                f"the kernel {named} has a function {name} without the argument {', '.join(missing)}; it must take "
                f"{', '.join(wanted)} by name, see gemsnn.kernels.contract.Kernel"
            )


class Stream(Protocol):
    """Presentations without end: the state is kept between calls, and does not grow.

    Made with ``address`` (int64 ``[B]``), the presentations' place in the noise.
    """

    @property
    def params(self) -> Params:
        """A copy of the parameters reached by now; looking at them changes nothing, not even a rounding."""
        ...

    @property
    def optimiser(self) -> OptimiserState | None:
        """The optimiser's state by now; ``None`` where nothing is learned."""
        ...

    def advance(self, spikes: Tensor, target: Tensor | None = None) -> Rollout:
        """Go on by C steps.

        Args:
            spikes: uint8 ``[B, C, M]``.
            target: uint8 ``[B, C, V]``, to which the visible neurons are clamped and from which is learned; without
                it they are not observed: free, without evidence or reading, while all that fades goes on fading.

        Returns:
            What the runs did, C steps of it.
        """
        ...

    def state(self) -> dict[str, Tensor]:
        """A copy of all that goes on, to the bit: of this very kernel, network and learning."""
        ...

    def restore(self, leaves: dict[str, Tensor]) -> None:
        """Go on from what :meth:`state` has returned.

        Raises:
            InputError: it is the state of another stream, or damaged.
        """
        ...


def check_endless(learning: Learning) -> None:
    """Whether a stream can learn like this.

    Raises:
        InputError: it waits for an end, or remembers without end.
    """
    if learning.update_every is None:
        raise InputError("a stream has no end at which to update: set update_every to a number of steps")
    for name, decay in (("gamma", learning.rule.gamma), ("kappa", learning.rule.kappa)):
        if decay == 1:
            what = "eligibilities" if name == "gamma" else "log-weights"
            raise InputError(f"a stream cannot hold {what} that never fade: choose {name} below 1")

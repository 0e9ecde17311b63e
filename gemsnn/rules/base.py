"""Online learning rules: three factors, one global scalar per compartment.

Every rule of this module has the running sums (H. Jang and O. Simeone, arXiv 2102.03280, eqs. 9-13)

* log-weights ``v[k, t] = kappa v[k, t-1] + evidence[k, t]``,
* eligibility ``e[k, i, t] = gamma e[k, i, t-1] + grad_i log p(s[k, i, t] | u[k, i, t])``,

and a direction ``sum_k c[k, i, t] e[k, i, t]``, to climb. The global rules differ only in the learning signal
``c``, a function of the log-weights. With ``q = softmax_k(v)`` and ``L = log (1/K) sum_k exp v[k]``:

=========== =============== ========================= =============================================
rule        visible neurons hidden neurons            climbs, at ``kappa = gamma = 1``
=========== =============== ========================= =============================================
``gem``     ``q[k]``        ``q[k]``                  ``log p(x)``, up to a bias of order 1/K
``gem-cv``  ``q[k]``        ``q[k] - 1 / K``          the same; less variance
``iw``      ``q[k]``        ``L - L_k``               the K-sample bound ``E L``, without bias
``iw-ovis`` ``q[k]``        ``L - log Z_k``           the same
``mb``      ``1 / K``       ``(v[k] - mean_k v) / K`` ``E log p(x || h)``, without bias
``ml``      see :mod:`gemsnn.rules.advance`           the same, less ``sparsity`` times a divergence
=========== =============== ========================= =============================================

with three things of the compartments other than k: ``mean_k v``, the mean of their log-weights; ``L_k``, which is
L with that mean in place of ``v[k]``; ``Z_k``, the mean of their ``exp v``. None depends on compartment k, whose
score has zero mean, so subtracting them changes no expectation. At K = 1 there are no others and they count as 0;
``gem-cv`` then teaches hidden neurons nothing.

Three more rules look at single hidden spikes, through :mod:`gemsnn.rules.credit`: ``one-hop`` (visible neurons as in
``gem``; hidden ones learn from that module's signal alone, with bias), ``one-hop-gem`` (that signal on top of
``gem-cv``) and ``one-hop-cv`` (``gem-cv`` with a control variate: its expectation, and less variance).

A direction is read at certain steps (``readout``) and the sum of what was read since the last update moves
the parameters. ``"every-step"`` reads at every step. ``"last-step"`` reads once, at the last step before an
update; with ``kappa = gamma = 1`` and one update a presentation that is the exact batch rule, for ``gem`` the
gradient of ``sum_k q[k] log p(x, h[k])``.

In padding everything rests: no evidence, no decay, no reading.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.model.logspace import log_mean_exp
from gemsnn.specs import checks
from gemsnn.specs.checks import NotNegative, Probability, Share
from gemsnn.specs.needs import above, needs, one_of, other_than

RuleName = Literal["gem", "gem-cv", "iw", "iw-ovis", "mb", "ml", "one-hop", "one-hop-gem", "one-hop-cv"]
Readout = Literal["every-step", "last-step"]
OF_ML = needs(one_of("rule", "ml"))


@dataclass(frozen=True)
class RuleSpec:
    """A learning rule.

    Attributes:
        rule: the rule's name; see :mod:`gemsnn.rules.base`.
        kappa: how much of the log-weights survives a step, in [0, 1].
        gamma: how much of the eligibility survives a step, in [0, 1].
        readout: at which steps the direction is read.
        average: scale what is new in both running sums by ``1 - kappa`` and ``1 - gamma``, as some
            published code does.
        baseline_decay: how much of the baseline's averages survives a step, in [0, 1]; rule ml alone.
        sparsity: what a nat of divergence of the hidden spikes from ``sparsity_rate`` costs, in nats of
            log-likelihood; rule ml alone, 0 for no such term.
        sparsity_rate: the spike probability a step that hidden neurons are drawn to, between 0 and 1.
    """

    rule: RuleName = "gem-cv"
    # the share of a single compartment is 1, whatever its log-weight
    kappa: Annotated[Share, needs(above("compartments", 1), one_of("rule", "iw", "iw-ovis", "mb", "ml"))] = (
        0.9
    )
    gamma: Share = 0.9
    readout: Annotated[Readout, needs(other_than("update_every", 1))] = "every-step"
    average: bool = False
    baseline_decay: Annotated[Share, OF_ML] = 0.9
    sparsity: Annotated[NotNegative, OF_ML] = 0.0
    sparsity_rate: Annotated[Probability, needs(above("sparsity", 0))] = 0.1

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        for name, value in (("kappa", self.kappa), ("gamma", self.gamma)):
            if self.average and value == 1:
                raise InputError(
                    f"with average, {name} must be below 1: a factor 1 - {name} of zero learns nothing"
                )
        if self.rule in ONE_HOP and self.readout != "every-step":
            raise InputError(
                f"the rule {self.rule} needs readout every-step: its signals are read as they come"
            )
        if self.sparsity and self.rule != "ml":
            raise InputError(
                f"sparsity belongs to the rule ml alone; with {self.rule} it must be 0, not {self.sparsity}"
            )


class Signal(NamedTuple):
    """Learning signals ``[.., K]``, for the visible and for the hidden neurons."""

    visible: Tensor
    hidden: Tensor


def gem(log_weights: Tensor) -> Signal:
    """``q[k] = softmax_k(v)`` for all neurons."""
    share = torch.softmax(log_weights, -1)
    return Signal(share, share)


def gem_cv(log_weights: Tensor) -> Signal:
    """``q[k]`` for visible neurons, ``q[k] - 1 / K`` for hidden ones: the same expectation, less variance."""
    share = torch.softmax(log_weights, -1)
    return Signal(share, share - 1 / share.shape[-1])


def iw(log_weights: Tensor) -> Signal:
    """The gradient of the K-sample bound, less VIMCO's baseline: ``q[k]`` and ``L - L_k``; at K = 1 ``1`` and ``v``.

    Source: A. Mnih and D. Rezende, arXiv 1602.06725, with their geometric mean of the weights.
    """
    compartments = log_weights.shape[-1]
    share, bound = torch.softmax(log_weights, -1), log_mean_exp(log_weights, -1, check=False)[..., None]
    if compartments == 1:
        return Signal(share, bound)
    mean = (log_weights.sum(-1, keepdim=True) - log_weights) / (compartments - 1)
    return Signal(share, bound - log_mean_exp(replaced(log_weights, mean), -1, check=False))


def iw_ovis(log_weights: Tensor) -> Signal:
    """The gradient of the K-sample bound, less OVIS's baseline: ``q[k]`` and ``L - log Z_k``; at K = 1 ``1`` and ``v``.

    The baseline of least variance is near the mean of L over ``h[k]`` with the others given. Now ``L = log Z_k +
    log(1 + (exp v[k] / Z_k - 1) / K)``, whose second term has a mean smaller than 1/K where no weight dominates:
    hence ``log Z_k``. The signal is ``log (1 - 1/K) / (1 - q[k])``. It is also VIMCO with the arithmetic mean of
    the weights: ``log Z_k`` is L with ``log Z_k`` in place of ``v[k]``.

    Source: V. Liévin, A. Dittadi, A. Christensen and O. Winther, "Optimal Variance Control of the Score Function
    Gradient Estimator for Importance Weighted Bounds", NeurIPS 2020, arXiv 2008.01998, and their code: ``d[k] -
    c[k]`` of the asymptotic form at gamma = 1. There ``d[k] = L - q[k]`` and ``c[k] = log Z_k - q[k]``, as
    weights hold a proposal's density; here they hold no hidden neuron's probability, ``d[k] = L`` and ``c[k] =
    log Z_k`` does not depend on compartment k.
    """
    compartments = log_weights.shape[-1]
    share, bound = torch.softmax(log_weights, -1), log_mean_exp(log_weights, -1, check=False)[..., None]
    if compartments == 1:
        return Signal(share, bound)
    others = replaced(log_weights, torch.full_like(log_weights, -math.inf))
    return Signal(share, bound - (torch.logsumexp(others, -1) - math.log(compartments - 1)))


def replaced(log_weights: Tensor, by: Tensor) -> Tensor:
    """``[.., K, K]``: row k holds the log-weights with ``by[k]`` in place of ``v[k]``."""
    own = torch.eye(log_weights.shape[-1], dtype=torch.bool, device=log_weights.device)
    return torch.where(own, by[..., :, None], log_weights[..., None, :])


def mb(log_weights: Tensor) -> Signal:
    """``1/K`` and ``(v[k] - mean_k v) / K``: K single-sample estimators, their mean; at K = 1 ``1`` and ``v``."""
    compartments = log_weights.shape[-1]
    hidden = log_weights
    if compartments > 1:  # (v[k] - mean_k v) / K = (v[k] - mean v) / (K - 1)
        hidden = (log_weights - log_weights.mean(-1, keepdim=True)) / (compartments - 1)
    return Signal(torch.full_like(log_weights, 1 / compartments), hidden)


def one_hop(log_weights: Tensor) -> Signal:
    """``q[k]`` and nothing: hidden neurons learn from :mod:`gemsnn.rules.credit` alone."""
    share = torch.softmax(log_weights, -1)
    return Signal(share, torch.zeros_like(share))


RULES: dict[RuleName, Callable[[Tensor], Signal]] = {
    "gem": gem,
    "gem-cv": gem_cv,
    "iw": iw,
    "iw-ovis": iw_ovis,
    "mb": mb,
    "one-hop": one_hop,
    "one-hop-gem": gem_cv,
    "one-hop-cv": gem_cv,
}
"""The rules with a learning signal for each compartment."""

ONE_HOP: frozenset[RuleName] = frozenset({"one-hop", "one-hop-gem"})
"""Those that add the signal of :mod:`gemsnn.rules.credit`, weighted by the visible neurons' learning signal."""

CONTROLLED: frozenset[RuleName] = frozenset({"one-hop-cv"})
"""Those that subtract what :mod:`gemsnn.rules.credit` foresees of the evidence, and add its mean."""


def is_global(spec: RuleSpec) -> bool:
    """Whether the direction is ``sum_k c[k] e[k]`` with c from the log-weights alone, by :func:`learning_signal`.

    Such a rule needs one number a step, compartment and kind of neuron. The others (ml) keep state of the size of
    the weights for every compartment; a kernel that holds none of that refuses them.
    """
    return spec.rule in RULES and spec.rule not in ONE_HOP | CONTROLLED


def memory_of(spec: RuleSpec, dtype: torch.dtype) -> int:
    """Steps after which a term of the eligibility counts no more; the largest int32 if it never fades.

    Whenever an eligibility is read, a term of age a counts ``gamma^a`` of what it counted when it was new. From
    the age ``ceil(log eps / log gamma)`` on that is at most ``eps``, the resolution of ``dtype``: less than what
    rounding took from the sum when the term was new.
    """
    if spec.gamma == 1:
        return 2**31 - 1
    if spec.gamma == 0:
        return 0
    return math.ceil(math.log(torch.finfo(dtype).eps) / math.log(spec.gamma))


def read_steps(spec: RuleSpec, observed: Tensor, update_every: int | None) -> Tensor:
    """At which steps directions are read, bool ``[B, T]``: there must be evidence.

    Args:
        spec: the rule.
        observed: bool ``[B, T]``, true from some step on to the presentation's end.
        update_every: steps between updates; ``None`` for one update a presentation.
    """
    if spec.readout == "every-step":
        return observed
    steps = observed.shape[1]
    ends = torch.zeros(steps, dtype=torch.bool, device=observed.device)
    ends[-1] = True
    if update_every is not None:
        ends[update_every - 1 :: update_every] = True
    followed = torch.cat([observed[:, 1:], torch.zeros_like(observed[:, :1])], 1)
    return observed & (ends | ~followed)

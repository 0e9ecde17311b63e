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
``ml``      see :func:`advance_baseline`              the same, less ``sparsity`` times a divergence
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
from gemsnn.model import glm
from gemsnn.model.logspace import log_mean_exp
from gemsnn.model.network import Network, Params, Step, local_gradient
from gemsnn.model.network import error as error_of
from gemsnn.model.network import evidence as evidence_of
from gemsnn.rules import credit as onehop
from gemsnn.rules.credit import Control, Recent
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


class Baseline(NamedTuple):
    """What the rule ml knows of every hidden neuron's parameters; Params with leading dimensions ``[B, K, H]``.

    Attributes:
        signal: ``<v e^2>``, a decaying sum over steps.
        weight: ``<e^2>``, likewise; their quotient is the baseline b.
        trace: ``g[t] = gamma g[t-1] + b[t-1] grad log p(s[t] | u[t])``, what is subtracted from ``v e``.
    """

    signal: Params
    weight: Params
    trace: Params


class RuleState(NamedTuple):
    """What a rule remembers between steps.

    Attributes:
        log_weights: ``[B, K]``, in nats.
        eligibility: Params with leading dimensions ``[B, K]``.
        baseline: of the rule ml; ``None`` for the global rules.
        recent: the last steps, for the one-hop rules.
        control: the control variate of the rule one-hop-cv.
    """

    log_weights: Tensor
    eligibility: Params
    baseline: Baseline | None = None
    recent: Recent | None = None
    control: Control | None = None


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
    return Signal(share, bound - log_mean_exp(_replaced(log_weights, mean), -1, check=False))


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
    others = _replaced(log_weights, torch.full_like(log_weights, -math.inf))
    return Signal(share, bound - (torch.logsumexp(others, -1) - math.log(compartments - 1)))


def _replaced(log_weights: Tensor, by: Tensor) -> Tensor:
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


def lever(log_weights: Tensor) -> Tensor:
    """By how much a compartment's share would follow its log-weight, ``q (1 - q)``, as the others see it, ``[.., K]``.

    With the others' mean in place of the compartment's own log-weight, so that its own noise has no part in it.
    """
    compartments = log_weights.shape[-1]
    if compartments == 1:
        return torch.zeros_like(log_weights)
    mean = (log_weights.sum(-1, keepdim=True) - log_weights) / (compartments - 1)
    share = torch.softmax(_replaced(log_weights, mean), -1).diagonal(dim1=-2, dim2=-1)
    return share * (1 - share)


def is_global(spec: RuleSpec) -> bool:
    """Whether the direction is ``sum_k c[k] e[k]`` with c from the log-weights alone, by :func:`learning_signal`.

    Such a rule needs one number a step, compartment and kind of neuron. The others (ml) keep state of the size of
    the weights for every compartment; a kernel that holds none of that refuses them.
    """
    return spec.rule in RULES and spec.rule not in ONE_HOP | CONTROLLED


def advance_log_weights(spec: RuleSpec, log_weights: Tensor, evidence: Tensor, alive: Tensor) -> Tensor:
    """``v <- kappa v + evidence``, at rest where ``alive`` (bool ``[B]``) is false."""
    fresh = (1 - spec.kappa) * evidence if spec.average else evidence
    return torch.where(alive[:, None], spec.kappa * log_weights + fresh, log_weights)


def learning_signal(spec: RuleSpec, network: Network, log_weights: Tensor) -> Tensor:
    """A global rule's learning signal of every neuron, ``[B, K, N]``, from log-weights ``[B, K]``."""
    signal = RULES[spec.rule](log_weights)
    hidden, visible = network.spec.hidden_neurons, network.spec.visible
    return torch.cat(
        [signal.hidden[..., None].expand(-1, -1, hidden), signal.visible[..., None].expand(-1, -1, visible)],
        -1,
    )


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


def reward(spec: RuleSpec, network: Network, evidence: Tensor, now: Step) -> Tensor:
    """What a step adds to the log-weights, ``[B, K]`` in nats: the evidence, less the price of hidden spikes.

    ``evidence - sparsity sum_{i hidden} log p(s[i] | u[i]) / r(s[i])``, where ``r(1) = sparsity_rate``. Summed
    over a presentation its mean is ``log p(x || h) - sparsity KL(p(h || x) || r)``, and that divergence is the
    sum over steps and hidden neurons of the mean of ``KL(sigmoid(u) || sparsity_rate)``.

    Source: H. Jang, O. Simeone, B. Gardner and A. Grüning, arXiv 1910.01059, and its authors' code.
    """
    if not spec.sparsity:
        return evidence
    hidden = slice(network.spec.hidden_neurons)
    spikes, potential = now.spikes[..., hidden], now.potential[..., hidden]
    wanted = torch.full_like(potential, math.log(spec.sparsity_rate / (1 - spec.sparsity_rate)))
    price = glm.log_prob(spikes, potential) - glm.log_prob(spikes, wanted)
    return evidence - spec.sparsity * price.sum(-1)


def init(spec: RuleSpec, network: Network, params: Params, batch: int, compartments: int) -> RuleState:
    """Nothing seen yet."""

    def zeros(neurons: int) -> Params:
        return Params(*(leaf.new_zeros(batch, compartments, neurons, *leaf.shape[1:]) for leaf in params))

    hidden = network.spec.hidden_neurons
    baseline = None if spec.rule in RULES else Baseline(zeros(hidden), zeros(hidden), zeros(hidden))
    looks_back = spec.rule in ONE_HOP | CONTROLLED
    return RuleState(
        network.taps.new_zeros(batch, compartments),
        zeros(network.spec.neurons),
        baseline,
        onehop.start(network, batch, compartments) if looks_back else None,
        onehop.start_control(network, params, batch, compartments) if spec.rule in CONTROLLED else None,
    )


def advance(
    spec: RuleSpec,
    network: Network,
    params: Params,
    state: RuleState,
    now: Step,
    *,
    observed: Tensor,
    alive: Tensor,
    read: Tensor,
) -> tuple[RuleState, Params]:
    """One step of any rule, from what the network did: :func:`update`, and what the one-hop rules add to it.

    Args:
        spec: the rule.
        network: the network.
        params: its parameters.
        state: what the rule remembers.
        now: the step.
        observed: bool ``[B]``, whether the visible neurons' spikes are evidence.
        alive: bool ``[B]``.
        read: bool ``[B]``, whether this step's direction is read.

    Returns:
        The new state, and the direction to climb, averaged over presentations.
    """
    evidence = evidence_of(network, now.spikes, now.potential) * observed[:, None]
    gradient = local_gradient(network, now, observed)
    after, direction = update(
        spec, network, state, reward(spec, network, evidence, now), gradient, alive=alive, read=read
    )
    if state.recent is None:
        return after, direction
    hidden, weight = network.spec.hidden_neurons, read[:, None].to(after.log_weights) / len(read)
    error = error_of(network, now.spikes, now.potential)[..., hidden:] * observed[:, None, None]
    if state.control is None:
        signal = RULES[spec.rule](after.log_weights).visible
        hop = onehop.direction(network, params, state.recent, error, signal * weight)
        direction = _each(torch.add, direction, hop)
    else:
        control = onehop.advance_control(
            network,
            params,
            state.recent,
            state.control,
            error,
            kappa=spec.kappa,
            gamma=spec.gamma,
            alive=alive,
        )
        share = lever(after.log_weights) * weight * ((1 - spec.kappa) if spec.average else 1.0)
        known = _each(lambda leaf: leaf[:, :, :hidden], after.eligibility)
        taken = onehop.of_hidden(params, -share * control.surrogate, known)
        given = onehop.of_hidden(params, share * ((1 - spec.gamma) if spec.average else 1.0), control.mean)
        direction = _each(lambda a, b, c: a + b + c, direction, taken, given)
        after = after._replace(control=control)
    return after._replace(recent=onehop.push(network, state.recent, now)), direction


def update(
    spec: RuleSpec,
    network: Network,
    state: RuleState,
    evidence: Tensor,
    gradient: Params,
    *,
    alive: Tensor,
    read: Tensor,
) -> tuple[RuleState, Params]:
    """One step of a rule.

    Args:
        spec: the rule.
        network: the network.
        state: what the rule remembers.
        evidence: ``[B, K]``, see :func:`gemsnn.model.network.evidence` and :func:`reward`.
        gradient: leading dimensions ``[B, K]``, see :func:`gemsnn.model.network.local_gradient`.
        alive: bool ``[B]``.
        read: bool ``[B]``, whether this step's direction is read.

    Returns:
        The new state, and the direction to climb, summed over compartments and averaged over presentations.
    """
    log_weights = advance_log_weights(spec, state.log_weights, evidence, alive)
    fresh = 1 - spec.gamma if spec.average else 1.0
    score = _each(lambda new: fresh * new, gradient)
    eligibility = _each(lambda old, new: _if(alive, spec.gamma * old + new, old), state.eligibility, score)
    if state.baseline is None:
        signal = learning_signal(spec, network, log_weights) * read[:, None, None] / len(read)
        direction = _each(lambda leaf: torch.einsum("bkn,bkn...->n...", signal, leaf), eligibility)
        return state._replace(log_weights=log_weights, eligibility=eligibility), direction
    baseline = advance_baseline(spec, state.baseline, log_weights, eligibility, score, alive)
    weight = read[:, None].to(log_weights).expand_as(log_weights) / log_weights.numel()

    def teach(trace: Tensor, subtracted: Tensor) -> Tensor:
        hidden, visible = trace.tensor_split([network.spec.hidden_neurons], 2)
        single = torch.cat([_like(log_weights, hidden) * hidden - subtracted, visible], 2)
        return torch.einsum("bk,bk...->...", weight, single)

    after = state._replace(log_weights=log_weights, eligibility=eligibility, baseline=baseline)
    return after, _each(teach, eligibility, baseline.trace)


def advance_baseline(
    spec: RuleSpec, old: Baseline, log_weights: Tensor, eligibility: Params, score: Params, alive: Tensor
) -> Baseline:
    """The rule ml's baseline, one for every hidden neuron's parameter and compartment.

    The direction of the rule is ``e`` for visible neurons and ``v e - g`` for hidden ones, averaged over
    compartments, with

    * ``g[t] = gamma g[t-1] + b[t-1] grad log p(s[t] | u[t])``,
    * ``b[t] = <v e^2> / <e^2>`` (0 as long as e was), ``<f>[t] = baseline_decay <f>[t-1] + f[t]``.

    If b stood still, that would be ``(v - b) e``, and ``E v e^2 / E e^2`` is the constant b of least variance
    (H. Jang, O. Simeone, B. Gardner and A. Grüning, arXiv 1910.01059). But it moves with the compartment's own
    spikes, those that ``e`` is made of, and so ``b e`` has a mean. Hence each score meets the baseline known
    before its spike was drawn, and g has none: the direction's expectation is that of ``v e``.

    Args:
        spec: the rule.
        old: the baseline of the last step.
        log_weights: ``[B, K]``, of this step.
        eligibility: of this step, leading dimensions ``[B, K]``.
        score: what this step added to the eligibility.
        alive: bool ``[B]``.
    """

    def advance(
        signal: Tensor, weight: Tensor, trace: Tensor, e: Tensor, new: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        e, new = e[:, :, : signal.shape[2]], new[:, :, : signal.shape[2]]
        known = torch.where(weight > 0, signal / weight, 0.0)
        return (
            _if(alive, spec.baseline_decay * signal + _like(log_weights, e) * e.square(), signal),
            _if(alive, spec.baseline_decay * weight + e.square(), weight),
            _if(alive, spec.gamma * trace + known * new, trace),
        )

    leaves = [advance(*parts) for parts in zip(*old, eligibility, score, strict=True)]
    return Baseline(*(Params(*part) for part in zip(*leaves, strict=True)))


def _each(function: Callable[..., Tensor], *params: Params) -> Params:
    return Params(*(function(*leaves) for leaves in zip(*params, strict=True)))


def _like(values: Tensor, leaf: Tensor) -> Tensor:
    """``[B, K]`` with as many further dimensions of size one as the leaf has."""
    return values.reshape(*values.shape, *(1,) * (leaf.ndim - 2))


def _if(alive: Tensor, new: Tensor, old: Tensor) -> Tensor:
    """What has moved where ``alive`` (bool ``[B]``), what was where not."""
    return torch.where(alive.reshape(-1, *(1,) * (old.ndim - 1)), new, old)

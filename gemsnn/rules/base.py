"""Online learning rules: three factors, one global scalar per compartment; and what all of them share.

Every rule has the running sums (H. Jang and O. Simeone, arXiv 2102.03280, eqs. 9-13)

* log-weights ``v[k, t] = kappa v[k, t-1] + evidence[k, t]``,
* eligibility ``e[k, i, t] = gamma e[k, i, t-1] + grad_i log p(s[k, i, t] | u[k, i, t])``,

and a direction ``sum_k c[k, i, t] e[k, i, t]``, to climb. The global rules differ only in the learning signal
``c``, a function of the log-weights; others need more (:mod:`gemsnn.rules.contract`). Those of this package stand in
:mod:`gemsnn.rules.named`; one of your own is a function or a small class in your own file (docs/extending.md).

A direction is read at certain steps (``readout``) and the sum of what was read since the last update moves
the parameters. ``"every-step"`` reads at every step. ``"last-step"`` reads once, at the last step before an
update; with ``kappa = gamma = 1`` and one update a presentation that is the exact batch rule, for ``gem`` the
gradient of ``sum_k q[k] log p(x, h[k])``.

In padding everything rests: no evidence, no decay, no reading.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Annotated, Any, Literal

import torch
from torch import Tensor

from gemsnn.errors import InputError
from gemsnn.rules import own
from gemsnn.rules.contract import NEEDS, Need, Rule
from gemsnn.rules.named import NAMED, NAMES, RuleName
from gemsnn.specs import checks
from gemsnn.specs.checks import NotNegative, Probability, Share
from gemsnn.specs.fields import Written
from gemsnn.specs.needs import Condition, above, flag, needs, other_than

Readout = Literal["every-step", "last-step"]


def _of_rule(*names: RuleName, need: Need = "signal") -> Condition:
    """The rule is one of these, or one of one's own that may heed such a setting: as far as is known, it needs this."""

    def holds(rule: Any) -> bool:
        known = isinstance(rule, own.Own) and rule.known
        return rule in names or (rule not in NAMES and not (known and NEEDS.index(need) > _most(rule.rule)))

    return Condition("rule", holds, f"{flag('rule')} {' or '.join(names)}")


def _most(rule: Rule) -> int:
    """The number of its greatest need."""
    return max(map(NEEDS.index, rule.needs))


OF_ML = needs(_of_rule("ml", need="synapse"))

RESAMPLED: tuple[RuleName, ...] = ("gem", "one-hop")
"""The rules that stay what they are where compartments are replaced: a mean over compartments by their shares.

What the others subtract has zero mean only over compartments that nobody has chosen.
"""


@dataclass(frozen=True)
class RuleSpec:
    """A learning rule.

    Attributes:
        rule: gem, gem-cv, iw, iw-ovis, mb, ml, one-hop, one-hop-gem or one-hop-cv (see gemsnn/rules/named.py); or one
            of your own, module:name or path/to/file.py:name (see docs/extending.md).
        kappa: how much of the log-weights survives a step, in [0, 1].
        gamma: how much of the eligibility survives a step, in [0, 1].
        readout: at which steps the direction is read.
        average: scale what is new in both running sums by ``1 - kappa`` and ``1 - gamma``, as some
            published code does.
        baseline_decay: how much of the baseline's averages survives a step, in [0, 1]; rule ml alone.
        sparsity: what a nat of divergence of the hidden spikes from ``sparsity_rate`` costs, in nats of
            log-likelihood; rule ml alone, 0 for no such term.
        sparsity_rate: the spike probability a step that hidden neurons are drawn to, between 0 and 1.
        resample: the share of the compartments below which their effective number must fall for the likelier ones to
            replace the others (see gemsnn/rules/resampling.py), in [0, 1]; 0 for never. Rules gem and one-hop.
    """

    rule: Annotated[own.Given, Written(str)] = "gem-cv"
    # the share of a single compartment is 1, whatever its log-weight
    kappa: Annotated[Share, needs(above("compartments", 1), _of_rule("iw", "iw-ovis", "mb", "ml"))] = 0.9
    gamma: Share = 0.9
    readout: Annotated[Readout, needs(other_than("update_every", 1))] = "every-step"
    average: bool = False
    baseline_decay: Annotated[Share, OF_ML] = 0.9
    sparsity: Annotated[NotNegative, OF_ML] = 0.0
    sparsity_rate: Annotated[Probability, needs(above("sparsity", 0))] = 0.1
    resample: Annotated[Share, needs(above("compartments", 1)), needs(_of_rule(*RESAMPLED))] = 0.0

    def __post_init__(self) -> None:
        """Check the fields once."""
        object.__setattr__(self, "rule", own.setting(self.rule))
        checks.fields(self)
        for name, value in (("kappa", self.kappa), ("gamma", self.gamma)):
            if self.average and value == 1:
                raise InputError(
                    f"with average, {name} must be below 1: a factor 1 - {name} of zero learns nothing"
                )
        if not self.known:
            return
        if (
            "credit" in self.value.needs
            and "synapse" not in self.value.needs
            and self.readout != "every-step"
        ):
            raise InputError(
                f"the rule {self.name} needs readout every-step: its signals are read as they come"
            )
        if self.sparsity and self.rule != "ml" and "synapse" not in self.value.needs:
            raise InputError(
                f"sparsity belongs to the rule ml alone; with {self.name} it must be 0, not {self.sparsity}"
            )
        if self.resample and self.rule in NAMED and self.rule not in RESAMPLED:
            raise InputError(
                f"resample belongs to the rules {' and '.join(RESAMPLED)}, which teach by compartments' shares alone; "
                f"with {self.name} it must be 0, not {self.resample}"
            )
        if self.resample and "synapse" in self.value.needs:
            raise InputError(
                f"the rule {self.name} keeps state of its own, which resampling cannot hand on from compartment to "
                f"compartment; resample must be 0, not {self.resample}"
            )

    @property
    def name(self) -> str:
        """The rule's name, or its place where it is one of one's own."""
        return str(self.rule)

    @property
    def known(self) -> bool:
        """Whether the rule is there: of one's own, settings that were saved know the place alone."""
        return not isinstance(self.rule, own.Own) or self.rule.known

    @property
    def value(self) -> Rule:
        """The rule itself.

        Raises:
            InputError: only its place is known.
        """
        return self.rule.rule if isinstance(self.rule, own.Own) else NAMED[self.rule]  # pyright: ignore[reportArgumentType]


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

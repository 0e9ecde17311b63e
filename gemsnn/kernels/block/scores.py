"""How the compartments of a batch do: evidence, log-weights and learning signals, step by step."""

from __future__ import annotations

import torch
from torch import Tensor

from gemsnn.kernels.contract import Learning
from gemsnn.kernels.team import Team
from gemsnn.model.network import Network
from gemsnn.rules import base as rules
from gemsnn.rules import resampling
from gemsnn.rules.resampling import Replaced
from gemsnn.types import Batch


class Scores:
    """How the compartments of a batch do.

    Args:
        network: the network.
        learning: how it learns.
        batch: the presentations.
        size: what learning signals are multiplied with.
        team: with whom.

    Attributes:
        log_weights: ``[B, K]``, those of the last step.
        evidence: ``[T, B, K]`` as log-weights count it, zero where the visible neurons are not observed.
        signal: ``[T, 2, B, K]``, learning signals for hidden and for visible neurons, as terms count them.
        blame: ``[T, B, K]``, what visible errors are multiplied with before credit is passed back.
        log_estimates: ``[B, K]`` in nats, see :class:`gemsnn.kernels.contract.Learned`.
    """

    def __init__(self, network: Network, learning: Learning, batch: Batch, size: float, team: Team) -> None:
        like, rule, (presentations, steps, _) = network.taps, learning.rule, batch.shape
        self._new_score, self._new_evidence = (1 - rule.gamma, 1 - rule.kappa) if rule.average else (1.0, 1.0)
        read = rules.read_steps(rule, batch.observed, learning.update_every)
        self._scale = time_first(read, like).to(like)[:, :, None] * (size / presentations)
        keep = like.new_ones(steps, presentations).masked_fill_(time_first(batch.alive, like), rule.kappa)
        self._keep = keep[:, :, None].unbind(0)
        self._counts = time_first(batch.observed, like).to(like)[:, :, None] * self._new_evidence
        self._signal_of = team.signal(rule.value)
        self.log_weights = like.new_zeros(presentations, learning.compartments)
        self.evidence = like.new_zeros(steps, *self.log_weights.shape)
        self.signal = like.new_zeros(steps, 2, *self.log_weights.shape)
        self.blame = like.new_zeros(steps, *self.log_weights.shape)
        self.log_estimates = torch.zeros_like(self.log_weights) if learning.resamples else None
        self._rule, self._observed, self._address = rule, batch.observed, batch.address

    def judge(self, steps: range, evidence: Tensor) -> None:
        """Take in the evidence of some steps, ``[C, B, K]`` in nats."""
        some, course = slice(steps.start, steps.stop), []
        torch.mul(evidence, self._counts[some], out=self.evidence[some])
        for new, keep in zip(self.evidence[some].unbind(0), self._keep[some], strict=True):
            # rules.advance_log_weights in one operation
            self.log_weights = torch.addcmul(new, self.log_weights, keep)
            course.append(self.log_weights)
        visible, hidden = self._signal_of(torch.stack(course))
        torch.mul(visible, self._scale[some], out=self.blame[some])
        torch.mul(hidden, self._scale[some] * self._new_score, out=self.signal[some, 0])
        torch.mul(visible, self._scale[some] * self._new_score, out=self.signal[some, 1])

    def resample(self, t: int, *, seed: int) -> Replaced | None:
        """Which compartments are replaced after step t, the last that was judged; their log-weights are anew."""
        if self.log_estimates is None:
            return None
        self.log_estimates = self.log_estimates + self.evidence[t] / self._new_evidence
        found = resampling.replaced(
            self._rule, self.log_weights, self._observed[:, t], self._address, t, seed=seed
        )
        if found is not None:
            self.log_weights = resampling.anew(found, self.log_weights)
            self.log_estimates = resampling.reweighted(found, self.log_estimates)
        return found

    @property
    def log_likelihood(self) -> Tensor:
        """The evidence in nats, ``[B, K]``."""
        return self.evidence.sum(0) / self._new_evidence


def time_first(values: Tensor, like: Tensor) -> Tensor:
    """``[B, T, ..]`` as ``[T, B, ..]``, on the device of ``like``."""
    return values.to(like.device).transpose(0, 1)

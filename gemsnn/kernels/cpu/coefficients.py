"""What the errors of a graph's runs count, from the learning signals: ``C[tau] = c[tau] + gamma C[tau + 1]``."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from gemsnn.kernels.cpu.layers import Learned
from gemsnn.rules import base as rules
from gemsnn.rules.base import RuleSpec


def learned(
    rule: RuleSpec, log_weights: NDArray, read: NDArray, batch: int, window: int, *, carried: bool
) -> Learned:
    """The coefficients of a block.

    Args:
        rule: the rule.
        log_weights: ``[C, B, K]``, after each of its steps.
        read: bool ``[C, B]``, whether directions are read.
        batch: presentations that share an update.
        window: steps before it whose errors are known, and count as long as the rule remembers them.
        carried: whether eligibilities hold these instead.
    """
    steps, kind = len(read), log_weights.dtype
    weights = torch.from_numpy(log_weights)
    signal = rule.value.signal(weights)
    weight = (read[:, :, None] / batch).astype(kind)
    signals = [(leaf.numpy() * weight).reshape(steps, -1) for leaf in (signal.hidden, signal.visible)]
    fresh = kind.type(1 - rule.gamma if rule.average else 1.0)
    fading = rule.gamma ** np.append(steps, np.arange(steps - 1, -1, -1))
    fading[1:] *= fresh
    before, after = np.zeros((2, 2, signals[0].shape[1]), kind)
    if carried and not any(each[:-1].any() for each in signals):
        after[:] = [each[-1] for each in signals]  # all is read at the block's end, of eligibilities then
        found = [each[:0] for each in signals]
    else:
        credits = [_credited(each, rule.gamma) for each in signals]
        window = 0 if carried else min(window, rules.memory_of(rule, weights.dtype))
        found = [_counted(each, rule.gamma, window) * fresh for each in credits]
        before[:] = [kind.type(rule.gamma) * each[0] for each in credits]
    reach = signals[1] if "credit" in rule.value.needs else signals[1][:0]
    return Learned(found[0], found[1], reach, before, after, fading.astype(kind))


def _credited(signal: NDArray, gamma: float) -> NDArray:
    """``C[tau]`` of the block's steps."""
    out, credit = np.empty_like(signal), np.zeros_like(signal[0])
    for t in reversed(range(len(signal))):
        credit = out[t] = signal[t] + signal.dtype.type(gamma) * credit
    return out


def _counted(credits: NDArray, gamma: float, window: int) -> NDArray:
    """Together with the steps before the block, as far back as any counts."""
    age = np.arange(window, 0, -1)[:, None]
    out = np.concatenate([(gamma**age).astype(credits.dtype) * credits[0], credits])
    counts = out.any(1)
    return out[int(counts.argmax()) if counts.any() else len(out) :]

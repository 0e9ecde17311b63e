"""What a sweep shows and what it does not: differences beside their errors, and sentences that follow both."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

METRICS = {"log_likelihood": +1, "accuracy": +1, "ece": -1, "nll": -1}
"""What is compared, and whether more of it is better."""

TITLES = {
    "log_likelihood": "log-likelihood",
    "accuracy": "accuracy",
    "ece": "ECE",
    "tempered_ece": "ECE at temperature",
    "nll": "NLL",
}

TOLERANCE = 2
"""How many standard errors of a difference count as chance."""

QUICK = "quick form: it shows that the code runs, and nothing about compartments"
"""What a sweep of few presentations and two seeds says of itself."""

Row = Mapping[str, Any]


def claims(own: Mapping[int, Mapping[str, Row]], name: str) -> dict[str, Any]:
    """How K = K_I = 10 (or the largest K) compares with the smallest, and every K with the one before it.

    Args:
        own: the scores with K_I = K, by K in ascending order: ``mean`` and ``error`` (one standard error over seeds,
            ``None`` with one seed) of each metric.
        name: the metric.

    Returns:
        ``from``, ``to``: the two K; ``gain``: how much better ``to`` is (negative: worse), its standard ``error``
        ``sqrt(e_from^2 + e_to^2)`` and the gain in ``errors`` of them; ``back``: the steps from one K to the next that
        are worse by more than :data:`TOLERANCE` errors; ``monotone``: whether there is none, ``None`` without errors.
    """
    values = list(own)
    few, many = values[0], 10 if 10 in values else values[-1]
    compared = _compared(own, name, few, many)
    steps = [_compared(own, name, a, b) for a, b in pairwise(values)]
    back = [step for step in steps if verdict(step) == "worse"]
    known = all(step["error"] is not None for step in steps)
    return {**compared, "steps": len(steps), "back": back, "monotone": not back if known else None}


def _compared(own: Mapping[int, Mapping[str, Row]], name: str, few: int, many: int) -> dict[str, Any]:
    gain = METRICS[name] * (own[many][name]["mean"] - own[few][name]["mean"])
    both = [own[k][name]["error"] for k in (few, many)]
    error = None if None in both else float(np.hypot(*both))
    return {
        "from": few,
        "to": many,
        "gain": gain,
        "error": error,
        "errors": gain / error if error else None,
    }


def verdict(compared: Row) -> str | None:
    """``better`` or ``worse`` where the gain is beyond :data:`TOLERANCE` errors, else ``None``: also without errors."""
    gain, error = compared["gain"], compared["error"]
    if error is None or abs(gain) <= TOLERANCE * error:
        return None
    return "better" if gain > 0 else "worse"


def sentence(name: str, claim: Row) -> str:
    """What the numbers of a metric show, in words."""
    title, few, many = TITLES[name], claim["from"], claim["to"]
    if few == many:
        return f"{title}: one K alone, so there is nothing to compare"
    if claim["error"] is None:
        return f"{title}: from one seed no error is known, so no K is called better"
    shown = verdict(claim)
    difference = METRICS[name] * claim["gain"]
    if shown is None:
        text = (
            f"no difference beyond {TOLERANCE} standard errors between K = K_I = {many} and {few} "
            f"({difference:+.3f} ± {claim['error']:.3f})"
        )
    else:
        text = f"K = K_I = {many} is {shown} than {few} by {abs(claim['gain']):.3f}{_errors(claim)}"
    if claim["steps"] == 1:
        return f"{title}: {text}"
    back = ", ".join(
        f"from K = {step['from']} to {step['to']} by {abs(step['gain']):.3f}{_errors(step)}"
        for step in claim["back"]
    )
    order = f"worse {back}" if back else f"no step to the next K is a loss beyond {TOLERANCE} standard errors"
    return f"{title}: {text}; {order}"


def _errors(compared: Row) -> str:
    return "" if compared["errors"] is None else f", {abs(compared['errors']):.1f} standard errors"


def sentences(found: Mapping[str, Row]) -> Sequence[str]:
    """A sentence a metric."""
    return [sentence(name, claim) for name, claim in found.items()]

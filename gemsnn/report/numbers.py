"""Numbers as a reader of the page sees them."""

from __future__ import annotations

import math
from typing import Any

from gemsnn.scoring.chance import half_width

NBSP, THIN = "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}"


def percent(share: float) -> str:
    """``0.837`` to ``84 %``; never rounds to 0 or 100 what is neither."""
    value = 100 * share
    digits = 1 if (value > 99.5 or value < 0.5) and 0 < value < 100 else 0
    return f"{value:.{digits}f}{NBSP}%"


def measured(share: float, count: float) -> str:
    """A share of ``count`` recordings with one standard error: ``96.1 ± 1.0 %``."""
    error = 100 * half_width(share, count)
    digits = 0 if error >= 9.95 else 1 if error >= 0.095 else 2
    return f"{100 * share:.{digits}f}{NBSP}±{NBSP}{error:.{digits}f}{NBSP}%"


def error_percent(value: Any) -> str:
    """A calibration error, ``0.0344`` to ``3.4 %``."""
    return f"{100 * value:.1f}{NBSP}%"


def number(value: Any) -> str:
    """A number for a table, ``–`` where there is none."""
    if not isinstance(value, (int, float)) or not math.isfinite(value):
        return "–"
    if isinstance(value, int) or value.is_integer():
        return _typeset(f"{value:,.0f}")
    digits = 1 if abs(value) >= 100 else 2 if abs(value) >= 10 else 3
    return _typeset(f"{value:,.{digits}f}")


def _typeset(figures: str) -> str:
    return figures.replace(",", THIN).replace("-", "−")


def plural(count: float, singular: str, several: str | None = None) -> str:
    """``1 neuron``, ``2 neurons``."""
    return f"{number(count)} {singular if count == 1 else several or singular + 's'}"


def is_number(value: Any) -> bool:
    """Whether the value is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

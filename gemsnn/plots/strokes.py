"""What several pictures are drawn with: lines with their bands, legends, limits, and pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.ticker import FixedLocator, NullLocator
from numpy.typing import NDArray

from gemsnn.plots.looks import look
from gemsnn.scoring.chance import wilson

LONGEST_NAME = 16


def short(name: str) -> str:
    """A name beside an axis."""
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"


def called(label: int, names: Any) -> str:
    """A class by its name, or by its number where it has none."""
    return short(str(names[label])) if label < len(names or ()) else str(label)


def marker(points: int) -> dict[str, Any]:
    """Dots on a line of few points."""
    return {"marker": "o", "markersize": 3} if points <= 40 else {}


def smoothed(
    ax: Axes, x: NDArray[np.float64], y: NDArray[np.float64], colour: str, label: str | None = None
) -> None:
    """The values, thin and pale, under their running mean over a twentieth of them.

    Many are thinned to about 400 points a line: the file stays small and looks the same.
    """
    width = max(1, len(y) // 20)
    thin = slice(None, None, max(1, len(y) // 400))
    if width > 1:
        ax.plot(x[thin], y[thin], color=colour, linewidth=0.6, alpha=0.35)
    index = np.arange(len(y))
    total, number = np.nancumsum(y), np.cumsum(np.isfinite(y))
    before = np.maximum(index - width, -1)
    total_before = np.where(before >= 0, total[before], 0.0)
    number_before = np.where(before >= 0, number[before], 0)
    seen = number - number_before
    mean = np.where(seen > 0, (total - total_before) / np.maximum(seen, 1), np.nan)
    ax.plot(x[thin], mean[thin], color=colour, label=label, **marker(len(y)))
    ax.set_xlim(left=0)


def legend(ax: Axes) -> None:
    """Names of the lines in a row above the Axes, where they hide nothing; none of a single line."""
    names = ax.get_legend_handles_labels()[1]
    if names:
        ax.legend(
            loc="lower left", bbox_to_anchor=(0, 1), ncols=len(names), borderaxespad=0.2, borderpad=0.2,
            handlelength=1.5, columnspacing=1.2,
        )  # fmt: skip


def window(ax: Axes, values: NDArray[np.float64]) -> None:
    """Limits that the wildest hundredth of the values cannot stretch."""
    finite = values[np.isfinite(values)]
    if len(finite):
        low, high = np.quantile(finite, [0.01, 1.0])
        margin = 0.06 * (high - low) or 1.0
        ax.set_ylim(low - margin, high + margin)


def around(
    share: NDArray[np.float64], count: NDArray[np.float64] | float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Wilson's interval of :data:`~gemsnn.scoring.chance.BEYOND` standard errors around each share of a count."""
    counts = np.broadcast_to(np.asarray(count, float), share.shape)
    limits = [
        wilson(p, n) if np.isfinite(p) else (np.nan, np.nan) for p, n in zip(share, counts, strict=True)
    ]
    low, high = np.array(limits, float).reshape(-1, 2).T
    return low, high


def band(
    ax: Axes, x: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64], colour: str
) -> None:
    """A pale area between two lines."""
    ax.fill_between(x, low, high, color=colour, alpha=0.18, linewidth=0)


def share_axis(ax: Axes, chance: float | None) -> None:
    """An axis of accuracy: from guessing, where there is nothing to know, to all, whatever the numbers are.

    Where guessing is not told, limits that somebody has set stay.
    """
    bottom = 100 * chance if chance and chance < 1 else 0.0
    if chance is None and not ax.get_autoscaley_on():
        bottom = ax.get_ylim()[0] + 2
    lowest = min(
        (
            float(np.nanmin(np.asarray(line.get_ydata(), float)))
            for line in ax.lines
            if np.isfinite(np.asarray(line.get_ydata(), float)).any()
        ),
        default=bottom,
    )
    ax.set_ylim(min(bottom, lowest) - 2, 102)


def from_zero(ax: Axes) -> None:
    """Limits for what cannot be negative, with room above all that is drawn."""
    top = float(ax.dataLim.y1)
    ax.set_ylim(0, 1.12 * top if np.isfinite(top) and top > 0 else 1.0)


def logarithmic(ax: Axes, values: Sequence[int]) -> None:
    """A logarithmic axis below, with these numbers on it and no others."""
    ax.set_xscale("log")
    ax.xaxis.set_major_locator(FixedLocator(values))
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticklabels([str(value) for value in values])


def time_of(bin_us: int | None) -> tuple[float, str]:
    """How long a bin is, and what the axis of time is called."""
    return (1.0, "bin") if bin_us is None else (bin_us / 1000, "time, ms")


def pixels(strength: NDArray[Any], colour: str, most: float | None = None) -> NDArray[np.float64]:
    """``[..]`` strengths to ``[.., 4]`` RGBA of one colour; the root lets weak pixels be seen."""
    strength = np.asarray(strength, dtype=float)
    found = np.empty((*strength.shape, 4))
    found[..., :3] = to_rgb(colour)
    found[..., 3] = np.sqrt(strength / max(float(strength.max(initial=0.0)) if most is None else most, 1e-9))
    return found


def named_rows(ax: Axes, count: int, names: Any) -> None:
    """Numbers or names beside rows, where there are few."""
    if count <= 12:
        fits = len(names or ()) == count
        ax.set_yticks(range(count), [called(n, names if fits else ()) for n in range(count)])


def framed(ax: Axes) -> None:
    """A thin frame instead of ticks, for pictures of pixels."""
    ax.set_axis_on()
    ax.set(xticks=[], yticks=[])
    for spine in ax.spines.values():
        spine.set(visible=True, color=look().faint, linewidth=0.8)

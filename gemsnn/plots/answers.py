"""Answers while a recording runs: how the votes fall over time, and how many classes are left."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from gemsnn.errors import InputError
from gemsnn.plots.given import array
from gemsnn.plots.looks import canvas, look
from gemsnn.plots.strokes import called, time_of


def votes_over_time(
    given: Any,
    classes: int | None = None,
    *,
    bin_us: int | None = None,
    begin: int = 0,
    label: int | None = None,
    names: Sequence[str] = (),
    ax: Axes | None = None,
) -> Axes:
    """The share of the votes that each class has after each bin: which class wins, and when.

    Classes that lead at some time, and the right one, have a colour and a name; the others are grey.

    Args:
        given: votes ``[K, T]``, such as ``model.poll(..).votes[n]``; or probabilities ``[T, C]``, such as
            ``model.poll(..).by_time.probabilities[:, n]`` or those of a stream's answers, NaN where there is none.
        classes: of votes, how many there are.
        bin_us: the width of a bin in microseconds, for an axis of time.
        begin: bins before the first that counts, in which there are no votes.
        label: the right class, which is drawn thicker.
        names: of the classes.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: these are neither votes nor probabilities.
    """
    shares = shares_of(given, classes)
    steps, count = shares.shape
    shares[:begin] = np.nan
    scale, xlabel = time_of(bin_us)
    series, when = look().series, (np.arange(steps) + 1) * scale
    known = shares[np.isfinite(shares).all(1)]
    ever = np.bincount(known.argmax(1), minlength=count) if len(known) else np.zeros(count, int)
    coloured = sorted(np.flatnonzero(ever).tolist(), key=lambda c: -ever[c])
    if label is not None:
        coloured = [label, *(c for c in coloured if c != label)]
    coloured = coloured[: len(series)]
    with canvas(ax) as axes:
        for c in range(count):
            if c not in coloured:
                axes.plot(when, 100 * shares[:, c], color=look().faint, linewidth=0.8, zorder=1)
        for place, c in enumerate(coloured):
            right = c == label
            told = f"{called(c, names)}{' (right)' if right else ''}"
            axes.plot(
                when, 100 * shares[:, c], color=series[place], label=told, linewidth=2.2 if right else 1.3
            )
        if begin:
            axes.axvspan(0, begin * scale, color=look().faint, alpha=0.6, linewidth=0, zorder=0)
        if coloured:
            axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), handlelength=1.2, title="class")
        axes.set(xlabel=xlabel, ylabel="votes, %", xlim=(0, max(steps, 1) * scale), ylim=(-2, 102))
    return axes


def shares_of(given: Any, classes: int | None) -> NDArray[np.float64]:
    """Shares ``[T, C]`` of votes ``[K, T]``, or what is given as shares.

    Raises:
        InputError: a vote is for no class, or shares are none.
    """
    found = array(given, "XY", "votes")
    if found.dtype.kind == "f":
        if len(found) and not (np.nanmin(found, initial=0) >= 0 and np.nanmax(found, initial=0) <= 1 + 1e-9):
            raise InputError(
                "probabilities [T, C] must lie between 0 and 1; of votes [K, T] give whole numbers"
            )
        return found.astype(float)
    if classes is None:
        raise InputError("votes [K, T] need classes, how many there are: recordings.layout.classes")
    if found.size and not 0 <= found.min() <= found.max() < classes:
        raise InputError(f"votes must be for classes 0 to {classes - 1}, not {found.min()} to {found.max()}")
    return (found[..., None] == np.arange(classes)).mean(0)


def set_size(sets: Any, *, bin_us: int | None = None, times_ms: Any = None, ax: Axes | None = None) -> Axes:
    """How many classes are left as time passes: an answer is given when one is.

    Args:
        sets: one after each bin: what an :class:`gemsnn.OnlineLearner` with a certificate answers, texts or numbers of
            classes in tuples, or whether a class is in it, ``[T, C]`` of truth values.
        bin_us: the width of a bin in microseconds, for an axis of time.
        times_ms: in place of that, when each set was told, in milliseconds.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: these are no sets, or the times are not as many.
    """
    sizes = sizes_of(sets)
    scale, xlabel = time_of(bin_us)
    when = (np.arange(len(sizes)) + 1) * scale
    if times_ms is not None:
        when, xlabel = np.asarray(times_ms, float), "time, ms"
        if len(when) != len(sizes):
            raise InputError(f"times_ms must be {len(sizes)}, one a set, not {len(when)}")
    with canvas(ax) as axes:
        axes.step(when, sizes, where="post", color=look().main)
        axes.axhline(1, color=look().muted, linestyle="--", linewidth=0.8)
        axes.set(xlabel=xlabel, ylabel="classes that are left")
        axes.set_xlim(left=0)
        axes.set_ylim(0, max(2, int(sizes.max(initial=1))) + 0.5)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True))
    return axes


def set_sizes(sets: Any, *, ax: Axes | None = None) -> Axes:
    """How many recordings have a set of one class, of two, ..: small sets say much.

    Args:
        sets: one of each recording, as :func:`set_size` takes them: ``promised.sets`` of a certificate.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: these are no sets.
    """
    sizes, count = np.unique(sizes_of(sets), return_counts=True)
    with canvas(ax) as axes:
        axes.bar(sizes, count, 0.8, color=look().main)
        axes.set(xlabel="classes in the set", ylabel="recordings")
        axes.set_xticks(range(int(sizes.max(initial=1)) + 1))
    return axes


def sizes_of(sets: Any) -> NDArray[np.int64]:
    """How many classes each set holds, int64 ``[n]``.

    Raises:
        InputError: these are no sets.
    """
    if hasattr(sets, "ndim"):
        found = array(sets, "TC", "sets")
        if found.dtype.kind != "b":
            raise InputError(f"sets [T, C] must say of each class whether it is in, not {found.dtype}")
        return found.sum(1).astype(np.int64)
    try:
        each = [one if getattr(one, "verdict", None) is None else one.verdict.classes for one in sets]
        if any(isinstance(one, str) for one in each):
            raise TypeError
        return np.array([len(one) for one in each], np.int64)
    except TypeError:
        raise InputError("sets must be one after the other, each of classes: (3, 5), (3,), ..") from None

"""How pictures look: colour-blind safe colours, thin axes, text that stays text, and nothing of the user's changed.

Every function of :mod:`gemsnn.plots` draws inside :func:`style`, which ends when it returns. matplotlib's own settings
are as they were afterwards, and of Axes that are given only what is drawn into them has this look. To give it to Axes
of one's own, and to what is written of them, they are made inside ``with plots.style():`` and written by :func:`save`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib as mpl
from cycler import cycler
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from gemsnn.errors import InputError
from gemsnn.types import AnyPath

COLOURS = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "yellow": "#F0E442",
    "black": "#000000",
}
"""Eight colours that people who see two of the three primary colours tell apart.

M. Okabe and K. Ito, "Color Universal Design", 2008 (https://jfly.uni-koeln.de/color/), in the order in which they are
taken here: those that stand out from white come first.
"""


class Look(NamedTuple):
    """The colours of pictures, and settings of matplotlib beside those of :data:`SETTINGS`.

    Attributes:
        ink: of text.
        faint: of lines that guide the eye.
        muted: of axes, and of what is only for comparison.
        main: of what the picture is about, and of ON events and of weights above zero.
        second: of what stands beside it, and of OFF events and of weights below zero.
        third: of another method.
        on: the main colour in pictures of pixels.
        off: the second colour there.
        pixels: the colour there of what has no sign.
        series: of compartments or classes, in order.
        settings: of matplotlib.
    """

    ink: str
    faint: str
    muted: str
    main: str
    second: str
    third: str
    on: str
    off: str
    pixels: str
    series: tuple[str, ...]
    settings: dict[Any, Any] = {}  # noqa: RUF012 - it is never written to


SERIES = tuple(COLOURS[name] for name in ("blue", "vermillion", "green", "purple", "orange", "sky blue"))
"""Colours of compartments or classes: six, for more could not be told apart on white."""

PAPER = Look(
    ink=COLOURS["black"],
    faint="#DDDDDD",
    muted="#6E6E6E",
    main=COLOURS["blue"],
    second=COLOURS["vermillion"],
    third=COLOURS["purple"],
    on=COLOURS["blue"],
    off=COLOURS["vermillion"],
    pixels=COLOURS["black"],
    series=SERIES,
)
"""For papers: a column wide, on white."""

SETTINGS: dict[Any, Any] = {
    "font.size": 8.0,
    "axes.titlesize": "medium",
    "axes.labelsize": "medium",
    "axes.linewidth": 0.6,
    "axes.grid": False,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.titlelocation": "left",
    "grid.linewidth": 0.5,
    "xtick.labelsize": "small",
    "ytick.labelsize": "small",
    "xtick.major.width": 0.6,
    "ytick.major.width": 0.6,
    "legend.frameon": False,
    "legend.fontsize": "small",
    "lines.linewidth": 1.3,
    "lines.solid_capstyle": "round",
    "image.interpolation": "none",
    "text.parse_math": False,
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    "savefig.dpi": 300,
}
"""Settings of matplotlib while something is drawn or written: letters stay letters in PDF and SVG."""

SMALL = 0.833
"""What matplotlib means by ``small``, of the size of letters."""

_LOOK: ContextVar[Look | None] = ContextVar("look", default=None)


def look() -> Look:
    """The colours that are in use."""
    return _LOOK.get() or PAPER


@contextmanager
def style(chosen: Look = PAPER, **changes: Any) -> Iterator[None]:
    """The look of pictures, while inside; matplotlib's settings are as they were after it.

    Args:
        chosen: the colours.
        **changes: settings of matplotlib, with ``_`` in place of the dots: ``font_size=10``.

    Raises:
        InputError: matplotlib has no such setting.

    >>> from gemsnn import plots
    >>> from matplotlib.figure import Figure
    >>> with plots.style(font_size=10):
    ...     axes = Figure().subplots()
    >>> axes.title.get_fontsize()
    10.0
    """
    given: dict[Any, Any] = {}
    for name, value in changes.items():
        found = [key for key in mpl.rcParams if key.replace(".", "_") == name]
        if not found:
            raise InputError(f"matplotlib has no setting {name.replace('_', '.')!r}; see matplotlib.rcParams")
        given[found[0]] = value
    used: dict[Any, Any] = {
        "axes.edgecolor": chosen.muted,
        "axes.labelcolor": chosen.ink,
        "grid.color": chosen.faint,
        "xtick.color": chosen.muted,
        "ytick.color": chosen.muted,
        "xtick.labelcolor": chosen.ink,
        "ytick.labelcolor": chosen.ink,
        "text.color": chosen.ink,
        "axes.prop_cycle": cycler(color=chosen.series),
    }
    token = _LOOK.set(chosen)
    try:
        with mpl.rc_context(used | SETTINGS | chosen.settings | given):
            yield
    finally:
        _LOOK.reset(token)


@contextmanager
def canvas(ax: Axes | None, width: float = 3.4, height: float = 2.4) -> Iterator[Axes]:
    """The Axes to draw into, in the look of pictures: those that are given, or those of a new figure of pyplot's."""
    with canvases(None if ax is None else [ax], 1, 1, (width, height)) as (found,):
        yield found


@contextmanager
def canvases(
    axes: Any, count: int, columns: int, size: tuple[float, float] = (0.8, 0.95)
) -> Iterator[list[Axes]]:
    """As many Axes, those that are given or those of a new figure, ``columns`` in a row, each of a size in inches.

    Where nobody has chosen a look, by :func:`style`, it is that of :data:`PAPER`.

    Raises:
        InputError: fewer are given.
    """
    chosen = _LOOK.get() is not None
    with nullcontext() if chosen else style():
        yield _made(axes, count, columns, size, styled=chosen)


def _made(axes: Any, count: int, columns: int, size: tuple[float, float], *, styled: bool) -> list[Axes]:
    given = None if axes is None else list(getattr(axes, "flat", axes))
    if given is not None and len(given) < count:
        raise InputError(f"axes must be {count} or more, one a picture, not {len(given)}")
    rows = -(-count // columns)
    if given is None:
        from matplotlib import pyplot

        wide, high = size
        figure = pyplot.figure(figsize=(columns * wide, rows * high), layout="constrained")
        given = list(figure.subplots(rows, columns, squeeze=False).flat)
        styled = True
    for each in given if styled else ():  # ticks are made when they are drawn, which is after this
        each.tick_params(
            width=mpl.rcParams["xtick.major.width"],
            labelsize=SMALL * mpl.rcParams["font.size"],
            color=look().muted,
            labelcolor=look().ink,
        )
    for spare in given[count:]:
        spare.set_axis_off()
    return given[:count]


def save(drawn: Axes | Figure, path: AnyPath) -> Path:
    """Write a picture: letters stay letters, and what is drawn alike has the same bytes.

    Args:
        drawn: Axes, whose whole figure is written, or a figure.
        path: where; the suffix says what: ``.pdf``, ``.svg`` and ``.eps`` hold lines, ``.png`` pixels.

    Returns:
        The path.

    Raises:
        InputError: matplotlib knows no such suffix, or it cannot be written there.
    """
    figure, path = figure_of(drawn), Path(path)
    known = figure.canvas.get_supported_filetypes()
    kind = path.suffix[1:].lower()
    if kind not in known:
        raise InputError(f"{path} must end in what says its format, one of .{', .'.join(sorted(known))}")
    undated: dict[str, Any] = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}
    try:
        with style(svg_hashsalt="gemsnn"):
            figure.savefig(path, metadata=undated.get(kind))
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}); give another place"
        ) from error
    return path


def figure_of(drawn: Axes | Figure | SubFigure) -> Figure:
    """The figure that Axes are of, also where they lie in a part of it."""
    found: Any = drawn if isinstance(drawn, (Figure, SubFigure)) else drawn.figure
    while isinstance(found, SubFigure):
        found = found.figure
    return found

"""What neurons listen for: weights as maps over the sensor, and the kernels of a convolution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap, to_rgba
from numpy.typing import NDArray

from gemsnn.errors import InputError
from gemsnn.plots.given import Sensor, array, at, on_sensor
from gemsnn.plots.looks import canvas, canvases, look
from gemsnn.plots.strokes import called, framed
from gemsnn.specs import checks

Polarity = Literal["difference", "on", "off", "sum"]
"""What a map over pixels with two inputs each shows: ON minus OFF, one of them, or both together."""

Over = Literal["peak", "sum"]
"""What a map says of an effect that lasts: what it is at the delay at which it is largest, or its sum over delays."""


def receptive_field(
    weights: Any,
    layout: Sensor,
    *,
    polarity: Polarity = "difference",
    most: float | None = None,
    title: str = "",
    ax: Axes | None = None,
) -> Axes:
    """Weights of one neuron from the inputs, as a map over the sensor: the main colour drives it, the second silences.

    Args:
        weights: ``[M]``.
        layout: how inputs lie: ``recordings.layout``.
        polarity: of a sensor with ON and OFF, what is shown at a pixel.
        most: the weight that has the full colour; by default the largest there is, of either sign.
        title: above it.
        ax: to draw into; by default a new figure's.

    Raises:
        InputError: the weights do not fit the layout.
    """
    checks.choice(polarity, Polarity, "polarity")
    channels = on_sensor(array(weights, "M", "weights"), layout)
    if channels.shape[2] == 1 or polarity == "sum":
        shown = channels.sum(2)
    elif polarity == "difference":
        shown = channels[..., 1] - channels[..., 0]
    else:
        shown = channels[..., int(polarity == "on")]
    with canvas(ax, 2.2, 2.2) as axes:
        _map(axes, shown, most, title)
    return axes


def receptive_fields(
    given: Any,
    layout: Sensor | None = None,
    *,
    most: int = 12,
    over: Over = "peak",
    names: Sequence[str] = (),
    axes: Any = None,
) -> list[Axes]:
    """Maps of the neurons that say most to the outputs, ON minus OFF, each on a scale of its own.

    The title of each is the neuron's number, or the class of an output neuron, and the delay at which it is shown.

    Args:
        given: a :class:`gemsnn.Model`, or :class:`gemsnn.model.receptive.Fields`.
        layout: how inputs lie; by default the model's.
        most: how many of a model's neurons.
        over: of a model, what is shown of an effect that lasts: at its ``peak``, or its ``sum`` over all delays.
        names: of classes; by default the model's.
        axes: to draw into, as many as there are neurons; by default a new figure's, six in a row.

    Returns:
        The Axes of the maps.

    Raises:
        InputError: the fields do not fit the layout, or there are too few Axes.
    """
    if hasattr(given, "network"):
        from gemsnn.model import receptive  # which loads torch

        layout, names = layout or given.reading.layout, names or given.names
        given = receptive.receptive_fields(given.network, given.params, most, over=over)
    if layout is None:
        raise InputError("fields need a layout, which says where inputs lie on the sensor: recordings.layout")
    fields, neurons, lags = (at(given, name) for name in ("field", "neuron", "lag"))
    bin_us = getattr(layout, "bin_us", None)
    with canvases(axes, len(fields), min(6, len(fields)), (1.0, 1.15)) as drawn:
        for ax, field, neuron, lag in zip(drawn, fields, neurons, lags, strict=True):
            whose = called(int(neuron), names) if at(given, "kind") == "output" else str(int(neuron))
            receptive_field(field, layout, title=f"{whose}{_delay(int(lag), bin_us)}", ax=ax)
    return drawn


def _delay(lag: int, bin_us: int | None) -> str:
    """A delay in words, after a comma; nothing of a sum over all of them, whose lag is 0."""
    if not lag:
        return ""
    return f", {lag * bin_us / 1000:g} ms" if bin_us else f", {lag} bins"


def convolution_kernels(
    given: Any, projection: str | None = None, *, over: Over = "sum", axes: Any = None
) -> list[Axes]:
    """The kernels of a convolution, all on one scale: a column for each channel, a row for each channel that it hears.

    Of a sensor with two channels the first row is ON and the second OFF.

    Args:
        given: a :class:`gemsnn.Model`, or kernels ``[channels, heard, y, x]``.
        projection: of a model, its name, such as ``inputs->hidden``; by default the first convolution of the inputs.
        over: of a model, what is shown of an effect that lasts: at its ``peak``, or its ``sum`` over all delays.
        axes: to draw into, row by row; by default a new figure's.

    Returns:
        The Axes, row by row.

    Raises:
        InputError: the model has no such convolution, or there are too few Axes.
    """
    of_inputs = True
    if hasattr(given, "network"):
        from gemsnn.model import receptive  # which loads torch

        found = receptive.kernels(given.network, given.params, projection, over=over)
        given, of_inputs = found.kernels, found.of_inputs
    kernels = array(given, "Ccyx", "kernels").astype(float)
    channels, heard = kernels.shape[:2]
    most = float(np.abs(kernels).max(initial=0.0))
    two = of_inputs and heard == 2
    with canvases(axes, channels * heard, channels, (0.9, 0.95)) as drawn:
        for place, ax in enumerate(drawn):
            row, channel = divmod(place, channels)
            sender = heard - 1 - row if two else row
            _map(ax, kernels[channel, sender], most, str(channel) if row == 0 else "")
            if channel == 0:
                ax.set_ylabel(("OFF", "ON")[sender] if two else str(sender))
    return drawn


def _map(ax: Axes, weights: NDArray[np.float64], most: float | None, title: str) -> None:
    """Weights ``[height, width]`` on a scale that is 0 in the middle, where nothing is drawn."""
    most = max(float(np.abs(weights).max(initial=0.0)) if most is None else most, 1e-12)
    scale = [to_rgba(look().off), to_rgba(look().off, 0), to_rgba(look().on, 0), to_rgba(look().on)]
    colours = LinearSegmentedColormap.from_list(
        "signed", list(zip((0, 0.5, 0.5, 1), scale, strict=True)), 511
    )
    ax.imshow(weights, cmap=colours, vmin=-most, vmax=most, interpolation="none")
    ax.set_title(title, fontsize="small", loc="center")
    framed(ax)

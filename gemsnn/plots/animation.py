"""Events as they came: an animation of a sensor's pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import animation
from matplotlib.animation import FuncAnimation
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from numpy.typing import NDArray

from gemsnn.errors import InputError
from gemsnn.plots.given import Sensor, array, is_events
from gemsnn.plots.looks import canvas, figure_of
from gemsnn.plots.sensor import extent, picture, pictures
from gemsnn.plots.strokes import framed
from gemsnn.types import AnyPath

WRITERS = {".gif": "pillow", ".mp4": "ffmpeg"}


def animate(
    given: Any,
    bin_us: int,
    path: AnyPath | None = None,
    *,
    layout: Sensor | None = None,
    sensor: tuple[int, int] | None = None,
    frames_per_second: float = 20,
    ax: Axes | None = None,
) -> FuncAnimation | Path:
    """The events of a recording bin by bin, one picture a bin as :func:`gemsnn.plots.events` draws them.

    All pictures share one scale, and together they hold every event once.

    Args:
        given: events (:data:`gemsnn.data.events.EVENT`), a :class:`gemsnn.data.events.Recording`, or bins ``[T, M]``.
        bin_us: how long a picture lasts in the recording, in microseconds; of bins, their width.
        path: of a file to write, ``.gif`` or ``.mp4``, which needs the program ffmpeg; by default none is written.
        layout: of bins, how inputs lie: ``recordings.layout``.
        sensor: of bare events, width and height in pixels.
        frames_per_second: of the animation, however long a bin is.
        ax: to draw into; by default a new figure's.

    Returns:
        The file's path, or without one matplotlib's animation: ``HTML(animation.to_jshtml())`` shows it in a notebook.

    Raises:
        InputError: as :func:`gemsnn.plots.events`; the suffix is another, ffmpeg is missing, or nothing can be written.
    """
    if bin_us < 1:
        raise InputError(f"bin_us must be at least 1, not {bin_us}")
    if path is not None:
        _check_writer(Path(path))
    if not is_events(given):
        given = array(given, "TM", "bins")
    step = bin_us if is_events(given) else 1
    ends = np.arange(-(-extent(given) // step) + 1) * step
    most = max(
        (float(part.sum(2).max(initial=0)) for part in pictures(given, layout, sensor, ends)), default=1.0
    )

    def shown(number: int) -> NDArray[np.float64]:
        (part,) = pictures(given, layout, sensor, ends[number : number + 2])
        return picture(part, most)

    with canvas(ax, 2.4, 2.5) as axes:
        image = axes.imshow(shown(0), interpolation="none")
        title = axes.set_title("0 ms", loc="center")
        framed(axes)

    def show(number: int) -> list[Artist]:
        image.set_data(shown(number))
        title.set_text(f"{number * bin_us / 1000:g} ms")
        return [image, title]

    made = FuncAnimation(figure_of(axes), show, frames=len(ends) - 1, interval=1000 / frames_per_second)
    if path is None:
        return made
    path = Path(path)
    try:
        with canvas(axes):
            made.save(path, writer=WRITERS[path.suffix.lower()], fps=max(1, round(frames_per_second)))
    except OSError as error:
        raise InputError(
            f"{path} cannot be written ({error.strerror or error}); give another place"
        ) from error
    return path


def _check_writer(path: Path) -> None:
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise InputError(f"{path} must end in .gif or .mp4, which says what to write")
    if not animation.writers.is_available(writer):
        raise InputError(f"{path} needs the program ffmpeg, which is not there; install it, or write a .gif")

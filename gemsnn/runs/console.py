"""What a person sees while a command runs. Everything here goes to standard error; results go to standard output."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.text import Text

if TYPE_CHECKING:
    from gemsnn.learn.train import TrainSpec, Update
    from gemsnn.scoring.scores import ValidationScores

CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line for the person; a terminal that is narrower breaks it between words."""
    CONSOLE.print(text, markup=False, soft_wrap=not CONSOLE.is_terminal)


@contextmanager
def status(text: str) -> Iterator[None]:
    """Say what is being waited for; a spinner where standard error is a terminal."""
    if not CONSOLE.is_terminal:
        say(text)
        yield
    else:
        with CONSOLE.status(text):
            yield


@contextmanager
def compiling(text: str) -> Iterator[None]:
    """Say this once numba begins to compile something; where all comes from its cache, nothing is said."""
    from numba.core import event

    with ExitStack() as stack:

        class Compiling(event.Listener):
            said = False

            def on_start(self, event: Any) -> None:
                if not self.said:
                    self.said = True
                    stack.enter_context(status(text))

            def on_end(self, event: Any) -> None:
                pass

        stack.enter_context(event.install_listener("numba:compile", Compiling()))
        yield


def bar(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """Pass the items on, on a terminal under a progress bar, which goes away when they are done."""
    if not CONSOLE.is_terminal:
        yield from items
        return
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=None), MofNCompleteColumn(), Left())
    with Bars(*columns, console=CONSOLE, transient=True) as progress:
        yield from progress.track(items, total=total, description=what)


class Left(ProgressColumn):
    """The time that is left, once it can be told."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """As hours, minutes and seconds."""
        if task.finished or task.time_remaining is None:
            return Text("")
        return Text(f"{timedelta(seconds=round(task.time_remaining))} left")


class Speed(ProgressColumn):
    """How many pass in a second."""

    max_refresh = 0.5

    def render(self, task: Task) -> Text:
        """As a number of three digits."""
        return Text("" if task.speed is None else f"{task.speed:.3g} a second")


SAID_EVERY = 30.0
"""Seconds between two lines about a course, where standard error is no terminal."""


@contextmanager
def course(total: int, what: str) -> Iterator[Callable[[int], None]]:
    """Tell how far long work is, how fast it goes and when it will be done; it is told how many have passed.

    On a terminal it is a bar, else now and then a line.
    """
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        MofNCompleteColumn(),
        Speed(),
        Left(),
    )
    shown, began = CONSOLE.is_terminal, time.monotonic()
    done, told = 0, began
    with Bars(*columns, console=CONSOLE, disable=not shown, transient=True) as progress:
        task = progress.add_task(what, total=total)

        def passed(number: int) -> None:
            nonlocal done, told
            done += number
            progress.advance(task, number)
            now = time.monotonic()
            if not shown and now - told >= SAID_EVERY:
                told, speed = now, done / (now - began)
                left = timedelta(seconds=round((total - done) / speed))
                say(f"{done} of {total} {what}, {speed:.3g} a second, {left} left")

        yield passed


class TrainingDisplay:
    """The course of a training: lines of what came of every epoch; on a terminal, a live line under them.

    No line is longer than 80 columns, as long as numbers are of usual size.
    """

    def __init__(self, progress: Bars, spec: TrainSpec, batches_per_epoch: int) -> None:
        self._progress = progress
        self._spec = spec
        self._task = progress.add_task("training", total=spec.epochs * batches_per_epoch, numbers="")

    def show(self, update: Update, scores: ValidationScores | None) -> None:
        """Take an update, and the validation's scores where there are new ones."""
        epoch = f"epoch {update.epoch:>{len(str(self._spec.epochs))}}/{self._spec.epochs}"
        numbers = f"loss {update.loss:.2f}  hidden {update.hidden_rate:.3f}"
        self._progress.update(
            self._task, completed=update.learner.batches, description=epoch, numbers=numbers
        )
        if update.ends_epoch:
            say(
                f"{epoch}  loss {update.loss:7.2f}  bound {update.bound:8.2f}  "
                f"hidden {update.hidden_rate:5.3f}  ESS {update.ess:4.2f}"
            )
        if scores:
            say(
                f"{'':{len(epoch)}}  validation: {scores.accuracy:.1%} right, ECE {scores.ece:.3f}, "
                f"log-likelihood {scores.log_likelihood:.1f}"
            )
            if scores.quiet or scores.saturated:
                say(f"{'':{len(epoch)}}  hidden neurons: {scores.quiet} quiet, {scores.saturated} saturated")


@contextmanager
def training_display(spec: TrainSpec, batches_per_epoch: int) -> Iterator[TrainingDisplay]:
    """A live display for the time of a training."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=None),
        TextColumn("{task.fields[numbers]}"),
        TimeElapsedColumn(),
        Left(),
    )
    shown = CONSOLE.is_terminal
    with Bars(*columns, console=CONSOLE, disable=not shown, transient=True, expand=True) as progress:
        yield TrainingDisplay(progress, spec, batches_per_epoch)


@contextmanager
def interruptible(what: str, *, quiet: bool = False) -> Iterator[Callable[[], bool]]:
    """While inside, the first Ctrl-C or SIGTERM only raises a flag, and says what is waited for; a second ends all.

    It says nothing where it is ``quiet``, as another process says the same.
    """
    raised = False

    def handle(number: int, frame: Any) -> None:
        nonlocal raised
        if raised:
            raise KeyboardInterrupt
        raised = True
        if not quiet:
            say(f"stopping after this {what} (Ctrl-C again to stop at once)")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield lambda: raised
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

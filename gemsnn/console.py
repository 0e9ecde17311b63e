"""What a person sees while a command runs. Everything here goes to standard error; results go to standard output."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

if TYPE_CHECKING:
    from gemsnn.train import TrainSpec, Update

CONSOLE = Console(stderr=True, highlight=False, soft_wrap=True)


def say(text: str) -> None:
    """One line for the person."""
    CONSOLE.print(text, markup=False)


@contextmanager
def status(text: str) -> Iterator[None]:
    """Say what is being waited for; a spinner where standard error is a terminal."""
    if not CONSOLE.is_terminal:
        say(text)
    with CONSOLE.status(text):
        yield


def bar(items: Iterable[Any], total: int, what: str) -> Iterator[Any]:
    """Pass the items on under a progress bar, which goes away when they are done."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=CONSOLE, transient=True) as progress:
        yield from progress.track(items, total=total, description=what)


class TrainingDisplay:
    """The live line of a training: epoch, bar, loss, bound, hidden rate, effective sample size, time left.

    Where standard error is no terminal, a plain line per epoch stands in for it.
    """

    def __init__(self, progress: Progress, spec: TrainSpec, batches_per_epoch: int) -> None:
        self._progress = progress
        self._spec = spec
        self._task = progress.add_task("training", total=spec.epochs * batches_per_epoch, numbers="")
        self._validation = ""

    def show(self, update: Update, scores: dict[str, float] | None) -> None:
        """Take an update, and the validation's scores where there are new ones."""
        numbers = (
            f"loss {update.loss:7.2f}  bound {update.bound:8.2f}  "
            f"hidden {update.hidden_rate:5.3f}  ESS {update.ess:4.2f}"
        )
        if scores:
            self._validation = (
                f"  validation: {scores['accuracy']:.1%} right, ECE {scores['ece']:.3f}, "
                f"log-likelihood {scores['log_likelihood']:.1f}"
            )
            if scores["quiet"] or scores["saturated"]:
                self._validation += f", hidden: {scores['quiet']} quiet, {scores['saturated']} saturated"
        epoch = f"epoch {update.epoch:>{len(str(self._spec.epochs))}}/{self._spec.epochs}"
        self._progress.update(
            self._task,
            completed=update.learner.batches,
            description=epoch,
            numbers=numbers + self._validation,
        )
        if update.ends_epoch and not CONSOLE.is_terminal:
            say(f"{epoch}  {numbers}{self._validation if scores else ''}")


@contextmanager
def training_display(spec: TrainSpec, batches_per_epoch: int) -> Iterator[TrainingDisplay]:
    """A live display for the time of a training."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[numbers]}"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=CONSOLE, disable=not CONSOLE.is_terminal) as progress:
        yield TrainingDisplay(progress, spec, batches_per_epoch)

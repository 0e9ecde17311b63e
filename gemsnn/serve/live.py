"""A sensor before the network while it happens: ``gemsnn stream``, with all that the page draws.

The source, the bins, the silence and how far behind an answer may be are those of :mod:`gemsnn.streaming`. The network
runs without end, and an answer rests on the last bins, as many as count in a recording; time is told in stretches of
the trained length, which begin one when the other ends. A source that comes when it happens is heard once for all who
look; a file is read by each from its beginning.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gemsnn import streaming
from gemsnn.data.events import mended
from gemsnn.data.sharing import Shared
from gemsnn.data.sources import Source, open_source
from gemsnn.errors import InputError, one_line
from gemsnn.learn.decisions import Decision
from gemsnn.model.network import Params
from gemsnn.serve import shown
from gemsnn.serve.served import Served
from gemsnn.serve.showing import Bin, answers_of
from gemsnn.streaming.labels import Labels
from gemsnn.streaming.session import Session
from gemsnn.streaming.spec import StreamSpec, Task, cautions, task_of

WAITING = 16
"""Lines that wait for whoever reads them; of one who is slower, bins are dropped."""

GLANCE_S = 0.1
"""How often it is looked whether somebody has asked for something else."""


class Look(NamedTuple):
    """How somebody looks.

    Attributes:
        params: of their network; they stay as they are.
        number: addresses the noise.
        bins: after which it ends, or ``None``.
        turn: held while a network steps, for networks take turns.
    """

    params: Params
    number: int
    bins: int | None
    turn: threading.Lock


class Live:
    """What a server hears live.

    Args:
        served: the network.
        given: the source, in the words of ``gemsnn stream --input``.

    Attributes:
        name: of the source, as a person is told.
        notes: what a person should know.

    Raises:
        InputError: there is no such source, or it does not fit the network.
    """

    def __init__(self, served: Served, given: str) -> None:
        self.name = "standard input" if given == "-" else given
        self._served, self._given = served, given
        source = self._open()
        try:
            self.task(source, StreamSpec())
            repairs = mended(source.repairs)
        except InputError:
            source.close()
            raise
        self.notes = (*repairs, *cautions(StreamSpec(), served.model.settings, served.model))
        self._shared = Shared(source) if source.live else None
        if self._shared is None:
            source.close()

    def _open(self) -> Source:
        model = self._served.model
        return open_source(self._given, time_unit=model.reading.time_unit or model.settings.data.time_unit)

    def start(self) -> str | None:
        """Begin to listen; what a person should hear of it."""
        return None if self._shared is None else self._shared.start()

    def close(self) -> None:
        """Let go of the source."""
        if self._shared is not None:
            self._shared.close()

    def task(self, source: Source, spec: StreamSpec) -> Task:
        """What a stream of this source has to do."""
        model = self._served.model
        task = task_of(spec, model.settings, model, source.sensor)
        streaming.check_lag(spec, task, source)
        return task

    async def lines(self, look: Look, stopped: Callable[[], bool]) -> AsyncIterator[dict[str, Any]]:
        """What is to be seen, until the source ends or somebody asks for something else."""
        loop, over = asyncio.get_running_loop(), threading.Event()
        waiting: asyncio.Queue[dict[str, Any]] = asyncio.Queue(WAITING)

        def put(line: dict[str, Any]) -> None:
            if over.is_set():
                return
            handed = asyncio.run_coroutine_threadsafe(waiting.put(line), loop)
            while not over.is_set():
                try:
                    handed.result(GLANCE_S)
                except concurrent.futures.TimeoutError:
                    continue
                return
            handed.cancel()

        threading.Thread(target=self._look, args=(look, put, over.is_set), daemon=True).start()
        try:
            while not stopped():
                try:
                    line = await asyncio.wait_for(waiting.get(), GLANCE_S)
                except (asyncio.TimeoutError, TimeoutError):
                    continue
                yield line
                if line["line"] == "stopped":
                    return
            yield _stopped("something else was asked for")
        finally:
            over.set()

    def _look(self, look: Look, put: Callable[[dict[str, Any]], None], over: Callable[[], bool]) -> None:
        """Let a network of one's own run on what comes; in a thread of its own."""
        why = "the server has met with an error"
        try:
            source = self._open() if self._shared is None else self._shared.listen()
            try:
                spec = StreamSpec(compartments=self._served.compartments, address=look.number, bins=look.bins)
                seen = Seen(self._served, spec, self.task(source, spec), source, look, put)
                put(self._begun(seen))
                ended = seen.run(over)
                why = f"{self.name} has ended" if ended else "as many bins as were asked for have passed"
            finally:
                source.close()
        except InputError as error:
            why = one_line(error)
        finally:
            put(_stopped(why))

    def _begun(self, seen: Seen) -> dict[str, Any]:
        served = self._served
        return {
            "line": "begin", "live": self.name, "bins": served.steps, "begins": 0, "window": seen.task.online.window,
            "neurons": len(shown.drawn_neurons(served)), "notes": list(self.notes), "label": None, "picture": None,
            "path": None,
        }  # fmt: skip


class Seen(Session):
    """A stream whose lines are those of a bin that is shown, with what a stream's line has beside."""

    def __init__(
        self, served: Served, spec: StreamSpec, task: Task, source: Source, look: Look,
        put: Callable[[dict[str, Any]], None],
    ) -> None:  # fmt: skip
        labels = Labels([], task.arrivals.layout.bin_us)
        super().__init__(spec, task, source, labels, _Lines(put), {}, params=look.params)
        self._served, self._look, self._temperatures = served, look, served.temperatures
        self._inputs: Tensor | None = None

    def step(self, spikes: Tensor, target: int | None) -> list[Decision]:
        """See :meth:`gemsnn.streaming.session.Session.step`."""
        with self._look.turn:
            self._inputs = spikes
            return super().step(spikes, target)

    def line(self, decision: Decision) -> dict[str, Any]:
        """See :meth:`gemsnn.streaming.session.Session.line`."""
        done, inputs = self.learner.activity, self._inputs
        assert done is not None
        assert inputs is not None
        assert len(inputs) == 1  # at the pace of a sensor bins pass one by one
        silent = torch.tensor([decision.reason is not None])
        said = answers_of(self.task.online.decoder, self._temperatures, done, silent)[0]
        presentation, number = divmod(decision.bin, self._served.steps)
        found = Bin(
            number, inputs[0], done.hidden[:, 0], done.visible[:, 0], done.votes[:, 0], said, None, decision.target
        )  # fmt: skip
        told = super().line(decision)
        kept = {
            name: told[name]
            for name in ("time_us", "lag_ms", "dropped_bins", "late_events", "outside_events", "damaged")
        }
        return shown.bin_line(self._served, found) | {"presentation": presentation} | kept


class _Lines:
    """Lines of a stream, handed on."""

    def __init__(self, put: Callable[[dict[str, Any]], None]) -> None:
        self._put = put

    def write(self, text: str, /) -> None:
        if text:
            self._put(json.loads(text))

    def flush(self) -> None:
        """Nothing waits."""


def _stopped(why: str) -> dict[str, Any]:
    return {"line": "stopped", "detail": why}

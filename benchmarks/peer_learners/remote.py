"""A learner in another environment, at the other end of a pipe: what is asked and answered are arrays.

``python remote.py`` is that end: its first line is what the learner is made of, then come frames on standard input, and
answers go to standard output. It ends when its input does.
"""

from __future__ import annotations

import io
import json
import resource
import struct
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np

if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parents[1]))

from peer_learners.shown import Answer, Batch, Learner, Settings, Shape

LENGTH = struct.Struct("<Q")


def send(pipe: IO[bytes], **arrays: Any) -> None:
    """Write arrays as one frame."""
    held = io.BytesIO()
    np.savez(held, **arrays)
    pipe.write(LENGTH.pack(held.tell()))
    pipe.write(held.getbuffer())
    pipe.flush()


def receive(pipe: IO[bytes]) -> dict[str, Any]:
    """The arrays of the next frame.

    Raises:
        EOFError: the other end has closed the pipe.
    """
    head = pipe.read(LENGTH.size)
    if len(head) < LENGTH.size:
        raise EOFError
    body = pipe.read(LENGTH.unpack(head)[0])
    with np.load(io.BytesIO(body)) as held:
        return {name: held[name] for name in held.files}


def made(of: dict[str, Any]) -> Learner:
    """The learner that a line of JSON describes."""
    shape, settings = Shape(*of["shape"]), Settings(*of["settings"])
    if of["kind"].startswith("snntorch"):
        from peer_learners.backpropagated import Backpropagated

        return Backpropagated(of["kind"], shape, settings, of["seed"])
    from peer_learners.online import Online

    return Online(of["kind"], shape, settings, of["seed"])


class Remote:
    """A learner whose work is done at the other end of two pipes."""

    def __init__(self, to: IO[bytes], back: IO[bytes]) -> None:
        self.to, self.back = to, back
        self.bytes = int(receive(back)["bytes"])

    def _ask(self, batch: Batch, lr: float) -> dict[str, Any]:
        packed = np.packbits(batch.spikes, axis=2)
        inputs = batch.spikes.shape[2]
        send(self.to, packed=packed, inputs=inputs, observed=batch.observed, labels=batch.labels, lr=lr)
        return receive(self.back)

    def learn(self, batch: Batch, lr: float) -> None:
        """Make one update, and wait for it."""
        self._ask(batch, lr)

    def answer(self, batch: Batch) -> Answer:
        """Answer without learning."""
        found = self._ask(batch, 0.0)
        self.peak = int(found.pop("peak"))
        return Answer(**found)


def serve(of: dict[str, Any], given: IO[bytes], back: IO[bytes]) -> None:
    """Do what is asked until nothing more is; a step size of 0 asks for an answer."""
    learner = made(of)
    send(back, bytes=learner.bytes)
    while True:
        try:
            asked = receive(given)
        except EOFError:
            return
        spikes = np.unpackbits(asked["packed"], axis=2, count=int(asked["inputs"]))
        batch, lr = Batch(spikes, asked["observed"], asked["labels"]), float(asked["lr"])
        if lr:
            learner.learn(batch, lr)
            send(back)
        else:
            peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            send(back, **learner.answer(batch)._asdict(), peak=peak)


if __name__ == "__main__":
    answers, sys.stdout = sys.stdout.buffer, sys.stderr  # what a library prints is no answer
    serve(json.loads(sys.stdin.buffer.readline()), sys.stdin.buffer, answers)

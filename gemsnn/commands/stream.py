"""``gemsnn stream``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gemsnn import streaming
from gemsnn.commands import flags
from gemsnn.streaming import StreamSpec

BASIC = (
    "model", "input", "speed", "every", "compartments", "threshold", "certified", "learn", "labels", "state",
)  # fmt: skip
"""What most streams say, if anything."""


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("stream", stream, words, BASIC)


def stream(
    model: Path,
    input: str,
    stream: StreamSpec = StreamSpec(),  # noqa: B008
) -> int:
    """Run a trained network on events as they come, a line of JSON an answer.

    docs/streams.md has the formats with examples, and what each field of a line means.

    Args:
        model: the run folder of a training, what a stream has saved (--state), or a model file.
        input: a file of events, - for lines of standard input, or
            udp://127.0.0.1:PORT for datagrams (0 takes a free port).
            A line is t,x,y,on (microseconds, column, row, 1 for ON)
            or label,T,C (from T on, or now, the class is C or none).
            A datagram is lines or, little-endian, events of 13 bytes:
            uint64 t, uint16 x, uint16 y, uint8 on.
        stream: how it runs.
    """
    return streaming.run(model, input, stream)

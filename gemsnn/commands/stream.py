"""``gemsnn stream``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gemsnn import streaming
from gemsnn.streaming import StreamSpec


def make(_: Sequence[str]) -> Callable[..., int]:
    """The command."""
    return stream


def stream(
    model: Path,
    input: str,
    stream: StreamSpec = StreamSpec(),  # noqa: B008
) -> int:
    """Run a trained network on events as they come, a line of JSON an answer.

    Args:
        model: the run folder of a training.
        input: a file of events, - for lines of text on standard input, or udp://127.0.0.1:PORT.
        stream: how it runs.
    """
    return streaming.run(model, input, stream)

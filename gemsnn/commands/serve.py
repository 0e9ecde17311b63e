"""``gemsnn serve``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from gemsnn import serve as serving
from gemsnn.commands import flags
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, NotNegative, Range


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("serve", serve, words)


def serve(
    run: tyro.conf.Positional[Path],
    input: str | None = None,
    host: str = serving.HOME,
    port: int = 8000,
    name: tuple[str, ...] = (),
    token_file: Path | None = None,
    compartments: int | None = None,
    lr: float | None = None,
) -> int:
    """Serve a trained network: a page to draw before it and to teach it, and an API.

    Needs pip install 'gemsnn[serve]'. docs/serve.md tells more. The line that it prints is the page's address; the API
    describes itself under /openapi.json.

    Args:
        run: the run folder of a training, or a model file.
        input: what the page may show live, as gemsnn stream reads it: udp://127.0.0.1:PORT for datagrams (0 takes a
            free port), - for lines of standard input, or a file of events.
        host: the address to listen on; only this computer reaches the default.
        port: 0 takes a free one.
        name: names by which the server may be called, beside addresses and localhost.
        token_file: a file with the token that teaching needs; by default a new one is made and printed.
        compartments: that answer, K; by default as many as the run's certificate is about, else 20.
        lr: the step size of a lesson; by default a quarter of the run's, for a lesson is one recording and no batch.
    """
    checks.number(port, Annotated[int, Range(0, 65535)], "port")
    if compartments is not None:
        checks.number(compartments, Annotated[Count, Range(1, 200)], "compartments")
    if lr is not None:
        checks.number(lr, NotNegative, "lr")
    return serving.run(
        run,
        host=host,
        port=port,
        names=name,
        token_file=token_file,
        compartments=compartments,
        lr=lr,
        source=input,
    )

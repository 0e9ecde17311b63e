"""The command ``gemsnn serve``: a page and an API before a trained network.

::

    drawing -> emulated camera -> bins -> a session's network, bin by bin -> lines of JSON -> the page
    live source ------------------^

Read :mod:`~gemsnn.serve.served` (what is loaded), :mod:`~gemsnn.serve.sensing` (drawings),
:mod:`~gemsnn.serve.showing` (a recording before the network), :mod:`~gemsnn.serve.live` (a sensor),
:mod:`~gemsnn.serve.sessions`, and :mod:`~gemsnn.serve.app` (the routes) behind :mod:`~gemsnn.serve.guard`.
"""

from __future__ import annotations

import secrets
import socket
from pathlib import Path
from typing import Any

from gemsnn.errors import InputError
from gemsnn.runs import console
from gemsnn.types import AnyPath

HOME = "127.0.0.1"
"""The address that only this computer reaches."""

MOST_TOKEN = 1000


def run(
    model: AnyPath, *, host: str = HOME, port: int = 8000, names: tuple[str, ...] = (),
    token_file: AnyPath | None = None, compartments: int | None = None, lr: float | None = None,
    source: str | None = None,
) -> int:  # fmt: skip
    """Serve a trained network until somebody stops it; the exit code.

    ``source`` is what it hears live, in the words of ``gemsnn stream --input``.

    Raises:
        InputError: there is no model, the libraries of the extra ``serve`` are missing, the port is taken, or there is
            no such source.
    """
    try:
        import uvicorn

        from gemsnn.serve import served as loading
        from gemsnn.serve.app import application
        from gemsnn.serve.live import Live
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("gemsnn"):
            raise
        raise InputError(f"{error.name} is not installed; run pip install 'gemsnn[serve]'") from None
    token = secrets.token_urlsafe(16) if token_file is None else read_token(token_file)
    with listening(host, port) as listener:
        found = loading.load(model, compartments, lr)
        live = None if source is None else Live(found, source)
        for note in (*found.notes, *(() if live is None else live.notes)):
            console.say(f"note: {note}")
        app = application(found, token, hosts=names, run=Path(model).resolve().name, live=live)
        there = listener.getsockname()[1]
        shown = f"[{host}]" if ":" in host else host
        console.say(f"http://{HOME if host in ('0.0.0.0', '::') else shown}:{there}/#token={token}")
        if host not in (HOME, "::1", "localhost"):
            console.say(
                f"note: whoever reaches {host}:{there} over the network can ask this network, without encryption; "
                "teaching needs the token"
            )
        console.say("Ctrl-C stops the server")
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, server_header=False, limit_concurrency=64,
            timeout_keep_alive=5, timeout_graceful_shutdown=2, proxy_headers=False, ws="none",
        )  # fmt: skip
        try:
            heard = None if live is None else live.start()
            if heard is not None:
                console.say(heard)
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            if live is not None:
                live.close()
    return 0


def listening(host: str, port: int) -> socket.socket:
    """A socket that listens.

    Raises:
        InputError: it cannot.
    """
    try:
        kind, _, _, _, there = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return _bound(kind, there)
    except OSError as error:
        raise InputError(
            f"nothing can listen on {host} port {port} ({error.strerror}); choose another --port (0 takes a free one) "
            "or --host"
        ) from None


def _bound(kind: int, there: Any) -> socket.socket:
    listener = socket.socket(kind, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(there)
        listener.listen(128)
    except OSError:
        listener.close()
        raise
    return listener


def read_token(path: AnyPath) -> str:
    """The token that a file holds.

    Raises:
        InputError: there is no such file, or it holds none.
    """
    try:
        text = Path(path).read_bytes()[:MOST_TOKEN].decode().strip()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path} cannot be read; give a file with a token on one line") from None
    if not (len(text) >= 8 and text.isascii() and text.isprintable() and " " not in text):
        raise InputError(f"{path} must hold a token of at least 8 letters, digits and signs without spaces")
    return text

"""A small certified run of digits that the tests of the server share, and digits as strokes."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import uvicorn

from gemsnn import serve
from gemsnn.commands.cli import main
from gemsnn.serve.app import application
from gemsnn.serve.live import Live
from gemsnn.serve.served import Served

TOKEN = "open-for-tests"

TRAIN = [
    "train", "--limit", "120", "--epochs", "4", "--hidden", "16", "--steps", "20", "--warm-up", "0.4", "--votes", "5",
]  # fmt: skip
"""In seconds, a network that tells digits apart well enough to be taught."""


def arc(cx: float, cy: float, rx: float, ry: float, begin: float, end: float) -> list[tuple[float, float]]:
    return [
        (cx + rx * float(np.cos(angle)), cy + ry * float(np.sin(angle)))
        for angle in np.radians(np.linspace(begin, end, 24))
    ]


STROKES = {
    "1": [[(0.42, 0.3), (0.52, 0.2), (0.52, 0.8)]],
    "5": [[(0.66, 0.2), (0.38, 0.2), (0.36, 0.47), *arc(0.48, 0.62, 0.19, 0.18, -130, 140)]],
    "4": [[(0.5, 0.2), (0.32, 0.58), (0.7, 0.58)], [(0.58, 0.4), (0.58, 0.82)]],
}
"""Digits on a sheet whose side is 1."""


def drawing(name: str) -> dict[str, Any]:
    return {"kind": "drawing", "strokes": STROKES[name]}


def certified_run(folder: Path) -> Path:
    """Train and certify a run."""
    run = folder / "run"
    assert main([*TRAIN, "--out", str(run)]) == 0
    assert main(["certify", str(run), "--risk", "0.3", "--votes", "5"]) == 0
    return run


@contextlib.contextmanager
def running(served: Served, **more: Any) -> Iterator[str]:
    """The server on a free port of this computer, and its address; ``more`` is the application's."""
    listener = serve.listening(serve.HOME, 0)
    config = uvicorn.Config(
        application(served, TOKEN, run="run", **more), log_level="warning", ws="none", lifespan="off"
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        while not server.started:
            time.sleep(0.01)
        yield f"http://{serve.HOME}:{listener.getsockname()[1]}/"
    finally:
        server.should_exit = True
        thread.join(10)
        listener.close()


@contextlib.contextmanager
def asking(served: Served, **more: Any) -> Iterator[httpx.Client]:
    """The same, and a client that asks it."""
    with running(served, **more) as address, httpx.Client(base_url=address, timeout=120) as client:
        yield client


def drag(page, name: str) -> None:
    """Draw a digit with the mouse."""
    page.locator("#pad").scroll_into_view_if_needed()
    box = page.locator("#pad").bounding_box()
    for stroke in STROKES[name]:
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in stroke]
        page.mouse.move(*places[0])
        page.mouse.down()
        for place in places[1:]:
            page.mouse.move(*place, steps=2)
        page.mouse.up()


@contextlib.contextmanager
def hearing(served: Served) -> Iterator[tuple[Live, int]]:
    """What hears datagrams on a free port of this computer, and the port."""
    live = Live(served, "udp://127.0.0.1:0")
    heard = live.start()
    assert heard is not None
    try:
        yield live, int(heard.rsplit(":", 1)[1])
    finally:
        live.close()


@contextlib.contextmanager
def sending(port: int) -> Iterator[None]:
    """A sensor on which ON events run along the columns 3 to 6 of row 4, 500 in a second."""
    over = threading.Event()

    def send() -> None:
        begun, number = time.monotonic(), 0
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not over.wait(0.01):
                until = int((time.monotonic() - begun) * 500)
                lines = [f"{2000 * each},{3 + each % 4},4,1" for each in range(number, until)]
                if lines:
                    sender.sendto("\n".join(lines).encode(), ("127.0.0.1", port))
                number = until

    thread = threading.Thread(target=send, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

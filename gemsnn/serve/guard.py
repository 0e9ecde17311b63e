"""Who may ask, and how much: checks that come before any request is looked at.

* **Host**: a page of another site whose name is made to lead to this computer (DNS rebinding) names that site as its
  host. Addresses, ``localhost`` and the names that were allowed are let through, for nobody can rebind an address.
* **Origin**: a page of another site may not change anything: its origin must be this server.
* **Length**: what is sent is counted as it comes, whatever its header says.

Every response forbids whatever the page does not need.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

READS = ("GET", "HEAD")
CONTENT = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": CONTENT,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cache-control": "no-store",
}


class Guard:
    """Refuses requests before the application sees them.

    Args:
        app: the application.
        hosts: names by which the server may be called, beside addresses and ``localhost``.
        largest: bytes of a request's body, at most.
    """

    def __init__(self, app: ASGIApp, hosts: Collection[str] = (), largest: int = 2**23) -> None:
        self._app, self._largest = app, largest
        self._hosts = {"localhost", *(host.lower().rstrip(".") for host in hosts)}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            await send({"type": "websocket.close", "code": 1008})
            return

        async def sent(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [
                    *message.get("headers", ()),
                    *((name.encode(), value.encode()) for name, value in HEADERS.items()),
                ]
            await send(message)

        refusal = self._refusal(scope)
        if refusal is not None:
            await _refuse(sent, *refusal)
            return
        come = 0

        async def received() -> Message:
            nonlocal come
            message = await receive()
            if message["type"] == "http.request":
                come += len(message.get("body", b""))
                if come > self._largest:
                    raise HTTPException(413, self._too_long)
            return message

        await self._app(scope, received, sent)

    @property
    def _too_long(self) -> str:
        return f"the request is longer than {self._largest} bytes; send less"

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        headers = scope["headers"]
        hosts = list(_values(headers, b"host"))
        if len(hosts) != 1 or not self._known(hosts[0]):
            return (
                421,
                "this server does not answer by that name; call it by its address, or allow the name (--name)",
            )
        if scope["method"] in READS:
            return None
        for origin in _values(headers, b"origin"):
            if _place_of(origin) != hosts[0].lower():
                return 403, "a page of another site may not ask this"
        if any(value in ("cross-site", "same-site") for value in _values(headers, b"sec-fetch-site")):
            return 403, "a page of another site may not ask this"
        for length in _values(headers, b"content-length"):
            if not length.isdecimal() or int(length[:20]) > self._largest:
                return 413, self._too_long
        return None

    def _known(self, host: str) -> bool:
        name = _name_of(host)
        if name is None:
            return False
        try:
            ipaddress.ip_address(name)
        except ValueError:
            return name in self._hosts
        return True


def _values(headers: Iterable[tuple[bytes, bytes]], wanted: bytes) -> Iterable[str]:
    return (value.decode("latin-1").strip() for name, value in headers if name == wanted)


def _name_of(host: str) -> str | None:
    """The name in ``name:port``, an address of IPv6 without its brackets; ``None`` where it is neither."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port
    except ValueError:
        return None
    if parts.netloc != host or "@" in host or parts.hostname is None:
        return None
    return parts.hostname.rstrip(".")


def _place_of(origin: str) -> str | None:
    """Host and port of an origin; ``None`` where it has none."""
    try:
        return urlsplit(origin).netloc.lower() or None
    except ValueError:
        return None


async def _refuse(send: Send, status: int, why: str) -> None:
    body = json.dumps({"detail": why}).encode()
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})

"""The server: a page, and the API behind it.

A step of a network takes about a millisecond of one core, so one thread steps all networks, and sessions take turns,
some bins at a time.
"""

import asyncio
import hmac
import json
import threading
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from importlib import metadata, resources
from typing import Annotated, Any, TypeVar

import anyio.to_thread
from anyio import CapacityLimiter
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, StreamingResponse
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.types import ASGIApp

from gemsnn.errors import InputError, one_line
from gemsnn.serve import schemas, shown
from gemsnn.serve.guard import Guard
from gemsnn.serve.live import Live, Look
from gemsnn.serve.metrics import Metrics
from gemsnn.serve.responses import (
    CROWDED,
    DEAF,
    LINES,
    LIVE,
    NOTHING,
    REFUSALS,
    STREAMED,
    UNAUTHORISED,
    UNKNOWN,
)
from gemsnn.serve.schemas import About, Answer, Ask, Health, Listen, SessionState, Show, Teach
from gemsnn.serve.served import Served
from gemsnn.serve.sessions import Full, Session, Sessions
from gemsnn.serve.showing import Outcome, Showing
from gemsnn.serve.shown import Material

LARGEST = 2**24
"""Bytes of a request, at most."""

BLOCK = 16
"""Bins that a network is shown before another has its turn."""

FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/pad.js": ("pad.js", "text/javascript; charset=utf-8"),
    "/views.js": ("views.js", "text/javascript; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
}
DESCRIPTION = """A trained spiking network: recordings in, class probabilities out.

`POST /api/answers` answers a recording at once. A session has a network of its own, to which recordings are shown bin
by bin, and which can be taught."""

Credentials = Annotated[HTTPAuthorizationCredentials | None, Depends(HTTPBearer(auto_error=False))]
Result = TypeVar("Result")


def application(
    served: Served,
    token: str,
    *,
    hosts: tuple[str, ...] = (),
    run: str = "",
    sessions: Sessions | None = None,
    live: Live | None = None,
) -> ASGIApp:
    """The server as an ASGI application.

    Args:
        served: the network.
        token: without which nothing can be taught.
        hosts: names by which it may be called, beside addresses and ``localhost``.
        run: what the page calls it.
        sessions: where networks are kept.
        live: what it hears live.
    """
    found = Server(served, token, run, sessions, live)
    return Guard(found.metrics.counting(found.app), hosts, LARGEST)


class Server:
    """What answers requests.

    Attributes:
        app: the application, without its guard.
        metrics: what has happened.
    """

    def __init__(
        self, served: Served, token: str, run: str = "", sessions: Sessions | None = None, live: Live | None = None
    ) -> None:  # fmt: skip
        self.metrics, self._live, self._stepping = Metrics(), live, threading.Lock()
        self._served, self._token, self._run = served, token.encode(), run
        self._sessions = Sessions(served.weights) if sessions is None else sessions
        self._turn: CapacityLimiter | None = None
        self.app = FastAPI(
            title="gemsnn", version=metadata.version("gemsnn"), description=DESCRIPTION, docs_url=None,
            redoc_url=None, openapi_url="/openapi.json",
        )  # fmt: skip
        self._describe()
        self._refuse()
        self._pages()
        self._routes()

    # -- what everything needs ---------------------------------------------------------------------------------

    async def _work(self, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do what takes time in the one thread that does."""
        if self._turn is None:
            self._turn = CapacityLimiter(1)
        return await anyio.to_thread.run_sync(partial(self._in_turn, work, *arguments), limiter=self._turn)

    def _in_turn(self, work: Callable[..., Result], *arguments: Any) -> Result:
        with self._stepping:  # which whoever looks at a live source has threads of their own for
            return work(*arguments)

    def _permit(self, credentials: HTTPAuthorizationCredentials | None) -> None:
        given = b"" if credentials is None else credentials.credentials.encode()
        if not hmac.compare_digest(given, self._token):
            raise HTTPException(
                401, "this changes the network, which needs the token that the server printed at its start",
                {"WWW-Authenticate": "Bearer"},
            )  # fmt: skip

    def _session(self, id: str) -> Session:
        found = self._sessions.get(id)
        if found is None:
            raise HTTPException(404, "there is no such session (any more); make a new one")
        return found

    def _state(self, session: Session) -> SessionState:
        return SessionState(
            id=session.id, lessons=session.weights.lessons, undoable=session.undoable,
            idle_s=self._sessions.idle(session), expires_s=self._sessions.idle_s,
        )  # fmt: skip

    def _describe(self) -> None:
        usual = self.app.openapi

        def openapi() -> dict[str, Any]:
            if self.app.openapi_schema is None:
                self.app.openapi_schema = schemas.bounded(usual(), self._served)
            return self.app.openapi_schema

        self.app.openapi = openapi  # type: ignore[method-assign]

    def _refuse(self) -> None:
        """Every refusal is one sentence."""

        @self.app.exception_handler(InputError)
        async def unusable(request: Request, error: InputError) -> Response:
            del request
            return _problem(503 if isinstance(error, Full) else 422, error)

        @self.app.exception_handler(RequestValidationError)
        async def invalid(request: Request, error: RequestValidationError) -> Response:
            del request
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"][1:]) or "the body"
            return _problem(422, f"{where}: {first['msg']}")

        @self.app.exception_handler(StarletteHTTPException)
        async def refused(request: Request, error: StarletteHTTPException) -> Response:
            del request
            return _problem(error.status_code, error.detail, error.headers)

    # -- routes ------------------------------------------------------------------------------------------------

    def _pages(self) -> None:
        for path, (name, kind) in FILES.items():
            content = (resources.files("gemsnn.serve") / "static" / name).read_bytes()
            self.app.add_api_route(path, partial(_file, content, kind), include_in_schema=False)

        @self.app.get("/metrics", include_in_schema=False)
        async def metrics() -> Response:
            self.metrics.sessions.set(len(self._sessions))
            return Response(self.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")

        @self.app.get("/health")
        async def health() -> Health:
            """Whether the server works."""
            return Health(status="ok", sessions=len(self._sessions), version=metadata.version("gemsnn"))

    def _routes(self) -> None:
        app = self.app

        def permitted(credentials: Credentials) -> None:
            self._permit(credentials)

        @app.get("/api/model", responses=REFUSALS)
        async def model() -> About:
            """The network that is served."""
            return self._about()

        @app.post("/api/answers", responses=REFUSALS)
        async def answers(asked: Ask) -> Answer:
            """Answer a recording at once, by the network as it was trained."""
            if asked.compartments is not None and asked.compartments > self._served.compartments:
                raise InputError(f"compartments must be at most {self._served.compartments}")
            given = await self._work(shown.material, self._served, asked.shown, asked.seed)
            showing = await self._work(Showing, self._served, self._served.weights, given.bins, given.number)
            while not showing.over:
                await self._stepped(showing, 4 * BLOCK)
            outcome = showing.outcome()
            said = shown.answer(self._served, outcome, int(given.bins.sum()), asked.compartments)
            self.metrics.answers.labels(said.finding).inc()
            return said

        @app.post("/api/sessions", status_code=201, responses=REFUSALS | CROWDED)
        async def begin() -> SessionState:
            """Begin a session with a network of its own, as it was trained."""
            return self._state(self._sessions.make())

        @app.get("/api/sessions/{id}", responses=REFUSALS | UNKNOWN)
        async def session(id: str) -> SessionState:
            """How a session stands."""
            return self._state(self._session(id))

        @app.delete("/api/sessions/{id}", status_code=204, responses=REFUSALS | UNKNOWN)
        async def end(id: str) -> None:
            """End a session; its network is forgotten."""
            self._sessions.drop(self._session(id))

        @app.post(
            "/api/sessions/{id}/show", responses=REFUSALS | UNKNOWN | STREAMED, response_class=StreamingResponse
        )  # fmt: skip
        async def show(id: str, asked: Show) -> StreamingResponse:
            """Show a recording to the session's network, bin by bin."""
            session = self._session(id)
            given = await self._work(shown.material, self._served, asked.shown, asked.seed)
            return self._stream(session, given, None, real_time=asked.real_time)

        @app.post(
            "/api/sessions/{id}/teach", responses=REFUSALS | UNKNOWN | UNAUTHORISED | STREAMED,
            response_class=StreamingResponse, dependencies=[Depends(permitted)],
        )  # fmt: skip
        async def teach(id: str, asked: Teach) -> StreamingResponse:
            """Show a recording and teach it; the lesson counts once the recording has been shown to its end."""
            session, target = self._session(id), self._target(asked.label)
            given = await self._work(shown.material, self._served, asked.shown, asked.seed)
            return self._stream(session, given, target, real_time=asked.real_time)

        @app.post(
            "/api/sessions/{id}/file", responses=REFUSALS | UNKNOWN | STREAMED, response_class=StreamingResponse,
            openapi_extra={"requestBody": {"required": True, "content": {
                "application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
        )  # fmt: skip
        async def file(
            id: str, request: Request, seed: Annotated[int, Query(ge=0, lt=2**32)] = 0, real_time: bool = True
        ) -> StreamingResponse:
            """Show a file of events, of any kind that `gemsnn info` knows."""
            session = self._session(id)
            content = await request.body()
            given = await self._work(shown.of_file, self._served, content, seed)
            return self._stream(session, given, None, real_time=real_time)

        @app.post(
            "/api/sessions/{id}/live", responses=REFUSALS | UNKNOWN | DEAF | LIVE, response_class=StreamingResponse
        )  # fmt: skip
        async def live(id: str, asked: Listen) -> StreamingResponse:
            """Let the session's network see the live source, as `gemsnn stream` does, until it is stopped."""
            session = self._session(id)
            if self._live is None:
                raise HTTPException(
                    409, "the server was started without a live source; give it one (--input)"
                )
            session.turn += 1
            return StreamingResponse(self._seen(self._live, session, session.turn, asked), media_type=LINES)

        @app.post(
            "/api/sessions/{id}/undo", responses=REFUSALS | UNKNOWN | UNAUTHORISED | NOTHING,
            dependencies=[Depends(permitted)],
        )  # fmt: skip
        async def undo(id: str) -> SessionState:
            """Take the last lesson back; the weights are again what they were, to the bit."""
            session = self._session(id)
            session.turn += 1
            async with session.lock:
                if not session.undo():
                    raise HTTPException(409, "there is no lesson to take back")
            self.metrics.undone.inc()
            return self._state(session)

    def _target(self, label: str) -> int:
        names = self._served.model.names
        if label not in names:
            raise InputError(f"label must be one of {', '.join(names)}, not {label}")
        if self._served.unteachable is not None:
            raise InputError(f"this network cannot be taught: {self._served.unteachable}")
        return names.index(label)

    def _about(self) -> About:
        served, model = self._served, self._served.model
        part, layout = served.recordings, model.reading.layout
        return About(
            run=self._run, names=list(model.names), compartments=served.compartments,
            hidden=model.network.spec.hidden_neurons, width=layout.width, height=layout.height,
            channels=layout.channels, inputs=layout.inputs, bin_us=layout.bin_us, steps=served.steps,
            begins=served.begins(served.steps), decoder=served.decoder, counts=model.reading.counts,
            draws=served.camera is not None, live=None if self._live is None else self._live.name,
            mirrored=served.camera is not None and served.camera.spec.mirrored,
            promise=None if served.certificate is None else served.certificate.promise,
            teaches=served.unteachable is None, unteachable=served.unteachable,
            recordings=[] if part is None else [
                schemas.RecordingOffered(number=number, label=model.names[label])
                for number, label in enumerate(part.labels.tolist())
            ],
            largest_file=LARGEST, notes=list(served.notes),
        )  # fmt: skip

    # -- showing -----------------------------------------------------------------------------------------------

    async def _stepped(self, showing: Showing, count: int) -> list[Any]:
        begun = time.perf_counter()
        bins = await self._work(showing.step, count)
        self.metrics.step.observe((time.perf_counter() - begun) / len(bins))
        self.metrics.bins.inc(len(bins))
        return bins

    def _stream(
        self, session: Session, given: Material, target: int | None, *, real_time: bool
    ) -> StreamingResponse:
        session.turn += 1
        lines = self._lines(session, session.turn, given, target, real_time=real_time)
        return StreamingResponse(lines, media_type=LINES)

    async def _lines(
        self, session: Session, turn: int, given: Material, target: int | None, *, real_time: bool
    ) -> AsyncIterator[bytes]:
        """Show a recording, a line at a time. What is taught counts once it has been shown to its end."""
        async with session.lock:
            if session.turn != turn:
                yield _line({"line": "stopped"})
                return
            served, width = self._served, self._served.model.reading.layout.bin_us / 1e6
            showing = await self._work(Showing, served, session.weights, given.bins, given.number, target)
            yield _line(self._begun(given))
            begun = time.monotonic()
            while not showing.over:
                if session.turn != turn:
                    yield _line({"line": "stopped"})
                    return
                count = BLOCK
                if real_time:
                    passed = (time.monotonic() - begun) / width
                    await asyncio.sleep(max(0.0, (showing.passed + 1 - passed) * width))
                    count = max(1, min(BLOCK, int((time.monotonic() - begun) / width) - showing.passed))
                for bin in await self._stepped(showing, count):
                    yield _line(shown.bin_line(served, bin))
            yield _line(self._ended(session, showing.outcome(), given, taught=target is not None))

    async def _seen(self, live: Live, session: Session, turn: int, asked: Listen) -> AsyncIterator[bytes]:
        """What a session's network makes of the live source, a line at a time."""
        async with session.lock:
            look = Look(session.weights.params, asked.seed, asked.bins, self._stepping)
            async for line in live.lines(look, lambda: session.turn != turn):
                self.metrics.bins.inc(line["line"] == "bin")
                yield _line(line)

    def _begun(self, given: Material) -> dict[str, Any]:
        served, picture = self._served, given.picture
        path = None
        if picture is not None and served.camera is not None:
            path = served.camera.path(served.model.reading.layout.bin_us, len(given.bins))
        return {
            "line": "begin", "bins": len(given.bins), "begins": served.begins(len(given.bins)),
            "neurons": len(shown.drawn_neurons(served)), "notes": given.notes, "label": given.label,
            "picture": None if picture is None else picture.tolist(), "path": path,
        }  # fmt: skip

    def _ended(self, session: Session, found: Outcome, given: Material, *, taught: bool) -> dict[str, Any]:
        if taught:
            session.learn(found.weights)
            self.metrics.lessons.inc()
        said = shown.answer(self._served, found, int(given.bins.sum()))
        self.metrics.answers.labels(said.finding).inc()
        return {"line": "end", "answer": said.model_dump(), "session": self._state(session).model_dump()}


def _file(content: bytes, kind: str) -> Response:
    return Response(content, media_type=kind)


def _line(told: dict[str, Any]) -> bytes:
    return json.dumps(told, allow_nan=False, separators=(",", ":")).encode() + b"\n"


def _problem(status: int, why: object, headers: Any = None) -> Response:
    return JSONResponse({"detail": one_line(why)}, status, headers)

"""Numbers of what has happened, for Prometheus (https://prometheus.io/docs/instrumenting/exposition_formats)."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

STEP_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5)


class Metrics:
    """Counters of one server.

    Attributes:
        requests: by route, method and status.
        bins: that networks have been shown.
        step: seconds that a network takes for a bin.
        answers: by what was found.
        lessons: that were taught to their end.
        undone: that were taken back.
        sessions: that are alive.
    """

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        names = ("route", "method", "status")
        self.requests = Counter("gemsnn_requests", "Requests.", names, registry=registry)
        self.bins = Counter("gemsnn_bins", "Bins that networks were shown.", registry=registry)
        self.step = Histogram(
            "gemsnn_step_seconds", "Time of a network for a bin.", buckets=STEP_SECONDS, registry=registry
        )
        self.answers = Counter(
            "gemsnn_answers", "Answers at a recording's end.", ("finding",), registry=registry
        )
        self.lessons = Counter("gemsnn_lessons", "Recordings that were taught.", registry=registry)
        self.undone = Counter("gemsnn_undone", "Lessons that were taken back.", registry=registry)
        self.sessions = Gauge("gemsnn_sessions", "Sessions that are alive.", registry=registry)

    def text(self) -> bytes:
        """As Prometheus reads it."""
        return generate_latest(self._registry)

    def counting(self, app: ASGIApp) -> ASGIApp:
        """The application, whose requests are counted."""

        async def counted(scope: Scope, receive: Receive, send: Send) -> None:
            async def sent(message: Message) -> None:
                if message["type"] == "http.response.start":
                    route = getattr(scope.get("route"), "path", "none")
                    method = scope["method"] if route != "none" else "any"
                    self.requests.labels(route, method, str(message["status"])).inc()
                await send(message)

            await app(scope, receive, sent if scope["type"] == "http" else send)

        return counted

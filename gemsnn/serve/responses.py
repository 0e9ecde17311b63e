"""What routes answer beside what they are asked for, as their description has it."""

from __future__ import annotations

from typing import Any

from gemsnn.serve.schemas import Problem

LINES = "application/x-ndjson"
REFUSALS: dict[int | str, dict[str, Any]] = {
    number: {"model": Problem, "description": what}
    for number, what in {
        400: "The body cannot be read.",
        403: "A page of another site asked.",
        413: "The request is too long.",
        421: "The server is not called by its name.",
        422: "What was sent cannot be used.",
    }.items()
}
UNAUTHORISED: dict[int | str, dict[str, Any]] = {
    401: {"model": Problem, "description": "The token is missing or wrong."}
}
UNKNOWN: dict[int | str, dict[str, Any]] = {
    404: {"model": Problem, "description": "There is no such session."}
}
NOTHING: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "There is nothing to take back."}
}
DEAF: dict[int | str, dict[str, Any]] = {
    409: {"model": Problem, "description": "The server was started without a live source."}
}
CROWDED: dict[int | str, dict[str, Any]] = {
    503: {"model": Problem, "description": "There are too many sessions."}
}
STREAMED: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Lines of JSON: `begin`, a `bin` for each bin when it has passed, and `end` with the answer; or "
        "`stopped`, where the session was asked something else before the end.",
        "content": {LINES: {"schema": {"type": "string"}}},
    }
}
LIVE: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "Lines of JSON: `begin`, a `bin` for each bin when it has passed, counted anew in each "
        "`presentation`, a stretch of the trained length; and `stopped` with the reason, where the session was asked "
        "something else or nothing more will come.",
        "content": {LINES: {"schema": {"type": "string"}}},
    }
}

"""What requests and responses hold: the models behind the API's OpenAPI description.

Text and truth values are never taken for numbers. What depends on the network (how many inputs, classes and recordings
it has) is checked where it is used, and :func:`bounded` writes it into the description.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from gemsnn.serve.served import Served
from gemsnn.serve.showing import Finding

MOST_STROKES, MOST_PLACES = 64, 4000
MOST_EVENTS = 200_000
MOST_BINS = 4000
MOST_SPIKES = 100_000
"""Of a bin, at most; a recording is bounded by the length of a request."""

LATEST_US = 10**10


def _number(value: Any) -> Any:
    if isinstance(value, (str, bytes, bool)):
        raise ValueError("must be a number")
    return value


def _no_number(value: Any) -> Any:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        raise ValueError("must be true or false")
    return value


NUMBER = BeforeValidator(_number)
Address = Annotated[int, Field(ge=0, lt=2**32), NUMBER]
Place = Annotated[float, Field(ge=-1, le=2, allow_inf_nan=False), NUMBER]
Switch = Annotated[bool, BeforeValidator(_no_number)]


class Given(BaseModel):
    """What a request holds, and nothing else."""

    model_config = ConfigDict(extra="forbid")


class Drawing(Given):
    """A drawing, moved before the emulated event camera."""

    kind: Literal["drawing"]
    strokes: Annotated[
        list[Annotated[list[tuple[Place, Place]], Field(min_length=1, max_length=MOST_PLACES)]],
        Field(min_length=1, max_length=MOST_STROKES),
    ] = Field(description="Of each stroke the pen's places [x, y] on a sheet whose side is 1, y downwards.")


class Scribble(Given):
    """A random scribble, which is no class, before the same camera."""

    kind: Literal["scribble"]
    number: Annotated[int, Field(ge=0, le=10**9), NUMBER]


class Offered(Given):
    """One of the recordings that the server offers; it is answered with its own noise, as gemsnn evaluate does."""

    kind: Literal["recording"]
    number: Annotated[int, Field(ge=0), NUMBER]


Pixel = Annotated[int, Field(ge=0, lt=2**32), NUMBER]
Input = Pixel
Event = tuple[
    Annotated[int, Field(ge=0, le=LATEST_US), NUMBER], Pixel, Pixel, Annotated[int, Field(ge=0, le=1), NUMBER]
]


class EventsGiven(Given):
    """Events of a recording, in any order."""

    kind: Literal["events"]
    events: Annotated[list[Event], Field(max_length=MOST_EVENTS)] = Field(
        description="Each [t, x, y, on]: microseconds since the recording began, column, row, 1 for ON."
    )


class BinsGiven(Given):
    """Bins of a recording."""

    kind: Literal["bins"]
    bins: Annotated[
        list[Annotated[list[Input], Field(max_length=MOST_SPIKES)]],
        Field(min_length=1, max_length=MOST_BINS),
    ] = Field(
        description="Of each bin the numbers of the inputs that spike, channel fastest, then row, then column."
    )


Shown = Annotated[Drawing | Scribble | Offered | EventsGiven | BinsGiven, Field(discriminator="kind")]


class Ask(Given):
    """A recording to be answered."""

    shown: Shown
    seed: Address = Field(
        0, description="Addresses the noise of camera and compartments: the same gives the same."
    )
    compartments: Annotated[int, Field(ge=1), NUMBER] | None = Field(
        None, description="K_I, how many of the compartments answer; all, if left out."
    )


class Show(Given):
    """A recording to be shown to a session's network, bin by bin."""

    shown: Shown
    seed: Address = Field(
        0, description="Addresses the noise of camera and compartments: the same gives the same."
    )
    real_time: Switch = Field(
        True, description="Bins pass as slowly as they do for a sensor, or as fast as can be."
    )


class Teach(Show):
    """The same, which is then taught."""

    label: str = Field(max_length=1000, description="The class's name.")


class Listen(Given):
    """How the live source is looked at."""

    seed: Address = Field(0, description="Addresses the noise of the compartments.")
    bins: Annotated[int, Field(ge=1, le=10**9), NUMBER] | None = Field(
        None, description="After how many bins it ends; by default it goes on until it is stopped."
    )


class ClassSet(BaseModel):
    """Classes of which the right one should be one."""

    classes: list[str] = Field(description="The likeliest first.")
    promised: bool = Field(
        description="Whether the run's certificate promises it; else it has 95 % of the probability."
    )
    risk: float | None = Field(description="How often the right class may be missing, where it is promised.")


class Answer(BaseModel):
    """What the network says of a recording at its end."""

    label: str | None = Field(description="Null in silence.")
    probabilities: dict[str, float]
    entropy: float = Field(description="Of the probabilities, in nats.")
    set: ClassSet
    finding: Finding = Field(
        description="sure: one class is left in the set. strange: it is like nothing that was learned. silent: too "
        "little has come."
    )
    strange: float | None = Field(
        description="P-value of the hidden neurons' activity; null without a certificate."
    )
    strange_inputs: float | None = Field(description="P-value of what came in; null without a certificate.")
    answered: str | None = Field(description="The class with which the certificate answered before the end.")
    votes: list[str] = Field(description="Of each compartment.")
    bins: int
    events: int = Field(description="Input spikes.")


class SessionState(BaseModel):
    """A running network of one's own."""

    id: str
    lessons: int = Field(description="Recordings taught since the training.")
    undoable: int = Field(description="Lessons that undo would take back, one at a time.")
    idle_s: float
    expires_s: float = Field(description="Idle for so long, it is forgotten.")


class RecordingOffered(BaseModel):
    """A recording of the test part."""

    number: int
    label: str


class About(BaseModel):
    """The network that is served."""

    run: str
    names: list[str]
    compartments: int
    hidden: int
    width: int
    height: int
    channels: int
    inputs: int
    bin_us: int
    steps: int
    begins: int = Field(description="The first bin whose output spikes count.")
    decoder: str
    counts: bool
    draws: bool = Field(description="Whether drawings can be shown.")
    live: str | None = Field(description="The live source, where the server has one.")
    mirrored: bool = Field(description="Whether the camera sees drawings mirrored left to right.")
    promise: str | None
    teaches: bool
    unteachable: str | None
    recordings: list[RecordingOffered]
    largest_file: int = Field(description="Bytes of an event file, at most.")
    notes: list[str]


class Health(BaseModel):
    """Whether it works."""

    status: Literal["ok"]
    sessions: int
    version: str


class Problem(BaseModel):
    """Why it was refused, in a sentence."""

    detail: str


def bounded(description: dict[str, Any], served: Served) -> dict[str, Any]:
    """An OpenAPI description with the bounds of this network."""
    model = served.model
    schemas = description["components"]["schemas"]

    def property(name: str, field: str) -> dict[str, Any]:
        return schemas[name]["properties"][field]

    width, height = model.reading.sensor
    event = property("EventsGiven", "events")["items"]["prefixItems"]
    event[1]["maximum"], event[2]["maximum"] = width - 1, height - 1
    spikes = property("BinsGiven", "bins")["items"]["items"]
    spikes["maximum"] = model.network.spec.inputs - 1
    if not model.reading.counts:
        property("BinsGiven", "bins")["items"]["uniqueItems"] = True
    if not model.reading.pad:
        property("BinsGiven", "bins")["maxItems"] = MOST_BINS
    offered = 0 if served.recordings is None else len(served.recordings)
    property("Offered", "number")["maximum"] = offered - 1
    for asked in ("Ask", "Show", "Teach"):
        kinds = {
            "recording": offered > 0,
            "drawing": served.camera is not None,
            "scribble": served.camera is not None,
        }
        shown = property(asked, "shown")
        for kind, there in kinds.items():
            if not there:
                place = shown["discriminator"]["mapping"].pop(kind)
                shown["oneOf"] = [each for each in shown["oneOf"] if each["$ref"] != place]
    property("Ask", "compartments")["anyOf"][0]["maximum"] = served.compartments
    property("Teach", "label")["enum"] = list(model.names)
    return description

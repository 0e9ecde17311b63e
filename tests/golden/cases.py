"""Small trainings and streams whose results are kept to the bit: settings as plain tables, and the spikes they see.

Nothing here comes from the library: the spikes are those of numpy's Philox counters, whose words never change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

CHANNELS, HEIGHT, WIDTH, CLASSES, BIN_US = 2, 3, 3, 3, 1000
INPUTS = CHANNELS * HEIGHT * WIDTH
EQUAL = (24,) * 8
UNEQUAL = (20, 27, 30, 23, 30, 21, 26, 25)
BOTH, REFERENCE = ("reference", "cpu"), ("reference",)
VOTES, BY_LIKELIHOOD = ("votes",), ("votes", "likelihood")

Tables = dict[str, dict[str, Any]]
Shown = tuple[NDArray[np.uint8], NDArray[np.uint8], int]
"""Spikes ``[T, M]``, target ``[T, V]``, label."""


@dataclass(frozen=True)
class Case:
    """A training, or a stream, from its beginning.

    Attributes:
        name: its own.
        tables: the settings, as TOML has them, but for the kernel.
        kernels: those that serve it.
        lengths: steps of each presentation.
        counts: inputs hold numbers of spikes up to 3, not only 0 and 1.
        pattern: visible neurons are told a changing pattern instead of their class; at most one at a time.
        decoders: those that can answer.
        chunks: of streams, how many steps are seen at a time, and whether they come with a target.
    """

    name: str
    tables: Tables
    kernels: tuple[str, ...] = BOTH
    lengths: tuple[int, ...] = EQUAL
    counts: bool = False
    pattern: bool = False
    decoders: tuple[str, ...] = VOTES
    chunks: tuple[tuple[int, bool], ...] = field(default=())


def tables(
    rule: dict[str, Any],
    network: dict[str, Any],
    train: dict[str, Any],
    optimiser: str = "adam",
    warm_up: float = 0.0,
    **more: float,
) -> Tables:
    """Settings with what all cases have in common; ``more`` is of the optimiser.

    Learning moves a lot, but does not run away or divide a rounding by another, so that roundings stay roundings.
    """
    lr = {"adam": 0.03, "sgd": 0.02}[optimiser]
    return {
        "data": {"warm_up": warm_up},
        "network": {"hidden": [7], "basis_count": 2, "memory": 8, "hidden_rate": 0.2, **network},
        "rule": rule,
        "optimiser": {"optimiser": optimiser, "lr": lr, **more},
        "train": {"compartments": 5, "epochs": 2, "batch": 4, "seed": 11, **train},
    }


def presentations(case: Case) -> list[Shown]:
    """What a case is shown: every class has pixels of its own that spike more often; one presentation is silent."""
    shown = []
    for number, steps in enumerate(case.lengths):
        words = np.random.Philox(key=[2024, number]).random_raw(steps * (INPUTS + 1)) >> np.uint64(40)
        chance = words.astype(np.int64).reshape(steps, INPUTS + 1)  # 24 bits each
        label = number % CLASSES
        often = np.where(np.arange(INPUTS) % CLASSES == label, 5_000_000, 1_200_000)
        draw = chance[:, :INPUTS]
        spikes = (draw < often).astype(np.uint8)
        if case.counts:
            spikes += (draw < often // 2).astype(np.uint8) + (draw < often // 5).astype(np.uint8)
        if number == 5:
            spikes[:] = 0
        target = np.zeros((steps, CLASSES), np.uint8)
        target[:, label] = 1
        if case.pattern:
            now = chance[:, INPUTS] % (CLASSES + 1)
            target = (now[:, None] == np.arange(CLASSES)).astype(np.uint8)
        shown.append((spikes, target, label))
    return shown


F32, F64 = {"dtype": "float32"}, {"dtype": "float64"}
WTA = {"output": "winner-take-all"}
EXPONENTIAL = {"basis": "exponential"}
TWO = {"hidden": [4, 3]}
FULL = {"topology": "full", "feedback": "all"}
FORWARD = {"topology": "feedforward", "feedback": "none"}
SPARSE = {"topology": "sparse", "density": 0.5}
EXACT = {"kappa": 1.0, "gamma": 1.0, "readout": "last-step"}

TRAININGS = (
    Case("gem", tables({"rule": "gem"}, {**F32, **TWO}, {}), decoders=BY_LIKELIHOOD),
    Case(
        "gem-full-each-step",
        tables({"rule": "gem"}, {**F64, **FULL}, {"update_every": 1, "batch": 1}, "sgd"),
    ),
    Case(
        "gem-exact",
        tables({"rule": "gem", **EXACT}, {**F64, **EXPONENTIAL}, {"schedule": "constant"}, "sgd"),
        lengths=UNEQUAL,
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "gem-average",
        tables(
            {"rule": "gem", "average": True, "readout": "last-step", "kappa": 0.8, "gamma": 0.7},
            {**F32, **EXPONENTIAL, "basis_count": 3},
            {"update_every": 3},
        ),
        lengths=UNEQUAL,
    ),
    Case(
        "gem-single",
        tables({"rule": "gem", "kappa": 0.5}, F64, {"compartments": 1, "batch": 3, "update_every": 3}, "sgd"),
        lengths=UNEQUAL,
    ),
    Case(
        "gem-without-memory",
        tables({"rule": "gem", "kappa": 0.0, "gamma": 0.0}, {**F64, "basis_count": 1}, {"update_every": 1}),
        pattern=True,
    ),
    Case(
        "gem-cv-circuit",
        tables({"rule": "gem-cv"}, {**F32, **WTA}, {"update_every": 3}),
        lengths=UNEQUAL,
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "gem-cv-warm-up",
        tables({"rule": "gem-cv"}, {**F64, **EXPONENTIAL, "feedback_count": 1}, {}, "sgd", 0.4),
        lengths=UNEQUAL,
        counts=True,
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "gem-cv-no-hidden",
        # in a batch of 4 a class that is shown once has the direction 0 at first, which adam would make of a rounding
        tables(
            {"rule": "gem-cv"},
            {**F32, **WTA, "hidden": [], "feedback": "none"},
            {"update_every": 1, "batch": 3},
        ),
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "gem-cv-no-hidden-full",
        tables({"rule": "gem-cv"}, {**F64, **FULL, "hidden": []}, {"batch": 1, "update_every": 3}, "sgd"),
        pattern=True,
    ),
    Case(
        "gem-cv-feedforward",
        tables({"rule": "gem-cv"}, {**F32, **FORWARD, **TWO}, {"update_every": 3}, "sgd"),
        counts=True,
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "gem-cv-full-circuit-pattern",
        tables({"rule": "gem-cv"}, {**F64, **FULL, **WTA, **TWO}, {"update_every": 3}, "adam", 0.3),
        lengths=UNEQUAL,
        pattern=True,
    ),
    Case("gem-cv-sparse", tables({"rule": "gem-cv"}, {**F32, **SPARSE, **TWO}, {}), REFERENCE),
    Case(
        "gem-cv-wide",
        tables({"rule": "gem-cv"}, {**F32, "hidden": [33, 20], "basis_count": 4}, {"update_every": 5}),
        lengths=UNEQUAL,
    ),
    Case(
        "gem-cv-long",
        tables(
            {"rule": "gem-cv", "gamma": 0.8},
            {**F64, "hidden": [5]},
            {"compartments": 3, "batch": 2, "update_every": 3, "epochs": 1},
            "sgd",
        ),
        lengths=(301, 290),
    ),
    Case(
        "gem-cv-feedback-of-all",
        tables({"rule": "gem-cv"}, {**F64, "feedback": "all", "feedback_count": 3}, {"schedule": "constant"}),
        counts=True,
    ),
    Case("iw", tables({"rule": "iw", "kappa": 0.8}, {**F32, **TWO}, {"update_every": 3})),
    Case(
        "iw-single",
        tables({"rule": "iw"}, F64, {"compartments": 1, "update_every": 1, "batch": 1}, "sgd", lr=1e-4),
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "iw-ovis",
        tables({"rule": "iw-ovis"}, {**F64, **FULL, **WTA}, {"update_every": 3}),
        lengths=UNEQUAL,
    ),
    Case("iw-ovis-exact", tables({"rule": "iw-ovis", **EXACT}, {**F32, **FORWARD, **TWO}, {})),
    Case(
        "mb",
        tables({"rule": "mb"}, {**F32, **FORWARD, **TWO}, {"batch": 1}, epsilon=1e-4),
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "mb-single",
        tables({"rule": "mb", "average": True}, F64, {"compartments": 1, "update_every": 3}, "sgd"),
        lengths=UNEQUAL,
    ),
    Case(
        "ml",
        tables({"rule": "ml", "baseline_decay": 0.8}, {**F64, **TWO}, {"update_every": 3}),
        REFERENCE,
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "ml-sparsity",
        tables(
            {"rule": "ml", "sparsity": 0.3, "sparsity_rate": 0.15, "readout": "last-step"},
            {**F32, **WTA},
            {"schedule": "constant"},
            "sgd",
        ),
        REFERENCE,
        lengths=UNEQUAL,
    ),
    Case(
        "ml-single-feedforward",
        tables({"rule": "ml"}, {**F64, **FORWARD, **TWO}, {"compartments": 1, "update_every": 1, "batch": 1}),
        REFERENCE,
        counts=True,
    ),
    Case(
        "one-hop-feedforward",
        tables({"rule": "one-hop"}, {**F32, **FORWARD, **WTA}, {"update_every": 3}),
        lengths=UNEQUAL,
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "one-hop-each-step",
        tables({"rule": "one-hop"}, {**F64, **TWO}, {"update_every": 1, "batch": 1}, "sgd"),
        decoders=BY_LIKELIHOOD,
    ),
    Case("one-hop-single", tables({"rule": "one-hop"}, {**F64, **FORWARD, **WTA}, {"compartments": 1})),
    Case("one-hop-sparse", tables({"rule": "one-hop"}, {**F64, **SPARSE}, {"update_every": 3}), REFERENCE),
    Case(
        "one-hop-gem",
        tables({"rule": "one-hop-gem"}, {**F32, **FULL}, {"update_every": 3}, "adam", 0.25),
        lengths=UNEQUAL,
    ),
    Case(
        "one-hop-gem-feedforward",
        tables({"rule": "one-hop-gem", "average": True}, {**F64, **FORWARD, **EXPONENTIAL}, {}, "sgd"),
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "one-hop-cv",
        tables({"rule": "one-hop-cv"}, {**F64, **TWO}, {"update_every": 3}),
        REFERENCE,
        decoders=BY_LIKELIHOOD,
    ),
    Case(
        "one-hop-cv-exact",
        tables({"rule": "one-hop-cv", **EXACT}, {**F32, **FULL, **WTA}, {}, "sgd"),
        REFERENCE,
        lengths=UNEQUAL,
    ),
)

CHUNKS = ((1, True), (13, True), (6, False), (29, True), (1, False), (150, True), (7, True))
STREAMS = tuple(
    Case(f"stream-{name}", *more, chunks=CHUNKS)
    for name, *more in (
        ("each-step-sgd", tables({"rule": "gem-cv"}, {**F32, **TWO}, {"update_every": 1}, "sgd")),
        ("each-step-adam", tables({"rule": "gem"}, {**F64, **FULL, **WTA}, {"update_every": 1}, "adam")),
        ("portions-sgd", tables({"rule": "iw"}, {**F64, **WTA}, {"update_every": 7}, "sgd")),
        (
            "portions-adam",
            tables({"rule": "mb", "readout": "last-step"}, {**F32, **EXPONENTIAL}, {"update_every": 7}),
        ),
        ("one-hop", tables({"rule": "one-hop"}, {**F32, **FORWARD, **WTA}, {"update_every": 7})),
        ("one-hop-cv", tables({"rule": "one-hop-cv"}, {**F64, **TWO}, {"update_every": 7}), REFERENCE),
        ("ml", tables({"rule": "ml"}, {**F64, **SPARSE}, {"update_every": 1}, "sgd", lr=0.002), REFERENCE),
    )
)
"""Two presentations side by side, of as many steps as the chunks have."""

ONLINE = tuple(
    Case(name, settings, chunks=CHUNKS)
    for name, settings in (
        (
            "online-sgd",
            tables(
                {"rule": "gem-cv", "gamma": 0.5},
                {**F32, **TWO, "memory": 4},
                {"update_every": 1, "compartments": 3},
                "sgd",
                lr=0.005,
            ),
        ),
        (
            "online-adam",
            tables(
                {"rule": "one-hop", "gamma": 0.5},
                {**F64, **FORWARD, **WTA, "memory": 4},
                {"update_every": 5, "compartments": 2},
            ),
        ),
    )
)
"""A learner that answers; it is told the class of the chunks that come with a target, each another.

What fades fast makes a small saved state.
"""

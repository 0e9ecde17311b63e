"""What a run folder holds, read for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from safetensors import SafetensorError, safe_open

from gemsnn.errors import InputError, one_line
from gemsnn.report import schema
from gemsnn.store import parsing
from gemsnn.types import AnyPath

Row = Mapping[str, Any]
SCHEMA = 1
LARGEST_SIDE, LONGEST_BIN = 2**15, 10**9
EXAMPLES = ("unsure", "sure")
BESIDE = "beside.json"
"""Where a run keeps the scores of another, which its report shows beside its own."""

CERTIFIED = "certified.json"
"""Where it keeps how the promises of its certificate fared on the test part."""


@dataclass(frozen=True)
class Run:
    """What a run folder holds; what it lacks is empty or None."""

    name: str
    manifest: Row
    config: Row
    config_text: str
    training: Sequence[Row]
    evaluations: Sequence[Row]
    epochs: Sequence[Row]
    scores: Row | None
    examples: Mapping[str, Mapping[str, Any]]
    fields: Mapping[str, Any] | None
    augmented: Mapping[str, Any] | None
    unknown: Mapping[str, Any] | None
    beside: Row | None
    certified: Row | None

    @property
    def status(self) -> str:
        """``finished``, ``interrupted`` or ``running`` (which a run that was killed says forever)."""
        return str(self.manifest.get("status"))

    def recordings(self, part: str) -> int | None:
        """The number of recordings of a part of the data, where the manifest tells it."""
        counts = self.manifest.get("presentations")
        count = counts.get(part) if isinstance(counts, dict) else None
        return count if type(count) is int and count > 0 else None

    @property
    def names(self) -> tuple[str, ...]:
        """The classes' names, in the order of their labels; none where they have none but their numbers."""
        scores = self.scores or {}
        found = tuple(one_line(name) for name in scores.get("names") or ())
        return found if len(found) == scores.get("classes") else ()

    def class_name(self, label: int) -> str:
        """A class by its name, or its number."""
        return self.names[label] if label < len(self.names) else str(label)

    @property
    def warm_up(self) -> float:
        """The share of each recording before which no answer counts."""
        data = self.config.get("data")
        share = data.get("warm_up") if isinstance(data, dict) else None
        return share if isinstance(share, float) and 0 < share < 1 else 0.0

    @property
    def warm_up_ms(self) -> float:
        """The end of the warm-up of the longest recordings."""
        times = (self.scores or {}).get("by_time") or ()
        begin = int(self.warm_up * len(times))
        return float(times[begin - 1]["ms"]) if begin else 0.0

    @property
    def layout(self) -> Layout | None:
        """How the inputs lie on the sensor, where the manifest tells it."""
        found = self.manifest.get("layout")
        table = found if isinstance(found, dict) else {}
        sizes = [table.get(name) for name in ("channels", "height", "width")]
        known = [size for size in sizes if type(size) is int and 1 <= size <= LARGEST_SIDE]
        if len(known) < len(sizes):
            return None
        bin_us = table.get("bin_us")
        return Layout(*known, bin_us=bin_us if type(bin_us) is int and 1 <= bin_us <= LONGEST_BIN else None)


class Layout(NamedTuple):
    """Input ``c + channels * (x * height + y)`` is channel ``c`` of pixel ``(x, y)``; see ``types.Layout``."""

    channels: int
    height: int
    width: int
    bin_us: int | None = None

    @property
    def inputs(self) -> int:
        """The number of inputs."""
        return self.channels * self.height * self.width


def read_run(run: AnyPath) -> Run:
    """Read what is there of a run folder; only the manifest must be.

    Raises:
        InputError: ``run`` is no run folder, or a file of it is damaged or holds what it should not.
    """
    run = Path(run)
    if not (run / "manifest.json").is_file():
        raise InputError(
            f"{run} is not a run folder: it holds no manifest.json; give a folder that training wrote"
        )
    manifest = _json(run / "manifest.json", schema.Manifest)
    history = _json_lines(run / "metrics.jsonl")
    scores = _json(run / "metrics.json", schema.Scores) if (run / "metrics.json").is_file() else None
    where = run / "config.toml"
    text = parsing.read_text(where) if where.is_file() else ""
    return Run(
        name=one_line(run.resolve().name),
        manifest=manifest,
        config=parsing.conform(parsing.parse_toml(text, str(where)), schema.Config, str(where)),
        config_text=text,
        training=[row for row in history if row.get("kind") == "train"],
        evaluations=[row for row in history if row.get("kind") == "evaluation"],
        epochs=[row for row in history if row.get("kind") == "epoch"],
        scores=scores,
        examples=_examples(run),
        fields=_fields(run / "fields.safetensors"),
        augmented=_augmented(run / "augment.safetensors"),
        unknown=_unknown(run / "unknown.safetensors"),
        beside=_json(run / BESIDE, schema.Beside) if (run / BESIDE).is_file() else None,
        certified=_json(run / CERTIFIED, schema.Certified) if (run / CERTIFIED).is_file() else None,
    )


def _json(path: Path, kind: Any) -> Row:
    value = parsing.conform(parsing.parse_json(parsing.read_text(path), str(path)), dict[str, Any], str(path))
    if kind is schema.Scores and value.get("schema") != SCHEMA:
        raise InputError(
            f"{path} has schema {value.get('schema')!r} and this version of gemsnn reads "
            f"schema {SCHEMA}; use the version that wrote the run"
        )
    return parsing.conform(value, kind, str(path))


def _json_lines(path: Path) -> list[Row]:
    """The objects of a JSON Lines file, without lines that were cut off while being written."""
    rows: list[Row] = []
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    for number, line in enumerate(text.splitlines(), 1):
        where = f"line {number} of {path}"
        try:
            row = parsing.parse_json(line, where)
        except InputError:
            continue
        if isinstance(row, dict):
            rows.append(parsing.conform(row, schema.Record, where))
    return rows


_AXES = {"inputs": "TM", "hidden": "KTH", "visible": "KTV"}


def _examples(run: Path) -> dict[str, dict[str, Any]]:
    """The recordings that a run kept, by what they are examples of; older runs kept one, of nothing."""
    paths = {kind: run / f"example-{kind}.safetensors" for kind in EXAMPLES}
    found = {kind: _example(path) for kind, path in paths.items() if path.is_file()}
    old = run / "example.safetensors"
    return found or ({"any": _example(old)} if old.is_file() else {})


def _tensors(
    path: Path, names: Sequence[str], newer: Sequence[str] = ()
) -> tuple[dict[str, Any], dict[str, str]]:
    """The tensors of these names, with those of the ``newer`` ones that are there: older runs lack them."""
    try:
        with safe_open(path, framework="numpy") as file:
            there = [*names, *(name for name in newer if name in file.keys())]  # noqa: SIM118 - it is no dictionary
            return {name: file.get_tensor(name) for name in there}, file.metadata() or {}
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it or train again") from error


def _example(path: Path) -> dict[str, Any]:
    found, metadata = _tensors(path, (*_AXES, "votes", "label"), ("course",))
    course = found.get("course")
    try:
        bin_us, begin = int(metadata.get("bin_us", 1000)), int(metadata.get("begin", 0))
        answer = int(metadata["answer"]) if "answer" in metadata else None
        entropy = float(metadata["entropy"]) if "entropy" in metadata else None
    except ValueError as error:
        raise InputError(f"{path} cannot be read ({error}); remove it or train again") from error
    sizes: dict[str, int] = {}
    for name, axes in _AXES.items():
        shape = found[name].shape
        if len(shape) != len(axes) or any(
            sizes.setdefault(a, n) != n for a, n in zip(axes, shape, strict=True)
        ):
            raise InputError(
                f"{path}: {name} has the shape {list(shape)}, which does not fit; remove it or train again"
            )
    spikes = [found[name] for name in _AXES]
    labels = np.concatenate([found["votes"].ravel(), found["label"].ravel()])
    fits = (
        min(sizes[axis] for axis in "TMKV") > 0
        and all(part.dtype == np.uint8 and part.max(initial=0) <= 255 for part in spikes)
        and found["label"].shape == (1,)
        and found["votes"].ndim == 1
        and len(found["votes"]) >= sizes["K"]
        and labels.dtype.kind in "iu"
        and labels.min() >= 0
        and labels.max() < sizes["V"]
        and (answer is None or 0 <= answer < sizes["V"])
        and (entropy is None or 0 <= entropy <= np.log(sizes["V"]) + 1e-6)
        and (
            course is None
            or (course.shape == (len(found["votes"]), sizes["T"]) and course.dtype.kind in "iu")
        )
        and (course is None or 0 <= course.min() <= course.max() < sizes["V"])
        and 0 <= begin < sizes["T"]
        and 1 <= bin_us <= LONGEST_BIN
    )
    if not fits:
        raise InputError(
            f"{path} holds no spikes, votes and label of one recording; remove it or train again"
        )
    return found | {
        "bin_us": bin_us,
        "begin": begin,
        "index": metadata.get("index", "?"),
        "answer": answer,
        "entropy": entropy,
    }


def _fields(path: Path) -> dict[str, Any] | None:
    """Receptive fields ``[n, M]`` of neurons of a kind, and at which lags."""
    if not path.is_file():
        return None
    found, metadata = _tensors(path, ("field", "neuron", "lag"))
    field, neuron, lag, kind = found["field"], found["neuron"], found["lag"], metadata.get("kind")
    fits = (
        field.ndim == 2
        and field.shape[0] > 0
        and field.dtype.kind == "f"
        and np.isfinite(field).all()
        and all(
            part.shape == field.shape[:1] and part.dtype.kind in "iu" and part.min() >= 0
            for part in (neuron, lag)
        )
        and kind in ("hidden", "output")
    )
    if not fits:
        raise InputError(f"{path} holds no receptive fields; remove it or train again")
    return found | {"kind": kind}


MOST_PICTURES, MOST_CELLS = 64, 1024


def _augmented(path: Path) -> dict[str, Any] | None:
    """Pictures ``counts [n, rows, columns, 2]`` of a recording and its augmentations, and ``over_time [n, steps, 2]``.

    With them comes what :class:`schema.Pictured` tells.
    """
    if not path.is_file():
        return None
    found, metadata = _tensors(path, ("counts", "over_time"))
    told = parsing.conform(
        parsing.parse_json(metadata.get("pictures", ""), str(path)), schema.Pictured, str(path)
    )
    counts, over_time = found["counts"], found["over_time"]
    fits = (
        counts.dtype == over_time.dtype == np.uint16
        and (counts.ndim, over_time.ndim) == (4, 3)
        and counts.shape[-1] == over_time.shape[-1] == 2
        and len(counts) == len(over_time) == len(told["settings"]) == len(told["epochs"])
        and 1 <= len(counts) <= MOST_PICTURES
        and all(1 <= size <= MOST_CELLS for size in (*counts.shape[1:3], over_time.shape[1]))
    )
    if not fits:
        raise InputError(f"{path} holds no pictures of a recording; remove it or train again")
    return found | dict(told)


_CONFIDENCES = ("known", "unknown", "known_alone", "unknown_alone")


def _unknown(path: Path) -> dict[str, Any] | None:
    """Confidences in test recordings ``known [n]`` and scribbles ``unknown [m]``, by all compartments and by one.

    With them come ``pictures [p, M]`` of some scribbles with their ``answers`` (-1: none) and ``confidence [p]``, and
    the areas under the ROC curve with their errors.
    """
    if not path.is_file():
        return None
    found, metadata = _tensors(path, (*_CONFIDENCES, "pictures", "answers", "confidence"))
    try:
        numbers = {
            name: float(metadata[name])
            for name in ("together_area", "together_error", "alone_area", "alone_error", "compartments")
        }
    except (KeyError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it or train again") from error
    shares = [found[name] for name in (*_CONFIDENCES, "confidence")]
    pictures, answers = found["pictures"], found["answers"]
    fits = (
        all(part.ndim == 1 and part.dtype.kind == "f" and len(part) > 0 for part in shares)
        and all(bool(((part >= 0) & (part <= 1 + 1e-9)).all()) for part in shares)
        and all(len(found[name]) == len(found[f"{name}_alone"]) for name in ("known", "unknown"))
        and pictures.ndim == 2
        and pictures.dtype == np.uint16
        and answers.dtype.kind in "iu"
        and answers.shape == found["confidence"].shape == pictures.shape[:1]
        and 1 <= len(pictures) <= MOST_PICTURES
        and answers.min() >= -1
        and all(0 <= numbers[f"{name}_area"] <= 1 for name in ("together", "alone"))
        and all(0 <= numbers[f"{name}_error"] <= 1 for name in ("together", "alone"))
        and 1 <= numbers["compartments"] <= LONGEST_BIN
    )
    if not fits:
        raise InputError(f"{path} holds no confidences in scribbles; remove it or train again")
    return found | numbers

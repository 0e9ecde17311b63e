"""What a run folder holds, read for the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from gemsnn import parsing
from gemsnn.errors import InputError, one_line
from gemsnn.report import schema

Row = Mapping[str, Any]
SCHEMA = 1


@dataclass(frozen=True)
class Run:
    """What a run folder holds; what it lacks is empty or None."""

    name: str
    manifest: Row
    config: Row
    config_text: str
    training: Sequence[Row]
    evaluations: Sequence[Row]
    scores: Row | None
    example: Mapping[str, Any] | None

    @property
    def status(self) -> str:
        """``finished``, ``interrupted`` or ``running`` (which a run that was killed says forever)."""
        return str(self.manifest.get("status"))


def read_run(run: Path) -> Run:
    """Read what is there of a run folder; only the manifest must be.

    Raises:
        InputError: ``run`` is no run folder, or a file of it is damaged or holds what it should not.
    """
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
        scores=scores,
        example=_example(run / "example.safetensors"),
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


_AXES = {"inputs": "TM", "hidden": "KTH", "visible": "KTV", "votes": "K"}


def _example(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            found: dict[str, Any] = {name: file.get_tensor(name) for name in (*_AXES, "label")}
            metadata = file.metadata() or {}
        bin_us, index = int(metadata.get("bin_us", 1000)), metadata.get("index", "?")
    except (SafetensorError, ValueError, TypeError, KeyError, AttributeError) as error:
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
    spikes = [found[name] for name in ("inputs", "hidden", "visible")]
    labels = np.concatenate([found["votes"].ravel(), found["label"].ravel()])
    fits = (
        min(sizes[axis] for axis in "TMKV") > 0
        and all(part.dtype == np.uint8 and part.max(initial=0) <= 255 for part in spikes)
        and found["label"].shape == (1,)
        and labels.dtype.kind in "iu"
        and labels.min() >= 0
        and labels.max() < sizes["V"]
        and 1 <= bin_us <= 10**9
    )
    if not fits:
        raise InputError(
            f"{path} holds no spikes, votes and label of one recording; remove it or train again"
        )
    return found | {"bin_us": bin_us, "index": index}

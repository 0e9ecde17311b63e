"""What a run folder holds, read for the report."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from gemsnn.types import InputError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib  # pyright: ignore[reportMissingImports]

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
    """Read what is there of a run folder; only the manifest must be."""
    if not (run / "manifest.json").is_file():
        raise InputError(
            f"{run} is not a run folder: it holds no manifest.json; give a folder that training wrote"
        )
    history = _json_lines(run / "metrics.jsonl")
    scores = _json(run / "metrics.json") if (run / "metrics.json").is_file() else None
    if scores is not None and scores.get("schema") != SCHEMA:
        raise InputError(
            f"{run / 'metrics.json'} has schema {scores.get('schema')!r} and this version of gemsnn reads "
            f"schema {SCHEMA}; use the version that wrote the run"
        )
    text = (run / "config.toml").read_text(encoding="utf-8") if (run / "config.toml").is_file() else ""
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(
            f"{run / 'config.toml'} is not valid TOML ({error}); restore it or train again"
        ) from error
    return Run(
        name=run.resolve().name,
        manifest=_json(run / "manifest.json"),
        config=config,
        config_text=text,
        training=[row for row in history if row.get("kind") == "train"],
        evaluations=[row for row in history if row.get("kind") == "evaluation"],
        scores=scores,
        example=_example(run / "example.safetensors"),
    )


def _json(path: Path) -> Row:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path} is not valid JSON ({error}); restore it or train again") from error
    if not isinstance(value, dict):
        raise InputError(f"{path} should hold one JSON object; restore it or train again")
    return value


def _json_lines(path: Path) -> list[Row]:
    """The objects of a JSON Lines file, without lines that were cut off while being written."""
    rows: list[Row] = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def _example(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="numpy") as file:
            names = ("inputs", "hidden", "visible", "label", "votes")
            metadata = file.metadata() or {}
            return {name: file.get_tensor(name) for name in names} | {
                "bin_us": int(metadata.get("bin_us", 1000)),
                "index": metadata.get("index", "?"),
            }
    except (SafetensorError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({error}); remove it or train again") from error

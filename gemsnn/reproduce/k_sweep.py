"""The sweep over compartments: networks trained with K of them, answering with K_I of them, over several seeds.

The claim (H. Jang and O. Simeone, arXiv 2102.03280): more compartments give a higher log-likelihood, a higher
accuracy and better calibration. Every part (K, seed) is a process of its own and a file of its own; a sweep that
was stopped goes on with the parts that are missing.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np

from gemsnn.errors import InputError
from gemsnn.reproduce import jobs
from gemsnn.reproduce.claims import METRICS, QUICK, TITLES, claims, sentences
from gemsnn.reproduce.part import COURSE, Job, read
from gemsnn.runs import config
from gemsnn.runs.config import EvaluateSpec, Settings
from gemsnn.specs import checks
from gemsnn.specs.checks import Count, Range
from gemsnn.store.files import atomic_write, locked
from gemsnn.store.records import provenance
from gemsnn.types import AnyPath

CLAIMED = ("log_likelihood", "accuracy", "ece")
"""What the paper claims to improve with compartments."""


@dataclass(frozen=True)
class SweepSpec:
    """What a sweep varies.

    Attributes:
        compartments: the K of training.
        seeds: how many, from 0 on.
        votes: the largest K_I of inference.
        jobs: parts at a time, each with one thread.
    """

    compartments: Annotated[tuple[int, ...], Range(1, checks.MOST)] = (1, 2, 5, 10, 20)
    seeds: Count = 3
    votes: Count = 50
    jobs: Count = 2

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if not self.compartments:
            raise InputError("compartments must be one number or more")
        if max(self.compartments) > self.votes:
            raise InputError(
                f"votes must be at least the largest number of compartments, {max(self.compartments)}, not {self.votes}"
            )


def run(
    settings: Settings,
    spec: SweepSpec,
    out: AnyPath,
    *,
    say: Callable[[str], None] = lambda _: None,
    quick: bool = False,
) -> dict[str, Any]:
    """Run the parts that are missing in ``out``, then write and return ``results.json``.

    ``quick`` is kept in it: a sweep to see that all works, of which table and figures say that it shows nothing else.

    Raises:
        InputError: ``out`` holds a sweep of other settings or is in use, a part failed, or parts do not fit each other.
    """
    out = Path(out)
    claim(settings, out)
    given = config.dump(_without_part(settings))
    with locked(out):
        return _run(given, spec, out, say, quick=quick)


def _run(
    given: str, spec: SweepSpec, out: Path, say: Callable[[str], None], *, quick: bool
) -> dict[str, Any]:
    """The sweep of these settings, in a folder that is held."""
    parts = [
        Job(given, k, seed, spec.votes, str(out / "parts" / f"K{k:02d}-seed{seed}.json"))
        for seed in range(spec.seeds)
        # the longest ones first, so that no thread waits long for the last one
        for k in sorted(spec.compartments, reverse=True)
    ]
    _run_all(jobs.missing(parts, read, say), spec.jobs, say)
    results = summary([read(job) for job in parts])
    results = {"settings": given, "quick": quick, **provenance(), **results}
    atomic_write(out / "results.json", json.dumps(results, allow_nan=False) + "\n")
    return results


def _without_part(settings: Settings) -> Settings:
    """The settings with what every part sets itself at fixed values, so that sweeps compare."""
    train = dataclasses.replace(settings.train, compartments=1, seed=0)
    evaluate = dataclasses.replace(settings.evaluate, votes=EvaluateSpec.votes)
    data = settings.data
    if data.root is not None:
        data = dataclasses.replace(data, root=data.root.absolute())
    return dataclasses.replace(settings, data=data, train=train, evaluate=evaluate)


def claim(settings: Settings, out: AnyPath) -> None:
    """Make the folder of a sweep, or see that it holds this very one.

    Raises:
        InputError: it holds something else, or cannot be made.
    """
    out = Path(out)
    marker, given = out / "settings.toml", _without_part(settings)
    if marker.is_file():
        if _without_part(config.load_run(marker)) != given:
            raise InputError(f"{out} holds a sweep of other settings; choose another --out")
        return
    jobs.make_folder(out, "sweep")
    atomic_write(marker, config.dump(given))


def _run_all(parts: Sequence[Job], at_once: int, say: Callable[[str], None]) -> None:
    def told(job: Job) -> str:
        part = read(job)
        own = part["by_compartments"][job.compartments - 1]
        return (
            f"K_I = K: {own['accuracy']:.1%} right, ECE {own['ece']:.3f}, log-likelihood {own['log_likelihood']:.1f}, "
            f"{sum(part['seconds'].values()):.0f} s"
        )

    def name(job: Job) -> str:
        return f"K = {job.compartments}, seed {job.seed}"

    jobs.run_all("gemsnn.reproduce.part", parts, at_once, name=name, told=told, say=say)


def summary(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means and standard errors over seeds.

    Returns:
        ``rows``: for every K and K_I, mean and standard error of each metric over seeds; ``claims``: for each
        metric, how the K of the diagonal K_I = K compare (:func:`gemsnn.reproduce.claims.claims`); ``reliability`` of
        K_I = K and ``course``, by K; ``digest`` of all parts.
    """
    values = sorted({part["compartments"] for part in parts})
    cells = {len(part["by_compartments"][part["compartments"] - 1]["reliability"]) for part in parts}
    if len(cells) > 1:
        raise InputError(
            "the parts' calibration errors are not of one definition, for their reliability diagrams have "
            f"{' and '.join(map(str, sorted(cells)))} cells; remove the older parts and run the same command again"
        )
    for k in values:
        mine = [part for part in parts if part["compartments"] == k]
        if len({len(part["course"]) for part in mine}) > 1:
            raise InputError(
                f"the parts of K = {k} do not fit each other; remove them and run the same command again"
            )
    rows = []
    for k in values:
        mine = [part["by_compartments"] for part in parts if part["compartments"] == k]
        for votes in range(1, min(map(len, mine)) + 1):
            scores = {
                name: jobs.mean([each[votes - 1][name] for each in mine]) for name in METRICS
            }  # fmt: skip
            scores["tempered_ece"] = jobs.mean([each[votes - 1]["tempered"]["ece"] for each in mine])
            rows.append({"compartments": k, "votes": votes, **scores})
    text = json.dumps(list(parts), sort_keys=True)
    own = {row["compartments"]: row for row in diagonal(rows)}
    return {
        "seeds": sorted({part["seed"] for part in parts}),
        "presentations": parts[0]["presentations"],
        "claims": {name: claims(own, name) for name in METRICS},
        "rows": rows,
        "reliability": {k: _pooled([p for p in parts if p["compartments"] == k]) for k in values},
        "course": {k: _course([p["course"] for p in parts if p["compartments"] == k]) for k in values},
        "seconds": sum(sum(part["seconds"].values()) for part in parts),
        "digest": hashlib.sha256(text.encode()).hexdigest(),
    }


def diagonal(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rows with K_I = K."""
    return [row for row in rows if row["votes"] == row["compartments"]]


def _pooled(parts: Sequence[dict[str, Any]]) -> list[dict[str, float | None]]:
    """The reliability cells of K_I = K, all seeds together."""
    cells = [part["by_compartments"][part["compartments"] - 1]["reliability"] for part in parts]
    pooled = []
    for same in zip(*cells, strict=True):
        count = sum(cell["count"] for cell in same)
        sums = {
            name: sum(cell["count"] * (cell[name] or 0) for cell in same)
            for name in ("confidence", "accuracy")
        }
        means = {name: value / count if count else None for name, value in sums.items()}
        pooled.append({"low": same[0]["low"], "high": same[0]["high"], **means, "count": count})
    return pooled


def _course(courses: Sequence[Sequence[dict[str, Any]]]) -> list[dict[str, float]]:
    """The means over seeds of what was recorded along the training."""
    return [
        {name: float(np.mean([row[name] for row in rows])) for name in COURSE}
        for rows in zip(*courses, strict=True)
    ]


def table(results: dict[str, Any]) -> str:
    """The diagonal K_I = K, then accuracy, ECE and log-likelihood over K and K_I, as text; then what they show."""
    rows = results["rows"]

    shown = {"log_likelihood": 2, "accuracy": 3, "ece": 3, "tempered_ece": 3, "nll": 3}
    lines = [QUICK, ""] if results.get("quick") else []
    lines += [f"{'K = K_I':>8}  " + "  ".join(f"{TITLES[name]:>18}" for name in shown)]
    for row in diagonal(rows):
        cells = (f"{jobs.cell(row[name], digits):>18}" for name, digits in shown.items())
        lines.append(f"{row['compartments']:>8}  " + "  ".join(cells))
    wanted = [votes for votes in (1, 2, 5, 10, 20, 50) if any(row["votes"] == votes for row in rows)]
    for name in CLAIMED:
        lines += ["", f"{TITLES[name]}, K (down) and K_I (across)"]
        lines.append(f"{'':>8}  " + "  ".join(f"{votes:>16}" for votes in wanted))
        for k in dict.fromkeys(row["compartments"] for row in rows):
            mine = {row["votes"]: row for row in rows if row["compartments"] == k}
            cells = (
                f"{jobs.cell(mine[votes][name], shown[name]) if votes in mine else '':>16}"
                for votes in wanted
            )
            lines.append(f"{k:>8}  " + "  ".join(cells))
    lines += ["", *([QUICK] if results.get("quick") else sentences(results["claims"]))]
    return "\n".join(lines)

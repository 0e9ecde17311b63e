"""The bench as a whole: what is missing is run, and all parts become one table and ``results.json``."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from gemsnn.errors import InputError
from gemsnn.reproduce import jobs
from gemsnn.reproduce.jobs import Mean
from gemsnn.reproduce.real import sets
from gemsnn.reproduce.real.methods import SEEDLESS, TITLES, MethodName, methods_of
from gemsnn.reproduce.real.part import Guest, Job, read
from gemsnn.reproduce.real.sets import SETS, SetName
from gemsnn.specs import checks
from gemsnn.specs.checks import Count
from gemsnn.store import parsing
from gemsnn.store.files import atomic_write, locked
from gemsnn.store.records import provenance
from gemsnn.types import AnyPath

SCHEMA = 1
"""The version of ``results.json``, which docs/results.md describes."""

CURVE: tuple[int, ...] = (50, 100, 200, 400)
"""Recordings of N-MNIST to learn from, beside all of them."""

CURVE_SET: SetName = "nmnist"
CURVE_METHODS: tuple[MethodName, ...] = ("counts", "counts-5", "best")

SCORES = ("accuracy", "nll", "ece", "brier", "seconds", "parameters", "peak", "spikes", "operations")
AT_TEMPERATURE = ("nll", "ece")
OF_GUESTS = ("title", "settings")
QUICK = "quick form: it shows that the code runs, and nothing about methods"


@dataclass(frozen=True)
class BenchSpec:
    """What a bench runs.

    Attributes:
        sets: of :data:`gemsnn.reproduce.real.sets.SETS`.
        seeds: how many, from 0 on.
        jobs: parts at a time, each with one thread.
    """

    sets: tuple[SetName, ...] = get_args(SetName)
    seeds: Count = 3
    jobs: Count = 2

    def __post_init__(self) -> None:
        """Check the fields once."""
        checks.fields(self)
        if not self.sets or len(set(self.sets)) < len(self.sets):
            raise InputError(f"sets must be one or more of {', '.join(SETS)}, each once, not {self.sets}")


def jobs_of(spec: BenchSpec, root: AnyPath | None, out: AnyPath, *, quick: bool) -> list[Job]:
    """All parts of a bench, set by set."""
    below = None if root is None else str(Path(root).absolute())
    found = []

    def add(name: SetName, method: MethodName, recordings: int | None = None) -> None:
        for seed in range(1 if method in SEEDLESS else spec.seeds):
            some = "" if recordings is None else f"-{recordings}"
            path = Path(out) / "parts" / f"{name}-{method}{some}-seed{seed}.json"
            found.append(Job(name, method, seed, below, quick, str(path), recordings))

    for name in spec.sets:
        for method in methods_of(name):
            add(name, method)
    if CURVE_SET in spec.sets and not quick:
        for count in CURVE:
            for method in CURVE_METHODS:
                add(CURVE_SET, method, count)
    return found


def run(
    spec: BenchSpec,
    root: AnyPath | None,
    out: AnyPath,
    *,
    quick: bool = False,
    say: Callable[[str], None] = lambda _: None,
) -> dict[str, Any]:
    """Run the parts that are missing in ``out``, then write and return ``results.json``.

    Raises:
        InputError: a set is missing, ``out`` holds something else or is in use, or a part failed.
    """
    out = Path(out)
    claim(spec, root, out, quick=quick)
    with locked(out):
        parts = jobs_of(spec, root, out, quick=quick)
        missing = jobs.missing(parts, read, say)
        jobs.run_all("gemsnn.reproduce.real.part", missing, spec.jobs, name=_name, told=_told, say=say)
        found = [read(job) for job in parts]
        found += guests(out, {part["name"]: part["digest"] for part in found})
        found.sort(key=lambda part: spec.sets.index(part["name"]))
        results = {"schema": SCHEMA, "quick": quick, **provenance(), **summary(found)}
        for name, digest in results["digests"].items():
            if not quick and not sets.is_known(name, digest):
                say(
                    f"note: the bins of {name} are not those of the numbers in docs/results.md ({SETS[name].obtain})"
                )
        atomic_write(out / "results.json", json.dumps(results, allow_nan=False) + "\n")
    return results


def guests(out: AnyPath, digests: Mapping[str, str]) -> list[dict[str, Any]]:
    """The parts of methods that are none of ours, of these sets: the files ``peers/*.json`` in the folder of a bench.

    Whatever program wrote them, they have a place in its table, as long as they are of the same bins.

    Raises:
        InputError: one is damaged, has the name of a method of ours, had other bins, or says other things than the same
            method's of another seed.
    """
    found, alike = [], {}
    for path in sorted((Path(out) / "peers").glob("*.json")):
        part = parsing.conform(parsing.parse_json(parsing.read_text(path), str(path)), Guest, str(path))
        if part["name"] not in digests:
            continue
        if part["digest"] != digests[part["name"]]:
            raise InputError(f"{path} learned from other bins of {part['name']} than this bench; remove it")
        if part["method"] in TITLES:
            raise InputError(
                f"{path} calls its method {part['method']}, as one of ours is; call it otherwise"
            )
        key = part["name"], part["method"], part["recordings"]
        says = {*part, f"{len(part.get('by_time', ()))} early answers"}
        if alike.setdefault(key, says) != says:
            differ = ", ".join(sorted(alike[key] ^ says))
            raise InputError(f"{path} says other things than the same method's of another seed: {differ}")
        found.append(dict(part))
    return found


def claim(spec: BenchSpec, root: AnyPath | None, out: AnyPath, *, quick: bool) -> None:
    """See that the sets are there, and make the folder of a bench, or see that it holds one of this form.

    Raises:
        InputError: a set is missing, ``out`` holds something else, or cannot be made.
    """
    for name in spec.sets:
        sets.where(name, root)
    out = Path(out)
    marker, form = out / "bench.json", {"bench": "real", "quick": quick}
    if marker.is_file():
        if json.loads(marker.read_text()) != form:
            raise InputError(f"{out} holds a bench of the other form, quick or whole; choose another --out")
        return
    jobs.make_folder(out, "bench")
    atomic_write(marker, json.dumps(form) + "\n")


def _name(job: Job) -> str:
    some = "" if job.recordings is None else f" of {job.recordings}"
    return f"{job.name}{some}, {job.method}, seed {job.seed}"


def _told(job: Job) -> str:
    part = read(job)
    return (
        f"{part['accuracy']:.1%} right, NLL {part['nll']:.3f}, ECE {part['ece']:.3f}, {part['seconds']:.0f} s"
    )


def summary(parts: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means and standard errors over seeds.

    Returns:
        ``rows``: for each set, method and number of recordings, means of all scores and costs, those at a temperature
        as ``nll_tempered`` and ``ece_tempered``, and ``by_time``, the means of early answers; of guests also their
        ``title`` and chosen ``settings``; ``digests`` of the sets.
    """
    keys = dict.fromkeys((part["name"], part["method"], part["recordings"]) for part in parts)
    rows = []
    for key in keys:
        mine = [part for part in parts if (part["name"], part["method"], part["recordings"]) == key]
        values = {name: jobs.mean([part[name] for part in mine]) for name in SCORES if name in mine[0]}
        for name in AT_TEMPERATURE:
            values[f"{name}_tempered"] = jobs.mean([part["tempered"][name] for part in mine])
        row = dict(zip(("name", "method", "recordings"), key, strict=True))
        row |= {"seeds": len(mine), "tested": mine[0]["tested"], **values}
        row |= {name: mine[0][name] for name in OF_GUESTS if name in mine[0]}
        if "decoder" in mine[0]:
            row["decoders"] = [part["decoder"] for part in mine]
        if "by_time" in mine[0]:
            row["by_time"] = [
                _moment(moments) for moments in zip(*(part["by_time"] for part in mine), strict=True)
            ]
        rows.append(row)
    return {"rows": rows, "digests": {part["name"]: part["digest"] for part in parts}}


def _moment(moments: Sequence[dict[str, float]]) -> dict[str, float | Mean]:
    """An early answer, over seeds."""
    scores = {name: jobs.mean([each[name] for each in moments]) for name in ("accuracy", "nll", "ece")}
    return {"ms": moments[0]["ms"], **scores}


COLUMNS = (
    ("accuracy", "accuracy", 1, 3),
    ("nll", "NLL", 1, 3),
    ("ece", "ECE", 1, 3),
    ("nll_tempered", "NLL at T", 1, 3),
    ("ece_tempered", "ECE at T", 1, 3),
    ("seconds", "seconds", 1, 0),
    ("parameters", "weights, kB", 1e-3, 0),
    ("peak", "memory, MB", 1e-6, 0),
    ("spikes", "spikes", 1, 0),
    ("operations", "operations, M", 1e-6, 2),
)
"""Key, heading, factor and decimals."""


def table(results: dict[str, Any]) -> str:
    """All rows as a table of Markdown, set by set; the curve of N-MNIST after them."""
    lines = [QUICK, ""] if results["quick"] else []
    whole = {
        name: max(r["recordings"] for r in results["rows"] if r["name"] == name)
        for name in results["digests"]
    }
    rows = [row for row in results["rows"] if row["recordings"] == whole[row["name"]]]
    lines += _head(["data", "method"])
    lines += [_line([SETS[row["name"]].title, _title(row)], row) for row in rows]
    curve = [row for row in results["rows"] if row["recordings"] != whole[row["name"]]]
    if curve:
        curve += [r for r in rows if r["name"] == CURVE_SET and r["method"] in CURVE_METHODS]
        order = sorted(curve, key=lambda row: (CURVE_METHODS.index(row["method"]), row["recordings"]))
        lines += ["", *_head(["method", "recordings"])]
        lines += [_line([TITLES[row["method"]], str(row["recordings"])], row) for row in order]
    return "\n".join(lines)


def _title(row: dict[str, Any]) -> str:
    return row["title"] if "title" in row else TITLES[row["method"]]


def _head(first: list[str]) -> list[str]:
    names = [*first, *(heading for _, heading, _, _ in COLUMNS)]
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def _line(first: list[str], row: dict[str, Any]) -> str:
    cells = []
    for key, _, factor, digits in COLUMNS:
        value = row.get(key)
        scaled = {} if value is None else {k: None if v is None else factor * v for k, v in value.items()}
        cells.append(jobs.cell(scaled, digits) if scaled else "")
    return "| " + " | ".join([*first, *cells]) + " |"

"""Methods of others on the sets of ``gemsnn reproduce real``, for its table.

python benchmarks/real_peers.py --root FOLDER --out OUT              (before or after gemsnn reproduce real --out OUT)
python benchmarks/real_peers.py --sets digits --quick --out OUT      (to see that it works)

snnTorch's networks, dense and convolutional, by backpropagation through time, in the environment of ``peers.py``; and
the rules of ``online_rules``. Each has as many hidden neurons as recipe ``best`` and is shown what it is shown. Step
size and decay of each are those of a grid that are best on the validation part, from seed 0; the temperature is fitted
there from each seed.

Parts go to OUT/peers, and what is there is not done again. Once all are done, ``gemsnn reproduce real --out OUT`` takes
them into its table and ``results.json``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypedDict, get_args

from peers import environment
from real_peers_part import TITLES, PeerJob, PeerName

from gemsnn.errors import InputError
from gemsnn.machine import places
from gemsnn.report import schema
from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import bench
from gemsnn.reproduce.real.bench import BenchSpec
from gemsnn.reproduce.real.part import Guest
from gemsnn.reproduce.real.sets import SETS, SetName
from gemsnn.store import parsing
from gemsnn.store.files import locked
from gemsnn.types import AnyPath
from peer_learners.shown import Settings

GRIDS: tuple[SetName, ...] = ("digits", "nmnist", "cards", "objects", "images")
"""Sets whose inputs lie on a sheet, for convolutions."""


class Tried(TypedDict):
    """Settings, and what they are worth on the validation part."""

    lr: schema.Positive
    decay: schema.Positive
    accuracy: schema.Real
    nll: schema.Real


class Search(TypedDict):
    """A part that compares settings."""

    name: str
    method: str
    seed: int
    tried: list[Tried]


class Wanted(NamedTuple):
    """What is asked for.

    Attributes:
        spec: sets, seeds and jobs.
        peers: which.
        root: below which the sets lie.
        out: the folder of the bench.
        quick: whether only to see that it works.
        python: of the peers' environment.
    """

    spec: BenchSpec
    peers: Sequence[PeerName]
    root: AnyPath | None
    out: Path
    quick: bool
    python: Path | None


def read(job: PeerJob) -> dict[str, Any]:
    """The part that this job has written.

    Raises:
        InputError: it is missing, damaged, or another job's.
    """
    found = parsing.parse_json(parsing.read_text(Path(job.path)), job.path)
    part = dict(parsing.conform(found, Search if job.chosen is None else Guest, job.path))
    same = (part["name"], part["method"], part["seed"]) == (job.name, job.peer, job.seed)
    if not same or (job.chosen is not None and part.get("settings") != job.chosen._asdict()):
        raise InputError(f"{job.path} is the part of another bench; remove it and run the same command again")
    return part


def search_jobs(wanted: Wanted) -> list[PeerJob]:
    """One for each set and peer."""
    root = None if wanted.root is None else str(Path(wanted.root).absolute())
    found = []
    for name in wanted.spec.sets:
        for peer in wanted.peers:
            if peer == "snntorch-conv" and name not in GRIDS:
                continue
            python = str(wanted.python) if peer.startswith("snntorch") else None
            path = str(wanted.out / "peers" / "settings" / f"{name}-{peer}.json")
            found.append(PeerJob(name, peer, 0, root, wanted.quick, path, python=python))
    return found


def learn_jobs(wanted: Wanted) -> list[PeerJob]:
    """One for each set, peer and seed, with the settings that were chosen."""
    found = []
    for search in search_jobs(wanted):
        best = min(read(search)["tried"], key=lambda tried: tried["nll"])
        chosen = Settings(best["lr"], best["decay"])
        for seed in range(wanted.spec.seeds):
            path = str(wanted.out / "peers" / f"{search.name}-{search.peer}-seed{seed}.json")
            found.append(
                PeerJob(
                    search.name, search.peer, seed, search.root, search.quick, path, chosen, search.python
                )
            )
    return found


def run(wanted: Wanted) -> dict[str, Any]:
    """Run the parts that are missing; the peers' rows as ``gemsnn reproduce real`` will have them."""
    bench.claim(wanted.spec, wanted.root, wanted.out, quick=wanted.quick)
    with locked(wanted.out):
        (wanted.out / "peers" / "settings").mkdir(parents=True, exist_ok=True)
        for made in (search_jobs, learn_jobs):
            missing = jobs.missing(made(wanted), read, print)
            jobs.run_all(
                "real_peers_part", missing, wanted.spec.jobs,
                name=_name, told=_told, say=lambda line: print(line, flush=True), beside=Path(__file__).parent,
            )  # fmt: skip
        parts = [read(job) for job in learn_jobs(wanted)]
    return {"quick": wanted.quick, **bench.summary(parts)}


def _name(job: PeerJob) -> str:
    what = "settings" if job.chosen is None else f"seed {job.seed}"
    return f"{job.name}, {job.peer}, {what}"


def _told(job: PeerJob) -> str:
    part = read(job)
    if job.chosen is None:
        best = min(part["tried"], key=lambda tried: tried["nll"])
        return f"step size {best['lr']:g}, decay {best['decay']:g}"
    return (
        f"{part['accuracy']:.1%} right, NLL {part['nll']:.3f}, ECE {part['ece']:.3f}, {part['seconds']:.0f} s"
    )


def main(words: Sequence[str] | None = None) -> int:
    """Run what the words ask for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--root", type=Path, help="the folder that holds the sets, as for gemsnn reproduce real"
    )
    parser.add_argument("--sets", nargs="+", choices=tuple(SETS), default=list(SETS))
    parser.add_argument("--peers", nargs="+", choices=get_args(PeerName), default=list(TITLES))
    parser.add_argument("--seeds", type=int, default=BenchSpec.seeds, help="how many, from 0 on")
    parser.add_argument(
        "--jobs", type=int, default=BenchSpec.jobs, help="parts at a time, each with one thread"
    )
    parser.add_argument("--out", type=Path, default=Path("runs") / "real")
    parser.add_argument("--quick", action="store_true", help="few recordings, small networks, two seeds")
    parser.add_argument("--environment", type=Path, default=places.cache_folder() / "peers-venv")
    given = parser.parse_args(words)
    try:
        spec = BenchSpec(tuple(given.sets), 2 if given.quick else given.seeds, given.jobs)
        needed = any(peer.startswith("snntorch") for peer in given.peers)
        python = environment(given.environment) if needed else None
        found = run(Wanted(spec, given.peers, given.root, given.out, given.quick, python))
    except InputError as error:
        print(f"real_peers.py: {error}", file=sys.stderr)
        return 2
    print(bench.table(found))
    print(f"gemsnn reproduce real --out {given.out} takes these rows into its table")
    return 0


if __name__ == "__main__":
    sys.exit(main())

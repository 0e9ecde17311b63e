"""Answers to many recordings, in shards: shared by processes, kept as they are made, and gone on with after a kill.

While a table is being answered, its parts lie in a hidden folder beside it (:func:`folder_of`)::

    settings.json    what the answers depend on: another command does not go on with them
    recordings.jsonl which recordings there are (:mod:`gemsnn.data.listing`)
    part-000001000.csv    the rows of the shard that begins with this recording, written as a whole, or .parquet
    done.json        once the table is whole: what it holds
    .lock            held by the process that writes the folder

When all parts are there they become the table, and the folder goes away.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import torch

from gemsnn.data.listing import Listing, Stretch, listed
from gemsnn.errors import InputError
from gemsnn.machine import workers as processes
from gemsnn.runs import answering, console, facts
from gemsnn.runs.answering import How
from gemsnn.runs.models import Model
from gemsnn.store.checkpoints import digest_of
from gemsnn.store.files import atomic_write, locked, make_folder, read_json, sync_folder
from gemsnn.store.tables import CSV, Row, Table, Tally, table_for
from gemsnn.types import AnyPath

FORMAT = 1
SHARD = 1000
"""Recordings of a shard, by default."""

ALONE: dict[str, str] = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
"""The environment of a process that works by one thread."""

_OWN = _SETTINGS, _RECORDINGS, _DONE = "settings.json", "recordings.jsonl", "done.json"


class Given(NamedTuple):
    """Recordings that are to be answered.

    Attributes:
        path: of a folder or a file; see :func:`gemsnn.data.listing.listed`.
        names: whether it lists files.
        shard: how many of them are answered as one piece of work.
        workers: processes that share the work, with one thread each; ``None`` for this process and all its threads.
    """

    path: Path
    names: bool = False
    shard: int = SHARD
    workers: int | None = None

    def listed(self, into: AnyPath) -> Listing:
        """Which they are; what was left out is told."""
        found = listed(self.path, into, self.shard, names=self.names)
        for note in found.notes:
            console.say(f"note: {note}")
        return found


def folder_of(out: AnyPath) -> Path:
    """The folder in which the parts of a table lie until they are all there."""
    out = Path(out)
    return out.with_name(f".{out.name}.parts")


def printed(model: Model, given: Given, how: How) -> Iterator[tuple[str, Tally]]:
    """The lines of a table as CSV, some at a time, the heading first, and what they hold; nothing is kept."""
    table = CSV(answering.columns(model, how))
    with tempfile.TemporaryDirectory() as folder:
        found = given.listed(Path(folder) / _RECORDINGS)
        yield table.heading.decode(), Tally()
        for part in _shared(partial(_content, model, found, how, table), found.stretches, given.workers):
            yield part.decode(), table.tally(part)


def written(model: Model, given: Given, how: How, out: AnyPath) -> Tally:
    """Write a table of answers, CSV or Parquet by its name; shards that are there already are not answered again.

    Raises:
        InputError: the table is there already, or parts of one of other recordings or settings; or a part is damaged.
    """
    out = Path(out)
    table, folder = table_for(out, answering.columns(model, how)), folder_of(out)
    if out.exists() and not folder.exists():
        raise InputError(_there(out))
    try:
        make_folder(folder)
    except OSError as error:
        raise InputError(f"{folder} cannot be made ({error.strerror}); choose another --out") from error
    if not all(each.name.startswith((".", "part-", *_OWN)) for each in folder.iterdir()):
        raise InputError(f"{folder} holds something else than answers; choose another --out, or move it away")
    with locked(folder):
        try:
            tally = _answered(model, given, how, out, table, folder)
        except BaseException:
            if not any(folder.glob(f"part-*{table.suffix}")):
                shutil.rmtree(folder)
            raise
        for part in folder.glob(f"part-*{table.suffix}"):
            part.unlink()  # first: what says that the table is whole goes last
        shutil.rmtree(folder)
    return tally


def _there(out: Path) -> str:
    return f"{out} is there already; choose another --out, or move it away"


def _answered(model: Model, given: Given, how: How, out: Path, table: Table, folder: Path) -> Tally:
    """Answer what is not answered yet, and write the table."""
    begun = any(folder.glob(f"part-*{table.suffix}"))
    before = read_json(folder / _SETTINGS) if begun else {}
    now = _settings(model, given, how, table)
    _compare(folder, now, before)
    if out.exists():
        if not (folder / _DONE).exists():
            raise InputError(_there(out))
        return Tally(**read_json(folder / _DONE))
    for stale in folder.glob(".part-*"):
        stale.unlink(missing_ok=True)
    with console.status(f"looking for recordings in {given.path}"):
        found = given.listed(folder / f".{_RECORDINGS}")
    now |= {"recordings": found.digest}
    _compare(folder, now, before)
    found.path.replace(folder / _RECORDINGS)
    found = found._replace(path=folder / _RECORDINGS)
    if now != before:
        atomic_write(folder / _SETTINGS, json.dumps(now, indent=1) + "\n")
    parts = {_part(folder, each, table): each for each in found.stretches}
    left = [each for path, each in parts.items() if not path.exists()]
    if begun:
        console.say(f"going on: {len(parts) - len(left)} of {len(parts)} shards are answered already")
    work = partial(_keep, model, found, how, table, folder)
    with console.course(sum(each.number for each in left), "recordings") as passed:
        for stretch in _shared(work, left, given.workers):
            passed(stretch.number)
    return _joined(table, list(parts), out, found.number)


def _settings(model: Model, given: Given, how: How, table: Table) -> dict[str, Any]:
    """What the parts of a table depend on, but for the recordings."""
    weights = _weights(model)
    return {
        "format": FORMAT,
        "run": digest_of(
            {"weights": weights, "facts": facts.written(model.facts), "kernel": model.kernel_name}
        ),
        "votes": how.compartments,
        "decoder": how.decoder or model.facts.decoder,
        "seed": model.facts.seed if how.seed is None else how.seed,
        "until": how.risk,
        "certificate": None if how.promised is None else how.promised[0].digest,
        "time_unit": how.time_unit or model.reading.time_unit,
        "shard": given.shard,
        "table": table.suffix,
    }


def _compare(folder: Path, now: dict[str, Any], before: dict[str, Any]) -> None:
    """Raise :class:`InputError` where the parts in a folder depend on other settings; of none nothing is known."""
    for name in now:
        if before and now[name] != before.get(name):
            raise InputError(f"{folder} holds answers {_otherwise(name, before.get(name), now[name])}")


def _weights(model: Model) -> str:
    assert model.sha256 is not None, "it comes from a checkpoint or a file"
    return model.sha256


def _otherwise(name: str, before: Any, now: Any) -> str:
    """How answers differ that another command has begun, and what to do."""
    advice = "repeat the command that began them, or remove the folder to begin anew"
    if name in ("run", "recordings", "certificate"):
        of = {
            "run": "of another run",
            "recordings": "of other recordings, or of some that have changed since",
        }
        return f"{of.get(name, 'under another certificate, or under none')}; {advice}"
    return f"of {name} {before}, and this command asks for {now}; {advice}"


def _part(folder: Path, stretch: Stretch, table: Table) -> Path:
    """Where the rows of a shard lie."""
    return folder / f"part-{stretch.first:09d}{table.suffix}"


def _shared(work: Any, stretches: Sequence[Stretch], workers: int | None) -> Iterator[Any]:
    if workers is None:
        yield from map(work, stretches)
    elif stretches:
        yield from processes.mapped(partial(_alone, work), stretches, workers, environment=ALONE)


def _alone(work: Any, stretch: Stretch) -> Any:
    """In a process that is one of several: do the work by one thread."""
    torch.set_num_threads(1)
    return work(stretch)


def _content(model: Model, listing: Listing, how: How, table: Table, stretch: Stretch) -> bytes:
    """The rows of a shard."""
    rows: list[Row] = []
    for some in answering.answered(model, listing, stretch, how):
        rows += some
    return table.part(rows)


def _keep(model: Model, listing: Listing, how: How, table: Table, folder: Path, stretch: Stretch) -> Stretch:
    """Write the part of a shard."""
    atomic_write(_part(folder, stretch, table), _content(model, listing, how, table, stretch))
    return stretch


def _joined(table: Table, parts: Sequence[Path], out: Path, count: int) -> Tally:
    """Write the table as a whole, of all its parts; a kill just before or after it is there does not matter."""
    folder = parts[0].parent
    handle, name = tempfile.mkstemp(dir=folder, prefix=".part-")
    with os.fdopen(handle, "wb") as file:
        tally = table.join(parts, file)
        file.flush()
        os.fsync(file.fileno())
    if tally.rows != count:
        raise InputError(
            f"{folder} holds {tally.rows} answers to {count} recordings, so a part is damaged; remove the "
            "folder to begin anew"
        )
    atomic_write(folder / _DONE, json.dumps(tally._asdict()) + "\n")
    Path(name).chmod(0o644)
    Path(name).replace(out)
    sync_folder(out.parent)
    return tally

"""``gemsnn predict``."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import tyro

from gemsnn.commands import flags
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.runs import certificate, console, loading, scored, shards
from gemsnn.runs.answering import How
from gemsnn.runs.prediction import PORTION
from gemsnn.runs.shards import SHARD, Given
from gemsnn.scoring import until as asking
from gemsnn.scoring.answers import Decoder, check_decoder
from gemsnn.specs import checks
from gemsnn.specs.checks import MOST, Count, Range
from gemsnn.specs.needs import given, needs
from gemsnn.store.tables import Tally


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("predict", predict, words)


def predict(
    run: tyro.conf.Positional[Path],
    recordings: tyro.conf.Positional[Path],
    votes: int | None = None,
    decoder: Decoder | None = None,
    seed: int | None = None,
    until: float | None = None,
    certified: bool = False,
    out: Path | None = None,
    workers: int | None = None,
    shard: Annotated[int | None, needs(given("out"))] = None,
    listed: bool = False,
    time_unit: TimeUnit | None = None,
) -> int:
    """Answer recordings of events: a row of CSV for each, with its class, entropy in nats and probabilities.

    Args:
        run: the run folder, or a model file.
        recordings: a file of events, or a folder of such files at any depth.
        votes: how many compartments answer, K_I, by default as many as at the end of the training; with
            --until, at most, by default 50.
        decoder: how they answer, votes, rates, mixture, pooled or likelihood; by default as the run does.
        seed: the seed of the noise; by default the run's.
        until: ask compartments until their votes tell the winner of infinitely many, but for this risk; where they tell
            none, the answer is empty.
        certified: tell the sets, early answers and p-values of strangeness of the run's certificate (gemsnn certify).
        out: the file for the rows, CSV, or Parquet where its name ends with .parquet; by default they are printed. A
            command that was stopped goes on when it is given again.
        workers: processes that share the work, with one thread each; by default this one does it with all its threads.
        shard: recordings that are answered and kept as one piece, by default 1000.
        listed: RECORDINGS is a text file with a path a line, from its own folder on.
        time_unit: unit of the times of files that do not tell it; by default as in training.
    """
    model = loading.load(run)
    model.check_answers()
    if decoder is not None:
        check_decoder(decoder, model.network)
    promised = None
    if certified:
        if until is not None or votes is not None or decoder is not None or seed is not None:
            raise InputError(
                "certified answers are those of the certificate; leave out until, votes, decoder and seed"
            )
        made = certificate.of_run(run)
        promised = made, certificate.familiar_of(run, made)
    usual = asking.MOST if until is not None else model.votes
    if promised is not None:
        usual = promised[0].compartments
    if votes is not None and votes < 1:
        raise InputError(f"votes must be at least 1, not {votes}")
    how = How(votes or usual, decoder, seed, until, promised, time_unit)
    each = PORTION if out is None else SHARD if shard is None else checks.number(shard, Count, "shard")
    if workers is not None:
        _ = checks.number(workers, Annotated[int, Range(1, MOST)], "workers")
    scored.prepare(model)
    asked = Given(recordings, listed, each, workers)
    if out is None:
        tally = Tally()
        for lines, told in shards.printed(model, asked, how):
            sys.stdout.write(lines)
            sys.stdout.flush()
            tally = tally.and_then(told)
    else:
        tally = shards.written(model, asked, how, out)
        console.say(f"{tally.rows - tally.failed} recordings answered: {out}")
    return _end(tally)


def _end(tally: Tally) -> int:
    """Say what could not be read; 2 where nothing could."""
    if tally.failed == tally.rows:
        raise InputError(f"none of {tally.rows} recordings could be answered; the first: {tally.first}")
    if tally.failed:
        console.say(
            f"note: {tally.failed} of {tally.rows} recordings could not be answered, see the column error; the first: "
            f"{tally.first}"
        )
    return 0

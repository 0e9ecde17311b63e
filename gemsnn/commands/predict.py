"""``gemsnn predict``."""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

import tyro

from gemsnn.commands import flags
from gemsnn.data.readers.units import TimeUnit
from gemsnn.errors import InputError
from gemsnn.runs import answering, certificate, console, loading, scored
from gemsnn.runs.answering import How
from gemsnn.scoring import until as asking
from gemsnn.scoring.answers import Decoder, check_decoder


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
    time_unit: TimeUnit | None = None,
    skip_damaged: bool = False,
) -> int:
    """Answer recordings of events: a line of CSV for each, with its class, entropy in nats and probabilities.

    Args:
        run: the run folder, or a model file.
        recordings: a file of events, or a folder of such files at any depth.
        votes: how many compartments answer, K_I, by default as many as at the end of the training; with
            --until, at most, by default 50.
        decoder: how they answer, votes, rates or likelihood; by default as the run does.
        seed: the seed of the noise; by default the run's.
        until: ask compartments until their votes tell the winner of infinitely many, but for this risk; where they tell
            none, the answer is empty.
        certified: tell the sets, early answers and p-values of strangeness of the run's certificate (gemsnn certify).
        out: the file for the lines; by default they are printed.
        time_unit: unit of the times of files that do not tell it; by default as in training.
        skip_damaged: leave out what cannot be read, with a note for each.
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
    how = How(votes or usual, decoder, seed, until, promised, time_unit, skip_damaged)
    found = answering.files_of(recordings)
    scored.prepare(model)
    for note in found.notes:
        console.say(f"note: {note}")
    with _opened(out) as lines:
        table = csv.DictWriter(lines, answering.columns(model, how))
        table.writeheader()
        count = 0
        for rows in answering.answered(model, found, how):
            table.writerows(rows)
            lines.flush()
            count += len(rows)
    if out is not None:
        console.say(f"{count} recordings answered: {out}")
    return 0


@contextmanager
def _opened(out: Path | None) -> Iterator[TextIO]:
    if out is None:
        yield sys.stdout
        return
    if out.exists():
        raise InputError(f"{out} is there already; choose another --out, or move it away")
    with out.open("w", newline="", encoding="utf-8") as lines:
        yield lines

"""``gemsnn certify``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Literal

import tyro

from gemsnn import report
from gemsnn.commands import flags
from gemsnn.errors import InputError
from gemsnn.report.reading import CERTIFIED
from gemsnn.runs import certificate, choosing, console, loading, scored
from gemsnn.scoring.conformal import ScoreName
from gemsnn.scoring.early import Rule
from gemsnn.scoring.promise import Asked
from gemsnn.specs.needs import needs, one_of

CHOSEN_THERE = (
    "the same recordings chose the epoch, the decoder and the temperature of the run, which makes it look a little "
    "better on them than on others; recordings that nothing was chosen by (--data, --root) make the promise strict"
)


def bind(words: Sequence[str]) -> Callable[[], int]:
    """The command with its flags."""
    return flags.bind("certify", certify_run, words)


def certify_run(
    run: tyro.conf.Positional[Path],
    risk: float = 0.05,
    score: ScoreName = "lac",
    rule: Rule = "single",
    checkpoints: int = 20,
    confidence: Annotated[float, needs(one_of("rule", "answers"))] = 0.9,
    by_class: bool = False,
    votes: int | None = None,
    split: Literal["validation", "test", "all"] | None = None,
    data: str | None = None,
    root: Path | None = None,
    limit: int | None = None,
) -> int:
    """Fit limits that keep a promise, and store them in the run as its certificate; its report tells of it.

    Args:
        run: the run folder.
        risk: how often the right class may be missing from what is said, above 0 and below 1.
        score: lac makes the smallest sets, aps sets that grow where the answer is hard.
        rule: when a recording is answered early: single, as soon as one class is left; answers likewise, with a promise
            about the share of wrong answers among all answers; any, and spikecp by a limit for each checkpoint, with
            sets that hold the right class whenever somebody stops.
        checkpoints: moments at which a recording may be answered.
        confidence: with which the promise about answers holds.
        by_class: sets at the end keep the promise for the recordings of each class by itself, which takes as many of
            each as of all without it.
        votes: how many compartments answer, K_I; by default as many as at the end of the training.
        split: the part of the data to fit on; nothing may have been learned from it. By default validation, and of
            other data that does not come in parts all recordings.
        data: another data set, read as the run read its own.
        root: where that lies; without a data set, another place of one like the run's.
        limit: only so many recordings of the part, of every class as many.
    """
    if votes is not None and votes < 1:
        raise InputError(f"votes must be at least 1, not {votes}")
    if not run.is_dir():
        raise InputError(f"{run} is not a run folder, which alone can keep a certificate")
    model = loading.load(run)
    model.check_answers()
    votes = votes or model.votes
    chosen = choosing.choose(model, run, split, usual="validation", data=data, root=root, limit=limit)
    assumes = (CHOSEN_THERE,) if chosen.name == "validation" and not chosen.other else ()
    scored.prepare(model)
    own = chosen if not chosen.other else choosing.choose(model, run, "test")
    familiar = certificate.learned(model, own.splits.train, votes, progress=console.bar)
    found = certificate.certified(
        model, chosen.part, Asked(risk, score, rule, checkpoints, confidence, by_class), votes,
        familiar=familiar, fitted_on=chosen.title, assumes=assumes, progress=console.bar,
    )  # fmt: skip
    certificate.save(run, found, familiar)
    told = None
    (run / CERTIFIED).unlink(missing_ok=True)
    if chosen.other or chosen.name != "test":
        told = certificate.keep_scores(run, model, found, own.splits.test, progress=console.bar)
    report.write_report(run)
    print(found.promise)
    print(f"fitted on {found.fitted_on}, {found.compartments} compartments, decoder {found.decoder}")
    for each in found.assumes:
        print(f"assumed: {each}")
    if told is not None:
        print(f"on the test part: {told.told()}")
    print(f"certificate: {run / certificate.FILE}, in the report {run / 'report.html'}")
    return 0

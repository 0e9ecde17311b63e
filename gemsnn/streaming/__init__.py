"""The command ``gemsnn stream``: events in as they happen, answers out as lines of JSON, learning where it is told.

::

    source -> open bins -> OnlineLearner -> a line of JSON an answer

Everything that goes on can be saved in a folder (``--state``), from which a stream that was stopped anywhere goes on;
of a file it then reads the rest. Saving changes nothing, so the weights and answers are those of a stream that was
never stopped.
"""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path

import torch

from gemsnn.data.events import mended
from gemsnn.data.sources import Source, open_source
from gemsnn.errors import INTERRUPTED, InputError
from gemsnn.runs import certificate, config, console, continuing, facts, loading
from gemsnn.runs.models import Model
from gemsnn.store.files import locked, make_folder
from gemsnn.store.records import CONFIG, MANIFEST, STREAM, RunFolder, provenance
from gemsnn.streaming.labels import Labels, Mark, read_labels
from gemsnn.streaming.session import Session
from gemsnn.streaming.spec import StreamSpec, Task, cautions, identity, task_of
from gemsnn.types import AnyPath

__all__ = ["StreamSpec", "run"]


def run(model: AnyPath, given: str, spec: StreamSpec) -> int:
    """Run a stream to its end; the exit code."""
    model = Path(model)
    if spec.state is not None and spec.state.exists() and spec.state.samefile(model):
        raise InputError(
            f"{model} cannot be the model and the state of one stream; a stream goes on with the --model it began with"
        )
    trained = loading.load(model)
    trained.check_answers()
    settings = trained.settings
    schedule = [] if spec.labels is None else read_labels(spec.labels, trained.reading.layout.classes)
    promised = None
    if spec.certified:
        made = certificate.of_run(model)
        certificate.check_weights(trained, made)
        promised = made, certificate.familiar_of(model, made)
    source = open_source(given, time_unit=trained.reading.time_unit or settings.data.time_unit)
    for note in mended(source.repairs):
        console.say(f"note: {note}")
    try:
        task = task_of(spec, settings, trained, source.sensor, promised)
        check_lag(spec, task, source)
        notes = cautions(spec, settings, trained)
        if task.learning is not None:
            manifest = RunFolder(model).read_json("manifest.json") if model.is_dir() else {}
            changed = continuing.rule_note(manifest, task.learning.rule)
            notes += [] if changed is None else [changed]
        for caution in notes:
            console.say(f"note: {caution}")
        if spec.state is None:
            return _run(spec, task, source, schedule, RunFolder(model))
        try:
            make_folder(spec.state)
        except OSError as error:
            raise InputError(
                f"{spec.state} cannot be made ({error.strerror}); choose another --state"
            ) from error
        with locked(spec.state):
            RunFolder(spec.state).check_state()
            return _run(spec, task, source, schedule, RunFolder(model))
    finally:
        source.close()


def _run(spec: StreamSpec, task: Task, source: Source, schedule: list[Mark], folder: RunFolder) -> int:
    labels = Labels(schedule, task.arrivals.layout.bin_us)
    session = Session(spec, task, source, labels, sys.stdout, identity(task))
    session.restore()
    if spec.state is not None:
        _adopt(RunFolder(spec.state), folder, task.model)
    with console.compiling("compiling the network, which takes a minute or two at its first use"):
        _warm_up(task)
    with console.interruptible("portion") as stopped:
        heard_of = source.start()
        if heard_of is not None:
            console.say(heard_of)
        ended = session.run(stopped)
    if session.unheard:
        sys.stdout = session.out  # Python shall not complain at its exit
    if spec.state is not None:
        session.save()
    console.say(session.summary())
    for warning in session.warnings():
        console.say(f"note: {warning}")
    return 0 if ended or session.enough() else INTERRUPTED


def check_lag(spec: StreamSpec, task: Task, source: Source) -> None:
    """Whether any answer would be in time.

    Raises:
        InputError: none would.
    """
    waits = task.arrivals.patience / 1e3
    if source.live and spec.speed == "real" and spec.max_lag_ms <= waits:
        raise InputError(
            f"a bin waits for events for {waits:g} ms after its end (--reorder-us), so every answer would be more than "
            f"--max-lag-ms {spec.max_lag_ms:g} behind; give a longer --max-lag-ms or a shorter --reorder-us"
        )


def _adopt(state: RunFolder, run: RunFolder, model: Model) -> None:
    """Give a stream's state what its network's answers depend on, but for temperatures: those were of other weights."""
    if run.path.is_dir():
        state.adopt(run)
    elif not (state.path / MANIFEST).exists():
        state.write(CONFIG, config.dump(model.settings))
        state.write_json(
            MANIFEST, {**provenance(), "layout": model.reading.layout._asdict(), "status": STREAM}
        )
    if not (state.path / facts.FILE).exists():
        facts.save_facts(state, dataclasses.replace(model.facts, temperatures={}))


def _warm_up(task: Task) -> None:
    """Compile all that will be needed, on a learner that is thrown away."""
    learner = task.learner()
    steps = (
        1 if task.learning is None or task.learning.update_every is None else task.learning.update_every + 1
    )
    spikes = torch.zeros(min(steps, 200), task.arrivals.layout.inputs, dtype=torch.uint8)
    learner.step(spikes, None if task.learning is None else 0)
    assert learner.params is not None

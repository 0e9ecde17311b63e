"""A model from recordings in memory, and recordings of a data set by its name, with settings by name."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from gemsnn.data import datasets
from gemsnn.data.datasets import DataSpec
from gemsnn.data.packing import Source
from gemsnn.data.reading import Reading, reading_of_bins
from gemsnn.data.spikeset import SpikeSet
from gemsnn.data.splits import Splits
from gemsnn.data.trains import Trains
from gemsnn.data.unheld import PairSequence, Unheld, is_held, look_at
from gemsnn.errors import InputError
from gemsnn.learn.federated import FleetSpec
from gemsnn.learn.train import Watcher
from gemsnn.model.spec import NetworkSpec
from gemsnn.runs import config, drawing, fleets, layers, scored, tuning
from gemsnn.runs.config import EvaluateSpec, Settings
from gemsnn.runs.facts import Facts
from gemsnn.runs.layers import CALL, Layer
from gemsnn.runs.models import Model
from gemsnn.runs.recipes import RecipeName
from gemsnn.runs.teaching import teach
from gemsnn.runs.tuning import Trial, Tuned
from gemsnn.scoring import evaluate
from gemsnn.specs import checks, needs
from gemsnn.specs import fields as specs
from gemsnn.types import AnyPath, Progress

OF_DATA = dict.fromkeys(set(specs.declarations(DataSpec)) - {"warm_up"}, "fit is given its recordings")
"""Settings of recordings, and why they have no effect here; ``warm_up`` is a network's as much as theirs."""

OF_BINS = ("bin_us", "counts")
"""Those that say what bare pairs are."""

OF_ANSWERS = dict.fromkeys(specs.declarations(EvaluateSpec), "a network of spike trains gives no answers")


def fit(
    recordings: SpikeSet | Splits | Iterable[Any] | PairSequence,
    *,
    validation: SpikeSet | Iterable[Any] | None = None,
    recipe: RecipeName = "best",
    reading: Reading | None = None,
    progress: Progress | None = None,
    **settings: Any,
) -> Model:
    """Train a network on recordings.

    They are :class:`gemsnn.Recordings`, or pairs of a recording and its label (or target): a list of them, or more than
    fit into memory. An iterable, such as a generator, is gone through once, and its spikes are kept in a temporary file
    of the cache folder, from which every epoch draws them in an order of its own. A sequence (``len(sequence)``,
    ``sequence[i]``, such as a data set of torch) is asked for each recording once before the training, to learn what
    all have in common, once in every epoch, and once after it. Of pairs of events it has to be known how they are read:
    ``reading=gemsnn.Recordings.from_events(some, ..).reading``.

    Those with ``targets`` teach their spike trains: with independent output neurons from the mean rate of the targets
    on, and without a warm-up, where the call says nothing else. :meth:`gemsnn.Model.generate` gives what was learned.

    Args:
        recordings: to learn from; of a :func:`gemsnn.dataset` its training part, with the validation part where no
            other is given.
        validation: recordings, or pairs, on which the temperatures of the answers are fitted, and by which decoder
            auto chooses; without any, probabilities are the bare shares of the votes.
        recipe: the settings to begin with: ``best``, what has been measured to learn best, or ``paper``.
        reading: how recordings of a sensor became bins, for a model that is to read others of it; by default theirs.
        progress: shows how far the training is: wraps an iterable, given its length and what its items are.
        **settings: any setting of ``gemsnn train``, by the name it has in a TOML file: ``epochs=10``, ``hidden=[256]``,
            ``compartments=1``, ``rule="gem"`` or a function or :class:`gemsnn.Rule` of your own, ``lr=0.001``,
            ``batch=16``, ``warm_up=0.5``, ``seed=0``, ``votes=20``, ``kernel="auto"``, ..; of pairs of bins also
            ``bin_us=1000``, which is needed, and ``counts=True``.

    Returns:
        The model. With the same recordings, settings and seed it is that of ``gemsnn train``, to the bit.

    Raises:
        InputError: a setting is unknown, makes no sense or has no effect, or the recordings do not fit.

    >>> import numpy as np
    >>> import gemsnn
    >>> spikes = np.random.default_rng(0).random((8, 20, 6)) < 0.2
    >>> recordings = gemsnn.Recordings.from_arrays(spikes, ["no", "yes"] * 4, bin_us=1000)
    >>> model = gemsnn.fit(recordings, epochs=1, hidden=[4])
    >>> gemsnn.predict(model, spikes).probabilities.shape
    torch.Size([8, 2])
    """
    return _fitted(recordings, validation, recipe, reading, progress, settings)


def federate(
    recordings: SpikeSet | Splits,
    *,
    validation: SpikeSet | Iterable[Any] | None = None,
    recipe: RecipeName = "best",
    progress: Progress | None = None,
    **settings: Any,
) -> Model:
    """Train a network by devices that learn on recordings of their own and now and then average their weights.

    All of them are simulated here, one after the other; :mod:`gemsnn.learn.federated` has the equations and sources.

    Args:
        recordings: to be dealt out among the devices, each to one; of a :func:`gemsnn.dataset` its training part, with
            the validation part where no other is given.
        validation: see :func:`fit`; it is the server's own.
        recipe: the settings to begin with.
        progress: shows how far the training is.
        **settings: any setting of ``gemsnn federate``, by the name it has there: ``devices=10``, ``every=5`` (batches
            of its own that a device learns between two averagings), ``missing=0.1``, ``alpha=0.5`` or
            ``classes_per_device=2``, ``send="8-bit"`` or ``"sparse"`` with ``share=0.05``; and those of :func:`fit`, of
            which ``batch`` is that of each device. Devices with different classes need ``optimiser="sgd"``, with an
            ``lr`` for it.

    Returns:
        The model. With the same recordings, settings and seed it is that of ``gemsnn federate``, to the bit.

    Raises:
        InputError: as :func:`fit`; or a device would have no recordings.

    >>> import numpy as np
    >>> import gemsnn
    >>> spikes = np.random.default_rng(0).random((8, 20, 6)) < 0.2
    >>> recordings = gemsnn.Recordings.from_arrays(spikes, ["no", "yes"] * 4, bin_us=1000)
    >>> model = gemsnn.federate(recordings, devices=4, batch=1, epochs=1, hidden=[4])
    >>> gemsnn.predict(model, spikes).probabilities.shape
    torch.Size([8, 2])
    """
    checks.number(recordings, SpikeSet | Splits, "recordings")
    known = specs.declarations(FleetSpec)
    own = {name: value for name, value in settings.items() if name in known}
    left = {name: value for name, value in settings.items() if name not in known}
    fleet = FleetSpec(**own)
    given = {name: needs.Given(1, name) for name in own}
    values = specs.flat(fleet)
    needs.settle(needs.declared(known), values, given, dict.fromkeys(own, 1), values)
    return _fitted(recordings, validation, recipe, None, progress, left, fleet)


def _fitted(
    recordings: SpikeSet | Splits | Iterable[Any] | PairSequence,
    validation: SpikeSet | Iterable[Any] | None,
    recipe: RecipeName,
    reading: Reading | None,
    progress: Progress | None,
    settings: dict[str, Any],
    fleet: FleetSpec | None = None,
) -> Model:
    """What :func:`fit` does, by one process or by a fleet."""
    if isinstance(recordings, Splits):
        validation = recordings.validation if validation is None else validation
        recordings = recordings.train
    refused = OF_DATA
    if not isinstance(recordings, SpikeSet):
        refused = {name: why for name, why in OF_DATA.items() if reading is not None or name not in OF_BINS}
        # what cannot be is refused before the recordings are gone through
        _ = _resolved(recipe, settings, refused=refused)
        recordings = _taken(recordings, reading, settings, progress)
    trains = recordings.trains
    chosen = _resolved(
        recipe,
        settings,
        refused=refused if trains is None else {**refused, **OF_ANSWERS},
        usual=_usual(recipe, recordings, settings),
    )
    for caution in (config.caution(chosen), fleet and fleets.caution(fleet, chosen.optimiser)):
        if caution:
            warnings.warn(caution, stacklevel=3)
    reading = reading or _reading_of(recordings)
    if isinstance(recordings, SpikeSet):
        reading.check(recordings)
    if validation is not None and not isinstance(validation, SpikeSet):
        validation = reading.presentations(validation)
    held = validation or ()
    if held and trains is not None:
        raise InputError(
            "validation has no effect with targets: it is there to fit the temperatures of answers; leave it out, and "
            "ask Model.log_likelihood"
        )
    if held:
        reading.check(held)
    elif chosen.evaluate.answer == "all":
        raise InputError(
            "answer 'all' chooses its weights on validation recordings; give some, or answer 'last'"
        )
    if trains is not None:
        _check_output(chosen.network_spec(recordings.layout), trains)
    taught = teach(
        chosen, recordings, held, progress=progress,
        watcher=None if progress is None else Watcher(progress=progress), fleet=fleet,
    )  # fmt: skip
    least = evaluate.least_spikes_of(taught.network, recordings)
    facts = Facts(reading, chosen.data.warm_up, taught.decoder, chosen.train.seed, least_spikes=least)
    answering = taught.state.answering
    model = Model(taught.network, answering, facts, chosen, taught.kernel, taught.kernel_name)
    return scored.answering(model, held, progress) if held else model


def tune(
    recordings: SpikeSet | Splits,
    *,
    minutes: float,
    validation: SpikeSet | Iterable[Any] | None = None,
    recipe: RecipeName = "best",
    tell: Callable[[Trial], None] = lambda _: None,
    progress: Progress | None = None,
    **settings: Any,
) -> Tuned:
    """Search settings by the validation part for so many minutes, for :func:`fit` (:mod:`gemsnn.runs.tuning`).

    Args:
        recordings: to learn from; of a :func:`gemsnn.dataset` its training part, with the validation part where no
            other is given.
        minutes: of the whole search, but for its first trial, which always comes to its end.
        validation: recordings, or pairs, whose answers decide.
        recipe: the settings to begin with.
        tell: takes each trial when it ends.
        progress: shows how far the reading of events is.
        **settings: as those of :func:`fit`; they stay as they are given.

    Returns:
        The settings that were found, and all trials. The same call gives the same trials, as far as the time reaches.

    Raises:
        InputError: as :func:`fit`; or there are no validation recordings, nothing is left to search, or the library
            optuna (``pip install 'gemsnn[tune]'``) is missing.

    >>> import gemsnn
    >>> data = gemsnn.dataset("digits")  # doctest: +SKIP
    >>> found = gemsnn.tune(data, minutes=10, hidden=[64])  # doctest: +SKIP
    >>> model = gemsnn.fit(data, hidden=[64], **found.settings)  # doctest: +SKIP
    """
    if isinstance(recordings, Splits):
        validation = recordings.validation if validation is None else validation
        recordings = recordings.train
    checks.number(recordings, SpikeSet, "recordings")
    own = settings_for(recordings, recipe, settings)
    reading = _reading_of(recordings)
    if validation is not None and not isinstance(validation, SpikeSet):
        validation = reading.presentations(validation)
    held = validation or ()
    if held:
        reading.check(held)
    return tuning.search(recordings, held, own, tuple(settings), minutes, tell=tell, progress=progress)


def settings_for(recordings: SpikeSet, recipe: RecipeName, given: Mapping[str, Any]) -> Settings:
    """The settings by which :func:`fit` would learn labelled recordings.

    Raises:
        InputError: as :func:`fit`, of the settings alone.
    """
    return _resolved(recipe, given, refused=OF_DATA, usual=_usual(recipe, recordings, given))


def dataset(
    data: str = "digits",
    root: AnyPath | None = None,
    *,
    progress: Progress | None = None,
    **settings: Any,
) -> Splits:
    """A data set by its name, in its three parts: ``train``, ``validation`` and ``test``.

    Args:
        data: ``digits`` (built in), ``events`` (a folder of recordings), ``nmnist``, ``mnist-dvs``, ``images``,
            ``touch``, ``braille``, ``neurons``, or ``tonic:NAME``.
        root: the folder or file where it lies.
        progress: shows how far the work is.
        **settings: any setting of recordings, by the name it has in a TOML file: ``limit=100``, ``bin_us=5000``, ..

    Raises:
        InputError: files are missing or damaged, or a setting is unknown, makes no sense or has no effect.

    >>> import gemsnn
    >>> data = gemsnn.dataset("digits", limit=40)  # doctest: +SKIP
    >>> len(data.train), data.train.layout.classes  # doctest: +SKIP
    (40, 10)
    """
    given = {"data": data, **({} if root is None else {"root": Path(root)}), **settings}
    others = set(specs.declarations(Settings)) - set(OF_DATA)
    chosen = _resolved("best", given, refused=dict.fromkeys(others, "a data set is not yet learned"))
    return datasets.load(chosen.data, progress=progress)


def _taken(
    given: Iterable[Any] | PairSequence,
    reading: Reading | None,
    settings: Mapping[str, Any],
    progress: Progress | None,
) -> SpikeSet | Unheld:
    """Pairs as recordings, held or not."""
    bin_us, counts = settings.get("bin_us"), settings.get("counts", False)
    if reading is None and bin_us is None:
        raise InputError(
            "pairs of bins need bin_us, the width of a bin in microseconds; of events, take "
            "gemsnn.Recordings.from_events, or give the reading of others"
        )
    bin_us = 1 if bin_us is None else bin_us  # of no effect where a reading is given
    if not is_held(given):
        return look_at(given, reading=reading, bin_us=bin_us, counts=counts, progress=progress)
    if reading is not None:
        return reading.presentations(given)
    return SpikeSet.from_arrays(given, bin_us=bin_us, counts=counts)


def _usual(recipe: str, recordings: SpikeSet | Unheld, given: Mapping[str, Any]) -> list[Layer]:
    """What a recipe says of the data set that the recordings are of, and what is usual with their targets."""
    source, trains = recordings.source if isinstance(recordings, SpikeSet) else None, recordings.trains
    told = layers.of_data(recipe, source.data) if isinstance(source, Source) else []
    return told if trains is None else [*told, _of_spike_trains(trains, drawn="graph" in given)]


def _of_spike_trains(trains: Trains, *, drawn: bool) -> Layer:
    """What is usual where spike trains are learned: all of them are evidence, and neurons may spike together.

    A graph that is drawn says itself what its output neurons are.
    """
    rate = trains.rate if 0 < trains.rate < 1 else None
    of_output = {} if drawn else {"output": "independent", "visible_rate": rate}
    return Layer("targets", {"warm_up": 0.0, **of_output}, asked=False)


def _check_output(spec: NetworkSpec, trains: Trains) -> None:
    """Raise :class:`InputError` where targets ask more of an output than one spike at a time, and it gives no more."""
    if trains.most > 1 and any(not population.neuron.elementwise for population in spec.graph.visible):
        raise InputError(
            f"targets have up to {trains.most} spikes in a bin, and neurons that compete (winner-take-all) spike one "
            "at a time; take the output independent"
        )


def _resolved(
    recipe: str, given: Mapping[str, Any], *, refused: Mapping[str, str], usual: Sequence[Layer] = ()
) -> Settings:
    """The settings that a recipe, what is usual with such recordings, and a call's keywords come to.

    ``refused`` says of settings why they have no effect.
    """
    known = specs.declarations(Settings)
    for name in given:
        if name not in known:
            nearest = difflib.get_close_matches(name, known, n=1, cutoff=0.0)[0]
            raise InputError(f"there is no setting {name!r}; the nearest is {nearest!r}")
        if name in refused:
            raise InputError(f"{name} has no effect here: {refused[name]}; leave it out")
    values = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    graph = values.get("graph")
    if isinstance(graph, (str, Path)):
        values["graph"] = drawing.read(graph)
    below = [] if recipe == "best" else [layers.of_recipe(recipe)]
    return layers.resolve(Settings(), [*below, *usual, Layer(CALL, values)]).settings


def _reading_of(recordings: SpikeSet | Unheld) -> Reading:
    """How recordings were read: as is known of them, or as bins of which nothing else is known."""
    if recordings.reading is not None:
        return recordings.reading
    assert isinstance(recordings, SpikeSet), "of others it is known"
    outputs = "classes" if recordings.targets is None else "spike trains"
    return reading_of_bins(
        recordings.layout, recordings.longest, recordings.names, counts=recordings.counts, outputs=outputs
    )

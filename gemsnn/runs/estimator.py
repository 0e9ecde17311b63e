"""A network as an estimator of scikit-learn's: ``fit``, ``predict``, ``get_params``, in pipelines and grid searches.

It is thin: recordings are :class:`gemsnn.Recordings`, :func:`gemsnn.fit` learns them, and what it has learned is the
:class:`gemsnn.Model` ``model_``. The conventions are those of https://scikit-learn.org/stable/developers/develop.html.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted

from gemsnn.data.reading import Reading, reading_of_bins
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError, InputValueError
from gemsnn.runs import estimatorfile, fitting, further, loading, modelfile, samples
from gemsnn.runs.models import Model
from gemsnn.runs.samples import Samples
from gemsnn.scoring.evaluate import Poll
from gemsnn.types import AnyPath

OF_TRAINING = (
    "compartments", "hidden", "rule", "epochs", "batch", "lr", "warm_up", "memory", "output", "decoder", "votes",
)  # fmt: skip
"""Parameters that are settings of :func:`gemsnn.fit`, by the same names."""

OF_EVENTS = ("crop", "pool", "polarity", "pad", "time_unit")
"""Parameters that :meth:`gemsnn.Recordings.from_events` takes as they are."""

Self = TypeVar("Self", bound="GEMClassifier")


@contextmanager
def _as_value_errors() -> Iterator[None]:
    """What cannot be used ends in a ``ValueError``, as scikit-learn's users expect."""
    try:
        yield
    except InputValueError:
        raise
    except InputError as error:
        raise InputValueError(error) from error


class GEMClassifier(ClassifierMixin, BaseEstimator):
    """A probabilistic spiking network that learns by local rules, as a classifier of scikit-learn's.

    ``X`` are recordings: an array ``(n, T, M)`` of bins by recording, time and input, 0 and 1, or numbers up to 255
    with ``counts=True``; or a list of arrays ``(T_i, M)`` of unequal lengths; or a list of arrays of events, as
    :meth:`gemsnn.Recordings.from_events` takes them, which also need ``sensor`` and ``bin_us``. ``y`` are labels of any
    kind that scikit-learn takes. Recordings of more bins than the longest of the training, or than ``steps``, are cut
    there.

    A recording's answer depends on the recording and on ``random_state``, and not on those beside it: the noise that it
    meets is addressed by its spikes. In silence (:mod:`gemsnn.scoring.answers`) all classes are equally probable, and
    ``predict``, which has to give one, gives the first; ``gemsnn.predict(estimator.model_, X)`` says so instead.

    **Part of what is learned from is held out.** The temperature of the probabilities, the decoder and the epoch
    that is kept are chosen on recordings that the network does not learn: ``validation_fraction`` of each class,
    the same at every call, at least one in all; or ``X_val`` and ``y_val`` of :meth:`fit`, and then all of ``X`` is
    learned. With few recordings (say below a hundred) such a part is a handful: the temperature is then badly
    known, and what is held out is missed. Give recordings of your own, or ``validation_fraction=0`` and calibrate
    otherwise (``CalibratedClassifierCV``): then probabilities are the bare shares of the votes, in steps of ``1 /
    votes``. Where a class would have no recording left to learn from, nothing is held out, with a warning.

    Args:
        compartments: K that learn. ``None``, here and below, leaves a setting as the recipe has it.
        hidden: neurons of each hidden group, ``[256]``.
        rule: the learning rule, by name, or one of your own.
        recipe: the settings to begin with, ``best`` or ``paper``.
        epochs: passes over the recordings in :meth:`fit`.
        batch: recordings that are learned at a time.
        lr: the step size.
        warm_up: the share of each recording before output spikes count.
        memory: bins that a synapse hears back.
        output: ``winner-take-all`` or ``independent``.
        decoder: how compartments answer: ``votes``, ``rates``, ``mixture``, ``pooled``, ``likelihood`` or ``auto``.
            Like ``votes`` it may also be set after :meth:`fit`; a temperature there is only for what the training
            fitted one for.
        votes: K_I, compartments that answer.
        settings: further settings of :func:`gemsnn.fit`, by name.
        validation_fraction: the share of each class that is held out.
        counts: bins hold numbers of events.
        bin_us: the width of a bin in microseconds; of arrays of bins nothing but a note.
        steps: bins of a recording at most; by default as many as the longest that is learned has.
        sensor: of events, width and height in pixels.
        crop: of events, the part to look at, ``(x0, y0, width, height)``.
        pool: of events, pixels a side of the squares that share an input.
        polarity: of events, ``two`` channels or ``merged``.
        pad: of events, whether shorter recordings are filled with empty bins.
        time_unit: of events' times.
        random_state: of all noise, first weights and the order of learning. A whole number is ``seed`` of
            :func:`gemsnn.fit`; ``None`` draws one from numpy's.

    Attributes:
        classes_: the labels, sorted, ``[C]``.
        n_features_in_: inputs, M.
        model_: the :class:`gemsnn.Model` that was learned.

    >>> import numpy as np
    >>> from gemsnn import GEMClassifier
    >>> X = np.random.default_rng(0).random((20, 15, 6)) < 0.2
    >>> estimator = GEMClassifier(hidden=[4], epochs=1).fit(X, ["no", "yes"] * 10)
    >>> estimator.predict_proba(X).shape, estimator.predict_proba_over_time(X).shape
    ((20, 2), (20, 15, 2))
    """

    def __init__(
        self, *, compartments: int | None = None, hidden: Any = None, rule: Any = None, recipe: Any = "best",
        epochs: int | None = None, batch: int | None = None, lr: float | None = None, warm_up: float | None = None,
        memory: int | None = None, output: str | None = None, decoder: str | None = None, votes: int | None = None,
        settings: Mapping[str, Any] | None = None, validation_fraction: float = 0.1, counts: bool = False,
        bin_us: int = 1000, steps: int | None = None, sensor: Any = None, crop: Any = None, pool: int = 1,
        polarity: str = "two", pad: bool = False, time_unit: str = "us", random_state: Any = 0,
    ) -> None:  # fmt: skip
        self.compartments = compartments
        self.hidden = hidden
        self.rule = rule
        self.recipe = recipe
        self.epochs = epochs
        self.batch = batch
        self.lr = lr
        self.warm_up = warm_up
        self.memory = memory
        self.output = output
        self.decoder = decoder
        self.votes = votes
        self.settings = settings
        self.validation_fraction = validation_fraction
        self.counts = counts
        self.bin_us = bin_us
        self.steps = steps
        self.sensor = sensor
        self.crop = crop
        self.pool = pool
        self.polarity = polarity
        self.pad = pad
        self.time_unit = time_unit
        self.random_state = random_state

    def __sklearn_tags__(self) -> Any:
        """Three-dimensional input without negative numbers."""
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.three_d_array = True
        tags.input_tags.positive_only = True
        return tags

    # -- learning --------------------------------------------------------------------------------------------

    def fit(self: Self, X: Any, y: Any, X_val: Any = None, y_val: Any = None) -> Self:
        """Learn anew, whatever was learned before.

        Args:
            X: the recordings.
            y: their labels.
            X_val: recordings that are not learned, on which the temperature is fitted; by default a part of ``X``.
            y_val: their labels.

        Raises:
            ValueError: recordings or labels cannot be used, or a parameter makes no sense (:class:`gemsnn.InputError`,
                too).
        """
        with _as_value_errors():
            given, told = self._pairs(X, y)
            classes = np.unique(told)
            recordings = self._recordings(given, told, classes)
            reading = self._reading(recordings)
            held = None if X_val is None and y_val is None else self._held(X_val, y_val, classes, reading)
            if held is None:
                recordings, held = self._parted(recordings)
            settings: Any = self._settings() | {"seed": samples.seed_of(self.random_state)}
            model = fitting.fit(recordings, validation=held, reading=reading, recipe=self.recipe, **settings)
        return self._learned(model, classes)

    def partial_fit(
        self: Self, X: Any, y: Any, classes: Any = None, X_val: Any = None, y_val: Any = None
    ) -> Self:
        """Learn on from where it stands: one pass over these recordings, at a constant step size.

        Weights, the state of the optimiser and the noise go on, also after :meth:`fit`. All of ``X`` is learned.
        Without ``X_val`` nothing is fitted to the answers: at first probabilities are bare shares of the votes, and
        after :meth:`fit` they keep the temperature that it fitted. Parameters may change between two calls as far as
        the network stays the same.

        Args:
            X: the recordings; ``steps``, where it is not given, is what the longest of the first call has.
            y: their labels.
            classes: all labels that will ever come; needed at the first call.
            X_val: recordings that are not learned, on which the temperature is fitted anew.
            y_val: their labels.

        Raises:
            ValueError: as :meth:`fit`; or there are no classes at the first call, or others at a later one.
        """
        with _as_value_errors():
            model: Model | None = getattr(self, "model_", None)
            known = self._classes(classes)
            given, told = self._pairs(X, y, model)
            recordings = self._recordings(given, told, known, None if model is None else model.reading)
            reading = self._reading(recordings) if model is None else model.reading
            held = None if X_val is None and y_val is None else self._held(X_val, y_val, known, reading)
            settings: Any = self._settings() | {"epochs": 1, "schedule": "constant"}
            if model is None:
                settings["seed"] = samples.seed_of(self.random_state)
                model = fitting.fit(
                    recordings, validation=held, reading=reading, recipe=self.recipe, **settings
                )
            else:
                now = fitting.settings_for(recordings, self.recipe, settings | {"seed": model.facts.seed})
                model = further.learn_further(model, recordings, now, held)
        return self._learned(model, known)

    def _learned(self: Self, model: Model, classes: NDArray[Any]) -> Self:
        self.model_, self.classes_, self.n_features_in_ = model, classes, model.reading.layout.inputs
        return self

    def _settings(self) -> dict[str, Any]:
        """Those of :func:`gemsnn.fit` that are given."""
        given = {name: getattr(self, name) for name in OF_TRAINING}
        found = {name: value for name, value in given.items() if value is not None}
        more = dict(self.settings or {})
        own = {**dict.fromkeys(given), "seed": "random_state"}
        twice = [own[name] or name for name in more if name in own]
        if twice:
            raise InputError(f"{twice[0]} is a parameter of its own; take it out of settings")
        return found | more

    def _classes(self, classes: Any) -> NDArray[Any]:
        """All labels, as a first or a later call of :meth:`partial_fit` tells them."""
        known: NDArray[Any] | None = getattr(self, "classes_", None)
        given = None if classes is None else np.unique(samples.labels(classes, self))
        if known is None:
            if given is None:
                raise InputError("classes must be passed on the first call to partial_fit.")
            return given
        if given is not None and not np.array_equal(known, given):
            raise InputError(
                f"classes {given.tolist()} are not those of the first call, {known.tolist()}; leave them out"
            )
        return known

    def _parted(self, recordings: SpikeSet) -> tuple[SpikeSet, SpikeSet | None]:
        """What is learned, and what is held out of it."""
        parts = recordings.split(validation=self.validation_fraction, test=0.0)
        if not len(parts.validation):
            return recordings, None
        if len(np.unique(parts.train.labels)) < len(np.unique(recordings.labels)):
            warnings.warn(
                f"validation_fraction {self.validation_fraction} of {len(recordings)} recordings would leave a class "
                "without any to learn from, so nothing is held out, and no temperature fitted; give more recordings, "
                "or X_val and y_val",
                stacklevel=3,
            )
            return recordings, None
        return parts.train, parts.validation

    # -- recordings ------------------------------------------------------------------------------------------

    def _pairs(self, X: Any, y: Any, model: Model | None = None) -> tuple[Samples, NDArray[Any]]:
        """Recordings and their labels, as many."""
        given, told = self._samples(X, model), samples.labels(y, self)
        check_consistent_length(given.each, told)
        return given, told

    def _samples(self, X: Any, model: Model | None) -> Samples:
        """Recordings, which have the inputs of the model where there is one."""
        given = samples.samples(X, self)
        inputs = None if model is None else model.reading.layout.inputs
        if inputs is not None and given.features not in (None, inputs):
            raise InputValueError(
                f"X has {given.features} features, but {type(self).__name__} is expecting {inputs} features as input."
            )
        return given

    def _recordings(
        self, given: Samples, told: NDArray[Any], classes: NDArray[Any], reading: Reading | None = None
    ) -> SpikeSet:
        """Labelled recordings to learn from, read as others before them, if there were any."""
        how: Any = {"bin_us": self.bin_us, "counts": self.counts, "names": samples.names(classes)}
        numbers = samples.numbered(told, classes)
        if not given.are_events and reading is not None:
            return reading.presentations(given.cut(reading.steps).each, numbers)
        if not given.are_events:
            return SpikeSet.from_arrays(given.cut(self.steps).each, numbers, **how)
        if self.sensor is None:
            raise InputError(
                "events need sensor, its width and height in pixels, which they do not tell; give it"
            )
        how |= {name: getattr(self, name) for name in OF_EVENTS}
        return SpikeSet.from_events(
            given.each,
            numbers,
            sensor=self.sensor,
            steps=self.steps if reading is None else reading.steps,
            **how,
        )

    def _reading(self, recordings: SpikeSet) -> Reading:
        """How others become bins."""
        if recordings.reading is not None:
            return recordings.reading
        steps = recordings.longest if self.steps is None else self.steps
        names, counts = recordings.names, recordings.counts
        return reading_of_bins(recordings.layout, steps, names, counts=counts, outputs="classes")

    def _held(self, X: Any, y: Any, classes: NDArray[Any], reading: Reading) -> SpikeSet:
        """Recordings that are not learned."""
        if X is None or y is None:
            raise InputError("X_val and y_val come together; give both")
        given, told = self._pairs(X, y)
        return reading.presentations(given.cut(reading.steps).each, samples.numbered(told, classes))

    # -- answers ---------------------------------------------------------------------------------------------

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable label of each recording, ``[n]``; of several that tie the first.

        Raises:
            NotFittedError: nothing was learned yet.
            ValueError: recordings cannot be used, or are of other inputs.
        """
        best = self.predict_proba(X).argmax(1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> NDArray[np.float64]:
        """Probabilities of the classes, ``[n, C]``, at the temperature that the training fitted, if it has one.

        Raises:
            NotFittedError: see :meth:`predict`.
            ValueError: see :meth:`predict`.
        """
        poll, temperature = self._poll(X)
        found = poll.answers if temperature is None else poll.answers.tempered(temperature)
        return found.probabilities.numpy()

    def predict_proba_over_time(self, X: Any) -> NDArray[np.float64]:
        """Probabilities after each bin, ``[n, T, C]``, of what has been seen up to it; after the last as at the end.

        Output spikes count from the warm-up on; before, all classes are equally probable. Where recordings are of
        unequal lengths, T is that of the longest, and shorter ones keep their last probabilities. The temperature is
        that of the end.

        Raises:
            NotFittedError: see :meth:`predict`.
            ValueError: see :meth:`predict`.
        """
        poll, temperature = self._poll(X)
        found = poll.by_time if temperature is None else poll.by_time.tempered(temperature)
        return np.ascontiguousarray(found.probabilities.transpose(0, 1).numpy())

    def _poll(self, X: Any) -> tuple[Poll, float | None]:
        """What compartments say of recordings, and the temperature of their answers."""
        check_is_fitted(self)
        model = self.model_
        with _as_value_errors():
            given = self._samples(X, model).cut(model.reading.steps)
            recordings = samples.addressed(model.read(given.each))
            votes = model.settings.evaluate.votes if self.votes is None else self.votes
            decoder: Any = None if self.decoder in (None, "auto") else self.decoder
            poll = model.poll(recordings, votes, decoder=decoder)
        return poll, model.temperature(votes, poll.decoder)

    # -- one file --------------------------------------------------------------------------------------------

    def save(self, path: AnyPath) -> None:
        """Write a file that :meth:`load` reads, on any machine, and without running any code that it would bring.

        It is a model file: :func:`gemsnn.load`, ``gemsnn evaluate`` and ``gemsnn stream`` take it, too. Beside the
        model it holds the parameters, the labels and the optimiser's moments, so that :meth:`partial_fit` goes on as it
        would have. A rule of your own is written as its place, and a generator as the seed that was drawn from it.

        Raises:
            NotFittedError: nothing was learned yet.
            ValueError: the file cannot be written, or holds something that no file could (pickle it then).
        """
        check_is_fitted(self)
        with _as_value_errors():
            told = estimatorfile.written(self.get_params(deep=False), self.classes_, self.model_)
            modelfile.save(path, self.model_, told)

    @classmethod
    def load(cls: type[Self], path: AnyPath) -> Self:
        """The estimator of a file that :meth:`save` has written.

        Raises:
            ValueError: there is none at ``path``, or it is damaged.
        """
        with _as_value_errors():
            content = modelfile.load(path)
            params, classes = estimatorfile.read(content, path, known=cls().get_params(deep=False))
            return cls(**params)._learned(loading.model_of(content, path), classes)

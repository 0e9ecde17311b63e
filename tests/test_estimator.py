"""The estimator keeps scikit-learn's conventions, its own checks among them, and is what the public face gives."""

from __future__ import annotations

import doctest
import inspect
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path
from unittest import SkipTest

import numpy as np
import pytest
import scipy.sparse
import torch
from sklearn.base import clone, is_classifier
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_predict, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer
from sklearn.utils import get_tags
from sklearn.utils.estimator_checks import estimator_checks_generator
from sklearn.utils.validation import has_fit_parameter

import gemsnn
from gemsnn import GEMClassifier
from gemsnn.learn import train
from gemsnn.runs import estimator as module
from gemsnn.runs import recipes, samples
from gemsnn.specs.fields import flat
from gemsnn.store import trees

TINY = {"hidden": [4], "epochs": 1, "votes": 5}


def arrays(count=24, steps=15, inputs=6, seed=0):
    """Recordings of two classes: in the second the first inputs spike more."""
    spikes = np.random.default_rng(seed).random((count, steps, inputs)) < 0.15
    spikes[1::2, :, :3] |= np.random.default_rng(seed + 1).random((count // 2, steps, 3)) < 0.5
    return spikes.astype(np.uint8), np.array(["calm", "lively"] * (count // 2))


X, Y = arrays()


@pytest.fixture(scope="module")
def fitted():
    return GEMClassifier(hidden=[8], epochs=6, lr=0.01, votes=5, random_state=3).fit(X, Y)


def same(ours, theirs, given=X):
    """Whether two estimators have the same weights and answers, to the bit."""
    leaves = zip(trees.leaves(ours.model_.params), trees.leaves(theirs.model_.params), strict=True)
    return (
        all(torch.equal(a, b) for a, b in leaves)
        and np.array_equal(ours.predict_proba(given), theirs.predict_proba(given))
        and np.array_equal(ours.predict(given), theirs.predict(given))
    )


# -- scikit-learn's own checks -------------------------------------------------------------------------------


class Flat(GEMClassifier):
    """The estimator behind rows of numbers, which scikit-learn's checks feed: each becomes regular spikes of its rate.

    scikit-learn runs no check at all of an estimator that takes no two-dimensional input. Whatever is no table of
    numbers, or holds NaN or infinity, comes to the estimator as it is.
    """

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array, tags.input_tags.three_d_array = True, False
        tags.input_tags.positive_only = False  # of numbers below 0 it makes few spikes
        return tags

    def _samples(self, X, model):
        return super()._samples(trains_of(X), model)


def trains_of(X, steps=12):
    """Numbers ``[n, M]`` as bins ``[n, T, M]``, ``floor(r t) - floor(r (t - 1))`` for the rate r, their sigmoid."""
    if scipy.sparse.issparse(X):
        return X
    try:
        table = np.asarray(X)
        table = table if np.iscomplexobj(table) else table.astype(np.float64)
    except (TypeError, ValueError):
        return X
    if table.ndim != 2 or not table.size or np.iscomplexobj(table):
        return X
    rate, after = 1 / (1 + np.exp(-table))[:, None], np.arange(1, steps + 1)[:, None]
    bins = np.floor(rate * after) - np.floor(rate * (after - 1))
    return np.where(np.isfinite(table)[:, None], bins, table[:, None])


SKILLED = {"hidden": [16], "epochs": 3, "votes": 10, "lr": 0.1}
"""Settings that learn three clouds of points on a plane, which one check asks for."""

EXPECTED_TO_FAIL: dict[str, str] = {}
"""Checks of scikit-learn's that do not hold, each with its reason: none is known."""

SKIPPED = {
    "check_array_api_input": "needs SCIPY_ARRAY_API in the environment, and is about other arrays than numpy's",
    "check_classifier_data_not_an_array": "its second half needs pandas; its first half runs before that",
}
"""Checks that skip themselves, at least in part, with the reason."""


def checks():
    for estimator, check in estimator_checks_generator(Flat(**TINY), expected_failed_checks=EXPECTED_TO_FAIL):
        name = check.func.__name__
        if name == "check_classifiers_train":
            if check.keywords:
                continue  # a table in read-only memory, or of float32, which the class above makes new arrays of
            estimator = Flat(**SKILLED)
        yield pytest.param(estimator, check, id="-".join([name, *map(str, check.keywords)]))


@pytest.mark.filterwarnings("default")
@pytest.mark.parametrize(("estimator", "check"), list(checks()))
def test_checks_of_scikit_learn(estimator, check):
    try:
        check(estimator)
    except SkipTest:
        assert check.func.__name__ in SKIPPED
        raise


def test_no_check_runs_of_what_takes_no_table():
    """So the ones above need the class in front."""
    with pytest.warns(match="Can't test estimator GEMClassifier"):
        assert len(list(estimator_checks_generator(GEMClassifier()))) == 1


# -- what it is ----------------------------------------------------------------------------------------------


def test_tags():
    tags = get_tags(GEMClassifier())
    assert is_classifier(GEMClassifier())
    assert (tags.input_tags.two_d_array, tags.input_tags.three_d_array) == (False, True)
    assert tags.input_tags.positive_only
    assert not tags.input_tags.sparse
    assert not has_fit_parameter(GEMClassifier(), "sample_weight")
    with pytest.raises(TypeError, match="sample_weight"):
        GEMClassifier(**TINY).fit(X, Y, sample_weight=np.ones(len(X)))


def test_importing_the_package_loads_no_scikit_learn():
    code = "import sys, gemsnn; gemsnn.Scores; assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_parameters_are_settings_of_fit():
    told = set(inspect.signature(GEMClassifier).parameters)
    own = {
        "recipe", "settings", "validation_fraction", "counts", "bin_us", "steps", "sensor", "random_state",
        *module.OF_EVENTS,
    }  # fmt: skip
    assert told == own | set(module.OF_TRAINING)
    for name, value in (
        ("compartments", 3), ("hidden", [7]), ("rule", "gem"), ("epochs", 2), ("batch", 5), ("lr", 0.5),
        ("warm_up", 0.25), ("memory", 4), ("output", "independent"), ("decoder", "rates"), ("votes", 4),
    ):  # fmt: skip
        chosen = flat(GEMClassifier(**{**TINY, name: value}).fit(X[:8], Y[:8]).model_.settings)
        assert chosen[name] == (tuple(value) if isinstance(value, list) else value), name
    more = GEMClassifier(**TINY, rule="gem", compartments=2, settings={"kappa": 0.75}).fit(X[:8], Y[:8])
    assert flat(more.model_.settings)["kappa"] == 0.75
    paper = GEMClassifier(**TINY, recipe="paper").fit(X[:8], Y[:8])
    assert flat(paper.model_.settings) == flat(recipes.load("paper")) | {
        "hidden": (4,),
        "votes": 5,
        "data": "digits",
    }


def test_it_is_what_fit_makes():
    """With recordings held out, with those of one's own, and with none."""
    recordings = gemsnn.Recordings.from_arrays(X, Y, bin_us=1000)
    parts = recordings.split(validation=0.25, test=0.0)
    how = {"hidden": [4], "epochs": 2, "votes": 5}
    for estimator, extra, learned, held in (
        (GEMClassifier(**how, validation_fraction=0.25, random_state=4), {}, parts.train, parts.validation),
        (GEMClassifier(**how, validation_fraction=0, random_state=4), {}, recordings, None),
        (GEMClassifier(**how, random_state=4), {"X_val": X[:6], "y_val": Y[:6]}, recordings, recordings.first(6)),
    ):  # fmt: skip
        estimator.fit(X, Y, **extra)
        model = gemsnn.fit(learned, validation=held, seed=4, **how)
        for ours, theirs in zip(
            trees.leaves(estimator.model_.params), trees.leaves(model.params), strict=True
        ):
            assert torch.equal(ours, theirs)
        assert estimator.model_.facts == model.facts
        assert (model.temperature(5) is None) == (held is None)


def test_answers_are_those_of_the_model(fitted):
    """At the temperature of the training, where the noise is the same; which a recording's own spikes address."""
    temperature = fitted.model_.temperature(5)
    assert temperature is not None
    recordings = samples.addressed(gemsnn.Recordings.from_arrays(X, Y, bin_us=1000))
    found = gemsnn.predict(fitted.model_, recordings, 5)
    assert found.temperature == temperature
    assert np.array_equal(fitted.predict_proba(X), found.probabilities.numpy())
    assert fitted.predict(X).tolist() == list(found.labels)
    assert fitted.score(X, Y) == np.mean(fitted.predict(X) == Y) > 0.7


def test_what_answers_may_be_set_afterwards(fitted):
    other = pickle.loads(pickle.dumps(fitted)).set_params(votes=3, decoder="votes")
    recordings = samples.addressed(gemsnn.Recordings.from_arrays(X, Y, bin_us=1000))
    found = gemsnn.predict(fitted.model_, recordings, 3, decoder="votes")
    assert np.array_equal(other.predict_proba(X), found.probabilities.numpy())
    other.set_params(votes=7)  # for so many the training fitted no temperature: the bare shares of the votes
    assert np.allclose(other.predict_proba(X) * 7, np.rint(other.predict_proba(X) * 7), atol=1e-3)


def test_a_recording_is_answered_wherever_it_stands(fitted):
    whole = fitted.predict_proba(X)
    order = np.random.default_rng(1).permutation(len(X))
    assert np.array_equal(fitted.predict_proba(X[order]), whole[order])
    assert np.array_equal(np.concatenate([fitted.predict_proba(X[i : i + 1]) for i in range(5)]), whole[:5])


def test_silence_is_even(fitted):
    assert fitted.predict_proba(np.zeros((2, 15, 6), int)).tolist() == [[0.5, 0.5]] * 2
    assert fitted.predict(np.zeros((2, 15, 6), int)).tolist() == ["calm", "calm"]


# -- over time -----------------------------------------------------------------------------------------------


def test_decisions_over_time(fitted):
    found = fitted.predict_proba_over_time(X)
    assert found.shape == (24, 15, 2)
    assert np.allclose(found.sum(2), 1)
    np.testing.assert_allclose(found[:, -1], fitted.predict_proba(X), rtol=1e-12)
    warm_up = fitted.model_.facts.warm_up
    assert np.allclose(found[:, : int(15 * warm_up)], 0.5)
    assert not np.allclose(found[:, -2], 0.5)


def test_what_has_been_seen_does_not_depend_on_what_comes(fitted):
    """Shorter recordings keep their last answer; of longer ones the end is cut."""
    mixed = [X[0], X[1][:9], X[2]]
    found = fitted.predict_proba_over_time(mixed)
    assert found.shape == (3, 15, 2)
    assert np.array_equal(found[1, 8:], np.repeat(found[1, 8:9], 7, axis=0))
    np.testing.assert_allclose(found[:, -1], fitted.predict_proba(mixed), rtol=1e-12)
    longer = np.concatenate([X, 1 - X], axis=1)
    assert np.array_equal(fitted.predict_proba(longer), fitted.predict_proba(X))


# -- learning on ---------------------------------------------------------------------------------------------


def test_learning_goes_on():
    """In portions, it comes to tell the classes; the same calls give the same weights, another seed gives others."""

    def learned(seed, rounds=8):
        estimator = GEMClassifier(hidden=[8], lr=0.02, votes=10, random_state=seed)
        for n in range(rounds):
            some = slice(8 * (n % 3), 8 * (n % 3) + 8)
            estimator.partial_fit(X[some], Y[some], classes=["calm", "lively"] if n == 0 else None)
        return estimator

    one = learned(0)
    others, labels = arrays(40, seed=5)
    assert one.score(others, labels) > 0.8
    assert one.model_.learner.batches == one.model_.learner.optimiser.updates == 8
    assert same(one, learned(0))
    assert not same(one, learned(1))
    assert not same(one, learned(0, 7))


def test_the_first_portion_is_an_epoch_of_fit():
    first = GEMClassifier(**TINY).partial_fit(X, Y, classes=np.unique(Y))
    epoch = GEMClassifier(**TINY, validation_fraction=0, settings={"schedule": "constant"}).fit(X, Y)
    assert same(first, epoch)


def test_moments_of_the_optimiser_go_on():
    """With the moments of before the next step is another than with fresh ones."""
    one, other = (GEMClassifier(**TINY).partial_fit(X, Y, classes=np.unique(Y)) for _ in range(2))
    learner = other.model_.learner
    fresh = train.start(learner.params, other.model_.settings.optimiser)
    object.__setattr__(other.model_, "learner", fresh._replace(batches=learner.batches))
    assert same(one, other)
    assert not same(one.partial_fit(X, Y), other.partial_fit(X, Y))


def test_learning_goes_on_after_fit(fitted):
    other = pickle.loads(pickle.dumps(fitted))
    other.partial_fit(X[:8], Y[:8])
    assert other.model_.facts.temperatures == fitted.model_.facts.temperatures
    assert other.model_.learner.batches > fitted.model_.learner.batches
    assert not same(other, fitted)
    other.partial_fit(X[:8], Y[:8], X_val=X[8:], y_val=Y[8:])
    assert other.model_.facts.temperatures != fitted.model_.facts.temperatures
    assert same(other.fit(X, Y), fitted)  # which begins anew


def test_settings_may_change_between_portions_and_the_network_may_not():
    one, other = (GEMClassifier(**TINY).partial_fit(X, Y, classes=np.unique(Y)) for _ in range(2))
    assert same(one.partial_fit(X, Y), other.partial_fit(X, Y))
    assert not same(one.set_params(lr=0.1).partial_fit(X, Y), other.partial_fit(X, Y))
    with pytest.raises(
        ValueError, match=r"hidden was \(4,\) when this network began to learn, and cannot become \(5,\)"
    ):
        one.set_params(hidden=[5]).partial_fit(X, Y)
    with pytest.raises(ValueError, match=r"warm_up was 0\.5 when"):
        one.set_params(hidden=[4], warm_up=0.25).partial_fit(X, Y)
    with pytest.raises(ValueError, match="optimiser was adam when"):
        one.set_params(warm_up=None, settings={"optimiser": "sgd"}).partial_fit(X, Y)


def test_classes_of_portions():
    estimator = GEMClassifier(**TINY)
    with pytest.raises(ValueError, match="classes must be passed on the first call to partial_fit"):
        estimator.partial_fit(X, Y)
    estimator.partial_fit(X[::2], Y[::2], classes=["lively", "calm", "new"])
    assert estimator.classes_.tolist() == ["calm", "lively", "new"]
    assert estimator.predict_proba(X).shape == (24, 3)
    estimator.partial_fit(X, Y, classes=["new", "lively", "calm"])
    with pytest.raises(ValueError, match="are not those of the first call"):
        estimator.partial_fit(X, Y, classes=["calm", "lively"])
    with pytest.raises(ValueError, match="y holds the label 'odd'"):
        estimator.partial_fit(X[:2], ["calm", "odd"])


# -- labels --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "names",
    [[3, 7], [-1, 1], [False, True], [0.0, 1.0], ["x", "longer"], np.array(["x", "y"], object)],
    ids=lambda names: np.asarray(names).dtype.str,
)
def test_labels_of_any_kind(names, tmp_path):
    names = np.asarray(names)
    y = names[np.arange(len(X)) % 2]
    estimator = GEMClassifier(**TINY).fit(X, y)
    assert estimator.classes_.dtype == names.dtype
    assert estimator.predict(X).dtype == names.dtype
    assert estimator.classes_.tolist() == sorted(names.tolist())
    assert estimator.model_.names == tuple(map(str, sorted(names.tolist())))
    estimator.save(tmp_path / "x")
    loaded = GEMClassifier.load(tmp_path / "x")
    assert loaded.predict(X).dtype == names.dtype
    assert same(loaded, estimator)


def test_few_recordings_are_all_learned():
    estimator = GEMClassifier(**TINY)
    with pytest.warns(match="would leave a class without any to learn from, so nothing is held out"):
        estimator.fit(X[:2], Y[:2])
    assert estimator.model_.temperature(5) is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        estimator.fit(X[:6], Y[:6])
    assert estimator.model_.temperature(5) is not None


# -- recordings ----------------------------------------------------------------------------------------------


def test_counts_and_floats_and_pictures():
    many = X * 3
    with pytest.raises(ValueError, match="bins are 0 or 1 unless counts is set"):
        GEMClassifier(**TINY).fit(many, Y)
    estimator = GEMClassifier(**TINY, counts=True).fit(many, Y)
    assert same(GEMClassifier(**TINY, counts=True).fit(many.astype(np.float32), Y), estimator, many)
    assert same(GEMClassifier(**TINY).fit(X.astype(bool), Y), GEMClassifier(**TINY).fit(X, Y))
    assert same(GEMClassifier(**TINY).fit(X.tolist(), Y.tolist()), GEMClassifier(**TINY).fit(X, Y))
    frames = X.reshape(24, 15, 1, 2, 3)
    pictures = GEMClassifier(**TINY).fit(frames, Y).partial_fit(frames, Y)
    flat_ones = frames.transpose(0, 1, 4, 3, 2).reshape(24, 15, 6)  # as inputs lie in a row
    assert np.array_equal(pictures.predict_proba(flat_ones), pictures.predict_proba(frames))
    pictures.partial_fit(flat_ones, Y)
    assert pictures.n_features_in_ == 6
    layout = pictures.model_.reading.layout
    assert (layout.channels, layout.height, layout.width) == (1, 2, 3)
    assert pictures.predict(frames).shape == (24,)


def test_read_only_memory(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    assert same(GEMClassifier(**TINY).fit(mapped, Y), GEMClassifier(**TINY).fit(X, Y), mapped)


def test_lists_of_unequal_lengths():
    several = [each[: 8 + n % 7] for n, each in enumerate(X)]
    estimator = GEMClassifier(**TINY).fit(several, Y)
    assert estimator.model_.reading.steps == 14
    ragged = np.empty(24, object)
    ragged[:] = several
    assert same(GEMClassifier(**TINY).fit(ragged, Y), estimator, several)
    assert GEMClassifier(**TINY, steps=10).fit(several, Y).model_.reading.steps == 10
    assert GEMClassifier(**TINY, steps=20).fit(several, Y).model_.reading.steps == 20
    assert np.isfinite(cross_val_score(GEMClassifier(**TINY), several, Y, cv=3, error_score="raise")).all()


def events_of(spikes):
    """Bins as events of a row of channels, in the midst of each bin of a millisecond."""
    t, x = np.nonzero(spikes)
    found = np.zeros(len(t), [("t", "i8"), ("x", "u2"), ("p", "i1")])
    found["t"], found["x"], found["p"] = 1000 * t + 500, x, 1
    return found


def test_events_are_learned_as_their_bins():
    bins = X.copy()
    bins[:, 0, 0] = 1  # time begins at the first event
    bins[:, -1, 0] = 1  # and lasts as long as its events
    events = [events_of(each) for each in bins]
    of_events = GEMClassifier(**TINY, sensor=(6, 1), polarity="merged").fit(events, Y)
    of_bins = GEMClassifier(**TINY).fit(bins, Y)
    assert of_events.n_features_in_ == 6
    for ours, theirs in zip(
        trees.leaves(of_events.model_.params), trees.leaves(of_bins.model_.params), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert np.array_equal(of_events.predict_proba(events), of_bins.predict_proba(bins))
    assert np.array_equal(of_events.predict_proba(bins), of_bins.predict_proba(bins))
    of_events.partial_fit(events, Y)
    assert np.array_equal(of_events.predict_proba(events), of_bins.partial_fit(bins, Y).predict_proba(bins))
    moved = GEMClassifier(**TINY, sensor=(6, 1), settings={"shift": 1}).fit(events, Y).partial_fit(events, Y)
    assert moved.n_features_in_ == 12
    assert np.isfinite(
        cross_val_score(GEMClassifier(**TINY, sensor=(6, 1)), events, Y, cv=3, error_score="raise")
    ).all()
    with pytest.raises(ValueError, match="events need sensor"):
        GEMClassifier(**TINY).fit(events, Y)


@pytest.mark.parametrize(
    ("given", "y", "said"),
    [
        (X[:, 0], Y, r"Expected 3D array of bins \[n, T, M\], got 2D array of the shape \[24, 6\]"),
        (X[0, 0], Y[:6], "Expected 2D array, got 1D array instead"),
        (X * 0.5, Y, "must hold whole numbers of spikes a bin, up to 255, and holds 0.5"),
        (X * 1e30, Y, r"and holds 1e\+30"),
        (np.where(X, np.nan, 0), Y, "contains NaN"),
        (X - 1.0, Y, "holds -1 in a bin"),
        (X * 1j, Y, "Complex data not supported"),
        (X[:0], Y[:0], r"Found array with 0 sample\(s\)"),
        (X[:, :0], Y, "must be an array"),
        ([], [], "Expected 2D array, got 1D array"),
        ([X[0], X[1, :, :5]], Y[:2], "must have the same inputs"),
        ([X[0], X[1] + np.inf], Y[:2], r"X\[1\] contains infinity"),
        ([X[0].tolist(), [[0, 1], [0]]], Y[:2], "its rows differ in length"),
        (X, Y[:-1], "inconsistent numbers of samples"),
        (X, None, "requires y to be passed, but the target y is None"),
        (X, np.linspace(0, 1, 24), "Unknown label type: continuous"),
        (X, np.where(np.arange(24) % 2, np.nan, 1.0), "Input y contains NaN"),
        (X, np.ones((24, 2), int), "y should be a 1d array"),
    ],
    ids=str,
)  # fmt: skip
@pytest.mark.filterwarnings("ignore:invalid value encountered")
def test_what_cannot_be_learned(given, y, said):
    with pytest.raises(ValueError, match=said):
        GEMClassifier(**TINY).fit(given, y)


def test_what_cannot_be_asked(fitted):
    with pytest.raises(NotFittedError):
        GEMClassifier().predict(X)
    with pytest.raises(NotFittedError):
        GEMClassifier().save("x")
    with pytest.raises(
        ValueError, match="X has 5 features, but GEMClassifier is expecting 6 features as input"
    ):
        fitted.predict(X[:, :, :5])
    with pytest.raises(TypeError, match="Sparse data was passed"):
        fitted.predict(scipy.sparse.csr_matrix(X[:, 0]))
    with pytest.raises(ValueError, match="X_val and y_val come together"):
        clone(fitted).fit(X, Y, X_val=X)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"rule": "gen"}, "the nearest is 'gem'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"recipe": "worst"}, "there is no recipe 'worst'"),
        ({"settings": {"epoch": 3}}, "there is no setting 'epoch'"),
        ({"settings": {"epochs": 3}}, "epochs is a parameter of its own"),
        ({"settings": {"seed": 3}}, "random_state is a parameter of its own"),
        ({"validation_fraction": 1.0}, "fraction must be at least 0 and below 1"),
        ({"random_state": "x"}, "cannot be used to seed"),
    ],
)
def test_parameters_that_cannot_be(given, said):
    """They are refused when it learns, as scikit-learn has it, as errors of value that are the package's own, too."""
    estimator = GEMClassifier(**{**TINY, **given})
    with pytest.raises(ValueError, match=said) as told:
        estimator.fit(X, Y)
    assert isinstance(told.value, gemsnn.InputError) or "random_state" in given
    assert not hasattr(estimator, "model_")


# -- the rest of scikit-learn --------------------------------------------------------------------------------


def test_clones_and_pickles(fitted):
    assert same(pickle.loads(pickle.dumps(fitted)), fitted)
    again = clone(fitted)
    assert not hasattr(again, "model_")
    assert same(again.fit(X, Y), fitted)
    one, other = pickle.loads(pickle.dumps(fitted)), pickle.loads(pickle.dumps(fitted))
    assert same(one.partial_fit(X, Y), other.partial_fit(X, Y))


def test_random_states():
    numbers = [GEMClassifier(**TINY, random_state=np.random.RandomState(5)).fit(X, Y) for _ in range(2)]
    assert same(*numbers)
    generator = np.random.RandomState(5)
    first, second = (GEMClassifier(**TINY, random_state=generator).fit(X, Y) for _ in range(2))
    assert same(first, numbers[0])
    assert not same(first, second)
    free = [GEMClassifier(**TINY, random_state=None).fit(X, Y) for _ in range(2)]
    assert not same(*free)


def test_a_grid_search_in_a_pipeline():
    rates = X * 0.9
    pipeline = make_pipeline(FunctionTransformer(np.rint), GEMClassifier(**TINY))
    grid = {"gemclassifier__hidden": [[3], [5]], "gemclassifier__lr": [0.01]}
    search = GridSearchCV(pipeline, grid, cv=2, error_score="raise").fit(rates, Y)
    assert search.best_params_["gemclassifier__hidden"] in ([3], [5])
    hidden = search.best_estimator_[-1].model_.settings.network.hidden
    assert list(hidden) == search.best_params_["gemclassifier__hidden"]
    assert search.predict(rates).shape == (24,)


def test_cross_validation():
    estimator = GEMClassifier(hidden=[8], epochs=8, lr=0.02, votes=10)
    folds = StratifiedKFold(3, shuffle=True, random_state=0)
    scores = cross_val_score(estimator, X, Y, cv=folds, error_score="raise")
    found = cross_val_predict(estimator, X, Y, cv=folds, method="predict_proba")
    right = np.unique(Y)[found.argmax(1)] == Y
    assert scores.mean() == pytest.approx(right.mean())
    assert scores.mean() > 0.7


@pytest.mark.parametrize("ensemble", [True, False])
def test_calibration_of_scikit_learn(ensemble):
    estimator = GEMClassifier(**TINY, validation_fraction=0)
    calibrated = CalibratedClassifierCV(estimator, cv=2, ensemble=ensemble).fit(X, Y)
    found = calibrated.predict_proba(X)
    assert np.allclose(found.sum(1), 1)
    assert calibrated.classes_.tolist() == ["calm", "lively"]


def test_fit_takes_validation_by_routing():
    """A pipeline hands on what fit takes beside X and y."""
    pipeline = make_pipeline(GEMClassifier(**TINY))
    pipeline.fit(X, Y, gemclassifier__X_val=X[:6], gemclassifier__y_val=Y[:6])
    assert same(pipeline[-1], GEMClassifier(**TINY).fit(X, Y, X_val=X[:6], y_val=Y[:6]))


# -- one file ------------------------------------------------------------------------------------------------


def test_a_file(fitted, tmp_path):
    path = tmp_path / "x.gemsnn.safetensors"
    fitted.save(str(path))
    loaded = GEMClassifier.load(str(path))
    assert same(loaded, fitted)
    assert loaded.get_params() == fitted.get_params()
    assert np.array_equal(loaded.predict_proba_over_time(X), fitted.predict_proba_over_time(X))
    assert loaded.n_features_in_ == 6
    model = gemsnn.load(path)  # which any other part of the package takes
    assert torch.equal(
        gemsnn.predict(model, X, 5).probabilities, gemsnn.predict(fitted.model_, X, 5).probabilities
    )
    other = pickle.loads(pickle.dumps(fitted))
    assert same(loaded.partial_fit(X, Y), other.partial_fit(X, Y))  # with the optimiser's moments
    loaded.save(path)
    assert same(GEMClassifier.load(path), other)
    assert same(clone(GEMClassifier.load(path)).fit(X, Y), fitted)


def of_my_own(log_weights):
    share = torch.softmax(log_weights, -1)
    return share, share - 1 / share.shape[-1]


def test_a_file_of_what_json_has_not(tmp_path):
    given = {
        "rule": of_my_own,
        "compartments": 2,
        "hidden": (4,),
        "random_state": np.random.RandomState(2),
    }
    estimator = GEMClassifier(**{**TINY, **given, "settings": {"kappa": np.float32(0.5)}}).fit(X, Y)
    estimator.save(tmp_path / "x")
    loaded = GEMClassifier.load(tmp_path / "x")
    assert same(loaded, estimator)
    assert loaded.rule == f"{__name__}:of_my_own"
    assert loaded.hidden == [4]
    assert loaded.random_state == estimator.model_.facts.seed
    assert same(pickle.loads(pickle.dumps(estimator)), estimator)
    with pytest.raises(ValueError, match="settings holds object, which cannot be written to a file; pickle"):
        estimator.set_params(settings={"x": object()}).save(tmp_path / "y")
    assert not (tmp_path / "y").exists()


def test_files_that_are_none(fitted, tmp_path, monkeypatch):
    path = tmp_path / "x"
    with pytest.raises(ValueError, match="is missing"):
        GEMClassifier.load(path)
    fitted.model_.save(path)
    with pytest.raises(ValueError, match="of a model and of no estimator"):
        GEMClassifier.load(path)
    fitted.save(path)
    content = path.read_bytes()
    at = content.index(b"calm", content.index(b"estimator"))
    path.write_bytes(content[:at] + b"cold" + content[at + 4 :])
    with pytest.raises(ValueError, match="is damaged"):
        GEMClassifier.load(path)
    path.write_bytes(content)
    monkeypatch.setattr(GEMClassifier, "get_params", lambda self, deep: {"hidden": None})
    with pytest.raises(ValueError, match="holds the estimator of another version"):
        GEMClassifier.load(path)


# -- what is written of it -----------------------------------------------------------------------------------


def test_examples():
    found = doctest.testmod(module)
    assert found.failed == 0
    assert found.attempted > 0


def test_the_page_s_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "estimator.md").read_text()
    blocks, scope = re.findall(r"```python\n(.*?)```", page, re.DOTALL), {}
    assert len(blocks) > 3
    for block in blocks:
        exec(block, scope)
    assert float(capsys.readouterr().out.splitlines()[0]) > 0.7

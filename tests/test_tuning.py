"""The search of settings: what is searched, what is chosen of it, when it ends, and that a stopped one goes on."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
import types
from dataclasses import replace

import numpy as np
import pytest
import tomli_w
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import words_of

import gemsnn
from gemsnn.commands.cli import main
from gemsnn.errors import InputError
from gemsnn.learn import judging
from gemsnn.runs import config, searching, tuning
from gemsnn.runs.config import Settings
from gemsnn.runs.tuning import Trial
from gemsnn.store import trees
from gemsnn.store.records import RunFolder

pytestmark = pytest.mark.usefixtures("undrawn")

FEW = {"hidden": (6,), "epochs": 4, "batch": 4, "votes": 3}


def late(count, seed=0, steps=60, lag=30):
    """Recordings whose class is told by which of two inputs is busy at first; then only a third one is."""
    draw = np.random.default_rng(seed)
    spikes = np.zeros((count, steps, 3), bool)
    labels = np.arange(count) % 2
    for at, label in enumerate(labels):
        spikes[at, : steps - lag, label] = draw.random(steps - lag) < 0.5
        spikes[at, :, 2] = draw.random(steps) < 0.3
    return gemsnn.Recordings.from_arrays(spikes, labels.tolist(), bin_us=1000)


@pytest.fixture(scope="module")
def shown():
    return late(24)


@pytest.fixture(scope="module")
def held():
    return late(40, seed=1)


@pytest.fixture
def clock(monkeypatch):
    """A second goes by whenever somebody looks."""
    seconds = itertools.count()
    monkeypatch.setattr(tuning, "time", types.SimpleNamespace(perf_counter=lambda: float(next(seconds))))


def trial(losses, state="whole", course=(), **values):
    return Trial({"memory": 10, **values}, state, tuple(course), tuple(losses), 1.0)


# -- what is searched --------------------------------------------------------------------------------------


def test_the_space_follows_from_the_recordings(shown):
    found = tuning.space(shown, Settings(), ())
    assert found["memory"].low == 10
    assert found["memory"].high == 60
    assert found["basis_offset"].choices == (1.0, 10_000.0)
    assert found["epochs"].low == 5
    assert found["epochs"].high == 20
    assert set(found["hidden"].choices) == {128, 256, 512}
    assert not {"shift", "rotate", "zoom"} & set(found)  # of arrays no events are known


def test_scenes_are_moved_where_events_of_a_sheet_are_known():
    draw = np.random.default_rng(0)
    pixels = [draw.integers(0, side, (4, 30)) for side in (34, 20, 2)]
    times = np.sort(draw.integers(0, 50_000, (4, 30)))
    events = [(times[at], *(each[at] for each in pixels)) for at in range(4)]
    made = gemsnn.Recordings.from_events(
        [np.rec.fromarrays(each, names="t,x,y,p") for each in events],
        [0, 1, 0, 1],
        sensor=(34, 20),
        bin_us=1000,
    )
    found = tuning.space(made, Settings(), ())
    assert found["shift"].high == 2  # a tenth of the smaller side
    assert {"rotate", "zoom"} <= set(found)


@settings(max_examples=50, deadline=None)
@given(
    st.fixed_dictionaries(
        {
            "lr": st.floats(1e-6, 1.0),
            "epochs": st.integers(1, 1000),
            "warm_up": st.floats(0, 0.99),
            "memory": st.integers(12, 300),
            "basis_count": st.integers(1, 12),
            "basis_offset": st.floats(0, 1e6),
            "readout_memory": st.none() | st.integers(12, 300),
            "hidden": st.just(()) | st.tuples(st.integers(1, 2000)) | st.just((8, 8)),
        }
    ),
    st.sets(st.sampled_from(["lr", "epochs", "memory", "hidden"])),
)
def test_the_space_holds_the_settings_own_values_and_nothing_that_was_given(values, kept):
    recordings = late(2)
    own = tuning.with_settings(Settings(), values)
    found = tuning.space(recordings, own, kept)
    assert not set(found) & kept
    for name, where in found.items():
        value = values[name][0] if name == "hidden" else values[name]
        assert where._contains(where.to_internal_repr(value)), name


def test_nothing_left_to_search_is_refused(shown):
    with pytest.raises(InputError, match="nothing to search"):
        tuning.space(shown, Settings(), list(tuning.space(shown, Settings(), ())))


# -- what is chosen ----------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(st.integers(2, 30), st.integers(2, 40), st.integers(0, 2**31))
def test_a_lead_that_chance_may_have_made_changes_nothing(trials, recordings, seed):
    draw = np.random.default_rng(seed)
    found = [trial(draw.random(recordings), memory=10 + at) for at in range(trials)]
    best = min(found, key=lambda each: sum(each.losses))
    ahead = judging.is_ahead(
        *(torch.tensor(each.losses, dtype=torch.float64) for each in (best, found[0])), trials
    )
    assert tuning.chosen(found) == ({"memory": best.settings["memory"]} if ahead else {})


def test_a_clear_lead_is_taken_with_the_settings_that_differ():
    own = trial([1.0, 1.1, 0.9, 1.0], lr=0.1)
    found = [own, trial([0.5, 0.6, 0.4, 0.5], memory=30, lr=0.1), trial([0.1] * 4, "given up")]
    assert tuning.chosen(found) == {"memory": 30}
    assert tuning.chosen([own, trial([], "out of time")]) == {}


def test_a_trial_is_behind_if_it_is_worse_than_the_median_of_those_that_came_as_far():
    others = [trial([1.0], course=[3, 2, 1, level]) for level in (0.5, 0.7, 0.9)]
    short = trial([], "given up", course=[0.1, 0.1, 0.1])
    assert tuning._is_behind([3, 2, 1, 0.8], [*others, short])
    assert not tuning._is_behind([3, 2, 1, 0.7], [*others, short])
    assert not tuning._is_behind([9, 9], others)  # too early to tell
    assert not tuning._is_behind([9, 9, 9, 9], others[:1])  # nobody to be compared with


# -- the search --------------------------------------------------------------------------------------------


def test_it_finds_the_memory_that_the_recordings_need(shown, held, clock):
    """Nothing that the default hears tells the classes apart; of what it does not hear, some does."""
    asked = {**FEW, "warm_up": 0.6, "batch": 8, "epochs": 8, "lr": 0.02}
    found = gemsnn.tune(shown, validation=held, minutes=4, **asked)
    first, best = found.trials[0], tuning.best_of(found.trials)
    assert first.settings["memory"] == 10
    assert best.settings["memory"] > 15
    assert found.settings["memory"] == best.settings["memory"]
    assert best.nll < 0.8 * first.nll
    assert {each.state for each in found.trials} >= {"whole", "given up"}
    model = gemsnn.fit(
        shown, validation=held, warm_up=0.6, **{**FEW, "epochs": 10, "lr": 0.01, **found.settings}
    )
    assert gemsnn.score(model, late(40, seed=2)).accuracy > 0.8


def test_the_first_trial_is_the_settings_as_they_are(shown, held, clock):
    found = gemsnn.tune(shown, validation=held, minutes=0.001, **FEW)
    assert len(found.trials) == 1
    assert found.settings == {}
    model = gemsnn.fit(shown, validation=held, **FEW)
    wanted = judging.losses(
        model.network, model.params, held,
        kernel=model.kernel, seed=tuning.rng.derive(0, "tune"), decoder="rates",
    )  # fmt: skip
    assert found.trials[0].losses == tuple(wanted.tolist())


def test_a_search_that_goes_on_finds_what_one_that_was_never_stopped_finds(shown, held, clock):
    whole = gemsnn.tune(shown, validation=held, minutes=2, **FEW)
    assert len(whole.trials) > 4
    own = config.of_tables({"network": {"hidden": (6,)}, "train": {"epochs": 4, "batch": 4}})
    again = tuning.search(shown, held, own, tuple(FEW), 2, trials=whole.trials[:3])
    for ours, theirs in zip(again.trials, whole.trials, strict=False):
        assert ours.settings == theirs.settings
        assert (ours.losses == theirs.losses) or "out of time" in (ours.state, theirs.state)


def test_what_diverges_is_one_trial_less(shown, held, clock, monkeypatch):
    real = tuning.teach
    calls = itertools.count()

    def teach(settings, *asked, **more):
        if next(calls) == 1:  # whose first steps leave what single precision can hold
            settings = replace(
                settings, optimiser=replace(settings.optimiser, lr=3e37)
            )  # divided by .1 in adam
        return real(settings, *asked, **more)

    monkeypatch.setattr(tuning, "teach", teach)
    found = gemsnn.tune(shown, validation=held, minutes=1, **FEW)
    assert [each.state for each in found.trials[:2]] == ["whole", "diverged"]
    assert len(found.trials) > 2


def test_what_does_not_fit_is_told_and_no_trial(shown, held, clock, monkeypatch):
    """Also where a later trial meets it."""
    real = tuning.teach
    calls = itertools.count()

    def teach(*asked, **more):
        if next(calls) == 1:
            raise InputError("the recordings do not fit")
        return real(*asked, **more)

    monkeypatch.setattr(tuning, "teach", teach)
    told = []
    with pytest.raises(InputError, match="the recordings do not fit"):
        gemsnn.tune(shown, validation=held, minutes=1, tell=told.append, **FEW)
    assert [each.state for each in told] == ["whole"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"minutes": 0}, "the minutes of a search must be above 0"),
        ({"minutes": float("nan")}, "must be a finite number"),
        ({"validation": None}, "validation part, which is empty"),
        ({"data": "digits"}, "data has no effect here"),
    ],
)
def test_what_cannot_be_searched_is_refused(shown, held, more, message):
    with pytest.raises(InputError, match=message):
        gemsnn.tune(shown, **{"validation": held, "minutes": 1, **more})


def test_spike_trains_give_no_answers_to_search_by(shown):
    targets = [np.zeros((60, 2), bool)] * 4
    trains = gemsnn.Recordings.from_arrays(np.zeros((4, 60, 3), bool), targets=targets, bin_us=1000)
    with pytest.raises(InputError, match="spike trains give no answers"):
        gemsnn.tune(trains, minutes=1)


# -- the command -------------------------------------------------------------------------------------------


def words(root, out, *more):
    """A search of few settings, for a few looks at the clock."""
    few = {"--hidden": "4", "--votes": "3", "--epochs": "2", "--batch": "8", "--lr": "0.01", "--warm-up": "0.5",
           "--shift": "0", "--rotate": "0", "--zoom": "0", "--drop-pixels": "0", "--tune": "1.5"}  # fmt: skip
    usual = words_of(few, *more)
    return ["train", "--data", "nmnist", "--root", str(root), "--out", str(out), *usual, *more]


def test_the_command_searches_and_then_trains(nmnist_root, tmp_path, clock, capsys):
    out = tmp_path / "run"
    assert main(words(nmnist_root, out)) == 0
    said = capsys.readouterr().err
    head, *lines = map(json.loads, (out / searching.TUNING).read_text().splitlines())
    assert head["minutes"] == 1.5
    assert {"lr", "hidden", "epochs", "warm_up"} <= set(head["given"])
    assert set(lines[0]["settings"]) == {"memory", "basis_count", "basis_offset", "readout_memory"}
    assert len(lines) > 2
    assert f"trial {len(lines)}" in said
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["notes"][-1].startswith(f"search of settings, {len(lines)} trials: ")
    assert manifest["notes"][-1] in said
    assert manifest["layers"][-1]["source"] == "tuning"
    trials = [Trial(**{**line, "losses": tuple(line["losses"])}) for line in lines]
    found = tuning.chosen(trials)
    assert manifest["layers"][-1]["settings"] == sorted(found)
    now = config.tables(config.load_run(out / "config.toml"))["network"]
    assert all(now[name] == value for name, value in found.items())


def test_a_stopped_search_goes_on(nmnist_root, tmp_path, clock, monkeypatch, capsys):
    whole, out = tmp_path / "whole", tmp_path / "run"
    assert main(words(nmnist_root, whole)) == 0
    real, calls = tuning.teach, itertools.count()

    def teach(*asked, **more):
        if next(calls) == 2:
            os.kill(os.getpid(), signal.SIGTERM)
        return real(*asked, **more)

    monkeypatch.setattr(tuning, "teach", teach)
    assert main(words(nmnist_root, out)) != 0
    assert "goes on with it" in capsys.readouterr().err
    assert len((out / searching.TUNING).read_text().splitlines()) == 1 + 2
    with (out / searching.TUNING).open("a") as file:
        file.write('{"settings": {"mem')  # a line that a crash has cut
    assert main(["train", "--resume", str(out), "--epochs", "3"]) == 2
    assert "still being searched" in capsys.readouterr().err
    assert main(["train", "--resume", str(out)]) == 0
    assert "after 2 trials" in capsys.readouterr().err
    logs = [(each / searching.TUNING).read_text().splitlines() for each in (whole, out)]
    for ours, theirs in zip(*logs, strict=False):
        ours, theirs = json.loads(ours), json.loads(theirs)
        if "out of time" not in (ours.get("state"), theirs.get("state")):
            assert ours.get("settings") == theirs.get("settings")
            assert ours.get("losses") == theirs.get("losses")
    chosen = [
        json.loads((each / "manifest.json").read_text())["layers"][-1]["settings"] for each in (whole, out)
    ]
    if chosen[0] == chosen[1]:
        tensors = [RunFolder(each).load_checkpoint()[0] for each in (whole, out)]
        assert all(torch.equal(tensors[0][name], tensors[1][name]) for name in tensors[0])


def test_a_damaged_journal_is_one_sentence(nmnist_root, tmp_path, clock, capsys):
    out = tmp_path / "run"
    out.mkdir()
    (out / "config.toml").write_text(config.dump(Settings()))
    (out / searching.TUNING).write_text('{"minutes": -1, "given": []}\n')
    assert main(["train", "--resume", str(out)]) == 2
    assert "tuning.jsonl is damaged" in capsys.readouterr().err


def test_flags_that_do_not_go_with_a_search(nmnist_root, trained_run, tmp_path, capsys):
    assert main(["train", "--resume", str(trained_run), "--tune", "1"]) == 2
    assert "and --tune" in capsys.readouterr().err
    assert main(["train", "--from", str(trained_run), "--tune", "1"]) == 2
    assert "leave one of them out" in capsys.readouterr().err
    assert main(words(nmnist_root, tmp_path / "a", "--tune", "0")) == 2
    assert "above 0" in capsys.readouterr().err
    everything = tmp_path / "all.toml"
    everything.write_text(tomli_w.dumps(config.tables(config.load_run(trained_run / "config.toml"))))
    asked = ["train", "--config", str(everything), "--out", str(tmp_path / "b"), "--tune", "1"]
    assert main([*asked, "--readout-memory", "10"]) == 2
    assert "nothing to search" in capsys.readouterr().err


def test_without_optuna_it_says_what_to_install(nmnist_root, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "optuna", None)
    assert main(words(nmnist_root, tmp_path / "run")) == 2
    assert "pip install 'gemsnn[tune]'" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_fit_with_what_was_found_is_the_network_of_the_command(nmnist_root, tmp_path, clock):
    out = tmp_path / "run"
    assert main(words(nmnist_root, out)) == 0
    trials = [json.loads(line) for line in (out / searching.TUNING).read_text().splitlines()[1:]]
    asked = {"hidden": [4], "votes": 3, "epochs": 2, "batch": 8, "lr": 0.01, "warm_up": 0.5}
    still = {"shift": 0, "rotate": 0, "zoom": 0, "drop_pixels": 0}
    data = gemsnn.dataset("nmnist", nmnist_root)
    found = gemsnn.tune(data, minutes=1.5, **asked, **still)
    assert [each.settings for each in found.trials[:2]] == [each["settings"] for each in trials[:2]]
    settings = json.loads((out / "manifest.json").read_text())["layers"][-1]["settings"]
    if sorted(found.settings) == settings:
        model = gemsnn.fit(data, **{**asked, **still, **found.settings})
        wanted = gemsnn.Run(out).model()
        for ours, theirs in zip(trees.leaves(model.params), trees.leaves(wanted.params), strict=True):
            assert torch.equal(ours, theirs)

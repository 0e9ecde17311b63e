"""The public face: a dozen names, a model from arrays, one file for it, typed scores, and the best settings."""

from __future__ import annotations

import ast
import dataclasses
import doctest
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from golden import folders
from runs import command

import gemsnn
from gemsnn.commands.cli import main
from gemsnn.data import datasets
from gemsnn.learn import judging, train
from gemsnn.report import schema
from gemsnn.runs import config, layers, recipes, scored
from gemsnn.runs.config import Settings
from gemsnn.runs.loading import load_model
from gemsnn.scoring import evaluate, sampling, until
from gemsnn.scoring.scores import Scores
from gemsnn.store import trees

pytestmark = pytest.mark.usefixtures("undrawn")

ROOT = Path(gemsnn.__file__).parent
SMALL = {"hidden": [4], "epochs": 2}


def arrays(count=12, steps=20, inputs=6, seed=0):
    """Recordings of two classes: in the second the first inputs spike more."""
    spikes = np.random.default_rng(seed).random((count, steps, inputs)) < 0.15
    spikes[1::2, :, :3] |= np.random.default_rng(seed + 1).random((count // 2, steps, 3)) < 0.4
    return spikes, ["calm", "lively"] * (count // 2)


@pytest.fixture(scope="module")
def recordings():
    return gemsnn.Recordings.from_arrays(*arrays(), bin_us=1000)


@pytest.fixture(scope="module")
def model(recordings):
    return gemsnn.fit(recordings, validation=recordings, votes=5, **SMALL)


# -- names -------------------------------------------------------------------------------------------------


def test_what_is_promised_is_a_dozen_names():
    assert dir(gemsnn) == sorted(gemsnn.__all__)
    assert set(gemsnn.__all__) == {
        "GEMClassifier", "InputError", "Model", "NetworkSpec", "OnlineLearner", "Prediction", "Recordings", "Rule",
        "Run", "Scores", "Tuned", "Winners", "__version__", "ask", "dataset", "federate", "fit", "load", "plots",
        "predict", "score", "tune",
    }  # fmt: skip
    for name in gemsnn.__all__:
        value = getattr(gemsnn, name)
        assert name == "__version__" or len(inspect.getdoc(value) or "") > 40, name
    with pytest.raises(AttributeError, match="has no attribute 'train'; it has GEMClassifier"):
        _ = gemsnn.train


def test_types_are_told_of_the_very_names():
    """What a type checker sees stands beside what is loaded when it is asked for."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    told = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gemsnn"
        for alias in node.names
    }
    assert told | {"__version__"} == set(gemsnn.__all__)


@pytest.mark.parametrize(
    "name", ["runs.fitting", "runs.loading", "runs.asking", "runs.run", "data.spikeset", "scoring.scores"]
)
def test_examples_in_docstrings_run(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(f"gemsnn.{name}"))
    assert found.failed == 0
    assert found.attempted > 0


def test_a_module_s_imports_are_not_needed_for_a_name():
    """InputError alone loads no torch."""
    code = "import sys, gemsnn; gemsnn.InputError; gemsnn.Scores; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_what_is_acted_on_comes_first_and_kernels_come_by_name():
    for function in (
        train.updates, train.fit, judging.validate, evaluate.predict, evaluate.log_likelihood, evaluate.example,
        sampling.free, sampling.clamped, sampling.ended, until.predict,
    ):  # fmt: skip
        parameters = inspect.signature(function).parameters
        assert next(iter(parameters)) == "network", function
        assert parameters["kernel"].kind is inspect.Parameter.KEYWORD_ONLY, function


# -- arrays ------------------------------------------------------------------------------------------------


def test_arrays_become_recordings(recordings):
    spikes, labels = arrays()
    assert (len(recordings), recordings.names) == (12, ("calm", "lively"))
    assert recordings.layout == (1, 1, 6, 2, 1000)
    np.testing.assert_array_equal(recordings.bins(3), spikes[3])
    assert [recordings.names[row.label] for row in recordings] == labels
    numbered = gemsnn.Recordings.from_arrays(list(spikes), [2, 0] * 6, bin_us=5, counts=True, classes=4)
    assert (numbered.layout.classes, numbered.names, numbered.counts) == (4, None, True)


def test_pictures_lie_as_a_layout_has_them():
    pictures = np.zeros((1, 1, 2, 3, 5), np.uint8)  # n, T, channels, height, width
    pictures[0, 0, 1, 2, 4] = 1
    found = gemsnn.Recordings.from_arrays(pictures, [0], bin_us=1000)
    layout = found.layout
    assert (layout.channels, layout.height, layout.width) == (2, 3, 5)
    assert found.bins(0)[0].nonzero()[0].tolist() == [1 + 2 * (4 * 3 + 2)]


@pytest.mark.parametrize(
    ("given", "labels", "more", "said"),
    [
        (np.zeros((2, 3)), [0, 1], {}, r"recording 0 must be an array \[T, M\]"),
        (np.full((2, 3, 4), 0.5), [0, 1], {}, "must hold whole numbers of spikes a bin, not float64"),
        (np.full((2, 3, 4), 2), [0, 1], {}, "bins are 0 or 1 unless counts is set"),
        (np.full((2, 3, 4), -1), [0, 1], {"counts": True}, "holds -1 in a bin"),
        ([np.zeros((3, 4), int), np.zeros((3, 5), int)], [0, 1], {}, "have the same inputs"),
        ([], [], {}, "there are none"),
        (np.zeros((2, 3, 4), int), [0], {}, "labels must be as many as the 2 recordings"),
        (np.zeros((2, 3, 4), int), [0.5, 1], {}, "labels must be whole numbers or texts"),
        (np.zeros((2, 3, 4), int), ["a", "b"], {"names": ["a", "c"]}, "'b' is not"),
        (np.zeros((2, 3, 4), int), ["a", "b"], {"classes": 3}, "classes must be 2, one a name"),
        (np.zeros((2, 3, 4), int), [0, 5], {"classes": 3}, "the label 5 is out of range"),
    ],
)
def test_arrays_that_are_no_recordings(given, labels, more, said):
    with pytest.raises(gemsnn.InputError, match=said):
        gemsnn.Recordings.from_arrays(given, labels, bin_us=1000, **more)


# -- fit, predict, score -----------------------------------------------------------------------------------


def test_predictions(model, recordings):
    spikes, _ = arrays()
    found = gemsnn.predict(model, recordings, 5)
    poll = model.poll(recordings, 5)
    assert found.temperature == model.temperature(5)
    torch.testing.assert_close(found.probabilities, model.probabilities(poll))
    assert found.indices.tolist() == poll.answers.probabilities.argmax(1).tolist()
    assert found.labels == tuple(model.names[index] for index in found.indices.tolist())
    expected = -(found.probabilities * found.probabilities.log()).sum(1)
    torch.testing.assert_close(found.entropy, expected)
    bare = gemsnn.predict(model, spikes, 5)  # arrays without labels
    assert bare.labels == found.labels
    assert torch.equal(bare.probabilities, found.probabilities)
    assert gemsnn.predict(model, recordings, 7).temperature is None  # none was fitted for so many
    usual = gemsnn.predict(model, recordings)  # as many as in training
    assert torch.equal(usual.probabilities, found.probabilities)
    assert gemsnn.score(model, recordings) == gemsnn.score(model, recordings, 5)


def test_silence_gets_no_answer(model):
    found = gemsnn.predict(model, np.zeros((2, 20, 6), int), 5)
    assert found.labels == (None, None)
    assert found.indices.tolist() == [-1, -1]
    assert found.silent.all()
    assert found.probabilities.tolist() == [[0.5, 0.5]] * 2
    assert found.entropy.tolist() == pytest.approx([np.log(2)] * 2)


def test_recordings_of_other_classes_or_inputs_are_refused(model):
    spikes, labels = arrays()
    other = gemsnn.Recordings.from_arrays(spikes, labels, names=["lively", "calm"], bin_us=1000)
    with pytest.raises(
        gemsnn.InputError, match="the classes lively, calm where the network was trained on calm, lively"
    ):
        gemsnn.predict(model, other)
    with pytest.raises(gemsnn.InputError, match=r"has the inputs \[5\] and the network \[6\]"):
        gemsnn.predict(model, spikes[:, :, :5])


def test_scores_are_typed(model, recordings):
    scores = gemsnn.score(model, recordings, 5)
    assert isinstance(scores, gemsnn.Scores)
    right = [
        a == b for a, b in zip(gemsnn.predict(model, recordings, 5).indices, recordings.labels, strict=True)
    ]
    assert abs(scores.accuracy - np.mean(right)) < 0.3  # ties count a half there
    assert scores.tempered is not None
    assert scores.tempered.temperature == model.temperature(5)
    again = Scores.from_json(json.loads(json.dumps(scores.to_json(), allow_nan=False)))
    assert again == scores
    with pytest.raises(dataclasses.FrozenInstanceError):
        scores.accuracy = 1.0  # pyright: ignore[reportAttributeAccessIssue]
    with pytest.raises(gemsnn.InputError, match="holds no scores of this version"):
        Scores.from_json({"accuracy": 1.0})


def test_without_a_validation_part_nothing_is_tempered(recordings):
    bare = gemsnn.fit(recordings, **SMALL)
    assert gemsnn.predict(bare, recordings).temperature is None
    scores = gemsnn.score(bare, recordings)
    assert scores.tempered is None
    assert scores.errors is not None
    assert scores.errors.tempered is None
    assert gemsnn.score(bare, recordings, validation=recordings).tempered is not None


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"epoch": 3}, "there is no setting 'epoch'; the nearest is 'epochs'"),
        ({"epochs": 0}, "epochs must be at least 1"),
        ({"epochs": "3"}, "epochs must be a whole number"),
        ({"density": 0.5}, "density has no effect: it needs --topology sparse"),
        ({"limit": 3}, "limit has no effect here: fit is given its recordings"),
        ({"recipe": "worst"}, "there is no recipe 'worst'"),
        ({"rule": "gen"}, "the nearest is 'gem'"),
    ],
)
def test_settings_that_cannot_be(recordings, settings, said):
    with pytest.raises(gemsnn.InputError, match=said):
        gemsnn.fit(recordings, **settings)
    with pytest.raises(gemsnn.InputError, match="epochs has no effect here: a data set is not yet learned"):
        gemsnn.dataset("digits", epochs=3)


def test_a_rule_of_one_s_own(recordings):
    def mine(log_weights):
        share = torch.softmax(log_weights, -1)
        return share, share - 1 / share.shape[-1]

    how = {"compartments": 3, "seed": 2, **SMALL}
    own, known = gemsnn.fit(recordings, rule=mine, **how), gemsnn.fit(recordings, rule="gem-cv", **how)
    for ours, theirs in zip(trees.leaves(own.params), trees.leaves(known.params), strict=True):
        torch.testing.assert_close(ours, theirs)  # one is compiled, the other asked for its signals


def test_a_rule_that_cannot_teach_with_one_compartment_is_told(recordings):
    with pytest.warns(
        UserWarning, match="with one compartment the rule gem-cv teaches hidden neurons nothing"
    ):
        gemsnn.fit(recordings, rule="gem-cv", **SMALL)


def test_progress_is_shown(recordings):
    seen = []

    def progress(items, total, what):
        items = list(items)
        seen.append((len(items), total, what))
        return items

    gemsnn.fit(recordings, batch=4, progress=progress, **SMALL)
    assert seen == [(6, 6, "training")]


def test_fit_is_what_the_command_does(nmnist_root, tmp_path):
    """The same weights and temperatures, to the bit."""
    words = ["--hidden", "5", "--topology", "feedforward", "--rule", "one-hop", "--compartments", "1"]
    assert main(command(nmnist_root, tmp_path / "run", *words, "--warm-up", "0.25")) == 0
    run = gemsnn.Run(tmp_path / "run")
    given = {name: value for part in config.tables(run.settings).values() for name, value in part.items()}
    wanted, data = run.model(), gemsnn.dataset("nmnist", nmnist_root)
    settings = {
        name: value for name, value in given.items() if name not in datasets.DataSpec.__dataclass_fields__
    }
    usual = {name: value for part in config.tables(Settings()).values() for name, value in part.items()}
    asked = {name: value for name, value in settings.items() if value != usual[name]}
    # Zero, where the recipe says otherwise of this data.
    asked |= {name: given[name] for name in ("shift", "rotate", "zoom")}
    found = gemsnn.fit(data, warm_up=0.25, **asked)
    for ours, theirs in zip(trees.leaves(found.params), trees.leaves(wanted.params), strict=True):
        assert torch.equal(ours, theirs)
    assert found.facts == wanted.facts
    scores = gemsnn.score(found, data.test, 3)
    assert run.scores is not None
    assert dataclasses.replace(scores, split="test") == dataclasses.replace(
        run.scores, baseline=None, costs=dataclasses.replace(run.scores.costs, scalars_per_step=None)
    )
    assert run.data().test.digest() == data.test.digest()
    assert run.status == "finished"
    assert [row["kind"] for row in run.history].count("evaluation") == 2


# -- one file ----------------------------------------------------------------------------------------------


def test_a_model_is_one_file(model, recordings, tmp_path):
    path = tmp_path / "x.gemsnn.safetensors"
    model.save(path)
    loaded = gemsnn.load(path)
    assert loaded.facts == model.facts
    assert loaded.settings == model.settings
    found, wanted = gemsnn.predict(loaded, recordings, 5), gemsnn.predict(model, recordings, 5)
    assert found.labels == wanted.labels
    assert torch.equal(found.probabilities, wanted.probabilities)
    assert gemsnn.score(loaded, recordings, 5) == gemsnn.score(model, recordings, 5)
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert sorted(each.name for each in tmp_path.iterdir()) == ["again", path.name]


def test_a_saved_file_is_replaced_as_a_whole(model, tmp_path, monkeypatch):
    path = tmp_path / "x"
    model.save(path)
    before = path.read_bytes()
    monkeypatch.setattr("os.fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(gemsnn.InputError, match="cannot be written"):
        dataclasses.replace(model, facts=dataclasses.replace(model.facts, seed=9)).save(path)
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


def test_what_is_no_model_file(model, tmp_path):
    path = tmp_path / "x"
    model.save(path)
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")

    def said(data: bytes) -> str:
        path.write_bytes(data)
        with pytest.raises(gemsnn.InputError) as told:
            gemsnn.load(path)
        assert str(told.value).count("\n") == 0
        return str(told.value)

    draw = np.random.default_rng(0)
    for place in [*range(0, 8 + size, 97), *draw.integers(8 + size, len(content), 40).tolist()]:
        said(content[:place] + bytes([content[place] ^ 4]) + content[place + 1 :])
    for end in (0, 4, 8, size, len(content) - 1):
        said(content[:end])
    tensors = safetensors.torch.load(content)
    assert "is no model file of gemsnn" in said(safetensors.torch.save(tensors))
    assert "is no model file of gemsnn" in said(b"\x93NUMPY" + bytes(100))
    header = json.loads(content[8 : 8 + size])
    told = json.loads(header["__metadata__"]["gemsnn"])
    newer = {"gemsnn": json.dumps(told | {"format": 2})}
    assert "has model format 2, this gemsnn reads format 1; update gemsnn" in said(
        safetensors.torch.save(tensors, newer)
    )
    edited = {"gemsnn": json.dumps(told | {"batches": 99})}
    assert "is damaged (its own SHA-256 differs)" in said(safetensors.torch.save(tensors, edited))
    first = min(tensors)
    changed = tensors | {first: tensors[first] + 1}
    assert "SHA-256" in said(safetensors.torch.save(changed, header["__metadata__"]))
    with pytest.raises(gemsnn.InputError, match="nothing is missing; give a run folder or a model file"):
        gemsnn.load("nothing")


def test_a_file_tells_no_place_of_its_data_and_imports_no_rule(recordings, trained_run, tmp_path):
    def mine(log_weights):
        return torch.softmax(log_weights, -1), log_weights

    gemsnn.fit(recordings, rule=mine, compartments=2, **SMALL).save(tmp_path / "own")
    content = (tmp_path / "own").read_bytes()
    assert b"mine" in content
    rule = gemsnn.load(tmp_path / "own").settings.rule
    assert not rule.known
    gemsnn.Run(trained_run).model().save(tmp_path / "run")
    assert (
        str(config.load_run(trained_run / "config.toml").data.root).encode()
        not in (tmp_path / "run").read_bytes()
    )


def test_commands_take_a_model_file(trained_run, nmnist_root, tmp_path, capsys):
    path, whole = tmp_path / "model", trained_run / "config.toml"
    gemsnn.Run(trained_run).model().save(path)
    root = str(config.load_run(whole).data.root)
    assert main(["evaluate", str(path), "--votes", "3"]) == 2
    assert "is a model without data; give --data and --root" in capsys.readouterr().err
    assert main(["evaluate", str(path), "--root", root, "--votes", "3", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert main(["evaluate", str(trained_run), "--root", root, "--votes", "3", "--json"]) == 0
    assert found == json.loads(capsys.readouterr().out)
    file = next(nmnist_root.rglob("*.bin"))
    words = ["--input", str(file), "--speed", "max", "--compartments", "3"]
    assert main(["stream", "--model", str(path), *words, "--state", str(tmp_path / "state")]) == 0
    lines = capsys.readouterr().out
    assert main(["stream", "--model", str(trained_run), *words]) == 0
    assert capsys.readouterr().out == lines
    assert (
        len(
            gemsnn.predict(gemsnn.load(tmp_path / "state"), gemsnn.dataset("nmnist", nmnist_root).test).labels
        )
        > 0
    )
    assert main(["evaluate", str(path), "--root", root, "--votes", "9"]) == 2
    assert "fitted temperatures for up to 3 compartments" in capsys.readouterr().err


# -- scores and settings -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", folders.RUNS)
def test_the_json_of_scores_is_what_it_was(name, tmp_path):
    """``metrics.json`` as it was written before scores had types: the same keys in the same order, the same numbers."""
    folders.write_recordings(tmp_path)
    model = load_model(folders.FOLDER / name)
    data = dataclasses.replace(model.settings.data, root=tmp_path / "recordings")
    found = {
        "schema": 1,
        "status": "interrupted",
        **scored.final(model, datasets.load(data)).scores.to_json(),
    }
    assert set(found.pop("alone")) == {"reliability", "change"}  # which has come since, as have these
    assert "energy_joules" in found.pop("neurobench")
    assert all(1 <= row.pop("set_size") <= found["classes"] for row in found["by_time"])
    for part in (found, found.get("tempered") or {"calibration": found["calibration"]}):
        assert set(part.pop("calibration")) == {"by_chance", "debiased", "risk_area"}
    written = json.loads((folders.FOLDER / name / "metrics.json").read_text())

    def compare(ours, theirs, where):
        if isinstance(theirs, dict):
            assert list(ours) == list(theirs), where
            for key in theirs:
                compare(ours[key], theirs[key], f"{where}.{key}")
        elif where.endswith("selective") and len(ours) != len(theirs):
            # which tempered answers are exactly as sure as each other is a matter of rounding
            shorter, longer = sorted((ours, theirs), key=len)
            for row in shorter:
                assert any(row == pytest.approx(other, rel=1e-9) for other in longer), where
        elif isinstance(theirs, list):
            assert len(ours) == len(theirs), where
            for place, (a, b) in enumerate(zip(ours, theirs, strict=True)):
                compare(a, b, f"{where}[{place}]")
        else:
            assert type(ours) is type(theirs), where
            same = (
                theirs
                if theirs is None or isinstance(theirs, str)
                else pytest.approx(theirs, rel=1e-9, abs=1e-9)
            )
            assert ours == same, where

    compare(found, written, "scores")
    assert Scores.from_json(written).to_json() == {
        k: v for k, v in written.items() if k not in ("schema", "status")
    }


def test_the_report_knows_the_names_of_scores():
    """What it takes from a file is what scores write."""
    of_all = (Scores, gemsnn.scoring.scores.AtStep)
    for reads, writes in ((schema.Scores, of_all), (schema.Costs, (gemsnn.scoring.scores.Costs,))):
        assert set(reads.__annotations__) <= {
            item.name for each in writes for item in dataclasses.fields(each)
        }


def test_the_defaults_are_the_best_settings():
    best = recipes.load("best")
    assert best == Settings()
    assert layers.resolve(Settings(), [layers.of_recipe("best")]).settings == Settings()
    given = layers.of_recipe("best").values
    flat, former = (layers.merged(each, ()) for each in (Settings(), config.FORMER))
    assert {name for name in flat if flat[name] != former[name]} <= set(
        given
    )  # the recipe tells all that it chose


PAPER = {
    "data": {"data": "digits", "warm_up": 0.0625},
    "network": {"hidden": [64], "topology": "full", "memory": 10},
    "rule": {"rule": "gem", "kappa": 0.9, "gamma": 0.9},
    "optimiser": {"optimiser": "sgd", "lr": 0.0005},
    "train": {"epochs": 1, "batch": 1, "update_every": 1, "schedule": "cosine"},
}


def test_the_other_recipe_means_what_it_meant():
    """Over the defaults of its time."""
    meant = config.from_tables(PAPER, "the recipe as it was", usual=config.FORMER)
    assert recipes.load("paper") == meant
    assert layers.resolve(Settings(), [layers.of_recipe("paper")]).settings == meant


def test_a_run_of_an_older_version_means_what_it_meant(tmp_path):
    """Its file may lack settings that came later, and their defaults have changed since."""
    (tmp_path / "config.toml").write_text("[train]\nepochs = 7\n")
    assert config.load_run(tmp_path / "config.toml") == dataclasses.replace(
        config.FORMER, train=dataclasses.replace(config.FORMER.train, epochs=7)
    )
    (layer,) = [layers.of_run(tmp_path)]
    assert layers.resolve(Settings(), [layer]).settings == config.load_run(tmp_path / "config.toml")

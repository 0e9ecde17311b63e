"""A run is trained further, gives its weights to another, and is scored on other data: what a person types."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from event_files import dvs_folder, nmnist_folder
from runs import FORMER, words_of

from gemsnn.commands.cli import main
from gemsnn.runs import loading
from gemsnn.runs import training as running
from gemsnn.store import trees
from gemsnn.store.checkpoints import digest_of
from gemsnn.store.records import RunFolder

pytestmark = pytest.mark.usefixtures("undrawn")

WANTED = [(digit, 10 * number + digit) for digit in range(3) for number in range(6)]


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    root = tmp_path_factory.mktemp("nmnist")
    nmnist_folder(root, WANTED)
    return root


def words(root, out, *more):
    few = {"--hidden": "4,3", "--votes": "3", "--batch": "8", "--epochs": "2", **FORMER, "--warm-up": "0.4"}
    usual = words_of(few, *more)
    return ["train", "--data", "nmnist", "--root", str(root), "--out", str(out), *usual, *more]


@pytest.fixture(scope="module")
def constant(recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "constant"
    assert main(words(recordings, out, "--schedule", "constant")) == 0
    return out


@pytest.fixture(scope="module")
def trained(recordings, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(words(recordings, out)) == 0
    return out


@pytest.fixture
def run(trained, tmp_path):
    """A copy, to be changed."""
    return shutil.copytree(trained, tmp_path / "copy")


def weights(out):
    return RunFolder(out).load_checkpoint()[0]


def scores(out, capsys, *more):
    capsys.readouterr()
    assert main(["evaluate", str(out), "--votes", "3", "--json", *more]) == 0
    return json.loads(capsys.readouterr().out)


# -- further -----------------------------------------------------------------------------------------------


def test_a_finished_run_is_trained_further(constant, recordings, tmp_path, capsys):
    """With a constant step size, two epochs and three more are five."""
    further, whole = shutil.copytree(constant, tmp_path / "further"), tmp_path / "whole"
    assert main(["train", "--resume", str(further), "--epochs", "5"]) == 0
    assert main(words(recordings, whole, "--schedule", "constant", "--epochs", "5")) == 0
    theirs = weights(whole)
    assert all(torch.equal(leaf, theirs[name]) for name, leaf in weights(further).items())
    assert not torch.equal(
        weights(constant)["params.weights.inputs->hidden1"], theirs["params.weights.inputs->hidden1"]
    )
    for name in ("metrics.json", "config.toml", "model.json"):
        assert (further / name).read_text() == (whole / name).read_text()
    manifest = json.loads((further / "manifest.json").read_text())
    assert manifest["status"] == "finished"
    assert manifest["changed"][0]["train.epochs"] == [2, 5]


def test_a_cosine_goes_on_as_that_of_all_epochs(run, capsys):
    assert main(["train", "--resume", str(run), "--epochs", "4"]) == 0
    note = (
        "the cosine schedule is now that of 4 epochs: the step size goes on at 0.50 of lr, where in 2 epochs"
    )
    assert f"{note} it stood at 0.00" in capsys.readouterr().err
    assert note in json.loads((run / "manifest.json").read_text())["notes"][-1]
    assert "epochs = 4" in (run / "config.toml").read_text()


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ((), "is finished; there is nothing to resume, but --epochs with more than 2 trains it further"),
        (("--votes", "5"), "is finished; there is nothing to resume"),
        (("--epochs", "1"), "is a training of 2 epochs, which cannot become 1"),
        (("--epochs", "4", "--lr", "0.5"), "trained with lr 0.003, and a run goes on as it began: leave out --lr"),
        (("--epochs", "4", "--recipe", "best"), "--resume goes on in the run's folder with its settings"),
        (("--epochs", "4", "--out", "x"), "--resume goes on in the run's folder with its settings"),
    ],
)  # fmt: skip
def test_what_cannot_be_changed_on_the_way(run, more, says, capsys):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    assert main(["train", "--resume", str(run), *more]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before


def test_workers_that_were_started_anew_find_their_work_done(run, monkeypatch, capsys):
    """A worker may be lost after the run's end; that is no error."""
    before = (run / "manifest.json").read_bytes(), weights(run)
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert main(["train", "--resume", str(run)]) == 0
    assert f"report: {run / 'report.html'}" in capsys.readouterr().out
    assert (run / "manifest.json").read_bytes() == before[0]
    assert all(torch.equal(leaf, before[1][name]) for name, leaf in weights(run).items())


# -- from --------------------------------------------------------------------------------------------------


def test_a_new_run_begins_with_the_weights_of_another(trained, recordings, tmp_path, monkeypatch):
    other = tmp_path / "other"
    nmnist_folder(other, [(digit, 1000 + number) for digit, number in WANTED])
    begun = []
    fit = running.train.fit
    monkeypatch.setattr(
        running.train, "fit", lambda *given, **more: begun.append(given[1].learner) or fit(*given, **more)
    )
    out = tmp_path / "new"
    assert (
        main(["train", "--from", str(trained), "--root", str(other), "--epochs", "1", "--out", str(out)]) == 0
    )
    source = loading.load_model(trained)
    assert all(
        torch.equal(a, b)
        for a, b in zip(trees.leaves(begun[0].params), trees.leaves(source.params), strict=True)
    )
    assert begun[0].batches == begun[0].optimiser.updates == 0
    assert not any(leaf.any() for leaf in trees.leaves(begun[0].optimiser.first))
    manifest = json.loads((out / "manifest.json").read_text())
    origin = manifest["from"]
    assert origin == {
        "run": str(trained), "checkpoint_sha256": source.sha256, "batches": source.learner.batches
    }  # fmt: skip
    assert loading.load_model(out).facts.warm_up == 0.4  # the run's settings, but for the flags
    assert f'root = "{other}"' in (out / "config.toml").read_text()
    kept = weights(out)
    # stopped before it had begun, it begins with the same weights again
    again = tmp_path / "again"
    monkeypatch.setattr(running, "_train_in", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    start = ["train", "--from", str(trained), "--root", str(other), "--epochs", "1", "--out", str(again)]
    assert main(start) == 130
    (again / "manifest.json").unlink()
    monkeypatch.undo()
    assert main(["train", "--resume", str(again)]) == 0
    assert all(torch.equal(leaf, kept[name]) for name, leaf in weights(again).items())
    assert json.loads((again / "manifest.json").read_text())["from"] == origin


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--hidden", "4"), "of a network with hidden (4, 3), not (4,)"),
        (("--hidden-rate", "0.2"), "of a network with hidden_rate 0.1, not 0.2"),
        (("--polarity", "merged"), "of a network for channels 2, and this data has 1"),
        (("--dtype", "float64"), "are torch.float32, not torch.float64"),
    ],
)
def test_weights_that_do_not_fit(trained, tmp_path, more, says, capsys):
    assert main(["train", "--from", str(trained), "--out", str(tmp_path / "new"), *more]) == 2
    assert says in capsys.readouterr().err.splitlines()[-1]
    assert not (tmp_path / "new").exists()


# -- other data --------------------------------------------------------------------------------------------


def test_other_data_is_read_and_scored_as_the_runs_own(trained, recordings, tmp_path, capsys):
    own = scores(trained, capsys)
    assert own == scores(trained, capsys, "--root", str(recordings))
    moved = shutil.copytree(recordings, tmp_path / "moved")
    assert own == scores(trained, capsys, "--data", "nmnist", "--root", str(moved))
    few = scores(trained, capsys, "--root", str(moved), "--limit", "2", "--split", "train")
    assert few["presentations"] == 2
    temperatures = loading.load_model(trained).facts.temperatures["votes"]
    assert few["tempered"]["temperature"] == temperatures[2]
    assert scores(trained, capsys, "--limit", "1")["presentations"] == 1


def test_stored_temperatures_are_those_of_the_validation_part(trained, run, capsys):
    """What is fitted anew, where none is stored, is what is stored."""
    own = scores(trained, capsys)
    facts = json.loads((run / "model.json").read_text())
    facts.pop("sha256")
    facts["temperatures"] = {}
    (run / "model.json").write_text(json.dumps(facts | {"sha256": digest_of(facts)}))
    assert scores(run, capsys) == own


def test_data_that_does_not_fit_is_refused(trained, recordings, tmp_path, capsys):
    dvs_folder(tmp_path / "dvs", [(0, number) for number in range(1, 6)])
    for more, says in (
        (
            ("--data", "mnist-dvs", "--root", str(tmp_path / "dvs")),
            "height 26 where the network was trained on 34",
        ),
        (("--root", str(recordings), "--votes", "4"), "fitted temperatures for up to 3 compartments"),
        (("--data", "mnist-dvs"), "needs --root"),
        (("--limit", "0"), "limit must be at least 1"),
    ):
        assert main(["evaluate", str(trained), *more]) == 2
        assert says in capsys.readouterr().err.splitlines()[-1]

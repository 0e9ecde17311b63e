"""Settings in layers: defaults, recipe, file, flags."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import gemsnn
from gemsnn.commands import train
from gemsnn.commands.cli import COMMANDS, main
from gemsnn.commands.flags import one_sentence
from gemsnn.data.sets.catalogue import CATALOGUE
from gemsnn.errors import InputError
from gemsnn.runs import config, layers, recipes
from gemsnn.runs.config import Settings
from gemsnn.runs.layers import FLAGS, Layer
from gemsnn.specs import fields as specs
from gemsnn.store import parsing

pytestmark = pytest.mark.usefixtures("undrawn")


def bound(*words: str) -> layers.Layered:
    return train.bind(list(words)).keywords["settings"]


def test_each_layer_overrides_the_ones_before_it(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text("[train]\nepochs = 3\nbatch = 5\n[network]\nmemory = 12\n")
    found = bound("--batch", "7", "--config", str(file), "--recipe", "best")
    best, settings = recipes.load("best"), found.settings
    assert settings.train.batch == 7  # the flag
    assert settings.train.epochs == 3  # the file
    assert settings.network.memory == 12
    assert settings.rule == best.rule  # the recipe
    assert settings.network.hidden == best.network.hidden
    assert settings.evaluate == Settings().evaluate  # the defaults
    record = {layer["source"]: layer["settings"] for layer in found.record()}
    assert list(record) == ["recipe best", f"file {file}", "flags"]
    assert record["flags"] == ["batch"]
    assert record[f"file {file}"] == ["batch", "epochs", "memory"]
    assert "lr" in record["recipe best"]


def test_what_is_missing_in_one_layer_may_come_in_another(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text('[data]\ndata = "nmnist"\n')
    with pytest.raises(InputError, match="needs --root"):
        bound("--config", str(file))
    assert bound("--config", str(file), "--root", str(tmp_path)).settings.data.root == tmp_path


def test_a_later_choice_lets_an_earlier_setting_rest(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text(
        '[data]\ndata = "mnist-dvs"\nroot = "/x"\nscale = 8\ndeflicker = true\ndeflicker_seed = 3\n'
    )
    assert bound("--config", str(file)).settings.data.scale == 8
    rested = bound("--config", str(file), "--data", "digits").settings
    assert rested == Settings()
    file.write_text("[network]\ndensity = 0.3\n")
    with pytest.raises(
        InputError, match=r"density in the file .*x.toml has no effect: it needs --topology sparse"
    ):
        bound("--config", str(file))
    with pytest.raises(InputError, match="--scale has no effect"):
        bound("--scale", "4")  # the default, but somebody asked for it


def test_a_run_is_a_layer_that_asks_for_nothing(tmp_path):
    """An older run may hold settings without effect, and goes on with them."""
    run = tmp_path / "run"
    with pytest.raises(InputError, match="is not a run folder"):
        bound("--resume", str(run))
    run.mkdir()
    (run / "config.toml").write_text("[network]\ndensity = 0.3\n[train]\nepochs = 7\n")
    found = bound("--resume", str(run), "--batch", "3")
    assert found.settings.network.density == 0.3
    assert (found.settings.train.epochs, found.settings.train.batch) == (7, 3)
    assert [layer.source for layer in found.layers] == [f"run {run}", "flags"]


def test_keys_of_older_files_are_understood(tmp_path):
    file = tmp_path / "x.toml"
    file.write_text("[evaluate]\nvote_compartments = 7\n")
    assert config.load(file).evaluate.votes == 7
    assert bound("--config", str(file)).settings.evaluate.votes == 7


def test_paths_are_kept_absolute_and_can_be_written_down(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bound("--data", "nmnist", "--root", "a/../b").settings.data.root == tmp_path / "b"
    with pytest.raises(
        InputError, match=r"--root .*\\udcff is not valid UTF-8, so it cannot be written down"
    ):
        bound("--data", "nmnist", "--root", "a\udcff")


SAMPLES = {
    "data": ["digits", "mnist-dvs", "nmnist"],
    "root": [Path("/x"), Path("/y")],
    "validation": [0.1, 0.3],
    "scale": [4, 8],
    "deflicker": [False, True],
    "deflicker_seed": [0, 5],
    "topology": ["layered", "full", "sparse"],
    "density": [0.1, 0.7],
    "feedback": ["hidden", "none"],
    "feedback_count": [2, 3],
    "hidden": [(64,), (), (3, 2)],
    "hidden_rate": [0.1, 0.3],
    "rule": ["gem-cv", "gem", "ml", "iw"],
    "kappa": [0.9, 0.5],
    "sparsity": [0.0, 0.2],
    "sparsity_rate": [0.1, 0.3],
    "optimiser": ["adam", "sgd"],
    "beta1": [0.9, 0.5],
    "compartments": [1, 5],
    "update_every": [1, "presentation"],
    "readout": ["every-step", "last-step"],
}


@st.composite
def some(draw, most: int) -> dict[str, Any]:
    """A few settings."""
    names = draw(st.lists(st.sampled_from(sorted(SAMPLES)), max_size=most, unique=True))
    return {name: draw(st.sampled_from(SAMPLES[name])) for name in names}


@settings(deadline=None)
@given(some(6), some(6), some(3))
def test_a_config_that_was_written_is_read_as_it_was(recipe, file, flags):
    """Whatever layers come to, if it is accepted: its file is accepted, and means the same."""
    try:
        found = layers.resolve(
            Settings(), [Layer("recipe x", recipe), Layer("file y", file), Layer(FLAGS, flags)]
        ).settings
    except InputError:
        return
    text = config.dump(found)
    assert config.parse(text, "again") == found
    tables = config.read_tables(parsing.parse_toml(text, "again"), "again")
    again = Layer("file z", {key: value for table in tables.values() for key, value in table.items()})
    assert layers.resolve(Settings(), [again]).settings == found
    for name, value in flags.items():
        assert specs.flat(found)[name] == value  # what a flag says, holds


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("train --learning-rate 1", "gemsnn train has no flag --learning-rate; did you mean --lr?"),
        ("train --batch-size 1", "did you mean --batch?"),
        ("train --batch_size=1", "did you mean --batch?"),
        ("train --epoch 1", "did you mean --epochs?"),
        ("train --compartment 1", "did you mean --compartments?"),
        ("train --vote-compartments 1", "did you mean --votes?"),
        ("train --device tpu", "device must be cpu, cuda or cuda:1"),
        ("evaluate RUN --compartments 1", "did you mean --votes?"),
        ("train --lr 1 --lr 2", "--lr is given twice; give it once"),
        ("train --recipe best --recipe=paper", "--recipe is given twice"),
        ("train --pad --no-pad", "--pad is given twice"),
        ("train --recipe worst", "there is no recipe 'worst'; choose from paper, best"),
        ("train --hidden x", "a hidden group must be a number of neurons or a convolution"),
        ("train --data nmist", "not 'nmist'; the nearest is 'nmnist'"),
        ("train --lr", "missing value for argument '--lr'"),
        ("train x", "unrecognized options: x"),
        ("evaluate", "missing from gemsnn evaluate: PATH the run folder"),
        ("trian", "there is no command 'trian'; did you mean train?"),
        ("--lr 1", "a command comes first"),
        ("", "give a command, one of train"),
    ],
)
def test_words_that_cannot_be_are_refused_in_a_sentence(words, said, capsys):
    assert main(words.split()) == 2
    told = capsys.readouterr()
    assert said in told.err
    assert told.err.startswith("gemsnn: ")
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize("frame", ["│ {} │", "| {} |", "{}"])
def test_a_parser_s_box_is_taken_away(frame):
    said = [
        "Title",
        "─" * 30 if "│" in frame else "-" * 30,
        "Missing from x:",
        "   FILE  the file.",
        "─" * 9,
        "help",
    ]
    text = "\n".join(frame.format(line) for line in said)
    assert one_sentence(text) == "missing from x: FILE the file"


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_is_plain(command, capsys):
    try:
        code = main([*command.split(), "--help"])
    except SystemExit as stop:  # as a command's parser ends
        code = stop.code
    assert code == 0
    told = capsys.readouterr().out
    assert "usage: gemsnn" in told
    assert "``" not in told
    assert ":func:" not in told
    assert ":mod:" not in told


def test_version(capsys):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("gemsnn 0.")


def test_a_recipe_may_say_more_of_a_data_set():
    """What it says counts below a file and flags, asks nobody for a reason, and reaches no other data."""
    more = layers.of_data("best", "nmnist")
    assert [layer.source for layer in more] == ["recipe best on nmnist"]
    found = layers.resolve(
        Settings(), [*more, Layer(FLAGS, {"data": "nmnist", "root": Path("x"), "epochs": 7})]
    ).settings
    assert (found.augment.shift, found.train.epochs) == (3, 7)
    assert layers.of_data("best", "digits") == layers.of_data("paper", "nmnist") == []
    assert Settings().augment.shift == 0
    for name in recipes.RECIPES:
        for data in CATALOGUE:
            for layer in layers.of_data(name, data):
                assert not {"data", "root", "seed"} & layer.values.keys()


def test_the_command_and_fit_take_what_a_recipe_says_of_the_data(nmnist_root, tmp_path):
    """The same settings, and so the same training."""
    words = ["--hidden", "4", "--epochs", "1", "--votes", "2", "--out", str(tmp_path / "run")]
    assert main(["train", "--data", "nmnist", "--root", str(nmnist_root), *words]) == 0
    told = config.load(tmp_path / "run" / "config.toml")
    assert told.augment.shift == 3
    model = gemsnn.fit(gemsnn.dataset("nmnist", nmnist_root), hidden=[4], epochs=1, votes=2)
    assert model.settings.augment == told.augment
    assert (
        gemsnn.fit(
            gemsnn.dataset("nmnist", nmnist_root), hidden=[4], epochs=1, votes=2, shift=0
        ).settings.augment.shift
        == 0
    )

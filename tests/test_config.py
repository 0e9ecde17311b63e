import dataclasses

import pytest

from gemsnn.errors import InputError
from gemsnn.runs import config
from gemsnn.runs.config import Settings
from gemsnn.types import Layout

TEXT = """
[data]
data = "nmnist"
root = "some/where"
limit = 50
[network]
hidden = [128, 64]
[rule]
kappa = 1
[train]
update_every = 5
"""


def write(tmp_path, text):
    path = tmp_path / "settings.toml"
    path.write_text(text)
    return path


def test_toml_fills_the_dataclasses(tmp_path):
    found = config.load(write(tmp_path, TEXT))
    assert (found.data.data, str(found.data.root), found.data.limit) == ("nmnist", "some/where", 50)
    assert found.network.hidden == (128, 64)
    assert found.train.update_every == 5
    assert found.optimiser == Settings().optimiser
    assert found.learning.update_every == 5


def test_every_setting_survives_a_round_trip(tmp_path):
    for settings in (Settings(), config.load(write(tmp_path, TEXT))):
        text = config.dump(settings)
        assert config.load(write(tmp_path, text)) == settings
        for part in dataclasses.fields(settings):
            for item in dataclasses.fields(getattr(settings, part.name)):
                given = getattr(getattr(settings, part.name), item.name)
                assert given is None or f"\n{item.name} = " in f"\n{text}"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[trian]\n", "unknown table 'trian'; the nearest valid one is 'train'"),
        ("[train]\nepoch = 3\n", r"\[train\] has an unknown key 'epoch'; the nearest valid one is 'epochs'"),
        ("[network]\nhiden = [3]\n", "nearest valid one is 'hidden'"),
        ("[train]\nepochs = 'ten'\n", r"Expected `int`, got `str`.*epochs"),
        ("[train]\nepochs = 0\n", "epochs must be at least 1"),
        ("[rule]\nrule = 'magic'\n", "magic"),
        ("[data]\ndata = 'nmnist'\n", "needs --root"),
        ("train = 3\n", "must be a table"),
        ("[train\n", "not valid TOML"),
    ],
)
def test_bad_settings_are_named(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        config.load(write(tmp_path, text))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"nothing\.toml is missing"):
        config.load(tmp_path / "nothing.toml")


def test_all_filters_of_a_network_lie_as_its_offset_says():
    choice = config.NetworkChoice(basis_offset=1e4, memory=50, readout_memory=10)
    spec = choice.spec(Layout(2, 4, 3, 6, 1000), 0.25)
    assert spec.readout is not None
    assert {each.offset for each in (spec.synapse, spec.readout, spec.self_filter)} == {1e4}


def test_the_network_follows_the_data():
    spec = config.NetworkChoice(hidden=(5,), basis_count=3, memory=7).spec(Layout(2, 4, 3, 6, 1000), 0.25)
    assert spec.warm_up == 0.25
    assert (spec.inputs, spec.visible, spec.synapse.count, spec.synapse.taps) == (24, 6, 3, 7)

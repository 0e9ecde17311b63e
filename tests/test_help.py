"""What --help and --help-all show."""

import re

import pytest

from gemsnn.commands import federate, flags, stream, train
from gemsnn.commands.cli import COMMANDS, main
from gemsnn.specs import fields as specs


def shown(capsys, *words):
    with pytest.raises(SystemExit) as stop:
        main(words)
    assert stop.value.code == 0
    return capsys.readouterr().out


@pytest.mark.parametrize(("module", "name"), [(train, "train"), (stream, "stream"), (federate, "federate")])
def test_help_fits_a_screen_and_says_where_the_rest_is(module, name, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    page = shown(capsys, name, "--help")
    assert len(page.splitlines()) < 50
    assert f"gemsnn {name} --help-all shows all flags" in page
    words = re.findall(r"^[^-\w]{1,3}(--[a-z][a-z0-9-]*)", page, re.MULTILINE)
    assert [word[2:].replace("-", "_") for word in words] == list(module.BASIC)
    whole = shown(capsys, name, "--help-all")
    assert set(words) < set(re.findall(r"--[a-z0-9-]+", whole))
    assert len(whole.splitlines()) > 1.5 * len(page.splitlines())
    # other words do not matter, and the defaults are those of the command without any
    assert shown(capsys, name, "--help", "--nonsense") == page


def test_each_flag_that_help_shows_is_explained():
    for module in (train, stream, federate):
        command = getattr(module, module.__name__.rpartition(".")[2])
        hints = flags.needs.hints_of(command)
        hints.pop("return")
        groups = {key: group for key, kind in hints.items() if (group := flags._group(kind)) is not None}
        told = flags._told(command, hints, groups)
        assert all(told[name] for name in module.BASIC)
        leaves = set(flags._leaves(hints, groups))
        assert leaves <= set(told), leaves - set(told)


def test_defaults_that_help_shows_are_those_of_the_recipe(capsys):
    page = " ".join(re.sub("[│|]", "", shown(capsys, "train", "--help")).split())
    best = specs.flat(
        train.AllSettings.__metadata__[0].base(flags.Usual(train.Layered(), (), {"recipe": None}))
    )
    assert f"passes over the training part. ({best['epochs']})" in page
    assert f"addresses all randomness of the run. ({best['seed']})" in page


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_command_knows_help_all(name, capsys):
    assert f"gemsnn {name}" in shown(capsys, name, "--help-all")

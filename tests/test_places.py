"""Names and places are found out before work begins: run folders, paths, the cache."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from datetime import datetime
from pathlib import Path

import pytest
from runs import command

from gemsnn.commands import bench as bench_command
from gemsnn.commands import reproduce as reproduce_command
from gemsnn.commands.cli import main
from gemsnn.data import cache
from gemsnn.errors import InputError
from gemsnn.machine import places
from gemsnn.runs import continuing
from gemsnn.runs import training as running
from gemsnn.runs.config import Settings
from gemsnn.store import records
from gemsnn.store.records import RunFolder


@pytest.fixture
def no_work(monkeypatch):
    """Fail where data is loaded."""

    def load(*_, **__):
        raise AssertionError("work has begun")

    for module in (running, bench_command, reproduce_command):
        monkeypatch.setattr(module.datasets, "load", load)


@pytest.fixture
def one_second(monkeypatch):
    """All happens in one second."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz=None):
            return cls(2030, 1, 2, 3, 4, 5)

    monkeypatch.setattr(records, "datetime", Clock)


def test_runs_begun_in_one_second_have_names_of_their_own(tmp_path, monkeypatch, one_second):
    monkeypatch.chdir(tmp_path)
    with (
        RunFolder.claimed(None) as first,
        RunFolder.claimed(None) as second,
        RunFolder.claimed(None) as third,
    ):
        names = [run.path.name for run in (first, second, third)]
        for run in (first, second, third):
            run.write("config.toml", "")
    assert names == ["20300102-030405", "20300102-030405-2", "20300102-030405-3"]
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == names


def test_a_claimed_folder_is_nobody_else_s(tmp_path):
    with (
        RunFolder.claimed(tmp_path / "run") as run,
        pytest.raises(InputError, match="in use by another process"),
        RunFolder.claimed(tmp_path / "run"),
    ):
        pass
    assert run.path.is_dir()


def test_a_claim_goes_away_with_the_work_it_was_for(tmp_path):
    with pytest.raises(InputError, match="no data"), RunFolder.claimed(tmp_path / "run"):
        raise InputError("no data")
    assert not (tmp_path / "run").exists()

    def work(run):
        run.write("config.toml", "")
        raise InputError("no data")

    with pytest.raises(InputError, match="no data"), RunFolder.claimed(tmp_path / "run") as run:
        work(run)
    assert (tmp_path / "run" / "config.toml").exists()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["train", "--out", "taken"], "taken exists already; choose another --out"),
        (["train", "--out", "file/run"], "file/run cannot be made (Not a directory)"),
        (["train", "--out", "\udcff"], "--out \\udcff is not valid UTF-8"),
        (["train", "--data", "nmnist", "--root", "\udcff"], "\\udcff is not valid UTF-8"),
        (["train", "--topology", "full", "--decoder", "likelihood"], "the decoder likelihood needs"),
        (["train", "--rule", "ml", "--kernel", "cpu"], "the kernel 'cpu' cannot serve this case"),
        (["reproduce", "k-sweep", "--out", "taken"], "taken exists already and is no sweep"),
        (["reproduce", "k-sweep", "--out", "file/run"], "file/run cannot be made (Not a directory)"),
        (["reproduce", "k-sweep", "--decoder", "likelihood"], "the decoder likelihood needs"),
        (["bench", "--kernels", "fastest"], "there is no kernel 'fastest'"),
        (["bench", "--repeat", "0"], "repeat must be at least 1"),
        (["bench", "--figures", "file/x"], "Not a directory (file/x)"),
    ],
)
def test_what_cannot_end_well_is_refused_before_it_begins(
    words, said, tmp_path, monkeypatch, no_work, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    (tmp_path / "file").touch()
    before = sorted(tmp_path.rglob("*"))
    assert main(words) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def test_a_stream_s_place_is_refused_before_it_compiles(
    trained_run, nmnist_root, tmp_path, monkeypatch, capsys
):
    from gemsnn import streaming

    def work(*_):
        raise AssertionError("work has begun")

    monkeypatch.setattr(streaming, "_warm_up", work)
    (tmp_path / "file").touch()
    file = next(nmnist_root.rglob("*.bin"))
    words = [
        "stream",
        "--model",
        str(trained_run),
        "--input",
        str(file),
        "--state",
        str(tmp_path / "file" / "x"),
    ]
    assert main(words) == 2
    assert "cannot be made (Not a directory); choose another --state" in capsys.readouterr().err


def test_a_run_knows_where_its_data_lies_from_everywhere(nmnist_root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(nmnist_root.parent)
    few = ["--limit", "12", "--epochs", "1", "--votes", "2"]
    assert main(command(nmnist_root.name, tmp_path / "run", *few)) == 0
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["evaluate", "run", "--votes", "2", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["accuracy"] == json.loads((tmp_path / "run" / "metrics.json").read_text())["accuracy"]


def interrupted(run: Path, to: Path) -> Path:
    """A copy of a run, as if it had been stopped before it was scored."""
    shutil.copytree(run, to)
    manifest = json.loads((to / "manifest.json").read_text()) | {"status": "running"}
    (to / "manifest.json").write_text(json.dumps(manifest))
    return to


def test_the_manifest_tells_where_settings_came_from(trained_run):
    manifest = json.loads((trained_run / "manifest.json").read_text())
    of_data, flags = manifest["layers"]
    assert of_data == {
        "source": "recipe best on nmnist",
        "settings": ["epochs", "lr", "rotate", "shift", "zoom"],
    }
    assert flags["source"] == "flags"
    assert {"data", "epochs", "evaluate_every", "hidden", "root", "votes"} <= set(flags["settings"])
    assert "seed" not in flags["settings"]  # which is as it usually is
    assert manifest["settings"]["train"]["epochs"] == 2


def test_a_run_whose_settings_were_edited_is_not_resumed(trained_run, tmp_path, no_work, capsys):
    run = interrupted(trained_run, tmp_path / "run")
    text = (run / "config.toml").read_text()
    (run / "config.toml").write_text(
        text.replace("epochs = 2", "epochs = 1").replace("lr = 0.003", "lr = 0.1")
    )
    before = (run / "manifest.json").read_text()
    assert main(["train", "--resume", str(run)]) == 2
    told = capsys.readouterr().err
    assert (
        "was edited since the run began: [optimiser] lr is 0.1 and was 0.003; [train] epochs is 1 and was 2"
        in told
    )
    assert told.count("\n") == 1
    assert (run / "manifest.json").read_text() == before


def test_a_run_that_only_lacked_its_scores_says_so_and_who_made_them(trained_run, tmp_path, capsys):
    run = interrupted(trained_run, tmp_path / "run")
    manifest = json.loads((run / "manifest.json").read_text()) | {"gemsnn": "0.0.1", "resumed": ["yesterday"]}
    (run / "manifest.json").write_text(json.dumps(manifest))
    text = (run / "config.toml").read_text()  # what moves no weight may be edited
    (run / "config.toml").write_text(text.replace("checkpoint_every = 100", "checkpoint_every = 50"))
    assert main(["train", "--resume", str(run)]) == 0
    assert "all steps were made before; what is left is to score the network" in capsys.readouterr().err
    after = json.loads((run / "manifest.json").read_text())
    assert after["status"] == "finished"
    assert after["gemsnn"] == "0.0.1"  # began with it
    assert after["resumed"][0] == "yesterday"
    assert after["resumed"][1]["gemsnn"] == records.provenance()["gemsnn"]
    assert after["resumed"][1].keys() >= {"when", "torch", "numba", "git_commit"}
    assert (run / "metrics.json").read_text() == (trained_run / "metrics.json").read_text()
    assert main(["train", "--resume", str(run)]) == 2
    assert "is finished; there is nothing to resume" in capsys.readouterr().err


def test_a_cache_that_cannot_be_read_is_gone_without(tmp_path, monkeypatch, capsys):
    from test_cache import make, same

    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "cache"))
    forbidden = PermissionError(13, "Permission denied")

    def refuse(*_, **__):
        raise forbidden

    monkeypatch.setattr(Path, "is_file", refuse)
    monkeypatch.setattr(Path, "mkdir", refuse)
    for _ in range(2):
        assert same(cache.recall("x", {"a": 1}, make), make())
    told = capsys.readouterr().err
    assert told.startswith(f"gemsnn: {tmp_path / 'cache'} cannot be written (Permission denied), so")
    assert told.count("\n") == 1


def test_a_cache_that_can_only_be_read_is_read_and_temporary_files_take_what_is_new(
    tmp_path, monkeypatch, capsys
):
    from test_cache import make, same

    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    cache.recall("x", {"a": 1}, make)
    write = places._made

    def refuse(place, *below, private):
        if place == tmp_path / "cache":
            raise OSError(30, "Read-only file system")
        return write(place, *below, private=private)

    monkeypatch.setattr(places, "_made", refuse)

    def never():
        raise AssertionError("it is there")

    assert same(cache.recall("x", {"a": 1}, never), make())
    assert capsys.readouterr().err == ""
    assert same(cache.recall("x", {"a": 2}, make), make())
    assert same(cache.recall("x", {"a": 2}, never), make())
    told = capsys.readouterr().err
    assert told.startswith(f"gemsnn: {tmp_path / 'cache'} cannot be written (Read-only file system); ")
    assert told.count("\n") == 1


def test_temporary_files_may_have_no_place_either(tmp_path, monkeypatch, capsys):
    """As in a container that can only be read."""

    def none():
        raise FileNotFoundError(2, "No usable temporary directory found")

    (tmp_path / "file").write_text("")
    monkeypatch.setenv("GEMSNN_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr(tempfile, "gettempdir", none)
    monkeypatch.setattr(places, "_made", lambda *_, **__: none())
    assert places.opened(places.cache_folder()) is None
    assert capsys.readouterr().err.count("\n") == 1


def test_without_a_home_a_tilde_means_nothing(tmp_path, monkeypatch):
    monkeypatch.setenv("GEMSNN_CACHE", "~/cache")
    monkeypatch.setattr(Path, "expanduser", lambda _: (_ for _ in ()).throw(RuntimeError("no home")))
    assert places.cache_folder() == places.temporary_folder()


def test_without_a_home_the_cache_lies_among_temporary_files(tmp_path, monkeypatch):
    from test_cache import make, same

    monkeypatch.delenv("GEMSNN_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(Path, "home", lambda: (_ for _ in ()).throw(RuntimeError("no home")))
    assert same(cache.recall("x", {"a": 1}, make), make())
    (kept,) = tmp_path.glob("gemsnn-*/x-*.safetensors")
    assert same(cache.load(kept).spikes, make())


@pytest.mark.skipif(not hasattr(os, "setuid") or os.getuid() != 0, reason="needs a user to become another")
def test_a_user_who_may_not_read_the_cache_is_served(tmp_path):
    """As somebody else, with a cache folder that is closed."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    script = (
        "import os, sys, warnings\n"
        "from gemsnn.commands import cli\n"
        "from gemsnn.data import cache\n"
        "sys.path.insert(0, sys.argv[1])\n"
        "from test_cache import make\n"
        "warnings.formatwarning = cli._note\n"
        "os.setuid(65534)\n"
        "assert len(cache.recall('x', {}, make)) == 3\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        env=os.environ | {"GEMSNN_CACHE": str(closed / "cache"), "TMPDIR": str(closed)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith(f"gemsnn: {closed / 'cache'} cannot be written (Permission denied)")
    assert done.stderr.count("\n") == 1


def test_a_warning_is_one_line(monkeypatch, capsys):
    usual = warnings.formatwarning
    seen = []
    monkeypatch.setattr("gemsnn.commands.cli._dispatch", lambda _: seen.append(warnings.formatwarning) or 0)
    assert main([]) == 0
    assert seen[0](UserWarning("it is so"), UserWarning, "file.py", 3) == "gemsnn: note: it is so\n"
    assert warnings.formatwarning is usual


def test_a_manifest_of_an_older_version_tells_no_settings(tmp_path):
    continuing.check_unedited(Settings(), {"status": "interrupted"}, tmp_path)

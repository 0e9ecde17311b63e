"""One thread of torch a test process, so that two processes share two cores fairly; runs that several files look at."""

import hypothesis
import pytest
import torch
from event_files import nmnist_folder
from runs import command

torch.set_num_threads(1)
# a machine with other work makes examples slow, not wrong
hypothesis.settings.register_profile("unhurried", parent=hypothesis.settings(), deadline=None)
hypothesis.settings.load_profile("unhurried")


@pytest.fixture(scope="session")
def nmnist_root(tmp_path_factory):
    """Thirty N-MNIST recordings of three digits."""
    root = tmp_path_factory.mktemp("nmnist")
    nmnist_folder(root, [(digit, 10 * number + digit) for digit in range(3) for number in range(10)])
    return root


@pytest.fixture(scope="session")
def trained_run(nmnist_root, tmp_path_factory):
    """A small training on them; look at it, and leave it as it is."""
    from gemsnn.commands.cli import main

    out = tmp_path_factory.mktemp("runs") / "run"
    assert main(command(nmnist_root, out)) == 0
    return out


@pytest.fixture
def undrawn(monkeypatch):
    """Trainings leave their report unwritten, for drawing takes longer than the smallest of them does."""
    monkeypatch.setattr("gemsnn.report.write_report", lambda run: run / "report.html")


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    """Recordings are read in every test; compiled code is where it was."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setattr("gemsnn.machine.places.cache_folder", lambda: folder)


@pytest.fixture(scope="session")
def objects_run(tmp_path_factory):
    """Recordings of objects in .bin, and a run of them; look at it, and leave it as it is."""
    from object_files import BINS, folder_of, train

    root, out = tmp_path_factory.mktemp("data") / "objects", tmp_path_factory.mktemp("runs") / "run"
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("cache")
        patch.setattr("gemsnn.machine.places.cache_folder", lambda: folder)
        assert train(folder_of(root), out, *BINS) == 0
    return root, out

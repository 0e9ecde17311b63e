"""What the library computed once it computes still, to the bit, on the kernels ``reference`` and ``cpu``.

``tests/golden`` holds the cases, and what they ended with before the library's core was rebuilt; and run folders, a
stream's state and online learners that were saved then, which go on as they would have gone on then.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from golden import folders, runner
from golden.keeping import Goldens
from safetensors.torch import load_file

GOLDEN = Path(__file__).parent / "golden"
GOLDENS = Goldens.load(GOLDEN / "goldens.safetensors")
RESULTS = {name: (run, arguments) for name, run, arguments in runner.results()}

# Bits are those of a processor and of library versions: other BLAS libraries and wider vectors add up in another
# order, and other exponential functions round otherwise. Elsewhere numbers are near, within 1e-5 in float64 and 1e-4
# in float32, and so spikes and votes are the same: in float64 always, in float32 unless a potential lies within a
# rounding of its random number.
EXACT = GOLDENS.here

SAVED = Goldens.load(folders.FOLDER / "expected.safetensors")
LEARNERS = folders.online_files()


@pytest.fixture
def saved(tmp_path, monkeypatch):
    """A copy of what was saved, in the working directory, with the recordings."""
    shutil.copytree(folders.FOLDER, tmp_path, dirs_exist_ok=True)
    folders.write_recordings(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    torch.set_num_threads(runner.THREADS)
    yield
    torch.set_num_threads(before)


def test_all_results_are_made_again():
    assert list(RESULTS) == list(GOLDENS.leaves)


@pytest.mark.parametrize("name", RESULTS)
def test_bits_are_what_they_were(name):
    run, arguments = RESULTS[name]
    assert GOLDENS.differences(name, run(*arguments), exact=EXACT) == []


@pytest.mark.parametrize("leaf", ["params.weight", "params.bias", "first.weight", "votes.votes"])
def test_a_single_unit_in_the_last_place_is_seen(leaf):
    run, arguments = RESULTS["gem/reference"]
    result = run(*arguments)
    value = result[leaf].flatten()
    place = int(value.abs().argmax())
    if value.dtype.is_floating_point:
        value[place] = torch.nextafter(value[place], torch.tensor(torch.inf))
    else:
        value[place] -= 1
    result[leaf] = value.reshape(result[leaf].shape)
    told = GOLDENS.differences("gem/reference", result, exact=True)
    assert any(line.startswith(f"gem/reference/{leaf} differs") for line in told)
    if EXACT:
        assert len(told) == 1


def test_both_files_are_of_one_platform():
    assert SAVED.made == GOLDENS.made
    runs = {f"{name}/{what}" for name in folders.RUNS for what in ("answers", "resumed")}
    assert set(SAVED.leaves) == runs | {"stream"} | {f"online/{name}" for name in LEARNERS}


@pytest.mark.parametrize("name", folders.RUNS)
def test_an_interrupted_run_answers_and_resumes(name, saved):
    answers = folders.answers_of(saved / name)
    assert SAVED.differences(f"{name}/answers", answers, exact=EXACT) == []
    assert folders.resume(name) == 0
    learned = folders.learned_of(saved / name)
    assert SAVED.differences(f"{name}/resumed", learned, exact=EXACT) == []


def test_a_stopped_stream_goes_on(saved, capsys):
    assert folders.stream() == 0
    out, said = capsys.readouterr()
    assert "going on after bin 198" in said
    assert SAVED.differences("stream", folders.streamed(saved / "stream", out), exact=EXACT) == []


@pytest.mark.parametrize("name", LEARNERS)
def test_a_saved_learner_goes_on(name):
    state = load_file(folders.FOLDER / "online" / f"{name}.safetensors")
    found = folders.gone_on(*LEARNERS[name], state)
    assert SAVED.differences(f"online/{name}", found, exact=EXACT) == []

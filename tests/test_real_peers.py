"""Peers of the bench of real recordings: what they are shown, what is made of their answers, and where it goes."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from gemsnn import rng
from gemsnn.commands.cli import main
from gemsnn.data import datasets
from gemsnn.data.datasets import DataSpec
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.machine import places
from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import bench, methods, part
from gemsnn.reproduce.real.bench import BenchSpec
from gemsnn.runs.fitting import fit
from gemsnn.store.files import atomic_write

sys.path.append(str(Path(__file__).parents[1] / "benchmarks"))

import real_peers
import real_peers_part as peers

from peer_learners import remote
from peer_learners.online import Online
from peer_learners.shown import Settings, Shape, answer_of

SHAPE, SETTINGS = Shape(2, 1, 3, 8, 2), Settings(0.01, 0.8)


def some(count: int, seed: int) -> SpikeSet:
    """Recordings of several lengths, of which one class spikes early and the other late."""
    draw, labels = np.random.default_rng(seed), np.arange(count) % 2
    bins = []
    for label in labels:
        steps = int(draw.integers(8, 13))
        early = (np.arange(steps) < steps / 2) == (label == 0)
        bins.append((draw.random((steps, 6)) < np.where(early, 0.6, 0.02)[:, None]).astype(np.uint8))
    return SpikeSet.from_arrays(bins, labels, bin_us=1000)


def test_a_batch_says_which_steps_count():
    found = peers.batch_of([some(4, 0)[at] for at in range(4)], 0.5)
    for row, each in enumerate(some(4, 0)):
        length = len(each.spikes)
        assert found.spikes[row, :length].tolist() == each.spikes.tolist()
        assert not found.spikes[row, length:].any()
        assert np.flatnonzero(found.observed[row]).tolist() == list(range(length // 2, length))
    assert found.labels.tolist() == [0, 1, 0, 1]
    given = found.steps_first(one=True)
    assert torch.equal(given[:, :, :-1], torch.from_numpy(found.spikes).transpose(0, 1).float())
    assert bool((given[:, :, -1] == 1).all())


def test_answers_are_means_over_the_steps_that_counted_so_far():
    logits = torch.tensor([[[4.0, 0]], [[1, 3]], [[3, 5]], [[9, 9]]])
    weights = torch.tensor([[0.0], [1], [1], [0]])
    found = answer_of(logits, weights, torch.ones(1), torch.ones(1))
    assert found.logits[0].tolist() == [[0, 0], [1, 3], [2, 4], [2, 4]]


def test_peers_are_shown_what_best_learns_from(monkeypatch):
    """The same recordings in the same order, moved alike."""
    splits = datasets.load(DataSpec("digits", limit=40))
    recipe = methods.recipe_of("digits", quick=True)
    assert (recipe.augment.shift, recipe.train.batch, recipe.network.hidden) == (2, 16, (8,))

    class Stop(Exception):
        pass

    def batch(network, shown):
        raise Stop([each.rows.dense() for each in shown])

    monkeypatch.setattr("gemsnn.learn.train.networks.batch", batch)
    with pytest.raises(Stop) as stopped:
        fit(splits, seed=3, shift=2, rotate=10.0, zoom=0.1, epochs=1, hidden=[8])
    (learned,) = stopped.value.args
    course = peers.Course(peers.raw.learned(splits.train, recipe.augment, 3), recipe, 3, 2)
    batches = list(course.batches())
    assert np.array_equal(batches[0][0].spikes, np.stack(learned))
    assert not np.array_equal(batches[0][0].spikes, np.stack([splits.train.bins(0)] * len(learned)))
    order = rng.generator(3, "order", 0).permutation(len(splits.train))
    assert [int(label) for batch, _ in batches[:3] for label in batch.labels] == splits.train.labels[
        order
    ].tolist()
    factors = [factor for _, factor in batches]
    assert factors[0] == 1
    assert factors == sorted(factors, reverse=True)
    assert factors[-1] < 0.1


def test_a_learner_at_the_other_end_of_a_pipe_is_the_same():
    job = peers.PeerJob("digits", "e-prop", 5, None, True, "", SETTINGS, python=sys.executable)
    batch = peers.batch_of([some(6, 1)[at] for at in range(6)], 0.25)
    here = Online("e-prop", SHAPE, SETTINGS, 5)
    with peers.learner_of(job, SHAPE, SETTINGS) as there:
        assert there.bytes == here.bytes == 4 * (8 * 7 + 2 * 9)
        for learner in (here, there):
            before = learner.answer(batch)
            for _ in range(3):
                learner.learn(batch, 0.05)
            assert not np.array_equal(learner.answer(batch).logits, before.logits)
        for one, other in zip(here.answer(batch), there.answer(batch), strict=True):
            assert np.array_equal(one, other)
        assert there.peak > 10**7


def test_a_peer_that_dies_is_told_in_a_sentence():
    job = peers.PeerJob("digits", "no-such-rule", 0, None, True, "", SETTINGS, python=sys.executable)  # pyright: ignore
    made = peers.learner_of(job, SHAPE, SETTINGS)
    with pytest.raises(InputError, match="no-such-rule ended before it had answered"), made:
        pass


def test_frames():
    pipe = io.BytesIO()
    remote.send(pipe, a=np.arange(3), b=2.5)
    remote.send(pipe)
    pipe.seek(0)
    found = remote.receive(pipe)
    assert found["a"].tolist() == [0, 1, 2]
    assert float(found["b"]) == 2.5
    assert remote.receive(pipe) == {}
    with pytest.raises(EOFError):
        remote.receive(pipe)


def test_costs_of_an_answer():
    batch = peers.batch_of([some(3, 2)[at] for at in range(3)], 0.0)
    learner = Online("ottt", SHAPE, SETTINGS, 0)
    found = learner.answer(batch)
    assert (found.spikes > 0).any()
    assert found.operations.tolist() == (batch.spikes.sum((1, 2)) * 8 + found.spikes * 2).tolist()


def test_a_recording_that_has_ended_keeps_its_answer():
    recordings = some(70, 3)
    found = peers.ask(Online("e-prop", SHAPE, SETTINGS, 0), recordings, 0.25)
    assert found.course.logs.shape == (70, recordings.longest, 2)
    lengths = np.diff(recordings.starts)
    for at in np.flatnonzero(lengths < recordings.longest)[:5]:
        after = found.course.logs[at, lengths[at] - 1 :]
        assert bool((after == after[0]).all())
    assert bool((found.course.logs[:, 0].exp() == 0.5).all())  # within the warm-up
    alone = peers.ask(Online("e-prop", SHAPE, SETTINGS, 0), recordings.select([69]), 0.25)
    torch.testing.assert_close(alone.end.logs[0], found.end.logs[69], atol=1e-6, rtol=0)


@pytest.fixture
def here(monkeypatch):
    """Parts run in this process, and are counted."""
    done: list[str] = []

    def run_all(module, parts, at_once, *, name, told, say, beside=None):
        work = peers.work if module == "real_peers_part" else part.work
        for job in parts:
            atomic_write(Path(job.path), json.dumps(work(job)))
            done.append(f"{name(job)}: {told(job)}")

    monkeypatch.setattr(jobs, "run_all", run_all)
    return done


def test_peers_have_their_rows_in_the_table_of_the_bench(here, tmp_path, capsys, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setattr(peers, "STEP_SIZES", (0.001, 0.01))
    words = ["--sets", "digits", "--quick", "--peers", "e-prop", "--out", str(out)]
    assert real_peers.main(words) == 0
    assert [line.split(":")[0] for line in here] == [
        "digits, e-prop, settings", "digits, e-prop, seed 0", "digits, e-prop, seed 1",
    ]  # fmt: skip
    assert "| 8 x 8 digits, emulated camera | e-prop |" in capsys.readouterr().out
    tried = json.loads((out / "peers" / "settings" / "digits-e-prop.json").read_text())["tried"]
    best = min(tried, key=lambda each: each["nll"])
    assert len(tried) == 2 * len(peers.DECAYS)
    here.clear()
    assert real_peers.main(words) == 0
    assert not here
    monkeypatch.setattr(bench, "methods_of", lambda name: ("counts",))
    assert main(["reproduce", "real", "--sets", "digits", "--quick", "--out", str(out)]) == 0
    counts, mine = json.loads((out / "results.json").read_text())["rows"]
    assert (counts["method"], mine["method"], mine["title"], mine["seeds"]) == (
        "counts",
        "e-prop",
        "e-prop",
        2,
    )
    assert mine["settings"] == {"lr": best["lr"], "decay": best["decay"]}
    assert mine.keys() >= {*bench.SCORES, "nll_tempered", "ece_tempered", "by_time"}
    assert len(mine["by_time"]) == methods.TIME_BINS
    assert "| 8 x 8 digits, emulated camera | e-prop |" in capsys.readouterr().out
    of_peer = out / "peers" / "digits-e-prop-seed0.json"
    said = json.loads(of_peer.read_text())
    of_peer.write_text(json.dumps(said | {"digest": "rows:other"}))
    assert main(["reproduce", "real", "--sets", "digits", "--quick", "--out", str(out)]) == 2
    assert "learned from other bins of digits than this bench" in capsys.readouterr().err
    for change, said_of_it in (
        ({"method": "best"}, "calls its method best, as one of ours is"),
        (
            {"by_time": said["by_time"][:3]},
            "says other things than the same method's of another seed: 3 early",
        ),
        ({"tested": "many"}, "digits-e-prop-seed0.json holds what it should not"),
    ):
        of_peer.write_text(json.dumps(said | change))
        assert main(["reproduce", "real", "--sets", "digits", "--quick", "--out", str(out)]) == 2
        assert said_of_it in capsys.readouterr().err
    of_peer.write_text("{}")
    assert main(["reproduce", "real", "--sets", "digits", "--quick", "--out", str(out)]) == 2
    assert "digits-e-prop-seed0.json holds what it should not" in capsys.readouterr().err


def test_a_part_of_other_settings_is_run_again(tmp_path):
    path = tmp_path / "part.json"
    job = peers.PeerJob("digits", "ottt", 0, None, True, str(path), SETTINGS)
    whole = {
        "name": "digits", "method": "ottt", "title": "OTTT", "seed": 0, "recordings": 3, "tested": 3, "digest": "x",
        "accuracy": 1.0,
        "nll": 0.0, "ece": 0.0, "tempered": {"temperature": 1.0, "nll": 0.0, "ece": 0.0}, "seconds": 1.0,
        "parameters": 8, "peak": 8, "settings": SETTINGS._asdict(),
    }  # fmt: skip
    path.write_text(json.dumps(whole))
    assert real_peers.read(job)["accuracy"] == 1
    path.write_text(json.dumps(whole | {"settings": {"lr": 0.5, "decay": 0.8}}))
    with pytest.raises(InputError, match="is the part of another bench"):
        real_peers.read(job)


def test_convolutions_are_for_sets_whose_inputs_lie_on_a_sheet():
    spec = BenchSpec(("touch", "nmnist"), 2, 1)
    wanted = real_peers.Wanted(spec, ["snntorch-conv", "ottt"], None, Path("out"), True, Path("python"))
    found = [(job.name, job.peer, job.python) for job in real_peers.search_jobs(wanted)]
    assert found == [("touch", "ottt", None), ("nmnist", "snntorch-conv", "python"), ("nmnist", "ottt", None)]


def test_what_cannot_be_is_told_in_a_sentence(tmp_path, capsys):
    out = str(tmp_path / "out")
    assert real_peers.main(["--sets", "touch", "--peers", "ottt", "--out", out]) == 2
    assert "give --root" in capsys.readouterr().err
    assert real_peers.main(["--sets", "digits", "--peers", "ottt", "--seeds", "0", "--out", out]) == 2
    assert "seeds must be at least 1" in capsys.readouterr().err


def test_networks_of_snntorch_in_their_environment():
    python = places.cache_folder() / "peers-venv" / "bin" / "python"
    if not python.is_file():
        pytest.skip("the peers' environment is not made: benchmarks/peers.py makes it")
    child = Path(__file__).with_name("snntorch_child.py")
    done = subprocess.run([python, child], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr

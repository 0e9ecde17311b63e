"""The bench of real recordings: its sets, methods, parts and table."""

from __future__ import annotations

import json
import math
import re
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from shared_data import shared

import gemsnn
from gemsnn.commands.cli import main
from gemsnn.data.splits import Splits
from gemsnn.errors import InputError
from gemsnn.reproduce import jobs
from gemsnn.reproduce.real import bench, methods, part, sets
from gemsnn.reproduce.real.bench import BenchSpec
from gemsnn.reproduce.real.part import Job
from gemsnn.reproduce.real.sets import SETS, SetName
from gemsnn.store.files import atomic_write


def recordings(count: int = 24, steps: int = 10, seed: int = 0) -> gemsnn.Recordings:
    """Two classes with the same counts, one early and one late."""
    draw = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    early = (np.arange(steps) < steps / 2)[None, :, None] == (labels == 0)[:, None, None]
    spikes = draw.random((count, steps, 6)) < np.where(early, 0.6, 0.02)
    return gemsnn.Recordings.from_arrays(spikes, labels, bin_us=1000)


def splits() -> Splits:
    return Splits(recordings(), recordings(seed=1), recordings(seed=2))


@pytest.fixture
def here(monkeypatch):
    """Parts run in this process, and are counted."""
    done: list[str] = []

    def run_all(module, parts, at_once, *, name, told, say):
        assert module == "gemsnn.reproduce.real.part"
        for job in parts:
            atomic_write(Path(job.path), json.dumps(part.work(job)))
            done.append(f"{name(job)}: {told(job)}")
            say(done[-1])

    monkeypatch.setattr(jobs, "run_all", run_all)
    return done


def test_counts_in_stretches_of_time():
    spikes = np.zeros((1, 10, 2), bool)
    spikes[0, [0, 1, 3, 9], 0] = True
    spikes[0, 4, 1] = True
    made = gemsnn.Recordings.from_arrays(spikes, [0], bin_us=1000)
    assert methods.counts_in_time(made, 5).tolist() == [[2, 0, 1, 0, 0, 1, 0, 0, 1, 0]]
    assert methods.counts_in_time(made, 1).tolist() == [[4, 1]]
    assert methods.counts_in_time(made, 1).tolist() == made.counts_per_input().tolist()


def test_when_events_come_is_what_the_shuffled_control_takes_away():
    """Counts in time tell the classes apart, counts do not, and after the shuffle neither does."""
    given, mixed = splits(), methods.shuffled(splits())
    for ours, theirs in zip((given.train, given.test), (mixed.train, mixed.test), strict=True):
        assert ours.labels.tolist() == theirs.labels.tolist()
        for at in range(len(ours)):
            one, other = ours[at].spikes.tolist(), theirs[at].spikes.tolist()
            assert sorted(one) == sorted(other)
        assert any(ours[at].spikes.tolist() != theirs[at].spikes.tolist() for at in range(len(ours)))
    again = methods.shuffled(splits())
    assert again.train.digest() == mixed.train.digest()
    found = methods.learn("digits", "counts-5", given, 0)
    assert found["accuracy"] == 1
    assert methods.learn("digits", "counts", given, 0)["accuracy"] < 0.8
    # 24 answers by chance: more than 20 right by one shuffle in 3,000
    assert methods.learn("digits", "counts-5", mixed, 0)["accuracy"] <= 20 / 24


def test_fewer_recordings_to_learn_from_leave_the_others():
    few = methods.fewer(splits(), 5)
    assert few.train.labels.tolist() == [0, 1, 0, 1, 0]
    assert (len(few.validation), len(few.test)) == (24, 24)
    with pytest.raises(InputError, match="there are 24 recordings to learn from, fewer than 25"):
        methods.fewer(splits(), 25)


def test_best_without_augmentation_is_a_method_where_best_has_some():
    assert "plain" in methods.methods_of("nmnist")  # by the recipe
    assert "plain" in methods.methods_of("cards")  # by the bench
    assert "plain" not in methods.methods_of("neurons")
    assert set(SETS) == set(get_args(SetName))


def test_the_shuffled_control_learns_as_best_does(monkeypatch):
    """But for augmentation: with the memory, filters and warm-up that the recipe has for the set."""
    asked = []

    def fit(splits, **settings):
        asked.append(settings)
        raise InputError("asked")

    monkeypatch.setattr(methods, "fit", fit)
    for name in ("touch", "nmnist"):
        with pytest.raises(InputError, match="asked"):
            methods.learn(name, "shuffled", splits(), 0)
    touch, digits = asked
    assert (touch["memory"], touch["basis_count"], touch["warm_up"]) == (50, 10, 0.75)
    assert touch["drop_pixels"] == 0
    assert (digits["shift"], digits["epochs"]) == (0, 10)


def fake(seed: int, method: str, count: int, gain: float) -> dict[str, Any]:
    moments = [{"ms": 5.0, "accuracy": 0.5 + gain, "nll": 1.0, "ece": 0.1}]
    return {
        "name": "nmnist", "method": method, "seed": seed, "recordings": count, "tested": 200, "digest": "rows:0",
        "accuracy": 0.9 + gain, "nll": 0.5, "ece": 0.1, "brier": 0.2, "seconds": 2.0, "parameters": 4000, "peak": 10**8,
        "tempered": {"temperature": 2.0, "nll": 0.4, "ece": 0.05}, "by_time": moments, "decoder": "rates",
        "spikes": 1000.0, "operations": 2e6,
    }  # fmt: skip


def test_a_summary_by_hand():
    parts = [fake(seed, "best", 721, 0.02 * seed) for seed in range(3)] + [fake(0, "best", 50, -0.3)]
    found = bench.summary(parts)
    assert [(row["method"], row["recordings"], row["seeds"]) for row in found["rows"]] == [
        ("best", 721, 3), ("best", 50, 1),
    ]  # fmt: skip
    whole, few = found["rows"]
    assert whole["accuracy"]["mean"] == pytest.approx(0.92)
    assert whole["accuracy"]["error"] == pytest.approx(0.02 / math.sqrt(3))
    assert few["accuracy"] == {"mean": pytest.approx(0.6), "error": None}
    assert whole["nll_tempered"]["mean"] == pytest.approx(0.4)
    assert whole["by_time"][0]["accuracy"]["mean"] == pytest.approx(0.52)
    text = bench.table({"quick": False, **found})
    first, curve = text.split("\n\n")
    assert "| N-MNIST, 721 to learn from | recipe best | 0.920 ± 0.012 |" in first
    assert "| recipe best | 50 | 0.600 |" in curve
    assert "| recipe best | 721 | 0.920 ± 0.012 |" in curve
    assert len({line.count("|") for line in first.splitlines()}) == 1


def test_all_methods_of_a_set_in_the_quick_form(here, tmp_path, capsys):
    words = ["reproduce", "real", "--sets", "digits", "--quick", "--out", str(tmp_path / "out")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert bench.QUICK in printed
    assert len(here) == 2 + 2 * 4
    assert all(re.search(r"digits, \S+, seed \d: [\d.]+% right, NLL", line) for line in here)
    results = json.loads((tmp_path / "out" / "results.json").read_text())
    assert results["schema"] == bench.SCHEMA
    assert [row["method"] for row in results["rows"]] == list(methods.TITLES)
    row = next(row for row in results["rows"] if row["method"] == "best")
    assert row.keys() >= {*bench.SCORES, "nll_tempered", "ece_tempered", "by_time", "decoders"}
    assert len(row["by_time"]) == methods.TIME_BINS
    here.clear()
    part_of_best = tmp_path / "out" / "parts" / "digits-best-seed1.json"
    before = part_of_best.read_text()
    part_of_best.write_text("{}")
    assert main(words) == 0  # what is missing or damaged is run again, with the same outcome
    assert [line.split(":")[0] for line in here] == ["digits, best, seed 1"]
    for name in ("accuracy", "nll", "ece", "tempered"):
        assert json.loads(part_of_best.read_text())[name] == json.loads(before)[name]
    capsys.readouterr()
    assert main([word for word in words if word != "--quick"]) == 2
    assert "holds a bench of the other form" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--sets", "touch"], "the set touch lies in touch-objects below a root; give --root"),
        (["--sets", "touch", "--root", "."], "touch-objects is missing (see docs/data.md, touch)"),
        (["--sets", "digits", "digits"], "each once"),
        (["--sets", "digits", "--seeds", "0"], "seeds must be at least 1"),
        (["--sets", "digits", "--quick", "--seeds", "2"], "--seeds has no effect"),
        (["--sets", "digits", "--out", "taken"], "taken exists already and is no bench"),
        (["--compartments", "2"], "--compartments"),
    ],
)
def test_what_cannot_be_is_told_in_a_sentence(words, said, tmp_path, monkeypatch, capsys, here):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "mine").write_text("x")
    assert main(["reproduce", "real", *words]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert not here


def test_a_part_of_another_job_is_refused(tmp_path):
    path = tmp_path / "part.json"
    path.write_text(json.dumps(fake(1, "best", 50, 0.0)))
    job = Job("nmnist", "best", 1, None, quick=False, path=str(path), recordings=50)
    assert part.read(job)["accuracy"] == 0.9
    for changed in ({"seed": 2}, {"method": "paper"}, {"recordings": 100}):
        other = Job(**{name: getattr(job, name) for name in job.__struct_fields__} | changed)
        with pytest.raises(InputError, match="is the part of another bench"):
            part.read(other)


def test_a_part_is_a_process_of_its_own(tmp_path):
    job = Job("digits", "counts", 0, None, quick=True, path=str(tmp_path / "part.json"))
    said: list[str] = []
    jobs.run_all(
        "gemsnn.reproduce.real.part", [job], 1, name=lambda _: "x", told=lambda _: "y", say=said.append
    )
    assert said == ["1/1  x: y"]
    assert part.read(job)["recordings"] == 33


def test_jobs_are_all_of_all_sets():
    found = bench.jobs_of(BenchSpec(sets=("nmnist", "touch")), "root", Path("out"), quick=False)
    assert len({job.path for job in found}) == len(found)
    assert {(job.name, job.method) for job in found if job.recordings is None} == {
        *(("nmnist", method) for method in methods.methods_of("nmnist")),
        *(("touch", method) for method in methods.methods_of("touch")),
    }
    assert {job.recordings for job in found} == {None, *bench.CURVE}
    assert all(job.seed == 0 for job in found if job.method in methods.SEEDLESS)


@pytest.mark.parametrize("name", [name for name in SETS if name not in ("digits", "images")])
def test_the_real_sets_are_those_that_were_measured(name):
    found = SETS[name]
    root = shared(str(found.place))
    for _ in Path(str(found.place)).parts:
        root = root.parent
    made = sets.load(name, root)
    assert sets.is_known(name, made.train.digest())

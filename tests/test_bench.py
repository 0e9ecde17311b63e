"""What ``gemsnn bench`` counts, measures and prints, at sizes of no interest."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from gemsnn.bench import cases, measure, suite
from gemsnn.bench.cases import TASKS, Case
from gemsnn.bench.measure import Job
from gemsnn.commands import bench as bench_command
from gemsnn.commands import cli
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS, Learning
from gemsnn.model.basis import BasisSpec
from gemsnn.model.network import NetworkSpec
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.types import Presentation

KEYS = {
    "kernel", "task", "K", "B", "update_every", "seconds_per_presentation", "speedup_over_reference",
    "fraction_of_gemm_peak", "gflop", "peak_mb", "threads",
}  # fmt: skip


def recordings(count: int = 5, steps: int = 80) -> list[Presentation]:
    generator = torch.Generator().manual_seed(0)
    spikes = (torch.rand(count, steps, 1352, generator=generator) < 0.05).to(torch.uint8)
    target = torch.zeros(steps, 10, dtype=torch.uint8)
    return [Presentation(row, target, number % 10, number) for number, row in enumerate(spikes)]


class Splits:
    train = recordings()


def tiny(compartments: int = 3, batch: int = 1, update_every: int | None = 1) -> Case:
    rule = RuleSpec("gem", kappa=0.9, gamma=0.9, readout="every-step")
    learning = Learning(rule, OptimiserSpec("sgd"), compartments, update_every)
    network = NetworkSpec(5, 2, (4,), topology="full", synapse=BasisSpec(count=2, taps=3))
    return Case("tiny", network, compartments, batch, 4, learning)


@pytest.fixture
def here(monkeypatch):
    """Measure in this process, which saves its start."""
    monkeypatch.setattr(measure, "in_child", measure.work)


def test_arithmetic_by_hand():
    # N = 6 neurons, M = 5 inputs: 30 synapses from inputs, 6 * 5 from neurons; L = 2, T = 4, K = 3.
    forward = 2 * 4 * 2 * 30 + 2 * 4 * 2 * 30 * 3
    pairs = 6  # (0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)
    gram = 2 * pairs * 5 + 2 * pairs * 9 * 6
    summed = 2 * pairs * 3 * 6
    added = 2 * pairs * 6 + 2 * pairs * 9 * 6
    assert cases.gflop(tiny()) == pytest.approx(1e-9 * (2 * forward + gram + summed + added))
    assert cases.gflop(replace(tiny(), learning=None)) == pytest.approx(1e-9 * forward)


def test_one_update_a_presentation_needs_no_pairs():
    once = cases.gflop(tiny(update_every=None))
    assert once == pytest.approx(2 * cases.gflop(replace(tiny(), learning=None)))
    assert once < cases.gflop(tiny(update_every=2)) < cases.gflop(tiny(update_every=1))
    assert cases.gflop(tiny(batch=2)) > cases.gflop(tiny())


def test_arithmetic_of_the_paper():
    found = {case.compartments: cases.gflop(case) for case in cases.cases("paper")}
    assert found[10] == pytest.approx(3.1, rel=0.02)
    assert found[1] == pytest.approx(1.1, rel=0.02)


def test_bins_are_crops_and_tilings():
    data = recordings()
    case = tiny()
    crop = cases.bins(data, case, 2)
    assert torch.equal(crop[1], data[1].spikes[:4, 673:678])
    wide = cases.bins(data, replace(case, network=replace(case.network, inputs=2704), steps=100), 1)
    assert wide.shape == (1, 100, 2704)
    assert torch.equal(wide[0, :80, :1352], data[0].spikes)
    assert torch.equal(wide[0, 80:, :1352], data[101 % 5].spikes[:20])
    merged = cases.bins(data, replace(case, network=replace(case.network, inputs=676), merged=True), 1)
    assert torch.equal(merged[0, :, 7], data[0].spikes[:4, 14] | data[0].spikes[:4, 15])


def test_the_reference_is_shortened():
    case = replace(cases.cases("batch")[0], batch=32)
    short = cases.shortened(case, steps=4, memory=256_000_000)
    assert short.steps == 4
    assert 1 <= short.batch < 32
    assert cases.eligibility_bytes(short) <= 256_000_000
    assert suite._whole(case, short, 0.5) == 10
    assert (
        suite._note(case, short) == f"extrapolated from 4 of 80 steps and {short.batch} of 32 presentations"
    )
    assert suite._note(case, case) is None


@pytest.mark.parametrize("task", TASKS)
def test_quick_measures_every_task(task, here):
    names = list(KERNELS)
    rows = list(suite.run(recordings(), task, repeat=1, quick=True))
    assert len(rows) == len(names) * len(cases.cases(task, quick=True))
    for row in rows:
        assert row.keys() >= KEYS
        assert row["seconds_per_presentation"] > 0
        assert row["peak_mb"] >= row["idle_mb"] > 10
        assert row["speedup_over_reference"] == pytest.approx(1) or row["kernel"] != "reference"
        assert json.loads(suite.write_json(row)).keys() == row.keys()


def test_the_command_prints_json_lines_and_draws(here, monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(bench_command.datasets, "load", lambda *_, **__: Splits)
    words = ["bench", "--quick", "--task", "growth", "--kernels", "block", "--repeat", "1", "--json"]
    assert cli.main([*words, "--figures", str(tmp_path)]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {row["task"] for row in rows} == {"growth-M", "growth-H", "growth-T", "growth-K"}
    assert all(row["kernel"] == "block" and row["speedup_over_reference"] is None for row in rows)
    assert {path.name for path in tmp_path.iterdir()} == {f"time-against-{x}.png" for x in "KTHM"}


def test_the_command_prints_a_table(here, monkeypatch, capsys):
    monkeypatch.setattr(bench_command.datasets, "load", lambda *_, **__: Splits)
    assert cli.main(["bench", "--quick", "--task", "infer", "--repeat", "1"]) == 0
    table = capsys.readouterr().out
    assert "x reference" in table
    assert all(name in table for name in KERNELS)


def test_a_process_of_its_own(tmp_path):
    case = tiny()
    two = [row._replace(label=row.label % 2) for row in recordings()]
    bench = suite.Bench(two, ["block"], repeat=2, quick=True, folder=tmp_path)
    found = measure.in_child(Job(case, "block", str(bench.bins(case)), repeat=2))
    assert found.refused is None
    assert 0 < found.seconds <= found.median
    assert found.repeats == 2
    assert found.peak_mb >= found.idle_mb


def test_what_no_kernel_serves_is_left_out(here, monkeypatch, capsys):
    monkeypatch.setattr(KERNELS["block"], "refuses", lambda *_: "not today")
    assert list(suite.run(recordings(), "digits", "block", repeat=1, quick=True)) == []
    assert "not today" in capsys.readouterr().err


def test_a_failure_is_left_out_and_told(monkeypatch, capsys):
    monkeypatch.setattr(bench_command.datasets, "load", lambda *_, **__: Splits)
    done = measure.Outcome(seconds=1.0, median=1.0, repeats=1, threads=1)
    monkeypatch.setattr(
        measure, "in_child", lambda job: measure.Outcome(failed=-9) if job.kernel == "reference" else done
    )
    assert cli.main(["bench", "--quick", "--task", "digits", "--kernels", "block,reference", "--json"]) == 2
    told = capsys.readouterr()
    assert [json.loads(line)["kernel"] for line in told.out.splitlines()] == ["block"]
    assert "failed with code -9" in told.err
    assert "1 measurements failed" in told.err


def test_what_cannot_be_is_refused(monkeypatch, capsys):
    monkeypatch.setattr(bench_command.datasets, "load", lambda *_, **__: Splits)
    for words in (
        ["--task", "nonsense"],
        ["--kernels", "nonsense"],
        ["--repeat", "0"],
        ["--task", "paper", "--with-peers"],
        ["--task", "infer", "--figures", "x"],
    ):
        assert cli.main(["bench", *words]) == 2
    with pytest.raises(InputError, match="there is no task"):
        suite.task_names("nonsense")

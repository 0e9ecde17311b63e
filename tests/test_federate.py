"""Fleets: against training in one place, against averages made by hand, and the same whoever simulates the devices."""

from __future__ import annotations

import dataclasses
import itertools
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from crew_cases import CREDIT, GEM, PRESENTATIONS, case
from fleet_cases import FLEETS, UNEQUAL
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import command

import gemsnn
from gemsnn import Run, rng
from gemsnn.commands.cli import main
from gemsnn.errors import InputError
from gemsnn.kernels import KERNELS
from gemsnn.learn import federated, train
from gemsnn.learn.federated import FleetSpec, Message, decoded, encoded, tell
from gemsnn.learn.fleet import Fleet, Own
from gemsnn.learn.state import Learner
from gemsnn.rules import optimisers
from gemsnn.store import trees
from gemsnn.store.records import RunFolder

ROOT = Path(__file__).parents[1]


MANY = settings(deadline=None, max_examples=60)


def flat(params) -> torch.Tensor:
    return torch.cat([leaf.reshape(-1) for leaf in trees.leaves(params)])


def same(one, other) -> bool:
    """Whether two trees are equal to the bit."""
    return all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) else a == b
        for a, b in zip(trees.leaves(one), trees.leaves(other), strict=True)
    )


# -- the mathematics ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("kernel", ["reference", "block"])
@pytest.mark.parametrize("rule", [GEM, CREDIT], ids=["gem", "one-hop"])
def test_averaging_after_every_step_is_one_batch_of_all_devices(kernel, rule):
    """One sgd step each and the mean of the weights is one step along the mean direction."""
    devices, of = 3, case("dense", kernel, rule)
    spec = dataclasses.replace(of.spec, epochs=1, batch=devices)
    steps = PRESENTATIONS // devices
    whole = rng.generator(spec.seed, "order", 0).permutation(PRESENTATIONS).reshape(steps, devices)
    place = rng.generator(spec.seed, "order", 0).permutation(steps)  # in which each device takes its own
    owned = [np.empty(steps, int) for _ in range(devices)]
    for device, step in itertools.product(range(devices), range(steps)):
        owned[device][place[step]] = whole[step, device]
    given = (of.network, train.start(of.params, of.learning), of.presentations(), spec, of.learning)
    central = list(train.updates(*given, kernel=KERNELS[kernel]))
    rounds = list(Fleet(FleetSpec(devices, every=1), owned).updates(*given, kernel=KERNELS[kernel]))
    assert len(rounds) == len(central) == steps
    for ours, theirs in zip(rounds, central, strict=True):
        torch.testing.assert_close(
            flat(ours.learner.params), flat(theirs.learner.params), rtol=1e-12, atol=1e-13
        )
        assert ours.loss == pytest.approx(theirs.loss, rel=1e-12)
        assert ours.bound == pytest.approx(theirs.bound, rel=1e-12)
        assert (ours.epoch, ours.ends_epoch, ours.presentations) == (
            theirs.epoch,
            theirs.ends_epoch,
            theirs.presentations,
        )
    assert float((flat(central[-1].learner.params) - flat(of.params)).abs().sum()) > 0.1, "it has learned"


def test_a_round_is_the_mean_of_what_devices_reach_by_themselves():
    """Weighted by their recordings, of those that are there, with moments of their own."""
    simulated = FLEETS["in full, missing"]()
    of, spec = simulated.of, simulated.spec
    fleet = simulated.fleet()
    alone = dataclasses.replace(of.spec, batch=1)
    moments = [optimisers.init(of.learning.optimiser, of.params)] * spec.devices
    total = of.spec.epochs * -(-PRESENTATIONS // spec.devices)
    params, missed = of.params, 0
    for turn, update in enumerate(simulated.course(fleet)):
        there = federated.present(spec, of.spec.seed, turn)
        missed += spec.devices - len(there)
        begun = turn * spec.every
        reached = []
        for device in there:
            course = train.updates(
                of.network, Learner(params, moments[device], begun), Own(of.presentations(), UNEQUAL[device].tolist()),
                alone, of.learning, kernel=KERNELS[of.kernel], batches=total,
            )  # fmt: skip
            *_, last = itertools.islice(course, min(spec.every, total - begun))
            moments[device] = last.learner.optimiser
            reached.append(flat(last.learner.params).numpy())
        mean = np.average(reached, axis=0, weights=[len(UNEQUAL[device]) for device in there])
        np.testing.assert_allclose(flat(update.learner.params).numpy(), mean, rtol=1e-12, atol=1e-13)
        params = update.learner.params
    assert params is not of.params
    assert missed > 3
    assert update.learner.batches == total


def test_every_device_makes_as_many_steps_whatever_is_between_two_averagings():
    """And the last round of a training may be shorter."""
    for every in (1, 4, 64):
        simulated = FLEETS["in full, missing"]()
        simulated = simulated._replace(spec=dataclasses.replace(simulated.spec, every=every))
        rounds = list(simulated.course(simulated.fleet()))
        assert rounds[-1].learner.batches == 3 * 4
        assert [each.round.round for each in rounds] == list(range(1, math.ceil(12 / every) + 1))
        assert rounds[-1].ends_epoch
        assert rounds[-1].epoch == 3
        assert sum(each.ends_epoch for each in rounds) == min(3, len(rounds))


# -- whoever simulates -------------------------------------------------------------------------------------


@pytest.mark.parametrize("workers", [2, 3])
def test_workers_reach_the_same_to_the_bit(workers, tmp_path):
    """Weights, moments, residuals and all numbers of every round."""
    words = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone"]
    words += ["--nproc-per-node", str(workers), "tests/fleet_worker.py", str(tmp_path)]
    done = subprocess.run(
        words, cwd=ROOT, capture_output=True, text=True, timeout=600, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    for name, make in FLEETS.items():
        simulated = make()
        fleet = simulated.fleet()
        alone, kept = list(simulated.course(fleet)), fleet.tensors()
        for rank in range(workers):
            found, also = torch.load(tmp_path / f"{name}-{workers}-{rank}.pt", weights_only=False)
            assert same(tuple(found), tuple(alone)), name
            assert also.keys() == kept.keys()
            assert all(torch.equal(also[key], leaf) for key, leaf in kept.items())
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", FLEETS)
def test_a_fleet_goes_on_from_what_was_kept(name):
    """As if it had never stopped, to the bit, through the bytes of a file."""
    simulated = FLEETS[name]()
    whole = list(simulated.course(simulated.fleet()))
    first = simulated.fleet()
    *_, reached = itertools.islice(simulated.course(first), 2)
    kept = safetensors.torch.load(safetensors.torch.save(first.tensors()))
    again = list(simulated.course(simulated.fleet(kept=kept), reached.learner))
    assert same(tuple(again), tuple(whole[2:]))


# -- what is sent ------------------------------------------------------------------------------------------

SIZES = [7, 1, 12]
numbers = st.lists(st.floats(-1e3, 1e3, width=32), min_size=sum(SIZES), max_size=sum(SIZES))
sends = st.sampled_from(
    [FleetSpec(send="full"), FleetSpec(send="8-bit"), FleetSpec(send="sparse", share=0.2)]
)


@MANY
@given(sends, st.lists(numbers, min_size=1, max_size=6))
def test_what_was_sent_and_what_waits_is_all_there_was(spec, rows):
    rest, sent = None, torch.zeros(sum(SIZES), dtype=torch.float64)
    changes = torch.tensor(rows, dtype=torch.float64)
    for change in changes:
        told = tell(spec, change, rest, SIZES)
        sent, rest = sent + told.sent, told.rest
    left = 0 if rest is None else rest
    torch.testing.assert_close(sent + left, changes.sum(0), rtol=1e-12, atol=1e-9)


@MANY
@given(sends, numbers)
def test_the_bytes_counted_are_those_from_which_a_change_is_read(spec, row):
    change = torch.tensor(row)
    message = encoded(spec, change, SIZES)
    parts = [None if part is None else (part.numpy().tobytes(), part.dtype) for part in message]
    assert message.bytes == sum(len(part[0]) for part in parts if part is not None)
    read = Message(
        *(None if part is None else torch.frombuffer(bytearray(part[0]), dtype=part[1]) for part in parts)
    )
    assert torch.equal(decoded(read, SIZES), decoded(message, SIZES))
    wanted = {"full": 20 * 4, "8-bit": 20 + 3 * 4, "sparse": 4 * (4 + 4)}
    assert message.bytes == wanted[spec.send]


@MANY
@given(numbers)
def test_eight_bits_are_off_by_half_a_level_at_most(row):
    change = torch.tensor(row, dtype=torch.float64)
    found = decoded(encoded(FleetSpec(send="8-bit"), change, SIZES), SIZES)
    for ours, theirs in zip(found.split(SIZES), change.split(SIZES), strict=True):
        assert (ours - theirs).abs().max() <= theirs.abs().max() / 127 / 2 * (1 + 1e-9)


@MANY
@given(numbers)
def test_a_sparse_message_tells_the_largest(row):
    change = torch.tensor(row, dtype=torch.float64)
    found = decoded(encoded(FleetSpec(send="sparse", share=0.3), change, SIZES), SIZES)
    told = found == change
    assert (found[~told] == 0).all()
    least = np.sort(np.abs(row))[-6]
    assert (change[~told].abs() <= least).all()
    assert int((found != 0).sum()) <= 6


# -- who has what ------------------------------------------------------------------------------------------

skews = st.one_of(
    st.just({}), st.floats(0.01, 1e4).map(lambda alpha: {"alpha": alpha}),
    st.integers(1, 4).map(lambda each: {"classes_per_device": each}),
)  # fmt: skip


@MANY
@given(skews, st.integers(4, 9), st.integers(0, 99))
def test_each_recording_is_one_device_s(skew, devices, seed):
    labels = rng.generator(seed, "labels").permutation(np.arange(120) % 4)
    owned = federated.dealt(labels, FleetSpec(devices, **skew), seed)
    assert sorted(np.concatenate(owned).tolist()) == list(range(120))
    if "classes_per_device" in skew:
        assert {len(np.unique(labels[own])) for own in owned} == {skew["classes_per_device"]}
    else:
        assert {len(own) for own in owned} <= {120 // devices, -(-120 // devices)}
    again = federated.dealt(labels, FleetSpec(devices, **skew), seed)
    assert all(map(np.array_equal, owned, again))


def test_alpha_tells_how_alike_devices_are():
    labels = np.arange(4000) % 10

    def largest(**skew) -> float:
        """The mean share of a device's most frequent class."""
        owned = federated.dealt(labels, FleetSpec(10, **skew), 0)
        return float(np.mean([np.bincount(labels[own]).max() / len(own) for own in owned]))

    found = [largest(alpha=alpha) for alpha in (1e5, 10, 1, 0.01)]
    assert found == sorted(found)
    assert found[0] < 0.13
    assert found[-1] > 0.5  # the last to draw take what is left
    assert largest() < 0.15


def test_devices_miss_rounds_at_random_each_by_itself():
    spec = FleetSpec(20, missing=0.3)
    turns = [federated.present(spec, 5, turn) for turn in range(200)]
    assert np.mean([len(there) for there in turns]) / 20 == pytest.approx(0.7, abs=0.03)
    fewer = [federated.present(FleetSpec(7, missing=0.3), 5, turn) for turn in range(200)]
    assert fewer == [[device for device in there if device < 7] for there in turns]
    assert all(len(federated.present(FleetSpec(2, missing=0.99), 0, turn)) >= 1 for turn in range(100))
    assert federated.present(FleetSpec(3), 0, 0) == [0, 1, 2]


# -- the command and the function --------------------------------------------------------------------------

FEW = ("--devices", "3", "--every", "2", "--batch", "1", "--missing", "0.2", "--send", "8-bit")


def words(root, out, *more: str) -> list[str]:
    return ["federate", *command(root, out, *more)[1:]]


@pytest.fixture(scope="module")
def run(nmnist_root, tmp_path_factory):
    out = tmp_path_factory.mktemp("fleet") / "run"
    assert main(words(nmnist_root, out, *FEW)) == 0
    return out


def test_the_command_leaves_a_run_like_others(run, capsys):
    manifest, history = RunFolder(run).read_json("manifest.json"), Run(run).history
    rounds = [row for row in history if row["kind"] == "round"]
    fleet = manifest["fleet"]
    assert (fleet["devices"], fleet["every"], fleet["send"]) == (3, 2, "8-bit")
    assert np.sum(fleet["recordings"]) == manifest["presentations"]["train"]
    assert [row["round"] for row in rounds] == list(range(1, len(rounds) + 1))
    params = flat(gemsnn.load(run).params)
    leaves = len(list(trees.leaves(gemsnn.load(run).params)))
    assert {row["sent_bytes"] for row in rounds} == {len(params) + 4 * leaves}
    assert {row["received_bytes"] for row in rounds} == {4 * len(params)}
    took_part = sum(row["devices"] for row in rounds)
    assert took_part < 3 * len(rounds), "some have missed a round"
    assert fleet["cost"]["sent_bytes"] == pytest.approx(took_part * (len(params) + 4 * leaves) / 3)
    assert [row for row in history if row["kind"] == "evaluation"]
    assert (run / "report.html").is_file()
    assert main(["evaluate", str(run)]) == 0
    capsys.readouterr()


def test_the_function_gives_the_model_of_the_command(run):
    data = Run(run).data()
    chosen = {"hidden": [4, 3], "epochs": 2, "votes": 3, "topology": "layered", "output": "independent"}
    chosen |= {"memory": 20, "rule": "gem-cv", "lr": 0.003, "compartments": 5, "warm_up": 0.0, "batch": 1}
    chosen |= {"decoder": "votes", **dict.fromkeys(("shift", "rotate", "zoom"), 0)}
    model = gemsnn.federate(data, devices=3, every=2, missing=0.2, send="8-bit", **chosen)
    assert same(model.params, gemsnn.load(run).params)


@pytest.mark.slow
def test_workers_leave_the_run_of_one_process(run, nmnist_root, tmp_path):
    """And what they have left can be trained further by one."""
    out = tmp_path / "run"
    done = subprocess.run(
        [sys.executable, "-m", "gemsnn", *words(nmnist_root, out, *FEW), "--workers", "2"],
        cwd=ROOT, capture_output=True, text=True, timeout=300, env=os.environ | {"PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    want, found = (RunFolder(each).load_checkpoint()[0] for each in (run, out))
    assert want.keys() == found.keys()
    assert all(torch.equal(found[name], leaf) for name, leaf in want.items() if name != "best_losses")
    assert main(["federate", "--resume", str(out), "--epochs", "3"]) == 0
    rounds = [row["round"] for row in Run(out).history if row["kind"] == "round"]
    assert rounds == list(range(1, len(rounds) + 1))


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--workers", "4"], "4 workers cannot share 3 devices; give --workers 3 or fewer"),
        (["--max-restarts", "2"], "--max-restarts is for several workers"),
        (["--devices", "0"], "devices must be"),
        (["--missing", "1"], "missing must be"),
        (["--alpha", "0.5", "--classes-per-device", "1"], "alpha and classes_per_device both say"),
        (["--share", "0.5"], "--share has no effect: it needs --send sparse"),
        (["--classes-per-device", "100"], "classes_per_device must be"),
        (["--devices", "1000"], "devices would have none of the"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_a_sentence(nmnist_root, tmp_path, capsys, more, sentence):
    usual = [] if "--devices" in more else ["--devices", "3"]
    assert main(words(nmnist_root, tmp_path / "run", *usual, *more)) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert len([line for line in said.splitlines() if line.startswith("gemsnn: ")]) == 1


@pytest.mark.parametrize(
    ("begin", "more", "sentence"),
    [
        ("train", [], "was learned by a fleet; go on with gemsnn federate --resume"),
        ("federate", ["--every", "7"], "was learned with every 2, and a run goes on as it began: leave out --every"),
        ("federate", [], "is finished; there is nothing to resume"),
        ("federate", ["--out", "elsewhere"], "leave out --out"),
    ],
)  # fmt: skip
def test_a_fleet_goes_on_as_it_began(run, capsys, begin, more, sentence):
    assert main([begin, "--resume", str(run), *more]) == 2
    assert sentence in capsys.readouterr().err


def test_what_a_fleet_cannot_learn_is_refused():
    spikes = np.random.default_rng(0).random((6, 10, 4)) < 0.3
    recordings = gemsnn.Recordings.from_arrays(spikes, ["a", "b"] * 3, bin_us=1000)
    for wrong, said in (
        ({"devicez": 3}, "there is no setting 'devicez'"),
        ({"share": 0.1}, "share has no effect"),
        ({"alpha": 1.0, "classes_per_device": 1}, "alpha and classes_per_device both say"),
        ({"devices": 1, "classes_per_device": 1}, "1 devices of 1 classes each cannot hold all 2 classes"),
    ):
        with pytest.raises(InputError, match=said):
            gemsnn.federate(recordings, hidden=[2], epochs=1, optimiser="sgd", **wrong)
    with pytest.raises(InputError, match="recordings must be"):
        gemsnn.federate([(spikes[0], "a")], hidden=[2])
    echo = gemsnn.Recordings.from_arrays(spikes, targets=spikes[:, :, :2], bin_us=1000)
    with pytest.raises(InputError, match="teach spike trains"):
        gemsnn.federate(echo, hidden=[2], epochs=1, optimiser="sgd", devices=2, alpha=1.0)
    assert gemsnn.federate(echo, hidden=[2], epochs=1, devices=2).reading.outputs != "classes"


def test_devices_that_differ_and_adam_are_warned_of():
    spikes = np.random.default_rng(0).random((6, 10, 4)) < 0.3
    recordings = gemsnn.Recordings.from_arrays(spikes, ["a", "b"] * 3, bin_us=1000)
    with pytest.warns(UserWarning, match="learned badly by adam") as said:
        gemsnn.federate(recordings, hidden=[2], epochs=1, devices=2, classes_per_device=1)
    assert said[0].filename == __file__

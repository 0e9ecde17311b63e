"""Recordings that lie in memory: events of any dtype, pairs and generators, against what files of the same give."""

from __future__ import annotations

import json
import re
import tracemalloc
import warnings
import weakref
from pathlib import Path

import numpy as np
import oracles
import pytest
import torch

import gemsnn
from gemsnn.commands.cli import main
from gemsnn.data import datasets, memory
from gemsnn.data.binning import BinSpec, bin_events
from gemsnn.data.events import EVENT, Recording, make_events
from gemsnn.data.packing import RawEvents
from gemsnn.model import basis
from gemsnn.model import network as networks
from gemsnn.model.basis import BasisSpec
from gemsnn.store import trees

pytestmark = pytest.mark.usefixtures("undrawn")

SMALL = {"hidden": [4], "epochs": 2}
TONIC = {
    "NMNIST": [("x", "<i8"), ("y", "<i8"), ("t", "<i8"), ("p", "<i8")],
    "DVSGesture": [("x", "<i2"), ("y", "<i2"), ("p", "?"), ("t", "<i8")],
    "CIFAR10DVS": [("t", "<u8"), ("x", "<u2"), ("y", "<u2"), ("p", "?")],
    "prophesee": [("ts", "<u4"), ("x", "<u2"), ("y", "<u2"), ("pol", "<i2")],
    "float": [("timestamp", "<f8"), ("x", "<u1"), ("y", "<f4"), ("polarity", "<i1")],
}
"""Fields as tonic's classes and others have them."""


def columns(seed: int, count: int = 300, last: int = 40_000):
    """Events in order, the first at a time that is not zero."""
    draw = np.random.default_rng(seed)
    t = np.sort(draw.integers(last // 60, last, count))
    return {
        "t": t,
        "x": draw.integers(0, 12, count),
        "y": draw.integers(0, 9, count),
        "p": draw.integers(0, 2, count),
    }


def array(fields, dtype, *, signed: bool = False):
    """The same events with the fields of another library."""
    found = np.zeros(len(fields["t"]), dtype)
    for name in found.dtype.names:
        column = fields[name[0] if name[0] in "xyp" else "t"]
        found[name] = 2 * column - 1 if name[0] == "p" and signed else column
    return found


def rebased(fields):
    return make_events(fields["t"] - fields["t"][0], fields["x"], fields["y"], fields["p"])


# -- events ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TONIC)
def test_fields_of_any_order_and_type(name):
    each = [columns(seed) for seed in range(4)]
    signed = name in ("prophesee", "float")
    given = [array(fields, TONIC[name], signed=signed) for fields in each]
    found = gemsnn.Recordings.from_events(given, [0, 1, 0, 1], bin_us=1000, sensor=(13, 10), steps=35)
    assert found.layout == (2, 10, 13, 2, 1000)
    for position, fields in enumerate(each):
        wanted = bin_events(rebased(fields), BinSpec(1000, 35), width=13, height=10)
        np.testing.assert_array_equal(found.bins(position), wanted)


def test_a_file_of_the_same_events_gives_the_same_bins(tmp_path):
    """Whole, cropped and pooled, counted, with times in milliseconds, and each as long as it is."""
    each = [columns(seed, last=30_000 + 3000 * seed) for seed in range(8)]
    names = ["left", "right"] * 4
    given = [array(fields, TONIC["NMNIST"]) for fields in each]
    for number, (one, name) in enumerate(zip(given, names, strict=True)):
        (tmp_path / "train" / name).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "train" / name / f"{number}.npy", one)
    for how, settings in (
        ({"steps": 30}, {"steps": 30}),
        ({"steps": 45, "pad": False, "counts": True}, {"steps": 45, "pad": False, "counts": True}),
        ({"steps": 9, "crop": (1, 2, 7, 5), "pool": 2}, {"steps": 9, "crop": "1,2,7x5", "pool": 2}),
        ({"steps": 30, "polarity": "merged", "pad": True}, {"steps": 30, "polarity": "merged", "pad": True}),
        ({}, {"steps": "auto"}),
    ):
        spec = datasets.DataSpec(
            "events", tmp_path, bin_us=1500, sensor="12x9", validation=0.001, time_unit="us", **settings
        )
        splits = datasets.load(spec)
        found = gemsnn.Recordings.from_events(given, names, bin_us=1500, sensor=(12, 9), **how)
        assert found.names == splits.train.names
        seen = 0
        for part in splits.parts.values():  # in the order of classes
            for position in range(len(part)):
                wanted = part.bins(position)
                same = [i for i in range(8) if np.array_equal(found.bins(i), wanted)]
                assert [found.labels[i] for i in same] == [part.labels[position]]
                seen += 1
        assert seen == 8
        assert found.reading == splits.reading


def test_a_model_of_events_reads_others_alike():
    each = [array(columns(seed), TONIC["NMNIST"]) for seed in range(6)]
    recordings = gemsnn.Recordings.from_events(
        each, [0, 1] * 3, bin_us=1000, sensor=(12, 9), steps=40, crop=(2, 1, 8, 6), pool=2
    )
    model = gemsnn.fit(recordings, **SMALL)
    assert model.reading == recordings.reading
    assert (model.reading.corner, model.reading.sensor, model.reading.steps) == ((2, 1), (12, 9), 40)
    for position, one in enumerate(each):
        np.testing.assert_array_equal(model.bin(one), recordings.bins(position))
    bare = gemsnn.predict(model, (one for one in each), 5)
    assert torch.equal(bare.probabilities, gemsnn.predict(model, recordings, 5).probabilities)
    pairs = model.reading.presentations((one, label) for one, label in zip(each, ["0", "1"] * 3, strict=True))
    assert pairs.digest() == recordings.digest()
    assert gemsnn.score(model, pairs, 5) == gemsnn.score(model, recordings, 5)

    online = gemsnn.OnlineLearner(
        model.network, model.params, model.online(5), arrivals=model.reading.arrivals()
    )
    assert online.bins is not None
    online.bins.begin(0)
    answers = [answer for piece in np.array_split(rebased(columns(0)), 7) for answer in online.step(piece)]
    for block in online.bins.finish(40):
        answers += online.step(torch.from_numpy(block))
    assert len(answers) == 40
    assert torch.equal(answers[-1].votes, model.poll(each[:1], 5).votes[0, :, -1])


def test_a_model_of_events_reads_files_alike(tmp_path, capsys):
    """From its one file: folders that are evaluated, and a recording that is streamed, in the unit that was told."""
    each = [
        array(columns(seed, last=40), [("t", "i4"), ("x", "i2"), ("y", "i2"), ("p", "?")])
        for seed in range(8)
    ]
    names = ["left", "right"] * 4
    recordings = gemsnn.Recordings.from_events(
        each,
        names,
        bin_us=1000,
        sensor=(12, 9),
        steps=42,
        pad=True,
        crop=(2, 1, 8, 6),
        pool=2,
        time_unit="ms",
    )
    model = gemsnn.fit(
        recordings.select([0, 1, 2, 3]),
        validation=recordings.select([4, 5]),
        votes=3,
        decoder="votes",
        **SMALL,
    )
    model.save(tmp_path / "model")
    for number, (one, name) in enumerate(zip(each, names, strict=True)):
        for part in ("train", "validation", "test"):
            (tmp_path / "files" / part / name).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / "files" / part / name / f"{number}.npy", one)
    words = f"evaluate {tmp_path}/model --data events --root {tmp_path}/files --votes 3 --json"
    assert main(words.split()) == 0
    found = json.loads(capsys.readouterr().out)
    spec = datasets.read_alike(model.reading, model.settings.data, "events", tmp_path / "files")
    test = datasets.load(spec, like=model.reading).test
    assert found["accuracy"] == gemsnn.score(model, test, 3).accuracy
    wanted = recordings.select([0, 2, 4, 6, 1, 3, 5, 7])  # a class after the other, as folders are read
    assert (test.rows.digest(), test.labels.tolist()) == (wanted.rows.digest(), wanted.labels.tolist())
    file = tmp_path / "files" / "test" / "left" / "0.npy"
    words = f"stream --model {tmp_path}/model --input {file} --speed max --compartments 3"
    assert main(words.split()) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len(lines) == 42
    asked = gemsnn.predict(gemsnn.load(tmp_path / "model"), [each[0]], 3)
    assert (lines[-1]["class"], lines[-1]["name"]) == (asked.indices[0], asked.labels[0])
    votes = gemsnn.load(tmp_path / "model").poll([each[0]], 3).answers.probabilities[0]
    assert lines[-1]["probabilities"] == pytest.approx(votes.tolist())


def test_what_has_a_clock_keeps_it():
    fields = columns(0)
    events = make_events(*(fields[name] for name in "txyp"))
    recording = Recording(events, 20, 10, "another", {})
    for given, size in ((events, (12, 9)), (recording, (20, 10))):
        found = gemsnn.Recordings.from_events([given], ["one"], bin_us=1000)
        assert found.reading is not None
        assert found.reading.sensor == size
        wanted = bin_events(events, BinSpec(1000, None), width=size[0], height=size[1])
        np.testing.assert_array_equal(found.bins(0), wanted)
        np.testing.assert_array_equal(found.reading.bin(given), wanted)


def test_the_sensor_is_what_all_events_need():
    each = [array(columns(seed, count=5), TONIC["NMNIST"]) for seed in range(5)]
    found = gemsnn.Recordings.from_events(iter(each), [0, 1, 0, 1, 0], bin_us=1000)
    assert found.reading is not None
    assert found.reading.sensor == (max(e["x"].max() for e in each) + 1, max(e["y"].max() for e in each) + 1)
    assert found.tallies is not None
    assert found.tallies.sum() == 25
    row = np.array(
        [(3, 0, 1), (6, 2000, 1)], [("x", "u2"), ("t", "i8"), ("p", "?")]
    )  # a row of channels, as SHD's
    of_row = gemsnn.Recordings.from_events([row], [0], bin_us=1000, polarity="merged")
    assert of_row.layout == (1, 1, 7, 1, 1000)
    assert np.argwhere(of_row.bins(0)).tolist() == [[0, 3], [2, 6]]


def test_units_are_told_by_names_or_by_the_caller():
    t = np.array([0, 5, 12])
    one = {"x": [0, 1, 2], "y": [0, 0, 0], "p": [1, 1, 1]}

    def bins(name, times, **how):
        dtype = [(name, times.dtype), ("x", "i2"), ("y", "i2"), ("p", "i2")]
        given = np.zeros(3, dtype)
        given[name] = times
        for field, column in one.items():
            given[field] = column
        found = gemsnn.Recordings.from_events([given], [0], bin_us=1000, **how)
        assert found.reading is not None
        np.testing.assert_array_equal(found.reading.bin(given), found.bins(0))  # whose unit travels with it
        return found.bins(0).nonzero()[0].tolist()

    assert bins("t_ms", t) == [0, 5, 12]
    assert bins("t", t, time_unit="ms") == [0, 5, 12]
    assert bins("t", 1000 * t) == [0, 5, 12]
    assert bins("t", t / 1000, time_unit="s") == [0, 5, 12]
    assert bins("t", 10**18 + 10**6 * t, time_unit="ns") == [0, 5, 12]
    assert bins("t_ms", t, time_unit="s") == [0, 5, 12]
    for times, said in (
        (t / 1000, "recording 0: times have fractions, so they are no microseconds; give time_unit"),
        (10**18 + t, "those of a clock in nanoseconds; give time_unit='ns'"),
        (t, "all events lie in the first bin: the last comes after 12 microseconds, and a bin lasts 1000"),
    ):
        with pytest.raises(gemsnn.InputError, match=said):
            bins("t", times)


def test_disorder_is_mended_and_told():
    fields = columns(0)
    order = np.random.default_rng(0).permutation(300)
    mixed = array(fields, TONIC["NMNIST"])[order]
    with pytest.warns(
        UserWarning, match=r"Recordings were mended while they were read: \d+ events out of order"
    ):
        found = gemsnn.Recordings.from_events([mixed], [0], bin_us=1000)
    in_order = gemsnn.Recordings.from_events([array(fields, TONIC["NMNIST"])], [0], bin_us=1000)
    np.testing.assert_array_equal(found.bins(0), in_order.bins(0))
    bare = array(fields, [("x", "i2"), ("y", "i2"), ("t", "i8")])
    with pytest.warns(UserWarning, match="Events have no polarities: all are taken as ON"):
        gemsnn.Recordings.from_events([bare], [0], bin_us=1000)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gemsnn.Recordings.from_events([bare], [0], bin_us=1000, polarity="merged")


ONE = array(columns(0), TONIC["NMNIST"])
BACK = make_events(np.array([5000, 1]), *np.ones((3, 2), int))


@pytest.mark.parametrize(
    ("given", "labels", "more", "said"),
    [
        ([np.zeros((3, 4))], [0], {}, r"recording 0 must be an array of named fields, .* not an array of float64"),
        (ONE, [0], {}, "recordings must be several, and this is one of events; give it in a list"),
        ([ONE, ONE[["x", "y"]]], [0, 1], {}, "recording 1: the fields x, y are not those of events; name them t, x, y"),
        ([ONE], [0], {"sensor": (5, 9)}, r"recording 0: an event at \(\d+, \d\) lies outside the sensor of 5 x 9"),
        ([ONE], [0], {"crop": (0, 0, 99, 1)}, "does not fit a sensor of 12 x 9"),
        ([ONE], [0], {"bin_us": 0}, "bin_us must be at least 1"),
        ([ONE], [0], {"time_unit": "min"}, "time_unit must be us, ms, s or ns, not 'min'"),
        ([ONE], [0, 1], {}, "labels must be as many as the 1 recordings"),
        ([ONE], [-1], {}, "labels must be at least 0, and -1 is not"),
        ([ONE], 5, {}, "labels must be whole numbers or texts, several of them, not int"),
        ([ONE], "ab", {}, "labels must be one a recording, .* not 'ab'"),
        ([ONE], ["a"], {"names": "ab"}, "names must be a list of texts, one a class, not 'ab'"),
        ([ONE], [0], {"sensor": "12x9"}, "sensor must be a tuple, not '12x9'"),
        ([ONE], [0], {"sensor": (0, 9)}, "sensor must be at least 1"),
        ([ONE], None, {}, "recording 0 comes without a label; give labels, or pairs"),
        ([(ONE, 0), ONE], None, {}, "recording 1 comes without a label"),
        ([], [], {}, "there are none"),
        (7, [0], {}, "must be arrays or events, several of them, not int"),
        ([BACK], [0], {}, "recording 0: times go backwards; sort the events by time first"),
        ([ONE[:0]], [0], {}, "recordings have no spikes: 0 events in all"),
        ([ONE], [0], {"crop": (11, 8, 1, 1), "steps": 1, "bin_us": 1}, "have no spikes: 300 events in all, 300 out"),
        ([np.array([(1, 2, 3, 9), (1, 2, 9, 0)], TONIC["NMNIST"])], [0], {}, "recording 0: polarities must be 0 and 1"),
        ([np.array([(-1, 2, 3, 1)], TONIC["NMNIST"])], [0], {}, "recording 0: x of events lies in -1 .. -1"),
        ([np.array([(5, -1, 0, 1)], EVENT)], [0], {}, "recording 0: an event lies outside every sensor"),
    ],
)  # fmt: skip
def test_events_that_are_none(given, labels, more, said):
    with pytest.raises(gemsnn.InputError, match=said) as told:
        gemsnn.Recordings.from_events(given, labels, **{"bin_us": 1000, **more})
    assert "\n" not in str(told.value)


def test_silence_among_others_is_a_recording():
    found = gemsnn.Recordings.from_events([ONE, ONE[:0]], [0, 1], bin_us=1000, steps=30)
    assert not found.bins(1).any()
    model = gemsnn.fit(found, **SMALL)
    assert gemsnn.predict(model, [ONE[:0]], 3).labels == (None,)


def test_events_are_augmented():
    """Learned with events moved before they are binned, as those of a data set are."""
    each = [array(columns(seed), TONIC["NMNIST"]) for seed in range(6)]
    recordings = gemsnn.Recordings.from_events(iter(each), [0, 1] * 3, bin_us=1000, sensor=(12, 9), steps=40)
    source = recordings.source
    assert isinstance(source, RawEvents)
    for position in range(6):
        np.testing.assert_array_equal(source.events(position), rebased(columns(position)))
    some = recordings.select([4, 1])
    still, moved = gemsnn.fit(some, **SMALL), gemsnn.fit(some, shift=3, **SMALL)
    assert not torch.equal(still.params.bias, moved.params.bias)
    again = gemsnn.Recordings.from_events(each, [0, 1] * 3, bin_us=1000, sensor=(12, 9), steps=40)
    again = gemsnn.fit(again.select([4, 1]), shift=3, **SMALL)
    assert torch.equal(again.params.bias, moved.params.bias)
    merged = recordings.merged()
    assert merged.reading is not None
    np.testing.assert_array_equal(merged.reading.bin(each[2]), merged.bins(2))
    gemsnn.fit(merged, flip=0.5, **SMALL)
    with pytest.raises(gemsnn.InputError, match="swap_polarity has no effect where polarities are merged"):
        gemsnn.fit(merged, swap_polarity=0.5, **SMALL)
    bins = gemsnn.Recordings.from_arrays([recordings.bins(0)], [0], bin_us=1000)
    with pytest.raises(gemsnn.InputError, match=r"shift changes events before they are binned.*from_events"):
        gemsnn.fit(bins, shift=3, **SMALL)


def test_a_model_of_events_is_one_file(tmp_path):
    given = array(columns(0, last=40), [("t", "i4"), ("x", "i2"), ("y", "i2"), ("p", "?")])
    recordings = gemsnn.Recordings.from_events([given], ["a"], bin_us=2000, time_unit="ms", pool=3)
    model = gemsnn.fit(recordings, **SMALL)
    model.save(tmp_path / "model")
    loaded = gemsnn.load(tmp_path / "model")
    assert loaded.reading == recordings.reading
    np.testing.assert_array_equal(loaded.bin(given), recordings.bins(0))


def test_an_event_of_nan_is_told_by_its_recording():
    given = array(columns(0), TONIC["float"])
    given["timestamp"][3] = np.nan
    with pytest.raises(gemsnn.InputError, match="recording 7: t of event 3 is nan"):
        memory.recording_of(given, "recording 7")


# -- spike trains ------------------------------------------------------------------------------------------


def echoes(lengths=(6, 4, 9), seed=0):
    """Two neurons that are to repeat two of three inputs, a bin later."""
    draw = np.random.default_rng(seed)
    spikes = [draw.random((n, 3)) < 0.4 for n in lengths]
    return spikes, [np.vstack([np.zeros((1, 2), bool), each[:-1, :2]]) for each in spikes]


def test_targets_are_held_beside_the_spikes():
    spikes, targets = echoes()
    found = gemsnn.Recordings.from_arrays(spikes, targets=targets, bin_us=1000)
    assert (found.layout.classes, found.names, found.labels.tolist()) == (2, None, [0, 0, 0])
    pairs = gemsnn.Recordings.from_arrays(zip(spikes, targets, strict=True), bin_us=1000)
    assert pairs.digest() == found.digest()
    others = gemsnn.Recordings.from_arrays(spikes, targets=[*targets[:2], ~targets[2]], bin_us=1000)
    assert others.digest() != found.digest()
    for position, (one, target) in enumerate(zip(spikes, targets, strict=True)):
        np.testing.assert_array_equal(found[position].spikes.numpy(), one)
        np.testing.assert_array_equal(found[position].target.numpy(), target)
    assert found[-1].target.shape == (9, 2)
    some = found.select([2, 0])
    assert [len(some.target(n)) for n in range(2)] == [9, 6]
    np.testing.assert_array_equal(some[0].target.numpy(), targets[2])
    targets = np.eye(3, dtype=int)[[0, 1]][:, None].repeat(3, 1)  # [n, T, V]
    whole = gemsnn.Recordings.from_arrays(np.ones((2, 3, 2, 4, 5), bool), targets=targets, bin_us=5)
    assert whole.merged().target(1).tolist() == [[0, 1, 0]] * 3


TINY = {"topology": "layered", "epochs": 30, "lr": 0.1, "memory": 3, "basis_count": 2, "dtype": "float64"}


def test_spike_trains_are_as_likely_as_they_are_by_hand():
    """Without hidden neurons nothing is drawn: ``u = bias + sum_m sum_d sum_l w f_l(d) s[t - d]``."""
    spikes, targets = echoes((6, 4))
    recordings = gemsnn.Recordings.from_arrays(spikes, targets=targets, bin_us=1000)
    model = gemsnn.fit(recordings, hidden=[], **TINY)
    leaves = {name: leaf.numpy() for name, leaf in networks.named(model.network, model.params).items()}
    weight, taps = leaves["weights.inputs->output"], basis.bank(BasisSpec(count=2, taps=3)).numpy()
    assert (weight.shape, taps.shape) == ((2, 3, 2), (2, 3))
    wanted = []
    for one, target in zip(spikes, targets, strict=True):
        total = 0.0
        for t in range(len(one)):
            u = leaves["bias.output"].copy()
            for lag in range(1, min(t, 3) + 1):
                u += np.einsum("vml,m,l->v", weight, one[t - lag].astype(float), taps[:, lag - 1])
            chance = 1 / (1 + np.exp(-u))
            total += np.log(np.where(target[t], chance, 1 - chance)).sum()
        wanted.append(total)
    assert model.log_likelihood(recordings, 1)[:, 0].tolist() == pytest.approx(wanted, rel=1e-9)


def test_spike_trains_are_as_likely_as_enumeration_says():
    spikes, targets = echoes((4, 3))
    recordings = gemsnn.Recordings.from_arrays(spikes, targets=targets, bin_us=1000)
    model = gemsnn.fit(recordings, hidden=[1], feedback_count=1, **TINY)
    wanted = torch.stack([oracles.log_likelihood(model.network, model.params, row) for row in recordings])
    weights = model.log_likelihood(recordings, 4000)
    ratio = (weights - wanted.detach()[:, None]).exp()  # of mean 1
    error = ratio.std(1) / 4000**0.5
    assert ((ratio.mean(1) - 1).abs() < 5 * error).all()  # fails by chance once in a million
    assert (error < 0.05).all()


def test_spike_trains_are_learned_and_generated():
    """A repetition is learned nearly whole: what is drawn spikes where the target does."""
    draw = np.random.default_rng(1)
    spikes = draw.random((6, 25, 3)) < 0.3
    targets = np.concatenate([np.zeros((6, 1, 2), bool), spikes[:, :-1, :2]], 1)
    recordings = gemsnn.Recordings.from_arrays(spikes, targets=targets, bin_us=1000)
    how = {"hidden": [], "topology": "layered", "lr": 0.5, "memory": 3, "basis_count": 3}
    model = gemsnn.fit(recordings, epochs=60, **how)
    chosen = model.settings
    assert (chosen.network.output, chosen.data.warm_up) == ("independent", 0.0)
    assert chosen.network.visible_rate == targets.mean()
    bias = gemsnn.fit(recordings, epochs=1, **{**how, "lr": 1e-12}).params.bias
    torch.testing.assert_close(bias, torch.logit(torch.full_like(bias, targets.mean())), atol=1e-5, rtol=0)

    before = gemsnn.fit(recordings, epochs=1, **how).log_likelihood(recordings, 1).mean()
    after = model.log_likelihood(recordings, 1).mean()
    assert after > -2 > -20 > before
    found = model.generate(recordings, 7)
    assert found.spikes.shape == (6, 7, 25, 2)
    assert found.spikes.dtype == torch.uint8
    torch.testing.assert_close(found.rate, found.spikes.double().mean(1).float())
    assert np.abs(found.rate.numpy() - targets).mean() < 0.03
    assert torch.equal(model.generate(spikes, 7).spikes, found.spikes)  # which targets do not matter to
    assert torch.equal(model.generate(recordings, 3).spikes, found.spikes[:, :3])


def test_recordings_of_unequal_length_are_generated_to_their_ends():
    spikes, targets = echoes()
    model = gemsnn.fit(gemsnn.Recordings.from_arrays(spikes, targets=targets, bin_us=1000), **SMALL)
    found = model.generate(iter(spikes), 40)
    assert found.spikes.shape == (3, 40, 9, 2)
    assert found.length.tolist() == [6, 4, 9]
    for one, length in zip(found.spikes, (6, 4, 9), strict=True):
        assert not one[:, length:].any()
        assert one[:, :length].any()
    alone = model.generate([spikes[0]], 40)
    assert torch.equal(alone.spikes[0], found.spikes[0, :, :6])


def test_a_model_of_spike_trains_is_one_file_and_gives_no_answers(tmp_path, capsys):
    spikes, targets = echoes()
    recordings = gemsnn.Recordings.from_arrays(spikes, targets=targets, bin_us=1000)
    model = gemsnn.fit(recordings, **SMALL)
    model.save(tmp_path / "model")
    loaded = gemsnn.load(tmp_path / "model")
    assert loaded.facts == model.facts
    assert loaded.reading.outputs == "spike trains"
    assert torch.equal(loaded.generate(spikes, 3).spikes, model.generate(spikes, 3).spikes)
    assert torch.equal(loaded.log_likelihood(recordings, 3), model.log_likelihood(recordings, 3))
    pairs = list(zip(spikes, targets, strict=True))
    assert torch.equal(loaded.log_likelihood(pairs, 3), model.log_likelihood(recordings, 3))
    for ask in (
        lambda: gemsnn.predict(loaded, recordings),
        lambda: gemsnn.predict(loaded, spikes),
        lambda: gemsnn.score(loaded, recordings),
        lambda: loaded.poll(spikes),
        lambda: loaded.online(),
    ):
        with pytest.raises(
            gemsnn.InputError, match="was taught spike trains and no classes, so it has no answers"
        ):
            ask()
    for words in (["evaluate", str(tmp_path / "model"), "--data", "nmnist", "--root", str(tmp_path)],
                  ["stream", "--model", str(tmp_path / "model"), "--input", "-"]):  # fmt: skip
        assert main(words) == 2
        assert "taught spike trains and no classes" in capsys.readouterr().err
    classed = gemsnn.Recordings.from_arrays(spikes, [0, 1, 0], bin_us=1000)
    with pytest.raises(
        gemsnn.InputError, match="have classes to learn where the network was trained on spike trains"
    ):
        loaded.log_likelihood(classed)
    of_classes = gemsnn.fit(classed, **SMALL)
    with pytest.raises(
        gemsnn.InputError, match="have spike trains to learn where the network was trained on classes"
    ):
        gemsnn.predict(of_classes, recordings)
    assert of_classes.generate(classed, 3).spikes.shape == (3, 3, 9, 2)


SPIKES, TARGETS = echoes()


@pytest.mark.parametrize(
    ("given", "more", "said"),
    [
        (SPIKES, {"targets": TARGETS[:2]}, "targets must be as many as the 3 recordings, not 2"),
        (SPIKES, {"targets": TARGETS[::-1]}, r"target 0 must be \[6, 2\], a row for each bin"),
        (SPIKES, {"targets": [*TARGETS[:2], TARGETS[2][:, :1]]}, r"target 2 must be \[9, 2\].*not \[9, 1\]"),
        (SPIKES, {"targets": [each + each.astype(int) for each in TARGETS]}, r"target 0 must be an array \[T, V\]"),
        (SPIKES, {"targets": TARGETS, "labels": [0, 1, 2]}, "targets say what is learned, and so do labels"),
        (SPIKES, {"targets": 5}, r"targets must be arrays \[T, V\], several of them, not int"),
        (SPIKES, {"targets": TARGETS, "classes": 2}, "names and classes have no effect with targets"),
        ([(SPIKES[0], TARGETS[0]), (SPIKES[1], 1)], {}, "must all have labels or all have targets"),
        ([(SPIKES[0], 1), (SPIKES[1], TARGETS[1])], {}, "must all have labels or all have targets"),
        (SPIKES, {"targets": TARGETS[0]}, r"target 0 must be an array \[T, M\]"),
    ],
)  # fmt: skip
def test_targets_that_are_none(given, more, said):
    with pytest.raises(gemsnn.InputError, match=said):
        gemsnn.Recordings.from_arrays(given, bin_us=1000, **more)


def test_events_with_targets():
    """Whose rows are those of the bins that each recording gets."""
    each = [array(columns(seed), TONIC["NMNIST"]) for seed in range(3)]
    targets = np.random.default_rng(0).random((3, 40, 2)) < 0.2
    how = {"bin_us": 1000, "sensor": (12, 9), "pool": 3}
    found = gemsnn.Recordings.from_events(each, targets=targets, steps=40, **how)
    assert (found.layout.classes, found.trains) == (2, (2, 120, targets.sum(), targets.sum(2).max()))
    assert found.reading is not None
    assert found.reading.outputs == "spike trains"
    pairs = gemsnn.Recordings.from_events(zip(each, targets, strict=True), **how)
    assert pairs.digest() == found.digest()
    model = gemsnn.fit(found, **SMALL)
    assert torch.equal(model.generate(each, 3).spikes, model.generate(found, 3).spikes)
    weights = model.log_likelihood(found, 3)
    assert torch.equal(model.log_likelihood(zip(each, targets, strict=True), 3), weights)
    again = model.reading.presentations(each, targets=targets)
    assert torch.equal(model.log_likelihood(again, 3), weights)
    with pytest.raises(gemsnn.InputError, match=r"target 0 must be \[40, 2\], a row for each bin"):
        gemsnn.Recordings.from_events(each, targets=targets[:, :39], **how)
    with pytest.raises(gemsnn.InputError, match="shift changes recordings, and would leave their targets"):
        gemsnn.fit(found, shift=1, **SMALL)
    with pytest.raises(gemsnn.InputError, match="recordings with targets cannot be padded"):
        found.padded(50)


def test_settings_that_spike_trains_do_not_take():
    recordings = gemsnn.Recordings.from_arrays(SPIKES, targets=[each[:, :2] for each in SPIKES], bin_us=1000)
    for settings, said in (
        ({"votes": 3}, "votes has no effect here: a network of spike trains gives no answers; leave it out"),
        ({"decoder": "likelihood"}, "decoder has no effect here"),
        ({"validation": recordings}, "validation has no effect with targets"),
        ({"output": "winner-take-all"}, "targets have up to 2 spikes in a bin, and neurons that compete"),
        ({"shift": 1}, "shift changes events before they are binned"),
    ):
        with pytest.raises(gemsnn.InputError, match=said):
            gemsnn.fit(recordings, **SMALL, **settings)
    one = [target & (np.arange(2) == 0) for target in TARGETS]
    alone = gemsnn.Recordings.from_arrays(SPIKES, targets=one, bin_us=1000)
    model = gemsnn.fit(alone, output="winner-take-all", warm_up=0.25, **SMALL)
    assert model.settings.data.warm_up == 0.25
    assert model.settings.network.visible_rate == pytest.approx(np.concatenate(one).mean())


# -- pairs, generators, sequences --------------------------------------------------------------------------


def livelier(count=8, steps=20):
    """Recordings of two classes, of which the second is livelier on the left."""
    draw = np.random.default_rng(3)
    spikes = draw.random((count, steps, 6)) < 0.15
    spikes[1::2, :, :3] |= draw.random((count // 2, steps, 3)) < 0.4
    return list(spikes), ["calm", "lively"] * (count // 2)


def peak(work):
    """Bytes of Python's and numpy's at most, while this is done."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_memory_does_not_grow_with_what_a_generator_gives():
    """Nor with the epochs that learn it, nor with those that are answered."""
    spikes = int(0.3 * 10 * 1200) * 2  # bytes of a recording, held sparsely

    def each(count):
        for number in range(count):
            yield np.random.default_rng(number).random((10, 1200)) < 0.3, number % 2

    how = {"bin_us": 1000, "hidden": [2], "batch": 10}
    model = gemsnn.fit(each(8), epochs=1, **how)  # which compiles
    gemsnn.predict(model, each(8), 2)
    few, more, epochs = (
        peak(lambda of=of: gemsnn.fit(each(of[0]), epochs=of[1], **how))
        for of in ((130, 1), (260, 1), (130, 3))
    )
    assert abs(more - few) < 13 * spikes, (few, more)  # a tenth of what the others are
    assert abs(epochs - few) < 13 * spikes, (few, epochs)
    few, more = (peak(lambda count=count: gemsnn.predict(model, each(count), 2)) for count in (130, 260))
    assert abs(more - few) < 13 * spikes, (few, more)


class Counted:
    """A sequence that makes its pairs when they are asked for, and counts how often that is."""

    def __init__(self, recordings, taught):
        self.pairs, self.asked = list(zip(recordings, taught, strict=True)), [0] * len(recordings)

    def __len__(self):
        return len(self.pairs)

    def __getitem__(self, position):
        self.asked[position] += 1
        recording, taught = self.pairs[position]
        return recording.copy(), taught


def same(one, other):
    """Whether two models are the same to the bit."""
    assert one.reading == other.reading
    for ours, theirs in zip(trees.leaves(one.params), trees.leaves(other.params), strict=True):
        assert torch.equal(ours, theirs)
    return one.facts == other.facts


def test_a_generator_is_gone_through_once_and_one_at_a_time():
    spikes, labels = livelier()
    alive = weakref.WeakSet()
    most = []

    class Array(np.ndarray):
        """One that a set can hold weakly."""

        __hash__ = object.__hash__

    def each():
        for one, label in zip(spikes, labels, strict=True):
            made = one.copy().view(Array)
            alive.add(made)
            most.append(len(alive))
            yield made, label

    wanted = gemsnn.Recordings.from_arrays(spikes, labels, bin_us=1000)
    assert gemsnn.Recordings.from_arrays(each(), bin_us=1000).digest() == wanted.digest()
    assert len(most) == 8
    assert max(most) <= 2  # the next is made before the last is let go
    model = gemsnn.fit(each(), bin_us=1000, **SMALL)
    assert same(model, gemsnn.fit(wanted, **SMALL))
    assert len(most) == 16
    found = gemsnn.predict(model, each(), 5)
    assert found.labels == gemsnn.predict(model, wanted, 5).labels
    assert max(most) <= 2
    assert gemsnn.score(model, each(), 5) == gemsnn.score(model, wanted, 5)
    both = gemsnn.fit(each(), validation=each(), bin_us=1000, votes=3, **SMALL)
    assert same(both, gemsnn.fit(wanted, validation=wanted, votes=3, **SMALL))


def test_what_a_generator_gives_lies_in_a_file_that_goes(tmp_path, monkeypatch):
    """In the cache folder, without a name; where there is no room, a sentence says what to do."""
    monkeypatch.setattr("gemsnn.machine.places.cache_folder", lambda: tmp_path / "cache")
    gemsnn.fit(zip(*livelier(), strict=True), bin_us=1000, **SMALL)
    assert list((tmp_path / "cache").iterdir()) == []
    full = OSError(28, "No space left on device")
    for name in ("np.save", "tempfile.TemporaryFile"):

        def refuse(*_: object, **__: object):
            raise full

        monkeypatch.setattr(f"gemsnn.data.spool.{name}", refuse)
        with pytest.raises(
            gemsnn.InputError, match=r"cannot be kept in .* \(No space left on device\); set GEMSNN_"
        ):
            gemsnn.fit(zip(*livelier(), strict=True), bin_us=1000, **SMALL)
        monkeypatch.undo()
        monkeypatch.setattr("gemsnn.machine.places.cache_folder", lambda: tmp_path / "cache")


@pytest.mark.parametrize("kind", ["plain", "torch"])
def test_a_sequence_is_learned_from_without_being_held(kind):
    spikes, labels = livelier()
    given = Counted(spikes, labels)
    shown = given
    if kind == "torch":

        class Tensors(torch.utils.data.Dataset):
            def __len__(self):
                return len(given)

            def __getitem__(self, position):
                one, label = given[position]
                return torch.from_numpy(one), torch.tensor(int(label == "lively"))

        shown = Tensors()
    names = None if kind == "plain" else ["0", "1"]
    wanted = gemsnn.Recordings.from_arrays(spikes, labels if names is None else [0, 1] * 4, bin_us=1000)
    model = gemsnn.fit(shown, bin_us=1000, epochs=3, batch=3, hidden=[4])
    assert given.asked == [1 + 3 + 1] * 8
    assert same(model, gemsnn.fit(wanted, epochs=3, batch=3, hidden=[4]))
    found = gemsnn.predict(model, shown, 5)
    assert given.asked == [6] * 8
    assert torch.equal(found.probabilities, gemsnn.predict(model, wanted, 5).probabilities)


def test_a_sequence_of_events_is_read_as_others_were():
    each = [array(columns(seed), TONIC["NMNIST"]) for seed in range(6)]
    recordings = gemsnn.Recordings.from_events(each, ["a", "b"] * 3, bin_us=1000, sensor=(12, 9), pool=3)
    given = Counted(each, ["a", "b"] * 3)
    model = gemsnn.fit(given, reading=recordings.reading, **SMALL)
    assert same(model, gemsnn.fit(recordings, **SMALL))
    assert given.asked == [4] * 6
    held = gemsnn.fit(zip(each, [0, 1] * 3, strict=True), reading=recordings.reading, **SMALL)
    assert same(model, held)


def test_a_sequence_of_spike_trains_is_learned():
    given = Counted(SPIKES, TARGETS)
    model = gemsnn.fit(given, bin_us=1000, **SMALL)
    assert same(
        model, gemsnn.fit(gemsnn.Recordings.from_arrays(SPIKES, targets=TARGETS, bin_us=1000), **SMALL)
    )
    assert given.asked == [4] * 3


class Changing(Counted):
    """One whose pairs are others when they are asked for again."""

    def __init__(self, recordings, taught, then):
        super().__init__(recordings, taught)
        self.then = then

    def __getitem__(self, position):
        found = super().__getitem__(position)
        return self.then(*found) if self.asked[position] > 1 else found


@pytest.mark.parametrize(
    ("given", "more", "said"),
    [
        (Counted(*livelier()), {}, "pairs of bins need bin_us, the width of a bin in microseconds"),
        (Counted([], []), {"bin_us": 1}, "recordings must be one or more"),
        (livelier()[0], {"bin_us": 1}, "recording 0 comes without a label"),
        (Counted(SPIKES, [0, 1, TARGETS[2]]), {"bin_us": 1}, "must all have labels or all have targets"),
        (Counted(SPIKES, [TARGETS[0], TARGETS[1], TARGETS[0]]), {"bin_us": 1}, r"target 2 must be \[9, 2\]"),
        (Counted([SPIKES[0], SPIKES[1][:, :2]], [0, 1]), {"bin_us": 1}, r"recording 1 has \[2\] where those before"),
        (Counted([SPIKES[0], 2 * SPIKES[1].astype(int)], [0, 1]), {"bin_us": 1}, "recording 1 holds 2 in a bin"),
        (Counted(*livelier()), {"bin_us": 1, "shift": 1}, "these recordings are bins by now"),
        (Counted(*livelier()), {"bin_us": 1, "epoch": 1}, "there is no setting 'epoch'"),
        (Counted(*livelier()), {"bin_us": 1, "limit": 3}, "limit has no effect here"),
        (Counted(*livelier()), {"bin_us": 0}, "bin_us must be at least 1"),
        (Changing(*livelier(), lambda one, _: (one, "other")), {"bin_us": 1}, "'other' is not"),
        (Changing(*livelier(), lambda one, label: (one[:, :4], label)), {"bin_us": 1}, r"has the inputs \[4\] and"),
        (Changing(*livelier(), lambda one, _: one), {"bin_us": 1}, "comes without a label"),
        (Changing(SPIKES, [0, 1, 2], lambda one, _: (one, 7)), {"bin_us": 1}, "the label 7 of recording . is none of"),
        (Changing(SPIKES, TARGETS, lambda one, _: (one, 1)), {"bin_us": 1}, "has a label where others have targets"),
    ],
)  # fmt: skip
def test_sequences_that_cannot_be(given, more, said):
    with pytest.raises(gemsnn.InputError, match=said) as told:
        gemsnn.fit(given, **SMALL, **more)
    assert "\n" not in str(told.value)


def test_counts_of_pairs():
    spikes, labels = livelier()
    counted = [3 * one.astype(np.uint8) for one in spikes]
    model = gemsnn.fit(Counted(counted, labels), bin_us=1000, counts=True, **SMALL)
    assert model.reading.counts
    assert same(model, gemsnn.fit(zip(counted, labels, strict=True), bin_us=1000, counts=True, **SMALL))


# -- the document ------------------------------------------------------------------------------------------


def test_the_examples_run(capsys):
    """What docs/memory.md says, in its order."""
    page = (Path(__file__).parents[1] / "docs" / "memory.md").read_text()
    blocks, scope = re.findall(r"```python\n(.*?)```", page, re.DOTALL), {}
    assert len(blocks) == 4
    for block in blocks:
        exec(block, scope)
    said = capsys.readouterr().out.splitlines()
    assert float(said[0]) > 0.7
    assert said[1].startswith("30 ")
    assert said[2:] == ["torch.Size([4, 49, 3])", "torch.Size([40, 5])", "100"]


def test_parts_of_a_set():
    """Every recording is in one part, every class in all; names, reading and events go with them."""
    each = [array(columns(seed), TONIC["NMNIST"]) for seed in range(30)]
    whole = gemsnn.Recordings.from_events(each, ["a", "b", "c"] * 10, bin_us=1000, sensor=(12, 9))
    parts = whole.split(validation=0.25, test=0.2)
    assert [len(part) for part in (parts.train, parts.validation, parts.test)] == [18, 6, 6]
    assert [np.bincount(part.labels).tolist() for part in parts.parts.values()] == [[6] * 3, [2] * 3, [2] * 3]
    address = np.concatenate([part.address for part in parts.parts.values()])
    assert sorted(address.tolist()) == list(range(30))
    assert parts.reading == whole.reading
    assert parts.test.digest() == whole.split(validation=0.25, test=0.2).test.digest()
    model = gemsnn.fit(parts, shift=1, votes=2, **SMALL)
    assert model.names == ("a", "b", "c")
    assert len(model.facts.temperatures[model.facts.decoder]) == 2
    for share in ({"test": 1.0}, {"validation": -0.1}):
        with pytest.raises(gemsnn.InputError, match="fraction must be at least 0 and below 1"):
            whole.split(**share)

"""What was trained travels with the network: how it reads, when it is asked, and that a stream answers alike."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
import torch
from event_files import aedat2, dvs_folder, nmnist, random_events
from run_folders import untrained
from shared_data import shared

from gemsnn.commands.cli import main
from gemsnn.data import datasets
from gemsnn.data.binning import bin_events
from gemsnn.data.camera import MNIST_DVS_SCALE4
from gemsnn.data.datasets import DataSpec
from gemsnn.data.emulator import emulate
from gemsnn.data.events import Recording, make_events
from gemsnn.data.images import digits_images, framed
from gemsnn.data.readers import read_recording
from gemsnn.data.spikeset import SpikeSet
from gemsnn.errors import InputError
from gemsnn.learn.online import OnlineLearner
from gemsnn.rows import SpikeRows
from gemsnn.runs import config, loading
from gemsnn.runs.config import NetworkChoice, Settings
from gemsnn.runs.facts import save_facts
from gemsnn.scoring import evaluate
from gemsnn.store.checkpoints import digest_of
from gemsnn.store.records import RunFolder
from gemsnn.types import Layout

K = 5
KERNELS = [("reference", "float64"), ("auto", "float32")]


def settings_of(data: DataSpec, kernel="auto", dtype="float32") -> Settings:
    """A network that answers differently to different recordings."""
    network = NetworkChoice(
        hidden=(6,),
        weight_scale=4.0,
        memory=10,
        topology="layered",
        output="independent",
        kernel=kernel,
        dtype=dtype,
    )
    return dataclasses.replace(config.FORMER, data=data, network=network)


def nmnist_files(root):
    """Recordings whose clocks begin late, that end early, in time and late, or hold next to nothing."""
    lengths = [150_000, 299_999, 300_000, 340_000, 20_000, 305_000]
    paths = []
    for number, length in enumerate(lengths):
        events = random_events(np.random.default_rng(number), 900, 34, length - 7_000)
        events["t"] += 7_000
        paths.append(root / "Train" / str(number % 2) / f"{number:05d}.bin")
        paths[-1].parent.mkdir(parents=True, exist_ok=True)
        paths[-1].write_bytes(nmnist(events))
    return root, paths


def real_nmnist(root):
    paths = []
    for digit in (0, 3, 7):
        for file in sorted(shared("nmnist", "Train", str(digit)).glob("*.bin"))[:2]:
            paths.append(root / "Train" / str(digit) / file.name)
            paths[-1].parent.mkdir(parents=True, exist_ok=True)
            paths[-1].symlink_to(file)
    return root, sorted(paths, key=lambda path: (int(path.stem), path.parent.name))


def dvs_files(root):
    """Events all over the sensor of 128 x 128, of which the network sees 26 x 26."""
    dvs_folder(root, [(0, 1), (0, 2), (1, 1), (1, 2)])
    return root, sorted(root.rglob("*.aedat"))


def real_dvs(root):
    folder = root / "grabbed_data0" / "scale4"
    folder.mkdir(parents=True)
    found = sorted(shared("mnist-dvs", "grabbed_data0").rglob("*scale04*.aedat"))[:3]
    if not found:
        pytest.skip("needs MNIST-DVS recordings of scale 4 in a folder")
    for file in found:
        (folder / file.name).symlink_to(file)
    return root, sorted(folder.iterdir())


SETS = {
    "nmnist": ("nmnist", nmnist_files, {}),
    "nmnist, counts, one polarity": ("nmnist", nmnist_files, {"counts": True, "polarity": "merged"}),
    "nmnist, recordings as long as they are": ("nmnist", nmnist_files, {"pad": False, "warm_up": 0.0}),
    "nmnist by rates": ("nmnist", nmnist_files, {}),
    "nmnist by mixture": ("nmnist", nmnist_files, {}),
    "nmnist by pooled": ("nmnist", nmnist_files, {}),
    "mnist-dvs": ("mnist-dvs", dvs_files, {}),
    "real nmnist": ("nmnist", real_nmnist, {}),
    "real mnist-dvs": ("mnist-dvs", real_dvs, {}),
}


def index_of(name, path):
    """A recording's number in its data set, and so of its noise."""
    if name == "mnist-dvs":
        _, digit, _, number = path.stem.split("_")
        return 10 * int(number) + int(digit)
    ordered = sorted(path.parents[1].rglob("*.bin"), key=lambda file: (int(file.stem), file.parent.name))
    return ordered.index(path)


def whole(splits) -> SpikeSet:
    """All parts as one."""
    parts = (splits.train, splits.validation, splits.test)
    lengths = np.concatenate([np.diff(part.starts) for part in parts])
    joined = {
        name: np.concatenate([getattr(p, name) for p in parts]) for name in ("labels", "address", "tallies")
    }
    joined["rows"] = SpikeRows.join([part.rows for part in parts])
    return dataclasses.replace(splits.train, starts=np.concatenate([[0], np.cumsum(lengths)]), **joined)


@pytest.mark.parametrize(("kernel", "dtype"), KERNELS)
@pytest.mark.parametrize("which", SETS)
def test_a_stream_answers_as_evaluation_does(which, kernel, dtype, tmp_path, capsys):
    """The command on each file, and the learner on its events: votes, probabilities and class, to the bit."""
    name, make, choice = SETS[which]
    root, paths = make(tmp_path / "data")
    data = DataSpec(**{"data": name, "root": root, "warm_up": 0.3, **choice})
    decoder = which.split(" by ")[1] if " by " in which else "votes"
    settings = dataclasses.replace(
        settings_of(data, kernel, dtype), evaluate=config.EvaluateSpec(decoder=decoder)
    )
    spikes = whole(datasets.load(data))
    model = untrained(tmp_path / "run", settings, spikes.layout)
    assert model.kernel_name == {"reference": "reference", "auto": "cpu"}[kernel]
    found = model.poll(spikes, K, seed=9)
    assert len({tuple(votes) for votes in found.votes[:, :, -1].tolist()}) > 1
    assert len(spikes) == len(paths)
    assert found.silent.any() == (make is nmnist_files and data.bins.pad)
    for path in paths:
        address = index_of(name, path)
        row = spikes.address.tolist().index(address)
        votes, shares = found.votes[row, :, -1], found.answers.probabilities[row]
        bins = int(np.diff(spikes.starts)[row])
        capsys.readouterr()
        words = ["--speed", "max", "--seed", "9", "--address", str(address), "--compartments", str(K)]
        assert main(["stream", "--model", str(tmp_path / "run"), "--input", str(path), *words]) == 0
        lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
        line = lines[bins - 1]
        assert line["bin"] == bins - 1
        assert line["votes"] == votes.tolist()
        assert line["probabilities"] == [round(p, 6) for p in shares.tolist()]
        assert (line["class"] is None) == bool(
            found.silent[row]
        )  # a recording that has ended with the warm-up
        assert line["class"] is None or shares[line["class"]] == shares.max()

        recording = read_recording(path)
        sensor = (recording.width, recording.height)
        learner = OnlineLearner(
            model.network, model.params, model.online(K, seed=9, address=address), kernel=kernel,
            arrivals=model.reading.arrivals(model.reading.corner_on(sensor)),
        )  # fmt: skip
        assert learner.bins is not None
        learner.bins.begin(0)
        answers = learner.step(recording.events)
        for block in learner.bins.finish(model.reading.steps if data.bins.pad else 0):
            answers += learner.step(torch.from_numpy(block))
        assert torch.equal(answers[bins - 1].votes, votes)
        assert torch.equal(answers[bins - 1].probabilities, shares)


def test_an_emulated_recording_is_streamed_where_it_lies_on_a_larger_sensor(tmp_path, capsys):
    """The digits' sensor is the part of 26 x 26 pixels that MNIST-DVS has from (48, 48) on."""
    settings = settings_of(DataSpec(warm_up=0.25))
    layout = Layout(2, 26, 26, 10, 25_000)
    model = untrained(tmp_path / "run", settings, layout)
    small = digits_images()
    events = emulate(framed(small.images[:1])[0], MNIST_DVS_SCALE4, seed=0, index=0)
    spikes = model.reading.presentations([events], [int(small.labels[0])])
    found = model.poll(spikes, K)
    moved = make_events(events["t"], events["x"] + 48, events["y"] + 48, events["on"])
    (tmp_path / "x.aedat").write_bytes(aedat2(moved))
    first = int(events["t"][0])
    assert first < 25_000
    words = [
        "stream",
        "--model",
        str(tmp_path / "run"),
        "--input",
        str(tmp_path / "x.aedat"),
        "--speed",
        "max",
    ]
    words += ["--compartments", str(K)]
    assert main(words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "128 x 128 pixels where the network was trained on 26 x 26; choose with x0 and y0" in said.err
    # AEDAT counts from the first event, so the recording to compare with does, too
    again = events.copy()
    again["t"] -= first
    found = model.poll(model.reading.presentations([again], [0]), K)
    assert main([*words, "--x0", "48", "--y0", "48"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert lines[79]["votes"] == found.votes[0, :, -1].tolist()


# -- reading -----------------------------------------------------------------------------------------------


@pytest.fixture
def model(tmp_path):
    data = DataSpec(
        data="nmnist", root=tmp_path, warm_up=0.5, polarity="merged", counts=True, bin_us=10_000, steps=20
    )
    return untrained(tmp_path / "run", settings_of(data), Layout(1, 34, 34, 10, 10_000))


def recording_of(side, seed=0, count=400):
    events = random_events(np.random.default_rng(seed), count, side, 250_000)
    return Recording(events, side, side, "drawn", {})


def test_a_recording_is_binned_as_the_training_binned_its_own(model):
    recording = recording_of(34)
    got = model.bin(recording)
    np.testing.assert_array_equal(got, bin_events(recording.events, model.reading.bins, width=34, height=34))
    assert got.shape == (20, 34 * 34)
    assert got.max() > 1
    np.testing.assert_array_equal(model.bin(recording.events), got)


def test_another_sensor_needs_a_window(model):
    large = recording_of(128)
    for given in (large, large.events):
        with pytest.raises(
            InputError, match="128 x 128 pixels where the network was trained on 34 x 34; choose with x0"
        ):
            model.bin(given)
        got = model.bin(given, x0=40, y0=50)
        events = large.events
        inside = (events["x"] >= 40) & (events["x"] < 74) & (events["y"] >= 50) & (events["y"] < 84)
        moved = events[inside & (events["t"] < 200_000)].copy()
        moved["x"] -= 40
        moved["y"] -= 50
        assert got.sum() == len(moved)
        np.testing.assert_array_equal(got, model.bin(moved))
    with pytest.raises(InputError, match="do not fit on the sensor of 128 x 128"):
        model.bin(large, x0=100, y0=0)
    with pytest.raises(InputError, match="trained on 34 x 34"):
        model.bin(recording_of(20))


def test_recordings_that_were_read_otherwise_are_refused(model):
    reading = model.reading
    fitting = reading.presentations([recording_of(34)], [3])
    assert model.poll(fitting, 2).votes.shape == (1, 2, 20)
    layout = reading.layout

    def some(steps, layout=layout, counts=True):
        return SpikeSet.from_bins([np.zeros((steps, layout.inputs), np.uint8)], [0], layout, counts=counts)

    for given, says in (
        (some(21), "up to 21 bins where the network was trained on 20"),
        (some(19), "only 19 bins where the network was trained on 20, filled up"),
        (some(20, counts=False), "binary bins where the network was trained on numbers of events"),
        (some(20, layout._replace(bin_us=5000)), "bin_us 5000 where the network was trained on 10000"),
        (some(20, layout._replace(classes=9)), "classes 9 where the network was trained on 10"),
        (some(20, layout._replace(channels=2)), "channels 2 where the network was trained on 1"),
        (
            some(20, layout._replace(width=17, height=68)),
            "height 68 where the network was trained on 34, and width 17",
        ),
    ):
        with pytest.raises(InputError, match=says):
            model.poll(given, 2)


def test_a_network_is_asked_with_the_warm_up_it_was_trained_with(model, tmp_path):
    """Whoever makes the recordings: what they are made of knows nothing of a warm-up."""
    recordings = [recording_of(34, seed) for seed in range(4)]
    spikes = SpikeSet.from_bins(
        [bin_events(r.events, model.reading.bins, width=34, height=34) for r in recordings],
        [0, 1, 2, 3], model.reading.layout, counts=True,
    )  # fmt: skip
    loaded = loading.load_model(str(tmp_path / "run"))
    found = evaluate.predict(loaded.network, loaded.params, spikes, 4, kernel=loaded.kernel, seed=0)
    assert (found.by_time.probabilities[:9].std(0) == 0).any()
    batch = next(evaluate.shown(loaded.network, spikes, 4, 1))
    assert batch.begin.tolist() == [10] * 4
    assert torch.equal(found.votes, loaded.poll(spikes, 4).votes)
    (tmp_path / "run" / "config.toml").write_text(
        config.dump(config.load(tmp_path / "run" / "config.toml")).replace("warm_up = 0.5", "warm_up = 0.0")
    )
    assert loading.load_model(tmp_path / "run").network.spec.warm_up == 0.5


def test_temperatures_of_the_training_are_applied_or_missed(model):
    spikes = model.reading.presentations([recording_of(34, seed) for seed in range(4)], [0, 1, 2, 3])
    prediction = model.poll(spikes, 3)
    with pytest.raises(
        InputError, match="fitted temperatures for none compartments that answer by votes, not for 3"
    ):
        model.probabilities(prediction)
    bare = model.score(spikes, 3)
    assert bare.tempered is None
    assert "tempered" not in bare.to_json()["by_compartments"][0]
    facts = dataclasses.replace(model.facts, temperatures={"votes": (1.0, 2.0, 2.5)})
    warm = dataclasses.replace(model, facts=facts)
    logs = prediction.answers.logs / 2.5
    torch.testing.assert_close(warm.probabilities(prediction), torch.softmax(logs, 1))
    scores = warm.score(spikes, 3)
    assert scores.tempered is not None
    assert scores.tempered.temperature == 2.5
    assert [row.tempered and row.tempered.temperature for row in scores.by_compartments] == [1.0, 2.0, 2.5]
    assert (scores.accuracy, scores.nll) == (bare.accuracy, bare.nll)


# -- the file ----------------------------------------------------------------------------------------------


def test_facts_come_back(model, tmp_path):
    run = RunFolder.open(tmp_path / "run")
    facts = dataclasses.replace(
        model.facts, temperatures={"votes": (1.25, 0.1), "likelihood": (3.0,)}, least_spikes=17
    )
    save_facts(run, facts)
    assert loading.load_model(tmp_path / "run").facts == facts


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda facts: facts.update(warm_up=0.25), "is damaged"),
        (lambda facts: facts.update(format=2), "has format 2, this gemsnn reads format 1; update gemsnn"),
        (lambda facts: facts.clear(), "is damaged"),
    ],
)
def test_damaged_facts_are_refused(model, tmp_path, change, says):
    path = tmp_path / "run" / "model.json"
    facts = json.loads(path.read_text())
    change(facts)
    path.write_text(json.dumps(facts))
    with pytest.raises(InputError, match=says):
        loading.load_model(tmp_path / "run")


def test_odd_facts_are_refused(model, tmp_path):
    path = tmp_path / "run" / "model.json"
    kept = json.loads(path.read_text())
    for change in (
        {"layout": {"channels": 0}}, {"steps": 0}, {"corner": [1, 0]}, {"corner": [-1, 0]}, {"names": ["a"]},
        {"warm_up": 1.0}, {"decoder": "x"}, {"temperatures": {"votes": [0.0]}}, {"seed": "x"}, {"least_spikes": -1},
    ):  # fmt: skip
        facts = {name: value for name, value in (kept | change).items() if name != "sha256"}
        path.write_text(json.dumps(facts | {"sha256": digest_of(facts)}))
        with pytest.raises(InputError):
            loading.load_model(tmp_path / "run")


def test_a_run_from_before_the_file_has_its_facts_from_the_others(model, tmp_path):
    (tmp_path / "run" / "model.json").unlink()
    assert loading.load_model(tmp_path / "run").facts == model.facts
    rows = [{"tempered": {"temperature": value}} for value in (1.5, 2.0)]
    (tmp_path / "run" / "metrics.json").write_text(json.dumps({"decoder": "votes", "by_compartments": rows}))
    assert loading.load_model(tmp_path / "run").facts.temperatures == {"votes": (1.5, 2.0)}

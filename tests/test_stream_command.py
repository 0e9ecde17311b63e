"""``gemsnn stream``: what a person types and what comes out."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
import torch
from event_files import aedat2, nmnist_folder, random_events
from runs import FORMER, words_of
from shared_data import shared

from gemsnn.commands.cli import main
from gemsnn.data import wire
from gemsnn.data.events import make_events
from gemsnn.data.sources import Arrival, Pipe, Trouble
from gemsnn.learn.online import OnlineLearner
from gemsnn.runs.loading import load_model
from gemsnn.store.checkpoints import Checkpoints
from gemsnn.store.files import locked

KEYS = {
    "time_us", "bin", "class", "name", "reason", "probabilities", "entropy", "votes", "hidden_rate", "target", "lag_ms",
    "dropped_bins", "late_events", "outside_events", "damaged", "dropped_messages", "clock_jumps",
}  # fmt: skip


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A run folder: 34 x 34 pixels, bins of 5 ms, 7 hidden neurons."""
    root, out = tmp_path_factory.mktemp("nmnist"), tmp_path_factory.mktemp("runs") / "run"
    nmnist_folder(root, [(digit, 10 * number + digit) for digit in range(3) for number in range(10)])
    words = ["train", "--data", "nmnist", "--root", str(root), "--out", str(out)]
    assert main([*words, "--epochs", "1", "--hidden", "4,3", "--votes", "2", *words_of(FORMER)]) == 0
    return out


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """An AEDAT 2.0 file with 20,000 events in 0.8 seconds."""
    path = tmp_path_factory.mktemp("events") / "x.aedat"
    path.write_bytes(aedat2(random_events(np.random.default_rng(0), 20_000, 128, 800_000)))
    return path


@pytest.fixture
def stream(model, capsys):
    """Runs the command; exit code, lines, what was said."""

    def run(given, *more):
        if str(given).endswith(".aedat"):  # a sensor of 128 x 128, of which it sees the middle
            more = (*more, *(word for flag in ("--x0", "--y0") if flag not in more for word in (flag, "47")))
        capsys.readouterr()
        asked = () if "--model" in more else ("--model", str(model))
        code = main(["stream", *asked, "--input", str(given), *more])
        out, said = capsys.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], said

    return run


def test_a_file_at_full_speed(stream, recording):
    code, lines, said = stream(recording, "--speed", "max", "--every", "4", "--compartments", "3")
    assert code == 0
    assert [line["bin"] for line in lines] == list(range(3, 160, 4))
    assert said.splitlines()[-1].startswith("160 bins, 40 answers, 20000 events")
    for line in lines:
        assert line.keys() == KEYS
        assert line["time_us"] == 5000 * (line["bin"] + 1)
        assert sum(line["probabilities"]) == pytest.approx(1, abs=1e-5)
        assert line["probabilities"][line["class"]] == max(line["probabilities"])
        assert len(line["votes"]) == 3
        assert line["lag_ms"] is None
        assert line["late_events"] == line["dropped_bins"] == line["damaged"] == 0
    assert stream(recording, "--speed", "max", "--every", "4", "--compartments", "3")[1] == lines


def test_a_file_at_real_speed_takes_its_time(stream, recording):
    began = time.monotonic()
    code, lines, said = stream(recording, "--every", "10", "--max-lag-ms", "60000")
    assert code == 0
    assert time.monotonic() - began > 0.8
    assert [line["class"] for line in lines] == [
        line["class"] for line in stream(recording, "--every", "10", "--speed", "max")[1]
    ]
    assert all(line["lag_ms"] >= 0 for line in lines)
    assert "ms behind" in said


def test_bins_that_come_too_late_are_dropped_and_counted(stream, recording):
    code, lines, said = stream(recording, "--max-lag-ms", "0")
    assert code == 0
    assert lines == []
    assert "160 bins dropped" in said


def test_an_unsure_answer_is_none(stream, recording):
    _, sure, _ = stream(recording, "--speed", "max")
    _, lines, _ = stream(recording, "--speed", "max", "--threshold", "0.6")
    for line, other in zip(lines, sure, strict=True):
        assert line["class"] == (other["class"] if max(other["probabilities"]) >= 0.6 else None)
    assert any(line["class"] is None for line in lines)


@pytest.mark.parametrize("learn", [(), ("--learn", "--update-every", "3")])
def test_a_stopped_stream_goes_on_as_if_it_had_not_been(stream, recording, tmp_path, learn, monkeypatch):
    monkeypatch.setattr("gemsnn.data.sources.CHUNK", 300)
    labels = tmp_path / "labels.csv"
    labels.write_text("label,0,1\nlabel,200000,2\nlabel,400000,\nlabel,600000,0\n")
    common = ("--speed", "max", "--labels", str(labels), *learn)
    _, whole, _ = stream(recording, *common, "--state", str(tmp_path / "whole"))
    lines = []
    for stop in (40, 41, 95, 130, None):
        more = () if stop is None else ("--bins", str(stop))
        code, some, said = stream(recording, *common, "--state", str(tmp_path / "parts"), *more)
        assert code == 0
        assert stop == 40 or "going on after bin" in said
        lines += some
    assert lines == whole
    targets = [line["target"] for line in whole]
    assert targets == [1] * 40 + [2] * 40 + [None] * 40 + [0] * 40
    ours, theirs = (Checkpoints(tmp_path / name).load()[0] for name in ("parts", "whole"))
    assert ours.keys() == theirs.keys()
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


def test_learning_changes_the_weights_that_are_saved(stream, recording, tmp_path, model):
    labels = tmp_path / "labels.csv"
    labels.write_text("label,0,1\n")
    stream(recording, "--speed", "max", "--labels", str(labels), "--state", str(tmp_path / "a"))
    stream(recording, "--speed", "max", "--labels", str(labels), "--learn", "--state", str(tmp_path / "b"))
    start = Checkpoints(model / "checkpoint").load()[0]["params.weights.inputs->hidden1"]
    assert torch.equal(Checkpoints(tmp_path / "a").load()[0]["params.weights.inputs->hidden1"], start)
    assert not torch.equal(Checkpoints(tmp_path / "b").load()[0]["params.weights.inputs->hidden1"], start)


def test_a_state_of_other_settings_is_refused_and_kept(stream, recording, tmp_path, model):
    state = ("--speed", "max", "--bins", "20", "--state", str(tmp_path))
    assert stream(recording, *state)[0] == 0
    before = (tmp_path / "checkpoint.json").read_bytes()
    code, lines, said = stream(recording, *state, "--compartments", "4")
    assert (code, lines) == (2, [])
    assert "saved with compartments 10, and now it is 4" in said
    assert (tmp_path / "checkpoint.json").read_bytes() == before
    code, _, said = stream(recording, "--speed", "max", "--state", str(model / "checkpoint"))
    assert code == 2
    assert "checkpoints of a training" in said


def test_a_damaged_state_is_named_and_the_one_before_it_used(stream, recording, tmp_path):
    state = ("--speed", "max", "--state", str(tmp_path))
    stream(recording, *state, "--bins", "40")
    stream(recording, *state, "--bins", "120")
    newest = json.loads((tmp_path / "checkpoint.json").read_text())
    file = tmp_path / newest["tensors"]
    file.write_bytes(file.read_bytes()[:-1])
    code, _, said = stream(recording, *state)
    assert code == 0
    assert "is damaged" in said
    assert "going on from the checkpoint before it" in said


@pytest.mark.parametrize("change", [{"identity": 3}, {"bins": "x"}, {"labels": [[1]]}, {"label": 1.5}])
def test_a_state_with_odd_facts_is_refused(stream, recording, tmp_path, change):
    state = ("--speed", "max", "--state", str(tmp_path))
    stream(recording, *state, "--bins", "20")
    tensors, facts = Checkpoints(tmp_path).load()
    (tmp_path / "previous.json").unlink(missing_ok=True)
    Checkpoints(tmp_path).save(tensors, facts | change)
    code, lines, said = stream(recording, *state)
    assert (code, lines) == (2, [])
    assert "holds what it should not" in said


def test_a_state_in_use_is_locked(stream, recording, tmp_path):
    with locked(tmp_path):
        code, _, said = stream(recording, "--speed", "max", "--state", str(tmp_path))
    assert code == 2
    assert "in use by another process" in said
    assert "preparing" not in said


def test_what_a_stream_has_learned_is_scored_and_streamed_like_a_training(
    stream, recording, tmp_path, model, capsys
):
    labels, taught, same = tmp_path / "labels.csv", tmp_path / "taught", tmp_path / "same"
    labels.write_text("label,0,1\n")
    quick = ("--speed", "max", "--labels", str(labels))
    _, original, _ = stream(recording, "--speed", "max")
    stream(recording, *quick, "--state", str(same))
    stream(recording, *quick, "--learn", "--lr", "0.5", "--state", str(taught))

    def scores(run):
        assert main(["evaluate", str(run), "--votes", "3", "--json"]) == 0
        return json.loads(capsys.readouterr().out)

    assert scores(same) == scores(model)
    assert scores(taught)["log_likelihood"] != scores(model)["log_likelihood"]
    assert stream(recording, "--speed", "max", "--model", str(same))[1] == original
    code, lines, _ = stream(
        recording, "--speed", "max", "--model", str(taught), "--learn", "--state", str(tmp_path / "b")
    )
    assert code == 0
    weights = [
        Checkpoints(folder).load()[0]["params.weights.inputs->hidden1"] for folder in (taught, tmp_path / "b")
    ]
    assert torch.equal(*weights)  # no label was told
    assert [line["votes"] for line in lines] != [line["votes"] for line in original]


def test_a_states_folder_is_no_training_and_a_trainings_no_state(stream, recording, tmp_path, model, capsys):
    before = sorted((file, file.read_bytes()) for file in model.rglob("*") if file.is_file())
    state = ("--speed", "max", "--bins", "20", "--state")
    for where, says in (
        (model, "cannot be the model and the state"),
        (tmp_path / "copy", "the run folder of a training"),
    ):
        if where != model:
            shutil.copytree(model, where)
        code, lines, said = stream(recording, *state, str(where))
        assert (code, lines) == (2, [])
        assert says in said
    assert sorted((file, file.read_bytes()) for file in model.rglob("*") if file.is_file()) == before
    assert stream(recording, *state, str(tmp_path / "state"))[0] == 0
    assert main(["train", "--resume", str(tmp_path / "state")]) == 2
    assert "is the state of a stream" in capsys.readouterr().err
    assert stream(recording, *state, str(tmp_path / "state"))[0] == 0


def test_a_state_of_another_version_is_refused_in_a_sentence(stream, recording, tmp_path):
    state = ("--speed", "max", "--state", str(tmp_path))
    stream(recording, *state, "--bins", "20")
    tensors, facts = Checkpoints(tmp_path).load()
    del facts["identity"]["least_spikes"]
    Checkpoints(tmp_path).save(tensors, facts)
    code, lines, said = stream(recording, *state)
    assert (code, lines) == (2, [])
    assert "saved by another version of gemsnn" in said


def test_silence_is_no_class_with_its_reason(stream, model, tmp_path):
    """Events in the first and in the last 50 ms of a second; a window of 40 ms."""
    t = np.concatenate([np.arange(50), 950 + np.arange(50)]) * 1000
    middle = np.full(len(t), 64)
    (tmp_path / "x.aedat").write_bytes(aedat2(make_events(t, middle, middle, t > 0)))
    _, lines, _ = stream(tmp_path / "x.aedat", "--speed", "max", "--window", "8", "--threshold", "0.6")
    reasons = [line["reason"] for line in lines]
    least = load_model(model).online(window=8).least_spikes  # a bin has one spike
    assert 1 <= least < 8
    assert [t for t, reason in enumerate(reasons) if reason == "silence"] == list(
        range(18 - least, 189 + least)
    )
    for line in lines:
        assert (line["class"] is None) == (line["reason"] is not None)
        if line["reason"] == "silence":
            assert line["probabilities"] == [0.1] * 10
            assert line["entropy"] == round(np.log(10), 6)
        else:
            assert line["reason"] == (None if max(line["probabilities"]) >= 0.6 else "unsure")


def test_a_limit_that_no_answer_can_hold_is_refused(stream):
    code, lines, said = stream("udp://127.0.0.1:0", "--max-lag-ms", "5", "--bins", "3")
    assert (code, lines) == (2, [])
    assert "waits for events for 5 ms after its end (--reorder-us)" in said


def test_a_port_in_use_is_told_before_anything_is_prepared(stream):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        code, lines, said = stream(f"udp://127.0.0.1:{other.getsockname()[1]}")
    assert (code, lines) == (2, [])
    assert "cannot be listened on (Address already in use); choose another port" in said
    assert "preparing" not in said


def test_a_learner_that_is_too_slow_is_told_line_by_line(stream, monkeypatch):
    """Events in real time on a real socket, steps of 12 ms for bins of 5."""
    step, port, stop = OnlineLearner.step, free_port(), threading.Event()

    def slow(self, arrived, target=None):
        time.sleep(0.012)
        return step(self, arrived, target)

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            began, done = time.monotonic(), 0
            while not stop.wait(0.002):
                t = np.arange(done, now := int(1e6 * (time.monotonic() - began)), 500)[-4000:]
                done = now
                for data in (b"label,,1", wire.write_datagram(make_events(t, t % 34, t % 34, t >= 0))):
                    sender.sendto(data, ("127.0.0.1", port))

    monkeypatch.setattr(OnlineLearner, "step", slow)
    thread = threading.Thread(target=send)
    thread.start()
    try:
        words = ("--learn", "--update-every", "4", "--bins", "250", "--max-lag-ms", "150")
        code, lines, said = stream(f"udp://127.0.0.1:{port}", *words)
    finally:
        stop.set()
        thread.join()
    assert code == 0
    lags = [line["lag_ms"] for line in lines]
    assert min(lags) > 12
    assert max(lags) > 100
    assert f"at most {max(lags):.3f} ms behind" in said
    assert lines[-1]["dropped_bins"] > 30


def test_a_silent_sensor_lets_time_pass(stream):
    code, lines, said = stream("udp://127.0.0.1:0", "--bins", "12", "--every", "2")
    assert code == 0
    assert [line["bin"] for line in lines][:6] == [1, 3, 5, 7, 9, 11]
    assert " 0 events" in said


def free_port():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_labels_alone_do_not_hold_up_time(stream):
    port, stop = free_port(), threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            while not stop.wait(0.0005):
                sender.sendto(b"label,,2", ("127.0.0.1", port))

    thread = threading.Thread(target=send)
    thread.start()
    try:
        code, lines, _ = stream(f"udp://127.0.0.1:{port}", "--bins", "20")
    finally:
        stop.set()
        thread.join()
    assert code == 0
    assert lines[-1]["target"] == 2


def test_datagrams(stream):
    port, events = free_port(), random_events(np.random.default_rng(1), 3000, 34, 200_000)
    stop = threading.Event()

    def send():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            at, turn = 0, 0
            while not stop.wait(0.005):  # like a sensor, again and again
                part = events[at : at + 75].copy()
                part["t"] += 10**12 + 200_000 * turn
                for data in (b"label,,1", b"rubbish", wire.write_datagram(part)):
                    sender.sendto(data, ("127.0.0.1", port))
                at += 75
                if at >= len(events):
                    at, turn = 0, turn + 1

    thread = threading.Thread(target=send)
    thread.start()
    try:
        code, lines, said = stream(f"udp://127.0.0.1:{port}", "--bins", "60", "--every", "5")
    finally:
        stop.set()
        thread.join()
    assert code == 0
    assert lines[-1]["bin"] >= 55
    assert lines[-1]["target"] == 1
    assert lines[-1]["damaged"] > 0
    assert f"listening on udp://127.0.0.1:{port}" in said
    assert said.count("the first of what could not be used: 'rubbish' is no event; write t,x,y,on") == 1
    lags = [line["lag_ms"] for line in lines]
    assert min(lags) > 0
    assert f"at most {max(lags):.3f} ms behind" in said


def test_standard_input(model, recording):
    events = random_events(np.random.default_rng(1), 500, 34, 200_000)
    rows = [f"{e['t']},{e['x']},{e['y']},{int(e['on'])}" for e in events]
    text = "\n".join(["t,x,y,on", "label,0,2", *rows[:250], "what?", *rows[250:]])
    words = [
        sys.executable,
        "-m",
        "gemsnn",
        "stream",
        "--model",
        str(model),
        "--input",
        "-",
        "--speed",
        "max",
    ]
    done = subprocess.run(words, input=text, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["bin"] for line in lines] == list(range(int(events["t"][-1]) // 5000 + 1))
    assert {line["target"] for line in lines} == {2}
    assert lines[-1]["damaged"] == 1
    assert "line 253: 'what?' is no event" in done.stderr
    nothing = subprocess.run(
        words, input="what?\n5,5\n", capture_output=True, text=True, check=False, timeout=300
    )
    assert nothing.returncode == 2
    assert "nothing that came was an event" in nothing.stderr


def test_a_reader_that_goes_away_loses_nothing(stream, model, recording, tmp_path):
    words = [
        sys.executable, "-m", "gemsnn", "stream", "--model", str(model), "--input", str(recording), "--speed", "max",
        "--x0", "47", "--y0", "47",
        "--state", str(tmp_path / "left"),
    ]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=os.environ)
    assert process.stdout is not None
    process.stdout.close()
    _, said = process.communicate(timeout=300)
    assert process.returncode == 0, said
    assert b"Traceback" not in said
    stopped = Checkpoints(tmp_path / "left").load()[1]
    assert 0 < stopped["bins"] < 160
    for name in ("left", "whole"):
        stream(recording, "--speed", "max", "--state", str(tmp_path / name))
    ours, theirs = (Checkpoints(tmp_path / name).load()[0] for name in ("left", "whole"))
    assert [name for name in theirs if not torch.equal(ours[name], theirs[name])] == []


def test_sigterm_saves_and_ends(model, recording, tmp_path):
    """In the middle of a replay at real speed of a file that would take a minute."""
    t = np.arange(600) * 100_000
    zeros = np.zeros(600, int)
    (tmp_path / "x.aedat").write_bytes(aedat2(make_events(t, zeros + 60, zeros + 60, zeros == 0)))
    words = [
        sys.executable, "-m", "gemsnn", "stream", "--model", str(model), "--input", str(tmp_path / "x.aedat"),
        "--x0", "47", "--y0", "47",
        "--state", str(tmp_path / "state"),
    ]  # fmt: skip
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "stopping after this portion" in said
    bins = Checkpoints(tmp_path / "state").load()[1]["bins"]
    assert 0 < bins < 12_000


@pytest.mark.parametrize(
    ("more", "says"),
    [
        (("--x0", "100"), "do not fit on the sensor of 128 x 128"),
        (("--labels", "nowhere"), "nowhere cannot be read"),
        (("--threshold", "2"), "threshold must be at least 0 and at most 1"),
        (("--save-every", "0"), "save_every must be"),
        (("--compartments", "0"), "compartments must be"),
        (("--reorder-us", "-1"), "reorder_us must be at least 0"),
        (("--max-lag-ms", "nan"), "max_lag_ms must be a finite number"),
        (("--learn", "--lr", "-1"), "lr must be at least 0"),
    ],
)
def test_what_cannot_be_is_refused_in_a_sentence(stream, recording, more, says):
    code, lines, said = stream(recording, "--speed", "max", *more)
    assert (code, lines) == (2, [])
    assert says in said.splitlines()[-1]


def test_labels_out_of_range_are_refused(stream, recording, tmp_path):
    for text, says in (
        ("label,0,1\nlabel,5,10\n", "line 2: the class 10"),
        ("0,1\n", "line 1: '0,1' is no label"),
    ):
        (tmp_path / "labels").write_text(text)
        code, _, said = stream(recording, "--labels", str(tmp_path / "labels"))
        assert code == 2
        assert says in said


def test_another_sensor_needs_a_window(model, recording, capsys):
    assert main(["stream", "--model", str(model), "--input", str(recording), "--speed", "max"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "128 x 128 pixels where the network was trained on 34 x 34" in said.err
    assert "--x0 and --y0" in said.err


@pytest.mark.parametrize(
    ("inside", "count", "code"), [(0, 1000, 2), (0, 999, 0), (1, 3000, 0), (600, 1000, 0)]
)
def test_a_pipe_of_another_sensor_is_told_early(model, monkeypatch, capsys, inside, count, code):
    """Of a source that does not tell its size: noted after a hundred events, refused after a thousand."""
    column = np.where(np.arange(count) < inside, 5, 100)
    events = make_events(1000 * np.arange(count), column, np.full(count, 5), np.ones(count, bool))
    source = Given(np.split(events, count))
    monkeypatch.setattr("gemsnn.streaming.open_source", lambda _, **__: source)
    assert main(["stream", "--model", str(model), "--input", "-", "--speed", "max"]) == code
    said = capsys.readouterr().err
    assert ("of the first 100 events lie outside the window of 34 x 34 pixels from (0, 0)" in said) == (
        inside < 50
    )
    assert said.count("events lie outside the window") <= 2
    assert ("all of the first 1000 events lie outside the window" in said) == (code == 2)
    assert source.given == count


class Given:
    """A source of events that are there already, one at a time."""

    live, sensor, origin, repairs = True, None, None, {}
    trouble = Trouble()

    def __init__(self, portions):
        self.portions, self.given = portions, 0

    def start(self):
        return None

    def poll(self, timeout):
        if self.given == len(self.portions):
            raise EOFError
        self.given += 1
        return Arrival(wire.Message(self.portions[self.given - 1]), time.monotonic())

    def close(self):
        pass


def test_a_sender_that_holds_events_back_is_noticed(stream, monkeypatch):
    """Portions of 100 ms whose second halves come first, as lines."""
    t = np.concatenate([[0], *(100_000 * i + 1000 * np.r_[50:100, 0:50] for i in range(4))])
    reader, writer = os.pipe()
    os.write(writer, "".join(f"{at},16,16,1\n" for at in t).encode())
    os.close(writer)
    monkeypatch.setattr("gemsnn.data.sources.Pipe", lambda _, now: Pipe(reader, now))
    _, lines, said = stream("-", "--speed", "max")
    os.close(reader)
    late = lines[-1]["late_events"]
    assert late > 150
    assert (
        f"{late} of 401 events came after their bin had closed and were dropped; give a longer --reorder-us"
        in said
    )


def test_events_outside_the_window_are_noticed(stream, tmp_path):
    far = make_events(np.arange(100) * 1000, np.zeros(100, int), np.zeros(100, int), np.ones(100, bool))
    (tmp_path / "x.aedat").write_bytes(aedat2(far))
    _, lines, said = stream(tmp_path / "x.aedat", "--speed", "max")
    assert lines[-1]["outside_events"] == 100
    assert "all events lay outside the window" in said


def test_real_recordings_run_to_their_end(stream):
    for name in ("neal_walking.aedat", "DVS128-2017-03-21-short.aedat"):
        code, lines, _ = stream(shared("aedat2-samples", name), "--speed", "max", "--every", "50")
        assert code == 0
        assert len(lines) > 10

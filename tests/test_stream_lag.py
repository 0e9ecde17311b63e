"""How far behind a stream's lines say that they are, with a computer's clock that only moves when it is told to."""

from __future__ import annotations

import io
import json
import socket
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from cases import make_network
from event_files import aedat2
from hypothesis import given
from hypothesis import strategies as st

from gemsnn.data import wire
from gemsnn.data.arrivals import ArrivalSpec
from gemsnn.data.events import make_events
from gemsnn.data.sources import Socket, open_source
from gemsnn.kernels import Learning
from gemsnn.learn.decisions import OnlineSpec
from gemsnn.rules import optimisers
from gemsnn.rules.base import RuleSpec
from gemsnn.rules.optimisers import OptimiserSpec
from gemsnn.streaming.labels import Labels
from gemsnn.streaming.lag import DRIFT, Heard, Limit, Replayed, Wall
from gemsnn.streaming.session import Session
from gemsnn.streaming.spec import StreamSpec, Task
from gemsnn.types import Layout

BIN_US = 5000
LAYOUT = Layout(2, 1, 3, 3, BIN_US)


class Hands:
    """The hands of a clock that stand still until they are moved."""

    def __init__(self) -> None:
        self.at = 1000.0
        self.wall = Wall(lambda: self.at, self.move)

    def move(self, seconds: float) -> None:
        self.at += seconds


def session(source, hands: Hands, took, *, learn=False, **spec) -> Session:
    """A stream of a small network whose n-th step takes ``took(n)`` seconds."""
    network, params = make_network(6, (4,), 3, topology="layered", feedback="hidden", dtype=torch.float32)
    learning = (
        Learning(RuleSpec(kappa=0.9, gamma=0.8), OptimiserSpec("sgd", lr=0.01), 2, 3) if learn else None
    )
    learner: Any = SimpleNamespace(params=params, optimiser=optimisers.init(OptimiserSpec("sgd"), params))
    trained: Any = SimpleNamespace(network=network, learner=learner, names=("a", "b", "c"))
    task = Task(trained, OnlineSpec(compartments=2, window=4), ArrivalSpec(LAYOUT), learning)
    begun = Session(StreamSpec(**spec), task, source, Labels([], BIN_US), io.StringIO(), {}, hands.wall)
    step = begun.learner.step

    def slow(arrived, target=None):
        hands.move(took(begun.learner.passed.steps))
        return step(arrived, target)

    begun.learner.step = slow  # pyright: ignore[reportAttributeAccessIssue]
    return begun


def said(session: Session) -> list[dict]:
    return [json.loads(line) for line in session.out.getvalue().splitlines()]  # pyright: ignore[reportAttributeAccessIssue]


def check(session: Session, lines: list[dict], steps: dict[int, float], limit_ms: float) -> None:
    """What holds of every stream: the limit, the summary, and that nothing goes uncounted."""
    for line in lines:
        assert line["lag_ms"] <= limit_ms + 1e3 * steps[line["bin"]] + 1e-3
    passed = session.learner.passed
    assert passed.bins == passed.skipped + len(lines)
    assert lines[-1]["dropped_bins"] <= passed.skipped
    assert f"at most {max(line['lag_ms'] for line in lines):.3f} ms behind" in session.summary()
    assert (f"{passed.skipped} bins dropped" in session.summary()) == bool(passed.skipped)


def slow_now_and_then(n: int) -> float:
    """Steps of 3 ms, of which every 16th takes 90 and the 100th a second."""
    return 1.0 if n == 100 else 0.09 if n % 16 == 5 else 0.003


@pytest.mark.parametrize("took", [lambda n: 0.001, lambda n: 0.012, slow_now_and_then])
@pytest.mark.parametrize("limit_ms", [20.0, 200.0])
@pytest.mark.parametrize("learn", [False, True])
def test_a_file_at_real_speed(tmp_path, took, limit_ms, learn):
    t = np.arange(0, 2_000_000, 1000)
    zeros = np.zeros(len(t), int)
    (tmp_path / "x.aedat").write_bytes(aedat2(make_events(t, zeros, zeros, zeros == 0)))
    hands = Hands()
    source = open_source(str(tmp_path / "x.aedat"), hands.wall.now)
    stream = session(source, hands, took, learn=learn, max_lag_ms=limit_ms)
    written, steps, step, bins = {}, {}, stream.learner.step, stream.learner

    def watched(arrived, target=None):
        """The bin's line is written right after its step, for nothing else moves the hands."""
        bin, number = bins.passed.bins, bins.passed.steps
        answers = step(arrived, target)
        written[bin], steps[bin] = hands.at, took(number)
        return answers

    stream.learner.step = watched  # pyright: ignore[reportAttributeAccessIssue]
    began = hands.at
    assert stream.run(lambda: False)
    lines = said(stream)
    assert stream.learner.passed.bins == 400
    assert lines
    for line in lines:
        due = began + line["time_us"] / 1e6
        assert line["lag_ms"] == pytest.approx(1e3 * (written[line["bin"]] - due), abs=2e-3)
    check(stream, lines, steps, limit_ms)
    if took(0) == 0.001:
        assert stream.learner.passed.skipped == 0
        assert {line["lag_ms"] for line in lines} == {1.0}
    else:
        assert stream.learner.passed.skipped > 0
        assert len(lines) > 30  # it goes on all the same


@pytest.mark.parametrize("took", [lambda n: 0.001, lambda n: 0.03, slow_now_and_then])
@pytest.mark.parametrize("limit_ms", [30.0, 300.0])
@pytest.mark.parametrize("labels", [False, True])
def test_datagrams_on_a_real_socket(took, limit_ms, labels):
    """A sensor that sends every 4 ms what has happened since, whatever the network does meanwhile."""
    hands = Hands()
    source = open_source("udp://127.0.0.1:0", hands.wall.now)
    assert isinstance(source, Socket)
    source.start()
    stream = session(source, hands, took, learn=labels, max_lag_ms=limit_ms)
    began, steps, written, sent = hands.at, {}, {}, 0
    sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    step, learner = stream.learner.step, stream.learner

    def send_what_has_happened() -> None:
        """Up to where the hands stand, each datagram when they stand at its time."""
        nonlocal sent
        until = hands.at
        while began + 0.004 * (sent + 1) <= until + 1e-9 and sent < 400:
            t = 10**9 + 4000 * sent + np.arange(0, 4001, 500)
            hands.at = began + 0.004 * (sent + 1)
            put(wire.write_datagram(make_events(t, t // 500 % 3, t * 0, t > 0)))
            if labels:
                put(b"label,,1")
            sent += 1
        hands.at = until

    def put(data: bytes) -> None:
        """Send, and wait until the thread has taken it and looked at the clock."""
        waiting, deadline = len(source._waiting), time.monotonic() + 10
        sender.sendto(data, ("127.0.0.1", source.port))
        while len(source._waiting) == waiting:
            assert time.monotonic() < deadline
            time.sleep(1e-5)

    def watched(arrived, target=None):
        bin, number = learner.passed.bins, learner.passed.steps
        answers = step(arrived, target)
        written[bin], steps[bin] = hands.at, took(number)
        send_what_has_happened()
        return answers

    def stopped() -> bool:
        if not source._waiting:
            hands.move(0.004)
            send_what_has_happened()
        return sent == 400 and not source._waiting

    stream.learner.step = watched  # pyright: ignore[reportAttributeAccessIssue]
    stream.run(stopped)
    sender.close()
    source.close()
    lines = said(stream)
    for line in lines:
        # the sensor's time 0 is the stream's, and was 4 ms before its first datagram came
        due = began + line["time_us"] / 1e6
        assert line["lag_ms"] == pytest.approx(1e3 * (written[line["bin"]] - due), abs=3)
        assert line["lag_ms"] > BIN_US / 1e3 - 3  # which a bin has waited for events
        assert line["target"] == (1 if labels and line["bin"] > 5 else line["target"])
    check(stream, lines, steps, limit_ms)
    assert lines[-1]["late_events"] == 0
    assert source.trouble.dropped == 0
    assert stream.learner.passed.bins > 310
    assert len(lines) > 25
    assert bool(stream.learner.passed.skipped) == (took(0) != 0.001)


def test_bins_that_close_together_have_their_own_ends():
    heard = Heard(100, 10.0, 0)
    heard.reached(10.0001, 100)
    heard.reached(10.0005, 500)
    for bin in range(5):
        assert heard.due(bin) == pytest.approx(10 + (bin + 1) * 1e-4)


def test_what_waits_longer_than_the_quickest_is_behind():
    """A pipe that is not read holds up its writer: events come late, whatever the time at which they come."""
    heard = Heard(1000, 0.0, 0)
    for second in range(1, 11):
        heard.reached(1.5 * second, second * 1_000_000)  # ever later
    for bin in range(10_000):
        assert heard.due(bin) == pytest.approx((bin + 1) / 1000, abs=16 * DRIFT)


def test_events_that_come_faster_than_they_have_happened_are_not_behind_for_that():
    heard = Heard(1000, 0.0, 0)
    heard.reached(0.5, 100_000)
    heard.reached(0.6, 60_000_000)
    heard.reached(0.7, 60_002_000)
    assert [heard.due(bin) for bin in (0, 99)] == pytest.approx([0.001, 0.1], abs=DRIFT)
    assert heard.due(100) == pytest.approx(0.1, abs=2 * DRIFT)  # the arrival at 0.5 was not the quickest
    assert heard.due(30_000) == heard.due(100)
    assert heard.due(59_999) == pytest.approx(0.6)
    assert heard.due(60_001) == pytest.approx(0.602, abs=DRIFT)


def test_a_clock_that_was_set_anew_leaves_nothing_behind():
    heard = Heard(1000, 0.0, 0)
    heard.reached(0.002, 2000)
    heard.reached(3600.0, 2000, anew=True)
    heard.reached(3600.002, 4000)
    assert [heard.due(bin) for bin in range(4)] == pytest.approx([0.001, 0.002, 3600.001, 3600.002])


@given(st.lists(st.tuples(st.floats(0, 10), st.integers(0, 10**6), st.booleans()), min_size=1, max_size=40))
def test_no_bin_ends_after_it_was_heard_of(steps):
    heard, at, stream, closed = Heard(1000, 5.0, 0), 5.0, 0, 0
    for seconds, more, anew in steps:
        at, stream = at + seconds, stream + more
        heard.reached(at, stream, anew=anew)
        while (closed + 1) * 1000 <= stream:
            assert heard.due(closed) <= at + 1e-9
            closed += 1
        assert not heard._stretches or heard._stretches[-1][0] == closed


def test_a_recording_is_due_at_its_own_pace():
    replayed = Replayed(5000, 100.0, 7)
    assert [replayed.due(bin) for bin in (7, 8, 207)] == pytest.approx([100.005, 100.01, 101.005])


@given(st.floats(0, 2), st.lists(st.tuples(st.floats(0, 3), st.floats(0, 3)), max_size=50))
def test_what_is_worked_on_is_within_the_limit_before_its_step(limit, bins):
    given = Limit(1e3 * limit)
    for age, took in bins:
        if not given.drops(age):
            assert age <= limit
            given.took(took)


def test_a_long_step_does_not_stop_a_stream_for_good():
    given = Limit(100)
    assert not given.drops(0.0)
    given.took(60.0)
    dropped = 0
    while given.drops(0.01):
        dropped += 1
    assert 40 < dropped < 60  # 60 s * (7/8)^n < 90 ms

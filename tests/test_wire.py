"""Datagrams, lines, and the sources that they come from."""

from __future__ import annotations

import gc
import os
import re
import socket
import time
from pathlib import Path

import numpy as np
import pytest
from event_files import aedat2, random_events
from hypothesis import given
from hypothesis import strategies as st

from gemsnn.data import sources, wire
from gemsnn.data.events import make_events
from gemsnn.data.sources import File, Pipe, Socket, open_source
from gemsnn.data.wire import Label
from gemsnn.errors import InputError

SOME = make_events(np.array([0, 7, 2**40]), np.array([1, 2, 300]), np.array([5, 6, 7]), np.array([1, 0, 1]))


def collect(source, seconds=5.0):
    """All that comes until the end of the source, or for so many seconds."""
    messages, until = [], time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            arrival = source.poll(0.05)
        except EOFError:
            break
        if arrival is not None:
            messages.append(arrival.message)
    return messages


def joined(messages):
    return np.concatenate([wire.no_events(), *(message.events for message in messages)])


def allowed(read, data):
    """What is read of the data, or ``None`` where it is refused in one line."""
    try:
        return read(data)
    except InputError as refused:
        words = str(refused)
    assert len(words.splitlines()) == 1
    return None


def test_datagrams_are_those_of_faery():
    event = bytes([7, 0, 0, 0, 0, 0, 0, 0, 2, 0, 6, 0, 0])
    assert wire.write_datagram(SOME[1:2]) == event
    np.testing.assert_array_equal(wire.read_datagram(wire.write_datagram(SOME)).events, SOME)


def test_datagrams_written_by_faery_are_read():
    faery = pytest.importorskip("faery")
    raw = np.zeros(3, dtype=faery.EVENTS_DTYPE)
    for name in ("t", "x", "y", "on"):
        raw[name] = SOME[name]
    np.testing.assert_array_equal(wire.read_datagram(raw.tobytes()).events, SOME)


@given(st.binary(max_size=200))
def test_any_datagram_is_read_or_refused_in_a_sentence(data):
    message = allowed(wire.read_datagram, data)
    if message is not None:
        assert len(message.events) == len(data) // 13
        assert (message.events["t"] >= 0).all()


@given(st.binary(max_size=200))
def test_any_line_is_read_or_refused_in_a_sentence(data):
    for read in (wire.read_event, wire.read_label):
        allowed(read, data)
    lines = data.split(b"\n")
    message = wire.read_lines(lines)
    told = len(message.events) + len(message.labels) + len(message.damaged)
    assert told == sum(bool(line.strip()) for line in lines)


@given(
    st.lists(
        st.tuples(*[st.integers(0, 2**64 - 1), *[st.integers(0, 2**16 - 1)] * 2, st.booleans()]), min_size=1
    )
)
def test_a_datagram_of_events_is_never_taken_for_text(rows):
    assert not wire.is_text(np.array(rows, wire.DATAGRAM).tobytes())


@pytest.mark.parametrize(
    ("line", "label"),
    [
        (b"label,5,3", Label(5, 3)),
        (b"label,,3\n", Label(None, 3)),
        (b"label,5,", Label(5, None)),
        (b"label,,", Label(None, None)),
    ],
)
def test_labels(line, label):
    assert wire.read_label(line) == label
    assert wire.is_text(line)
    assert wire.read_lines([line]).labels == (label,)
    assert not wire.is_heading(line)


def test_a_pipe_gives_events_and_labels_and_counts_what_is_neither():
    reader, writer = os.pipe()
    lines = ["t,x,y,on", "0,1,5,1", "", "nonsense", " 7, 2,6,0", "label,8,3", "1,2,3", "1,2,3,4", "9" * 5000]
    os.write(writer, "\n".join([*lines, "8,3,3,1"]).encode())  # the last line has no end
    os.close(writer)
    pipe = Pipe(reader)
    pipe.start()
    messages = collect(pipe)
    os.close(reader)
    assert joined(messages).tolist() == [(0, 1, 5, True), (7, 2, 6, False), (8, 3, 3, True)]
    assert [label for message in messages for label in message.labels] == [Label(8, 3)]
    assert pipe.trouble.damaged == 4
    assert pipe.trouble.first == "line 4: 'nonsense' is no event; write t,x,y,on"


def test_an_endless_line_takes_no_memory():
    reader, writer = os.pipe()
    pipe = Pipe(reader)
    pipe.start()
    for _ in range(50):
        os.write(writer, b"x" * 50_000)
    os.write(writer, b"\n5,1,1,1\n")
    os.close(writer)
    assert len(joined(collect(pipe))) == 1
    assert pipe.trouble.damaged == 1
    os.close(reader)


def test_a_socket_gives_datagrams_and_counts_the_damaged():
    source = open_source("udp://127.0.0.1:0")
    assert isinstance(source, Socket)
    lines = b"label,7,1\n0,1,5,1\nwhat?\r\n7,2,6,0\n\n1099511627776,300,7,1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"label,,9", ("127.0.0.1", source.port))
        assert source.start() == f"listening on udp://127.0.0.1:{source.port}"
        for data in (
            wire.write_datagram(SOME),
            b"abc",
            b"label,,2",
            wire.write_datagram(SOME[:1]) * 100,
            lines,
            b"\xff",
        ):
            sender.sendto(data, ("127.0.0.1", source.port))
    messages = collect(source, 0.5)
    source.close()
    assert len(joined(messages)) == 106
    np.testing.assert_array_equal(messages[-1].events, SOME)
    assert [label for message in messages for label in message.labels] == [Label(None, 2), Label(7, 1)]
    assert source.trouble.damaged == 3
    assert source.trouble.first == "'abc' is no event; write t,x,y,on"


def test_what_the_documentation_sends_is_what_arrives():
    page = (Path(__file__).parents[1] / "docs" / "streams.md").read_text()
    (code,) = re.findall(r"```python\n(import socket.*?)```", page, re.S)
    source = open_source("udp://127.0.0.1:0")
    assert isinstance(source, Socket)
    source.start()
    scope = {}
    exec(code.replace("7000", str(source.port)), scope)
    scope["sender"].close()
    messages = collect(source, 0.5)
    source.close()
    assert joined(messages).tolist() == [(0, 3, 4, True), (250, 3, 5, False), (500, 4, 5, True)]
    assert [label for message in messages for label in message.labels] == [Label(None, 7), Label(None, None)]
    assert source.trouble.damaged == 0


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # faery leaves its socket open
def test_faery_sends_what_is_read():
    faery = pytest.importorskip("faery")
    raw = np.zeros(1000, dtype=faery.EVENTS_DTYPE)
    raw["t"], raw["x"], raw["y"], raw["on"] = (
        np.arange(1000) * 10,
        np.arange(1000) % 30,
        7,
        np.arange(1000) % 3 == 0,
    )
    source = open_source("udp://127.0.0.1:0")
    assert isinstance(source, Socket)
    source.start()
    faery.events_stream_from_array(raw, (34, 34)).to_udp(("127.0.0.1", source.port))
    gc.collect()
    got = joined(collect(source, 0.5))
    source.close()
    for name in ("t", "x", "y", "on"):
        np.testing.assert_array_equal(got[name], raw[name])


def test_datagrams_that_nobody_fetches_are_dropped_oldest_first(monkeypatch):
    monkeypatch.setattr(Socket, "most", 3)
    source = open_source("udp://127.0.0.1:0")
    assert isinstance(source, Socket)
    source.start()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for t in range(10):
            sender.sendto(
                wire.write_datagram(make_events(*np.array([[t], [0], [0], [1]]))), ("127.0.0.1", source.port)
            )
    time.sleep(0.3)
    assert joined(collect(source, 0.3))["t"].tolist() == [7, 8, 9]
    assert source.trouble.dropped == 7
    source.close()


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("udp://127.0.0.1", "no port"),
        ("udp://127.0.0.1:99999", "no port"),
        ("udp://sensor:7000", "no address"),
        ("udp://0.0.0.0:7000", "would let in anyone"),
        ("nowhere.aedat", "no such file"),
    ],
)
def test_sources_that_cannot_be(address, says):
    with pytest.raises(InputError, match=says):
        open_source(address)


def test_a_port_in_use_is_refused():
    first = open_source("udp://localhost:0")
    assert isinstance(first, Socket)
    with pytest.raises(InputError, match="cannot be listened on"):
        open_source(f"udp://127.0.0.1:{first.port}")
    first.close()


def test_a_file_is_read_in_portions(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "CHUNK", 7)
    events = random_events(np.random.default_rng(0), 50, 128, 10_000)
    (tmp_path / "x.aedat").write_bytes(aedat2(events))
    source = open_source(str(tmp_path / "x.aedat"))
    assert isinstance(source, File)
    assert source.sensor == (128, 128)
    messages = collect(source)
    assert max(len(message.events) for message in messages) == 7
    assert joined(messages)["x"].tolist() == events["x"].tolist()


def test_of_a_quiet_sensors_file_a_portion_is_not_long(tmp_path):
    """So that a replay at real speed can be stopped."""
    t = np.array([0, 400_000, 999_999, 1_000_000, 5_000_000, 5_000_001, 9_000_000])
    zeros = np.zeros(len(t), int)
    (tmp_path / "x.aedat").write_bytes(aedat2(make_events(t, zeros, zeros, zeros == 0)))
    messages = collect(open_source(str(tmp_path / "x.aedat")))
    assert [message.events["t"].tolist() for message in messages] == [[*t[:3]], [t[3]], [*t[4:6]], [t[6]]]


@pytest.mark.parametrize("suffix", [".raw", ".dat", ".es", ".aedat4"])
def test_files_that_faery_writes_are_read(tmp_path, suffix):
    faery = pytest.importorskip("faery")
    rng = np.random.default_rng(0)
    raw = np.zeros(20_000, dtype=faery.EVENTS_DTYPE)
    raw["t"] = np.sort(rng.integers(0, 500_000, len(raw)))
    raw["x"], raw["y"], raw["on"] = (rng.integers(0, top, len(raw)) for top in (128, 100, 2))
    path = tmp_path / f"x{suffix}"
    faery.events_stream_from_array(raw, (128, 100)).to_file(path)
    source = open_source(str(path))
    assert source.sensor == (128, 100)
    got = joined(collect(source))
    raw["t"] -= raw["t"][0] if suffix == ".es" else 0  # which has no absolute times
    for name in ("t", "x", "y", "on"):
        np.testing.assert_array_equal(got[name], raw[name])


@pytest.mark.parametrize(
    ("start", "says"),
    [
        (b"", "this is no event file known here"),
        (b"Event Stream\x02\x00\x00\x01", "faery cannot read this file"),
        (b"#!AER-DAT4.0\r\n", "this AEDAT 4 file is damaged"),
    ],
)
def test_files_that_cannot_be_read_are_refused(tmp_path, start, says):
    pytest.importorskip("faery")
    path = tmp_path / "x"
    path.write_bytes(start + b"this is no event file" * 100)
    with pytest.raises(InputError, match=says):
        collect(open_source(str(path)))


def test_without_faery_its_files_are_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "faery", None)
    (tmp_path / "x").write_bytes(b"Event Stream")
    with pytest.raises(InputError, match=r"pip install 'gemsnn\[events\]'"):
        open_source(str(tmp_path / "x"))

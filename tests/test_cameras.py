"""Files of cameras that come in pieces: EVT and DAT against a decoder word by word, faery's writers and its readers."""

from __future__ import annotations

import contextlib
import re
import struct
from pathlib import Path

import numpy as np
import pytest
from event_files import random_events
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared

from gemsnn.data.events import make_events
from gemsnn.data.readers import evt, prophesee, read_recording
from gemsnn.data.readers.aedat4 import check_container
from gemsnn.data.sources import File
from gemsnn.errors import InputError

faery = pytest.importorskip("faery")

EVENTS = random_events(np.random.default_rng(3), 3000, 200, 900_000)
EVENTS["t"] += 1_000_000


def by_faery(path: Path, **kept) -> Path:
    """Events as faery writes them, under a name that tells nothing."""
    raw = np.zeros(len(EVENTS), faery.EVENTS_DTYPE)
    for name in ("t", "x", "y", "on"):
        raw[name] = EVENTS[name]
    faery.events_stream_from_array(raw, (240, 200)).to_file(path, **kept)
    return path.rename(path.with_name("no-name"))


@pytest.mark.parametrize(
    ("name", "kept", "kind"),
    [
        ("x.raw", {"version": "evt2"}, "EVT 2"),
        ("x.raw", {"version": "evt3"}, "EVT 3"),
        ("x.dat", {"version": "dat1"}, "DAT 1"),
        ("x.dat", {"version": "dat2"}, "DAT 2"),
        ("x.es", {}, "ES"),
        ("x.aedat4", {}, "AEDAT 4"),
    ],
)
@pytest.mark.parametrize("block", [prophesee.BLOCK, 1008])
def test_what_faery_writes(tmp_path, name, kept, kind, block, monkeypatch):
    monkeypatch.setattr(prophesee, "BLOCK", block)
    path = by_faery(tmp_path / name, **kept)
    recording = read_recording(path)
    want = make_events(EVENTS["t"] - EVENTS["t"][0], *(EVENTS[n] for n in ("x", "y", "on")))
    order = np.lexsort(
        [want[n] for n in ("y", "x", "t")]
    )  # formats of groups order the events of a microsecond anew
    found = recording.events[np.lexsort([recording.events[n] for n in ("y", "x", "t")])]
    np.testing.assert_array_equal(found, want[order])
    assert recording[1:4] == (240, 200, kind)
    assert recording.repairs == {}
    assert recording.notes == ()
    source, pieces = File(path), []
    assert source.sensor == (240, 200)
    with contextlib.suppress(EOFError):
        while True:
            pieces.append(source.poll(0).message.events)
    assert sum(map(len, pieces)) == 3000


def test_csv_of_faery(tmp_path):
    recording = read_recording(by_faery(tmp_path / "x.csv"))
    np.testing.assert_array_equal(recording.events["x"], EVENTS["x"])
    assert not any("Times" in note for note in recording.notes)  # its heading is that of the wire


def word_by_word(words, version):
    """EVT as its documentation says, one word after the other."""
    found, high, told, low, y, x, on = [], None, None, 0, None, 0, 0
    for word in words:
        bits = {"2": 32, "2.1": 64, "3": 16}[version]
        kind = word >> (bits - 4)
        if kind == 8:
            width = 12 if version == "3" else 28
            new = (word >> (32 if version == "2.1" else 0)) & (2**width - 1)
            if new != told:
                low, told = 0, new
            if high is None:
                high = new
            else:  # the nearest time with these bits
                step = (new - high) % 2**width
                high = max(high + (step if step < 2 ** (width - 1) else step - 2**width), 0)
        elif version != "3" and kind <= 1:
            upper, mask = (word >> 32, word & 0xFFFFFFFF) if version == "2.1" else (word, 1)
            for bit in range(32):
                if mask >> bit & 1 and high is not None:
                    time = high << 6 | upper >> 22 & 63
                    found.append((time, (upper >> 11 & 2047) + bit, upper & 2047, kind))
        elif version == "3":
            value = word & 0xFFF
            time = None if high is None or y is None else high << 12 | low
            if kind <= 1:
                y = value & 2047 if kind == 0 else None
            elif kind == 2 and time is not None:
                found.append((time, value & 2047, y, value >> 11))
            elif kind == 3:
                x, on = value & 2047, value >> 11
            elif kind in (4, 5):
                for bit in range(12 if kind == 4 else 8):
                    if value >> bit & 1 and time is not None:
                        found.append((time, x + bit, y, on))
                x += 12 if kind == 4 else 8
            elif kind == 6:
                low = value
    return found


DECODERS = {"2": (evt.decode2, np.uint32), "2.1": (evt.decode21, np.uint64), "3": (evt.decode3, np.uint16)}


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(list(DECODERS)), st.data())
def test_words_are_decoded_as_documented(version, data):
    """Any words, in any pieces."""
    decode, kind = DECODERS[version]
    bits = 8 * np.dtype(kind).itemsize
    types = st.sampled_from([0, 1, 2, 3, 4, 5, 6, 7, 8, 8, 10, 14, 15])
    one = st.tuples(types, st.integers(0, 2 ** (bits - 4) - 1)).map(
        lambda pair: pair[0] << (bits - 4) | pair[1]
    )
    words = data.draw(st.lists(one, max_size=60))
    cuts = sorted(data.draw(st.lists(st.integers(0, len(words)), max_size=3)))
    held, found = evt.Held(), []
    for start, stop in zip([0, *cuts], [*cuts, len(words)], strict=True):
        events, held = decode(np.array(words[start:stop], kind), held)
        found += events.tolist()
    assert found == [(t, x, y, bool(on)) for t, x, y, on in word_by_word(words, version)]


def raw(*words: int, head: bytes = b"% evt 2.0\n", kind: str = "<u4") -> bytes:
    return head + np.array(words, kind).tobytes()


def test_evt2_by_hand(tmp_path):
    # before any time: OFF at (1, 1); time 5 << 6; ON at low time 3, x 2, y 4; a trigger; OFF at low time 1, x 600, y 0
    words = (1 << 11 | 1, 8 << 28 | 5, 1 << 28 | 3 << 22 | 2 << 11 | 4, 10 << 28, 1 << 22 | 600 << 11)
    (tmp_path / "x").write_bytes(raw(*words) + b"\1\2")
    recording = read_recording(tmp_path / "x")
    assert recording.events.tolist() == [(0, 600, 0, False), (2, 2, 4, True)]
    assert recording[1:4] == (601, 5, "EVT 2")
    assert recording.sensor_inferred
    assert recording.repairs == {
        "events without a time or row": 1,
        "bytes at the end that make no event": 2,
        "events out of order": 1,
    }


@pytest.mark.parametrize("tail", [b"", b"% endianness legacy\n", b"% format EVT21;endianness=little\n"])
def test_evt21_by_hand(tmp_path, tail):
    """Groups of pixels; words in either order of their halves, told or not."""
    group = 1 << 60 | 3 << 54 | 30 << 43 | 4 << 32 | 0x50000003
    words = np.array([8 << 60 | 7 << 32, group, 9 << 54 | 5 << 43 | 1], "<u8")
    head = b"% evt 2.1\n% geometry 1280x720\n" + tail
    halves = words.view("<u4").reshape(-1, 2)
    data = (halves if b"little" in tail else halves[:, ::-1]).tobytes()
    (tmp_path / "x").write_bytes(head + data)
    recording = read_recording(tmp_path / "x")
    pixels = [(0, x, 4, True) for x in (30, 31, 58, 60)]
    assert recording.events.tolist() == [*pixels, (6, 5, 0, False)]
    assert recording[1:4] == (1280, 720, "EVT 2.1")


@pytest.mark.parametrize(
    ("head", "sensor"),
    [
        (b"% evt 2.0\n% geometry 640x480\n", (640, 480)),
        (b"% format EVT2;height=240;width=320\n% end\n", (320, 240)),
        (b"% Width 320\n% Height 240\n% evt 2.0\n", (320, 240)),
        (b"% evt 2.0\n% plugin_name hal_plugin_gen41_evk3\n", (1280, 720)),
        (b"% evt 2.0\n% plugin_name hal_plugin_gen31_fx3\n", (640, 480)),
    ],
)
def test_what_a_header_tells_of_the_sensor(tmp_path, head, sensor):
    (tmp_path / "x").write_bytes(raw(8 << 28, 1 << 28 | 7 << 11, head=head))
    recording = read_recording(tmp_path / "x")
    assert recording[1:3] == sensor
    assert bool(recording.notes) == (b"plugin" in head)


def test_dat_of_a_clock_that_wraps_around(tmp_path):
    words = [2**32 - 10, 5 | 3 << 14 | 1 << 28, 2**32 - 4, 6, 3, 7]
    (tmp_path / "x").write_bytes(
        b"% Data file containing CD events.\n% Version 2\n" + bytes([12, 8]) + raw(*words, head=b"")
    )
    recording = read_recording(tmp_path / "x")
    assert recording.events.tolist() == [(0, 5, 3, True), (6, 6, 0, False), (13, 7, 0, False)]
    assert recording.repairs == {"timestamp wrap-arounds": 1}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (raw(head=b"% evt 2.0\n"), "this EVT 2 file holds no events"),
        (raw(1, 2, 3, head=b"% evt 2.0\n"), "this EVT 2 file holds no events"),
        (raw(1, 2, head=b"% evt 4.0\n"), "of the format '4.0', and EVT 2, 2.1 and 3 are read"),
        (raw(8 << 28, 1 << 28 | 7 << 11, head=b"% evt 2.0\n% geometry 7x7\n"), "outside the 7 x 7 sensor"),
        (raw(8 << 28, 1 << 28, head=b"% evt 2.0\n% geometry 99999x9\n"), "a sensor of 99999 x 9 pixels is none"),
        (b"% Version 2\n" + bytes([14, 8, 0, 0, 0]), "holds events of type 14 and 8 bytes"),
        (b"% Version 2\n\0", "holds no events"),
        (b"% Version 2\n\0\x08" + bytes(5), "this DAT 2 file holds no events"),
        (b"Event Stream\2\0\0\4", "holds colours, not events of pixels"),
        (b"Event Stream", "faery cannot read|ES file"),
        (b"#!AER-DAT4.0\r\n", "is damaged: it ends within its header"),
    ],
)  # fmt: skip
def test_files_of_cameras_that_are_refused(tmp_path, data, words):
    path = tmp_path / "x"
    path.write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        read_recording(path)
    assert str(caught.value).startswith(str(path))


def table_at(data: bytes, header: int) -> int:
    """Where the packets of an AEDAT 4 file end."""
    at = 18 + header
    while struct.pack("<q", at) not in data[: 18 + header]:
        at += 8 + struct.unpack_from("<i", data, at + 4)[0]
    return at


@pytest.mark.parametrize("compression", [("lz4", 1), ("zstd", 3), None])
def test_the_container_of_aedat4(tmp_path, compression):
    """Any length that lies, and a file cut anywhere, are found before a decoder asks for memory."""
    path = by_faery(tmp_path / "x.aedat4", compression=compression)
    data = path.read_bytes()
    check_container(path)
    (header,) = struct.unpack("<I", data[14:18])
    for at, length in ((14, 2**31), (14, header + 5), (18 + header + 4, 2**31 - 1), (18 + header + 4, -5)):
        path.write_bytes(data[:at] + struct.pack("<I", length % 2**32) + data[at + 4 :])
        with pytest.raises(InputError, match="this AEDAT 4 file is damaged: "):
            read_recording(path)
    for cut in (16, 20, 18 + header // 2, 18 + header + 3, table_at(data, header) - 1):
        path.write_bytes(data[:cut])
        with pytest.raises(InputError, match="this AEDAT 4 file is damaged: "):
            read_recording(path)
    path.write_bytes(data.replace(b"sizeX", b"siz\xff\xff"))
    with pytest.raises(InputError, match="its header is no description of streams"):
        read_recording(path)


def test_a_packet_that_unpacks_to_far_more_than_it_is(tmp_path):
    """Blocks of zstd of four bytes that stand for 128 KiB each."""
    path = by_faery(tmp_path / "x.aedat4", compression=("zstd", 3))
    data = path.read_bytes()
    (header,) = struct.unpack("<I", data[14:18])
    block = (1 << 1 | 2**17 << 3).to_bytes(3, "little") + b"\0"
    packet = b"\x28\xb5\x2f\xfd\x00\x58" + block * 40_000 + b"\x01\0\0"
    no_table = data[: 18 + header].replace(struct.pack("<q", table_at(data, header)), struct.pack("<q", -1))
    path.write_bytes(no_table + struct.pack("<ii", 0, len(packet)) + packet)
    with pytest.raises(InputError, match="unpacks to more than any camera writes"):
        read_recording(path)


# -- real files --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["evt2.raw", "evt2_gen4.raw", "evt3_gen4.raw"])
def test_real_raw_recordings(name):
    """As faery reads them; its times never fall, and lag behind by some microseconds where the camera's step back."""
    path = shared("format-samples", name)
    recording = read_recording(path)
    want = np.concatenate(list(faery.events_stream_from_file(path)))
    for field in ("x", "y", "on"):
        np.testing.assert_array_equal(recording.events[field], want[field])
    lag = (want["t"] - want["t"][0]).astype(np.int64) - recording.events["t"]
    assert lag.min() >= 0
    assert lag.max() <= (11 if "evt3" in name else 0)
    assert recording.repairs == {}


def test_a_real_evt3_recording_against_another_reader():
    """That reader takes each step back of the lower 12 bits for a wrap-around; its times are right but for these."""
    truth = np.load(shared("format-samples", "evt3_gen4_truth.npy"))
    recording = read_recording(shared("format-samples", "evt3_gen4.raw"))
    for name, field in (("x", "x"), ("y", "y"), ("on", "p")):
        np.testing.assert_array_equal(recording.events[name], truth[field])
    ahead = truth["t"] - truth["t"][0] - recording.events["t"]
    assert set((ahead % 4096).tolist()) == {0}
    assert (np.diff(ahead) >= 0).all()
    assert ahead[-1] == 11 * 4096


def test_real_files_of_other_cameras():
    sizes = {"dv.aedat4": (320, 240, 111_954), "dvp.aedat4": (346, 260, 9_193), "dvs.es": (320, 240, 473_225)}
    for name, (width, height, count) in sizes.items():
        recording = read_recording(shared("format-samples", name))
        assert (recording.width, recording.height, len(recording.events)) == (width, height, count)
        assert recording.events["t"][0] == 0
    car = read_recording(shared("format-samples", "ncars.dat"))
    assert (car.width, car.height, car.sensor_inferred) == (
        78,
        42,
        True,
    )  # cars of N-CARS are cut out of their frame
    assert 99_000 < car.events["t"][-1] < 100_000  # and last 100 ms
    assert 0.2 < car.events["on"].mean() < 0.8
    for name, words in (
        ("empty_stereo.aedat4", "holds no events"),
        ("generic.es", "holds generic events"),
        ("header_only.aedat", "no pixel events"),
    ):
        with pytest.raises(InputError, match=words):
            read_recording(shared("format-samples", name))


def test_without_faery_only_its_own_kinds_are_refused(tmp_path, monkeypatch):
    path = by_faery(tmp_path / "x.es")
    monkeypatch.setitem(__import__("sys").modules, "faery", None)
    with pytest.raises(InputError, match=re.escape("run pip install 'gemsnn[events]'")):
        read_recording(path)
    path.write_bytes(raw(8 << 28, 1 << 28))
    assert len(read_recording(path).events) == 1

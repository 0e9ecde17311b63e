"""Events as columns: NumPy's files, HDF5 and text, from independent writers; what is told, assumed and refused."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pytest
from event_files import aedat2, nmnist, random_events
from hypothesis import given, settings
from hypothesis import strategies as st
from shared_data import shared

from gemsnn.data.events import make_events
from gemsnn.data.readers import read_recording, units
from gemsnn.data.readers.columns import by_name, by_values
from gemsnn.data.readers.hdf5_heaps import check_heaps
from gemsnn.data.readers.hdf5_spikes import open_spikes
from gemsnn.data.readers.recognise import kind_of
from gemsnn.data.sources import File
from gemsnn.errors import InputError

EVENTS = random_events(np.random.default_rng(0), 400, 30, 900_000)
T, X, Y, ON = (EVENTS[name] for name in ("t", "x", "y", "on"))
HIDDEN = "no-name-tells-what-this-is"


def written(folder: Path, data: bytes) -> Path:
    path = folder / HIDDEN
    path.write_bytes(data)
    return path


def npy_bytes(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array)
    return buffer.getvalue()


def npz_bytes(**arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def text_bytes(*rows: object, separator: str = ",", end: str = "\n") -> bytes:
    lines = [separator.join(str(value) for value in row) if not isinstance(row, str) else row for row in rows]
    return "".join(line + end for line in lines).encode()


def same(recording, *, on=ON, shift: int = 0) -> None:
    """The events are those of all these files, counted from the first one."""
    np.testing.assert_array_equal(recording.events, make_events(T - T[0] + shift, X, Y, on))


# -- NumPy -------------------------------------------------------------------------------------------------

FIELDS = [
    [("t", "i8"), ("x", "i2"), ("y", "i2"), ("p", "?")],
    [("x", "<u2"), ("y", "<u2"), ("p", "<i2"), ("t", "<i8")],  # Prophesee's own
    [("timestamp", "<i8"), ("x", "<i2"), ("y", "<i2"), ("polarity", "i1")],  # dv
    [("polarity", "f4"), ("timestamps", ">u4"), ("xs", "f8"), ("ys", "u1")],
    [("on", "u1"), ("t_us", "f8"), ("row", "i4"), ("col", "i4"), ("adc", "i2")],
]


@pytest.mark.parametrize("fields", FIELDS, ids=lambda f: f[0][0] + f[-1][0])
@pytest.mark.parametrize("signs", [(0, 1), (-1, 1)])
def test_structured_arrays(tmp_path, fields, signs):
    array = np.zeros(len(T), fields)
    sources = {"t": T + 5_000_000, "x": X, "y": Y, "p": np.where(ON, signs[1], signs[0])}
    found = by_name([name for name, _ in fields], "")
    assert found is not None
    if signs[0] < 0 and array.dtype[found.columns["p"]].kind in "ub":
        pytest.skip("the type has no -1")
    for role, name in found.columns.items():
        array[name] = sources[role]
    for data in (npy_bytes(array), npz_bytes(events=array)):
        recording = read_recording(written(tmp_path, data))
        same(recording)
        assert (recording.width, recording.height, recording.sensor_inferred) == (
            X.max() + 1,
            Y.max() + 1,
            True,
        )
        assert any("microseconds" in note for note in recording.notes) == ("t_us" not in array.dtype.names)


def test_npz_of_an_array_a_column(tmp_path):
    path = written(tmp_path, npz_bytes(x=X, y=Y, t=T, p=ON, width=40, height=np.array([50])))
    recording = read_recording(path)
    same(recording)
    assert (recording.width, recording.height, recording.sensor_inferred) == (40, 50, False)
    path = written(tmp_path, npz_bytes(xs=X[:, None], ys=Y, ts=T / 1e6, ps=np.where(ON, 1, -1)))
    same(read_recording(path))
    with pytest.raises(InputError, match="different lengths: 400 of t, 399 of x"):
        read_recording(written(tmp_path, npz_bytes(t=T, x=X[1:], y=Y, p=ON)))
    with pytest.raises(InputError, match="holds the arrays weights, bias, which are not"):
        read_recording(written(tmp_path, npz_bytes(weights=X, bias=Y)))
    with pytest.raises(InputError, match="offsets says that many recordings lie here end to end"):
        read_recording(written(tmp_path, npz_bytes(offsets=np.arange(3), t_us=T, taxel=X)))


FLOATS = [("t_s", "f8"), ("x", "f8"), ("y", "f8"), ("p", "f8")]
ORDERS = ["t x y p", "x y t p", "x y p t", "p x y t", "t p x y"]


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("signs", [(0, 1), (-1, 1)])
@pytest.mark.parametrize("scale", [1, 1e-6])
def test_columns_without_names(tmp_path, order, signs, scale):
    sources = {"t": (T + 700) * scale, "x": X, "y": Y, "p": np.where(ON, signs[1], signs[0])}
    table = np.stack([sources[name] for name in order.split()], axis=1)
    recording = read_recording(written(tmp_path, npy_bytes(table)))
    same(recording)
    assert f"taken as {order.replace(' ', ', ')}, by their values, x before y" in recording.notes[0]
    text = text_bytes(*((f"{value:.10g}" for value in row) for row in table.tolist()), separator=" ")
    same(read_recording(written(tmp_path, text)))


def test_columns_without_names_where_they_are_like_each_other():
    """A row of pixels has y = 0 throughout, which could be a polarity; the place of t tells, or nothing does."""
    t, x, zero, p = np.arange(9) * 9000, np.arange(9) % 5 + 2, np.zeros(9), np.arange(9) % 2
    assert by_values(np.stack([t, x, zero, p], 1), "").columns == {"t": 0, "x": 1, "y": 2, "p": 3}
    assert by_values(np.stack([x, zero, t, p], 1), "").columns == {"x": 0, "y": 1, "t": 2, "p": 3}
    assert by_values(np.stack([t, x], 1), "").columns == {"t": 0, "channel": 1}
    assert by_values(np.stack([x, t], 1), "").columns == {"channel": 0, "t": 1}
    assert by_values(np.stack([t, x, p], 1), "").columns == {"t": 0, "channel": 1, "p": 2}
    assert by_values(np.stack([t, x, x[::-1]], 1), "").columns == {"t": 0, "x": 1, "y": 2}
    with pytest.raises(InputError, match="which column is the time cannot be told"):
        by_values(np.stack([x, x[::-1], zero, p], 1), "")
    with pytest.raises(InputError, match="which column is the time cannot be told"):
        by_values(np.stack([t, t, x, p], 1), "")
    with pytest.raises(InputError, match="which column is the polarity cannot be told"):
        by_values(np.stack([t, x, x, x], 1), "")
    with pytest.raises(InputError, match="5 columns without names"):
        by_values(np.stack([t, x, x, p, p], 1), "")


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (np.zeros((3, 4, 5)), r"float64 \[3, 4, 5\] holds no events"),
        (np.zeros(0, FIELDS[0]), "holds no events"),
        (np.zeros(3, [("a", "i8"), ("x", "i8")]), "the fields a, x are not those of events"),
        (np.zeros(3, [("t", "i8"), ("time", "i8"), ("x", "i8")]), "t and time could both be the column t"),
        (np.array(["a"]), "holds no events"),
        (np.zeros(3, [("t", "i8", (2,)), ("x", "i8"), ("y", "i8")]), "not a number an event"),
        (np.array([(0.5, 1, 1, 0), (np.nan, 1, 1, 0)], FLOATS), "t of event 1 is nan"),
        (np.array([(1, 40_000, 1, 0)], [(n, "i8") for n in "txyp"]), "x of events lies in 40000 .. 40000"),
        (np.array([(1, 1, -1, 0)], [(n, "i8") for n in "txyp"]), "y of events lies in -1 .. -1"),
        (np.array([(1, 0.5, 1, 0)], FLOATS), "x of events has fractions"),
        (np.array([(1, 1, 1, 2)], [(n, "i8") for n in "txyp"]), "polarities must be 0 and 1, or -1 and 1"),
        (np.array([(2**63, 1, 1, 1)], [(n, "u8") for n in "txyp"]), "beyond 63 bits"),
        (np.array([(0, 1, 1, 1), (1e30, 1, 1, 1)], FLOATS), "times span"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_events(tmp_path, array, words):
    path = written(tmp_path, npy_bytes(array))
    with pytest.raises(InputError, match=words) as caught:
        read_recording(path)
    assert str(caught.value).startswith(str(path))


def test_headers_that_lie(tmp_path):
    good = npy_bytes(np.zeros((4, 4)))
    lying = good.replace(b"(4, 4)", b"(999999999999, 4)".ljust(6))
    fixed = lying[:8] + (len(lying) - 10 - 128).to_bytes(2, "little") + lying[10:]
    with pytest.raises(InputError, match=r"announces 31999999999968 bytes .*holds at most|damaged"):
        read_recording(written(tmp_path, fixed))
    with pytest.raises(InputError, match="holds Python objects"):
        read_recording(written(tmp_path, npy_bytes_of_objects()))
    with pytest.raises(InputError, match=r"is damaged|announces"):
        read_recording(written(tmp_path, good[:-9]))
    with pytest.raises(InputError, match="damaged header"):
        read_recording(written(tmp_path, good[:20]))
    whole = npz_bytes(t=T, x=X, y=Y)
    with pytest.raises(InputError, match="zip file"):  # its directory is gone: what it held cannot be told
        read_recording(written(tmp_path, whole[:-40]))
    (tmp_path / "x.npz").write_bytes(whole[:-40])
    with pytest.raises(InputError, match=r"cannot be read as \.npz"):
        read_recording(tmp_path / "x.npz")


def npy_bytes_of_objects() -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, np.array([{}], object), allow_pickle=True)
    return buffer.getvalue()


# -- HDF5 --------------------------------------------------------------------------------------------------


def hdf5_at(folder: Path, make) -> Path:
    path = folder / HIDDEN
    path.unlink(missing_ok=True)
    with h5py.File(path, "w") as file:
        make(file)
    return path


def _group(file, place="events", names="xypt", **changed):
    for name in names:
        role = name[0]
        values = changed.get(role, {"x": X, "y": Y, "p": ON.astype("u1"), "t": T}[role])
        file[f"{place}/{name}"] = values


def test_hdf5_of_a_group_of_columns(tmp_path):
    def dsec(file):
        _group(file)
        file["ms_to_idx"], file["t_offset"] = np.arange(900), 49_599_300_523

    recording = read_recording(hdf5_at(tmp_path, dsec))
    same(recording)
    assert not any("microseconds" in note for note in recording.notes)  # the index of milliseconds tells it
    assert recording.format == "HDF5"

    def e2vid(file):
        for name, values in (("xs", X), ("ys", Y), ("ps", ON), ("ts", 1.5e9 + T / 1e6)):
            file[f"events/{name}"] = values
        file.attrs["sensor_resolution"] = (180, 240)

    recording = read_recording(hdf5_at(tmp_path, e2vid))
    np.testing.assert_allclose(recording.events["t"], T - T[0], atol=1)
    assert (recording.width, recording.height, recording.sensor_inferred) == (240, 180, False)
    assert any("taken as seconds" in note for note in recording.notes)

    def units_as_attributes(file):
        _group(file, "deep/down/in/CD", t=T / 1e3)
        file["deep/down/in/CD/t"].attrs["unit"] = "ms"
        file["deep"].attrs["geometry"] = "64x48"

    recording = read_recording(hdf5_at(tmp_path, units_as_attributes))
    same(recording)
    assert recording[1:3] == (64, 48)
    assert recording.notes == ()


@pytest.mark.parametrize("filters", [{}, {"compression": "gzip"}, {"compression": "lzf", "shuffle": True}])
def test_hdf5_of_a_table_or_an_array(tmp_path, filters):
    table = np.zeros(len(T), [("x", "u2"), ("y", "u2"), ("p", "i2"), ("t", "i8")])
    table["x"], table["y"], table["p"], table["t"] = X, Y, ON, T
    same(read_recording(hdf5_at(tmp_path, lambda f: f.create_dataset("CD/events", data=table, **filters))))
    v2e = np.stack([T, X, Y, ON], axis=1).astype("u4")
    recording = read_recording(hdf5_at(tmp_path, lambda f: f.create_dataset("events", data=v2e, **filters)))
    same(recording)
    mvsec = np.stack([X, Y, 1.5e9 + T / 1e6, np.where(ON, 1, -1)], axis=1)

    def of_one_eye(file):
        file.create_dataset("davis/left/events", data=mvsec, **filters)
        file["davis/left/imu"], file["davis/left/other"] = np.zeros((9, 6)), np.zeros((9, 4))
        file["davis"].attrs["width"], file["davis"].attrs["height"] = 346, 260

    def in_milliseconds(file):
        file["events"] = np.stack([T / 1000, X, Y, ON], axis=1)
        file["events"].attrs["time_unit"] = "ms"

    recording = read_recording(hdf5_at(tmp_path, in_milliseconds))
    same(recording)
    assert not any("Times" in note for note in recording.notes)
    recording = read_recording(hdf5_at(tmp_path, of_one_eye))
    np.testing.assert_allclose(recording.events["t"], T - T[0], atol=1)
    assert recording[1:3] == (346, 260)
    with pytest.raises(InputError, match=r"in 2 places \(/left/events, /right/events\)"):
        read_recording(
            hdf5_at(
                tmp_path, lambda f: [f.create_dataset(f"{s}/events", data=v2e) for s in ("left", "right")]
            )
        )


def _linked(file):
    file["events/t"] = h5py.ExternalLink("secret.h5", "t")
    file["events/x"], file["events/y"] = X, Y


def _around(file):
    file["a/b"] = file["/"]
    file["a/c"] = h5py.SoftLink("/a")


def _virtual(file):
    layout = h5py.VirtualLayout((4,), "i8")
    layout[:] = h5py.VirtualSource("secret.h5", "t", (4,))
    file.create_virtual_dataset("events/t", layout)
    file["events/x"] = np.arange(4)


def _filtered(file):
    kept = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    kept.set_chunk((4, 4))
    kept.set_filter(32001, h5py.h5z.FLAG_OPTIONAL, (0,))
    h5py.h5d.create(file.id, b"events", h5py.h5t.NATIVE_INT64, h5py.h5s.create_simple((4, 4)), kept)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (_linked, "no events in a group or table"),
        (_around, "no events in a group or table"),
        (_virtual, "takes its numbers from other files"),
        (_filtered, "compressed by the HDF5 filter 32001, which is not installed"),
        (lambda f: f.create_dataset("events", (2**40, 4), "i8", maxshape=(None, 4)), "too many for one recording"),
        (lambda f: f.create_dataset("events", (10**7, 4), "i8", maxshape=(None, 4)), "claims 40000000 numbers"),
        (lambda f: _group(f, x=X[1:]), "different lengths"),
        (lambda f: _group(f, y=Y * 1.5), "fractions"),
        (lambda f: f.__setitem__("events/t", [b"a"]) or f.__setitem__("events/x", [1]), "not numbers"),
    ],
)  # fmt: skip
def test_hdf5_that_is_refused(tmp_path, make, words):
    with h5py.File(tmp_path / "secret.h5", "w") as secret:
        secret["t"] = np.arange(4)
    path = hdf5_at(tmp_path, make)
    with pytest.raises(InputError, match=words) as caught:
        read_recording(path)
    assert str(caught.value).startswith(str(path))


def spoken(file, kind="f2", count=7, channels=70):
    rng = np.random.default_rng(5)
    times = file.create_dataset("spikes/times", (count,), h5py.vlen_dtype(np.dtype(kind)))
    units_of = file.create_dataset("spikes/units", (count,), h5py.vlen_dtype(np.dtype("u2")))
    written = []
    for i in range(count):
        t = np.sort(rng.random(20 + i)).astype(kind)
        t[0] = 0.125
        t = np.sort(t)
        times[i], units_of[i] = t, rng.integers(0, channels, 20 + i)
        written.append((np.asarray(times[i]), np.asarray(units_of[i])))
    file["labels"] = np.arange(count) % 3
    file["extra/keys"] = [b"null", b"eins", b"zwei"]
    return written


@pytest.mark.parametrize("kind", ["f2", "f4", "f8"])
def test_many_spoken_words_in_one_file(tmp_path, kind):
    path = tmp_path / HIDDEN
    with h5py.File(path, "w") as file:
        written = spoken(file, kind)
    widest = max(int(channel.max()) for _, channel in written) + 1
    with open_spikes(path) as held:
        assert (len(held), held.names, held.width) == (7, ("null", "eins", "zwei"), widest)
        assert held.labels.tolist() == [0, 1, 2, 0, 1, 2, 0]
        for recording, (t, channel) in zip(held, written, strict=True):
            assert recording.events["t"].tolist() == [
                round(float(each) * 1e6) for each in t
            ]  # on its own clock
            assert recording.events["x"].tolist() == channel.tolist()
            assert recording[1:3] == (widest, 1)
            assert recording.events["on"].all()
        assert np.array_equal(held[3].events["x"], written[3][1])
    with open_spikes(path, "ms") as held:
        assert held[0].events["t"][-1] == round(float(written[0][0][-1]) * 1e3)
    with pytest.raises(InputError, match="many recordings"):
        read_recording(path)
    with h5py.File(path, "a") as file:
        del file["labels"]
        file["labels"] = np.arange(6)
    with pytest.raises(InputError, match="a whole number for each of the 7"), open_spikes(path):
        pass


def test_a_heap_that_the_library_would_look_at_for_ever(tmp_path):
    path = tmp_path / HIDDEN
    with h5py.File(path, "w") as file:
        spoken(file)
    check_heaps(path)
    data = path.read_bytes()
    heap = data.index(b"GCOL\1\0\0\0")
    size = int.from_bytes(data[heap + 8 : heap + 16], "little")
    at = heap + 16
    while data[at : at + 2] != b"\0\0":  # on to the free space
        at += 16 + (int.from_bytes(data[at + 8 : at + 16], "little") + 7) // 8 * 8
    for place, number in ((at + 8, 0), (heap + 24, 2**63), (heap + 8, size * 2**20), (heap + 8, 8)):
        path.write_bytes(data[:place] + number.to_bytes(8, "little") + data[place + 8 :])
        with pytest.raises(InputError, match="a heap at byte"), open_spikes(path):
            pass
        with pytest.raises(InputError, match="a heap at byte"):
            read_recording(path)


# -- text --------------------------------------------------------------------------------------------------

ROWS = [(int(t), int(x), int(y), int(p)) for t, x, y, p in zip(T, X, Y, ON, strict=True)]


@pytest.mark.parametrize("separator", [",", ";", "\t", " ", "  ", ", "])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize(
    "head", [(), ("t{0}x{0}y{0}p",), ("# comment", "t{0}x{0}y{0}p", "# more"), ("# t x y p",)]
)
def test_text(tmp_path, separator, end, head):
    heading = [line.format(separator) for line in head]
    recording = read_recording(written(tmp_path, text_bytes(*heading, *ROWS, separator=separator, end=end)))
    same(recording)
    assert recording.format == "text"
    assert any("no names" in note for note in recording.notes) == (head == ())


def test_text_with_other_columns_and_spellings(tmp_path):
    rows = [(n, bool(p), f"{t / 1000:.3f}", "left", y, f'"{x}"') for n, (t, x, y, p) in enumerate(ROWS)]
    heading = ',"polarity",time [ms],camera,y,"x"'
    recording = read_recording(written(tmp_path, "﻿".encode() + text_bytes(heading, *rows)))
    same(recording)
    assert not any("Times" in note for note in recording.notes)


def test_text_that_tells_the_sensor(tmp_path):
    for head in (["% geometry:64,48"], ["64 48"], ["# width: 64", "# height: 48"], ["# sensor size 64x48"]):
        recording = read_recording(written(tmp_path, text_bytes(*head, *ROWS, separator=" ")))
        same(recording)
        assert (recording.width, recording.height, recording.sensor_inferred) == (64, 48, False), head
    with pytest.raises(InputError, match="outside the 20 x 20 sensor"):
        read_recording(written(tmp_path, text_bytes("20 20", *ROWS, separator=" ")))


def test_lines_of_the_wire_are_a_file(tmp_path):
    """Its heading tells the unit, and its labels are left out and told."""
    lines = [*ROWS[:5], "label,1000,2", *ROWS[5:], "label,,"]
    recording = read_recording(written(tmp_path, text_bytes("t,x,y,on", *lines)))
    same(recording)
    assert "Lines that tell labels are for streams, and were left out: 2." in recording.notes
    assert not any("Times" in note for note in recording.notes)


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (["t,x,y,p", *ROWS[:3], "12,x,3,1", *ROWS[3:]], r"line 5 \('12,x,3,1'\) is no event of 4 columns"),
        (["t,x,y,p", *ROWS[:3], "12,3,1", *ROWS[3:]], r"line 5 \('12,3,1'\) is no event"),
        (["t,x,y,p", *ROWS[:3], "12,3,1,1,1"], r"line 5 \('12,3,1,1,1'\) is no event"),
        (["# a", "", *ROWS, "17,3"], r"line 403 \('17,3'\) is no event"),
        (["t,x,y,p"], "no line of numbers"),
        (["t,x,y,p,q", *ROWS], "the heading names 5 columns and line 2 has 4"),
        (["t,x,y,p", "1,2,3,nan"], "p of event 0 is nan"),
        (["t,x,y,p", "1e999,2,3,1"], "t of event 0 is inf"),
        (["t,x,y,p", "1,2,3,7"], "polarities must be"),
        (["time,timestamp,x,y", *ROWS], "time and timestamp could both be"),
        (["t,x,y,p", "1,2,3,1" + " " * 20_000], "unit|longer"),
    ],
)  # fmt: skip
def test_text_that_is_refused(tmp_path, lines, words):
    path = written(tmp_path, text_bytes(*lines))
    if lines[-1] == "1,2,3,1" + " " * 20_000:
        assert len(read_recording(path).events) == 1
        return
    with pytest.raises(InputError, match=words) as caught:
        read_recording(path)
    assert str(caught.value).startswith(str(path))


@pytest.mark.parametrize(
    "text", ["hello", "# Title\n\nSome words, 3 of them.\n", '{"a": [1, 2]}', "1\n2\n3\n", "a,b\n1,2\n"]
)
def test_text_that_is_no_table_of_events(tmp_path, text):
    path = written(tmp_path, text.encode())
    assert kind_of(path) is None
    with pytest.raises(InputError, match="no event file known here"):
        read_recording(path)


def test_text_longer_than_a_block(tmp_path, monkeypatch):
    from gemsnn.data.readers import text_files

    monkeypatch.setattr(text_files, "BLOCK", 1000)
    same(read_recording(written(tmp_path, text_bytes("t,x,y,p", *ROWS))))
    with pytest.raises(InputError, match=r"line 302 \('bad'\)"):
        read_recording(written(tmp_path, text_bytes("t,x,y,p", *ROWS[:300], "bad", *ROWS[300:])))
    with pytest.raises(InputError, match="longer than any line of events"):
        read_recording(written(tmp_path, text_bytes("t,x,y,p", *ROWS) + b"1" * 20_000))


# -- units -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "unit"),
    [("t", None), ("t_us", "us"), ("time [ms]", "ms"), ("Timestamps_ns", "ns"), ("t(s)", "s"), ("time_seconds", "s"),
     ("ts_us", "us"), (" Time ", None), ("timestamp (µs)", "us"), ("t_x", "none"), ("tms", "none?")],
)  # fmt: skip
def test_the_unit_in_a_name(name, unit):
    found = by_name([name, "x"], "")
    if unit == "none":
        assert found is None
    elif unit != "none?":
        assert found is not None
        assert found.unit == unit


@pytest.mark.parametrize("unit", ["us", "ms", "s", "ns"])
@pytest.mark.parametrize("kind", ["i8", "f8"])
def test_a_unit_that_is_told_is_exact(unit, kind):
    scale = {"us": 1, "ms": 1e-3, "s": 1e-6, "ns": 1e3}[unit]
    t = (np.array([5, 7, 20, 3]) * 1_000_000 * scale).astype(kind)
    assert units.microseconds(t, unit, "").tolist() == [2_000_000, 4_000_000, 17_000_000, 0]


CASES = [
    # seconds: fractions over a short span, or finer than a thousandth
    (np.arange(1000) / 997, "s"),
    (1.5e9 + np.arange(1000) / 997, "s"),
    (np.linspace(0, 1.4, 700).astype("f2"), "s"),
    (np.arange(5000) * 0.0123457, "s"),
    (np.arange(5000) * 0.123457, "s"),  # 617 s, finer than a thousandth
    (np.arange(5000) * 0.017, None),  # 85: milliseconds in microseconds, or seconds in milliseconds
    (np.arange(5000) * 0.5, None),
    # whole numbers
    (np.arange(5000) * 200, "us"),
    (np.arange(5000.0) * 200, "us"),
    (1_663_249_605_734_020 + np.arange(5000) * 200, "us"),
    (1_663_249_605_734_020_000 + np.arange(5000) * 200_000, "ns"),
    (np.arange(5000), None),  # 5 ms, or 5 s in milliseconds
    (np.arange(5000) * 1_000_000, None),  # more than an hour, or 5 s in nanoseconds
    (np.arange(50) * 200_000, None),  # 5 events a second
    (np.full(5, 7), "us"),
]  # fmt: skip


@pytest.mark.parametrize(("t", "unit"), CASES, ids=range(len(CASES)))
def test_the_unit_by_the_numbers(t, unit):
    if unit is None:
        with pytest.raises(InputError, match=r"give time_unit .*us, ms, s and ns"):
            units.decide(t, "here")
        return
    found, notes = units.decide(t, "here")
    assert found == unit
    assert len(notes) == (t.min() != t.max())


def test_a_unit_that_is_asked_for_and_given(tmp_path):
    path = written(tmp_path, text_bytes("t,x,y,p", *((round(t / 1000), x, y, p) for t, x, y, p in ROWS)))
    with pytest.raises(
        InputError, match="unit of time cannot be told: the times are 400 whole numbers that span 895"
    ):
        read_recording(path)
    recording = read_recording(path, time_unit="ms")
    np.testing.assert_allclose(recording.events["t"], T - T[0], atol=1000)
    with pytest.raises(InputError, match="time_unit must be us, ms, s or ns, not 'minutes'"):
        read_recording(path, time_unit="minutes")  # pyright: ignore[reportArgumentType]
    (tmp_path / "a").write_bytes(aedat2(EVENTS))
    with pytest.raises(InputError, match="AEDAT files count microseconds, not ms; leave time_unit out"):
        read_recording(tmp_path / "a", time_unit="ms")


# -- order and rows ----------------------------------------------------------------------------------------


def test_disorder_is_sorted_counted_and_told_if_it_is_large(tmp_path):
    swapped = [ROWS[1], ROWS[0], *ROWS[2:]]
    recording = read_recording(written(tmp_path, text_bytes("t_us,x,y,p", *swapped)))
    same(recording)
    assert recording.repairs == {"events out of order": 1}
    assert not any("sorted" in note for note in recording.notes)
    by_polarity = sorted(ROWS, key=lambda row: (row[3], row[0]))
    recording = read_recording(written(tmp_path, text_bytes("t_us,x,y,p", *by_polarity)))
    assert recording.repairs == {"events out of order": 1}
    assert sorted(recording.events.tolist()) == sorted(make_events(T - T[0], X, Y, ON).tolist())
    assert any("check that it is one recording" in note for note in recording.notes)


def test_jumps_ahead_are_closed(tmp_path):
    late = [(t + 60_000_000 * (n >= 200), x, y, p) for n, (t, x, y, p) in enumerate(ROWS)]
    recording = read_recording(written(tmp_path, text_bytes("t_us,x,y,p", *late)))
    assert recording.repairs == {"timestamp jumps ahead": 1}
    assert recording.events["t"][-1] < 900_000


def test_a_row_of_channels(tmp_path):
    for data in (
        text_bytes("time_us,taxel", *((t, x) for t, x, _, _ in ROWS)),
        npz_bytes(t_us=T, channel=X),
        npy_bytes(np.stack([T, X], axis=1)),
    ):
        recording = read_recording(written(tmp_path, data))
        np.testing.assert_array_equal(recording.events["x"], X)
        assert (recording.width, recording.height) == (X.max() + 1, 1)
        assert recording.events["on"].all()
        assert any("the extent of its events" in note for note in recording.notes)
    recording = read_recording(
        written(tmp_path, text_bytes("address,p,t_us", *((x, p, t) for t, x, _, p in ROWS)))
    )
    assert recording.events["on"].tolist() == ON.tolist()


def test_labels_around_objects_are_no_events(tmp_path):
    boxes = np.zeros(
        9, [("ts", "u8"), ("x", "f4"), ("y", "f4"), ("w", "f4"), ("h", "f4"), ("class_id", "u4")]
    )
    with pytest.raises(InputError, match="the fields ts, x, y, w, h, class_id are not those of events"):
        read_recording(written(tmp_path, npy_bytes(boxes)))
    assert kind_of(written(tmp_path, text_bytes("t,x,y,w,h", *[(1, 2, 3, 4, 5)] * 9))) is None


def test_a_stream_of_a_file_knows_it_by_its_content_too(tmp_path):
    source = File(
        written(
            tmp_path,
            text_bytes("% geometry 64x48", "p,t_ms,x,y", *((p, t / 1000, x, y) for t, x, y, p in ROWS)),
        )
    )
    assert (source.sensor, source.origin, source.repairs) == ((64, 48), 0, {})
    events = source.poll(0).message.events
    np.testing.assert_array_equal(events, make_events(T - T[0], X, Y, ON))


# -- recognition -------------------------------------------------------------------------------------------


def test_no_name_plays_a_part(tmp_path):
    """Each content under the name of each other one."""
    kinds = {
        "a.aedat": aedat2(EVENTS),
        "b.bin": nmnist(EVENTS),
        "c.npy": npy_bytes(np.stack([T, X, Y, ON], axis=1)),
        "d.npz": npz_bytes(t=T, x=X, y=Y, p=ON),
        "e.csv": text_bytes("t,x,y,p", *ROWS),
    }
    with h5py.File(tmp_path / "f.h5", "w") as file:
        _group(file)
    kinds["f.h5"] = (tmp_path / "f.h5").read_bytes()
    found = {}
    for data in kinds.values():
        formats = set()
        for name in (*kinds, "x", "x.raw", "x.dat", "x.es", "x.aedat4", "x.txt"):
            (tmp_path / name).write_bytes(data)
            recording = read_recording(tmp_path / name)
            formats.add(recording.format)
            np.testing.assert_array_equal(recording.events["x"], X)
        assert len(formats) == 1
        found[formats.pop()] = 1
    assert list(found) == ["AEDAT 2.0", "N-MNIST", "npy", "npz", "text", "HDF5"]


def test_what_is_no_event_file_is_told_in_a_sentence(tmp_path):
    import bz2
    import gzip
    import lzma
    import pickle

    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a.txt", "x")
    for data, words in (
        (gzip.compress(aedat2(EVENTS)), "a gzip file; unpack it first"),
        (bz2.compress(aedat2(EVENTS)), "a bzip2 file; unpack it first"),
        (lzma.compress(aedat2(EVENTS)), "an xz file; unpack it first"),
        (pickle.dumps([1], 4), "a pickle"),
        (archive.getvalue(), "a zip file, not one recording"),
        (b"#ROSBAG V2.0\n\0\0\0", "a ROS bag"),
        (b"#!AER-DAT1.0\r\n\0\0", r"an AEDAT 1\.0 file"),
        (b"#!AER-DAT3.1\r\n\0\0", r"an AEDAT 3\.1 file.*convert it"),
        (b"\0\0\x08\x03\0\0", "holds images"),
        (b"\xff" * 40, "no event file known here"),
    ):
        with pytest.raises(InputError, match=words):
            read_recording(written(tmp_path, data))


def five_bytes(events) -> bytes:
    t, on = events["t"], events["on"].astype(np.int64)
    columns = [events["x"], events["y"], on << 7 | t >> 16, t >> 8 & 0xFF, t & 0xFF]
    return np.stack(columns, axis=1).astype(np.uint8).tobytes()


def test_five_bytes_an_event(tmp_path):
    """N-MNIST by its pixels, N-Caltech101 by the order of its times and many pixels beyond, of which damage has few."""
    big = random_events(np.random.default_rng(4), 500, 200, 300_000)
    recording = read_recording(written(tmp_path, five_bytes(big)))
    assert recording[1:4] == (big["x"].max() + 1, big["y"].max() + 1, "N-Caltech101")
    np.testing.assert_array_equal(recording.events, big)
    assert recording.sensor_inferred
    small = bytearray(nmnist(random_events(np.random.default_rng(5), 500, 34, 300_000)))
    assert read_recording(written(tmp_path, bytes(small))).format == "N-MNIST"
    small[5] = 200
    (tmp_path / "x.bin").write_bytes(small)
    with pytest.raises(InputError, match="lie outside N-MNIST's 34 x 34"):
        read_recording(tmp_path / "x.bin")
    rng = np.random.default_rng(6)
    for size in (5, 500, 5000):
        assert kind_of(written(tmp_path, b"\xff" + rng.bytes(size - 1))) is None
    assert kind_of(written(tmp_path, bytes(500))) is None


@settings(max_examples=300, deadline=None)
@given(st.integers(2, 60), st.sampled_from(ORDERS), st.integers(2, 100), st.randoms(use_true_random=False))
def test_columns_are_told_right_or_asked_for(count, order, side, random):
    """Of random events the columns by their values are right whenever they are told."""
    t = np.sort([random.randrange(10**6) for _ in range(count)])
    sources = {"t": t, "x": [random.randrange(side) for _ in t], "y": [random.randrange(side) for _ in t],
               "p": [random.randrange(2) for _ in t]}  # fmt: skip
    table = np.stack([np.asarray(sources[name]) for name in order.split()], axis=1)
    try:
        found = by_values(table, "here")
    except InputError:
        return
    if t.max() >= 2**15 and all(np.ptp(sources[name]) > 1 for name in "xy"):
        assert [found.columns[role] for role in order.split()] == [0, 1, 2, 3]


# -- real files --------------------------------------------------------------------------------------------


def test_a_real_structured_array():
    path = shared("format-samples", "evt3_gen4_truth.npy")
    raw = np.load(path)
    recording = read_recording(path)
    for name, field in (("x", "x"), ("y", "y"), ("on", "p")):
        np.testing.assert_array_equal(recording.events[name], raw[field])
    np.testing.assert_array_equal(recording.events["t"], raw["t"] - raw["t"][0])
    assert (recording.width, recording.height) == (1280, 720)


def test_real_recordings_as_columns(tmp_path):
    """A real recording written as text, HDF5 and NumPy reads as it did before."""
    path = sorted(shared("poker-dvs").glob("*.aedat"))[0]
    want = read_recording(path).events
    table = np.stack([want[name].astype(np.int64) for name in ("t", "x", "y", "on")], axis=1)
    np.savetxt(tmp_path / "a", table, fmt="%d", header="t x y p")
    np.savetxt(tmp_path / "b", table, fmt="%d")
    np.save(tmp_path / "c.npy", table)
    np.save(tmp_path / "d.npy", want)
    with h5py.File(tmp_path / "e", "w") as file:
        file["events"] = table
    for name in ("a", "b", "c.npy", "d.npy", "e"):
        np.testing.assert_array_equal(read_recording(tmp_path / name).events, want)


def test_notes_are_fit_for_a_report(tmp_path):
    recording = read_recording(written(tmp_path, npy_bytes(np.stack([T, X, Y, ON], axis=1))))
    assert len(recording.notes) == 3
    for note in recording.notes:
        assert note[0].isupper()
        assert note.endswith(".")
        json.dumps(note)

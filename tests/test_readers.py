from __future__ import annotations

import contextlib
import gzip
import json
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest
from event_files import (
    HEADER,
    aedat2,
    dvs_name,
    dvs_zip,
    hdf5,
    nmnist,
    random_events,
    raw_aedat2,
)
from hypothesis import example, given, settings
from hypothesis import strategies as st
from shared_data import shared

from gemsnn.data.events import Recording, check_events, make_events
from gemsnn.data.readers import describe, read_aedat2, read_nmnist, read_recording
from gemsnn.data.readers.aedat2 import mend_timestamps
from gemsnn.errors import InputError


@st.composite
def events_on(draw, side: int, last_us: int):
    count = draw(st.integers(1, 40))
    pixel = st.lists(st.integers(0, side - 1), min_size=count, max_size=count)
    t = sorted(draw(st.lists(st.integers(0, last_us), min_size=count, max_size=count)))
    on = draw(st.lists(st.booleans(), min_size=count, max_size=count))
    return make_events(np.array(t), np.array(draw(pixel)), np.array(draw(pixel)), np.array(on))


headers = st.sampled_from([HEADER, b"#!AER-DAT2.0\r\n", b"#!AER-DAT2.0\n#\n", HEADER + b"#<xml># \r\n" * 80])


@given(events_on(128, 9_000_000), st.integers(0, 2**32 - 1), headers)
@example(make_events(*np.array([[0, 10], [0x23, 1], [0x23, 1], [0, 1]])), 0x23232323, HEADER)  # 0x23 is '#'
def test_aedat2_round_trip(events, origin_us, header):
    recording = read_aedat2(aedat2(events, origin_us, header), "here")
    expected = events.copy()
    expected["t"] -= events["t"][0]
    np.testing.assert_array_equal(recording.events, expected)
    assert recording[1:4] == (128, 128, "AEDAT 2.0")
    first, last = origin_us + events["t"][0], origin_us + events["t"][-1]
    wrapped = first // 2**32 != last // 2**32
    assert recording.repairs == ({"timestamp wrap-arounds": 1} if wrapped else {})


@given(events_on(34, 2**23 - 1))
def test_nmnist_round_trip(events):
    recording = read_nmnist(nmnist(events), "here")
    np.testing.assert_array_equal(recording.events, events)
    assert recording[1:] == (34, 34, "N-MNIST", {}, (), False)


def test_aedat2_address_by_hand():
    # x_raw 2 (bits 1-7), y 3 (bits 8-14), bit 0 set: OFF.
    recording = read_aedat2(raw_aedat2(np.array([3 << 8 | 2 << 1 | 1, 0]), np.array([7, 9])), "here")
    assert recording.events.tolist() == [(0, 125, 3, False), (2, 127, 0, True)]


def test_nmnist_bytes_by_hand():
    assert read_nmnist(bytes([1, 2, 0x81, 0x02, 0x03]), "here").events.tolist() == [(0x010203, 1, 2, True)]


def test_nmnist_disorder_is_sorted_and_counted():
    events = make_events(*np.array([[5, 1, 9], [1, 2, 3], [0, 0, 0], [0, 1, 0]]))
    recording = read_nmnist(nmnist(events), "here")
    assert recording.events["x"].tolist() == [2, 1, 3]
    assert recording.repairs == {"events out of order": 1}


def test_special_events_are_dropped_and_counted():
    recording = read_aedat2(
        raw_aedat2(np.array([0x8001, 0x0100, 0x8000, 0]), np.array([5, 100, 101, 103])), "here"
    )
    assert recording.events["t"].tolist() == [0, 3]
    assert recording.repairs == {"special events": 2}


@pytest.mark.parametrize(
    ("raw", "mended", "repairs"),
    [
        ([3_000_000_000, 3_000_000_005], [0, 5], {}),
        ([2**32 - 5, 5, 6], [0, 10, 11], {"timestamp wrap-arounds": 1}),
        ([2**32 - 5, 5], [0, 10], {"timestamp wrap-arounds": 1}),
        ([5_000_000, 5_000_010, 0, 7, 9], [0, 10, 10, 17, 19], {"timestamp resets": 1}),
        ([10, 20, 30, 5, 15, 2, 3], [0, 10, 20, 20, 30, 30, 31], {"timestamp resets": 2}),
        ([2**31 + 9, 2**31 + 10, 0, 7], [0, 1, 1, 8], {"timestamp resets": 1}),
        ([100, 90, 110, 120], [0, 0, 10, 20], {"late events": 1}),
        ([100, 90, 100, 90, 100], [0, 0, 0, 0, 0], {"late events": 2}),
        ([2**32 - 10, 3, 2**32 - 8, 4], [0, 0, 2, 14], {"late events": 1, "timestamp wrap-arounds": 1}),
        ([7], [0], {}),
    ],
)
def test_mend_timestamps(raw, mended, repairs):
    times, counted = mend_timestamps(np.array(raw))
    assert times.tolist() == mended
    assert counted == repairs


@given(st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=30))
def test_mended_timestamps_never_fall_and_begin_at_zero(raw):
    times, _ = mend_timestamps(np.array(raw))
    assert times[0] == 0
    assert (np.diff(times) >= 0).all()


GOOD = aedat2(random_events(np.random.default_rng(0), 5, 128, 1000))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty"),
        (HEADER, "no pixel events"),
        (HEADER[:20], "ends within its header"),
        (GOOD[:-3], "5 bytes that make no whole event"),
        (raw_aedat2(np.array([0x8000]), np.array([1])), "no pixel events"),
        (raw_aedat2(np.array([1 << 20]), np.array([1])), "above 16 bits"),
        (b"#!AER-DAT1.0\r\n" + GOOD, r"an AEDAT 1\.0 file"),
        (b"#!AER-DAT3.1\r\n" + GOOD, r"an AEDAT 3\.1 file"),
        (GOOD[len(HEADER) :], "first line is not '#!AER-DAT2.0'"),
        (b"\x89HDF\r\n\x1a\n", "this HDF5 file cannot be read"),
        (gzip.compress(GOOD), "a gzip file"),
        (b"PK\x03\x04rest", "a zip file"),
    ],
)
def test_aedat2_errors_name_the_file_and_the_fault(data, message, tmp_path):
    path = tmp_path / "some.aedat"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_recording(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "message"),
    [(b"", "empty"), (b"\0" * 7, "leave 2 over"), (bytes([34, 0, 0, 0, 0]), r"pixels up to \(34, 0\)")],
)
def test_nmnist_errors(data, message, tmp_path):
    path = tmp_path / "00001.bin"
    path.write_bytes(data)
    with pytest.raises(InputError, match=message) as caught:
        read_recording(path)
    assert str(caught.value).startswith(str(path))


def test_read_recording_goes_by_content_then_suffix(tmp_path):
    (tmp_path / "a.dat").write_bytes(GOOD)
    (tmp_path / "b.AEDAT").write_bytes(GOOD)
    (tmp_path / "c.txt").write_text("hello")
    assert (
        read_recording(tmp_path / "a.dat").format
        == read_recording(str(tmp_path / "b.AEDAT")).format
        == "AEDAT 2.0"
    )
    with pytest.raises(InputError, match="no event file known"):
        read_recording(tmp_path / "c.txt")
    with pytest.raises(InputError, match="no such file"):
        read_recording(tmp_path / "missing.aedat")
    with pytest.raises(InputError, match="folder"):
        read_recording(tmp_path)


def outcome(read, *args) -> None:
    """A reader's only ways out: a sound recording, or an InputError."""
    recording = None
    with contextlib.suppress(InputError):
        recording = read(*args)
    if recording is None:
        return
    assert isinstance(recording, Recording)
    assert len(recording.events)
    check_events(recording.events, recording.width, recording.height, "here")


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_are_read_or_refused(data, with_header):
    outcome(read_aedat2, b"#!AER-DAT2.0\r\n" * with_header + data, "here")
    outcome(read_nmnist, data, "here")


@given(st.data())
def test_damaged_files_are_read_or_refused(data):
    for read, good in (
        (read_aedat2, GOOD),
        (read_nmnist, nmnist(random_events(np.random.default_rng(1), 9, 34, 999))),
    ):
        damaged = bytearray(good)
        for place in data.draw(st.lists(st.integers(0, len(good) - 1), max_size=4)):
            damaged[place] = data.draw(st.integers(0, 255))
        outcome(read, bytes(damaged[: data.draw(st.integers(0, len(good)))]), "here")


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_describe_of_damaged_containers_tells_or_refuses(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("containers")
    events = random_events(np.random.default_rng(2), 20, 26, 999)
    dvs_zip(folder / "good.zip", [(0, 1), (3, 2)])
    hdf5(folder / "good.hdf5", [(1, events)], [(2, events)])
    for name in ("good.zip", "good.hdf5"):
        damaged = bytearray((folder / name).read_bytes())
        for place in data.draw(st.lists(st.integers(0, len(damaged) - 1), min_size=1, max_size=6)):
            damaged[place] = data.draw(st.integers(0, 255))
        path = folder / f"damaged-{name}"
        path.write_bytes(damaged[: data.draw(st.integers(len(damaged) // 2, len(damaged)))])
        with contextlib.suppress(InputError):
            json.dumps(describe(path), allow_nan=False)


def test_describe_event_files(tmp_path):
    (tmp_path / "a.aedat").write_bytes(raw_aedat2(np.array([1, 0, 0, 0x8000]), np.array([10, 20, 30, 40])))
    assert describe(tmp_path / "a.aedat") == {
        "format": "AEDAT 2.0",
        "events": 3,
        "duration_us": 20,
        "seconds": 20e-6,
        "events_per_second": 150_000,
        "width": 128,
        "height": 128,
        "sensor_inferred": False,
        "on_fraction": 2 / 3,
        "repairs": {"special events": 1},
    }
    (tmp_path / "b.bin").write_bytes(nmnist(make_events(*np.array([[50, 90], [0, 1], [2, 3], [1, 1]]))))
    assert describe(tmp_path / "b.bin") == {
        "format": "N-MNIST",
        "events": 2,
        "duration_us": 40,
        "seconds": 40e-6,
        "events_per_second": 50_000,
        "width": 34,
        "height": 34,
        "sensor_inferred": False,
        "on_fraction": 1.0,
    }


def test_describe_containers(tmp_path):
    small = random_events(np.random.default_rng(3), 40, 26, 999)
    hdf5(tmp_path / "d.hdf5", [(1, small), (1, small)], [(2, small)])
    told = describe(tmp_path / "d.hdf5")
    assert (told["format"], told["events"], told["width"]) == ("HDF5 events", 120, 26)
    assert told["recordings"] == {"train": 2, "test": 1}
    assert told["labels"] == {"1": 2, "2": 1}
    assert told["on_fraction"] == pytest.approx(small["on"].mean())

    dvs_zip(tmp_path / "grabbed_data4.zip", [(4, 1), (4, 2), (4, 950)], "grabbed_data4")
    told = describe(tmp_path / "grabbed_data4.zip")
    assert (told["format"], told["recordings"], told["events"]) == ("MNIST-DVS (zip)", 3, 600)
    assert (told["labels"], told["scales"], told["kinds"]) == ({"4": 3}, {"4": 3}, ["raw"])

    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["weights"] = np.zeros(3)
    with pytest.raises(InputError, match="no recordings /train/0"):
        describe(tmp_path / "other.h5")


def test_an_hdf5_file_cannot_claim_memory(tmp_path):
    with h5py.File(tmp_path / "huge.h5", "w") as file:
        file.create_dataset("train/0", shape=(2**40, 4), dtype="u4", chunks=(1024, 4))
        file["train/labels"] = [0]
        file.create_dataset("test/labels", shape=(2**40,), dtype="u4", chunks=(1024,))
    tracemalloc.start()
    with pytest.raises(InputError, match="labels"):
        describe(tmp_path / "huge.h5")
    with h5py.File(tmp_path / "huge.h5", "a") as file:
        del file["test"]
    with pytest.raises(InputError, match="events, not 1"):
        describe(tmp_path / "huge.h5")
    assert tracemalloc.get_traced_memory()[1] < 20e6
    tracemalloc.stop()


def test_a_zip_member_cannot_claim_memory(tmp_path):
    with zipfile.ZipFile(tmp_path / "grabbed_data0.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(dvs_name(0, 1), b"\0" * (65 * 2**20))
    with pytest.raises(InputError, match="more than 64 MiB"):
        describe(tmp_path / "grabbed_data0.zip")


def test_every_real_file_can_be_described():
    kinds = ("nmnist", "mnist-dvs", "mnist-images", "dvs128-objects", "aedat2-samples")
    files = [path for kind in kinds for path in shared(kind).rglob("*") if path.is_file()]
    assert files
    for path in files:
        told = describe(path)
        json.dumps(told, allow_nan=False)
        assert "repairs" not in told
        if path.suffix in (".aedat", ".bin"):
            assert told["events"] > 100
            assert 0.2 < told["on_fraction"] < 0.8
            assert 10_000 < told["duration_us"] < 25_000_000
        else:
            assert told["format"] == "images (npz)"
            assert told["images"] == sum(told["labels"].values()) == 10_000
            assert told["events"] is told["duration_us"] is told["on_fraction"] is None


def test_real_statistics_of_nmnist():
    """Last events at 0.297 .. 0.336 s, and 1,000 .. 7,200 events, as data sheets and counts say."""
    paths = sorted(shared("nmnist", "Train").glob("*/*.bin"))
    recordings = [read_recording(path) for path in paths]
    assert len(recordings) == 1000
    last = np.array([r.events["t"][-1] for r in recordings])
    count = np.array([len(r.events) for r in recordings])
    assert last.min() > 290_000
    assert last.max() < 340_000
    assert count.min() > 900
    assert count.max() < 7_300


def test_real_timestamps_above_2_to_31():
    """Seven recordings of a camera that had run for most of an hour: 17 .. 21 s each."""
    paths = sorted(shared("dvs128-objects", "session1").glob("*.aedat"))
    raw = np.frombuffer(paths[0].read_bytes()[-8:], ">u4")
    assert raw[1] > 2**31
    for path in paths:
        recording = read_recording(path)
        assert recording.repairs == {}
        assert 17e6 < recording.events["t"][-1] < 21e6

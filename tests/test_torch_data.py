"""Recordings as data sets of torch, and data sets of torch, with transforms such as tonic's, as recordings."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset, IterableDataset

import gemsnn

LENGTHS, LABELS = (6, 4, 9, 5), ["left", "right", "right", "left"]


@pytest.fixture
def frames():
    """Recordings ``[T, C, H, W]`` of different lengths."""
    draw = np.random.default_rng(0)
    return [(draw.random((steps, 2, 4, 3)) < 0.3).astype(np.uint8) for steps in LENGTHS]


@pytest.fixture
def recordings(frames):
    return gemsnn.Recordings.from_arrays(frames, LABELS, bin_us=1000)


def test_items_are_bins_and_labels(recordings, frames):
    data = recordings.as_torch()
    assert len(data) == 4
    for position, (bins, label) in enumerate(data[i] for i in range(len(data))):
        assert torch.equal(bins, torch.from_numpy(recordings.bins(position)))
        assert label == LABELS[position].startswith("r")
    pictures = recordings.as_torch(frames=True)
    for position, frame in enumerate(frames):
        assert pictures[position][0].dtype == torch.uint8
        np.testing.assert_array_equal(pictures[position][0], frame)
    assert recordings.as_torch(transform=torch.Tensor.float)[0][0].dtype == torch.float32
    with pytest.raises(IndexError):
        data[4]
    assert torch.equal(pickle.loads(pickle.dumps(data))[1][0], data[1][0])  # as a loader's processes do


def test_a_loader_gives_recordings_of_any_lengths(recordings, frames):
    data = recordings.as_torch(frames=True)
    (first, second) = DataLoader(data, batch_size=3, collate_fn=data.collate)
    assert first.bins.shape == (3, 9, 2, 4, 3)
    assert first.length.tolist() == [6, 4, 9]
    assert first.taught.tolist() == [0, 1, 1]
    for position, steps in enumerate(LENGTHS[:3]):
        np.testing.assert_array_equal(first.bins[position, :steps], frames[position])
        assert not first.bins[position, steps:].any()
    assert second.bins.shape == (1, 5, 2, 4, 3)


def test_targets_come_in_place_of_labels(frames):
    flat = [each.reshape(len(each), -1) for each in frames]
    targets = [each[:, :2] for each in flat]
    data = gemsnn.Recordings.from_arrays(flat, targets=targets, bin_us=1000).as_torch()
    np.testing.assert_array_equal(data[2][1], targets[2])
    (batch,) = DataLoader(data, batch_size=4, collate_fn=data.collate)
    assert batch.taught.shape == (4, 9, 2)
    np.testing.assert_array_equal(batch.taught[1, :4], targets[1])
    assert not batch.taught[1, 4:].any()


def test_what_does_not_lie_side_by_side_is_told(recordings):
    data = recordings.as_torch(transform=lambda bins: bins.numpy())
    with pytest.raises(gemsnn.InputError, match="recordings lie side by side where each is a tensor"):
        data.collate([data[0]])
    with pytest.raises(gemsnn.InputError, match="there are none"):
        data.collate([])


@pytest.mark.parametrize("style", ["map", "iterable"])
def test_there_and_back(style, recordings, frames):
    """What is learned from is the same set."""
    data = recordings.as_torch(frames=True)

    class Mapped(Dataset):
        def __len__(self):
            return len(data)

        def __getitem__(self, position):
            return data[position]

    class Streamed(IterableDataset):
        def __iter__(self):
            return (data[position] for position in range(len(data)))

    found = gemsnn.Recordings.from_arrays(Mapped() if style == "map" else Streamed(), bin_us=1000)
    assert found.digest() == recordings.digest()
    assert found.layout == recordings.layout
    model = gemsnn.fit(Mapped() if style == "map" else Streamed(), bin_us=1000, epochs=1, hidden=[3])
    wanted = gemsnn.fit(found, epochs=1, hidden=[3])
    assert torch.equal(model.params.bias, wanted.params.bias)


# -- transforms --------------------------------------------------------------------------------------------

EVENT = np.dtype([("x", int), ("y", int), ("t", int), ("p", int)])
"""As tonic has it."""


class ToFrame:
    """Windows of time as frames ``[T, P, H, W]`` of numbers of events, as tonic's transform of that name makes them."""

    def __init__(self, sensor_size, time_window):
        self.sensor, self.window = sensor_size, time_window

    def __call__(self, events):
        width, height, polarities = self.sensor
        step = (events["t"] - events["t"][0]) // self.window
        frames = np.zeros((step.max() + 1, polarities, height, width), np.int16)
        np.add.at(frames, (step, events["p"], events["y"], events["x"]), 1)
        return frames


class Turned:
    """Events to events: left is right."""

    def __call__(self, events):
        turned = events.copy()
        turned["x"] = 5 - events["x"]
        return turned


@pytest.fixture
def events():
    draw = np.random.default_rng(1)
    made = []
    for count in (40, 60, 50):
        one = np.zeros(count, EVENT)
        for field, most in (("x", 6), ("y", 4), ("p", 2)):
            one[field] = draw.integers(0, most, count)
        one["t"] = np.sort(draw.integers(0, 9000, count))
        one["t"][0] = 0
        made.append(one)
    return made


def test_a_transform_makes_frames_of_events(events):
    """What they are counted into is what from_events counts them into, for bins of the same width."""
    how = {"bin_us": 1000, "counts": True}
    found = gemsnn.Recordings.from_arrays(events, [0, 1, 0], transform=ToFrame((6, 4, 2), 1000), **how)
    wanted = gemsnn.Recordings.from_events(events, [0, 1, 0], sensor=(6, 4), **how)
    assert found.digest() == wanted.digest()
    pairs = gemsnn.Recordings.from_arrays(
        zip(events, [0, 1, 0], strict=True), transform=ToFrame((6, 4, 2), 1000), **how
    )
    assert pairs.digest() == wanted.digest()


def test_a_transform_makes_events_of_events(events):
    found = gemsnn.Recordings.from_events(
        events, [0, 1, 0], sensor=(6, 4), bin_us=1000, transform=Turned()
    ).as_torch(frames=True)
    wanted = gemsnn.Recordings.from_events(events, [0, 1, 0], sensor=(6, 4), bin_us=1000).as_torch(
        frames=True
    )
    for position in range(3):
        assert found[position][0].any()
        assert torch.equal(found[position][0], wanted[position][0].flip(-1))


def test_a_transform_that_is_none_is_told(events):
    for make in (gemsnn.Recordings.from_events, gemsnn.Recordings.from_arrays):
        with pytest.raises(gemsnn.InputError, match="transform must be a function of a recording, not str"):
            make(events, [0, 1, 0], bin_us=1000, transform="ToFrame")
